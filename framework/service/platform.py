"""The platform under the clusters: agents, schedulers and their owners, the store, the masters.

Asked for by people who look, and kept for some seconds, so that many who look cost as much as one.
"""
from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Set
from typing import TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field

from ..mesos import inventory
from ..mesos.operator import OperatorApi, OperatorError
from ..store import ensemble
from ..store.opening import parse_address
from .hosts import Hosts
from .tenants.views import AmountsView
from .views import AgentView, ClusterSummary, MaintenanceView, MemberView, SeatView

log = structlog.get_logger(__name__)

KEPT_S = 5.0
T = TypeVar("T")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class PlatformAgentView(_View):
    """An agent of Mesos, and what of this service is on it."""

    host: str
    agent_id: str = Field("", description="empty: the master does not know the host now")
    active: bool
    version: str = ""
    registered_at: float | None = None
    attributes: dict[str, str] = {}
    total: AmountsView | None = None
    allocated: AmountsView | None = Field(None, description="by tasks of any framework")
    reserved: AmountsView | None = Field(None, description="for any role, in use or not")
    nodes: list[SeatView] = Field([], description="of this service")
    maintenance: MaintenanceView | None = None


class LeftoverView(_View):
    """What is reserved with the labels of a cluster that this service does not know."""

    host: str
    agent_id: str
    cluster: str
    node: str
    incarnation: str
    role: str
    amounts: AmountsView
    volumes: list[str] = Field(description="persistence ids; what is in them is there as long as "
                               "nobody destroys them")


class SchedulerView(_View):
    """The scheduler of one cluster: a framework of Mesos, run by one process of the service."""

    cluster: str
    tenant: str
    owner: str = Field(description="the process that has its lease; empty: none now")
    framework_id: str = ""
    connected: bool
    registered_at: float | None = None
    epoch: int | None = Field(None, description="counts its owners; of clusters of the process "
                              "that answers")
    inbox: int | None = Field(None, description="events that wait; of those, too")
    doing: str


class MasterView(_View):
    """The leading Mesos master."""

    address: str
    version: str
    uptime_s: float
    agents_active: int
    agents_inactive: int
    agents_unreachable: int
    frameworks: int
    tasks_running: int
    event_queue: int


class ZooKeeperView(_View):
    """One server of the ZooKeeper that keeps the records."""

    address: str
    mode: str = ""
    version: str = ""
    latency_ms: float | None = None
    outstanding: int | None = None
    connections: int | None = None
    nodes: int | None = None
    problem: str = ""


class StoreView(_View):
    """Where the records are."""

    kind: str = Field(examples=["zookeeper", "embedded"])
    servers: list[ZooKeeperView] = []
    size_mb: float | None = Field(None, description="of an embedded one")
    leases: int


class PlatformView(_View):
    """Everything under the clusters at one moment."""

    at: float
    master: MasterView | None
    master_problem: str = ""
    agents: list[PlatformAgentView]
    leftovers: list[LeftoverView] = Field([], description="reserved for clusters that are gone, "
                                          "or of another service on the same Mesos")
    schedulers: list[SchedulerView]
    members: list[MemberView]
    store: StoreView


