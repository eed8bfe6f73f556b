"""Releases on record: who released which commit of which repository, and what came of it.

Whoever releases reads the repository and changes clusters by the ordinary doors; it says here what
it is about to do before it does it, and what came of each cluster after.
"""
from __future__ import annotations

import asyncio
import secrets
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random

from ..core.errors import Fault
from ..core.spec import Name, faults_of
from ..store.contract import Delete, Lease, Put, RecordTooLarge, Store, StoreError
from ..store.leasing import OVERTAKEN, leased
from .errors import Conflict, Invalid, NotFound, Unavailable

log = structlog.get_logger(__name__)

FOLDER, FOLLOWERS, LEASE = "releases", "followers", "_releases"
KEPT = 300                          # the oldest are forgotten
MAX_FOLLOWERS = 100
PATIENCE_S = 10.0
T = TypeVar("T")
Text = Field("", max_length=500)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReleasedCluster(_Model):
    """One cluster of a release: what is to be done, then what came of it."""

    cluster: Name
    tenant: Name
    action: Literal["create", "update", "same", "roll_back"]
    spec: dict[str, Any] | None = Field(None, description="what it is to be; nothing: a revision "
                                        "before")
    revision_before: int | None = Field(None, ge=1, description="to go back to; nothing: it was "
                                        "not there")
    changes: tuple[str, ...] = Field((), max_length=1000)
    outcome: Literal["pending", "done", "same", "refused", "skipped"] = "pending"
    revision: int | None = Field(None, ge=1)
    message: str = Field("", max_length=5000)


