"""Rolling restart: allocation held while nodes are away, and put back on every way.

time-outs for missing nodes raised -> allocation to primaries -> flush -> stop -> start in place ->
member -> allocation restored -> green -> the next; time-outs restored at the end. Masters last, the
elected one at the very end. A node that is no member anyway may always go: a bad configuration must
not hold its own cure; and a change that its first node does not start with goes back by itself.
Source: Elasticsearch reference, "Rolling upgrades", "Full-cluster restart and rolling restart",
"Delaying allocation when a node leaves".
"""
from __future__ import annotations

from . import events as ev
from .config import HELD, misplaced, outdated
from .draft import Draft
from .facts import ClusterState, NodeRecord, NodeState
from .gates import held_by, restart_gates, view_is_fresh
from .operations import Flush, RaiseDelays, RestoreDelays, SetAllocation

S = NodeState
AGAIN_S = 10.0
FLUSH_S = 5.0                       # a flush that takes longer is not waited for
FAILED_STARTS = 2                   # of a restarted node in a row: the change is to blame


def roll(draft: Draft) -> None:
    """The next steps of a rolling restart, if one is wanted or under way."""
    if draft.state.deleting or draft.state.bootstrap.cluster_uuid is None:
        return
    _finish(draft)
    _give_up(draft)
    turning = [record for record in draft.state.nodes.values() if record.recycle]
    for record in turning:
        _turn(draft, record)
    if turning or not view_is_fresh(draft.state, draft.now):
        return
    if draft.state.held_allocation is not None:
        _restore(draft)
    else:
        _choose(draft)
        _restore_delays(draft)


def order(state: ClusterState) -> list[NodeRecord]:
    """Outdated nodes in the order of their restart; those that are to move are not among them."""
    elected = state.es.master if state.es is not None else None
    return sorted((record for record in state.nodes.values()
                   if outdated(state, record) and not record.leaving and not record.retire
                   and (not misplaced(state, record) or record.held
                        or record.config.endswith(HELD))),
                  key=lambda record: (state.is_ready(record), state.is_master(record),
                                      record.name == elected, record.name))


def _choose(draft: Draft) -> None:
    """As many as the budget allows at once; each is looked at beside those chosen before it."""
    parallel = draft.state.spec.change.strategy == "parallel"
    if parallel and draft.state.es is not None and draft.state.es.copies is None:
        draft.wake(draft.now + 2)       # not a full look: nobody knows who shares what
        return
    for record in order(draft.state):
        if record.state not in (S.RUNNING, S.STARTING):
            continue
        held = held_by(restart_gates(draft.state, record, draft.now))
        if held is None:
            draft.note(ev.RecycleChosen(draft.now, record.name))
            _turn(draft, draft.state.nodes[record.name])
        elif held.name not in ("shares_no_shard", "one_master_restarts_at_a_time",
                               "room_reserved", "one_sidecar_at_a_time"):
            return                      # it holds all the others, too


def _turn(draft: Draft, record: NodeRecord) -> None:
    """Prepare a chosen node, then stop it; it comes back as any node that is down."""
    if record.state not in (S.RUNNING, S.STARTING):
        return
    if record.launch != record.recycle:
        if outdated(draft.state, record):       # what it came back with is not wanted any more
            draft.note(ev.RecycleChosen(draft.now, record.name))
            _turn(draft, draft.state.nodes[record.name])
        return
    state, now = draft.state, draft.now
    as_it_is = not state.is_ready(record) or state.is_sidecar(record)
    seen = view_is_fresh(state, now) and state.es is not None
    if as_it_is or (seen and _prepared(draft, record)):
        draft.note(ev.RecycleIntended(now, record.name))


def _prepared(draft: Draft, record: NodeRecord) -> bool:
    """Whether copies will wait for the node to come back, and recover without replaying much."""
    return _delays_are_raised(draft) and _allocation_is_held(draft) and _flushed(draft, record)


def _delays_are_raised(draft: Draft) -> bool:
    """What is not said within a few seconds is not waited for: allocation is held anyway."""
    state, now = draft.state, draft.now
    asked_at = state.asked.at.get("raise delays")
    if state.raised_delays and asked_at is None:
        return True                     # by this service before it was restarted
    if asked_at is None or not state.raised_delays:
        draft.do(RaiseDelays((ev.DelaysRaised(now, True), ev.AskedFor(now, "raise delays"))))
        draft.wake(now + FLUSH_S)
        return False
    if state.delays_raised_at >= asked_at or now - asked_at >= FLUSH_S:
        return True
    draft.wake(asked_at + FLUSH_S)
    return False


