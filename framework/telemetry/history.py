"""The built-in store of readings: the last hours finely, the last days coarsely, in one file.

Each subject has a ring of slots per tier, so that a file that is full does not grow: what is new
takes the place of what is oldest. Nothing here may stop the service: a file that is broken is set
aside, and what cannot be written is lost with a log line.
"""
from __future__ import annotations

import math
import queue
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import structlog

from .readings import Point, Reading, Scope, Subject

log = structlog.get_logger(__name__)


class Tier(NamedTuple):
    """Slots of one width, so many of them: together they span what is kept."""

    width_s: int
    slots: int

    @property
    def span_s(self) -> int:
        """How far back it goes."""
        return self.width_s * self.slots


TIERS = (Tier(15, 480), Tier(120, 720), Tier(900, 1344))    # 2 h, 24 h, 14 d
MAX_SUBJECTS = 2000                 # a node takes about 1.6 MB in the end: at most 3.2 GB
STALE_S = 3600.0                    # whoever was silent so long gives way to somebody new
AHEAD_S = 60.0                      # a reading that is further in the future is wrong
BACKLOG = 64                        # batches that wait for the disk; more are lost
GREATEST = 1e37                     # of what a float of four bytes holds
_FIGURE = struct.Struct("<HHfff")   # metric, how many, lowest, mean, highest

SCHEMA = """
CREATE TABLE IF NOT EXISTS metrics (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS subjects (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, cluster TEXT NOT NULL, name TEXT NOT NULL,
    newest REAL NOT NULL, UNIQUE (scope, cluster, name));
CREATE TABLE IF NOT EXISTS slots (
    subject INTEGER NOT NULL, tier INTEGER NOT NULL, place INTEGER NOT NULL,
    slot INTEGER NOT NULL, figures BLOB NOT NULL,
    PRIMARY KEY (subject, tier, place)) WITHOUT ROWID;
"""


@dataclass(slots=True)
class Figure:
    """Several values as one."""

    count: int
    low: float
    mean: float
    high: float

    def add(self, other: Figure) -> None:
        """Take in what was measured besides."""
        whole = self.count + other.count
        self.mean += (other.mean - self.mean) * other.count / whole
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.count = min(whole, 0xFFFF)


@dataclass(slots=True)
class _Known:
    """A subject on record."""

    ident: int
    newest: float


