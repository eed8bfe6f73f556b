"""Following the service: one long poll after another, and patience when it does not answer."""
from __future__ import annotations

import contextlib
import queue
import random
import threading
from collections.abc import Callable
from typing import Any

import structlog

from ..client import Client, ClientError

log = structlog.get_logger(__name__)

PATH = "/v1/endpoints"
WAIT_S = 20                         # below the client's time-out of an answer
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0


class Follower:
    """Asks in a thread of its own; the newest answer is in ``answers``, which holds one.

    Whoever takes an answer sees the last one, however long he took for the one before.
    """

    def __init__(self, client: Client, chance: Callable[[], float] = random.random) -> None:
        self.answers: queue.Queue[Any] = queue.Queue(1)
        self._client, self._chance = client, chance
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a question on its way is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        version, failures = "", 0
        while not self._stop.is_set():
            try:
                answer = self._client.get(PATH, wait_s=WAIT_S, since=version or None)
                failures = 0
                if answer["version"] != version:
                    version = answer["version"]
                    self._tell(answer)
            except (ClientError, KeyError, TypeError) as error:
                failures += 1
                pause_s = self.pause_s(failures)
                log.warning("service does not answer, haproxy goes on with what it has",
                            error=str(error), again_in_s=round(pause_s, 1))
                self._stop.wait(pause_s)

    def pause_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row: longer each time, never in step."""
        longest: float = min(FIRST_PAUSE_S * 2 ** min(failures - 1, 10), LONGEST_PAUSE_S)
        return longest * (0.5 + self._chance() / 2)

    def _tell(self, answer: Any) -> None:
        with contextlib.suppress(queue.Empty):
            self.answers.get_nowait()       # nobody has taken it, and it is old now
        self.answers.put_nowait(answer)
