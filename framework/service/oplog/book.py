"""The log of one process: takes lines from the event loop, and writes them in groups."""
from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog

from ...store.contract import Store, StoreError
from ..errors import Unavailable
from .chain import Head, Line, read_head, read_segment
from .entry import Draft, LogEntry
from .searching import LogFilter, LogPage, Scope, search
from .strangers import Strangers
from .verifying import Verdict, verify
from .writing import PATIENCE_S, Writer

log = structlog.get_logger(__name__)

KEEP_S = 400 * 86400.0
MAX_BEHIND = 10_000                 # lines that wait for a store that cannot be written
BATCH_LINES, BATCH_BYTES = 50, 250_000      # of one transaction
AGAIN_S = 1.0
FORGET_EVERY_S = 3600.0


@dataclass(slots=True)
class _Waiting:
    draft: Draft
    told: asyncio.Future[int] | None = None     # None: nobody waits for it


class Book:
    """The operation log; ``close`` before the store is."""

    def __init__(self, store: Store, process: str, *, keep_s: float = KEEP_S,
                 patience_s: float = PATIENCE_S, clock: Callable[[], float] = time.time) -> None:
        self._store, self.process, self._clock = store, process, clock
        self._writer = Writer(store, process, keep_s, patience_s)
        self._queue: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None
        self._closing, self._writing = asyncio.Event(), asyncio.Lock()
        self.strangers = Strangers(self.add)

    def now(self) -> float:
        """The time that lines are given; seconds since the epoch."""
        return self._clock()

    # ------------------------------------------------------------------- writing

    async def append(self, draft: Draft) -> int:
        """Write a line and wait until it is stored; its number.

        Unavailable when it cannot be written: whatever it was to announce must not be done.
        """
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if len(self._queue) >= MAX_BEHIND:
            raise Unavailable("the operation log cannot be written: too much waits already")
        self._take(_Waiting(draft, told))
        return await told

    def add(self, draft: Draft) -> None:
        """Write a line soon, and try again while the store cannot be written."""
        if len(self._queue) >= MAX_BEHIND:
            # The changes themselves are refused by then; these are refusals and ends of changes.
            log.error("operation_log_line_lost", operation=draft.operation, user=draft.user,
                      outcome=draft.outcome, request_id=draft.request_id)
            return
        self._take(_Waiting(draft))

    def _take(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="operation log")

    def _batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        room = BATCH_BYTES
        for one in list(self._queue)[:BATCH_LINES]:
            room -= len(one.draft.model_dump_json())
            if batch and room < 0:
                break
            batch.append(one)
        return batch

    async def _work(self) -> None:
        while self._queue:
            batch = self._batch()
            try:
                async with self._writing:
                    numbers = await asyncio.to_thread(
                        self._writer.append, [one.draft for one in batch], self._clock())
            except StoreError as error:
                self._refuse(batch, error)
                if self._closing.is_set():
                    return
                await asyncio.sleep(AGAIN_S if self._queue else 0)
                continue
            except Exception as error:  # noqa: BLE001 - told to whoever waits, and in full below
                log.error("operation_log_failed", lines=len(batch), exc_info=error)
                self._refuse(batch, error)
                self._drop(batch)
                continue
            self._drop(batch)
            for one, number in zip(batch, numbers, strict=True):
                if one.told is not None and not one.told.done():
                    one.told.set_result(number)

    def _refuse(self, batch: list[_Waiting], error: Exception) -> None:
        """Tell those who wait; the others are tried again."""
        log.warning("operation_log_cannot_be_written", lines=len(batch), error=str(error))
        for one in batch:
            if one.told is not None and not one.told.done():
                one.told.set_exception(Unavailable(
                    f"the operation log cannot be written, so nothing was changed: {error}"))
        self._drop([one for one in batch if one.told is not None])

    def _drop(self, batch: list[_Waiting]) -> None:
        gone = {id(one) for one in batch}
        self._queue = deque(one for one in self._queue if id(one) not in gone)

    async def flush(self) -> None:
        """Wait until all that was handed in is written, or one try has failed."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=AGAIN_S)

    async def close(self) -> None:
        """Write what waits, once more if need be."""
        self.strangers.tell_rest()
        self._closing.set()
        if self._forgetting is not None:
            self._forgetting.cancel()
            await asyncio.gather(self._forgetting, return_exceptions=True)
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self._queue:
            log.error("operation_log_lines_lost", lines=len(self._queue))

    # ----------------------------------------------------------------- retention

    def start(self) -> None:
        """Remove what is too old, now and every hour."""
        if self._forgetting is None:
            self._forgetting = asyncio.create_task(self._forget_forever(), name="log retention")

    async def _forget(self) -> int:
        async with self._writing:
            return await asyncio.to_thread(self._writer.forget, self._clock())

    async def _forget_forever(self) -> None:
        while True:
            try:
                while await self._forget():
                    pass
            except StoreError as error:
                log.warning("operation_log_not_trimmed", error=str(error))
            await asyncio.sleep(FORGET_EVERY_S)

    # ------------------------------------------------------------------- reading

    async def search(self, wanted: LogFilter, scope: Scope) -> LogPage:
        """Lines that fit, newest first, with all that this process has handed in; Unavailable."""
        await self.flush()
        try:
            return await asyncio.to_thread(search, self._store, wanted, scope)
        except StoreError as error:
            raise Unavailable(f"the operation log cannot be read now: {error}") from error

    async def verify(self, expect: tuple[int, str] | None = None) -> Verdict:
        """Whether the log is as it was written; Unavailable."""
        await self.flush()
        try:
            return await asyncio.to_thread(verify, self._store, expect)
        except StoreError as error:
            raise Unavailable(f"the operation log cannot be read now: {error}") from error

    async def head(self) -> Head:
        """Where the log ends now; Unavailable."""
        await self.flush()
        try:
            return (await asyncio.to_thread(read_head, self._store))[0]
        except StoreError as error:
            raise Unavailable(f"the operation log cannot be read now: {error}") from error

    async def export(self, head: Head) -> AsyncIterator[LogEntry]:
        """All lines up to a head, oldest first; Unavailable when the store does not answer."""
        try:
            for number in range(head.first, head.segment + 1):
                lines: list[Line] = (await asyncio.to_thread(
                    read_segment, self._store, number)).lines
                for line in lines:
                    if line["seq"] <= head.seq:
                        yield LogEntry.model_validate(line)
        except StoreError as error:
            raise Unavailable(f"the operation log cannot be read now: {error}") from error