class SqliteHistory:
    """Fulfils ``History`` on a file; writes in a thread of its own.

    ``series`` and ``subjects`` read from the disk: call them off the event loop. ``clock`` gives
    seconds since the epoch.
    """

    def __init__(self, path: Path, *, max_subjects: int = MAX_SUBJECTS,
                 clock: Callable[[], float] = time.time) -> None:
        self._path, self._max, self._clock = path, max_subjects, clock
        self._lock = threading.Lock()
        self._db = _opened(path, clock)
        self._metrics: dict[str, int] = {
            name: ident for ident, name in self._db.execute("SELECT id, name FROM metrics")}
        self._known = {Subject(Scope(scope), cluster, name): _Known(ident, newest)
                       for ident, scope, cluster, name, newest in self._db.execute(
                           "SELECT id, scope, cluster, name, newest FROM subjects")}
        self._open: dict[tuple[int, int], tuple[int, dict[int, Figure]]] = {}
        self._full = False              # said once, until somebody gives way
        self._waiting: queue.Queue[Sequence[Reading] | None] = queue.Queue(BACKLOG)
        self._thread = threading.Thread(target=self._write_all, name="history", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------------ writing

    def append(self, readings: Sequence[Reading]) -> None:
        """Keep them, soon; never waits. Older than what is kept of their subject is dropped."""
        try:
            self._waiting.put_nowait(readings)
        except queue.Full:
            log.warning("history is slow, readings are lost", readings=len(readings))

    def flush(self) -> None:
        """Wait until everything appended so far is written."""
        self._waiting.join()

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._waiting.put(None)
        self._thread.join()
        with self._lock:
            self._db.close()

    def _write_all(self) -> None:
        while True:
            batch = self._waiting.get()
            try:
                if batch is None:
                    return
                self._write(batch)
            # A full disk costs readings and nothing else; the next batch tries again.
            except sqlite3.Error as error:
                log.error("history cannot be written", path=str(self._path), error=str(error))
            # Whatever it is: whoever waits for this thread must not wait for ever.
            except Exception:
                log.exception("history has lost readings", path=str(self._path))
            finally:
                self._waiting.task_done()

    def _write(self, batch: Sequence[Reading]) -> None:
        now = self._clock()
        with self._lock:
            try:
                with self._db:
                    for reading in batch:
                        if reading.at <= now + AHEAD_S:
                            self._keep(reading, now)
            except sqlite3.Error:
                self._reread()
                raise

    def _reread(self) -> None:
        """What is in memory was rolled back on disk."""
        self._open.clear()
        self._metrics = {name: ident for ident, name in
                         self._db.execute("SELECT id, name FROM metrics")}
        self._known = {Subject(Scope(scope), cluster, name): _Known(ident, newest)
                       for ident, scope, cluster, name, newest in self._db.execute(
                           "SELECT id, scope, cluster, name, newest FROM subjects")}

    def _keep(self, reading: Reading, now: float) -> None:
        known = self._known.get(reading.subject) or self._made(reading)
        if known is None:
            return
        if known.newest > now + AHEAD_S:
            self._forget_future(known, now)     # the clock was ahead, and was put right
        if reading.at <= known.newest:
            return
        figures = {self._metric(name): value for name, value in reading.values.items()
                   if math.isfinite(value) and abs(value) < GREATEST}
        for index, tier in enumerate(TIERS):
            self._put(known.ident, index, int(reading.at // tier.width_s), figures)
        known.newest = reading.at
        self._db.execute("UPDATE subjects SET newest = ? WHERE id = ?", (reading.at, known.ident))

    def _put(self, subject: int, index: int, slot: int, values: dict[int, float]) -> None:
        place = slot % TIERS[index].slots
        kept, figures = self._open.get((subject, index), (-1, {}))
        if kept != slot:
            row = self._db.execute(
                "SELECT figures FROM slots WHERE subject = ? AND tier = ? AND place = ? "
                "AND slot = ?", (subject, index, place, slot)).fetchone()
            figures = dict(_unpacked(row[0])) if row else {}
            self._open[subject, index] = slot, figures
        for metric, value in values.items():
            fresh = Figure(1, value, value, value)
            if metric in figures:
                figures[metric].add(fresh)
            else:
                figures[metric] = fresh
        self._db.execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?, ?, ?)",
                         (subject, index, place, slot, _packed(figures)))

    def _metric(self, name: str) -> int:
        if name not in self._metrics:
            made = self._db.execute("INSERT INTO metrics (name) VALUES (?)", (name,))
            self._metrics[name] = int(made.lastrowid or 0)
        return self._metrics[name]

    def _made(self, reading: Reading) -> _Known | None:
        """A place for somebody new, whose who was silent longest if need be; None: no room."""
        if len(self._known) >= self._max:
            oldest = min(self._known, key=lambda subject: self._known[subject].newest)
            if self._known[oldest].newest > reading.at - STALE_S:
                if not self._full:
                    log.warning("history is full, somebody new is not kept", most=self._max,
                                cluster=reading.subject.cluster, name=reading.subject.name)
                self._full = True
                return None
            log.info("history forgets who was silent longest", cluster=oldest.cluster,
                     name=oldest.name)
            self._forget(oldest)
        scope, cluster, name = reading.subject
        made = self._db.execute(
            "INSERT INTO subjects (scope, cluster, name, newest) VALUES (?, ?, ?, 0)",
            (str(scope), cluster, name))
        self._known[reading.subject] = known = _Known(int(made.lastrowid or 0), 0.0)
        return known

    def _forget(self, subject: Subject) -> None:
        ident = self._known.pop(subject).ident
        self._full = False
        self._db.execute("DELETE FROM slots WHERE subject = ?", (ident,))
        self._db.execute("DELETE FROM subjects WHERE id = ?", (ident,))
        for index in range(len(TIERS)):
            self._open.pop((ident, index), None)

    def _forget_future(self, known: _Known, now: float) -> None:
        log.warning("history was ahead of the clock", subject=known.ident,
                    ahead_s=round(known.newest - now))
        for index, tier in enumerate(TIERS):
            self._db.execute("DELETE FROM slots WHERE subject = ? AND tier = ? AND slot > ?",
                             (known.ident, index, int(now // tier.width_s)))
            self._open.pop((known.ident, index), None)
        known.newest = math.nextafter(now, 0.0)     # what was kept before is not counted again

    # ------------------------------------------------------------------ reading

    def series(self, subject: Subject, metric: str, since: float, until: float,
               points: int = 300) -> list[Point]:
        """At most so many points, oldest first; gaps are left out. Reads from the disk."""
        if points < 1 or until <= since:
            return []
        now = self._clock()
        index = next((index for index, tier in enumerate(TIERS)
                      if since >= now - tier.span_s), len(TIERS) - 1)
        tier = TIERS[index]
        first = max(int(since // tier.width_s), int(now // tier.width_s) - tier.slots + 1)
        last = int(until // tier.width_s)
        with self._lock:
            known, ident = self._known.get(subject), self._metrics.get(metric)
            if known is None or ident is None or last < first:
                return []
            rows = self._db.execute(
                "SELECT slot, figures FROM slots WHERE subject = ? AND tier = ? "
                "AND slot BETWEEN ? AND ?", (known.ident, index, first, last)).fetchall()
        each = math.ceil((last - first + 1) / points)       # slots of one point
        found: dict[int, Figure] = {}
        for slot, blob in rows:
            figure = next((one for name, one in _unpacked(blob) if name == ident), None)
            if figure is None:
                continue
            at = first + (slot - first) // each * each
            if at in found:
                found[at].add(figure)
            else:
                found[at] = figure
        return [Point(float(at * tier.width_s), one.low, one.mean, one.high)
                for at, one in sorted(found.items())]

    def subjects(self, scope: Scope, since: float) -> list[Subject]:
        """Whom there is something of, by cluster and name."""
        with self._lock:
            return sorted(subject for subject, known in self._known.items()
                          if subject.scope is scope and known.newest >= since)


def _packed(figures: dict[int, Figure]) -> bytes:
    return b"".join(_FIGURE.pack(metric, one.count, one.low, one.mean, one.high)
                    for metric, one in figures.items())


def _unpacked(blob: bytes) -> Iterator[tuple[int, Figure]]:
    for metric, count, low, mean, high in _FIGURE.iter_unpack(blob):
        yield metric, Figure(count, low, mean, high)


def _opened(path: Path, clock: Callable[[], float]) -> sqlite3.Connection:
    """The file, made when there is none; one that is broken is set aside beside it.

    One that cannot be used now (locked, no room, no right) is left alone; memory has to do.
    """
    try:
        return _connected(path)
    except sqlite3.OperationalError as error:
        return _in_memory(path, error)
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.broken-{int(clock())}")
        log.error("history is broken and was set aside; it begins anew", path=str(path),
                  aside=str(aside), error=str(error))
        for end in ("", "-wal", "-shm"):
            part = path.with_name(path.name + end)
            if part.exists():
                part.rename(aside.with_name(aside.name + end))
    try:
        return _connected(path)
    except sqlite3.DatabaseError as error:
        return _in_memory(path, error)


def _in_memory(path: Path, error: Exception) -> sqlite3.Connection:
    log.error("history cannot be opened and is lost with this process", path=str(path),
              error=str(error))
    return _connected(":memory:")


def _connected(path: Path | str) -> sqlite3.Connection:
    """Raises sqlite3.DatabaseError when the file is no sound database."""
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        with closing(db.execute("PRAGMA quick_check(1)")) as check:
            if (said := check.fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(said)
        db.executescript(SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
