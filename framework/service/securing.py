"""What people do with secured clusters: learn how to get in, have certificates renewed."""
from __future__ import annotations

import time

from ..core import events as ev
from ..core.errors import Fault
from ..runtime.loop import ClusterLoop
from .base import Base
from .certificates import PEOPLE_USER
from .errors import Conflict, Unavailable
from .vault import Vault, VaultError
from .views import Accepted, CredentialsView


class Securing(Base):
    """The part of ``ClusterService`` that is about secured clusters."""

    _vault: Vault

    async def credentials(self, name: str) -> CredentialsView:
        """How people get into a secured cluster; that they asked is recorded first."""
        loop = self._loop(name)
        self._secured(loop)
        try:
            authority = self._vault.authority(loop.cycle)
        except VaultError as error:
            raise Unavailable(str(error)) from error
        await self._command(loop, ev.CredentialsShown(time.time()))
        return CredentialsView(user=PEOPLE_USER, password=authority.password,
                               ca_certificate=authority.certificate)

    async def rotate_certificates(self, name: str) -> Accepted:
        """Give every node a new certificate now, by a rolling restart with all its gates."""
        loop = self._loop(name)
        async with loop.changing:
            self._not_deleting(loop)
            self._secured(loop)
            await self._command(loop, ev.TlsRotated(time.time()))
        return Accepted(cluster=name, revision=loop.state.revision,
                        message="every node, one by one, is to get a new certificate")

    @staticmethod
    def _secured(loop: ClusterLoop) -> None:
        if loop.state.tls is None:
            raise Conflict(f"{loop.name} is not secured", [
                Fault("", "a cluster without security has no certificates and no users",
                      "cluster_is_secured")])
