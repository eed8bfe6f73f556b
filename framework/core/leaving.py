"""Nodes that go: scale-in, and nodes whose place another takes; drained first, quorum kept.

(another node first) -> exclude -> drain -> (voting exclusion or lower quorum) -> retire: stop,
destroy, unreserve -> clear the exclusions. Until it is retired, a node can stay after all: then its
exclusion is cleared. Sources: Elasticsearch reference, "Cluster-level shard allocation filtering",
"Adding and removing nodes"; what drained means is in ``gates.drained``.
"""
from __future__ import annotations

from . import events as ev
from . import maintenance
from .config import misplaced
from .draft import Draft
from .facts import ClusterState, NodeRecord, NodeState
from .gates import (
    counts_masters,
    departing_masters,
    held_by,
    move_gates,
    stop_gates,
    successor_ready,
    view_is_fresh,
)
from .operations import ClearVotingExclusions, ExcludeNodes, ExcludeVotes
from .plan import number_of, wanted_nodes

S = NodeState
AGAIN_S = 10.0
LANDS_IN_S = 3.0                    # an action on Elasticsearch, unless it hangs
WHY = "scale-in"
GONE = "gone"                       # how the reason of an automatic replacement begins


def depart(draft: Draft) -> None:
    """Mark what is not wanted, keep the exclusions, retire what may go."""
    if draft.state.deleting or draft.state.removed:
        return
    _mark(draft)
    if not view_is_fresh(draft.state, draft.now):
        return
    _replace_lost(draft)
    _move(draft)
    _begin_drains(draft)
    _keep_exclusions(draft)
    _keep_votes(draft)
    for name in sorted(draft.state.nodes):
        record = draft.state.nodes[name]
        if record.leaving and not record.retire and held_by(
                stop_gates(draft.state, record, draft.now)) is None:
            draft.note(ev.RetireIntended(draft.now, name, f"{record.leaving}: drained"))


def _mark(draft: Draft) -> None:
    wanted = wanted_nodes(draft.state)
    for name, record in list(draft.state.nodes.items()):
        if record.retire:
            continue
        if record.moving:
            _stay_if_in_shape(draft, record)
        elif name not in wanted and record.state is S.PLANNED:
            draft.note(ev.RetireIntended(draft.now, name, WHY))
        elif name not in wanted and not record.leaving:
            draft.note(ev.LeaveIntended(draft.now, name, WHY))
        elif name in wanted and record.leaving == WHY:
            draft.note(ev.StayIntended(draft.now, name))


def _stay_if_in_shape(draft: Draft, record: NodeRecord) -> None:
    """A node stays after all when the spec wants it as it is, or when it is back in time.

    Also one of which nothing is left, or ever was: no update will say that it has ended. It is
    placed anew if it is still needed, and dropped when its successor is there.
    """
    in_shape = not record.elsewhere and not misplaced(draft.state, record)
    back = (record.leaving.startswith(GONE) and not record.draining
            and draft.state.is_ready(record))
    if in_shape or back or record.state is S.PLANNED:
        draft.note(ev.StayIntended(draft.now, record.name))


def _move(draft: Draft) -> None:
    """Another node for one whose volume cannot be what is wanted, as many as the budget allows."""
    moving = sum(record.moving for record in draft.state.nodes.values())
    away = [(record, maintenance.why(record)) for record in maintenance.evacuees(draft.state)]
    here = [(record, f"moves: {misplaced(draft.state, record)}") for record in moves(draft.state)]
    for record, why in (*away, *here):
        if moving >= max(draft.state.spec.change.max_extra, 1):
            return
        if draft.state.nodes[record.name].leaving:
            continue                    # its host goes anyway
        if held_by(move_gates(draft.state, record, draft.now)) is not None:
            return
        moving += 1
        draft.note(ev.LeaveIntended(draft.now, record.name, why, moving=True,
                                    elsewhere=why.startswith(maintenance.REASON)))


def moves(state: ClusterState) -> list[NodeRecord]:
    """Nodes whose place another is to take because of the spec, masters last."""
    elected = state.es.master if state.es is not None else None
    return sorted((record for record in state.nodes.values()
                   if not record.leaving and not record.retire and misplaced(state, record)),
                  key=lambda record: (state.is_master(record), record.name == elected,
                                      number_of(record.name)))