def _allocation_is_held(draft: Draft) -> bool:
    state, now = draft.state, draft.now
    assert state.es is not None
    if state.held_allocation is not None:
        asked_at = state.asked.at.get("allocation primaries", now)
        # Elasticsearch's answer counts as much as the next look, and comes sooner.
        if state.es.allocation == "primaries" or state.allocation_held_at > asked_at:
            return True
    if not state.asked.lately("allocation primaries", now, AGAIN_S):
        before = state.held_allocation or state.es.allocation_settings
        draft.do(SetAllocation((ev.AllocationHeld(now, before),
                                ev.AskedFor(now, "allocation primaries")), "primaries", before,
                               "hold"))
    return False


def _flushed(draft: Draft, record: NodeRecord) -> bool:
    state, now = draft.state, draft.now
    flushed = f"flush {record.name} {record.launch}"
    asked_at = state.asked.at.get(flushed)
    if asked_at is None:
        draft.do(Flush((ev.AskedFor(now, flushed),)))
        draft.wake(now + FLUSH_S)
    elif state.flushed_at >= asked_at or now - asked_at >= FLUSH_S:
        return True
    else:
        draft.wake(asked_at + FLUSH_S)
    return False


def _finish(draft: Draft) -> None:
    for record in list(draft.state.nodes.values()):
        if not record.recycle or record.launch <= record.recycle:
            continue
        debugging = record.held and record.config.endswith(HELD) and record.state is S.STARTING
        if draft.state.is_ready(record) or debugging:
            draft.note(ev.RecycleDone(draft.now, record.name))


def _give_up(draft: Draft) -> None:
    """A change that its first node does not start with goes back to what was in force before."""
    state = draft.state
    if state.spec.change.on_failure != "roll_back" or state.paused or state.settled is None:
        return
    revision, before = state.settled
    if revision >= state.revision or before == state.spec or before.version != state.spec.version:
        return                          # data written by a newer version cannot be read by the old
    for record in state.nodes.values():
        if (record.recycle and record.launch > record.recycle and not state.is_ready(record)
                and record.failures >= FAILED_STARTS and not record.held):
            draft.note(ev.SpecAccepted(
                draft.now, state.revision + 1, before,
                why=f"revision {state.revision} failed at {record.name} ({record.message}): "
                    f"back to revision {revision}"))
            return


def _restore(draft: Draft) -> None:
    """Back to what was there before, whoever had set it."""
    state, now = draft.state, draft.now
    assert state.es is not None and state.held_allocation is not None
    if state.es.at <= state.asked.at.get("allocation primaries", 0.0):
        return                          # a look from before it was held
    if state.es.allocation_settings == state.held_allocation:
        draft.note(ev.AllocationRestored(now))
    elif not state.asked.lately("allocation restored", now, AGAIN_S):
        draft.do(SetAllocation((ev.AskedFor(now, "allocation restored"),), None,
                               state.held_allocation))


def goes_on(state: ClusterState) -> bool:
    """Whether further nodes will be restarted without anybody being asked."""
    waits = state.canary is not None and state.canary.revision > state.approved
    return not state.paused and not waits and any(
        state.is_ready(record) and not state.is_sidecar(record) for record in order(state))


def _restore_delays(draft: Draft) -> None:
    """At the end, on a pause and while a canary waits, but not between two nodes."""
    state, now = draft.state, draft.now
    turning = any(record.recycle for record in state.nodes.values())
    if not state.raised_delays or turning or goes_on(state) or state.es is None:
        return
    if state.es.copies is None:
        draft.wake(now + 2)             # not a full look: nobody knows
        return
    asked_at = state.asked.at.get("restore delays")
    if not state.es.delayed_indices and asked_at is not None and state.es.at > asked_at:
        draft.note(ev.DelaysRaised(now, False))
    elif not state.asked.lately("restore delays", now, AGAIN_S):
        draft.do(RestoreDelays((ev.AskedFor(now, "restore delays"),)))
        draft.wake(now + AGAIN_S)
