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
    NeedsTold,
    ReconcileAsked,
    RemoteSeen,
)
from ..core.facts import ClusterState, EsView
from ..core.operations import Decline, Operation, Remember
from ..core.resources import Offer
from ..store.codec import RecordBook, encode_event, from_records
from ..store.contract import Entry, Lease, Store, Stored
from .chronicle import Told, tell

# Bookkeeping of one moment: learned again after a restart, so not worth a line.
_UNTOLD = (AskedFor, NeedsTold, ReconcileAsked)
_NOT_WORTH = (ErrandProgress, RemoteSeen)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn came to; ``operations`` are stored and have to be sent now."""

    operations: tuple[Operation, ...]
    told: tuple[tuple[int, Told], ...]
    decision: Decision


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
    def create(cls, store: Store, lease: Lease, state: ClusterState, at: float) -> Cycle:
        """A new cluster, stored before anything else happens; StoreError when it cannot be."""
        cycle = cls(state, store, lease, RecordBook(state.identity.name, {}))
        told = Told("created", f"{state.identity.name} is wanted by {state.identity.tenant}")
        cycle._commit(state, [], [told], at)
        return cycle

    def turn(self, events: Sequence[Event], offers: Sequence[Offer], now: float) -> Turn:
        """Fold, decide, commit.

        Raises InvariantBroken before anything is stored, StoreError when nothing could be: then
        the state is as before, and the same events may be given again.
        """
        state = self.state
        for event in events:
            state = apply(state, event)
        invariants.check(state)
        decision = decide(state, offers, now)
        invariants.check(decision.state)
        check_operations(state, decision.operations)
        told = list(tell(self.state, decision.state))
        last = self._commit(decision.state, self._entries(events, decision, now), told, now)
        numbered = tuple(enumerate(told, start=last - len(told) + 1))
        return Turn(decision.operations, numbered, decision)

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

    def _commit(self, state: ClusterState, entries: list[Entry], told: list[Told],
                now: float) -> int:
        """Store what differs; the number of the last line that was written."""
        changes = self.book.changes(state)
        lines = entries + [_told_entry(item, now) for item in told]
        last = 0
        if changes or lines:
            written = self.store.write(self.lease, changes, lines)
            self.book.stored(state, changes, written.versions)
            last = written.last_seq
        self.state = state
        return last

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


