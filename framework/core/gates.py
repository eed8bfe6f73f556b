"""Named rules that allow or hold a step. The name is what users read.

A gate looks at the state only and answers with its reason in words. ``START_GATES`` is the one
list of what may hold the start of a node; to know why a node does not start, read it from the top.
Sources: Elasticsearch documentation ("Discovery and cluster formation", "Adding and removing
nodes"); docs/operations.md has a runbook for each name.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .facts import ClusterState, NodeRecord, NodeState

ES_VIEW_MAX_AGE_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gate says."""

    name: str
    ok: bool
    reason: str = ""


Gate = Callable[[ClusterState, NodeRecord, float], Answer]


def quorum(masters: int) -> int:
    """More than half of the master-eligible nodes."""
    return masters // 2 + 1


def view_is_fresh(state: ClusterState, now: float) -> bool:
    """Whether the last look at Elasticsearch is young enough to act on."""
    return state.es is not None and now - state.es.at <= ES_VIEW_MAX_AGE_S


def founding(state: ClusterState, record: NodeRecord) -> bool:
    """Whether a node is one of the first, which all start together."""
    return record.name in state.bootstrap.nodes


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
    waiting = sorted(other.name for other in state.nodes.values()
                     if state.is_master(other) and not other.retire and not state.is_ready(other))
    return Answer("masters_before_data", not waiting,
                  f"waiting for the masters {', '.join(waiting)}")


ALWAYS: tuple[Gate, ...] = (connected_to_mesos, tasks_reconciled, retry_backoff)
GROWTH: tuple[Gate, ...] = (cluster_formed, es_view_fresh, one_master_at_a_time, quorum_raised,
                            masters_before_data)
START_GATES = ALWAYS + GROWTH


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
