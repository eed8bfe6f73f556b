"""Hot spots of a cluster and of the hosts: reports, moves by one click, moves by itself."""
from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Mapping, Sequence

import structlog

from ..core import balancing, hotspots
from ..core import events as ev
from ..core.errands import find as find_errand
from ..core.errors import EsaasError, Fault
from ..core.facts import ClusterState, NodeState
from ..core.gates import held_by, words
from ..core.hotspots import DIMENSIONS, TOLD, NodeLoad, Proposal, ShardCopy, Spread, Tenancy
from ..elastic.client import EsUnavailable
from ..elastic.shards import with_shares
from ..runtime.loop import ClusterLoop
from ..telemetry.readings import Board, Scope
from . import present
from .errors import Conflict, Invalid, ServiceError, Unavailable
from .hotspot_views import (
    FigureView,
    HostMoveView,
    HostSpotsView,
    HotspotsView,
    MoveView,
    OutlierView,
    ProposalView,
    ShareView,
    SpreadView,
)
from .operating import Operating
from .views import OperationView

log = structlog.get_logger(__name__)

ACT_EVERY_S = 30.0
HOST_DIMENSIONS: Mapping[str, str] = {
    "load_per_core": "load over the number of cores",
    "cpu_percent": "CPU used by our nodes",
    "disk_used_percent": "the fullest disk that our nodes use",
    "disk_write_per_s": "writes to disk a second",
    "indexing_per_s": "documents indexed a second",
    "searches_per_s": "queries a second",
}
# What a node adds to its host's figure, where that is a sum over nodes.
HOST_SUMS: Mapping[str, str] = {"cpu_percent": "cpu_percent", "indexing_per_s": "indexing_per_s",
                                "searches_per_s": "searches_per_s",
                                "disk_write_per_s": "disk_write_per_s"}


class Balancing(Operating):
    """The part of ``ClusterService`` that finds hot spots and moves shards away from them."""

    board: Board
    _balance_task: asyncio.Task[None] | None = None

    async def hotspots(self, name: str, dimension: str | None = None) -> HotspotsView:
        """Where a cluster is hot; proposals in one dimension, or that of its spec."""
        loop = self._loop(name)
        chosen = _dimension(loop.state, dimension)
        now = time.time()
        nodes, copies = await self._loads(loop)
        answer = held_by(balancing.gates(loop.state, now))
        return HotspotsView(
            cluster=name, at=now, mode=loop.state.spec.balance.mode,
            spreads=[spread_view(one, {**DIMENSIONS, **TOLD})
                     for one in hotspots.spreads(nodes, copies)],
            proposals=[proposal_view(one) for one in hotspots.propose(nodes, copies, chosen)],
            held_by=words(answer),
            acts_not_because=balancing.may_act(loop.state, now))

    async def apply_hotspots(self, name: str, dimension: str | None, proposal: str,
                             ) -> OperationView:
        """Move what a proposal moves, on record and gated.

        Conflict when the cluster is not as it was any more: look again.
        """
        loop = self._loop(name)
        chosen = _dimension(loop.state, dimension)
        async with loop.changing:
            self._formed(loop)
            if balancing.waits(loop.state):
                raise Conflict(f"shards of {name} are being moved", [
                    Fault("", "moves are waiting or under way", "one_move_at_a_time")])
            nodes, copies = await self._loads(loop)
            found = next((one for one in hotspots.propose(nodes, copies, chosen)
                          if id_of(one) == proposal), None)
            if found is None:
                raise Conflict("the cluster is not as it was when this was proposed", [
                    Fault("proposal", f"there is no proposal {proposal[:40]!r} any more; look "
                          "again", "proposal_is_current")])
            return await self._move(loop, found, "people")

    async def _move(self, loop: ClusterLoop, proposal: Proposal, by: str) -> OperationView:
        errand = uuid.uuid4().hex[:12]
        await self._command(loop, ev.ErrandAsked(
            time.time(), errand, balancing.KIND,
            balancing.parameters(proposal.dimension, proposal.moves, by)))
        found = find_errand(loop.state, errand)
        assert found is not None
        return present.operation_view(found)

    async def _loads(self, loop: ClusterLoop) -> tuple[list[NodeLoad], list[ShardCopy]]:
        """What each data node bears, and every copy of a shard; Unavailable."""
        try:
            copies = await loop.watch.shard_copies()
        except EsUnavailable as error:
            raise Unavailable(f"shards cannot be looked at now: {error}") from error
        state = loop.state
        readings = {one.subject.name: one.values for one in self.board.nodes(loop.name)}
        rates = {name: _with_time(values) for name, values in readings.items()}
        ids = {record.es_node_id: record.name for record in state.nodes.values()
               if record.es_node_id is not None}
        shares = with_shares(copies, ids, rates)
        return _node_loads(state, shares, rates), shares

    # ----------------------------------------------------------------------- hosts

    def host_spots(self) -> HostSpotsView:
        """Which hosts are hot, and which nodes could leave them."""
        found = self.board.all(Scope.HOST)
        nodes = [NodeLoad(one.subject.name, one.subject.name, one.values) for one in found]
        spreads = [one for one in (hotspots.spread(nodes, (), dimension)
                                   for dimension in HOST_DIMENSIONS) if len(one.figures) > 1]
        return HostSpotsView(
            at=time.time(), hosts=len(found),
            spreads=[spread_view(one, HOST_DIMENSIONS) for one in spreads],
            moves={one.dimension: moves for one in spreads if one.dimension in HOST_SUMS
                   and (moves := self._host_moves(one))})

    def _host_moves(self, spread: Spread) -> list[HostMoveView]:
        wanted = HOST_SUMS[spread.dimension]
        tenancies = []
        for loop in self._loops.values():
            for reading in self.board.nodes(loop.name):
                record = loop.state.nodes.get(reading.subject.name)
                if record is not None and record.seat is not None and wanted in reading.values:
                    tenancies.append(Tenancy(loop.name, record.name, record.seat.host,
                                             reading.values[wanted]))
        return [HostMoveView(cluster=one.cluster, node=one.node, source=one.source,
                             target=one.target, share=one.share, deviation_before=one.before,
                             deviation_after=one.after)
                for one in hotspots.propose_host_moves(dict(spread.figures), tenancies)]

    # ------------------------------------------------------------------- by itself

    async def balance_by_itself(self) -> None:
        """Until cancelled: in mode ``act``, the best proposal of each cluster, within limits."""
        while True:
            await asyncio.sleep(ACT_EVERY_S)
            for name in list(self._loops):
                try:
                    await self._act_on(name)
                except (ServiceError, EsaasError) as error:
                    log.info("hot spots cannot be looked at now", cluster=name, why=str(error))

    async def _act_on(self, name: str) -> None:
        loop = self._loops.get(name)
        if loop is None or balancing.may_act(loop.state, time.time()):
            return
        wish = loop.state.spec.balance
        async with loop.changing:
            nodes, copies = await self._loads(loop)
            room = wish.max_moves_per_hour - balancing.moved_lately(loop.state, time.time())
            best = next((one for one in hotspots.propose(nodes, copies, wish.dimension, 1)
                         if _gain(one) >= wish.min_gain_percent and len(one.moves) <= room), None)
            if best is None or balancing.may_act(loop.state, time.time()):
                return
            log.info("hot spot is relieved", cluster=name, dimension=best.dimension,
                     deviation_before=best.before, deviation_after=best.after, why=best.why)
            await self._move(loop, best, "balance.mode: act")


