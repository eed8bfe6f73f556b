"""Named rules that allow or hold a step. The name is what users read.

A gate looks at the state only and answers with its reason in words. ``START_GATES`` is the one
list of what may hold the start of a node; to know why a node does not start, read it from the top.
Sources: Elasticsearch documentation ("Discovery and cluster formation", "Adding and removing
nodes"); docs/operations.md has a runbook for each name.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TypeVar

from .facts import ClusterState, NodeRecord, NodeState

T = TypeVar("T")
ES_VIEW_MAX_AGE_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gate says."""

    name: str
    ok: bool
    reason: str = ""


Gate = Callable[[ClusterState, NodeRecord, float], Answer]


def once(question: Callable[[ClusterState], T]) -> Callable[[ClusterState], T]:
    """Remember the answer for the last state: gates ask the same of it for every node.

    Without it, asking all gates for all nodes is quadratic in nodes.
    """
    last: list[tuple[ClusterState, T]] = []

    @wraps(question)
    def remembered(state: ClusterState) -> T:
        known = last[0] if last else None
        if known is None or known[0] is not state:
            known = state, question(state)
            last[:] = [known]
        return known[1]

    return remembered


@once
def founders(state: ClusterState) -> frozenset[str]:
    """Names of the first nodes."""
    return frozenset(state.bootstrap.nodes)


def quorum(masters: int) -> int:
    """More than half of the master-eligible nodes."""
    return masters // 2 + 1


def view_is_fresh(state: ClusterState, now: float) -> bool:
    """Whether the last look at Elasticsearch is young enough to act on."""
    return state.es is not None and now - state.es.at <= ES_VIEW_MAX_AGE_S


def founding(state: ClusterState, record: NodeRecord) -> bool:
    """Whether a node is one of the first, which all start together."""
    return record.name in founders(state)


@once
def unready(state: ClusterState) -> frozenset[str]:
    """Nodes that are to stay, have been placed, and are no members."""
    return frozenset(record.name for record in state.nodes.values()
                     if not record.retire and record.state is not NodeState.PLANNED
                     and not state.is_ready(record))


@once
def unready_masters(state: ClusterState) -> frozenset[str]:
    """Masters that are to stay and are no members, placed or not."""
    return frozenset(record.name for record in state.nodes.values()
                     if state.is_master(record) and not record.retire
                     and not state.is_ready(record))


@once
def standing_masters(state: ClusterState) -> list[NodeRecord]:
    """Master-eligible nodes that count for the quorum: started at least once, and to stay."""
    return [record for record in state.nodes.values()
            if state.is_master(record) and not record.retire
            and (record.state is not NodeState.PLANNED
                 or record.name in state.bootstrap.masters)]


