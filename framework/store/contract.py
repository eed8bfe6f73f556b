"""What every store does, whichever it is: records with versions, fenced writes, a journal.

A record is a small blob under a path such as ``clusters/demo/nodes/node-1``. Writes are
transactions and carry a lease: who has lost it can write nothing (trap: two schedulers for one
cluster). ``tests/contract`` runs one suite against every store.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core.errors import EsaasError

MAX_RECORD_BYTES = 1_000_000        # ZooKeeper's limit for a node, kept by every store


class StoreError(EsaasError):
    """The store cannot do it now; nothing of the transaction was written."""


class StoreBusy(StoreError):
    """Another process holds the store."""


class LeaseLost(StoreError):
    """The lease is not ours any more: whoever holds it decides now."""


class OutcomeUnknown(LeaseLost):
    """The store went away with a transaction on its way, and did not come back in time.

    It was carried out, or not. The lease is given up, so that the records are read again before
    anything else is written.
    """


class VersionConflict(StoreError):
    """A record is not at the version that the writer knows."""


class RecordTooLarge(StoreError):
    """A record above the limit of the smallest store."""


class TransactionTooLarge(StoreError):
    """More in one transaction than the store can take; each record alone would fit."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was read."""

    data: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Put:
    """Write a record; ``version`` is the one that it replaces, 0 for a new one."""

    path: str
    data: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a record at a version."""

    path: str
    version: int


def check_size(change: Put | Delete) -> None:
    """RecordTooLarge for a record that not every store could keep."""
    if isinstance(change, Put) and len(change.data) > MAX_RECORD_BYTES:
        raise RecordTooLarge(f"{change.path} has {len(change.data)} bytes, "
                             f"at most {MAX_RECORD_BYTES} are allowed")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal; ``body`` is JSON."""

    at: float
    stream: str                      # "input" (what was applied), "output" (what was sent), "told"
    kind: str
    body: bytes
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction came to: new versions by path, and the number of its last entry."""

    versions: Mapping[str, int]
    last_seq: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write under one cluster; a later one has a higher epoch."""

    name: str
    owner: str
    epoch: int


class Store(Protocol):
    """Durable state of all clusters."""

    def acquire(self, name: str, owner: str) -> Lease:
        """Take the lease of a cluster; StoreBusy when another process holds it."""

    def release(self, lease: Lease) -> None:
        """Give a lease back; fine when it is lost already."""

    def held(self, lease: Lease) -> bool:
        """Whether a lease is known to be ours still; cheap, and asked before anything is sent.

        False as soon as the store was out of sight for so long that another may hold it, by a
        clock that nobody sets.
        """

    def leases(self) -> Mapping[str, str]:
        """Owners of the leases that are held now, by name."""

    def names(self) -> frozenset[str]:
        """Names of all clusters that are stored."""

    def join(self, member: str, data: bytes) -> None:
        """Be listed among the processes that share this store, until ``close``."""

    def members(self) -> Mapping[str, bytes]:
        """The data of all listed processes, by name."""

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have a callback called, on any thread, when members, leases or clusters may have changed.

        Also when the store comes out of sight or back. One store has one callback.
        """

    def read(self, prefix: str) -> Mapping[str, Stored]:
        """All records under ``prefix/``, by path; with an empty prefix all there are.

        Records of one cluster are of one moment while its lease is ours: nobody else writes them.
        """

    def write(self, lease: Lease, changes: Sequence[Put | Delete],
              entries: Sequence[Entry] = ()) -> Written:
        """All changes and journal entries or none.

        Numbers of entries ascend over all clusters; those of one transaction follow each other.
        Raises LeaseLost, OutcomeUnknown, VersionConflict, RecordTooLarge, TransactionTooLarge,
        StoreError; nothing was written then, but for OutcomeUnknown.
        """

    def journal(self, name: str | None, stream: str | None = None, after: int = 0,
                limit: int = 1000) -> list[tuple[str, Entry]]:
        """(cluster, entry), oldest first; with ``after=0`` the newest ``limit``."""

    def close(self) -> None:
        """Let go of everything."""
