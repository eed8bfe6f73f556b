"""Figures of containers, agents, master and ZooKeeper, from real HTTP servers that stand in."""
from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from esaas.framework.core.facts import ClusterState
from esaas.framework.mesos.figures import container_of
from esaas.framework.service.addresses import Addresses
from esaas.framework.service.below import FRESH_S, Below, server_figures
from esaas.framework.store.ensemble import ServerStatus
from esaas.framework.telemetry.containers import figures
from esaas.framework.telemetry.readings import BY_NAME, Scope
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from ..core.builders import formed
from .test_platform import StandInApi

CONTAINER: dict[str, Any] = {
    "executor_id": "", "framework_id": "", "statistics": {
        "timestamp": 1000.0, "cpus_user_time_secs": 10.0, "cpus_system_time_secs": 2.0,
        "cpus_soft_limit": 0.6, "mem_rss_bytes": 512 * 2**20, "mem_limit_bytes": 1024 * 2**20}}
SNAPSHOT = {"slave/registered": 1.0, "slave/cpus_percent": 0.25, "system/cpus_total": 4.0,
            "system/load_1min": 6.0, "system/mem_free_bytes": 2**30, "slave/other": 1.0}


class Agent:
    """Answers as an agent does, with what a test gives it."""

    def __init__(self) -> None:
        agent = self
        self.containers: Any = []
        self.asked: Counter[str] = Counter()

        class Answer(RequestHandler):
            def get(self) -> None:
                agent.asked[self.request.path] += 1
                assert "Authorization" not in self.request.headers
                if self.request.path == "/metrics/snapshot":
                    self.write(SNAPSHOT)
                elif self.request.path == "/slave(1)/containers":
                    self.set_header("Content-Type", "application/json")
                    self.finish(json.dumps(agent.containers))
                else:
                    self.send_error(404)
        self.server = HTTPServer(Application([(".*", Answer)]))
        [socket] = bind_sockets(0, "127.0.0.1")
        self.server.add_socket(socket)
        self.pid = f"slave(1)@127.0.0.1:{socket.getsockname()[1]}"


class Master(StandInApi):
    """Knows one agent."""

    pid = ""
    asked_for_agents = 0

    async def asked(self, method: str, path: str, body: bytes | None) -> Any:
        found = await super().asked(method, path, body)
        if body is not None and b"GET_AGENTS" in body:
            self.asked_for_agents += 1
            [agent] = found["get_agents"]["agents"]
            agent["agent_info"]["id"]["value"] = "agent-1"
            agent["pid"] = self.pid
        return found


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    """A real HTTP server."""
    found = Agent()
    yield found
    found.server.stop()
    await found.server.close_all_connections()


@pytest.fixture
def below(agent: Agent) -> Below:
    """That knows the agent by the master."""
    master = Master("10.0.0.1:5050")
    master.pid = agent.pid
    return Below(master, None, Addresses(master))


def demo() -> ClusterState:
    """A cluster of three nodes, each on an agent of its own; the master knows one of those."""
    state = formed(3)
    return replace(state, identity=replace(state.identity, framework_id="f-1"))


def container(state: ClusterState, node: str, later_s: float = 0.0, **more: Any) -> dict[str, Any]:
    """What its agent says of a node's container."""
    used = dict(CONTAINER["statistics"])
    used["timestamp"] += later_s
    used["cpus_user_time_secs"] += 0.5 * later_s
    used["cpus_system_time_secs"] += 0.1 * later_s
    return {"executor_id": state.task_id(state.nodes[node]), "framework_id": "f-1",
            "statistics": used | more}


