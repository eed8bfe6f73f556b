"""Facts and events as JSON with a kind and a version, and back.

A record of an older version is migrated step by step when it is read; one of a newer version is
refused, because an older service must not write over what it does not understand.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter

from ..core import events
from ..core.errors import EsaasError
from ..core.facts import (
    Bootstrap,
    Canary,
    ClusterState,
    Errand,
    HostPlan,
    Identity,
    Layered,
    NodeRecord,
    Scaled,
    Secret,
    Seeds,
    SnapshotMemory,
    Switch,
    Tls,
)
from ..core.spec import ClusterSpec
from .contract import Delete, Put, Stored

T = TypeVar("T")
VERSION = 1
# (kind, version) -> function from that version's body to the next version's.
MIGRATIONS: Mapping[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}


class CodecError(EsaasError):
    """A record that this version of the service cannot read."""


@dataclass(frozen=True, slots=True)
class Meta:
    """The durable facts of a cluster beside its nodes."""

    identity: Identity
    revision: int
    bootstrap: Bootstrap
    seeds: Seeds
    gone: dict[str, int]
    deleting: bool
    removed: bool
    excluded: tuple[str, ...] = ()
    excluded_votes: tuple[str, ...] = ()
    held_allocation: Layered | None = None
    paused: bool = False
    settled: int | None = None          # a revision; its spec has a record of its own
    setback: str = ""
    canary: Canary | None = None
    approved: int = 0
    switches: dict[str, Switch] = dataclasses.field(default_factory=dict)
    errands: tuple[Errand, ...] = ()
    secrets: dict[str, Secret] = dataclasses.field(default_factory=dict)
    live_keys: tuple[str, ...] = ()
    raised_delays: bool = False
    replaced_at: tuple[float, ...] = ()
    maintenance: dict[str, HostPlan] = dataclasses.field(default_factory=dict)
    tls: Tls | None = None
    snapshots: SnapshotMemory | None = None
    scaled: dict[str, Scaled] = dataclasses.field(default_factory=dict)
    doubts: dict[str, float] = dataclasses.field(default_factory=dict)


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type) -> TypeAdapter[Any]:
    found = _ADAPTERS.get(kind)
    if found is None:
        found = _ADAPTERS[kind] = TypeAdapter(kind)
    return found


def encode(value: Any) -> bytes:
    """A dataclass or model of the core as bytes; equal values give equal bytes."""
    body = _adapter(type(value)).dump_python(value, mode="json")
    return orjson.dumps({"kind": type(value).__name__, "v": VERSION, "body": body},
                        option=orjson.OPT_SORT_KEYS)


def decode(data: bytes, kind: type[T]) -> T:
    """The value of a kind; CodecError when it is of another kind, too new, or broken."""
    try:
        envelope = orjson.loads(data)
        version, body = envelope["v"], envelope["body"]
        if envelope["kind"] != kind.__name__:
            raise CodecError(f"a record of kind {envelope['kind']}, not {kind.__name__}")
        if version > VERSION:
            raise CodecError(f"a {kind.__name__} of version {version} was written by a newer "
                             f"service; this one knows {VERSION}")
        while version < VERSION:
            body = MIGRATIONS[kind.__name__, version](body)
            version += 1
        value: T = _adapter(kind).validate_python(body)
        return value
    except (KeyError, TypeError, ValueError) as error:
        raise CodecError(f"a broken {kind.__name__}: {error}") from error


def cluster_path(name: str) -> str:
    """Where the records of a cluster are."""
    return f"clusters/{name}"


def to_records(state: ClusterState) -> dict[str, bytes]:
    """The durable part of a state: one record per node, one for the rest, one per revision."""
    base = cluster_path(state.identity.name)
    meta = Meta(state.identity, state.revision, state.bootstrap, state.seeds, dict(state.gone),
                state.deleting, state.removed, state.excluded, state.excluded_votes,
                state.held_allocation, state.paused,
                settled=state.settled[0] if state.settled else None, canary=state.canary,
                setback=state.setback, approved=state.approved,
                switches=dict(state.switches), errands=state.errands,
                secrets=dict(state.secrets), live_keys=state.live_keys,
                raised_delays=state.raised_delays, replaced_at=state.replaced_at,
                maintenance=dict(state.maintenance), tls=state.tls,
                snapshots=state.snapshots, scaled=dict(state.scaled),
                doubts=dict(state.doubts))
    return {f"{base}/meta": encode(meta),
            **{f"{base}/specs/{revision:08d}": encode(spec) for revision, spec in (
                *((state.settled,) if state.settled else ()), (state.revision, state.spec))},
            **{f"{base}/nodes/{name}": encode(record) for name, record in state.nodes.items()}}


def from_records(records: Mapping[str, Stored], name: str) -> ClusterState:
    """The state that the records of a cluster make up; CodecError when something is missing."""
    base = cluster_path(name)
    if f"{base}/meta" not in records:
        raise CodecError(f"cluster {name} has no meta record")
    meta = decode(records[f"{base}/meta"].data, Meta)
    spec_path = f"{base}/specs/{meta.revision:08d}"
    if spec_path not in records:
        raise CodecError(f"cluster {name} has no spec of revision {meta.revision}")
    state = ClusterState(meta.identity, decode(records[spec_path].data, ClusterSpec),
                         meta.revision, meta.bootstrap, seeds=meta.seeds, gone=dict(meta.gone),
                         deleting=meta.deleting, removed=meta.removed, excluded=meta.excluded,
                         excluded_votes=meta.excluded_votes,
                         held_allocation=meta.held_allocation, paused=meta.paused,
                         settled=_settled(records, base, meta), canary=meta.canary,
                         setback=meta.setback,
                         approved=meta.approved, switches=meta.switches, errands=meta.errands,
                         secrets=meta.secrets, live_keys=meta.live_keys,
                         raised_delays=meta.raised_delays, replaced_at=meta.replaced_at,
                         maintenance=meta.maintenance, tls=meta.tls,
                         snapshots=meta.snapshots, scaled=meta.scaled, doubts=meta.doubts)
    for path, stored in sorted(records.items()):
        if path.startswith(f"{base}/nodes/"):
            state = state.with_node(decode(stored.data, NodeRecord))
    return state


def _settled(records: Mapping[str, Stored], base: str,
             meta: Meta) -> tuple[int, ClusterSpec] | None:
    """The last revision in force; None when there is none to go back to."""
    stored = records.get(f"{base}/specs/{meta.settled:08d}") if meta.settled else None
    return (meta.settled, decode(stored.data, ClusterSpec)) if meta.settled and stored else None


class RecordBook:
    """Remembers what of a cluster is stored, and gives the changes that a new state makes."""

    def __init__(self, name: str, records: Mapping[str, Stored]) -> None:
        self.name = name
        self._stored = dict(records)
        self._last: ClusterState | None = None

    def changes(self, state: ClusterState) -> list[Put | Delete]:
        """Only what differs; nodes whose record is the same object are not encoded again."""
        base = cluster_path(self.name)
        fresh: dict[str, bytes] = {}
        last = self._last
        for name, record in state.nodes.items():
            if last is None or last.nodes.get(name) is not record:
                fresh[f"{base}/nodes/{name}"] = encode(record)
        if last is None or _meta_differs(last, state):
            fresh |= dict(to_records(
                dataclasses.replace(state, nodes={})).items())
        found: list[Put | Delete] = []
        for path, data in fresh.items():
            old = self._stored.get(path)
            if old is None or old.data != data:
                found.append(Put(path, data, old.version if old else 0))
        for path, old in self._stored.items():
            gone = path.removeprefix(f"{base}/nodes/")
            if gone != path and gone not in state.nodes:
                found.append(Delete(path, old.version))
        return found

    def stored(self, state: ClusterState, changes: list[Put | Delete],
               versions: Mapping[str, int]) -> None:
        """Take note of a write of this state that succeeded."""
        self.wrote(changes, versions)
        self._last = state

    def read(self, path: str) -> bytes | None:
        """A record as it is stored; None when there is none."""
        stored = self._stored.get(path)
        return stored.data if stored is not None else None

    def put(self, path: str, data: bytes) -> Put:
        """The change that writes one record."""
        old = self._stored.get(path)
        return Put(path, data, old.version if old is not None else 0)

    def wrote(self, changes: Sequence[Put | Delete], versions: Mapping[str, int]) -> None:
        """Take note of records that were written."""
        for change in changes:
            if isinstance(change, Delete):
                del self._stored[change.path]
            else:
                self._stored[change.path] = Stored(change.data, versions[change.path])

    def specs(self) -> dict[int, ClusterSpec]:
        """Every revision of the spec that is stored."""
        base = f"{cluster_path(self.name)}/specs/"
        return {int(path.removeprefix(base)): decode(stored.data, ClusterSpec)
                for path, stored in self._stored.items() if path.startswith(base)}

    def spec_of(self, revision: int) -> ClusterSpec | None:
        """The spec of one revision; None when there is none."""
        stored = self._stored.get(f"{cluster_path(self.name)}/specs/{revision:08d}")
        return decode(stored.data, ClusterSpec) if stored is not None else None

    def removal(self) -> list[Put | Delete]:
        """The changes that forget the cluster."""
        return [Delete(path, stored.version) for path, stored in self._stored.items()]


def _meta_differs(old: ClusterState, new: ClusterState) -> bool:
    return any(getattr(old, field) != getattr(new, field) for field in (
        "identity", "revision", "bootstrap", "seeds", "gone", "deleting", "removed", "spec",
        "excluded", "excluded_votes", "held_allocation", "paused", "settled", "setback", "canary",
        "approved", "switches", "errands", "secrets", "live_keys", "raised_delays",
        "replaced_at", "maintenance", "tls", "snapshots", "scaled", "doubts"))


# Events that are worth a line in the journal; the others are bookkeeping of one moment.
EVENTS: Mapping[str, type[events.Event]] = {
    item.__name__: item for item in vars(events).values()
    if isinstance(item, type) and issubclass(item, events.Event) and item is not events.Event}


def encode_event(event: events.Event) -> tuple[str, bytes]:
    """(kind, JSON) of an event for the journal."""
    body = _adapter(type(event)).dump_python(event, mode="json")
    return type(event).__name__, orjson.dumps(body)


def decode_event(kind: str, body: bytes) -> events.Event:
    """The event of a line of the journal; CodecError when it cannot be read."""
    try:
        event: events.Event = _adapter(EVENTS[kind]).validate_python(orjson.loads(body))
        return event
    except (KeyError, ValueError) as error:
        raise CodecError(f"a broken {kind} in the journal: {error}") from error
