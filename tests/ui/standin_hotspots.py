"""The part of the stand-in that tells of hot spots: the real arithmetic over made-up shards."""
from __future__ import annotations

import time
from typing import TYPE_CHECKING

from esaas.framework.core import hotspots
from esaas.framework.core.errors import Fault
from esaas.framework.core.hotspots import DIMENSIONS, TOLD, NodeLoad, ShardCopy
from esaas.framework.service.balancing import (
    HOST_DIMENSIONS,
    id_of,
    proposal_view,
    spread_view,
)
from esaas.framework.service.errors import Conflict, Unavailable
from esaas.framework.service.hotspot_views import HostMoveView, HostSpotsView, HotspotsView
from esaas.framework.service.views import OperationView

if TYPE_CHECKING:
    from standin_service import Fake

SHARDS = [("logs-1", 0, "node-0", 900.0), ("logs-1", 1, "node-0", 700.0),
          ("logs-1", 2, "node-1", 60.0), ("notes", 0, "node-1", 50.0),
          ("notes", 1, "node-2", 80.0), ("logs-1", 3, "node-2", 40.0)]


class HotspotStandIn:
    """What ``StandInService`` says of hot spots; every cluster has the same shards."""

    fakes: dict[str, Fake]
    clock: float
    unseen: frozenset[str] = frozenset()        # clusters whose nodes do not answer

    def _find(self, name: str) -> Fake:
        raise NotImplementedError

    def _shards(self, name: str) -> tuple[list[NodeLoad], list[ShardCopy]]:
        self._find(name)
        if name in self.unseen:
            raise Unavailable("shards cannot be looked at now: no node of the cluster serves")
        copies = [ShardCopy(index, number, node, size) for index, number, node, size in SHARDS]
        return [NodeLoad(node, f"host-{node}", {
            "store_mb": sum(one.store_mb for one in copies if one.node == node),
            "shards": 2.0, "heap_used_percent": 40.0}, 10_000.0, 20_000.0)
            for node in ("node-0", "node-1", "node-2")], copies

    async def hotspots(self, name: str, dimension: str | None = None) -> HotspotsView:
        nodes, copies = self._shards(name)
        return HotspotsView(
            cluster=name, at=self.clock, mode="advise",
            spreads=[spread_view(one, {**DIMENSIONS, **TOLD})
                     for one in hotspots.spreads(nodes, copies)],
            proposals=[proposal_view(one) for one in hotspots.propose(
                nodes, copies, dimension or "store_mb")],
            acts_not_because="balance.mode is advise")

    async def apply_hotspots(self, name: str, dimension: str | None,
                             proposal: str) -> OperationView:
        found = hotspots.propose(*self._shards(name), dimension or "store_mb")
        if proposal not in {id_of(one) for one in found}:
            raise Conflict("the cluster is not as it was when this was proposed", [
                Fault("proposal", "there is none like that any more", "proposal_is_current")])
        begun = OperationView(id="m1", kind="move_shards", parameters={"by": "people"},
                              status="waiting", asked_at=time.time())
        self._find(name).operations.insert(0, begun)
        return begun

    def host_spots(self) -> HostSpotsView:
        figures = {"agent-1": 3.0, "agent-2": 0.5, "agent-3": 0.4}
        nodes = [NodeLoad(host, host, {"cpu_percent": 100 * load, "load_per_core": load})
                 for host, load in figures.items()]
        spreads = [hotspots.spread(nodes, (), name) for name in ("load_per_core", "cpu_percent")]
        move = HostMoveView(cluster="demo", node="node-0", source="agent-1", target="agent-3",
                            share=120.0, deviation_before=120.0, deviation_after=60.0)
        return HostSpotsView(at=self.clock, hosts=3, moves={"cpu_percent": [move]},
                             spreads=[spread_view(one, HOST_DIMENSIONS) for one in spreads])
