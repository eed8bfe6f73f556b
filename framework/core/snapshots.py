"""Snapshots: when the repository is checked, one is due, old ones go, and a drill restores one.

Each is an errand on record: stored before it is run, run again after a crash under the same name,
held by gates that people can read. Source: Elasticsearch reference of 6.8 and 7.17, "Snapshot and
restore".
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING

from . import events as ev
from .facts import ClusterState, Errand, SnapshotMemory
from .gates import Answer, es_view_fresh, held_by, no_primary_missing

if TYPE_CHECKING:
    from .draft import Draft

REPOSITORY, SNAPSHOT, EXPIRE = "put_repository", "snapshot", "expire_snapshots"
RESTORE, DRILL = "restore", "restore_drill"
ASKABLE = (SNAPSHOT, RESTORE, DRILL)     # by people, too
KINDS = (REPOSITORY, SNAPSHOT, EXPIRE, RESTORE, DRILL)
OWN = "esaas"                       # the name of the repository in each cluster
DRILLED = "esaas-drill-"            # how indices begin that a drill restores, and deletes again
AGAIN_S = 300.0                     # what has failed is tried again after so long


def fingerprint(state: ClusterState) -> str:
    """Of the repository that is wanted; empty when none is."""
    text = body_of(state)
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


def body_of(state: ClusterState) -> str:
    """What Elasticsearch is told of the wanted repository, as JSON; empty when none is wanted."""
    wanted = state.spec.snapshot_repository
    return json.dumps(wanted, sort_keys=True) if wanted is not None else ""


def prefix(state: ClusterState) -> str:
    """How the names of all snapshots of this cluster, and of no other, begin."""
    return f"esaas-{state.identity.uid.lower()}-"


def due_at(state: ClusterState) -> float | None:
    """When the next snapshot is to be made; None when none is wanted."""
    wish, memory = state.spec.snapshot_wish, state.snapshots
    if wish is None or memory is None:
        return None
    return memory.since if memory.taken_at is None else memory.taken_at + wish.every_s


def drill_at(state: ClusterState) -> float | None:
    """When a restore is to be tried next; None when never, or as long as there is nothing."""
    wish, memory = state.spec.snapshot_wish, state.snapshots
    if wish is None or memory is None or wish.drill_every_s is None or memory.taken_at is None:
        return None
    return (memory.drilled_at or memory.taken_at) + wish.drill_every_s


# ------------------------------------------------------------------------------ gates

def repository_verified(state: ClusterState, now: float) -> Answer:
    """Every node has written into the repository that is wanted, and read it there."""
    memory = state.snapshots
    known = memory.repository if memory is not None else ""
    ok = bool(known) and known == fingerprint(state)
    why = memory.failed if memory is not None and memory.failed else "it is not checked yet"
    return Answer("repository_verified", ok, why)


def no_restart_under_way(state: ClusterState, now: float) -> Answer:
    """A shard whose node stops in the middle would be missing from the snapshot."""
    away = sorted(record.name for record in state.nodes.values() if record.recycle)
    return Answer("no_restart_under_way", not away, f"waiting for {', '.join(away)}")


def no_snapshot_runs(state: ClusterState, item: Errand) -> Answer:
    """Elasticsearch makes and deletes snapshots one at a time."""
    other = next((one for one in state.errands if one.id != item.id and one.kind in KINDS
                  and one.ended_at is None and one.id in state.errands_sent), None)
    return Answer("no_snapshot_runs", other is None,
                  f"waiting for {other.kind} {other.id}" if other else "")


def gates(state: ClusterState, item: Errand, now: float) -> list[Answer]:
    """What must hold before one of these errands begins."""
    record = next(iter(state.nodes.values()), None)
    if record is None:
        return [Answer("cluster_formed", False, "there is no node yet")]
    found = [es_view_fresh(state, record, now), no_snapshot_runs(state, item)]
    if item.kind in (SNAPSHOT, DRILL):
        found += [repository_verified(state, now), no_restart_under_way(state, now)]
    if item.kind in (SNAPSHOT, DRILL, RESTORE):
        found.append(no_primary_missing(state, record, now))
    return found


def held(state: ClusterState, item: Errand, now: float) -> Answer | None:
    """The gate that an errand waits for; None when it may begin, or is none of these."""
    return held_by(gates(state, item, now)) if item.kind in KINDS else None


# --------------------------------------------------------------------------- deciding

def asked(state: ClusterState, kind: str, now: float) -> ev.ErrandAsked:
    """The event that asks for one of them; its names follow from the moment it is asked for."""
    stamp = f"{now:.0f}"                # seconds since the epoch
    known = {item.id for item in state.errands}
    ident = next(one for number in count(1) if (one := f"{kind.replace('_', '-')}-{stamp}" + (
        f"-{number}" if number > 1 else "")) not in known)
    parameters, wish = {"repository": OWN}, state.spec.snapshot_wish
    if kind == REPOSITORY:
        parameters |= {"body": body_of(state), "fingerprint": fingerprint(state)}
    elif kind == SNAPSHOT:
        parameters |= {"snapshot": prefix(state) + ident.partition("-")[2],
                       "indices": wish.indices if wish is not None else "*"}
    elif kind == EXPIRE:
        parameters |= {"prefix": prefix(state), "keep": str(wish.keep if wish else 1)}
    elif kind == DRILL:
        parameters["prefix"] = prefix(state)
    return ev.ErrandAsked(now, ident, kind, tuple(sorted(parameters.items())))


def tend(draft: Draft) -> None:
    """Ask for what is due; one after the other."""
    state, now = draft.state, draft.now
    if state.spec.snapshot_wish is None or state.bootstrap.cluster_uuid is None:
        return
    if state.snapshots is None:
        draft.note(ev.SnapshotsWanted(now))
        state = draft.state
    if any(item.ended_at is None and item.kind in KINDS for item in state.errands):
        return                          # the turn in which it ends looks again
    for kind, at in _wanted(state):
        begins = max(at, _failed_at(state, kind) + AGAIN_S)
        if begins <= now:
            draft.note(asked(state, kind, now))
            return
        draft.wake(begins)


def _wanted(state: ClusterState) -> Iterable[tuple[str, float]]:
    """What is to be done, the most urgent first, and from when on."""
    memory = state.snapshots
    assert memory is not None
    if memory.repository != fingerprint(state):
        yield REPOSITORY, memory.since
        return                          # nothing else works without it
    if memory.newest and memory.expired != memory.newest:
        yield EXPIRE, memory.since
    for kind, at in ((SNAPSHOT, due_at(state)), (DRILL, drill_at(state))):
        if at is not None:
            yield kind, at


def _failed_at(state: ClusterState, kind: str) -> float:
    """When one of a kind has failed last."""
    return max((item.ended_at for item in state.errands if item.ended_at is not None
                and item.kind == kind and item.status == "failed"), default=float("-inf"))


# --------------------------------------------------------------------------- applying

def wanted(state: ClusterState, event: ev.SnapshotsWanted) -> ClusterState:
    """Snapshots are wanted from now on."""
    return state if state.snapshots is not None else replace(
        state, snapshots=SnapshotMemory(since=event.at))


def ended(state: ClusterState, item: Errand) -> ClusterState:
    """Remember what came of an errand, for as long as that matters."""
    memory = state.snapshots
    if memory is None or item.kind not in KINDS or item.kind == RESTORE:
        return state
    parameters, ok = dict(item.parameters), item.status == "done"
    if item.kind == REPOSITORY:
        memory = replace(memory, repository=parameters["fingerprint"] if ok else "",
                         failed="" if ok else f"the repository: {item.message}")
    elif item.kind == SNAPSHOT:
        memory = replace(memory, failed="" if ok else item.message)
        if ok:
            memory = replace(memory, newest=parameters["snapshot"], taken_at=item.asked_at)
    elif item.kind == EXPIRE and ok:
        memory = replace(memory, expired=memory.newest)
    elif item.kind == DRILL:
        memory = replace(memory, drilled_at=item.asked_at, drill_failed="" if ok else item.message)
    return replace(state, snapshots=memory)


# -------------------------------------------------------------------------- retention

@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot as its repository lists it."""

    name: str
    status: str                         # SUCCESS, PARTIAL, FAILED, IN_PROGRESS
    started_at: float
    ended_at: float | None = None
    indices: tuple[str, ...] = ()
    shards: int = 0
    shards_failed: int = 0


def expired(listed: Iterable[Taken], own: str, keep: int) -> list[str]:
    """Which snapshots are to be deleted, the oldest first.

    Only those whose name begins with ``own``, never one that is being made, and never one of the
    ``keep`` newest complete ones nor anything younger than the oldest of these.
    """
    mine = sorted((one for one in listed if one.name.startswith(own)
                   and one.status != "IN_PROGRESS"), key=lambda one: (one.started_at, one.name))
    complete = [one for one in mine if one.status == "SUCCESS"]
    if not complete:
        return []
    oldest = complete[-keep:][0]
    return [one.name for one in mine[:mine.index(oldest)]]


def matching(indices: Iterable[str], patterns: str) -> list[str]:
    """The indices that any of the patterns names; ``-pattern`` takes out."""
    found: dict[str, None] = {}
    names = sorted(indices)
    for pattern in filter(None, patterns.split(",")):
        takes_out = pattern.startswith("-")
        for name in names:
            if fnmatchcase(name, pattern.removeprefix("-")):
                if takes_out:
                    found.pop(name, None)
                else:
                    found[name] = None
    return list(found)
