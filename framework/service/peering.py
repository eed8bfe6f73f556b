"""What processes of one service know of each other's clusters, and tell each other.

Each listens to the others' words and answers lists for all clusters; what is about one cluster is
passed on by the doors to the process that runs it (``Elsewhere``).
"""
from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import AsyncIterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ..core.facts import ClusterState
from ..runtime.loop import ClusterLoop
from . import present
from .endpoints import Endpoints
from .errors import Elsewhere, ServiceError, Unavailable
from .foreign import Member, Word
from .hosts import seats_of
from .sharing import Shared
from .views import ClusterSummary, EventView, MemberView

SUMMARY_S = 2.0                     # a line of the list of a cluster that nothing happens to


class _Line(NamedTuple):
    """A summary, and what it was made of."""

    state: ClusterState
    sentence: str
    at: float
    summary: ClusterSummary

    def stands(self, loop: ClusterLoop, now: float) -> bool:
        """Whether it is of what is known now, or of just before."""
        return (self.state is loop.state and self.sentence == loop.sentence
                and 0 <= now - self.at < SUMMARY_S)


class Peering(Endpoints):
    """The part of ``ClusterService`` that deals with the other processes."""

    _instance: str
    _lines: WeakKeyDictionary[ClusterLoop, _Line]
    _listeners: set[asyncio.Queue[str]]

    @abstractmethod
    def _broadcast(self, name: str, *items: EventView | ClusterSummary) -> None:
        """Tell everybody who watches a cluster."""

    def _summary(self, loop: ClusterLoop) -> ClusterSummary:
        """Of now, or of just before when nothing has happened since: lists are asked for often."""
        line, now = self._lines.get(loop), time.time()
        if line is None or not line.stands(loop, now):
            line = _Line(loop.state, loop.sentence, now,
                         present.summary_view(loop.state, loop.sentence, now))
            self._lines[loop] = line
        return line.summary

    # ------------------------------------------------------------ who runs what

    def _members(self) -> list[MemberView]:
        """All processes that share the store."""
        shared = self._sharing.shared if self._sharing is not None else None
        if shared is None:
            return []
        counts = Counter(shared.owners.values())
        return [MemberView(instance=name, url=member.url, started_at=member.started_at,
                           clusters=counts[name], me=name == self._instance)
                for name, member in sorted(self._others(shared, everybody=True).items())]

    def _owners(self) -> dict[str, str]:
        """Process by cluster; our own are known at once."""
        shared = self._sharing.shared if self._sharing is not None else None
        return dict(shared.owners if shared else {}) | dict.fromkeys(self._loops, self._instance)

    def _others(self, shared: Shared, *, everybody: bool = False) -> dict[str, Member]:
        return {name: Member.model_validate_json(data) for name, data in shared.members.items()
                if everybody or name != self._instance}

    def _elsewhere(self, name: str) -> ServiceError | None:
        """Where another process runs it; Unavailable while nobody does."""
        if name in self._unreadable:
            return Unavailable(f"{name} cannot be read: {self._unreadable[name]}")
        shared = self._sharing.shared if self._sharing is not None else None
        if shared is None or name not in shared.names:
            return None
        others = self._others(shared)
        owner = self._foreign.owner(name) or shared.owners.get(name)
        if owner not in others:
            return Unavailable(f"{name} is being taken over; try again in a moment")
        return Elsewhere(f"{owner} runs {name}", others[owner].url)

    def _tenant_of(self, name: str) -> str | None:
        loop = self._loops.get(name)
        if loop is not None:
            return loop.state.identity.tenant
        summary = self._foreign.summaries().get(name)
        return summary.tenant if summary is not None else None

    def _is_secured(self, name: str) -> bool:
        loop = self._loops.get(name)
        if loop is not None:
            return loop.state.tls is not None
        summary = self._foreign.summaries().get(name)
        return summary is not None and summary.secured

    async def _holder_url(self, lease: str) -> str | None:
        """Where the process answers that holds a lease; None for this one, or nobody."""
        holder = (await asyncio.to_thread(self._store.leases)).get(lease)
        return self.peers().get(holder) if holder is not None else None

    # --------------------------------------------------------------- telling

    def peers(self) -> dict[str, str]:
        """URLs of the other processes, by name."""
        shared = self._sharing.shared if self._sharing is not None else None
        return {} if shared is None else {
            name: member.url for name, member in self._others(shared).items()}

    def words(self) -> list[Word]:
        """What this process tells the others of its clusters."""
        return [self._word(name) for name in self._loops]

    def _word(self, name: str) -> Word:
        loop = self._loops.get(name)
        if loop is None:
            return Word(name=name)
        return seats_of(loop.state).model_copy(update={
            "summary": self._summary(loop), "seeds": present.seeds(loop.state),
            "http_urls": loop.state.seeds.http_urls,
            "endpoints": self._endpoints_of(loop)})

    def hear(self, member: str, word: Word) -> None:
        """What another process tells of a cluster of its own."""
        if word.name in self._loops:
            return
        self._foreign.hear(member, word)
        self._tell_remotes(word.name)
        self._touch(word.name)
        if word.summary is not None:
            self._broadcast(word.name, word.summary)

    async def listen(self) -> AsyncIterator[Word]:
        """Words on every change of a cluster here, until the consumer closes it; all at first."""
        changed: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.add(changed)
        try:
            for word in self.words():
                yield word
            while True:
                names = {await changed.get()}
                while not changed.empty():
                    names.add(changed.get_nowait())
                for name in names:
                    yield self._word(name)
        finally:
            self._listeners.discard(changed)

    def _gone(self, name: str) -> None:
        self._foreign.forget(name)
        self._tell_peers(name)
        if self._sharing is not None:
            self._sharing.wake()

    def _tell_peers(self, name: str) -> None:
        for listener in self._listeners:
            listener.put_nowait(name)

    def _tell_remotes(self, name: str) -> None:
        """Clusters that follow another: to search it, or to ship logs into it."""
        for loop in self._loops.values():
            target = loop.state.spec.logs
            if target is not None and target.cluster and name in (loop.name, target.cluster):
                into = self._loops.get(target.cluster)
                urls = (into.state.seeds.http_urls if into is not None
                        else self._foreign.http_urls(target.cluster))
                if urls:
                    loop.log_target_seen(target.cluster, urls)
            for remote in loop.state.spec.remotes:
                if remote.cluster and name in (loop.name, remote.cluster):
                    other = self._loops.get(remote.cluster)
                    seeds = (present.seeds(other.state) if other is not None
                             else self._foreign.seeds(remote.cluster))
                    if seeds:
                        loop.remote_seen(remote.cluster, seeds)
