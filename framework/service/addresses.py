"""Where agents answer: asked of the master when one is not known, or after a while."""
from __future__ import annotations

import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import structlog

from ..mesos import inventory
from ..mesos.figures import Login
from ..mesos.inventory import AgentInfo
from ..mesos.operator import OperatorApi, OperatorError
from ..settings import Settings

log = structlog.get_logger(__name__)

KNOWN_FOR_S = 300.0


def addresses_of(settings: Settings, operator: OperatorApi) -> Addresses:
    """None known yet; who we are to agents is in the settings."""
    given = settings.agent_credentials
    return Addresses(operator, (given.principal, given.secret.get_secret_value())
                     if given is not None else None)


@dataclass(slots=True)
class Addresses:
    """Agents by their id, as the master named them last; ``login`` is who we are to them."""

    operator: OperatorApi
    login: Login | None = field(default=None, repr=False)
    agents: dict[str, AgentInfo] = field(default_factory=dict)
    _at: float = 0.0

    async def find(self, wanted: AbstractSet[str]) -> None:
        """Know all that the master knows; when it is away, what it has said last stays."""
        now = time.monotonic()
        if wanted <= self.agents.keys() and now - self._at < KNOWN_FOR_S:
            return
        try:
            self.agents = {one.id: one for one in await inventory.agents(self.operator)
                           if one.pid}
            self._at = now
        except OperatorError as error:
            log.debug("the master does not tell where agents are", why=str(error))
