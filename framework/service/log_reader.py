"""Logs of nodes, former ones and former starts included, through the files of Mesos' agents.

Nothing is kept here: each answer is read when it is asked for, a few requests at a time. What an
agent has removed with a sandbox is gone, unless it was shipped elsewhere (``logs`` in a spec).
"""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from ..core import logs as rules
from ..core.facts import ClusterState
from ..core.logs import Start
from ..mesos import files
from ..mesos.figures import AgentAway
from ..mesos.files import AgentRefuses, NoSuchFile
from ..mesos.operator import OperatorApi, OperatorError
from .addresses import Addresses
from .errors import NotFound, Unavailable
from .log_views import (
    LogAsked,
    LogFileView,
    LogHitsView,
    LogHitView,
    LogLaunchView,
    LogNodeView,
    LogsView,
    LogTextView,
    ShippingView,
)

AT_ONCE = 8                         # requests to agents, of all who look
MAX_LOOKED_AT = 64                  # sandboxes for one answer
FORMER = 4                          # starts that are looked for though the master forgot them
UNKNOWN = "UNKNOWN"                 # the state of a task that the master does not know
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Found:
    """A start of a node and the agent it was on."""

    start: Start
    agent_id: str
    state: str = UNKNOWN
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(slots=True)
class LogReader:
    """Reads logs of clusters, given their facts; NotFound, Unavailable."""

    operator: OperatorApi
    addresses: Addresses
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def listed(self, state: ClusterState, node: str | None = None) -> LogsView:
        """Every node's launches with their files, as far as an answer may look."""
        name = state.identity.name
        found = [one for one in await self._starts(state) if node in (None, one.start.node)]
        if node is not None and not found and node not in state.nodes:
            raise NotFound(f"{name} has no logs of a node {node!r}")
        looked_at = _newest(found)[:MAX_LOOKED_AT]
        views = dict(zip(looked_at, await asyncio.gather(
            *(self._start_view(state, one) for one in looked_at)), strict=True))
        nodes: dict[str, list[LogLaunchView]] = {one: [] for one in sorted(state.nodes)
                                                if node in (None, one)}
        for one in found:
            view = views.get(one) or self._plain_view(state, one, "not looked at: ask for the node")
            # What the master has forgotten was only guessed at.
            if one.state != UNKNOWN or view.files:
                nodes.setdefault(one.start.node, []).append(view)
        return LogsView(cluster=name, cut=len(found) > len(looked_at), nodes=[
            LogNodeView(node=one, exists=one in state.nodes, launches=starts)
            for one, starts in nodes.items()])

    async def text(self, state: ClusterState, node: str, asked: LogAsked) -> LogTextView:
        """The last lines, or bytes from an offset on."""
        where = await self._place(state, node, asked)
        if asked.offset is None:
            offset = max(0, await where.size() - rules.PIECE_BYTES)
            data, size = await where.read(offset, rules.PIECE_BYTES)
            kept = rules.last_lines(data, asked.lines, whole=offset == 0)
            begin = offset + len(data) - len(kept)
            cut = begin > 0 and kept.count(b"\n") + (not kept.endswith(b"\n")) < asked.lines
        else:
            begin, cut = asked.offset, False
            kept, size = await where.read(begin, min(asked.length, rules.PIECE_BYTES))
        return LogTextView(
            **where.words(), size=size, offset=begin, next_offset=begin + len(kept),
            text=rules.text(kept), cut=cut)

    async def hits(self, state: ClusterState, node: str, asked: LogAsked, wanted: str,
                   before: int | None = None) -> LogHitsView:
        """Lines with a text in the last megabytes, or in those before an offset."""
        where = await self._place(state, node, asked)
        size = await where.size()
        end = size if before is None else min(before, size)
        begin = at = max(0, end - rules.MAX_SCANNED_BYTES)
        search = rules.Search(wanted, begin, whole=begin == 0)
        while at < end:
            data, _ = await where.read(at, min(rules.PIECE_BYTES, end - at))
            if not data:
                break                       # the file is shorter than it was
            search.take(data)
            at += len(data)
        search.end()
        return LogHitsView(
            **where.words(), size=size, text=wanted, found=search.found, scanned_from=begin,
            scanned_to=at, cut=begin > 0 or search.found > len(search.hits),
            hits=[LogHitView(offset=one.offset, line=one.line) for one in search.hits])

    # -------------------------------------------------------------------- where

    async def _starts(self, state: ClusterState) -> list[_Found]:
        """Every start that somebody remembers, each node's newest first; Unavailable."""
        framework_id, cluster = state.identity.framework_id, state.identity.name
        if framework_id is None:
            return []
        try:
            told = await files.tasks(self.operator, framework_id)
        except OperatorError as error:
            raise Unavailable(f"the Mesos master does not say where logs are: {error}") from error
        found = {start: _Found(start, one.agent_id, one.state, one.started_at, one.ended_at)
                 for one in told if (start := rules.start_of(cluster, one.id)) is not None}
        for record in state.nodes.values():
            if record.seat is None:
                continue
            # A master that took over does not know what ended before.
            for launch in range(max(1, record.launch - FORMER), record.launch + 1):
                start = Start(record.name, record.incarnation, launch)
                found.setdefault(start, _Found(start, record.seat.agent_id))
        await self.addresses.find({one.agent_id for one in found.values()})
        return [found[start] for start in rules.newest_first(found)]

    async def _place(self, state: ClusterState, node: str, asked: LogAsked) -> _Place:
        """The file that is asked for; NotFound, Unavailable."""
        name = state.identity.name
        file = asked.file or rules.main_log(name)
        path = rules.path_of(name, file)
        if path is None:
            raise NotFound(f"{file[:100]!r} is not the name of a log of a node")
        found = [one for one in await self._starts(state) if one.start.node == node
                 and asked.launch in (None, one.start.label)]
        if not found:
            what = f"launch {asked.launch} of {node!r}" if asked.launch else f"a node {node!r}"
            raise NotFound(f"{name} has no logs of {what[:200]}")
        one, whole = found[0], f"{_sandbox(state, found[0])}/{path}"

        async def read(offset: int, length: int) -> tuple[bytes, int]:
            return await self._asked(files.read(self._pid(one), whole, offset, length,
                                                self.addresses.login))
        return _Place(name, one.start, self._host(one), path, read)

    async def _start_view(self, state: ClusterState, one: _Found) -> LogLaunchView:
        """A start with its files, or why there are none."""
        root = _sandbox(state, one)
        try:
            pid = self._pid(one)
            login = self.addresses.login
            above = await self._asked(files.listed(pid, root, login))
            within = await self._asked(files.listed(pid, f"{root}/{rules.DIRECTORY}", login)) if (
                any(item.name == rules.DIRECTORY for item in above)) else []
            shipping = await self._shipping(pid, root) if (
                any(item.name == rules.SHIPPING for item in above)) else None
        except (NotFound, Unavailable) as error:
            return self._plain_view(state, one, error.message)
        cluster = state.identity.name
        found = [(rules.name_of(cluster, path), item) for path, item in (
            *((item.name, item) for item in above),
            *((f"{rules.DIRECTORY}/{item.name}", item) for item in within))
            if not item.is_directory]
        return self._plain_view(state, one).model_copy(update={"shipping": shipping, "files": [
            LogFileView(name=name, size=item.size, modified_at=item.modified_at)
            for name, item in sorted(found, key=lambda pair: str(pair[0])) if name is not None]})

    async def _shipping(self, pid: str, root: str) -> ShippingView | None:
        """What an executor says of it; None when that is not to be understood."""
        data, _ = await self._asked(files.read(
            pid, f"{root}/{rules.SHIPPING}", 0, rules.PIECE_BYTES, self.addresses.login))
        try:
            return ShippingView.model_validate_json(data)
        except ValidationError:
            return None                     # longer than a piece, or of another release

    def _plain_view(self, state: ClusterState, one: _Found, problem: str = "") -> LogLaunchView:
        record = state.nodes.get(one.start.node)
        return LogLaunchView(
            launch=one.start.label, host=self._host(one), agent_id=one.agent_id, state=one.state,
            present=record is not None and one.start.task_id(state.identity.name)
            == state.task_id(record), started_at=one.started_at, ended_at=one.ended_at,
            problem=problem)

    def _host(self, one: _Found) -> str:
        agent = self.addresses.agents.get(one.agent_id)
        return agent.host if agent is not None else ""

    def _pid(self, one: _Found) -> str:
        agent = self.addresses.agents.get(one.agent_id)
        if agent is None:
            raise Unavailable(f"the agent of {one.start.node} (launch {one.start.label}) is away: "
                              "its logs can be read when it is back")
        return agent.pid

    async def _asked(self, request: Awaitable[T]) -> T:
        """What an agent answers, a few at a time; NotFound, Unavailable."""
        async with self._gate:
            try:
                return await request
            except NoSuchFile as error:
                raise NotFound(str(error)) from error
            except (AgentAway, AgentRefuses) as error:
                raise Unavailable(f"the log cannot be read now: {error}") from error


