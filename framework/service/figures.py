"""Figures out of facts, for ``measuring``: of a cluster, its nodes, its hosts and its loop."""
from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping

from ..core import snapshots
from ..core.alerts.look import held_steps
from ..core.alerts.rules import STARTUP_S
from ..core.facts import ClusterState, EsView, NodeState
from ..core.gates import view_is_fresh
from ..core.plan import diff, wanted_nodes
from ..telemetry.readings import Board, Reading, of_cluster, of_host, of_node

STATUS = {"green": 0.0, "yellow": 1.0, "red": 2.0}
FRESH_S = 90.0                      # an older figure of a node says nothing of its host now
HOUR_S = 3600.0
# Of a host: the sum over its nodes, or the highest of them, which all see the same host.
SUMS = ("cpu_percent", "indexing_per_s", "searches_per_s")
HIGHEST = ("load_1m", "disk_used_percent", "disk_read_per_s", "disk_write_per_s")


def cluster_reading(state: ClusterState, waiting: int, now: float) -> Reading:
    """What the last look at a cluster says, and how its loop fares.

    ``waiting``: events in its inbox. What was never seen has no figure.
    """
    ready = sum(state.is_ready(record) for record in state.nodes.values())
    figures = {
        "nodes_wanted": float(len(wanted_nodes(state))), "nodes_ready": float(ready),
        "connected": float(state.link.connected), "inbox": float(waiting),
        "steps_held": float(len(held_steps(diff(state, now)))),
        "waits_for_people": float(state.paused or state.waiting_canary is not None)}
    figures |= snapshot_figures(state, now)
    if not starts(state, now):
        figures["seen"] = float(view_is_fresh(state, now))
    view = state.es
    if view is not None:
        figures |= {
            "view_age_s": now - view.at, "status": STATUS.get(view.health, 2.0),
            "nodes": float(len(view.nodes)), "shards": float(view.active_shards),
            "unassigned_shards": float(view.unassigned_shards),
            "initializing_shards": float(view.initializing_shards),
            "relocating_shards": float(view.relocating_shards)}
        for metric, value in (("documents", view.documents), ("store_mb", view.store_mb)):
            if value is not None:
                figures[metric] = float(value)
    return Reading(now, of_cluster(state.identity.name), figures)


def snapshot_figures(state: ClusterState, now: float) -> dict[str, float]:
    """How old, late and well the snapshots are; nothing where none are wanted, or known of."""
    memory, due_at = state.snapshots, snapshots.due_at(state)
    if memory is None or due_at is None:
        return {}
    found = {"snapshot_late_s": max(now - due_at, 0.0),
             "snapshot_failed": float(bool(memory.failed)),
             "snapshot_drill_failed": float(bool(memory.drill_failed))}
    if memory.taken_at is not None:
        found["snapshot_age_s"] = now - memory.taken_at
    return found


def starts(state: ClusterState, now: float) -> bool:
    """Whether nobody can expect an answer yet, or any more."""
    young = now - state.identity.created_at < STARTUP_S
    return state.deleting or (state.bootstrap.cluster_uuid is None and young)


def with_shards(reading: Reading, view: EsView | None) -> Reading:
    """A node's reading with the number of its shards, which only the look at the cluster has."""
    member = view.nodes.get(reading.subject.name) if view is not None else None
    if member is None or member.shards is None:
        return reading
    return Reading(reading.at, reading.subject, {**reading.values, "shards": float(member.shards)})


class Starts:
    """How often nodes were started lately, out of the counters in their records."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[tuple[int, int], deque[float]]] = {}

    def figures(self, state: ClusterState, now: float) -> dict[str, dict[str, float]]:
        """By node: its starts in the last hour as far as this has looked, and failures in a row."""
        cluster, found = state.identity.name, {}
        for name, record in state.nodes.items():
            count = record.incarnation, record.launch
            was, times = self._seen.get((cluster, name), (count, deque(maxlen=1000)))
            if count != was:
                times.append(now)
            while times and now - times[0] > HOUR_S:
                times.popleft()
            self._seen[cluster, name] = count, times
            found[name] = {"restarts_per_h": float(len(times)), "failures": float(record.failures)}
        return found

    def keep_only(self, nodes: Iterable[tuple[str, str]]) -> None:
        """Forget everybody but these, by cluster and node."""
        kept = set(nodes)
        for one in self._seen.keys() - kept:
            del self._seen[one]


def held_by_gate(states: Iterable[ClusterState], now: float) -> Counter[str]:
    """How many steps each gate holds, over all plans; names of gates are few and fixed."""
    return Counter(held.gate for state in states for held in held_steps(diff(state, now)))


def host_readings(states: Mapping[str, ClusterState], board: Board, now: float) -> list[Reading]:
    """Hosts with nodes of this process: sums over nodes, or what all of them see alike."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: {
        "nodes": 0.0, "nodes_unreachable": 0.0, "reserved_cpus": 0.0, "reserved_mem_mb": 0.0})
    for name, state in states.items():
        for record in state.nodes.values():
            if record.seat is None:
                continue
            host = found[record.seat.host]
            host["nodes"] += 1
            host["nodes_unreachable"] += record.state is NodeState.UNREACHABLE
            host["reserved_cpus"] += record.seat.resources.cpus
            host["reserved_mem_mb"] += record.seat.resources.mem_mb
            reading = board.newest(of_node(name, record.name))
            if reading is not None and now - reading.at <= FRESH_S:
                _add(host, reading.values)
    return [Reading(now, of_host(name), figures) for name, figures in sorted(found.items())]


def _add(host: dict[str, float], values: Mapping[str, float]) -> None:
    for metric in SUMS:
        if metric in values:
            host[metric] = host.get(metric, 0.0) + values[metric]
    for metric in HIGHEST:
        if metric in values:
            host[metric] = max(host.get(metric, 0.0), values[metric])
    if "disk_free_mb" in values:
        host["disk_free_mb"] = min(host.get("disk_free_mb", values["disk_free_mb"]),
                                   values["disk_free_mb"])
