"""Taking up, running and letting go of clusters: one loop and one link to Mesos for each."""
from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Collection
from functools import partial
from pathlib import Path

import structlog

from ..core.errors import EsaasError
from ..core.operations import LaunchPayload
from ..core.spec import Plugin
from ..elastic.client import EsAccess
from ..mesos.link import MesosLink
from ..mesos.translate import ExecutorFile, Supply, TlsSupply, framework_info
from ..runtime.chronicle import Told
from ..runtime.cycle import Cycle
from ..runtime.loop import ClusterLoop, Failpoints
from ..runtime.turned import Turned
from ..store.codec import CodecError, cluster_path
from ..store.contract import Lease, StoreBusy, StoreError
from ..telemetry.own import Own
from .certificates import SERVICE_USER, issue
from .hosts import Hosts
from .vault import Vault

log = structlog.get_logger(__name__)


class Running(Hosts):
    """The loops of this process; ``sharing`` says which clusters it runs."""

    executor_file: Path | None
    _vault: Vault
    _base_url: str
    _instance: str
    _failpoints: Failpoints
    own: Own
    _releasing: asyncio.Task[None] | None = None        # so that nobody collects it

    @abstractmethod
    def _told(self, name: str, seq: int, at: float, told: Told) -> None:
        """A line of history was stored."""

    @abstractmethod
    def _changed(self, name: str) -> None:
        """A cluster looks different."""

    @abstractmethod
    def _gone(self, name: str) -> None:
        """A cluster runs here no more."""

    # ------------------------------------------------------------------- the share

    def running(self) -> Collection[str]:
        """The clusters that run here."""
        return self._loops.keys()

    async def take_up(self, name: str) -> None:
        """Run a stored cluster, unless another process has it, or it cannot be read."""
        if name in self._loops or name in self._unreadable:
            return
        try:
            cycle = await asyncio.to_thread(self._load, name)
        except StoreBusy as error:
            log.info("cluster is another's", cluster=name, why=str(error))
            return
        if cycle is not None and name not in self._loops:
            log.info("cluster is taken up", cluster=name, epoch=cycle.lease.epoch)
            await self._align_hosts(self._run(cycle))

    def _load(self, name: str) -> Cycle | None:
        """Its lease and its records; StoreBusy, StoreError."""
        lease = self._store.acquire(name, self._instance)
        try:
            return Cycle.load(self._store, lease, name, self._store.read(cluster_path(name)))
        except CodecError as error:
            # Its nodes run on; the others must not suffer for it.
            log.critical("cluster cannot be read and is left alone", cluster=name,
                         error=str(error))
            self._unreadable[name] = str(error)
            self._store.release(lease)
            return None
        except StoreError:
            self._store.release(lease)
            raise

    async def hand_over(self, name: str) -> None:
        """Stop running a cluster, so that another process can; nothing on Mesos is touched."""
        loop = self._loops.pop(name, None)
        if loop is not None:
            await loop.stop()
            await self._released(loop.cycle.lease)

    async def _released(self, lease: Lease) -> None:
        try:
            await asyncio.to_thread(self._store.release, lease)
        except StoreError as error:         # it ends with the session in any case
            log.warning("lease could not be given back", cluster=lease.name, error=str(error))

    def _lost(self, name: str) -> None:
        """The lease is gone: whoever holds it decides."""
        self._loops.pop(name, None)
        self._gone(name)

    # --------------------------------------------------------------------- running

    def _run(self, cycle: Cycle) -> ClusterLoop:
        settings, identity = self.settings, cycle.state.identity
        loop = ClusterLoop(cycle, self._failpoints, settings.observe_busy_s,
                           settings.observe_idle_s, self._told, self._changed, self._removed,
                           self._lost, partial(self._access, cycle), self._count)
        credentials = settings.credentials_of(identity.tenant)
        framework = framework_info(identity, settings.failover_timeout_s, settings.executor_user,
                                   f"{self._base_url}/clusters/{identity.name}")
        link = MesosLink(identity, settings.mesos_master, framework, self._executor(),
                         partial(self._supply, cycle), loop.deliver,
                         credentials.secret.get_secret_value() if credentials else None,
                         allowed=loop.owned)
        self._loops[identity.name] = loop
        loop.start(link)
        return loop

    def _count(self, turned: Turned) -> None:
        self.own.turned(turned.decide_s, turned.commit_s, turned.events, turned.received,
                        turned.accepted, turned.declined)

    def _executor(self) -> ExecutorFile:
        assert self.executor_file is not None
        name = self.executor_file.name
        return ExecutorFile(f"{self._base_url}/v1/executor/{name}", name,
                            self.settings.executor_python, self.settings.executor_user)

    def _supply(self, cycle: Cycle, payload: LaunchPayload) -> Supply:
        """Where the parts of a launch come from; EsaasError when one is not to be had."""
        if payload.sidecar is not None:
            return Supply(tls=self._tls(cycle, payload))
        url, sha256 = payload.url, payload.sha256
        if not url or not sha256:
            known = self.settings.distributions.get(payload.version)
            if known is None:
                raise EsaasError(f"no distribution of {payload.version} is known here")
            url, sha256 = known.url, known.sha256
        values = self._vault.read(cycle) if payload.secrets else {}
        missing = sorted(set(payload.secrets) - set(values))
        if missing:
            raise EsaasError(f"secure settings without a value: {', '.join(missing)}")
        return Supply(url, sha256, tuple(self._plugin(item, payload.version)
                                         for item in payload.plugins),
                      {key: values[key] for key in payload.secrets}, self._tls(cycle, payload))

    def _tls(self, cycle: Cycle, payload: LaunchPayload) -> TlsSupply | None:
        """A new certificate for this start; a sidecar learns whom to trust."""
        if not payload.certificate_days:
            return None
        authority = self._vault.authority(cycle)
        ca = authority.certificate.encode()
        if payload.sidecar is not None:
            return TlsSupply(ca)
        issued = issue(authority, payload.node, payload.certificate_names,
                       payload.certificate_days, time.time())
        return TlsSupply(ca, issued.certificate, issued.key, authority.password,
                         authority.service_password)

    def _access(self, cycle: Cycle) -> EsAccess | None:
        """How to ask the nodes of a secured cluster; VaultError."""
        if cycle.state.tls is None:
            return None
        authority = self._vault.authority(cycle)
        return EsAccess(authority.certificate, SERVICE_USER, authority.service_password)

    def _plugin(self, plugin: Plugin, version: str) -> tuple[str, str, str]:
        """(name, url, sha256): the spec's own source, the catalog's, or Elastic's by name."""
        if plugin.url and plugin.sha256:
            return plugin.name, plugin.url, plugin.sha256
        known = self.settings.plugins.get(plugin.name, {}).get(version)
        return (plugin.name, known.url, known.sha256) if known else (plugin.name, "", "")

    def _removed(self, name: str) -> None:
        loop = self._loops.pop(name)
        self._releasing = asyncio.create_task(self._released(loop.cycle.lease))
        self._gone(name)
        log.info("cluster removed", cluster=name)
