"""A stand-in for the store: its contract in memory, with failures on request.

Records are bytes of the real codec, as in every store. One process of the simulation may take the
lease of another, as it can with a store that several processes share.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from esaas.framework.store.contract import (
    Delete,
    Entry,
    Lease,
    LeaseLost,
    Put,
    Stored,
    StoreError,
    VersionConflict,
    Written,
    check_size,
)


class StandInStore:
    """Fulfils ``contract.Store`` in memory; ``fails`` is asked before every write."""

    def __init__(self, directory: Path | None = None,
                 fails: Callable[[], bool] = lambda: False, keeps_journal: bool = True) -> None:
        self.records: dict[str, Stored] = {}
        self.lines: list[tuple[str, Entry]] = []
        self.written = 0
        self._epochs: dict[str, int] = {}
        self._owners: dict[str, str] = {}
        self._members: dict[str, bytes] = {}
        self._fails, self._keeps_journal = fails, keeps_journal

    def acquire(self, name: str, owner: str) -> Lease:
        """Take the lease over; whoever had it can write no more."""
        self._epochs[name] = self._epochs.get(name, 0) + 1
        self._owners[name] = owner
        return Lease(name, owner, self._epochs[name])

    def release(self, lease: Lease) -> None:
        """Give a lease back."""
        if self._epochs.get(lease.name) == lease.epoch:
            self._epochs[lease.name] += 1
            del self._owners[lease.name]

    def held(self, lease: Lease) -> bool:
        """Whether it is the last one."""
        return self._owners.get(lease.name) is not None and (
            self._epochs[lease.name] == lease.epoch)

    def leases(self) -> Mapping[str, str]:
        """Owners by name."""
        return dict(self._owners)

    def names(self) -> frozenset[str]:
        """From the meta records."""
        return frozenset(path.split("/")[1] for path in self.records
                         if path.startswith("clusters/") and path.endswith("/meta"))

    def join(self, member: str, data: bytes) -> None:
        """One more member."""
        self._members[member] = data

    def members(self) -> Mapping[str, bytes]:
        """All who have joined."""
        return dict(self._members)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Nobody waits for a change in simulated time."""

    def read(self, prefix: str) -> Mapping[str, Stored]:
        """All records under ``prefix/``; all of them for an empty one."""
        low = prefix.rstrip("/") + "/" if prefix else ""
        return {path: stored for path, stored in self.records.items() if path.startswith(low)}

    def write(self, lease: Lease, changes: Sequence[Put | Delete],
              entries: Sequence[Entry] = ()) -> Written:
        """All or nothing; see the contract."""
        if self._epochs.get(lease.name) != lease.epoch:
            raise LeaseLost(f"the lease of {lease.name} with epoch {lease.epoch} is lost")
        if self._fails():
            raise StoreError("the store refuses a transaction (simulated)")
        for change in changes:
            self._check(change)
        versions = {}
        for change in changes:
            if isinstance(change, Delete):
                del self.records[change.path]
                versions[change.path] = 0
            else:
                versions[change.path] = change.version + 1
                self.records[change.path] = Stored(change.data, change.version + 1)
        for entry in entries:
            self.written += 1
            if self._keeps_journal:
                self.lines.append((lease.name, Entry(
                    entry.at, entry.stream, entry.kind, entry.body, self.written)))
        return Written(versions, self.written)

    def _check(self, change: Put | Delete) -> None:
        check_size(change)
        stored = self.records.get(change.path)
        found = stored.version if stored is not None else 0
        if found != change.version:
            raise VersionConflict(f"{change.path} is at version {found}, not {change.version}")

    def journal(self, name: str | None, stream: str | None = None, after: int = 0,
                limit: int = 1000) -> list[tuple[str, Entry]]:
        """Lines of the journal, oldest first; see the contract."""
        found = [(cluster, entry) for cluster, entry in self.lines
                 if entry.seq > after and name in (None, cluster) and stream in (
                     None, entry.stream)]
        return found[:limit] if after else found[-limit:]

    def close(self) -> None:
        """Nothing to let go of."""
