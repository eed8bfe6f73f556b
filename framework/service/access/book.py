"""The records of users, tokens and ended sessions: read now and then, changed under a lease."""
from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random

from ...store.contract import Delete, Put, Store, Stored, StoreError
from ...store.leasing import OVERTAKEN, leased
from ..errors import Unavailable
from .people import Token, User

log = structlog.get_logger(__name__)

LEASE = "access"                    # no cluster may have this name: see service/base.py
USERS, TOKENS, ENDED = f"{LEASE}/users", f"{LEASE}/tokens", f"{LEASE}/ended"
FRESH_S = 3.0                       # other processes' changes are seen so late at most
TRIES = 8
R = TypeVar("R", bound=BaseModel)


class Ended(BaseModel):
    """A session that somebody has ended; forgotten when it would be over anyway."""

    id: str
    until: float


@dataclass(frozen=True, slots=True)
class Page:
    """All records at one moment."""

    users: Mapping[str, User] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)
    by_hash: Mapping[str, Token] = field(default_factory=dict)
    ended: Mapping[str, Ended] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)

    def put(self, path: str, record: BaseModel) -> Put:
        """A record to write in the place of the one that was read."""
        return Put(path, record.model_dump_json().encode(), self.versions.get(path, 0))

    def delete(self, path: str) -> Delete:
        """A record to remove."""
        return Delete(path, self.versions[path])


Change = Callable[[Page], list[Put | Delete]]


def _parsed(model: type[R], found: Mapping[str, Stored], folder: str) -> dict[str, R]:
    """Records of a folder by name; one that this version cannot read lets nobody in."""
    records = {}
    for path, stored in found.items():
        if path.startswith(f"{folder}/"):
            try:
                records[path.rsplit("/", 1)[1]] = model.model_validate_json(stored.data)
            except ValidationError as error:
                log.error("access_record_unreadable", path=path, faults=error.error_count())
    return records


def read_page(store: Store) -> Page:
    """All records; StoreError."""
    found = store.read(LEASE)
    tokens = _parsed(Token, found, TOKENS)
    return Page(_parsed(User, found, USERS), tokens,
                {token.sha256: token for token in tokens.values()},
                _parsed(Ended, found, ENDED),
                {path: stored.version for path, stored in found.items()})


class Book:
    """The records as they were a moment ago, and the only way to change them."""

    def __init__(self, store: Store, owner: str, *, fresh_s: float = FRESH_S,
                 pause_s: float = 0.2) -> None:
        self._store, self._owner = store, owner
        self._fresh_s, self._pause_s = fresh_s, pause_s
        self._changing, self._reading = asyncio.Lock(), asyncio.Lock()
        self._read_at: float | None = None
        self.page = Page()

    async def fresh(self) -> Page:
        """The records, at most ``fresh_s`` old; older ones while the store cannot be read.

        Unavailable when they were never read.
        """
        if not self._is_fresh():
            async with self._reading:
                if not self._is_fresh():
                    await self._read()
        return self.page

    def _is_fresh(self) -> bool:
        return self._read_at is not None and time.monotonic() - self._read_at < self._fresh_s

    async def _read(self) -> None:
        try:
            self.page = await asyncio.to_thread(read_page, self._store)
        except StoreError as error:
            if self._read_at is None:
                raise Unavailable(f"users and tokens cannot be read: {error}") from error
            log.warning("access_cannot_be_read", error=str(error))
        self._read_at = time.monotonic()

    async def change(self, make: Change) -> Page:
        """Write what ``make`` says of the records as they are now; the records afterwards.

        ``make`` may run again when another process was faster, and may raise a ServiceError.
        Unavailable when the store does not take it.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(OVERTAKEN),
            stop=stop_after_attempt(TRIES), wait=wait_random(0, self._pause_s), reraise=True)
        async with self._changing:
            try:
                async for attempt in retrying:
                    with attempt:
                        await asyncio.to_thread(write_once, self._store, self._owner, make)
                async with self._reading:
                    self.page = await asyncio.to_thread(read_page, self._store)
                    self._read_at = time.monotonic()
            except StoreError as error:
                raise Unavailable(f"users and tokens cannot be changed now: {error}") from error
        return self.page


def write_once(store: Store, owner: str, make: Change) -> None:
    """Take the lease, read, write, give the lease back; StoreError."""
    with leased(store, LEASE, owner) as lease:
        changes = make(read_page(store))
        if changes:
            store.write(lease, changes)