def connected_to_mesos(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Nothing can be started without a master."""
    return Answer("connected_to_mesos", state.link.connected,
                  state.link.error or "the scheduler is not registered with a Mesos master")


def tasks_reconciled(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """After a (re)registration, first hear from Mesos what became of this node's task."""
    waiting = state.task_id(record) in state.link.unreconciled
    return Answer("tasks_reconciled", not waiting,
                  f"Mesos has not yet said what became of {state.task_id(record)}")


def retry_backoff(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """A node that keeps failing is started ever more slowly."""
    wait_s = record.retry_at - now
    return Answer("retry_backoff", wait_s <= 0,
                  f"failed {record.failures} times in a row, next try in {max(wait_s, 0):.0f} s")


def cluster_formed(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """The founding nodes must have formed the cluster before it may grow."""
    return Answer("cluster_formed", state.bootstrap.cluster_uuid is not None,
                  "the founding nodes have not formed a cluster yet")


def es_view_fresh(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """A stale view is unknown, and unknown holds."""
    if state.es is None:
        return Answer("es_view_fresh", False, "Elasticsearch has not been seen yet")
    age_s = now - state.es.at
    return Answer("es_view_fresh", age_s <= ES_VIEW_MAX_AGE_S,
                  f"Elasticsearch was last seen {age_s:.0f} s ago")


def one_master_at_a_time(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """A new master only when all standing masters are members."""
    if not state.is_master(record):
        return Answer("one_master_at_a_time", True)
    waiting = sorted(other.name for other in standing_masters(state)
                     if other.name != record.name and not state.is_ready(other))
    return Answer("one_master_at_a_time", not waiting,
                  f"waiting for {', '.join(waiting)} to be a member")


def quorum_with(state: ClusterState, record: NodeRecord) -> int:
    """The quorum to have before ``record`` starts as a further master.

    Elasticsearch 6 refuses more than there are master-eligible members at the moment.
    """
    standing = standing_masters(state)
    after = quorum(len({other.name for other in standing} | {record.name}))
    return min(after, sum(state.is_ready(other) for other in standing))


def quorum_raised(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Up to 6.x: ``minimum_master_nodes`` is raised before a further master starts."""
    if not state.is_master(record) or state.spec.major > 6:
        return Answer("quorum_raised", True)
    needed = quorum_with(state, record)
    found = state.es.minimum_master_nodes if state.es is not None else None
    return Answer("quorum_raised", found is not None and found >= needed,
                  f"minimum_master_nodes must be {needed} first, it is {found or 'not set'}")


def masters_before_data(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Growth starts masters first, then the others."""
    if state.is_master(record):
        return Answer("masters_before_data", True)
    waiting = sorted(unready_masters(state))
    return Answer("masters_before_data", not waiting,
                  f"waiting for the masters {', '.join(waiting)}")


def no_primary_missing(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """A red cluster may have its only copy anywhere: nothing goes away from it."""
    red = state.es is None or state.es.health == "red"
    return Answer("no_primary_missing", not red, "the cluster is red: a primary is missing")


def drained(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """No shard on the node and none moving to it.

    With no primary missing (a gate of its own), none that is unassigned has its only copy here.
    """
    if state.es is None or state.es.loads is None:
        return Answer("drained", False, "its shards have not been looked at yet")
    if record.name not in state.es.excluded:
        return Answer("drained", False, "it is not excluded from allocation yet")
    load = state.es.loads.get(record.name)
    left = load.shards + load.incoming if load is not None else 0
    return Answer("drained", not left, f"{left} shards, {load.store_mb if load else 0} MB left")


@once
def departing_masters(state: ClusterState) -> list[NodeRecord]:
    """The master-eligible node whose turn it is to leave, while it may still run."""
    found = [record for record in state.nodes.values()
             if record.leaving and state.was_master(record)
             and record.state not in (NodeState.PLANNED, NodeState.STOPPED, NodeState.RELEASING)]
    return sorted(found, key=lambda record: (not record.retire, record.name))[:1]


def one_master_leaves_at_a_time(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """The next master leaves when the one before it is gone."""
    first = departing_masters(state)
    ok = not state.was_master(record) or not first or first[0].name == record.name
    return Answer("one_master_leaves_at_a_time", ok,
                  f"waiting for {first[0].name if first else ''} to be gone")


def masters_are_ready(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """No master leaves while another is missing."""
    if not state.was_master(record):
        return Answer("masters_are_ready", True)
    missing = sorted(other.name for other in standing_masters(state)
                     if other.name != record.name and not state.is_ready(other))
    return Answer("masters_are_ready", not missing, f"{', '.join(missing)} is no member")


def quorum_kept(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Up to 6.x: without this master, the others must still reach ``minimum_master_nodes``."""
    if not state.was_master(record) or state.spec.major > 6:
        return Answer("quorum_kept", True)
    left = sum(other.name != record.name for other in standing_masters(state))
    needed = (state.es.minimum_master_nodes if state.es else None) or 1
    return Answer("quorum_kept", left >= needed,
                  f"{left} masters would be left, minimum_master_nodes is {needed}")


def votes_excluded(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """7 and later: a master leaves the voting configuration before it stops."""
    if not state.was_master(record) or state.spec.major < 7:
        return Answer("votes_excluded", True)
    there = state.es is not None and record.name in state.es.voting_exclusions
    return Answer("votes_excluded", there, "it is still in the voting configuration")


def not_paused(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """People have paused the change."""
    return Answer("not_paused", not state.paused, "the change is paused")


def one_node_at_a_time(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """All other nodes must be members."""
    missing = sorted(unready(state) - {record.name})
    return Answer("one_node_at_a_time", not missing, f"waiting for {', '.join(missing)}")


@once
def versions_differ(state: ClusterState) -> bool:
    """Whether members run different versions: the middle of an upgrade."""
    return state.es is not None and len({node.version for node in state.es.nodes.values()}) > 1


def cluster_green(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Green; or yellow in the middle of an upgrade, when all that is missing are replicas.

    Replicas cannot go to nodes of an older version, so an upgrade that waited for green alone
    would never end.
    """
    health = state.es.health if state.es is not None else "unknown"
    ok = health == "green" or (health == "yellow" and versions_differ(state))
    return Answer("cluster_green", ok, f"health is {health}")


def nothing_moves(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """No shard is on its way or being built."""
    moving = (state.es.relocating_shards + state.es.initializing_shards) if state.es else 0
    return Answer("nothing_moves", not moving, f"{moving} shards are moving or being built")


ALWAYS: tuple[Gate, ...] = (connected_to_mesos, tasks_reconciled, retry_backoff)
GROWTH: tuple[Gate, ...] = (cluster_formed, es_view_fresh, one_master_at_a_time, quorum_raised,
                            masters_before_data)
START_GATES = ALWAYS + GROWTH


STOP_GATES: tuple[Gate, ...] = (
    connected_to_mesos, not_paused, es_view_fresh, no_primary_missing,
    one_master_leaves_at_a_time, drained, masters_are_ready, quorum_kept, votes_excluded)
RESTART_GATES: tuple[Gate, ...] = (
    connected_to_mesos, not_paused, es_view_fresh, one_node_at_a_time, cluster_green,
    nothing_moves)


def stop_gates(state: ClusterState, record: NodeRecord, now: float) -> list[Answer]:
    """What must hold before a leaving node is stopped and its volume destroyed."""
    return [gate(state, record, now) for gate in STOP_GATES]


def restart_gates(state: ClusterState, record: NodeRecord, now: float) -> list[Answer]:
    """What must hold before a node is restarted; one that is no member may always go."""
    gates = RESTART_GATES if state.is_ready(record) else RESTART_GATES[:2]
    return [gate(state, record, now) for gate in gates]


def start_gates(state: ClusterState, record: NodeRecord, now: float) -> list[Answer]:
    """The answers that decide whether a node may be started, in order.

    A founding node, and one that has its volume already, are not growth: they may always go, or a
    broken cluster could never be mended.
    """
    mended = record.state is not NodeState.PLANNED or founding(state, record)
    return [gate(state, record, now) for gate in (ALWAYS if mended else START_GATES)]


def held_by(answers: list[Answer]) -> Answer | None:
    """The first gate that holds."""
    return next((answer for answer in answers if not answer.ok), None)


def wanted_minimum_master_nodes(state: ClusterState, now: float) -> int:
    """The quorum of the standing masters; already of one more when that is all it waits for.

    Lowered only when a master has gone, or when the last but one is to go.
    """
    standing = standing_masters(state)
    ready = sum(state.is_ready(record) for record in standing)
    wanted = min(quorum(len(standing)), ready) or 1
    found = state.es.minimum_master_nodes if state.es is not None else None
    for record in departing_masters(state):
        held = held_by(stop_gates(state, record, now))
        if held is not None and held.name == "quorum_kept":
            return quorum(len(standing) - 1)
        wanted = max(wanted, found or 1)        # it may still run: lowered when it is gone
    if ready < len(standing):
        wanted = max(wanted, found or 1)        # never lowered because a master is away
    for record in state.nodes.values():
        if record.state is NodeState.PLANNED and state.is_master(record) and record not in standing:
            held = held_by(start_gates(state, record, now))
            if held is not None and held.name == "quorum_raised":
                wanted = max(wanted, quorum_with(state, record))
            wanted = max(wanted, found or 1)    # it has been raised for this one
    return wanted
