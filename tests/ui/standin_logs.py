"""The part of the stand-in that has logs of nodes: lines in memory, read by the real rules."""
from __future__ import annotations

from typing import TYPE_CHECKING

from esaas.framework.core import logs as rules
from esaas.framework.service.errors import NotFound, Unavailable
from esaas.framework.service.log_views import (
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

if TYPE_CHECKING:
    from standin_service import Fake

LINES = "".join(f"[2026-11-30T20:35:{second:02d},623][INFO ][o.e.n.Node               ] [node-0] "
                f"line {second}{' started' if second % 20 == 0 else ' <b>&'}\n"
                for second in range(60))


class LogsStandIn:
    """What ``StandInService`` says of logs; every node has had two launches."""

    fakes: dict[str, Fake]
    clock: float
    away: frozenset[str] = frozenset()          # nodes whose agents are away
    written = LINES

    def _find(self, name: str) -> Fake:
        raise NotImplementedError

    async def logs(self, name: str, node: str | None = None) -> LogsView:
        nodes = [one.name for one in self._find(name).nodes if node in (None, one.name)]
        if not nodes:
            raise NotFound(f"{name} has no logs of a node {node!r}")
        files = [LogFileView(name=file, size=len(self.written), modified_at=self.clock)
                 for file in (f"{name}.log", f"{name}_index_search_slowlog.log", "stderr")]
        launches = [LogLaunchView(
            launch=launch, host="agent-1.example", agent_id="A1", state=state, present=present,
            started_at=self.clock - 600, files=files, shipping=ShippingView(
                shipped=1200, refused=0, behind_bytes=4711, error="http://10.0.0.9:31000: "
                "ConnectionRefusedError", told_at=self.clock)) for launch, state, present in (
                ("1.2", "TASK_RUNNING", True), ("1.1", "TASK_KILLED", False))]
        lost = [one.model_copy(update={"files": None, "problem": "the agent is away"})
                for one in launches]
        return LogsView(cluster=name, cut=False, nodes=[
            LogNodeView(node=one, exists=True, launches=lost if one in self.away else launches)
            for one in nodes])

    def _log(self, name: str, node: str, asked: LogAsked) -> dict[str, str]:
        if node not in {one.name for one in self._find(name).nodes}:
            raise NotFound(f"{name} has no logs of a node {node!r}")
        path = rules.path_of(name, asked.file or rules.main_log(name))
        if path is None or asked.launch not in (None, "1.1", "1.2"):
            raise NotFound("no such log")
        if node in self.away:
            raise Unavailable("the agent of this node is away")
        return {"cluster": name, "node": node, "launch": asked.launch or "1.2",
                "host": "agent-1.example", "file": rules.name_of(name, path) or ""}

    async def log_text(self, name: str, node: str, asked: LogAsked) -> LogTextView:
        words, data = self._log(name, node, asked), self.written.encode()
        begin = asked.offset
        kept = rules.last_lines(data, asked.lines, whole=True) if begin is None else (
            data[begin:begin + asked.length])
        begin = len(data) - len(kept) if begin is None else begin
        return LogTextView(**words, size=len(data), offset=begin, next_offset=begin + len(kept),
                           text=rules.text(kept), cut=False)

    async def log_hits(self, name: str, node: str, asked: LogAsked, wanted: str,
                       before: int | None = None) -> LogHitsView:
        words, data = self._log(name, node, asked), self.written.encode()[:before]
        search = rules.Search(wanted, 0, whole=True)
        search.take(data)
        search.end()
        return LogHitsView(
            **words, size=len(self.written), text=wanted, found=search.found, scanned_from=0,
            scanned_to=len(data), cut=False,
            hits=[LogHitView(offset=one.offset, line=one.line) for one in search.hits])
