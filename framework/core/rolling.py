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
from . import maintenance
from .config import HELD, outdated, to_restart
from .draft import Draft
from .facts import ClusterState, NodeRecord, NodeState
from .gates import (
    held_by,
    no_last_copy,
    one_master_restarts_at_a_time,
    quorum_survives,
    restart_gates,
    shares_no_shard,
    view_is_fresh,
)
from .operations import Flush, RaiseDelays, RestoreDelays, SetAllocation

S = NodeState
AGAIN_S = 10.0
LANDS_IN_S = 3.0                    # an action on Elasticsearch, unless it hangs
LOOK_S = 10.0                       # how old a look may be when several are to be down at once
FLUSH_S = 5.0                       # a flush that takes longer is not waited for
# Asked again right before a node is stopped; nobody can go past them.
NEVER_PAST = (one_master_restarts_at_a_time, quorum_survives, shares_no_shard, no_last_copy)
LOST_S = 60.0                       # a node that was stopped, and whose volume is not offered
FAILED_STARTS = 2                   # of a restarted node in a row: the change is to blame


def roll(draft: Draft) -> None:
    """The next steps of a rolling restart, if one is wanted or under way."""
    if draft.state.deleting:
        return
    _finish(draft)
    _give_up(draft)
    turning = [record for record in draft.state.nodes.values() if record.recycle]
    for record in turning:
        _turn(draft, record)
    if turning or draft.state.bootstrap.cluster_uuid is None:
        # Perhaps they wait for the very node that a change is to mend: a master, for instance.
        _choose(draft, mending=True)
        return
    fresh = view_is_fresh(draft.state, draft.now)
    if fresh and draft.state.held_allocation is not None:
        _restore(draft)
        if draft.state.held_allocation is not None:
            return
    # Without a look only a node that is no member may go: perhaps it is the one that is missing
    # for a master to be elected, and then nobody would ever be seen again.
    _choose(draft)
    if fresh:
        _restore_delays(draft)
    if draft.state.raised_delays and goes_on(draft.state):
        draft.wake(draft.now + AGAIN_S)     # in the middle of a roll: the next look is soon


def order(state: ClusterState) -> list[NodeRecord]:
    """Outdated nodes in the order of their restart; those that are to move are not among them.

    Beside them, those that are stopped for the maintenance of their hosts.
    """
    elected = state.es.master if state.es is not None else None
    return sorted((record for record in state.nodes.values()
                   if maintenance.is_to_stop(state, record) or to_restart(state, record)),
                  key=lambda record: (state.is_ready(record), state.is_master(record),
                                      record.name == elected, record.name))


def _choose(draft: Draft, mending: bool = False) -> None:
    """As many as the budget allows at once; each is looked at beside those chosen before it.

    ``mending``: only nodes that are no members.
    """
    parallel = draft.state.spec.change.strategy == "parallel" and not mending
    if (parallel and view_is_fresh(draft.state, draft.now) and draft.state.es is not None
            and draft.state.es.copies is None):
        draft.wake(draft.now + 2)       # not a full look: nobody knows who shares what
        return
    for record in order(draft.state):
        if record.state not in (S.RUNNING, S.STARTING) or record.recycle:
            continue
        if mending and draft.state.is_ready(record):
            return                      # members come last
        formed = draft.state.bootstrap.cluster_uuid is not None
        if not formed and not record.config.endswith(HELD):
            continue                    # while it forms, only what people had held is waited for
        held = held_by(restart_gates(draft.state, record, draft.now))
        if held is None:
            draft.note(ev.RecycleChosen(draft.now, record.name))
            _turn(draft, draft.state.nodes[record.name])
        elif held.name not in ("shares_no_shard", "one_master_restarts_at_a_time",
                               "quorum_survives", "room_reserved", "one_sidecar_at_a_time"):
            return                      # it holds all the others, too


def _turn(draft: Draft, record: NodeRecord) -> None:
    """Prepare a chosen node, then stop it; it comes back as any node that is down."""
    if record.state not in (S.RUNNING, S.STARTING):
        return
    if record.launch != record.recycle:
        # What it came back with is not wanted any more, and another start would change that.
        if outdated(draft.state, record) and held_by(
                restart_gates(draft.state, record, draft.now)) is None:
            draft.note(ev.RecycleChosen(draft.now, record.name))
            _turn(draft, draft.state.nodes[record.name])
        return
    state, now = draft.state, draft.now
    as_it_is = not state.is_ready(record) or state.is_sidecar(record)
    seen = view_is_fresh(state, now) and state.es is not None
    if as_it_is or seen and _still_safe(draft, record) and _prepared(draft, record):
        draft.note(ev.RecycleIntended(now, record.name))


def _still_safe(draft: Draft, record: NodeRecord) -> bool:
    """To prepare takes seconds, and meanwhile another node may have gone.

    Then this one is not chosen any more, so that allocation is restored and copies can be built.
    """
    state, now = draft.state, draft.now
    assert state.es is not None
    others = any(other.recycle for other in state.nodes.values() if other is not record)
    if state.es.copies is None and (others or state.es.health != "green"):
        draft.wake(now + 2)             # not a full look: nobody knows
        return False
    if others and now - state.es.at > LOOK_S:
        draft.wake(now + 2)             # there may be new indices since then
        return False
    held = held_by([gate(state, record, now) for gate in NEVER_PAST])
    if held is not None:
        draft.note(ev.RecycleDone(now, record.name))
    return held is None


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
    if state.held_allocation is None or not state.asked.lately(
            "allocation primaries", now, AGAIN_S):
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
        if not record.recycle:
            continue
        if maintenance.is_parked(draft.state, record):
            draft.note(ev.RecycleDone(draft.now, record.name))
            continue
        # Its agent has gone meanwhile: allocation must not be held for as long as that takes.
        if record.state in (S.UNREACHABLE, S.DOWN):
            given_up_at = max(record.since, record.retry_at) + LOST_S
            if given_up_at <= draft.now:
                draft.note(ev.RecycleDone(draft.now, record.name))
                continue
            draft.wake(given_up_at)
        if record.launch <= record.recycle:
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
    held_at = state.asked.at.get("allocation primaries", 0.0)
    if state.es.settings_at <= held_at + LANDS_IN_S:
        draft.wake(now + LANDS_IN_S)
        return                          # a look from before it was held, or it is on its way
    asked_at = state.asked.at.get("allocation restored", 0.0)
    if state.es.allocation_settings == state.held_allocation:
        draft.note(ev.AllocationRestored(now))
    elif asked_at <= held_at or now - asked_at >= AGAIN_S:
        draft.do(SetAllocation((ev.AskedFor(now, "allocation restored"),), None,
                               state.held_allocation))


def goes_on(state: ClusterState) -> bool:
    """Whether further nodes will be restarted without anybody being asked."""
    return not state.paused and state.waiting_canary is None and any(
        state.is_ready(record) and not state.is_sidecar(record) for record in order(state))


def _restore_delays(draft: Draft) -> None:
    """At the end, on a pause and while a canary waits, but not between two nodes."""
    state, now = draft.state, draft.now
    turning = any(record.recycle or maintenance.is_parked(state, record)
                  for record in state.nodes.values())
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
