"""Which process runs which cluster: shared out over all that use one store, by leases.

Every process computes the same assignment from the same names and members, takes up what is its
own and free, and hands over what is another's. What nobody takes up for a while is taken by anyone.
A lease decides in the end, never an assignment.
"""
from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from ..store.contract import Store, StoreError

log = structlog.get_logger(__name__)

LOOK_S = 10.0                       # at the latest, when nothing tells of a change
PATIENCE_S = 4.0                    # for another process to take up what is its own
SETTLE_S = 5.0                      # a new member is handed clusters once it has stayed so long


def assignment(names: Iterable[str], members: Collection[str]) -> dict[str, str]:
    """Member by cluster: nobody gets more than his share, and little moves when members change.

    Rendezvous hashing with bounded loads: each cluster goes to the first member of its own ranking
    that has room.
    """
    wanted = sorted(names)
    if not members:
        return {}
    share, load = math.ceil(len(wanted) / len(members)), Counter[str]()
    found: dict[str, str] = {}
    for name in wanted:
        ranking = sorted((_weight(member, name), member) for member in members)
        found[name] = next(member for _, member in ranking if load[member] < share)
        load[found[name]] += 1
    return found


def _weight(member: str, name: str) -> bytes:
    return hashlib.blake2b(f"{member}\n{name}".encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class Shared:
    """What the store says at one moment."""

    names: frozenset[str]
    members: Mapping[str, bytes]
    owners: Mapping[str, str]           # of clusters with a lease that is held

    @property
    def free(self) -> frozenset[str]:
        """Clusters that nobody runs."""
        return self.names - self.owners.keys()


def look(store: Store) -> Shared:
    """Names, members and owners; StoreError."""
    names = store.names()
    return Shared(names, store.members(), {
        name: owner for name, owner in store.leases().items() if name in names})


class Runner(Protocol):
    """Who runs clusters."""

    def running(self) -> Collection[str]:
        """The clusters that run here."""

    async def take_up(self, name: str) -> None:
        """Run a cluster, unless another process has its lease."""

    async def hand_over(self, name: str) -> None:
        """Stop running a cluster, so that another process can."""


class Sharing:
    """Keeps this process's share; ``me`` is its name among the members."""

    def __init__(self, store: Store, me: str, runner: Runner) -> None:
        self._store, self._me, self._runner = store, me, runner
        self.shared = Shared(frozenset(), {}, {})
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._free_since: dict[str, float] = {}
        self._member_since: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self, data: bytes) -> None:
        """Join the others, take up a first share, and go on in the background; StoreError."""
        self._store.on_change(self._changed)
        await asyncio.to_thread(self._store.join, self._me, data)
        await self._turn()
        self._task = asyncio.create_task(self._run(), name="sharing")

    async def stop(self) -> None:
        """Take up and hand over nothing any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _changed(self) -> None:
        """From a thread of the store."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    def wake(self) -> None:
        """Look again soon."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass                        # nothing told of a change: look all the same
            self._wake.clear()
            try:
                await self._turn()
            except StoreError as error:
                log.warning("clusters cannot be shared out now", error=str(error))
                await asyncio.sleep(1)

    def _pause_s(self) -> float:
        """Soon while something waits for its time."""
        waits = self._free_since or any(
            time.monotonic() - since < SETTLE_S for since in self._member_since.values())
        return 1.0 if waits else LOOK_S

    async def _turn(self) -> None:
        self.shared = shared = await asyncio.to_thread(look, self._store)
        now = time.monotonic()
        self._free_since = {name: self._free_since.get(name, now) for name in shared.free}
        self._member_since = {name: self._member_since.get(name, now) for name in shared.members}
        mine = set(self._runner.running())
        due = assignment(shared.names, shared.members)
        for name in sorted(shared.free - mine):
            if due.get(name) == self._me or now - self._free_since[name] >= PATIENCE_S:
                await self._runner.take_up(name)
        # Let go while the store was out of sight for long, and our session has outlived that.
        stranded = {name for name, owner in shared.owners.items() if owner == self._me} - mine
        for name in sorted(stranded):
            await self._runner.take_up(name)
        # One at a time, so that a new process is not flooded, and only to one that stays.
        for name in sorted(mine & due.keys()):
            other = due[name]
            if other != self._me and now - self._member_since[other] >= SETTLE_S:
                log.info("cluster is handed over", cluster=name, to=other)
                await self._runner.hand_over(name)
                self._wake.set()
                return
