"""The size of the talk on one machine: 87 agents, 48 clusters, 300 nodes that stand in.

Real Mesos with its agents in one process, real executors, stand-ins for Elasticsearch. How long it
takes to create all, to restart all in a roll, and to recover from a host whose tasks all die at
once; and what the service process uses meanwhile, which measures, evaluates alerts and keeps its
store and leases in a real ZooKeeper. "Turns told" are those turns of the clusters' loops that had
something new to say. The doors are asked by ``wrk`` while nothing else goes on.

    python -m bench.scale [--clusters N] [--nodes N] [--agents N] [--at-once CLUSTERS]
"""
from __future__ import annotations

import argparse
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
from esaas.local.daemons import marked
from esaas.local.datacentre import DataCentre

from bench import fleet, report
from bench.growth import CONNECTIONS, asked
from tests.system.service import Service, wait_for

SHARDS = 2
IDLE_S = 60.0
DOORS = {"list": "/v1/clusters", "one": "/v1/clusters/c00", "metrics": "/metrics",
         "who runs what": "/v1/status"}


class Phases:
    """A row for each phase."""

    def __init__(self, door: Service) -> None:
        self._door = door
        self.rows: list[dict[str, Any]] = []

    def _told(self) -> int:
        return self._door.log.read_text().count('"event": "cycle"')

    @contextlib.contextmanager
    def measured(self, phase: str, what: str) -> Iterator[None]:
        """What passes within is the phase."""
        cost, told = fleet.Cost(self._door), self._told()
        yield
        self.rows.append({
            "phase": phase, "of": what, "seconds": cost.passed_s, "CPU of the service (s)":
            cost.cpu_s, "CPU (% of a core)": 100 * cost.cpu_s / cost.passed_s,
            "turns told": self._told() - told, "peak of the service (MiB)": cost.peak_mib})
        print(self.rows[-1], flush=True)


def launches(door: Service, names: list[str]) -> dict[tuple[str, str], tuple[str | None, int]]:
    """Host and number of launches of every node."""
    return {(name, node["name"]): (node["host"], node["launch"])
            for name, detail in fleet.details(door, names).items() for node in detail["nodes"]}


def restart_all(door: Service, wanted: dict[str, int]) -> None:
    """A rolling restart of every cluster, all at once."""
    before = launches(door, list(wanted))
    for name in wanted:
        door.client.post(f"/v1/clusters/{name}/restart")
    until_launched(door, before)
    fleet.until_calm(door, wanted)


def until_launched(door: Service, before: dict[tuple[str, str], tuple[str | None, int]]) -> None:
    """Wait until each of these nodes was launched once more."""
    waiting = dict(before)

    def look() -> bool:
        for name in sorted({name for name, _ in waiting}):
            for node, (_, launch) in launches(door, [name]).items():
                if node in waiting and launch > waiting[node][1]:
                    del waiting[node]
            if any(left == name for left, _ in waiting):
                return False
        return True

    wait_for("nodes to be launched again", look, fleet.PATIENCE_S)


def kill_tasks(box: DataCentre, number: int) -> None:
    """SIGKILL to all that runs for the tasks of one agent."""
    tasks = str(box.places.agent(number))
    for process in marked(box.state().id):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.cwd().startswith(f"{tasks}/"):
                process.kill()


def lose_host(box: DataCentre, door: Service, wanted: dict[str, int], host: str) -> None:
    """All tasks of a host die at once; wait until all clusters are whole again."""
    before = {node: was for node, was in launches(door, list(wanted)).items() if was[0] == host}
    kill_tasks(box, int(host.rpartition("-")[2]))
    until_launched(door, before)
    fleet.until_calm(door, wanted)


def waves(wanted: dict[str, int], at_once: int) -> list[dict[str, int]]:
    """The clusters in parts of so many."""
    items = list(wanted.items())
    return [dict(items[start:start + at_once]) for start in range(0, len(items), at_once)]


def doors(door: Service) -> list[dict[str, Any]]:
    """How the service answers while it runs all clusters: a row for each door."""
    script = door.directory / "who.lua"
    script.touch(0o600)                 # not in the arguments, which everybody sees
    script.write_text(f'wrk.headers["Authorization"] = "Bearer {door.token}"\n')
    found = {name: asked(door.url.rstrip("/") + path, script) for name, path in DOORS.items()}
    return [{"door": name, "path": DOORS[name], "requests/s": one.per_s,
             "median (ms)": one.median_ms, "99 % (ms)": one.p99_ms} for name, one in found.items()]


def measure(clusters: int, nodes: int, agents: int, at_once: int
            ) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the phases, of the memory that all of it takes, and of the doors."""
    wanted = fleet.sizes(clusters, nodes)
    with fleet.fleet(agents, zookeeper=True) as (box, directory):
        door = fleet.service(box, directory / "service").start()
        phases = Phases(door)
        try:
            with phases.measured("create", f"{clusters} clusters, {nodes} nodes, {agents} agents"):
                for wave in waves(wanted, at_once):
                    fleet.create(door, wave)
                    fleet.until_calm(door, wave)
            fleet.index_everywhere(door, list(wanted), SHARDS)
            memory = [{"what": kind, "processes": count, "MiB": size, "MiB each": size / count}
                      for kind, (count, size) in sorted(fleet.memory_mib(box).items())]
            with phases.measured("idle", f"{clusters} clusters"):
                time.sleep(IDLE_S)
            answers = doors(door)
            with phases.measured("rolling restart", f"all {nodes} nodes, cluster by cluster at "
                                 "the same time"):
                restart_all(door, wanted)
            found = launches(door, list(wanted)).values()
            [(host, count)] = Counter(host for host, _ in found if host).most_common(1)
            with phases.measured("a host's tasks die", f"{count} nodes on {host}"):
                lose_host(box, door, wanted, host)
            with phases.measured("delete", f"{clusters} clusters"):
                fleet.remove(door, list(wanted))
        finally:
            door.stop()
    return phases.rows, memory, answers


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("clusters", 48), ("nodes", 300), ("agents", 87), ("at-once", 6)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    rows, memory, answers = measure(**vars(options))
    report.keep("scale", "The size of the talk on one machine", (
        f"Real Mesos and executors, stand-ins for Elasticsearch, one service process with its "
        f"store in ZooKeeper, measuring and alerts on; {SHARDS} primaries with a replica each in "
        f"every cluster. Clusters are created {options.at_once} at a time, because agents wait for "
        "an executor for a minute, and two cores do not start hundreds in that time; all are "
        "restarted at once."), rows)
    report.keep("scale_memory", "Memory of many nodes", (
        "Of the same run, after creation; pages that processes share count by their share."),
        memory)
    report.keep("scale_doors", "Doors of a service that runs the size of the talk", (
        f"Of the same run: `wrk` with {CONNECTIONS} connections and a token, on the same machine."),
        answers)


if __name__ == "__main__":
    main()
