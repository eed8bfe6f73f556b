"""What people ask of snapshots: one now, a restore under new names, a drill."""
from __future__ import annotations

import json
import re
import time
import uuid
from typing import Any

from ..core import events as ev
from ..core import snapshots
from ..core.errors import Fault
from ..core.facts import ClusterState, Errand
from ..core.gates import held_by, words
from ..core.snapshot_spec import INDICES
from ..elastic.client import EsUnavailable
from ..runtime.loop import ClusterLoop
from .base import Base
from .errors import Conflict, Invalid
from .snapshot_views import SnapshotsView, TakenView

_SNAPSHOT = re.compile(r"[a-z0-9][a-z0-9._-]{0,254}")
_PREFIX = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
PREFIX = "restored-"


class Snapshotting(Base):
    """The part of ``ClusterService`` that shows snapshots and checks what people ask of them."""

    async def snapshots(self, name: str) -> SnapshotsView:
        """How it stands with a cluster's snapshots; NotFound.

        When Elasticsearch cannot be asked the rest is still told.
        """
        loop = self._loop(name)
        if loop.state.spec.snapshot_repository is None:
            return snapshots_view(loop.state, time.time(), [], "")
        try:
            return snapshots_view(loop.state, time.time(), await loop.watch.snapshots(), "")
        except EsUnavailable as error:
            return snapshots_view(loop.state, time.time(), None, str(error))

    def asked_of_snapshots(self, loop: ClusterLoop, kind: str,
                           given: dict[str, Any]) -> ev.ErrandAsked:
        """The errand of a request; Invalid, Conflict with every fault."""
        state, now = loop.state, time.time()
        if kind == snapshots.RESTORE:
            return self._restore(state, given, now)
        if given:
            raise Invalid(f"{kind} cannot be done like that", [
                Fault(str(key)[:80], f"{kind} takes nothing", "extra_forbidden") for key in given])
        if state.spec.snapshot_wish is None:
            raise Conflict(f"{loop.name} has no repository for snapshots", [
                Fault("", "its spec has no snapshots.repository", "repository_wanted")])
        if any(item.kind == kind and item.ended_at is None for item in state.errands):
            raise Conflict(f"{kind} is under way already", [
                Fault("", "one at a time", "no_snapshot_runs")])
        return snapshots.asked(state, kind, now)

    def _restore(self, state: ClusterState, given: dict[str, Any], now: float) -> ev.ErrandAsked:
        faults = [Fault(str(key)[:80], "restore takes from_cluster, index, prefix, snapshot",
                        "extra_forbidden") for key in given
                  if key not in ("from_cluster", "index", "prefix", "snapshot")]
        texts = {"snapshot": given.get("snapshot"), "prefix": given.get("prefix") or PREFIX,
                 "index": given.get("index") or "*"}
        for (key, value), (pattern, meaning) in zip(texts.items(), (
                (_SNAPSHOT, "the name of a snapshot"),
                (_PREFIX, "lower case letters, digits and . _ -"),
                (INDICES, "names or patterns of indices, with commas")), strict=True):
            if not isinstance(value, str) or not pattern.fullmatch(value):
                faults.append(Fault(key, meaning, key))
        if faults:
            raise Invalid("this cannot be restored", faults)
        parameters = {"snapshot": str(texts["snapshot"]), "prefix": str(texts["prefix"]),
                      "indices": str(texts["index"]),
                      **self._source(state, given.get("from_cluster"))}
        return ev.ErrandAsked(now, uuid.uuid4().hex[:12], snapshots.RESTORE,
                              tuple(sorted(parameters.items())))

    def _source(self, state: ClusterState, name: Any) -> dict[str, str]:
        """The repository to restore from: the cluster's own, or that of another one, read only."""
        other = state if name in (None, "", state.identity.name) else self._other(state, name)
        wanted = other.spec.snapshot_repository
        if wanted is None:
            raise Conflict("there is no repository", [
                Fault("from_cluster", f"the spec of {other.identity.name} has no "
                      "snapshots.repository", "repository_wanted")])
        if other is state:
            return {"repository": snapshots.OWN}
        wanted["settings"]["readonly"] = True
        return {"repository": f"{snapshots.OWN}-from-{other.identity.name}",
                "body": json.dumps(wanted, sort_keys=True)}

    def _other(self, state: ClusterState, name: Any) -> ClusterState:
        """A cluster of the same tenant that runs here; whether others exist is not told."""
        loop = self._loops.get(name) if isinstance(name, str) else None
        if loop is None or loop.state.identity.tenant != state.identity.tenant:
            raise Invalid("this cannot be restored", [
                Fault("from_cluster", f"{state.identity.tenant} has no cluster of that name here",
                      "cluster_known")])
        return loop.state


def snapshots_view(state: ClusterState, now: float, listed: list[snapshots.Taken] | None,
                   because: str) -> SnapshotsView:
    """What is known of a cluster's snapshots; ``listed`` is None when it was not to be learned."""
    wish, memory = state.spec.snapshot_wish, state.snapshots
    own = snapshots.prefix(state)
    return SnapshotsView(
        cluster=state.identity.name, at=now, repository=state.spec.snapshot_repository,
        every_s=wish.every_s if wish else None, keep=wish.keep if wish else None,
        drill_every_s=wish.drill_every_s if wish else None, indices=wish.indices if wish else "",
        newest=memory.newest if memory else "", taken_at=memory.taken_at if memory else None,
        next_at=snapshots.due_at(state), drilled_at=memory.drilled_at if memory else None,
        next_drill_at=snapshots.drill_at(state), failed=memory.failed if memory else "",
        drill_failed=memory.drill_failed if memory else "", held_by=_held(state, now),
        unlisted_because=because, listed=None if listed is None else [
            TakenView(name=one.name, status=one.status, own=one.name.startswith(own),
                      started_at=one.started_at, ended_at=one.ended_at,
                      indices=list(one.indices), shards=one.shards,
                      shards_failed=one.shards_failed) for one in reversed(listed)])


def _held(state: ClusterState, now: float) -> str:
    """The gate that would hold a snapshot of now; empty when none does, or none is wanted."""
    if state.spec.snapshot_wish is None:
        return ""
    answer = held_by(snapshots.gates(state, Errand("", snapshots.SNAPSHOT, (), now), now))
    return words(answer)
