"""Server-sent events: one feed per client, from the event log, never losing or reordering.

A client is a cursor into the log and the newest summary of each cluster, so what a slow client
costs is bounded by the number of clusters, and nothing has to be dropped for it.
"""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from esaas.framework.service.errors import NotFound, Unavailable
from esaas.framework.service.views import ClusterSummary, EventView
from pydantic import BaseModel

Write = Callable[[bytes], Awaitable[None]]
PAGE = 200          # events read from the log at a time
RETRY_MS = 2000     # how long a browser waits before it connects again


class Source(Protocol):
    """What a feed takes of the service."""

    def endpoints(self, name: str) -> dict[str, list[str]]:
        """NotFound when the cluster is no more."""

    async def events(self, name: str | None, after: int = 0,
                     limit: int = 200) -> list[EventView]:
        """Events with a sequence number above ``after``; the newest for 0."""

    def watch(self, name: str | None) -> AsyncIterator[EventView | ClusterSummary]:
        """What is new, as it comes."""


class Streams:
    """The open streams of one application: counted, bounded and closed together."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Callable[[], Any]) -> asyncio.Task[None]:
        """Run a stream as a task of ours; Unavailable when too many are open."""
        if len(self._tasks) >= self._limit:
            raise Unavailable(f"already {self._limit} open event streams; try again later")
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """End every stream and wait until all have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def message(event: str, body: BaseModel, ident: int | None = None) -> bytes:
    """One server-sent event, with its id when there is one."""
    head = f"id: {ident}\n" if ident is not None else ""
    return f"{head}event: {event}\ndata: {body.model_dump_json()}\n\n".encode()


class _News:
    """What has changed since the client was last written to."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.summaries: dict[str, ClusterSummary] = {}
        self.ended = False

    async def pump(self, items: AsyncIterator[EventView | ClusterSummary]) -> None:
        try:
            async for item in items:
                if isinstance(item, ClusterSummary):
                    self.summaries[item.name] = item
                self.wake.set()
        finally:
            self.ended = True
            self.wake.set()
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

    def take(self) -> list[ClusterSummary]:
        """The changed summaries, which are then forgotten."""
        self.wake.clear()
        taken = list(self.summaries.values())
        self.summaries.clear()
        return taken


async def newest(service: Source, name: str | None) -> int:
    """The sequence number of the last event so far; 0 when there is none."""
    last = await service.events(name, 0, 1)
    return last[-1].seq if last else 0


async def _catch_up(service: Source, name: str | None, cursor: int, write: Write) -> int:
    while batch := await service.events(name, cursor, PAGE):
        for event in batch:
            await write(message("event", event, event.seq))
        cursor = batch[-1].seq
    return cursor


async def feed(service: Source, name: str | None, after: int | None, write: Write,
               heartbeat_s: float) -> None:
    """Write events above ``after`` (None: from now on) and changed summaries, until cancelled.

    Ends by itself with an event ``gone`` when the cluster is no more, or when the service stops.
    A failure of the service's own feed is raised.
    """
    cursor = await newest(service, name) if after is None else after
    news = _News()
    pump = asyncio.create_task(news.pump(service.watch(name)))
    try:
        # One turn of the loop lets the pump subscribe before the log is read: no gap between.
        await asyncio.sleep(0)
        await write(f"retry: {RETRY_MS}\n\n".encode())
        while True:
            summaries = news.take()
            if name is not None:
                service.endpoints(name)     # NotFound: the log outlives its cluster
            cursor = await _catch_up(service, name, cursor, write)
            for summary in summaries:
                await write(message("summary", summary))
            if news.ended:
                await pump
                return
            try:
                async with asyncio.timeout(heartbeat_s):
                    await news.wake.wait()
            except TimeoutError:
                await write(b": heartbeat\n\n")
    except NotFound:
        await write(b"event: gone\ndata: {}\n\n")
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
