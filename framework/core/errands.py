"""Errands: what people have done once (flush, clear caches, force merge, retry), on record.

An errand is stored before it is run, and run again when a crash has cut it off: each of them may
be done twice without harm.
"""
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import balancing, snapshots
from . import events as ev
from .facts import ClusterState, Errand
from .gates import Answer, view_is_fresh
from .housekeeping import policies
from .operations import RunErrand

if TYPE_CHECKING:
    from .draft import Draft

KINDS = ("flush", "clear_cache", "force_merge", "reroute_retry")
KEPT = 50                           # the last ones, for people
AT_ONCE = 4                         # a force merge and a snapshot must not hold up a flush


def _with(state: ClusterState, changed: Errand) -> ClusterState:
    return replace(state, errands=tuple(
        changed if item.id == changed.id else item for item in state.errands))


def find(state: ClusterState, errand_id: str) -> Errand | None:
    """An errand by its id."""
    return next((item for item in state.errands if item.id == errand_id), None)


def asked(state: ClusterState, event: ev.ErrandAsked) -> ClusterState:
    """One more; the oldest that have ended are forgotten."""
    if find(state, event.errand) is not None:
        return state
    new = Errand(event.errand, event.kind, event.parameters, event.at)
    open_ = sum(item.ended_at is None for item in state.errands)
    ended = [item for item in state.errands if item.ended_at is not None]
    dropped = {item.id for item in ended[:max(len(ended) + open_ + 1 - KEPT, 0)]}
    return replace(state, errands=(
        *(item for item in state.errands if item.id not in dropped), new))


def begun(state: ClusterState, event: ev.ErrandBegun) -> ClusterState:
    """About to be run by this process."""
    found = find(state, event.errand)
    if found is None:
        return state
    return replace(_with(state, replace(found, status="running")),
                   errands_sent=state.errands_sent | {event.errand})


def progressed(state: ClusterState, event: ev.ErrandProgress) -> ClusterState:
    """So many indices are done."""
    found = find(state, event.errand)
    if found is None or found.ended_at is not None:
        return state
    return _with(state, replace(found, done=event.done, total=event.total))


def ended(state: ClusterState, event: ev.EsActed) -> ClusterState:
    """Done, or failed with what Elasticsearch said."""
    found = find(state, event.subject)
    if found is None or found.ended_at is not None:
        return state
    changed = replace(found, status="done" if event.ok else "failed", ended_at=event.at,
                      message=event.message)
    return snapshots.ended(_with(state, changed), changed)


def dropped(state: ClusterState, event: ev.ErrandDropped) -> ClusterState:
    """It is not run any more; one that has ended stays as it is."""
    found = find(state, event.errand)
    if found is None or found.ended_at is not None:
        return state
    return _with(state, replace(found, status="failed", ended_at=event.at, message=event.why))


def held(state: ClusterState, item: Errand, now: float) -> Answer | None:
    """The gate that an errand waits for; None when it may begin."""
    return (balancing.held(state, item, now) or snapshots.held(state, item, now)
            or policies.held(state, item, now))


def run(draft: Draft) -> None:
    """Begin what waits, and again what another process had begun."""
    state, now = draft.state, draft.now
    if not state.errands or not view_is_fresh(state, now):
        return
    busy = len([item for item in state.errands
                if item.ended_at is None and item.id in state.errands_sent])
    for item in state.errands:
        if item.ended_at is None and item.id not in state.errands_sent and busy < AT_ONCE:
            withdrawn = policies.withdrawn(state, item)
            if withdrawn:
                draft.note(ev.ErrandDropped(draft.now, item.id, withdrawn))
                continue
            if item.status == "waiting" and held(draft.state, item, now):
                continue                    # each look at the cluster asks again
            busy += 1
            draft.do(RunErrand((ev.ErrandBegun(now, item.id),), item.id, item))
