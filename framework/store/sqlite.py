"""The embedded store: one SQLite file, one process.

Every write is one transaction with ``synchronous=FULL``, so what was committed survives a kill -9
and a power cut. A lock on a file beside it keeps a second process out.
"""
from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .contract import (
    Delete,
    Entry,
    Lease,
    LeaseLost,
    Put,
    StoreBusy,
    Stored,
    StoreError,
    VersionConflict,
    Written,
    check_size,
)

JOURNAL_KEEP = 20_000               # lines per cluster
_TRIM_EVERY = 500

# From the layout of a version to the next, each step one transaction. An empty file, and one from
# before versions were written, is at 0.
MIGRATIONS: Mapping[int, str] = {0: """
CREATE TABLE IF NOT EXISTS records (
    path TEXT PRIMARY KEY, version INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    name TEXT PRIMARY KEY, owner TEXT NOT NULL, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, at REAL NOT NULL,
    stream TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS journal_by_name ON journal (name, stream, seq);
"""}


class SqliteStore:
    """Fulfils ``contract.Store`` in one file under ``directory``.

    Raises StoreBusy when another process has it open, StoreError when it cannot be opened.
    """

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock_file = open(directory / "store.lock", "a+")  # noqa: SIM115 - held for life
        except OSError as error:
            raise StoreError(f"cannot open {directory}: {error}") from error
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock_file.close()
            raise StoreBusy(f"another esaas serve uses {directory}") from error
        self._mutex = threading.RLock()
        self._epochs: dict[str, int] = {}       # of the leases that were taken here
        self._members: dict[str, bytes] = {}
        self._since_trim: Counter[str] = Counter()
        path = directory / "esaas.sqlite3"
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            os.chmod(path, 0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._migrate()
        except (sqlite3.Error, OSError) as error:
            self._lock_file.close()
            raise StoreError(f"cannot open {path}: {error}") from error
        except StoreError:
            self.close()
            raise

    def _migrate(self) -> None:
        """Bring the layout up to date; StoreError for one of a newer service."""
        version, known = self._db.execute("PRAGMA user_version").fetchone()[0], len(MIGRATIONS)
        if version > known:
            raise StoreError(f"the store has the layout {version} of a newer service; "
                             f"this one knows {known}")
        for step in range(version, known):
            try:
                self._db.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[step]}; "
                                       f"PRAGMA user_version = {step + 1}; COMMIT")
            except sqlite3.Error:
                self._rollback()
                raise

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                self._rollback()
                raise StoreError(f"the store refused a transaction: {error}") from error
            except BaseException:
                self._rollback()
                raise

    def _rollback(self) -> None:
        with suppress(sqlite3.Error):           # the file is closed, or SQLite did it already
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _select(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._mutex:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise StoreError(f"the store cannot be read: {error}") from error

    def acquire(self, name: str, owner: str) -> Lease:
        """Take over the lease: the file's lock has shown that no other process lives."""
        with self._transaction() as db:
            row = db.execute("SELECT epoch FROM leases WHERE name = ?", (name,)).fetchone()
            lease = Lease(name, owner, (row[0] if row else 0) + 1)
            db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)",
                       (name, owner, lease.epoch))
        self._epochs[name] = lease.epoch
        return lease

    def release(self, lease: Lease) -> None:
        """Nobody holds it afterwards; its epoch stays, so that an old holder is still fenced."""
        with self._transaction() as db:
            db.execute("UPDATE leases SET owner = '', epoch = epoch + 1 "
                       "WHERE name = ? AND epoch = ?", (lease.name, lease.epoch))
        if self.held(lease):
            del self._epochs[lease.name]

    def held(self, lease: Lease) -> bool:
        """As long as the file is open: its lock keeps every other process out."""
        return self._epochs.get(lease.name) == lease.epoch

    def leases(self) -> Mapping[str, str]:
        """All are this process's."""
        rows = self._select("SELECT name, owner FROM leases WHERE owner != ''", ())
        return {name: owner for name, owner in rows if name in self._epochs}

    def names(self) -> frozenset[str]:
        """From the meta records."""
        rows = self._select("SELECT path FROM records WHERE path GLOB 'clusters/*/meta'", ())
        return frozenset(path.split("/")[1] for (path,) in rows)

    def join(self, member: str, data: bytes) -> None:
        """This process alone."""
        self._members = {member: data}

    def members(self) -> Mapping[str, bytes]:
        """This process alone."""
        return dict(self._members)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Nobody else changes anything: there is nothing to be told."""

    def read(self, prefix: str) -> Mapping[str, Stored]:
        """All records under ``prefix/``."""
        low = prefix.rstrip("/") + "/"
        rows = self._select(
            "SELECT path, version, data FROM records WHERE ?1 = '/' OR (path >= ?1 AND path < ?2)",
            (low, low[:-1] + "0"))                      # '0' is the character after '/'
        return {path: Stored(bytes(data), version) for path, version, data in rows}

    def write(self, lease: Lease, changes: Sequence[Put | Delete],
              entries: Sequence[Entry] = ()) -> Written:
        """One transaction; see the contract."""
        for change in changes:
            check_size(change)
        versions: dict[str, int] = {}
        with self._transaction() as db:
            row = db.execute("SELECT epoch FROM leases WHERE name = ?", (lease.name,)).fetchone()
            if row is None or row[0] != lease.epoch:
                raise LeaseLost(f"the lease of {lease.name} with epoch {lease.epoch} is lost")
            for change in changes:
                versions[change.path] = _change(db, change)
            db.executemany("INSERT INTO journal (name, at, stream, kind, body) "
                           "VALUES (?, ?, ?, ?, ?)",
                           [(lease.name, entry.at, entry.stream, entry.kind, entry.body)
                            for entry in entries])
            last_seq = db.execute("SELECT COALESCE(MAX(seq), 0) FROM journal").fetchone()[0]
            self._trim(db, lease.name, len(entries))
        return Written(versions, last_seq)

    def _trim(self, db: sqlite3.Connection, name: str, added: int) -> None:
        self._since_trim[name] += added
        if self._since_trim[name] >= _TRIM_EVERY:
            del self._since_trim[name]
            db.execute("DELETE FROM journal WHERE name = ?1 AND seq < (SELECT seq FROM journal "
                       "WHERE name = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
                       (name, JOURNAL_KEEP))

    def journal(self, name: str | None, stream: str | None = None, after: int = 0,
                limit: int = 1000) -> list[tuple[str, Entry]]:
        """Lines of the journal; see the contract."""
        where, values = ["seq > ?"], [after]
        wanted: list[tuple[str, str | None]] = [("name", name), ("stream", stream)]
        arguments: list[object] = list(values)
        for column, value in wanted:
            if value is not None:
                where.append(f"{column} = ?")
                arguments.append(value)
        order = "ASC" if after else "DESC"
        rows = self._select(
            f"SELECT name, at, stream, kind, body, seq FROM journal "
            f"WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?", (*arguments, limit))
        found = [(row[0], Entry(row[1], row[2], row[3], bytes(row[4]), row[5])) for row in rows]
        return found if after else found[::-1]

    def close(self) -> None:
        """Close the file and let a next process in."""
        with self._mutex:
            self._epochs.clear()
            self._db.close()
        self._lock_file.close()


def _change(db: sqlite3.Connection, change: Put | Delete) -> int:
    row = db.execute("SELECT version FROM records WHERE path = ?", (change.path,)).fetchone()
    found = row[0] if row else 0
    if found != change.version:
        raise VersionConflict(f"{change.path} is at version {found}, not {change.version}")
    if isinstance(change, Delete):
        db.execute("DELETE FROM records WHERE path = ?", (change.path,))
        return 0
    db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)",
               (change.path, found + 1, change.data))
    return found + 1


