"""A lease for a moment: to read, decide and write where other processes do the same."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .contract import Lease, LeaseLost, Store, StoreBusy, VersionConflict

# Another process was faster; what was read is to be read again.
OVERTAKEN = (StoreBusy, LeaseLost, VersionConflict)


@contextmanager
def leased(store: Store, name: str, owner: str) -> Iterator[Lease]:
    """Hold a lease for the body, and give it back; StoreError, of which StoreBusy is one.

    Blocking, for a thread of its own.
    """
    lease = store.acquire(name, owner)
    try:
        yield lease
    finally:
        store.release(lease)
