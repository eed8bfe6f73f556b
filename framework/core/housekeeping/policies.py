"""Housekeeping as a whole: every policy of a spec on one look, what of it is begun, and what holds.

What is begun is an errand on record, a rule and up to twenty indices at a time. It is decided once
more on a fresh look when it is carried out, so one that is begun again after a crash, or late, does
nothing that would not be decided then.
"""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from .. import events as ev
from ..balancing import no_change_under_way
from ..facts import ClusterState, Errand
from ..gates import (
    Answer,
    Gate,
    cluster_green,
    es_view_fresh,
    held_by,
    no_primary_missing,
    no_switch_in_the_way,
    not_paused,
    nothing_moves,
    staying_data_nodes,
    within_hours,
)
from ..housekeeping_spec import Merge
from ..indices import IndexLook, Memory, Quiet
from ..snapshots import no_snapshot_runs
from . import deletion, limits, merging, replicas, rollover, unblocking
from .findings import Finding, parameters, rule_of
from .findings import planned as planned_in

MERGE, ROLL_OVER, DELETE = "merge_idle", "roll_over", "delete_indices"
RAISE, RELEASE = "raise_replicas", "release_blocks"
KINDS = (MERGE, ROLL_OVER, DELETE, RAISE, RELEASE)
BY = "housekeeping"
AGAIN_S = 900.0                     # what has failed is tried again after so long

# What must hold before each begins, beside those that ask no node.
GATES: Mapping[str, tuple[Gate, ...]] = {
    MERGE: (es_view_fresh, not_paused, cluster_green, nothing_moves),
    ROLL_OVER: (es_view_fresh, not_paused, no_primary_missing, no_switch_in_the_way),
    DELETE: (es_view_fresh, not_paused, no_primary_missing),
    RAISE: (es_view_fresh, not_paused, no_primary_missing, no_switch_in_the_way, nothing_moves),
    RELEASE: (es_view_fresh, not_paused),
}


@dataclass(frozen=True, slots=True)
class Planned:
    """A finding, and the errand that would carry it out; ``kind`` is empty when none would."""

    found: Finding
    kind: str = ""
    parameters: tuple[tuple[str, str], ...] = ()


# -------------------------------------------------------------------------- findings

def plans(state: ClusterState, look: IndexLook, memory: Memory,
          taken: deletion.Listed = None) -> list[Planned]:
    """What every policy of the spec makes of a look, in the order of the spec."""
    wish = state.spec.housekeeping
    found = []
    if wish.merge is not None:
        found.append(_planned(MERGE, merging.find(wish.merge, look, memory, _merged(state)),
                              wish.merge, look, memory))
    found += [_planned(ROLL_OVER, rollover.find(rule, look), rule, look, memory)
              for rule in wish.rollover]
    found += [_planned(DELETE, deletion.find(rule, look, memory, taken), rule, look, memory)
              for rule in wish.delete]
    if wish.replicas is not None:
        nodes = len(staying_data_nodes(state))
        found.append(_planned(RAISE, replicas.find(wish.replicas, look, nodes), wish.replicas, look,
                              memory, data_nodes=str(nodes)))
    if wish.unblock is not None:
        found.append(_planned(RELEASE, unblocking.find(wish.unblock, look), wish.unblock, look,
                              memory))
    if wish.guards is not None:
        found.append(Planned(limits.find_guards(wish.guards, look)))
    if wish.caches is not None:
        found.append(Planned(limits.find_caches(wish.caches)))
    return found


def _planned(kind: str, found: Finding, rule: BaseModel, look: IndexLook, memory: Memory,
             **more: str) -> Planned:
    indices = ((look.indices[act.target], memory.get(act.target)) for act in found.acts)
    return Planned(found, kind, parameters(found, rule, BY, indices, **more))