class Platform(Hosts):
    """The part of ``ClusterService`` that looks under the clusters."""

    _operator: OperatorApi
    _underneath: tuple[float, PlatformView] | None = None
    _looking: asyncio.Lock | None = None

    async def platform(self) -> PlatformView:
        """As it was within the last seconds; parts that do not answer say so, none raises."""
        if self._looking is None:
            self._looking = asyncio.Lock()
        async with self._looking:
            known, now = self._underneath, time.monotonic()
            if known is None or now - known[0] > KEPT_S:
                known = self._underneath = now, await self._looked()
            return known[1]

    async def _looked(self) -> PlatformView:
        problems: list[str] = []
        master, agents, frameworks, store = await asyncio.gather(
            _or_none(inventory.master, self._operator, problems),
            _or_none(inventory.agents, self._operator, problems),
            _or_none(inventory.frameworks, self._operator, problems), self._store_view())
        clusters = self.list_clusters()
        return PlatformView(
            at=time.time(), master=_master_view(master), master_problem="; ".join(
                dict.fromkeys(problems)),
            agents=agent_views(agents or [], self.agents()), store=store,
            leftovers=leftover_views(agents or [], {one.name for one in clusters}),
            schedulers=self._scheduler_views(clusters,
                                             {one.name: one for one in frameworks or []}),
            members=self._members())

    @abstractmethod
    def _members(self) -> list[MemberView]:
        """All processes that share the store."""

    @abstractmethod
    def _owners(self) -> dict[str, str]:
        """Process by cluster."""

    @abstractmethod
    def list_clusters(self, tenant: str | None = None) -> list[ClusterSummary]:
        """All clusters."""

    def _scheduler_views(self, clusters: list[ClusterSummary],
                         known: Mapping[str, inventory.FrameworkInfo]) -> list[SchedulerView]:
        owners, found = self._owners(), []
        for one in clusters:
            loop = self._loops.get(one.name)
            info = known.get(f"{inventory.OURS}{one.tenant}/{one.name}")
            found.append(SchedulerView(
                cluster=one.name, tenant=one.tenant, owner=owners.get(one.name, ""),
                framework_id=info.id if info else (
                    loop.state.identity.framework_id or "" if loop else ""),
                connected=one.connected, registered_at=info.registered_at if info else None,
                epoch=loop.cycle.lease.epoch if loop else None,
                inbox=loop.waiting if loop else None, doing=one.summary))
        return found

    async def _store_view(self) -> StoreView:
        leases = len(await asyncio.to_thread(self._store.leases))
        address = self.settings.store
        if address is None:
            size = await asyncio.to_thread(lambda: sum(
                path.stat().st_size for path in self.settings.state_dir.glob("esaas.sqlite3*")))
            return StoreView(kind="embedded", size_mb=round(size / 2**20, 2), leases=leases)
        servers = await ensemble.ask(parse_address(address)[0])
        return StoreView(kind="zookeeper", leases=leases, servers=[ZooKeeperView(
            address=one.address, mode=one.mode, version=one.version, latency_ms=one.latency_ms,
            outstanding=one.outstanding, connections=one.connections, nodes=one.nodes,
            problem=one.problem) for one in servers])


async def _or_none(ask: Callable[[OperatorApi], Awaitable[T]], api: OperatorApi,
                   problems: list[str]) -> T | None:
    try:
        return await ask(api)
    except OperatorError as error:
        problems.append(str(error))
        return None


def agent_views(known: list[inventory.AgentInfo],
                ours: list[AgentView]) -> list[PlatformAgentView]:
    """Agents of the master and hosts of ours together, by host."""
    by_host = {one.host: one for one in ours}
    found = []
    for agent in known:
        mine = by_host.pop(agent.host, None)
        found.append(PlatformAgentView(
            host=agent.host, agent_id=agent.id, active=agent.active, version=agent.version,
            registered_at=agent.registered_at, attributes=dict(agent.attributes),
            total=AmountsView.of(agent.total), allocated=AmountsView.of(agent.allocated),
            reserved=AmountsView.of(agent.reserved), nodes=mine.nodes if mine else [],
            maintenance=mine.maintenance if mine else None))
    found += [PlatformAgentView(host=one.host, active=False, nodes=one.nodes,
                                maintenance=one.maintenance) for one in by_host.values()]
    return sorted(found, key=lambda one: one.host)


def leftover_views(known: list[inventory.AgentInfo], clusters: Set[str]) -> list[LeftoverView]:
    """What agents hold for clusters that are not among these, by host."""
    return [LeftoverView(
        host=agent.host, agent_id=agent.id, cluster=seat.cluster, node=seat.node,
        incarnation=seat.incarnation, role=seat.role, amounts=AmountsView.of(seat.amounts),
        volumes=list(seat.volumes))
        for agent in known for seat in agent.seats if seat.cluster not in clusters]


def _master_view(one: inventory.MasterInfo | None) -> MasterView | None:
    if one is None:
        return None
    return MasterView(address=one.address, version=one.version, uptime_s=one.uptime_s,
                      agents_active=one.agents_active, agents_inactive=one.agents_inactive,
                      agents_unreachable=one.agents_unreachable, frameworks=one.frameworks,
                      tasks_running=one.tasks_running, event_queue=one.event_queue)