def _dimension(state: ClusterState, wanted: str | None) -> str:
    chosen = wanted or state.spec.balance.dimension
    if chosen not in DIMENSIONS:
        raise Invalid("no such dimension", [
            Fault("dimension", f"one of {', '.join(DIMENSIONS)}, not {chosen[:80]!r}",
                  "dimension")])
    return chosen


def _with_time(values: Mapping[str, float]) -> dict[str, float]:
    """A node's figures with the time that indexing and searching take of each second."""
    found = dict(values)
    parts = [found[rate] * found.get(each, 0.0) for rate, each in (
        ("indexing_per_s", "indexing_ms"), ("searches_per_s", "search_ms")) if rate in found]
    if parts:
        found["time_ms_per_s"] = sum(parts)
    return found


def _node_loads(state: ClusterState, copies: Sequence[ShardCopy],
                rates: Mapping[str, Mapping[str, float]]) -> list[NodeLoad]:
    """Every data node that is a member, by name."""
    held: dict[str, list[float]] = {}
    for copy in copies:
        sums = held.setdefault(copy.node, [0.0, 0.0])
        sums[0] += copy.store_mb
        sums[1] += 1
    found = []
    for name, record in sorted(state.nodes.items()):
        member = state.es.nodes.get(name) if state.es is not None else None
        if member is None or record.seat is None or not state.is_data(record):
            continue
        store_mb, shards = held.get(name, (0.0, 0.0))
        known = {key: value for key, value in rates.get(name, {}).items()
                 if key in DIMENSIONS or key in TOLD}
        total, used = member.disk_total_mb, member.disk_used_percent
        found.append(NodeLoad(
            name, record.seat.host, known | {"store_mb": store_mb, "shards": shards},
            total * (1 - used / 100) if total is not None and used is not None else None, total,
            takes_shards=record.state is NodeState.RUNNING and not record.leaving))
    return found


def _gain(proposal: Proposal) -> float:
    return 100 * (1 - proposal.after / proposal.before) if proposal.before else 0.0


def id_of(proposal: Proposal) -> str:
    """Of these very moves: another report that proposes them gives them the same."""
    return hashlib.sha256(repr(proposal.moves).encode()).hexdigest()[:12]


def spread_view(one: Spread, meanings: Mapping[str, str]) -> SpreadView:
    """A spread for people; ``meanings`` are the texts of its dimensions."""
    return SpreadView(
        dimension=one.dimension, meaning=meanings[one.dimension], mean=one.mean,
        deviation=one.deviation, relative_percent=one.relative_percent,
        outliers=[OutlierView(
            name=item.node, host=item.host, figure=item.figure, times_mean=item.times_mean,
            heaviest=[ShareView(shard=shard, share=share) for shard, share in item.heaviest])
            for item in one.outliers],
        figures=[FigureView(name=name, figure=figure) for name, figure in one.figures])


def proposal_view(one: Proposal) -> ProposalView:
    """A proposal for people, with its id."""
    return ProposalView(
        id=id_of(one), dimension=one.dimension, deviation_before=one.before,
        deviation_after=one.after, gain_percent=_gain(one), moved_mb=one.moved_mb, why=one.why,
        moves=[MoveView(index=move.index, shard=move.number, source=move.source,
                        target=move.target) for move in one.moves])
