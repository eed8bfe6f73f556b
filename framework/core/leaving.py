"""Scale-in: a node leaves only when it is drained in the true sense and the quorum stays.

exclude -> drain -> (voting exclusion or lower quorum) -> retire: stop, destroy, unreserve -> clear
the exclusions. Until it is retired, a node can stay after all: then its exclusion is cleared.
Sources: Elasticsearch reference, "Cluster-level shard allocation filtering", "Adding and removing
nodes"; what drained means is in ``gates.drained``.
"""
from __future__ import annotations

from . import events as ev
from .draft import Draft
from .facts import ClusterState, NodeState
from .gates import departing_masters, held_by, stop_gates, view_is_fresh
from .operations import ClearVotingExclusions, ExcludeNodes, ExcludeVotes
from .plan import wanted_nodes

S = NodeState
AGAIN_S = 10.0
WHY = "scale-in"


def depart(draft: Draft) -> None:
    """Mark what is not wanted, keep the exclusions, retire what may go."""
    if draft.state.deleting or draft.state.removed:
        return
    _mark(draft)
    if not view_is_fresh(draft.state, draft.now):
        return
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
        if name not in wanted and record.state is S.PLANNED:
            draft.note(ev.RetireIntended(draft.now, name, WHY))
        elif name not in wanted and not record.leaving:
            draft.note(ev.LeaveIntended(draft.now, name, WHY))
        elif name in wanted and record.leaving == WHY:
            draft.note(ev.StayIntended(draft.now, name))


def leaving_names(state: ClusterState) -> tuple[str, ...]:
    """Nodes that are to get no shard any more."""
    return tuple(sorted(record.name for record in state.nodes.values() if record.leaving))


def _keep_exclusions(draft: Draft) -> None:
    """Ours are the leaving nodes and nothing else; the operator's own stay as they are."""
    state, now = draft.state, draft.now
    assert state.es is not None
    ours = leaving_names(state)
    there = set(state.es.excluded)
    stale = tuple(sorted(set(state.excluded) - set(ours)))
    if set(ours) <= there and not set(stale) & there:
        if state.excluded != ours:
            draft.note(ev.ExclusionsSettled(now, ours))
        return
    what = f"exclude {','.join(ours)}"
    if not state.asked.lately(what, now, AGAIN_S):
        merged = tuple(sorted({*state.excluded, *ours}))
        draft.do(ExcludeNodes((ev.ExclusionsSettled(now, merged), ev.AskedFor(now, what)),
                              ours, stale))


def _keep_votes(draft: Draft) -> None:
    """7 and later: a master leaves the voting configuration before it stops."""
    state, now = draft.state, draft.now
    if state.spec.major < 7:
        return
    assert state.es is not None
    there = set(state.es.voting_exclusions)
    missing = tuple(sorted({record.name for record in departing_masters(state)} - there))
    # An exclusion stays until nothing of the node is left, or it stays after all.
    leaving = any(record.leaving for record in state.nodes.values())
    gone = there & set(state.excluded_votes) - set(leaving_names(state))
    if missing and not state.asked.lately(f"votes {missing}", now, AGAIN_S):
        mine = tuple(sorted({*state.excluded_votes, *missing}))
        draft.do(ExcludeVotes((ev.VotesExcluded(now, mine),
                               ev.AskedFor(now, f"votes {missing}")), missing))
    elif gone and not leaving and not state.asked.lately("clear votes", now, AGAIN_S):
        keep = tuple(sorted(there - gone))
        draft.do(ClearVotingExclusions((ev.AskedFor(now, "clear votes"),), keep))
    elif not gone and not leaving and state.excluded_votes:
        draft.note(ev.VotesExcluded(now, ()))
