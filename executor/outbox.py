"""Status updates that Mesos has not acknowledged yet, in order."""
from __future__ import annotations

import base64
import threading
from typing import Any


class Outbox:
    """Keeps every update until its acknowledgement; safe to use from several threads.

    An update is a ``TaskStatus`` as JSON (a dict) with ``uuid`` (base64 of 16 bytes). It counts as
    sent only as long as the connection lives over which it went.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._updates: dict[bytes, dict[str, Any]] = {}  # by uuid; dicts keep their order
        self._sent: set[bytes] = set()

    def add(self, status: dict[str, Any]) -> None:
        """Put a new update at the end. A uuid that is already there is a mistake: ValueError."""
        key = base64.b64decode(status["uuid"])
        with self._lock:
            if key in self._updates:
                raise ValueError(f"update {key.hex()} is already in the outbox")
            self._updates[key] = status

    def unsent(self) -> list[dict[str, Any]]:
        """The updates to send now, oldest first."""
        with self._lock:
            return [s for key, s in self._updates.items() if key not in self._sent]

    def mark_sent(self, status: dict[str, Any]) -> None:
        """The update went over the present connection."""
        with self._lock:
            self._sent.add(base64.b64decode(status["uuid"]))

    def for_subscribe(self) -> list[dict[str, Any]]:
        """All updates as ``Call.Subscribe.unacknowledged_updates``; they count as sent."""
        with self._lock:
            self._sent = set(self._updates)
            return [{"status": status} for status in self._updates.values()]

    def connection_lost(self) -> None:
        """What was sent may be lost: send it again."""
        with self._lock:
            self._sent.clear()

    def acknowledge(self, uuid_base64: str) -> bool:
        """Forget an update. False: it was not here (acknowledgements may come twice)."""
        key = base64.b64decode(uuid_base64)
        with self._lock:
            self._sent.discard(key)
            return self._updates.pop(key, None) is not None

    def __len__(self) -> int:
        with self._lock:
            return len(self._updates)
