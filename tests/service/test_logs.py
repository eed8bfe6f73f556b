"""Logs through a real HTTP server that answers as an agent does; the master's words are given."""
from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from esaas.framework.core import logs as rules
from esaas.framework.core.facts import ClusterState
from esaas.framework.mesos.operator import MasterAway
from esaas.framework.service.addresses import Addresses
from esaas.framework.service.errors import NotFound, Unavailable
from esaas.framework.service.log_reader import AT_ONCE, MAX_LOOKED_AT, LogReader
from esaas.framework.service.log_views import LogAsked
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from ..core.builders import formed

LOGIN = ("reader", "s3cret")
HEADER = "Basic " + base64.b64encode(b":".join(one.encode() for one in LOGIN)).decode()


class Agent:
    """Has files by path, below directories; asks who it is when told to."""

    def __init__(self) -> None:
        agent = self
        self.files: dict[str, bytes] = {}
        self.asks = False
        self.read: list[str] = []
        self.now = self.most = 0

        class Answer(RequestHandler):
            async def post(self) -> None:
                assert self.request.path == "/slave(1)/api/v1"
                if agent.asks and self.request.headers.get("Authorization") != HEADER:
                    self.set_status(401)
                    return
                agent.now += 1
                agent.most = max(agent.most, agent.now)
                await asyncio.sleep(0)
                agent.now -= 1
                body = json.loads(self.request.body)
                answer = getattr(agent, body["type"].lower())(body[body["type"].lower()])
                if answer is None:
                    self.set_status(404)
                else:
                    self.finish(answer)
        self.server = HTTPServer(Application([(".*", Answer)]))
        [socket] = bind_sockets(0, "127.0.0.1")
        self.server.add_socket(socket)
        self.pid = f"slave(1)@127.0.0.1:{socket.getsockname()[1]}"

    def list_files(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        root = asked["path"] + "/"
        below = {path.removeprefix(root).split("/")[0]: path for path in self.files
                 if path.startswith(root)}
        return {"type": "LIST_FILES", "list_files": {"file_infos": [
            {"path": root + name, "size": len(self.files.get(root + name, b"")),
             "mtime": {"nanoseconds": 5 * 10**9},
             "mode": 0o100644 if root + name in self.files else 0o040755}
            for name in sorted(below)]}} if below else None

    def read_file(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        self.read.append(asked["path"])
        data = self.files.get(asked["path"])
        length = min(asked["length"], 64 << 10)
        return None if data is None else {"type": "READ_FILE", "read_file": {
            "size": len(data), "data": base64.b64encode(
                data[asked["offset"]:asked["offset"] + length]).decode()}}


class Master:
    """Knows one agent, and tasks."""

    def __init__(self, pid: str) -> None:
        self.pid, self.tasks, self.away = pid, [], False
        self.tasks: list[dict[str, Any]]

    async def asked(self, method: str, path: str, body: bytes | None) -> Any:
        if self.away:
            raise MasterAway("no master leads")
        assert path.startswith("/tasks?framework_id=f-1&")
        return {"tasks": self.tasks}

    async def call(self, body: Any) -> Any:
        return {"get_agents": {"agents": [{
            "pid": self.pid, "agent_info": {"id": {"value": "agent-1"}, "hostname": "host-1"}}]}}

    def knows(self, task: str, state: str = "TASK_RUNNING", framework: str = "f-1") -> None:
        self.tasks.append({"id": task, "executor_id": task, "framework_id": framework,
                           "slave_id": "agent-1", "state": state, "statuses": [
                               {"state": "TASK_RUNNING", "timestamp": 10.0},
                               {"state": state, "timestamp": 20.0}]})


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    """A real HTTP server."""
    found = Agent()
    yield found
    found.server.stop()
    await found.server.close_all_connections()


@pytest.fixture
def master(agent: Agent) -> Master:
    """That knows the agent."""
    return Master(agent.pid)


@pytest.fixture
def reader(master: Master) -> LogReader:
    """That knows the master."""
    return LogReader(master, Addresses(master, LOGIN))     # type: ignore[arg-type]


def demo() -> ClusterState:
    """Three nodes, each on an agent of its own; the master knows the first of those."""
    state = formed(3)
    return replace(state, identity=replace(state.identity, framework_id="f-1"))


def put(agent: Agent, task: str, name: str, data: bytes) -> None:
    agent.files[f"/frameworks/f-1/executors/{task}/runs/latest/{name}"] = data


async def test_former_launches_and_nodes_are_listed_with_their_logs(
        agent: Agent, master: Master, reader: LogReader) -> None:
    state = demo()
    task = state.task_id(state.nodes["node-1"])
    for one, lines in ((task, b"new\n"), ("demo.node-1.1.0", b"old\n"), ("demo.gone.3.2", b"x\n")):
        put(agent, one, "logs/demo.log", lines)
        put(agent, one, "config/node.key", b"secret")
        put(agent, one, "stderr", b"")
    master.knows(task)
    master.knows("demo.node-1.1.0", "TASK_KILLED")
    master.knows("demo.gone.3.2", "TASK_FAILED")
    master.knows("demo.other.1.1", framework="another")
    master.knows("stranger")
    found = {one.node: one for one in (await reader.listed(state)).nodes}
    assert sorted(found) == ["gone", "node-1", "node-2", "node-3"]
    assert [one.launch for one in found["node-1"].launches] == ["1.1", "1.0"]
    first, former = found["node-1"].launches
    assert (first.present, first.host, former.present, former.ended_at) == (
        True, "host-1", False, 20.0)
    assert [(one.name, one.size) for one in first.files or ()] == [("demo.log", 4), ("stderr", 0)]
    assert not found["gone"].exists and found["gone"].launches[0].launch == "3.2"
    old = await reader.text(state, "node-1", LogAsked(launch="1.0"))
    assert (old.text, old.launch) == ("old\n", "1.0")
    assert (await reader.text(state, "node-1", LogAsked())).text == "new\n"
    assert not any("config" in path for path in agent.read)


async def test_nothing_but_logs_is_asked_for(agent: Agent, master: Master,
                                             reader: LogReader) -> None:
    state = demo()
    master.knows(task := state.task_id(state.nodes["node-1"]))
    put(agent, task, "config/node.key", b"secret")
    for file in ("config/node.key", "logs/../config/node.key", "../x", "demo.log/..", "", "."):
        if file:
            with pytest.raises(NotFound):
                await reader.text(state, "node-1", LogAsked(file=file))
    for node, launch in (("../node-1", None), ("node-1", "9.9"), ("", None)):
        with pytest.raises(NotFound):
            await reader.text(state, node, LogAsked(launch=launch))
    with pytest.raises(NotFound):
        await reader.text(state, "node-1", LogAsked(file="demo_access.log"))
    assert {path.rpartition("/")[2] for path in agent.read} == {"demo_access.log"}


async def test_who_is_away_is_told(agent: Agent, master: Master, reader: LogReader) -> None:
    state = demo()
    master.knows(state.task_id(state.nodes["node-1"]))
    with pytest.raises(Unavailable, match="the agent of node-2 .* is away"):
        await reader.text(state, "node-2", LogAsked())      # the master does not know its agent
    shown = {one.node: one.launches for one in (await reader.listed(state)).nodes}
    assert "no such file" in shown["node-1"][0].problem, "its sandbox is gone"
    reader.addresses.login, agent.asks = None, True
    with pytest.raises(Unavailable, match="agent-credentials"):
        await reader.text(state, "node-1", LogAsked())
    agent.server.stop()
    await agent.server.close_all_connections()
    with pytest.raises(Unavailable, match="does not answer"):
        await reader.text(state, "node-1", LogAsked())
    master.away = True
    with pytest.raises(Unavailable, match="master"):
        await reader.listed(state)


async def test_agents_are_told_who_asks(agent: Agent, master: Master, reader: LogReader) -> None:
    state, agent.asks = demo(), True
    master.knows(task := state.task_id(state.nodes["node-1"]))
    put(agent, task, "logs/demo.log", b"line\n")
    assert (await reader.text(state, "node-1", LogAsked())).text == "line\n"
    assert LOGIN[1] not in repr(reader)


async def test_reading_is_bounded_and_goes_on_where_it_ended(
        agent: Agent, master: Master, reader: LogReader) -> None:
    state = demo()
    master.knows(task := state.task_id(state.nodes["node-1"]))
    lines = [f"line {number} é\n".encode() for number in range(20000)]
    put(agent, task, "logs/demo.log", b"".join(lines))
    last = await reader.text(state, "node-1", LogAsked(lines=2))
    assert (last.text, last.cut) == ("line 19998 é\nline 19999 é\n", False)
    many = await reader.text(state, "node-1", LogAsked(lines=5000))
    assert many.cut and many.text.startswith("line ") and len(many.text) < rules.PIECE_BYTES
    put(agent, task, "logs/demo.log", b"".join(lines) + b"and more\xff\n")
    newer = await reader.text(state, "node-1", LogAsked(offset=last.next_offset))
    assert newer.text == "and more\ufffd\n"
    again = await reader.text(state, "node-1", LogAsked(offset=newer.next_offset))
    assert (again.text, again.next_offset) == ("", newer.next_offset)


async def test_search_is_bounded_and_goes_on_with_what_is_older(
        agent: Agent, master: Master, reader: LogReader) -> None:
    state = demo()
    master.knows(task := state.task_id(state.nodes["node-1"]))
    filler = b"x" * 99 + b"\n"
    data = b"needle first\n" + filler * 50_000 + b"a Needle\n" * 3
    put(agent, task, "logs/demo.log", data)
    found = await reader.hits(state, "node-1", LogAsked(), "needle")
    assert [one.line for one in found.hits] == ["a Needle"] * 3
    assert found.cut and found.scanned_to - found.scanned_from == rules.MAX_SCANNED_BYTES
    older = await reader.hits(state, "node-1", LogAsked(), "needle", found.scanned_from)
    assert [(one.offset, one.line) for one in older.hits] == [(0, "needle first")]
    assert not older.cut
    reads = sum(path.endswith("demo.log") for path in agent.read)
    assert reads <= 2 + 2 * (1 + rules.MAX_SCANNED_BYTES // rules.PIECE_BYTES)


async def test_only_so_many_sandboxes_are_looked_at(agent: Agent, master: Master,
                                                    reader: LogReader) -> None:
    state = demo()
    for number in range(MAX_LOOKED_AT + 20):
        master.knows(f"demo.node-1.1.{number}", "TASK_FAILED")
        put(agent, f"demo.node-1.1.{number}", "stderr", b"x")
    found = await reader.listed(state)
    launches = {one.node: one.launches for one in found.nodes}["node-1"]
    assert found.cut and len(launches) == MAX_LOOKED_AT + 20
    assert launches[0].files and launches[-1].files is None and "not looked at" in (
        launches[-1].problem)
    assert agent.most <= AT_ONCE
