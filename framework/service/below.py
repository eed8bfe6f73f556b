"""What lies below the nodes, in figures: their containers and agents, the master, ZooKeeper.

Two requests an agent and interval, whatever its number of nodes, a few agents at a time, and only
agents that have nodes of this process. What does not answer has no figures, but for "up".
"""
from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from ..core.facts import ClusterState
from ..mesos import figures
from ..mesos.figures import AgentAway, Container
from ..mesos.operator import OperatorApi, OperatorError
from ..store import ensemble
from ..store.ensemble import ServerStatus
from ..telemetry import containers
from ..telemetry.readings import OF_MESOS, Reading, of_zookeeper
from .addresses import Addresses

log = structlog.get_logger(__name__)

AT_ONCE = 8                         # agents
FRESH_S = 90.0                      # an older figure is left out
LEADS = frozenset({"leader", "standalone"})


@dataclass(frozen=True, slots=True)
class _Measured:
    at: float
    values: Mapping[str, float]


@dataclass(slots=True)
class Below:
    """The newest figures of containers, by cluster and node, and of agents, by host."""

    operator: OperatorApi
    zookeeper: str | None               # host:port,host:port of the store; None: embedded
    addresses: Addresses                # of agents
    _before: dict[tuple[str, str], Container] = field(default_factory=dict)
    _nodes: dict[tuple[str, str], _Measured] = field(default_factory=dict)
    _hosts: dict[str, _Measured] = field(default_factory=dict)

    def of_node(self, cluster: str, node: str, now: float) -> Mapping[str, float]:
        """Of the container of a node; empty when there is nothing fresh."""
        return _fresh(self._nodes.get((cluster, node)), now)

    def of_host(self, host: str, now: float) -> Mapping[str, float]:
        """Of the agent on a host; empty when there is nothing fresh."""
        return _fresh(self._hosts.get(host), now)

    async def measure(self, states: Mapping[str, ClusterState]) -> list[Reading]:
        """Ask everybody once, whoever is away; gives what is neither a node's nor a host's."""
        found = await asyncio.gather(self._agents(states), self._master(), self._zookeeper())
        return [*found[1], *found[2]]

    async def _agents(self, states: Mapping[str, ClusterState]) -> None:
        hosts: dict[str, str] = {}
        nodes: dict[str, dict[tuple[str, str], tuple[str, str]]] = defaultdict(dict)
        for cluster, state in states.items():
            for record in state.nodes.values():
                if record.seat is not None:
                    hosts[record.seat.agent_id] = record.seat.host
                    nodes[record.seat.agent_id][
                        state.task_id(record), state.identity.framework_id or ""] = (
                            cluster, record.name)
        await self.addresses.find(hosts.keys())
        known_agents = self.addresses.agents
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(agent_id: str) -> None:
            async with gate:
                await self._agent(known_agents[agent_id].pid, hosts[agent_id], nodes[agent_id])
        await asyncio.gather(*(one(agent_id) for agent_id in hosts if agent_id in known_agents))
        known = {name for by_container in nodes.values() for name in by_container.values()}
        for name in self._nodes.keys() - known:
            del self._nodes[name]
        for name in self._before.keys() - known:
            del self._before[name]
        for host in self._hosts.keys() - set(hosts.values()):
            del self._hosts[host]

    async def _agent(self, pid: str, host: str,
                     nodes: Mapping[tuple[str, str], tuple[str, str]]) -> None:
        now = time.time()
        try:
            found = await figures.containers(pid, self.addresses.login)
            values = await figures.agent(pid, self.addresses.login)
        except AgentAway as error:
            log.debug("an agent cannot be measured now", host=host, why=str(error))
            self._hosts[host] = _Measured(now, {"agent_up": 0.0})
            return
        self._hosts[host] = _Measured(now, {"agent_up": 1.0, **values})
        for container in found:
            name = nodes.get((container.executor_id, container.framework_id))
            if name is not None:
                self._nodes[name] = _Measured(now, containers.figures(
                    self._before.get(name), container))
                self._before[name] = container

    async def _master(self) -> list[Reading]:
        try:
            values = {"master_up": 1.0, **await figures.master(self.operator)}
        except OperatorError as error:
            log.debug("the master cannot be measured now", why=str(error))
            values = {"master_up": 0.0}
        return [Reading(time.time(), OF_MESOS, values)]

    async def _zookeeper(self) -> list[Reading]:
        if self.zookeeper is None:
            return []
        return [Reading(time.time(), of_zookeeper(one.address), server_figures(one))
                for one in await ensemble.ask(self.zookeeper)]


def server_figures(one: ServerStatus) -> dict[str, float]:
    """What a server of ZooKeeper has said, by metric."""
    if one.problem:
        return {"up": 0.0}
    said = (("latency_ms", one.latency_ms), ("outstanding", one.outstanding),
            ("connections", one.connections), ("znodes", one.nodes))
    return {"up": 1.0, "leader": float(one.mode in LEADS)} | {
        metric: float(value) for metric, value in said if value is not None}


def _fresh(found: _Measured | None, now: float) -> Mapping[str, float]:
    return found.values if found is not None and now - found.at <= FRESH_S else {}
