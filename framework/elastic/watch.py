"""Watches one cluster from the event loop: a look at a time, more often while there is work."""
from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from ..core.errors import EsaasError
from ..core.facts import EsView
from ..core.operations import Operation, RunErrand
from ..core.snapshots import Taken
from . import shards, snapshots
from .actions import perform
from .client import EsAccess, EsClient, EsUnavailable
from .errors import ErrandFailed
from .observer import Observer
from .shards import Copy

log = structlog.get_logger(__name__)
T = TypeVar("T")
UNKNOWN_SHAPE = (KeyError, TypeError, ValueError, AttributeError)     # of an answer
ANSWERS_WITHIN = 0.9                # of a busy interval, so that no request is cut off


@dataclass(frozen=True, slots=True)
class Acted:
    """What came of an action; ``refused``: trying again will not help."""

    ok: bool
    message: str
    refused: bool = False


def _recovers(view: EsView | None) -> bool:
    """Whether copies are missing that may come back at any moment."""
    return view is not None and (view.health != "green" or view.initializing_shards > 0)


class Watch:
    """Looks at a cluster through whatever nodes answer, and carries actions out.

    ``major`` gives the version that is wanted, which decides the client; ``addresses`` gives
    ``host:port`` of nodes that serve; ``busy`` tells whether views are waited for; ``seen`` gets
    every view; ``access`` tells how nodes of a secured cluster are asked, and may raise EsaasError.
    """

    def __init__(self, name: str, major: Callable[[], int], addresses: Callable[[], Sequence[str]],
                 busy: Callable[[], bool], seen: Callable[[EsView], None],
                 busy_s: float, idle_s: float,
                 access: Callable[[], EsAccess | None] = lambda: None) -> None:
        self._log = log.bind(cluster=name)
        self._observer = Observer()
        self._major = major
        self._addresses, self._busy, self._seen = addresses, busy, seen
        self._busy_s, self._idle_s = busy_s, idle_s
        self._access = access
        self._client: EsClient | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._hurry, self._acted = asyncio.Event(), asyncio.Event()
        self._failing = False

    def hurry(self) -> None:
        """Look again soon: something has changed."""
        self._hurry.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._acted.clear()         # what is done from here on is not seen for sure
                await self._look()
                pause_s = self._busy_s if self._busy() else self._idle_s
                await self._pause(pause_s)
        finally:
            await self._close()
            await asyncio.gather(*self._closing)

    async def _pause(self, pause_s: float) -> None:
        """At most one look per busy interval, however often somebody is in a hurry.

        But at once after an action, whose effect is waited for, and when the copies are there that
        were missing.
        """
        try:
            async with asyncio.timeout(min(self._busy_s, pause_s)):
                await self._news()
        except TimeoutError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(pause_s - self._busy_s, 0.001)):
                    await self._hurry.wait()
        finally:
            self._hurry.clear()

    async def _news(self) -> None:
        """Returns when the cluster has become green, or an action was carried out."""
        if self._client is not None and self._busy() and _recovers(self._observer.last):
            # The next look says what is wrong.
            with contextlib.suppress(EsUnavailable, *UNKNOWN_SHAPE):
                if await self._client.wait_for_green(ANSWERS_WITHIN * self._busy_s):
                    return
        await self._acted.wait()

    async def _look(self) -> None:
        try:
            client = await self._current()
            if client is None:
                return
            view = await self._observer.look(client, time.time(), self._busy())
        except EsUnavailable as error:
            if not self._failing:
                self._log.info("elasticsearch does not answer", error=str(error))
            self._failing = True
            return
        except UNKNOWN_SHAPE:
            # An answer of a shape that nobody expected is no look, and must not end the watch.
            self._log.exception("answer of elasticsearch is not understood")
            self._failing = True
            return
        if self._failing:
            self._log.info("elasticsearch answers again")
        self._failing = False
        self._seen(view)

    async def act(self, operation: Operation,
                  tell: Callable[[int, int], None] = lambda done, total: None) -> Acted:
        """Carry out one action; ``tell(done, total)`` is called while an errand goes on."""
        try:
            client = await self._current(lasting=isinstance(operation, RunErrand))
        except EsUnavailable as error:
            return Acted(False, str(error))
        if client is None:
            return Acted(False, "no node of the cluster serves")
        try:
            done = await perform(client, operation, self._major(), tell)
        except EsUnavailable as error:
            return Acted(False, str(error), error.status is not None and 400 <= error.status < 500)
        except ErrandFailed as error:
            return Acted(False, str(error))
        finally:
            if client is not self._client:
                await client.close()
        self._observer.looks = 0            # the next look is a full one and shows the effect
        self._acted.set()
        self.hurry()
        return Acted(True, done)

    async def ask(self, question: Callable[[EsClient], Awaitable[T]], none: T) -> T:
        """Ask whatever serves something of one's own; ``none`` when nobody can be asked."""
        try:
            client = await self._current()
        except EsUnavailable:
            return none
        return none if client is None else await question(client)

    async def known_settings(self) -> frozenset[str] | None:
        """Names of all settings that the cluster's nodes know by themselves; None: not seen."""
        try:
            client = await self._current()
            if client is None:
                return None
            found = await client.request("GET", "/_cluster/settings", {
                "include_defaults": "true", "flat_settings": "true"})
        except EsUnavailable as error:
            self._log.info("settings cannot be asked for", error=str(error))
            return None
        return frozenset(key for layer in ("defaults", "persistent", "transient")
                         for key in found.get(layer) or ())

    async def shard_copies(self) -> list[Copy]:
        """Every started copy of every shard, with what it has done; EsUnavailable."""
        return await shards.look(await self._serving())

    async def snapshots(self) -> list[Taken]:
        """What the cluster's repository holds, the oldest first; EsUnavailable."""
        return await snapshots.listed(await self._serving())

    async def _serving(self) -> EsClient:
        """The client of the nodes that serve; EsUnavailable when none does."""
        client = await self._current()
        if client is None:
            raise EsUnavailable("no node of the cluster serves")
        return client

    async def _current(self, lasting: bool = False) -> EsClient | None:
        """The client of the nodes that serve; a lasting action gets one of its own.

        Raises EsUnavailable when nobody knows how to ask a secured cluster.
        """
        addresses = tuple(sorted(self._addresses()))
        major = self._major()
        if lasting:
            return self._made(major, addresses) if addresses else None
        if self._client is not None and (
                self._client.addresses, self._client.major) != (addresses, major):
            # Not waited for: a request under way may take its time.
            closing = asyncio.create_task(self._client.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._client = None
        if self._client is None and addresses:
            self._client = self._made(major, addresses)
        return self._client

    def _made(self, major: int, addresses: Sequence[str]) -> EsClient:
        try:
            return EsClient(major, addresses, self._access())
        except EsaasError as error:
            raise EsUnavailable(str(error)) from error

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
