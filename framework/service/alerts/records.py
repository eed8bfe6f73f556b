"""Alerts, their history and what is still to be sent, as records: one ledger a cluster.

A ledger is written under the lease of its cluster, so only the process that runs the cluster writes
it, and whoever takes the cluster over goes on with it. What changes together is one transaction:
no alert fires on record without its notification, and the other way round.
"""
from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ...core.alerts.machine import Alert, Key, Phase, Severity
from ...core.alerts.routing import PLATFORM
from ...store.contract import Delete, Lease, Put, Store, Stored, StoreError
from .views import AlertEvent

FOLDER = "alerts"
STATE, HISTORY, OUTBOX = "state", "history", "outbox."
HISTORY_KEEP = 200                      # lines of a cluster
MAX_ALERTS = 1000                       # of a cluster: its record stays below the store's limit
MAX_TEXT = 400

_ALERTS: TypeAdapter[list[Alert]] = TypeAdapter(list[Alert])
_EVENTS: TypeAdapter[list[AlertEvent]] = TypeAdapter(list[AlertEvent])


class Outgoing(BaseModel):
    """A notification on its way to one sink; ``id`` is the same at every try."""

    model_config = ConfigDict(frozen=True)

    id: str
    sink: str
    group: str
    at: float
    expires: float
    body: str                           # JSON, as it is sent

    @property
    def key(self) -> str:
        """Of its record."""
        return f"{OUTBOX}{self.id}.{self.sink}"


def new_id() -> str:
    """Of a notification or a silence."""
    return uuid.uuid4().hex[:16]


def alert_id(group: str, key: Key) -> str:
    """A short name of an alert that stays the same."""
    return hashlib.sha256("\0".join((group, *key)).encode()).hexdigest()[:12]


class Ledger:
    """What is on record of one cluster's alerts. One writer at a time: hold ``lock``."""

    def __init__(self, store: Store, lease: Lease, group: str) -> None:
        self.lease, self.group = lease, group
        self._store = store
        self.alerts: Mapping[Key, Alert] = {}
        self.history: tuple[AlertEvent, ...] = ()
        self.outbox: dict[str, Outgoing] = {}
        self._versions: dict[str, int] = {}
        self.lock = asyncio.Lock()

    async def load(self) -> None:
        """Read what is there; StoreError, also for a record that cannot be understood."""
        found = await asyncio.to_thread(self._store.read, f"{FOLDER}/{self.group}")
        self._versions = {path.rpartition("/")[2]: one.version for path, one in found.items()}
        self.alerts, self.history, outbox = parsed(self.group, found)
        self.outbox = {one.key: one for one in outbox}

    async def commit(self, alerts: Mapping[Key, Alert], events: Iterable[AlertEvent] = (),
                     outgoing: Iterable[Outgoing] = ()) -> None:
        """Store what came of an evaluation, or nothing of it; StoreError."""
        new, lines = list(outgoing), tuple(events)
        changes: list[Put | Delete] = [
            self._put(STATE, _ALERTS.dump_json(list(alerts.values())))]
        history = (*self.history, *lines)[-HISTORY_KEEP:]
        if lines:
            changes.append(self._put(HISTORY, _EVENTS.dump_json(list(history))))
        changes += [self._put(one.key, one.model_dump_json().encode()) for one in new]
        await self._write(changes)
        self.alerts, self.history = alerts, history
        self.outbox |= {one.key: one for one in new}

    async def sent(self, outgoing: Outgoing) -> None:
        """Forget a notification that has arrived, or never will; StoreError."""
        if outgoing.key in self.outbox:
            await self._write([Delete(self._path(outgoing.key), self._versions[outgoing.key])])
            del self.outbox[outgoing.key]

    def fresh(self, alerts: Mapping[Key, Alert]) -> None:
        """Take over newer words and figures, which are not worth a write."""
        self.alerts = alerts

    def _path(self, name: str) -> str:
        return f"{FOLDER}/{self.group}/{name}"

    def _put(self, name: str, data: bytes) -> Put:
        return Put(self._path(name), data, self._versions.get(name, 0))

    async def _write(self, changes: list[Put | Delete]) -> None:
        written = await asyncio.to_thread(self._store.write, self.lease, changes)
        for path, version in written.versions.items():
            self._versions[path.rpartition("/")[2]] = version
        for change in changes:
            if isinstance(change, Delete):
                self._versions.pop(change.path.rpartition("/")[2], None)


def parsed(group: str, found: Mapping[str, Stored],
           ) -> tuple[dict[Key, Alert], tuple[AlertEvent, ...], list[Outgoing]]:
    """Alerts, history and outbox of a cluster from its records; StoreError."""
    alerts: dict[Key, Alert] = {}
    history: tuple[AlertEvent, ...] = ()
    outbox: list[Outgoing] = []
    try:
        for path, stored in found.items():
            name = path.rpartition("/")[2]
            if name == STATE:
                alerts = {one.key: one for one in _ALERTS.validate_json(stored.data)}
            elif name == HISTORY:
                history = tuple(_EVENTS.validate_json(stored.data))
            elif name.startswith(OUTBOX):
                outbox.append(Outgoing.model_validate_json(stored.data))
    except ValidationError as error:
        raise StoreError(f"the alerts of {group} cannot be read") from error
    return alerts, history, outbox


def grouped(found: Mapping[str, Stored]) -> dict[str, dict[str, Stored]]:
    """Records of all groups, by group."""
    groups: dict[str, dict[str, Stored]] = {}
    for path, stored in found.items():
        groups.setdefault(path.split("/")[1], {})[path] = stored
    return groups


def loud(alerts: Iterable[Alert]) -> tuple[int, int]:
    """(critical, warning): how many fire that nobody looks after."""
    severities = [one.severity for one in alerts
                  if one.phase is Phase.FIRING and one.ack is None]
    return severities.count(Severity.CRITICAL), severities.count(Severity.WARNING)


def bounded(alerts: Mapping[Key, Alert]) -> dict[Key, Alert]:
    """At most so many, the oldest kept, with texts of a bounded length."""
    kept = sorted(alerts.values(), key=lambda one: (one.phase.value, one.since))[:MAX_ALERTS]
    return {one.key: one if len(one.text) <= MAX_TEXT else replace(
        one, text=f"{one.text[:MAX_TEXT]}...") for one in kept}


def shown_group(group: str) -> str:
    """The name of a cluster; empty for the platform."""
    return "" if group == PLATFORM else group
