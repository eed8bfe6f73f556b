"""Which files of a node's sandbox are logs, and how they are read: names, lines, what is found.

A sandbox holds more than logs: its ``config`` directory has keys. So what may be read is named
here, by ``path_of`` alone, and no name leads anywhere else.
"""
from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DIRECTORY = "logs"                  # of Elasticsearch's own, in the sandbox (executor/config.py)
SHIPPING = "shipping.json"          # how far they have been shipped (executor/place.py); no log
PIECE_BYTES = 64 << 10              # an agent gives no more of a file at once
MAX_SCANNED_BYTES = 4 << 20
MAX_HITS = 200
MAX_LINE_CHARS = 2000               # of a line that was found
# What the agent, the executor and its tools write (executor/process.py, executor/plugins.py).
_OF_SANDBOX = re.compile(r"stdout|stderr|console\.log|console\.1|plugins\.log|hs_err_pid\d+\.log")
# What Elasticsearch writes: each name begins with the cluster's. Packed ones cannot be searched.
_OF_ELASTICSEARCH = re.compile(r"[A-Za-z0-9_.-]+\.(log|json)")


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a node, by what its Mesos task and executor are called."""

    node: str
    incarnation: int
    launch: int

    @property
    def label(self) -> str:
        """What people call it: the number of its volume, and of the start on that."""
        return f"{self.incarnation}.{self.launch}"

    def task_id(self, cluster: str) -> str:
        """The id of the task, which is that of the executor, too."""
        return f"{cluster}.{self.node}.{self.label}"


def start_of(cluster: str, task_id: str) -> Start | None:
    """The start that a task id of this cluster stands for; None for any other text."""
    match = re.fullmatch(re.escape(cluster) + r"\.([^.]+)\.(\d{1,9})\.(\d{1,9})", task_id,
                         re.ASCII)
    return Start(match[1], int(match[2]), int(match[3])) if match else None


def path_of(cluster: str, name: str) -> str | None:
    """Where a log of a node is in its sandbox; None for whatever is no log.

    ``name`` is a file's own name. ``logs/NAME`` is one of Elasticsearch's, also when the sandbox
    has another of that name.
    """
    if _OF_SANDBOX.fullmatch(name):
        return name
    own = name.removeprefix(f"{DIRECTORY}/")
    begins = own.startswith((f"{cluster}.", f"{cluster}_", f"{cluster}-"))
    return f"{DIRECTORY}/{own}" if begins and _OF_ELASTICSEARCH.fullmatch(own) else None


def name_of(cluster: str, path: str) -> str | None:
    """What the log at a path inside the sandbox is called; None when it is none."""
    short = path.removeprefix(f"{DIRECTORY}/")
    if path_of(cluster, short) == path:
        return short
    return path if path_of(cluster, path) == path else None


def main_log(cluster: str) -> str:
    """The log that people look at first."""
    return f"{DIRECTORY}/{cluster}.log"


def last_lines(data: bytes, count: int, *, whole: bool) -> bytes:
    """The last ``count`` lines of the end of a file; one that has no end yet counts, too.

    ``whole``: ``data`` begins at the begin of a line. Otherwise its first part is left out, when
    there is another line after it.
    """
    lines = _split(data)
    if not whole and len(lines) > 1:
        lines = lines[1:]
    return b"".join(lines[-count:]) if count > 0 else b""


def _split(data: bytes) -> list[bytes]:
    """Lines by their feed alone: a carriage return does not end one."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def text(data: bytes) -> str:
    """Bytes of a log for people; what is no UTF-8 is shown as such."""
    return data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Hit:
    """A line that was found, and where it begins in its file."""

    offset: int
    line: str


class Search:
    """Finds a text in pieces of a file, given in order; keeps the newest lines with it.

    Upper and lower case are the same. A line longer than a piece is looked at in parts.
    """

    def __init__(self, wanted: str, offset: int, *, whole: bool) -> None:
        """``offset``: where the first piece begins; ``whole``: that is the begin of a line."""
        self._wanted = wanted.casefold()
        self._rest = b""
        self._at = offset
        self._skips = not whole
        self._hits: deque[Hit] = deque(maxlen=MAX_HITS)
        self.found = 0

    def take(self, piece: bytes) -> None:
        """Look at the next piece."""
        for line in self._lines(piece):
            self._look(line)

    def end(self) -> None:
        """There is no more: what is left is a line, too."""
        self._look(self._rest)
        self._rest = b""

    @property
    def hits(self) -> list[Hit]:
        """The newest lines, in the order of the file."""
        return list(self._hits)

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        parts = _split(self._rest + piece)
        self._rest = b""
        if parts and not parts[-1].endswith(b"\n"):
            self._rest = parts.pop()
        yield from parts
        if len(self._rest) > PIECE_BYTES:
            rest, self._rest = self._rest, b""
            yield rest

    def _look(self, line: bytes) -> None:
        begin, self._at = self._at, self._at + len(line)
        if self._skips:
            self._skips = False
            return
        shown = text(line).rstrip("\r\n")
        if line and self._wanted in shown.casefold():
            self.found += 1
            self._hits.append(Hit(begin, shown[:MAX_LINE_CHARS]))


def newest_first(starts: Iterable[Start]) -> list[Start]:
    """Starts of one node or of many, the newest of each node before its older ones."""
    return sorted(starts, key=lambda one: (one.node, -one.incarnation, -one.launch))
