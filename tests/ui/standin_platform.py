"""The part of the stand-in that tells of the platform: one master, three agents, one process."""
from __future__ import annotations

from esaas.framework.service.platform import (
    LeftoverView,
    MasterView,
    PlatformAgentView,
    PlatformView,
    SchedulerView,
    StoreView,
    ZooKeeperView,
)
from esaas.framework.service.tenants.views import AmountsView
from esaas.framework.service.views import AgentView, ClusterSummary, MemberView

TOTAL = AmountsView(cpus=8, mem_mb=16384, disk_mb=100000)


class PlatformStandIn:
    """What ``StandInService`` says of the platform; ``away`` takes the master away."""

    clock: float
    away = False

    def agents(self) -> list[AgentView]:
        raise NotImplementedError

    def list_clusters(self, tenant: str | None = None) -> list[ClusterSummary]:
        raise NotImplementedError

    async def platform(self) -> PlatformView:
        agents = [PlatformAgentView(
            host=one.host, agent_id=f"S{number}", active=not self.away, version="1.11.0",
            registered_at=self.clock, attributes={"rack": one.rack or "none"}, total=TOTAL,
            allocated=AmountsView(cpus=1), reserved=AmountsView(cpus=2.1, mem_mb=4096),
            nodes=one.nodes, maintenance=one.maintenance)
            for number, one in enumerate(self.agents())]
        return PlatformView(
            at=self.clock, master_problem="the master does not answer" if self.away else "",
            master=None if self.away else MasterView(
                address="10.0.0.1:5050", version="1.11.0", uptime_s=3600, agents_active=3,
                agents_inactive=0, agents_unreachable=1, frameworks=9, tasks_running=20,
                event_queue=0),
            agents=[] if self.away else agents, leftovers=[] if self.away else [LeftoverView(
                host="host-2", agent_id="S1", cluster="bygone", node="node-4", incarnation="1",
                role="demo/bygone", amounts=AmountsView(cpus=0.5, mem_mb=768, disk_mb=2000),
                volumes=["uid9.node-4.1"])],
            schedulers=[SchedulerView(
                cluster=one.name, tenant=one.tenant, owner="host-1:42:ab", framework_id="esaas-x",
                connected=one.connected, registered_at=self.clock, epoch=3, inbox=0,
                doing=one.summary) for one in self.list_clusters()],
            members=[MemberView(instance="host-1:42:ab", url="http://host-1:8080",
                                started_at=self.clock, clusters=9, me=True)],
            store=StoreView(kind="zookeeper", leases=9, servers=[
                ZooKeeperView(address="z1:2181", mode="leader", version="3.8.0", latency_ms=0.5,
                              outstanding=0, connections=7, nodes=120),
                ZooKeeperView(address="z2:2181", problem="does not answer: refused")]))
