"""What it costs the service to measure: 48 clusters of six nodes on 87 agents, all stand-ins.

The measuring itself is the service's own, with its board, its history on disk and the text for
Prometheus. Elasticsearch, agents and the master stand in: one program beside it that answers with
what a real node of 6.8.23 has answered. Loops do not turn meanwhile.

    python -m bench.measure [CLUSTERS] [ROUNDS]
"""
from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import psutil
from esaas.framework.mesos.operator import OperatorApi
from esaas.framework.service.clusters import Clusters
from esaas.framework.settings import KnownDistribution, Settings
from esaas.framework.sinks import AlertSettings
from esaas.framework.telemetry.exposition import text
from esaas.framework.telemetry.readings import Reading, Scope
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from bench import report
from tests.core.builders import formed

NODES, AGENTS = 6, 87
INTERVAL_S = 15.0                   # of `esaas serve --measure`
AIM_PERCENT = 5.0
ANSWER = Path(__file__).parents[1] / "tests" / "telemetry" / "answers" / "6.8.23.json"
STORED_S = 3.0                      # a turn that was cut off is still stored, by a thread
WARM_UP = 2                         # rounds: clients connect, series are made


def stats(count: int) -> dict[str, Any]:
    """The answer of a real node, as if so many had given it."""
    [node] = json.loads(ANSWER.read_text())["nodes"].values()
    return {"nodes": {f"es-{number}": node | {"name": f"node-{number}"}
                      for number in range(1, count + 1)}}


def containers(clusters: int) -> list[list[dict[str, Any]]]:
    """What each agent says of the nodes on it."""
    found: list[list[dict[str, Any]]] = [[] for _ in range(AGENTS)]
    for number in range(clusters):
        for at in range(NODES):
            found[(number * NODES + at) % AGENTS].append({
                "executor_id": f"{name_of(number)}.node-{at + 1}.1.1", "framework_id": "f-1",
                "statistics": {
                    "timestamp": time.time(), "cpus_user_time_secs": time.monotonic(),
                    "cpus_system_time_secs": 2.0, "cpus_soft_limit": 1.1,
                    "mem_rss_bytes": 2**30, "mem_soft_limit_bytes": 2**31}})
    return found


def name_of(number: int) -> str:
    """Of a cluster."""
    return f"c{number:02}"


async def stand_in(clusters: int) -> None:
    """Serve until killed; the port is told on standard output."""
    answers = {"/_nodes/stats": orjson.dumps(stats(NODES)),
               "/metrics/snapshot": orjson.dumps({
                   "slave/registered": 1, "system/cpus_total": 8, "system/load_1min": 1.5})}

    class Answer(RequestHandler):
        def get(self) -> None:
            found = next((body for path, body in answers.items()
                          if self.request.path.startswith(path)), None)
            if found is None:
                agent = re.match(r"/slave\((\d+)\)/containers", self.request.path)
                assert agent is not None
                found = orjson.dumps(containers(clusters)[int(agent[1])])
            self.set_header("Content-Type", "application/json")
            self.finish(found)
    [socket] = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([(".*", Answer)])).add_socket(socket)
    print(socket.getsockname()[1], flush=True)
    await asyncio.Event().wait()


class StandInMaster(OperatorApi):
    """Knows the agents, which all answer at one port."""

    port = 0

    async def asked(self, method: str, path: str, body: bytes | None) -> Any:
        """What a master says of agents, and of itself."""
        if path == "/metrics/snapshot":
            return {"master/slaves_active": float(AGENTS)}
        return {"get_agents": {"agents": [{
            "agent_info": {"id": {"value": f"agent-{number}"}, "hostname": f"host-{number}"},
            "active": True, "pid": f"slave({number})@127.0.0.1:{self.port}"}
            for number in range(AGENTS)]}}


@asynccontextmanager
async def service(clusters: int, port: int, directory: Path) -> AsyncIterator[Clusters]:
    """A service with so many clusters that run, as far as it knows."""
    found = Clusters(Settings(
        mesos_master="127.0.0.1:1", state_dir=directory, measure_s=300,
        alerts=AlertSettings(evaluate_s=300),
        distributions={"6.8.23": KnownDistribution(url="file:///es.zip", sha256="0" * 64)}))
    await found.start()
    group = {"name": "node", "count": NODES, "roles": ["master", "data"], "mem_mb": 1024}
    for number in range(clusters):
        await found.create({"name": name_of(number), "tenant": "demo", "version": "6.8.23",
                            "groups": [group]})
    for loop in found._loops.values():
        await loop.stop()
    await asyncio.sleep(STORED_S)
    for number, loop in enumerate(found._loops.values()):
        loop.cycle.state = running(number, port)
    master = StandInMaster("127.0.0.1:1")
    master.port = port
    found._below.operator = found._below.addresses.operator = master
    try:
        yield found
    finally:
        for loop in found._loops.values():
            await loop.watch._close()
        await found.stop()


