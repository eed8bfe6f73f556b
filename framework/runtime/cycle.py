"""One turn of a cluster's loop: apply -> check -> decide -> check -> commit.

Gives back what to send, only after it is stored. Nothing here waits or talks to Mesos, so stories
and the simulator run the very same code.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from ..core import invariants
from ..core.apply import apply
from ..core.checks import check_operations
from ..core.decide import Decision, decide
from ..core.events import (
    AskedFor,
    ErrandProgress,
    EsObserved,
    Event,
    LogTargetSeen,
    NeedsTold,
    ReconcileAsked,
    RemoteSeen,
)
from ..core.facts import ClusterState, EsView
from ..core.operations import Decline, Operation, Remember
from ..core.resources import Offer
from ..store.codec import RecordBook, encode_event, from_records
from ..store.contract import Delete, Entry, Lease, Put, Store, Stored
from .chronicle import Told, tell

# Bookkeeping of one moment: learned again after a restart, so not worth a line.
_UNTOLD = (AskedFor, NeedsTold, ReconcileAsked)
_NOT_WORTH = (ErrandProgress, RemoteSeen, LogTargetSeen)
NOTHING_BESIDE: Mapping[str, bytes] = {}


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn came to; ``operations`` are stored and have to be sent now."""

    operations: tuple[Operation, ...]
    told: tuple[tuple[int, Told], ...]
    decision: Decision


@dataclass(frozen=True, slots=True)
class Prepared:
    """A turn that is decided and not stored yet."""

    changes: list[Put | Delete]
    lines: list[Entry]
    told: tuple[Told, ...]
    decision: Decision

    @property
    def writes(self) -> bool:
        """Whether there is anything to store."""
        return bool(self.changes or self.lines)


@dataclass(slots=True)
class Cycle:
    """The state of one cluster, and the store behind it."""

    state: ClusterState
    store: Store
    lease: Lease
    book: RecordBook
    last_view: EsView | None = None

    @classmethod
    def load(cls, store: Store, lease: Lease, name: str,
             records: Mapping[str, Stored]) -> Cycle:
        """The cluster as it was stored; CodecError when its records cannot be read."""
        return cls(from_records(records, name), store, lease, RecordBook(name, records))

    @classmethod
    def create(cls, store: Store, lease: Lease, state: ClusterState, at: float,
               beside: Mapping[str, bytes] = NOTHING_BESIDE, override: str = "") -> Cycle:
        """A new cluster, stored before anything else happens; StoreError when it cannot be.

        ``beside``: records beside its facts, by path, in the same transaction.
        ``override``: the rule that people have overruled for it.
        """
        cycle = cls(state, store, lease, RecordBook(state.identity.name, {}))
        told = Told("created", f"{state.identity.name} is wanted by {state.identity.tenant}"
                    + (f" (overriding {override})" if override else ""))
        changes = [*cycle.book.changes(state), *(
            cycle.book.put(path, data) for path, data in beside.items())]
        written = store.write(lease, changes, [_told_entry(told, at)])
        cycle.book.stored(state, changes, written.versions)
        return cycle

    def turn(self, events: Sequence[Event], offers: Sequence[Offer], now: float) -> Turn:
        """Fold, decide, commit: ``prepare`` and ``commit`` in one.

        Raises InvariantBroken before anything is stored, StoreError when nothing could be: then
        the state is as before, and the same events may be given again.
        """
        return self.commit(self.prepare(events, offers, now))

    def prepare(self, events: Sequence[Event], offers: Sequence[Offer], now: float) -> Prepared:
        """Fold and decide; nothing is stored, and the state is as before."""
        state = self.state
        for event in events:
            state = apply(state, event)
        invariants.check(state)
        decision = decide(state, offers, now)
        invariants.check(decision.state)
        check_operations(state, decision.operations)
        told = tuple(tell(self.state, decision.state))
        lines = self._entries(events, decision, now) + [_told_entry(item, now) for item in told]
        return Prepared(self.book.changes(decision.state), lines, told, decision)

    def commit(self, prepared: Prepared) -> Turn:
        """Store a turn; from then on its state is the state. Runs on any thread, one at a time."""
        decision, told, last = prepared.decision, prepared.told, 0
        if prepared.writes:
            written = self.store.write(self.lease, prepared.changes, prepared.lines)
            self.book.stored(decision.state, prepared.changes, written.versions)
            last = written.last_seq
        self.state = decision.state
        return Turn(decision.operations,
                    tuple(enumerate(told, start=last - len(told) + 1)), decision)

    def put(self, path: str, data: bytes) -> None:
        """Write a record of the cluster beside its facts; StoreError when it cannot be done."""
        change = self.book.put(path, data)
        written = self.store.write(self.lease, [change], [])
        self.book.wrote([change], written.versions)

    def forget(self) -> None:
        """Remove every record of a cluster that is gone."""
        told = Told("forgotten", f"{self.state.identity.name} is gone")
        self.store.write(self.lease, self.book.removal(),
                         [_told_entry(told, self.state.link.since)])

    def _entries(self, events: Sequence[Event], decision: Decision, now: float) -> list[Entry]:
        lines = [_entry("input", _slim(event)) for event in events if self._worth(event)]
        for operation in decision.operations:
            if isinstance(operation, Decline):
                continue
            kept = [event for event in operation.intents if not isinstance(event, _UNTOLD)]
            lines += [_entry("intent", event) for event in kept]
            if not isinstance(operation, Remember):
                lines.append(Entry(now, "output", type(operation).__name__,
                                   orjson.dumps({"intents": len(kept)})))
        return lines

    def _worth(self, event: Event) -> bool:
        if not isinstance(event, EsObserved):
            return not isinstance(event, _NOT_WORTH)
        before, self.last_view = self.last_view, event.view
        return before is None or _moved(before, event.view)


def _slim(event: Event) -> Event:
    """A look without the list of every copy, which would fill the journal of a large cluster."""
    if not isinstance(event, EsObserved):
        return event
    return replace(event, view=replace(event.view, copies=None, incomplete=frozenset(),
                                       lone=frozenset()))


def _moved(old: EsView, new: EsView) -> bool:
    return (old.health, old.master, old.cluster_uuid, old.nodes.keys()) != (
        new.health, new.master, new.cluster_uuid, new.nodes.keys())


def _entry(stream: str, event: Event) -> Entry:
    kind, body = encode_event(event)
    return Entry(event.at, stream, kind, body)


def _told_entry(told: Told, at: float) -> Entry:
    return Entry(at, "told", told.kind, orjson.dumps(
        {"message": told.message, "level": told.level, "node": told.node,
         "details": told.details}))


