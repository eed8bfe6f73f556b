"""What people who have not shown who they are can make us write: little, however much they send.

The first refusal of an address and operation is a line at once. What follows within a minute is
counted, and told in one line at its end. Beyond so many lines a minute all are counted together.
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable

from .entry import Draft

WINDOW_S = 60.0
AT_ONCE = 60                        # lines a minute of all strangers
SEVERAL = "(several)"


class Strangers:
    """Counts in the memory of this process."""

    def __init__(self, add: Callable[[Draft], None], window_s: float = WINDOW_S) -> None:
        self._add, self._window_s = add, window_s
        self._seen: dict[tuple[str, ...], Draft] = {}
        self._counts: dict[tuple[str, ...], int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def refused(self, draft: Draft) -> None:
        """Take note of a refused request of a stranger."""
        key: tuple[str, ...] = (draft.remote, draft.operation, draft.user,
                                str(draft.status))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._window_s, self.tell_rest)
        if key not in self._seen and len(self._seen) < AT_ONCE:
            self._seen[key] = draft
            self._add(draft)
            return
        if key not in self._seen:
            draft = draft.model_copy(update={"remote": SEVERAL, "user": SEVERAL})
            key = (SEVERAL,)
        self._seen[key] = draft
        self._counts[key] = self._counts.get(key, 0) + 1

    def tell_rest(self) -> None:
        """Write what was counted since the window began."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for key, count in self._counts.items():
            self._add(self._seen[key].model_copy(update={"count": count, "request": None}))
        self._seen.clear()
        self._counts.clear()
