"""Rolling restart: one node at a time, allocation held while it is away and restored on every way.

allocation to primaries -> flush -> stop -> start in place -> member -> allocation restored -> green
-> the next. Masters last, the elected one at the very end. A node that is no member anyway may
always go: a bad configuration must not hold its own cure. Source: Elasticsearch reference, "Rolling
upgrades" and "Full-cluster restart and rolling restart".
"""
from __future__ import annotations

from . import events as ev
from .config import outdated
from .draft import Draft
from .facts import ClusterState, NodeRecord, NodeState
from .gates import held_by, restart_gates, view_is_fresh
from .operations import Flush, SetAllocation

S = NodeState
AGAIN_S = 10.0
FLUSH_S = 5.0                       # a flush that takes longer is not waited for


def roll(draft: Draft) -> None:
    """The next step of a rolling restart, if one is wanted or under way."""
    if draft.state.deleting or draft.state.bootstrap.cluster_uuid is None:
        return
    _finish(draft)
    turning = [record for record in draft.state.nodes.values() if record.recycle]
    for record in turning:
        _turn(draft, record)
    if turning or not view_is_fresh(draft.state, draft.now):
        return
    if draft.state.held_allocation is not None:
        _restore(draft)
    else:
        _choose(draft)


def order(state: ClusterState) -> list[NodeRecord]:
    """Outdated nodes in the order of their restart."""
    elected = state.es.master if state.es is not None else None
    return sorted((record for record in state.nodes.values()
                   if outdated(state, record) and not record.leaving and not record.retire),
                  key=lambda record: (state.is_ready(record), state.is_master(record),
                                      record.name == elected, record.name))


def _choose(draft: Draft) -> None:
    for record in order(draft.state)[:1]:
        if record.state in (S.RUNNING, S.STARTING) and held_by(
                restart_gates(draft.state, record, draft.now)) is None:
            draft.note(ev.RecycleChosen(draft.now, record.name))
            _turn(draft, draft.state.nodes[record.name])


def _turn(draft: Draft, record: NodeRecord) -> None:
    """Prepare the chosen node, then stop it; it comes back as any node that is down."""
    if record.state not in (S.RUNNING, S.STARTING) or record.launch != record.recycle:
        return
    state, now = draft.state, draft.now
    if not state.is_ready(record):
        draft.note(ev.RecycleIntended(now, record.name))
        return
    if not view_is_fresh(state, now) or state.es is None:
        return
    if state.es.allocation != "primaries":
        if not state.asked.lately("allocation primaries", now, AGAIN_S):
            before = state.held_allocation or state.es.allocation_settings
            draft.do(SetAllocation((ev.AllocationHeld(now, before),
                                    ev.AskedFor(now, "allocation primaries")),
                                   "primaries", before))
        return
    flushed = f"flush {record.name} {record.launch}"
    asked_at = state.asked.at.get(flushed)
    if asked_at is None:
        draft.do(Flush((ev.AskedFor(now, flushed),)))
        draft.wake(now + FLUSH_S)
    elif state.flushed_at >= asked_at or now - asked_at >= FLUSH_S:
        draft.note(ev.RecycleIntended(now, record.name))
    else:
        draft.wake(asked_at + FLUSH_S)


def _finish(draft: Draft) -> None:
    for record in list(draft.state.nodes.values()):
        if record.recycle and record.launch > record.recycle and draft.state.is_ready(record):
            draft.note(ev.RecycleDone(draft.now, record.name))


def _restore(draft: Draft) -> None:
    """Back to what was there before, whoever had set it."""
    state, now = draft.state, draft.now
    assert state.es is not None and state.held_allocation is not None
    if state.es.allocation_settings == state.held_allocation:
        draft.note(ev.AllocationRestored(now))
    elif not state.asked.lately("allocation restored", now, AGAIN_S):
        draft.do(SetAllocation((ev.AskedFor(now, "allocation restored"),), None,
                               state.held_allocation))
