"""The hosts of the stand-in service."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esaas.framework.service.errors import Conflict, NotFound
from esaas.framework.service.views import Accepted, AgentView, MaintenanceView, SeatView

if TYPE_CHECKING:
    from standin_service import Fake


class HostsStandIn:
    """What ``StandInService`` says of hosts."""

    fakes: dict[str, Fake]
    clock: float
    drained: dict[str, MaintenanceView]
    slow_drains = False

    def agents(self) -> list[AgentView]:
        found: dict[str, list[SeatView]] = {}
        for name, fake in sorted(self.fakes.items()):
            for node in fake.nodes:
                if node.host:
                    found.setdefault(node.host, []).append(SeatView(
                        host=node.host, rack=node.rack, cluster=name, tenant=fake.spec.tenant,
                        node=node.name, state=node.state,
                        alive=self.slow_drains or node.host not in self.drained))
        return [AgentView(host=host, rack=seats[0].rack, nodes=seats,
                          empty=not any(seat.alive for seat in seats),
                          maintenance=self.drained.get(host))
                for host, seats in sorted(found.items())]

    def agent(self, host: str) -> AgentView:
        for one in self.agents():
            if one.host == host:
                return one
        raise NotFound(f"no node is on {host!r}")

    async def drain_agent(self, host: str, mode: str = "auto", begins_in_s: float = 0.0,
                          lasts_s: float | None = None) -> AgentView:
        self.agent(host)
        kind: Any = mode if mode != "auto" else "stop" if lasts_s else "move"
        begins = self.clock + begins_in_s
        self.drained[host] = MaintenanceView(
            mode=kind, source="people", asked_at=self.clock, begins=begins,
            ends=None if lasts_s is None else begins + lasts_s)
        return self.agent(host)

    async def restore_agent(self, host: str) -> AgentView:
        self.agent(host)
        self.drained.pop(host, None)
        return self.agent(host)

    async def reregister(self, name: str, confirm: str) -> Accepted:
        raise Conflict(f"the framework of {name} was not removed")

    async def release_orphan(self, name: str, orphan: str, confirm: str) -> Accepted:
        raise NotFound(f"{name} has no orphan {orphan!r}")
