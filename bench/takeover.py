"""One of two service processes is killed: how long until the other runs all clusters.

Real Mesos and ZooKeeper, stand-in nodes. A cluster is taken over when its scheduler, with its old
framework id, is registered with Mesos again; times are from the clusters' own histories. ZooKeeper
cannot tell a dead process from a silent one before its session has timed out: that is the floor.

    python -m bench.takeover [--clusters N] [--nodes N] [--agents N] [--rounds N]
"""
from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from functools import partial
from typing import Any

from esaas.framework.store.keeper import SESSION_TIMEOUT_S

from bench import fleet, report
from tests.system.service import Service, wait_for


def owned(door: Service) -> dict[str, list[str]]:
    """Clusters by the process that runs them; those of nobody are left out."""
    found: dict[str, list[str]] = {}
    for name, owner in door.client.get("/v1/status")["owners"].items():
        found.setdefault(owner, []).append(name)
    return found


def facts(door: Service, names: list[str]) -> dict[str, Any]:
    """What must not change: frameworks, tasks and processes."""
    return {name: (detail["framework_id"], [
        (node["name"], node["task_id"], node["pid"], node["launch"]) for node in detail["nodes"]])
        for name, detail in fleet.details(door, names).items()}


def registered_at(door: Service, name: str, since: float) -> float | None:
    """When a cluster's scheduler has registered since a moment; None: it has not."""
    events = door.client.get(f"/v1/clusters/{name}/events", limit=1000)
    return next((event["at"] for event in events
                 if event["kind"] == "registered" and event["at"] > since), None)


def even(door: Service, names: list[str]) -> bool:
    """Whether both processes run their half of all clusters, and all are registered."""
    shares = sorted(map(len, owned(door).values()))
    return (shares == [len(names) // 2, len(names) - len(names) // 2]
            and all(detail["connected"] for detail in fleet.details(door, names).values()))


def kill_one(number: int, victim: Service, other: Service, wanted: dict[str, int]
             ) -> dict[str, Any]:
    """Kill a process, wait until the other runs everything; a row."""
    names = list(wanted)
    before = facts(other, names)
    orphans = owned(other)[victim.client.get("/v1/status")["instance"]]
    cost = fleet.Cost(other)
    died_at = time.time()
    victim.kill()
    found: dict[str, float] = {}

    def one_owner() -> bool:
        return [len(theirs) for theirs in owned(other).values()] == [len(names)]

    def all_registered() -> bool:
        for name in orphans:
            if name not in found and (at := registered_at(other, name, died_at)) is not None:
                found[name] = at - died_at
        return len(found) == len(orphans)

    wait_for("all clusters to have one owner", one_owner, 300)
    wait_for("all clusters to be registered again", all_registered, 300)
    fleet.until_calm(other, wanted, 300)
    after = facts(other, names)
    times = sorted(found.values())
    return {"round": number, "clusters": len(names), "nodes": sum(wanted.values()),
            "of the dead process": len(orphans), "first (s)": times[0],
            "median (s)": statistics.median(times), "last (s)": times[-1],
            "session time-out (s)": SESSION_TIMEOUT_S,
            "last, over the time-out": times[-1] / SESSION_TIMEOUT_S,
            "tasks changed": sum(before[name] != after[name] for name in names),
            "CPU of the other (s)": cost.cpu_s}


def measure(clusters: int, nodes: int, agents: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each process that was killed."""
    wanted, rows = fleet.sizes(clusters, nodes), []
    with fleet.fleet(agents, zookeeper=True) as (box, directory), contextlib.ExitStack() as ends:
        first = fleet.service(box, directory / "first").start()
        ends.callback(first.stop)
        second = fleet.service(box, directory / "second", first).start()
        ends.callback(second.stop)
        fleet.create(first, wanted)
        fleet.until_calm(first, wanted)
        pair = [first, second]
        for number in range(1, rounds + 1):
            victim, other = pair
            wait_for("shares to be even", partial(even, other, list(wanted)), 600)
            rows.append(kill_one(number, victim, other, wanted))
            print(rows[-1], flush=True)
            victim.start()
            pair.reverse()
        wait_for("shares to be even", lambda: even(first, list(wanted)), 600)
        fleet.remove(first, list(wanted))
    return rows


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("clusters", 48), ("nodes", 144), ("agents", 12), ("rounds", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    rows = measure(**vars(parser.parse_args()))
    report.keep("takeover", "Takeover of a dead process's clusters", (
        "Two service processes on one ZooKeeper and real Mesos share the clusters, whose nodes "
        "are stand-ins for Elasticsearch; kill -9 of one, until every cluster of it is "
        "registered with Mesos again by the other."), rows)


if __name__ == "__main__":
    main()