def _merged(state: ClusterState) -> dict[str, Quiet]:
    """Indices of merges that have got to their end, as they were then."""
    return {name: quiet for item in state.errands if item.kind == MERGE
            and item.status == "done" and item.total and item.done == item.total
            for name, quiet in planned_in(item).items()}


def wants_snapshots(state: ClusterState) -> bool:
    """Whether a policy asks what the snapshots of the cluster hold."""
    return any(rule.require_snapshot for rule in state.spec.housekeeping.delete)


# ----------------------------------------------------------------------------- gates

def gates(state: ClusterState, kind: str, item: Errand | None, span: str,
          now: float) -> list[Answer]:
    """What must hold before an errand of a kind begins; ``span`` are its hours."""
    record = next(iter(state.nodes.values()), None)
    if record is None or state.bootstrap.cluster_uuid is None:
        return [Answer("cluster_formed", False, "the cluster has not formed yet")]
    found = [gate(state, record, now) for gate in GATES[kind]]
    if kind in (MERGE, RAISE):
        found.append(no_change_under_way(state, now))
    if kind in (MERGE, DELETE):
        found.append(no_snapshot_runs(state, item or Errand("", kind, (), now)))
    if kind == MERGE:
        found.append(within_hours(span, now))
    return found


def held(state: ClusterState, item: Errand, now: float) -> Answer | None:
    """The gate that an errand waits for; None when it may begin, or is none of these."""
    if item.kind not in KINDS:
        return None
    span = rule_of(item, Merge).hours if item.kind == MERGE else ""
    return held_by(gates(state, item.kind, item, span, now))


def holding(state: ClusterState, kind: str, now: float) -> Answer | None:
    """The gate that an errand of a kind would wait for now."""
    merge = state.spec.housekeeping.merge
    span = merge.hours if merge is not None else "0-24"
    return held_by(gates(state, kind, None, span, now)) if kind else None


def withdrawn(state: ClusterState, item: Errand) -> str:
    """Why an errand is not begun any more: the spec has not its very rule now. Empty: it has."""
    wish = state.spec.housekeeping
    rules: Mapping[str, Sequence[BaseModel | None]] = {
        MERGE: [wish.merge], ROLL_OVER: wish.rollover, DELETE: wish.delete,
        RAISE: [wish.replicas], RELEASE: [wish.unblock]}
    if item.kind not in KINDS:
        return ""
    wanted = {rule.model_dump_json(exclude_none=True) for rule in rules[item.kind] if rule}
    return "" if dict(item.parameters)["rule"] in wanted else "the spec has not this rule any more"


# ------------------------------------------------------------------------- beginning

def last(state: ClusterState, planned: Planned) -> Errand | None:
    """The newest errand of a policy's rule."""
    return next((item for item in reversed(state.errands) if item.kind == planned.kind
                 and _subject(item) == planned.found.subject), None)


_SUBJECTS: Mapping[str, str] = {ROLL_OVER: "alias", DELETE: "pattern"}


def _subject(item: Errand) -> str:
    key = _SUBJECTS.get(item.kind)
    return str(json.loads(dict(item.parameters)["rule"])[key]) if key else ""


def may_act(state: ClusterState, planned: Planned, now: float) -> str:
    """Why nothing is begun for a finding now; empty when it is to be."""
    if not planned.kind:
        return "it only tells"
    if planned.found.advises:
        return "dry_run is true"
    if not planned.found.acts:
        return "there is nothing to do"
    before = last(state, planned)
    if before is not None and before.ended_at is None:
        return "it is waiting or under way"
    if before is not None and before.status == "failed" and before.ended_at is not None and (
            now - before.ended_at < AGAIN_S):
        return f"it has failed: {before.message}"
    answer = holding(state, planned.kind, now)
    return f"held by {answer}" if answer is not None else ""


def asked(planned: Planned, ident: str, now: float) -> ev.ErrandAsked:
    """The event that asks for what a policy has found."""
    return ev.ErrandAsked(now, ident, planned.kind, planned.parameters)
