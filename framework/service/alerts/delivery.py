"""The outbox: every notification to its sink, in order for each cluster, until it is there.

What waits is on record (``records.py``) before it is sent, and stays there until the sink has
taken it: a process that dies sends it again when it is back, under the same id.
"""
from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from ...sinks import Sink
from ...store.contract import StoreError
from .records import Ledger, Outgoing
from .sending import Channel, NotSent

log = structlog.get_logger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
IDLE_S = 1.0


class Delivery:
    """One task for each sink; ``ledgers`` gives those that this process may write."""

    def __init__(self, sinks: Iterable[Sink], ledgers: Callable[[], Mapping[str, Ledger]],
                 first_pause_s: float = FIRST_PAUSE_S) -> None:
        self.channels = {sink.name: Channel(sink) for sink in sinks}
        self._ledgers, self._first_pause_s = ledgers, first_pause_s
        self._bells = {name: asyncio.Event() for name in self.channels}
        self._tries: dict[tuple[str, str], tuple[int, float]] = {}      # count, not before
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send what waits."""
        self._tasks = [asyncio.create_task(self._serve(channel), name=f"sink-{name}")
                       for name, channel in self.channels.items()]

    async def stop(self) -> None:
        """Stop; what was not sent stays on record."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self.channels.values():
            channel.close()

    def ring(self) -> None:
        """Something new waits."""
        for bell in self._bells.values():
            bell.set()

    async def _serve(self, channel: Channel) -> None:
        bell = self._bells[channel.sink.name]
        while True:
            bell.clear()
            due = self._due(channel.sink.name)
            for ledger, outgoing in due:
                await self._bring(channel, ledger, outgoing)
            if due:
                continue
            try:
                async with asyncio.timeout(IDLE_S):
                    await bell.wait()
            except TimeoutError:
                pass                    # a pause between two tries may be over

    def _due(self, sink: str) -> list[tuple[Ledger, Outgoing]]:
        """The oldest of each cluster, unless it is not time yet: none overtakes another."""
        found, now = [], time.monotonic()
        for ledger in list(self._ledgers().values()):
            mine = [one for one in ledger.outbox.values() if one.sink == sink]
            if mine:
                oldest = min(mine, key=lambda one: one.at)
                if self._tries.get((sink, oldest.id), (0, 0.0))[1] <= now:
                    found.append((ledger, oldest))
        return found

    async def _bring(self, channel: Channel, ledger: Ledger, outgoing: Outgoing) -> None:
        key = (outgoing.sink, outgoing.id)
        words = {"sink": outgoing.sink, "notification": outgoing.id, "group": outgoing.group}
        if time.time() >= outgoing.expires:
            log.error("notification expired and was not delivered", **words)
            await self._forget(ledger, outgoing)
            return
        try:
            said = await channel.send(outgoing.id, outgoing.body)
        except NotSent as error:
            count = self._tries.get(key, (0, 0.0))[0] + 1
            pause_s = min(self._first_pause_s * 2 ** (count - 1), LONGEST_PAUSE_S)
            self._tries[key] = count, time.monotonic() + pause_s
            log.warning("notification was not taken", why=str(error), tries=count,
                        again_in_s=pause_s, **words)
            return
        log.info("notification was taken", said=said, **words)
        await self._forget(ledger, outgoing)

    async def _forget(self, ledger: Ledger, outgoing: Outgoing) -> None:
        key = (outgoing.sink, outgoing.id)
        try:
            async with ledger.lock:
                await ledger.sent(outgoing)
        except StoreError as error:     # it is sent again, under the same id
            self._tries[key] = 1, time.monotonic() + self._first_pause_s
            log.warning("notification could not be taken off the outbox", error=str(error),
                        sink=outgoing.sink, notification=outgoing.id)
            return
        self._tries.pop(key, None)
