"""What the rules look at, from what this process knows: facts, readings, trends."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ...core import snapshots
from ...core.alerts.look import Figures, Look, PlatformLook, SnapshotFacts, Use, held_steps
from ...core.alerts.trend import zero_in_s
from ...core.facts import ClusterState
from ...core.gates import view_is_fresh
from ...core.plan import diff
from ...core.quota import FIELDS
from ...telemetry.readings import Board, Reading, Scope
from ..tenants.views import TenantView
from ..views import AgentView, ClusterSummary

FRESH_S = 120.0                         # older readings say nothing of now
SAMPLES, EVERY_S = 60, 60.0             # of free space: an hour
UNREACHABLE = "unreachable"


class Trends:
    """Free space of nodes over the last hour; learned again after a restart."""

    def __init__(self) -> None:
        self._points: dict[str, dict[str, deque[tuple[float, float]]]] = {}

    def note(self, cluster: str, nodes: dict[str, Figures], now: float) -> None:
        """Take a sample of each node, unless the last one is of just now."""
        known = self._points.setdefault(cluster, {})
        for name, figures in nodes.items():
            if "disk_free_mb" not in figures:
                continue
            points = known.setdefault(name, deque(maxlen=SAMPLES))
            if not points or now - points[-1][0] >= EVERY_S:
                points.append((now, figures["disk_free_mb"]))
        for name in known.keys() - nodes.keys():
            if now - known[name][-1][0] > FRESH_S + EVERY_S:
                del known[name]

    def full_in_s(self, cluster: str) -> dict[str, float]:
        """When disks are full by their trend, by node; those that do not fill are left out."""
        return {name: left_s for name, points in self._points.get(cluster, {}).items()
                if (left_s := zero_in_s(points)) is not None}

    def forget(self, cluster: str) -> None:
        """A cluster that is not run here any more."""
        self._points.pop(cluster, None)


def cluster_look(state: ClusterState, board: Board, trends: Trends, now: float) -> Look:
    """One cluster, now."""
    name = state.identity.name
    nodes = node_figures(state, board, now)
    trends.note(name, nodes, now)
    return Look(state, now, held_steps(diff(state, now)), nodes, trends.full_in_s(name),
                snapshot_facts(state))


def node_figures(state: ClusterState, board: Board, now: float) -> dict[str, Figures]:
    """Fresh figures by node: from the board, and what the last look at the cluster says beside."""
    found: dict[str, Figures] = {}
    view = state.es
    if view is not None and view_is_fresh(state, now):
        for name, member in view.nodes.items():
            figures = {}
            if member.disk_used_percent is not None:
                figures["disk_used_percent"] = member.disk_used_percent
                if member.disk_total_mb is not None:
                    figures["disk_free_mb"] = member.disk_total_mb * (
                        1 - member.disk_used_percent / 100)
            found[name] = figures
    for reading in board.nodes(state.identity.name):
        name = reading.subject.name
        if _fresh(reading, now) and name in state.nodes:
            found[name] = {**found.get(name, {}), **reading.values}
    return found


def snapshot_facts(state: ClusterState) -> SnapshotFacts | None:
    """What is known of a cluster's snapshots; None as long as nothing is."""
    memory = state.snapshots
    if memory is None or state.spec.snapshot_wish is None:
        return None
    return SnapshotFacts(snapshots.due_at(state), memory.failed, memory.drill_failed)


def platform_look(board: Board, agents: Iterable[AgentView], clusters: Iterable[ClusterSummary],
                  uses: tuple[Use, ...] | None, now: float) -> PlatformLook:
    """Hosts, schedulers and quota, now."""
    seen = list(agents)
    lost = {view.host: tuple(f"{seat.cluster}/{seat.node}" for seat in view.nodes
                             if seat.state == UNREACHABLE)
            for view in seen if any(seat.state == UNREACHABLE for seat in view.nodes)}
    hosts = {reading.subject.name: reading.values for reading in board.all(Scope.HOST)
             if _fresh(reading, now)}
    return PlatformLook(now, hosts, lost, {one.name: one.connected for one in clusters}, uses)


def uses_of(tenants: Iterable[TenantView]) -> tuple[Use, ...]:
    """What is used of every limit, by what the clusters' specs reserve."""
    return tuple(Use(one.name, field, getattr(one.wanted, field), limit)
                 for one in tenants for field in FIELDS
                 if (limit := getattr(one.limit, field)) is not None)


def _fresh(reading: Reading, now: float) -> bool:
    return now - reading.at <= FRESH_S