def _replace_lost(draft: Draft) -> None:
    """By policy: another node for one that has been away for too long, at most so many an hour."""
    policy, now = draft.state.spec.replacement, draft.now
    if policy.after_s is None or draft.state.paused:
        return
    for record in sorted(draft.state.nodes.values(), key=lambda item: (item.since, item.name)):
        away = record.state in (S.UNREACHABLE, S.DOWN)
        if not away or record.leaving or record.retire or record.held or (
                maintenance.plan_for(draft.state, record) is not None):
            continue
        # One that keeps failing is not gone: its back-off does not count.
        due = max(record.since, record.retry_at) + policy.after_s
        recent = [at for at in draft.state.replaced_at if now - at < 3600]
        if due > now:
            draft.wake(due)
        elif len(recent) < policy.per_hour:
            draft.note(ev.LeaveIntended(now, record.name, f"{GONE} for over {policy.after_s} s",
                                        moving=True, elsewhere=True, automatic=True))
        else:
            draft.wake(min(recent) + 3600)


def _begin_drains(draft: Draft) -> None:
    """What leaves gets no shards any more; one that moves only when its successor is there."""
    state = draft.state
    assert state.es is not None
    for record in list(state.nodes.values()):
        if not record.leaving or record.draining or state.is_sidecar(record):
            continue
        forced = "successor_ready" in record.forced
        if forced or successor_ready(draft.state, record, draft.now).ok:
            load = (state.es.loads or {}).get(record.name)
            draft.note(ev.DrainIntended(draft.now, record.name, load.shards if load else 0,
                                        load.store_mb if load else 0))


def leaving_names(state: ClusterState) -> tuple[str, ...]:
    """Nodes that are to get no shard any more."""
    return tuple(sorted(record.name for record in state.nodes.values() if record.draining))


def _keep_exclusions(draft: Draft) -> None:
    """Ours are the draining nodes and nothing else; the operator's own stay as they are."""
    state, now = draft.state, draft.now
    assert state.es is not None
    ours = leaving_names(state)
    there = set(state.es.excluded)
    stale = tuple(sorted(set(state.excluded) - set(ours)))
    if set(ours) <= there and not set(stale) & there:
        if state.excluded != ours and _has_landed(state, "exclude "):
            draft.note(ev.ExclusionsSettled(now, ours))
        return
    what = f"exclude {','.join(ours)}"
    if not state.asked.lately(what, now, AGAIN_S):
        merged = tuple(sorted({*state.excluded, *ours}))
        draft.do(ExcludeNodes((ev.ExclusionsSettled(now, merged), ev.AskedFor(now, what)),
                              ours, stale))


def _has_landed(state: ClusterState, what: str) -> bool:
    """Whether the look is from well after the last action of a kind: it may be on its way."""
    asked = [at for key, at in state.asked.at.items() if key.startswith(what)]
    return state.es is not None and (
        state.es.settings_at > max(asked, default=float("-inf")) + LANDS_IN_S)


def _keep_votes(draft: Draft) -> None:
    """7 and later: a master leaves the voting configuration before it stops."""
    state, now = draft.state, draft.now
    if counts_masters(state):
        return
    assert state.es is not None
    there = set(state.es.voting_exclusions)
    missing = tuple(sorted({record.name for record in departing_masters(state)
                            if record.draining} - there))
    leaving = any(record.leaving for record in state.nodes.values())
    # An exclusion stays until nothing of the node is left, or it stays after all. No longer: there
    # are ten at most, and the node's name may come back. Nor when the turn of another has come
    # first: together they may be all that have a vote. Elasticsearch clears all at once, so not
    # while a master stops without its vote.
    waiting = {record.name for record in state.nodes.values()
               if record.draining and not record.retire} - {
        record.name for record in departing_masters(state)}
    gone = there & set(state.excluded_votes) - (set(leaving_names(state)) - waiting)
    stopping = any(record.retire for record in departing_masters(state))
    if gone and not stopping:
        if not state.asked.lately("clear votes", now, AGAIN_S):
            keep = tuple(sorted(there - gone))
            draft.do(ClearVotingExclusions((ev.AskedFor(now, "clear votes"),), keep))
    elif missing and not state.asked.lately(f"votes {missing}", now, AGAIN_S):
        mine = tuple(sorted({*state.excluded_votes, *missing}))
        draft.do(ExcludeVotes((ev.VotesExcluded(now, mine),
                               ev.AskedFor(now, f"votes {missing}")), missing))
    elif (not gone and not leaving and state.excluded_votes
          and _has_landed(state, "votes ")):
        draft.note(ev.VotesExcluded(now, ()))
