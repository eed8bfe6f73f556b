"""How far the logs of one sandbox have been shipped: a file in it, and a lock on that.

What is to be sent next is written down before it is sent. Whoever goes on after a crash sends
just that again, cut into the same documents, of which none is then there twice.
"""
from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .seeds import write_atomically

FILE_NAME = "shipping.json"         # the service reads it, too (framework/core/logs.py)
LOCK_NAME = ".shipping.lock"


@dataclass(slots=True)
class Mark:
    """How far one file is, by bytes."""

    offset: int = 0                 # what is before it was taken
    until: int = 0                  # what is before it may have been
    since: str = ""                 # the last moment before the offset
    ended: bool = False             # all of it was taken, and nobody writes to it any more


@dataclass(slots=True)
class Place:
    """The marks of all files of a sandbox by their fingerprints, and what people want to know."""

    path: Path
    files: dict[str, Mark] = field(default_factory=dict)
    shipped: int = 0
    refused: int = 0
    behind_bytes: int = 0
    error: str = ""
    told_at: float = 0.0
    done: bool = False              # a former start: all was shipped, nothing comes any more
    _lock: int | None = None

    @classmethod
    def of(cls, sandbox: Path) -> Place:
        """What was written down; nothing when there is nothing that can be read."""
        path = sandbox / FILE_NAME
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            marks = {name: Mark(**mark) for name, mark in found.pop("files").items()}
            return cls(path, marks, **found)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            # The first time, or half a file of a full disk: from the begin, under the same ids.
            return cls(path)

    def mine(self) -> bool:
        """Whether no other process ships this sandbox; it is kept until this one ends."""
        if self._lock is None:
            lock = os.open(self.path.with_name(LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
                           0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._lock = lock
            known = Place.of(self.path.parent)      # what another one has done until now
            self.files, self.shipped, self.refused = known.files, known.shipped, known.refused
            self.done = known.done
        return True

    @property
    def held(self) -> bool:
        """Whether it is known to be this process's."""
        return self._lock is not None

    def let_go(self) -> None:
        """Another process may go on."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write(self, now: float) -> None:
        """Write everything down; raises ``OSError``."""
        self.told_at = now
        found = {name: value for name, value in asdict(self).items()
                 if name not in ("path", "_lock")}
        write_atomically(self.path, json.dumps(found))
