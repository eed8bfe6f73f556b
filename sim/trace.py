"""What happened in a run: a hash of everything, and the last lines for people."""
from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

KEPT = 60


class Trace:
    """Lines of one run; ``show`` gets each when somebody reads along."""

    def __init__(self, show: Callable[[str], None] | None = None) -> None:
        self._hash = hashlib.sha256()
        self._show = show
        self.last: deque[str] = deque(maxlen=KEPT)

    def note(self, now: float, who: str, text: str) -> None:
        """One line."""
        line = f"{now:6.0f} {who:<14} {text}"
        self._hash.update(line.encode())
        self.last.append(line)
        if self._show is not None:
            self._show(line)

    @property
    def digest(self) -> str:
        """The hash of all lines so far."""
        return self._hash.hexdigest()[:16]


class Broken(Exception):
    """A rule that must always hold did not; ``rule`` is its name (docs/invariants.md)."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule, self.message = rule, message


class Crash(Exception):
    """The simulated service dies here."""
