"""Housekeeping: each cluster's indices are looked at now and then, and what is due is asked for.

What was seen written of an index is a record beside the cluster's facts: a restart of the service
does not make idle indices look busy again.
"""
from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from pydantic import TypeAdapter, ValidationError

from ..core.errors import EsaasError
from ..core.facts import ClusterState
from ..core.gates import view_is_fresh, words
from ..core.housekeeping import policies
from ..core.housekeeping.policies import Planned
from ..core.indices import IndexLook, Memory, Quiet, remembered, worth_keeping
from ..core.snapshots import Taken
from ..elastic import indices, snapshots
from ..elastic.client import EsClient, EsUnavailable
from ..runtime.loop import ClusterLoop
from ..store.codec import cluster_path
from ..store.contract import StoreError
from . import present
from .base import Base
from .errors import ServiceError, Unavailable
from .housekeeping_views import ActView, HousekeepingView, PolicyView

log = structlog.get_logger(__name__)

TICK_S = 5.0                        # from one turn over all clusters to the next
AT_ONCE = 8                         # clusters that are looked at
SAVE_S = 900.0                      # what was seen written is stored so often at most
_MEMORY: TypeAdapter[dict[str, Quiet]] = TypeAdapter(dict[str, Quiet])


@dataclass(slots=True)
class _Seen:
    """What this process knows of a cluster's indices beside its facts."""

    memory: Memory
    looked_at: float = 0.0
    saved_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Housekeeping(Base):
    """The part of ``ClusterService`` that looks after indices."""

    _kept: dict[ClusterLoop, _Seen]
    _keep_task: asyncio.Task[None] | None = None

    async def housekeeping(self, name: str) -> HousekeepingView:
        """What every policy sees now, what it would do next, and what holds it; Unavailable."""
        loop = self._loop(name)
        found, look = await self._survey(loop)
        now = time.time()
        return HousekeepingView(
            cluster=name, at=look.at, every_s=loop.state.spec.housekeeping.every_s,
            policies=[policy_view(loop.state, one, now) for one in found])

    async def keep_house(self) -> None:
        """Until cancelled: each cluster with a policy that acts, at its own pace."""
        gate = asyncio.Semaphore(AT_ONCE)
        while True:
            await asyncio.sleep(TICK_S)
            there = set(self._loops.values())
            await asyncio.gather(*(self._guarded_keep(loop, gate) for loop in there
                                   if loop.state.spec.housekeeping.acts))
            for loop in self._kept.keys() - there:
                del self._kept[loop]

    async def _guarded_keep(self, loop: ClusterLoop, gate: asyncio.Semaphore) -> None:
        """One of few at once, so that a cluster that hangs does not keep the others waiting."""
        async with gate:
            try:
                await self._keep(loop)
            except (ServiceError, EsaasError) as error:
                log.info("indices cannot be looked after now", cluster=loop.name, why=str(error))
            except (KeyError, TypeError, ValueError, AttributeError):
                # An answer of a shape that nobody expected must not end it for all clusters.
                log.exception("indices are not understood", cluster=loop.name)

    async def _keep(self, loop: ClusterLoop) -> None:
        """Look at one cluster when it is time, and ask for what is due."""
        wish, now = loop.state.spec.housekeeping, time.time()
        if not wish.acts or loop.state.deleting or not view_is_fresh(loop.state, now):
            return
        seen = self._seen_of(loop)
        if 0 <= now - seen.looked_at < wish.every_s:
            return
        seen.looked_at = now            # a cluster that does not answer is not asked all the time
        found, _ = await self._survey(loop)
        self._save(loop, seen)
        async with loop.changing:
            for one in found:
                # Asked anew for each: what was begun just now may hold the next.
                why = policies.may_act(loop.state, one, time.time())
                if why:
                    log.debug("policy does nothing now", cluster=loop.name,
                              policy=one.found.policy, subject=one.found.subject, why=why)
                    continue
                log.info("policy acts", cluster=loop.name, policy=one.found.policy,
                         subject=one.found.subject, sees=one.found.sees,
                         targets=[act.target for act in one.found.acts])
                await self._command(loop, policies.asked(one, uuid.uuid4().hex[:12], time.time()))

    async def _survey(self, loop: ClusterLoop) -> tuple[list[Planned], IndexLook]:
        """What every policy makes of a look of now; Unavailable."""
        seen = self._seen_of(loop)
        listing = policies.wants_snapshots(loop.state)

        async def ask(client: EsClient) -> tuple[IndexLook, Sequence[Taken] | None] | None:
            return (await indices.look(client, time.time()),
                    await snapshots.listed(client) if listing else None)

        async with seen.lock:           # a look of before must not come after
            try:
                answered = await loop.watch.ask(ask, None)
            except EsUnavailable as error:
                raise Unavailable(f"indices cannot be looked at now: {error}") from error
            if answered is None:
                raise Unavailable("indices cannot be looked at now: no node serves")
            look, taken = answered
            seen.memory = remembered(seen.memory, look)
            return policies.plans(loop.state, look, seen.memory, taken), look

    # ---------------------------------------------------------------- what was seen

    def _seen_of(self, loop: ClusterLoop) -> _Seen:
        found = self._kept.get(loop)
        if found is None:
            data = loop.cycle.book.read(_path(loop.name))
            try:
                memory = _MEMORY.validate_json(data) if data is not None else {}
            except ValidationError as error:
                # Without it idle indices only wait longer.
                log.warning("what was seen of indices cannot be read", cluster=loop.name,
                            error=str(error))
                memory = {}
            found = self._kept[loop] = _Seen(memory, saved_at=time.time() if data else 0.0)
        return found

    def _save(self, loop: ClusterLoop, seen: _Seen) -> None:
        """Store what was seen written, now and then, of what policies ask about."""
        now = time.time()
        if 0 <= now - seen.saved_at < SAVE_S:
            return
        seen.saved_at = now
        data = _MEMORY.dump_json(worth_keeping(seen.memory))
        if data == loop.cycle.book.read(_path(loop.name)):
            return
        try:
            loop.cycle.put(_path(loop.name), data)
        except StoreError as error:
            log.warning("what was seen of indices cannot be stored", cluster=loop.name,
                        error=str(error))


def _path(name: str) -> str:
    return f"{cluster_path(name)}/indices"


def policy_view(state: ClusterState, one: Planned, now: float) -> PolicyView:
    """A rule of a policy for people."""
    answer = policies.holding(state, one.kind, now) if one.found.acts else None
    before = policies.last(state, one) if one.kind else None
    return PolicyView(
        policy=one.found.policy, subject=one.found.subject, sees=one.found.sees,
        acts=[ActView(target=act.target, why=act.why) for act in one.found.acts],
        beyond=one.found.beyond,
        leaves=[ActView(target=act.target, why=act.why) for act in one.found.leaves],
        advises=one.found.advises,
        held_by=words(answer),
        acts_not_because=policies.may_act(state, one, now),
        last=present.operation_view(before) if before is not None else None)