class ReleaseRequest(_Model):
    """A release that is about to begin."""

    kind: Literal["release", "repeat", "roll_back"] = "release"
    of: str = Field("", max_length=40, description="the release that is repeated or taken back")
    repository: str = Field("", max_length=1000, examples=["https://git.example.org/es.git"])
    ref: str = Text
    commit: str = Field("", pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?$")
    commit_author: str = Text
    commit_subject: str = Text
    committed_at: float | None = None
    environment: str = Text
    groups: tuple[Name, ...] = Field((), description="nothing: all")
    clusters: tuple[ReleasedCluster, ...] = Field(min_length=1, max_length=500)


class Release(ReleaseRequest):
    """A release on record."""

    id: str
    by: str
    at: float
    ended_at: float | None = None

    @property
    def status(self) -> str:
        """Of all its clusters together."""
        outcomes = {one.outcome for one in self.clusters}
        if "pending" in outcomes:
            return "running"
        if outcomes & {"refused", "skipped"}:
            return "failed"
        return "same" if outcomes == {"same"} else "done"


class OutcomeRequest(_Model):
    """What came of one cluster."""

    cluster: Name
    outcome: Literal["done", "same", "refused", "skipped"]
    revision: int | None = Field(None, ge=1)
    message: str = Field("", max_length=5000)


class ReleaseView(BaseModel):
    """A release for people; ``specs`` only when one is asked for by its id."""

    model_config = ConfigDict(frozen=True)

    release: Release
    status: Literal["running", "done", "same", "failed"]


class FollowerRequest(_Model):
    """What a follower of a branch has seen last."""

    repository: str = Field(max_length=1000)
    ref: str = Text
    environment: str = Text
    mode: Literal["report", "apply"]
    commit: str = Field("", pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?$")
    every_s: float = Field(60.0, ge=1, le=86400)
    tenants: tuple[Name, ...] = Field((), max_length=1000, description="whose clusters are in it")
    drift: dict[Name, tuple[str, ...]] = Field({}, max_length=500, description="by cluster, what "
                                               "differs from the branch")
    problem: str = Field("", max_length=5000)


class Follower(FollowerRequest):
    """A follower on record."""

    name: Name
    by: str
    at: float


class Releases:
    """The part of ``ClusterService`` that keeps releases."""

    _store: Store
    _instance: str

    @abstractmethod
    def _tenant_of(self, name: str) -> str | None:
        """Whose cluster it is."""

    async def releases(self) -> list[Release]:
        """All on record, newest first, without their specs; Unavailable."""
        found = await asyncio.to_thread(self._read_releases)
        return [_without_specs(one) for one in found]

    async def release(self, ident: str) -> Release:
        """One, whole; NotFound."""
        found = await asyncio.to_thread(self._read_releases)
        for one in found:
            if one.id == ident:
                return one
        raise NotFound(f"no release is called {ident!r}")

    async def begin_release(self, wanted: ReleaseRequest, by: str) -> Release:
        """Put a release on record before anything is changed; Invalid, Unavailable."""
        faults = [Fault(f"clusters[{index}].tenant", f"{one.cluster} is of another tenant",
                        "tenant_of_cluster") for index, one in enumerate(wanted.clusters)
                  if self._tenant_of(one.cluster) not in (None, one.tenant)]
        names = [one.cluster for one in wanted.clusters]
        if len(set(names)) < len(names):
            faults.append(Fault("clusters", "a cluster is named twice", "named_once"))
        faults += [Fault(f"clusters[{index}].outcome", "nothing has come of it yet", "pending")
                   for index, one in enumerate(wanted.clusters) if one.outcome != "pending"]
        if faults:
            raise Invalid("this release cannot begin", faults)
        now = time.time()
        made = Release(**wanted.model_dump(), id=f"{int(now * 1000)}-{secrets.token_hex(2)}", by=by,
                       at=now)

        def store(lease: Lease) -> Release:
            known = sorted(self._store.read(FOLDER).items())
            forgotten = known[:max(len(known) + 1 - KEPT, 0)]
            self._store.write(lease, [Put(_path(made.id), made.model_dump_json().encode(), 0), *(
                Delete(path, stored.version) for path, stored in forgotten)])
            return made
        return await self._changed_releases(store)

    async def release_outcome(self, ident: str, outcome: OutcomeRequest) -> Release:
        """Say what came of a cluster; NotFound, Conflict when that was said already."""
        def store(lease: Lease) -> Release:
            stored = self._store.read(FOLDER).get(_path(ident))
            if stored is None:
                raise NotFound(f"no release is called {ident!r}")
            old = Release.model_validate_json(stored.data)
            if outcome.cluster not in {one.cluster for one in old.clusters}:
                raise NotFound(f"release {ident} has no cluster {outcome.cluster!r}")
            new = _with_outcome(old, outcome)
            self._store.write(lease, [Put(_path(ident), new.model_dump_json().encode(),
                                          stored.version)])
            return new
        return await self._changed_releases(store)

    async def followers(self) -> list[Follower]:
        """Whoever follows a branch, by name; Unavailable."""
        try:
            found = await asyncio.to_thread(self._store.read, FOLLOWERS)
        except StoreError as error:
            raise Unavailable(f"followers cannot be read: {error}") from error
        return [Follower.model_validate_json(stored.data) for _, stored in sorted(found.items())]

    async def follower_seen(self, name: str, seen: FollowerRequest, by: str) -> Follower:
        """What a follower has seen; Conflict when there are too many."""
        try:
            made = Follower(**seen.model_dump(), name=name, by=by, at=time.time())
        except ValidationError as error:
            raise Invalid("this is no name of a follower", faults_of(error)) from error

        def store(lease: Lease) -> Follower:
            known = self._store.read(FOLLOWERS)
            path = f"{FOLLOWERS}/{name}"
            if path not in known and len(known) >= MAX_FOLLOWERS:
                raise Conflict(f"there are {MAX_FOLLOWERS} followers already; remove one")
            version = known[path].version if path in known else 0
            self._store.write(lease, [Put(path, made.model_dump_json().encode(), version)])
            return made
        return await self._changed_releases(store)

    async def remove_follower(self, name: str) -> None:
        """Forget a follower; NotFound."""
        def store(lease: Lease) -> None:
            stored = self._store.read(FOLLOWERS).get(f"{FOLLOWERS}/{name}")
            if stored is None:
                raise NotFound(f"no follower is called {name!r}")
            self._store.write(lease, [Delete(f"{FOLLOWERS}/{name}", stored.version)])
        await self._changed_releases(store)

    def _read_releases(self) -> list[Release]:
        try:
            found = self._store.read(FOLDER)
        except StoreError as error:
            raise Unavailable(f"releases cannot be read: {error}") from error
        releases = []
        for path, stored in sorted(found.items(), reverse=True):
            try:
                releases.append(Release.model_validate_json(stored.data))
            except ValidationError as error:
                log.error("release cannot be read", path=path, faults=error.error_count())
        return releases

    async def _changed_releases(self, change: Callable[[Lease], T]) -> T:
        def work() -> T:
            with leased(self._store, LEASE, self._instance) as lease:
                return change(lease)
        try:
            async for attempt in AsyncRetrying(
                    retry=retry_if_exception_type(OVERTAKEN), wait=wait_random(0, 0.2),
                    stop=stop_after_delay(PATIENCE_S), reraise=True):
                with attempt:
                    return await asyncio.to_thread(work)
        except RecordTooLarge as error:
            raise Invalid("this release is too large for one record", [
                Fault("clusters", "release fewer clusters at once", "record_size")]) from error
        except StoreError as error:
            raise Unavailable(f"releases cannot be stored now: {error}") from error
        raise AssertionError("tenacity either returns or raises")


def _path(ident: str) -> str:
    return f"{FOLDER}/{ident}"


def _without_specs(one: Release) -> Release:
    return one.model_copy(update={"clusters": tuple(
        item.model_copy(update={"spec": None}) for item in one.clusters)})


def _with_outcome(old: Release, outcome: OutcomeRequest) -> Release:
    """The release with what came of one cluster; the same again changes nothing."""
    clusters = []
    for one in old.clusters:
        if one.cluster != outcome.cluster:
            clusters.append(one)
            continue
        if one.outcome not in ("pending", outcome.outcome):
            raise Conflict(f"{one.cluster} of release {old.id} is {one.outcome} already")
        clusters.append(one.model_copy(update=outcome.model_dump(exclude={"cluster"})))
    ended = all(one.outcome != "pending" for one in clusters)
    return old.model_copy(update={"clusters": tuple(clusters), "ended_at": (
        old.ended_at or time.time()) if ended else None})