@dataclass(frozen=True, slots=True)
class _Place:
    """One file in one sandbox, and how it is read."""

    cluster: str
    start: Start
    host: str
    path: str                           # inside the sandbox
    read: Callable[[int, int], Awaitable[tuple[bytes, int]]]    # offset, length: bytes, size

    async def size(self) -> int:
        """Of the whole; NotFound, Unavailable."""
        return (await self.read(0, 0))[1]

    def words(self) -> dict[str, str]:
        """What names it in every answer."""
        return {"cluster": self.cluster, "node": self.start.node, "launch": self.start.label,
                "host": self.host, "file": rules.name_of(self.cluster, self.path) or self.path}


def _sandbox(state: ClusterState, one: _Found) -> str:
    framework_id = state.identity.framework_id
    assert framework_id is not None, "whoever has starts has a framework"
    return files.sandbox(framework_id, one.start.task_id(state.identity.name))


def _newest(found: Sequence[_Found]) -> list[_Found]:
    """Every node's newest start before any older one."""
    rank: dict[str, int] = {}
    ranked = []
    for one in found:
        rank[one.start.node] = rank.get(one.start.node, 0) + 1
        ranked.append((rank[one.start.node], one))
    return [one for _, one in sorted(ranked, key=lambda pair: pair[0])]
