"""Ships the logs of a node into a cluster of logs, on one thread; nothing waits for it.

It reads a piece, writes down what it is about to send, sends it, and only then reads on: while the
target does not take it, nothing is read and nothing grows. Logs of former starts on the same
agent are shipped first, so that what an executor had not sent when it died is sent by the next.
"""
from __future__ import annotations

import gzip
import logging
import random
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, cast

from esaas.framework.proto import esaas_pb2

from . import log, loglines
from .bulk import Bulk, NotSent
from .loglines import FIRST_BYTES, Origin
from .place import Mark, Place
from .settings import Settings

PIECE_BYTES = 256 << 10
POLL_S = 1.0
BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 30.0
MAX_FILES = 200                     # of a sandbox, the newest; Elasticsearch keeps fewer
MAX_FORMER = 8                      # starts before this one, the newest
LOGS = "logs"
_PACKED = ".gz"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where a start of the node has, or had, its files."""

    path: Path
    origin: Origin
    former: bool = False            # its executor has ended: nobody writes there any more


@dataclass(frozen=True, slots=True)
class Log:
    """A file to be shipped, as it is at one moment."""

    path: Path
    stem: str
    fingerprint: str
    size: int                       # of the file, packed or not
    written_at: float

    @property
    def packed(self) -> bool:
        """Whether it was rolled over and compressed."""
        return self.path.name.endswith(_PACKED)

    @property
    def rolled_over(self) -> bool:
        """Whether Elasticsearch writes to another file by now."""
        return self.packed or self.path.stem != self.stem


_Key = tuple[str, int, int, int]    # name, inode, size, time: numbers of inodes are used again


@dataclass(slots=True)
class _Followed:
    """One sandbox with its place, and what is remembered of its files between two looks."""

    sandbox: Sandbox
    place: Place
    known: dict[_Key, str] = field(default_factory=dict)    # fingerprints of packed files
    sizes: dict[str, tuple[int, float]] = field(default_factory=dict)   # size, and since when
    open: tuple[str, IO[bytes]] | None = None       # a packed file that is being read
    changed: bool = False


def former_sandboxes(own: Sandbox) -> list[Sandbox]:
    """Sandboxes of earlier starts of the same node on its volume, the newest ones, oldest first.

    They lie beside this one, ``EXECUTOR/runs/CONTAINER`` each (Mesos documentation, "Sandbox").
    An executor's id ends with the number of the start.
    """
    framework_id, _, executor = own.origin.identity.rpartition("/")
    prefix, _, number = executor.rpartition(".")
    if own.path.parent.parent.name != executor or not number.isdigit():
        return []                               # not as an agent lays sandboxes out
    beside, found = own.path.parents[2], []
    for launch in range(max(1, int(number) - MAX_FORMER), int(number)):
        path = beside / f"{prefix}.{launch}" / "runs" / "latest"
        if (path / LOGS).is_dir():
            found.append(Sandbox(path.resolve(), replace(
                own.origin, launch=f"{own.origin.launch.partition('.')[0]}.{launch}",
                identity=f"{framework_id}/{prefix}.{launch}"), former=True))
    return found


def shipper_of(launch: esaas_pb2.NodeLaunch, settings: Settings, host: str) -> Shipper:
    """For the logs of this start of a node and of those before it; idle until it is told where.

    ``host``: the name of the agent.
    """
    own = Sandbox(settings.sandbox, Origin(
        launch.cluster, launch.tenant, launch.node, host,
        f"{launch.incarnation}.{launch.launch}",
        f"{settings.framework_id}/{settings.executor_id}"))
    return Shipper([*former_sandboxes(own), own])


class Shipper:
    """Follows the logs of a node, once it has been told where to ship them."""

    def __init__(self, sandboxes: Sequence[Sandbox], *, clock: Callable[[], float] = time.time,
                 bulk: Callable[[Sequence[str]], Bulk] = Bulk) -> None:
        self._followed = [_Followed(one, Place.of(one.path)) for one in sandboxes]
        self._clock, self._make_bulk = clock, bulk
        self._urls: tuple[str, ...] = ()
        self._bulk: Bulk | None = None
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._ending = False
        self._idle = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0

    def follow(self, urls: Sequence[str]) -> None:
        """Ship to the cluster at these URLs from now on; to none when there are none."""
        if tuple(urls) == self._urls:
            return
        self._urls = tuple(urls)
        log.event("Logs are shipped" if urls else "Logs are shipped no more", targets=len(urls))
        self._wake.set()
        if urls and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)
            self._thread.start()

    def finish(self, patience_s: float) -> None:
        """Ship what the node has left, for a while at most; then stop."""
        if self._thread is None:
            return
        self._ending = True
        self._idle.clear()
        self._wake.set()
        if self._urls and not self._failures:
            self._idle.wait(patience_s)
        self._stopped.set()
        self._wake.set()

    # -- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        delay_s = BACKOFF_MIN_S
        while not self._stopped.is_set():
            problem = ""
            try:
                moved = bool(self._urls) and self.turn()
            except NotSent as error:
                moved, problem = False, str(error)
            # Whatever it is, the node goes on, and so does the next turn.
            except Exception as error:  # noqa: BLE001
                moved, problem = False, f"{type(error).__name__}: {error}"
            self._tell(problem)
            if problem:
                self._pause(delay_s * random.uniform(0.5, 1.0))
                delay_s = min(BACKOFF_MAX_S, 2 * delay_s)
                continue
            delay_s = BACKOFF_MIN_S
            if not moved:
                if self._ending:
                    self._idle.set()
                self._pause(POLL_S)

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _tell(self, problem: str) -> None:
        """Say once that it does not work, and once that it does again; keep it in the place."""
        if problem and not self._failures:
            log.event("Logs cannot be shipped, will be tried again", level=logging.WARNING,
                      error=problem)
        elif self._failures and not problem:
            log.event("Logs are shipped again", failed=self._failures)
        self._failures = self._failures + 1 if problem else 0
        for one in self._followed:
            if not one.place.held:
                continue                        # another process's, or done
            if one.place.error != problem:
                one.place.error, one.changed = problem, True
            if one.changed:
                self._write(one)

    def _write(self, one: _Followed) -> None:
        one.changed = False
        try:
            one.place.write(self._clock())
        except OSError as error:
            log.event("Place in logs not written", level=logging.WARNING, error=error)

    def turn(self) -> bool:
        """Send at most a piece of each file; whether anything was sent. Raises ``NotSent``."""
        urls, bulk = self._urls, self._bulk
        if bulk is None or bulk.urls != urls:
            self._bulk = bulk = self._make_bulk(urls)
        moved = False
        for one in self._followed:
            if one.place.done or not one.place.mine():
                continue
            sent = [self._ship(one, file, bulk) for file in self._files(one)]
            moved = moved or any(sent)
            if one.sandbox.former and not any(sent) and one.place.behind_bytes == 0:
                one.place.done = True
                self._write(one)
                one.place.let_go()
        return moved

    def _files(self, one: _Followed) -> list[Log]:
        """The logs of a sandbox, the oldest first."""
        found: dict[str, Log] = {}
        directory, former = one.sandbox.path / LOGS, one.sandbox.former
        names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
        seen: dict[_Key, str] = {}
        for name, stem in loglines.wanted(names, one.sandbox.origin.cluster).items():
            file = _looked_at(directory / name, stem, one.known, seen, former)
            # While one is being compressed it is there twice: as it was, and in part.
            if file is not None and not (file.packed and file.fingerprint in found):
                found[file.fingerprint] = file
        one.known = seen
        marks = one.place.files
        if len(marks) > 2 * MAX_FILES:          # not at once: one that is renamed is missed
            one.place.files = {name: mark for name, mark in marks.items() if name in found}
        files = sorted(found.values(), key=lambda file: (file.written_at, file.path.name))
        behind = sum(_left(file, marks.get(file.fingerprint)) for file in files)
        if behind != one.place.behind_bytes:
            one.place.behind_bytes, one.changed = behind, True
        return files[-MAX_FILES:]

    def _ship(self, one: _Followed, file: Log, bulk: Bulk) -> bool:
        """Send the next piece of a file; whether there was any."""
        mark = one.place.files.setdefault(file.fingerprint, Mark())
        data = b"" if mark.ended else self._next(one, file, mark)
        if not data:
            return False
        mark.until = mark.offset + len(data)
        mark.since = mark.since or loglines.utc(time.strftime(
            "%Y-%m-%dT%H:%M:%S", time.localtime(file.written_at))) or ""
        documents = loglines.documents(data, mark.offset, file.stem, file.fingerprint,
                                       one.sandbox.origin, mark.since)
        one.place.write(self._clock())          # before it is sent: see place.py
        if documents:
            sent = bulk.send(documents)
            one.place.shipped += sent.taken
            one.place.refused += sent.refused
            if sent.refused:
                log.event("Lines of logs were refused", level=logging.WARNING,
                          count=sent.refused, why=sent.why)
            mark.since = documents[-1].body["@timestamp"]
        mark.offset, one.changed = mark.until, True
        return True

    def _next(self, one: _Followed, file: Log, mark: Mark) -> bytes:
        """The next whole events of a file; those that may have been sent before, as they were."""
        try:
            if mark.until > mark.offset:
                return _read(one, file, mark.offset, mark.until - mark.offset)
            data = _read(one, file, mark.offset, PIECE_BYTES)
        except FileNotFoundError:
            return b""                          # it was renamed: the next look finds it
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            log.event("A packed log is broken, its end is lost", level=logging.WARNING,
                      file=file.path.name, error=error)
            mark.ended, one.changed = True, True
            return b""
        ended = one.sandbox.former or self._ending or file.rolled_over
        full = len(data) == PIECE_BYTES
        if ended and not data:
            mark.ended, one.changed = True, True
        return data[:loglines.cut(data, quiet=self._quiet(one, file), ended=ended, full=full)]

    def _quiet(self, one: _Followed, file: Log) -> bool:
        """Whether nothing was written for a while: what is below a line is there, too."""
        now = self._clock()
        size, since = one.sizes.get(file.fingerprint, (-1, now))
        if size != file.size:
            one.sizes[file.fingerprint] = file.size, now
            return False
        return now - since >= POLL_S


def _looked_at(path: Path, stem: str, known: dict[_Key, str], seen: dict[_Key, str],
               ended: bool) -> Log | None:
    """A file as it is now; None while it is too young, or when it is gone."""
    try:
        found = path.stat()
        key = path.name, found.st_ino, found.st_size, found.st_mtime_ns
        name = known.get(key)
        if name is None:
            with _opened(path) as file:
                name = loglines.fingerprint(stem, file.read(FIRST_BYTES), ended=ended)
    except (FileNotFoundError, EOFError, gzip.BadGzipFile, zlib.error):
        return None                             # renamed, or not packed to its end yet
    if name is None:
        return None
    if path.name.endswith(_PACKED):
        seen[key] = name
    return Log(path, stem, name, found.st_size, found.st_mtime)


def _opened(path: Path) -> IO[bytes]:
    if path.name.endswith(_PACKED):
        return cast(IO[bytes], gzip.open(path))
    return open(path, "rb")


def _same(file: Log, ended: bool) -> IO[bytes]:
    """A file that was looked at, open at its begin; FileNotFoundError when it is another now."""
    opened = _opened(file.path)
    first = opened.read(FIRST_BYTES)
    if loglines.fingerprint(file.stem, first, ended=ended) != file.fingerprint:
        opened.close()
        raise FileNotFoundError(f"{file.path.name} was rolled over")
    opened.seek(0)
    return opened


def _read(one: _Followed, file: Log, offset: int, length: int) -> bytes:
    """A part of a file; a packed one is kept open, since it can only be read from its begin."""
    if not file.packed:
        with _same(file, one.sandbox.former) as plain:
            plain.seek(offset)
            return plain.read(length)
    if one.open is None or one.open[0] != file.fingerprint or one.open[1].tell() > offset:
        if one.open is not None:
            one.open[1].close()
        one.open = file.fingerprint, _same(file, one.sandbox.former)
    packed = one.open[1]
    while packed.tell() < offset:               # in pieces: a seek would do the same
        if not packed.read(min(PIECE_BYTES, offset - packed.tell())):
            return b""
    data = packed.read(length)
    if not data:
        packed.close()
        one.open = None
    return data


def _left(file: Log, mark: Mark | None) -> int:
    """Bytes that were not taken yet; of a packed file that has more, all of it."""
    if mark is None or file.packed:
        return 0 if mark is not None and mark.ended else file.size
    return max(0, file.size - mark.offset)