def running(number: int, port: int) -> Any:
    """A cluster whose nodes are spread over the agents, and answer at one port."""
    state = formed(NODES)
    for at, record in enumerate(state.nodes.values()):
        agent = (number * NODES + at) % AGENTS
        assert record.seat is not None
        state = state.with_node(replace(record, seat=replace(
            record.seat, agent_id=f"agent-{agent}", host=f"host-{agent}", ip="127.0.0.1",
            http_port=port)))
    return replace(state, identity=replace(state.identity, name=name_of(number),
                                           framework_id="f-1"))


def labels(reading: Reading) -> tuple[str, ...]:
    """As for whoever may see everything."""
    scope, cluster, name = reading.subject
    if scope is Scope.CLUSTER:
        return "demo", cluster
    return ("demo", cluster, name, "host") if scope is Scope.NODE else (name,) if name else ()


async def measure_clusters(found: Clusters) -> None:
    """Every cluster once, one after another."""
    for name in list(found._loops):
        await found.measure_cluster(name)


async def measure_below(found: Clusters) -> None:
    """Agents, containers and the master, once."""
    states = {name: loop.state for name, loop in found._loops.items()}
    found.board.put(await found._below.measure(states))


async def measured(found: Clusters, rounds: int) -> list[dict[str, Any]]:
    """A row for each part of a round, and one for all: CPU of this process."""
    process = psutil.Process()

    async def rest() -> None:
        found._measure_rest(process)

    async def keep() -> None:
        found.history.flush()

    async def scrape() -> None:
        text(found.board, labels, time.time())
        found.own_metrics()
    parts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "clusters and nodes": partial(measure_clusters, found),
        "agents, containers, master": partial(measure_below, found),
        "hosts and the process": rest, "history to disk": keep,
        "a scrape": scrape}
    used = dict.fromkeys(parts, 0.0)
    for number in range(WARM_UP + rounds):
        for part, run in parts.items():
            begin = time.process_time()
            await run()
            if number >= WARM_UP:
                used[part] += time.process_time() - begin
        await asyncio.sleep(0.05)       # counters of containers need another moment
    nodes = [one for one in found.board.all(Scope.NODE) if one.values.get("up") == 1]
    assert len(nodes) == NODES * len(found._loops), "a stand-in did not answer"
    assert all({"heap_used_percent", "container_cpu_percent"} <= set(one.values) for one in nodes)
    assert len(found.board.all(Scope.HOST)) == min(AGENTS, len(nodes))
    assert all(one.values["agent_up"] == 1 for one in found.board.all(Scope.HOST))
    used["all of it"] = sum(used.values())
    return [{"part of a round": part, "CPU a round (ms)": 1000 * cpu_s / rounds,
             f"share of a core at {INTERVAL_S:.0f} s (%)": 100 * cpu_s / rounds / INTERVAL_S}
            for part, cpu_s in used.items()]


async def run(clusters: int, rounds: int, port: int) -> list[dict[str, Any]]:
    """Rows, from a service in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="esaas-bench-") as directory:
        async with service(clusters, port, Path(directory)) as found:
            return await measured(found, rounds)


def main(clusters: int = 48, rounds: int = 20) -> None:
    """Measure and keep."""
    beside = subprocess.Popen([sys.executable, "-m", "bench.measure", "stand-in", str(clusters)],
                              stdout=subprocess.PIPE, cwd=Path(__file__).parents[1],
                              env=dict(os.environ))
    assert beside.stdout is not None
    try:
        rows = asyncio.run(run(clusters, rounds, int(beside.stdout.readline())))
    finally:
        beside.kill()
        beside.wait()
    report.keep("measure_standin", "Measuring many clusters: stand-in Elasticsearch and agents", (
        f"{clusters} clusters of {NODES} nodes on {AGENTS} agents, measured by the service's own "
        f"code; {rounds} rounds, CPU of its process alone. Stand-ins answer with what a real node "
        f"of 6.8.23 has answered (aim: less than {AIM_PERCENT:.0f} % of a core)."), rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["stand-in"]:
        asyncio.run(stand_in(int(sys.argv[2])))
    else:
        main(*map(int, sys.argv[1:]))