async def test_each_agent_is_asked_twice_and_only_of_our_nodes(below: Below, agent: Agent) -> None:
    state, now = demo(), time.time()
    stranger = container(state, "node-1") | {"framework_id": "marathon"}
    agent.containers = [stranger, container(state, "node-1"), container(state, "node-3")]
    [master] = await below.measure({"demo": state})
    assert agent.asked == {"/slave(1)/containers": 1, "/metrics/snapshot": 1}
    assert master.values["master_up"] == 1 and master.values["agents_active"] == 2
    found = below.of_node("demo", "node-1", now)
    assert found == {"container_cpus": 0.6, "container_mem_mb": 512, "container_mem_limit_mb": 1024,
                     "container_mem_percent": 50}
    assert below.of_node("demo", "node-3", now) == {}, "it is on another agent"
    agent.containers = [container(state, "node-1", 10.0)]
    await below.measure({"demo": state})
    later = below.of_node("demo", "node-1", now)
    assert later["container_cpu_user_percent"] == pytest.approx(50)
    assert later["container_cpu_percent"] == pytest.approx(60)
    host = below.of_host(state.nodes["node-1"].seat.host, now)        # type: ignore[union-attr]
    assert host["agent_up"] == 1 and host["load_per_core"] == 1.5 and host["agent_cores"] == 4
    assert host["agent_cpus_percent"] == 25 and host["agent_mem_free_mb"] == 1024
    assert {(Scope.HOST, name) for name in host} | {(Scope.NODE, name) for name in later} | {
        (Scope.MESOS, name) for name in master.values} <= BY_NAME.keys()
    assert below.of_node("demo", "node-1", now + 2 * FRESH_S) == {}, "too old to say anything"


async def test_agents_that_nobody_knows_are_looked_for_once_an_interval(
        below: Below, agent: Agent) -> None:
    state = demo()
    for _ in range(2):
        await below.measure({"demo": state})
    assert isinstance(below.operator, Master)
    assert below.operator.asked_for_agents == 2, "two of three are not known"
    one = state.with_node(state.nodes["node-1"])
    alone = replace(one, nodes={"node-1": one.nodes["node-1"]})
    for _ in range(2):
        await below.measure({"demo": alone})
    assert below.operator.asked_for_agents == 2, "it is known where that one is"


async def test_an_agent_that_is_away_is_not_up_and_its_nodes_are_forgotten_in_time(
        below: Below, agent: Agent) -> None:
    state, now = demo(), time.time()
    agent.containers = [container(state, "node-1")]
    await below.measure({"demo": state})
    agent.containers = {"error": "odd"}
    await below.measure({"demo": state})
    seat = state.nodes["node-1"].seat
    assert seat is not None and below.of_host(seat.host, now) == {"agent_up": 0}
    await below.measure({})
    assert below.of_host(seat.host, now) == {} and below.of_node("demo", "node-1", now) == {}


def test_cpu_needs_two_answers_of_one_container() -> None:
    first, second = (container_of(container(demo(), "node-1", later_s)) for later_s in (0, 5))
    assert "container_cpu_percent" in figures(first, second)
    for before in (None, second, replace(first, executor_id="another"),
                   replace(first, user_s=99.0)):
        assert "container_cpu_percent" not in figures(before, second)
    bare = container_of({"executor_id": "e", "framework_id": "f"})
    assert figures(bare, replace(bare, at=5.0)) == {}, "what is not measured is missing, not zero"
    full = container_of(container(demo(), "node-1", disk_used_bytes=2**20,
                                  disk_limit_bytes=4 * 2**20))
    assert figures(None, full)["container_disk_mb"] == 1
    hard = container_of(container(demo(), "node-1", cpus_limit=2.0))
    assert (full.cpus, hard.cpus) == (0.6, 2.0), "a hard limit goes before what was asked for"
    assert {(Scope.NODE, name) for name in figures(first, full)} <= BY_NAME.keys()


def test_a_server_of_zookeeper_in_figures() -> None:
    found = server_figures(ServerStatus("z:1", "leader", "3.8.0", 0.5, 2, 3, 5))
    assert found == {"up": 1, "leader": 1, "latency_ms": 0.5, "outstanding": 2, "connections": 3,
                     "znodes": 5}
    assert {(Scope.ZOOKEEPER, name) for name in found} == {
        one for one in BY_NAME if one[0] is Scope.ZOOKEEPER}
    assert server_figures(ServerStatus("z:1", problem="does not answer")) == {"up": 0}
