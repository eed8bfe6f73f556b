"""What one seed makes: agents with their machines, and the clusters that people begin with."""
from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from esaas.framework.core.resources import Disk, Resource
from esaas.framework.core.spec import ClusterSpec, parse_spec

from .agent import Agent
from .books import Books

VERSIONS = ("6.8.23", "7.17.29")
TENANTS = ("acme", "globex")
FIRST_PORT, PORTS = 31000, 24


@dataclass(frozen=True)
class Topology:
    """The data centre of a seed."""

    agents: tuple[Agent, ...]
    disk_types: tuple[str, ...]


def topology(rng: Random) -> Topology:
    """Two to twelve agents: racks, hosts, disks and sizes by chance."""
    count = rng.choice((2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9, 10, 12))
    racks = rng.randint(1, min(count, 4))
    shared = rng.random() < 0.15            # two agents on a host
    kinds = ["ROOT"] + [kind for kind in ("PATH", "MOUNT") if rng.random() < 0.25]
    agents = []
    for number in range(1, count + 1):
        machine = (number + 1) // 2 if shared else number
        attributes = {"rack": f"rack-{machine % racks}", "kind": rng.choice(("old", "new"))}
        agents.append(Agent(number, f"agent-{number}", f"host-{machine}", f"10.0.0.{machine}",
                            attributes, _machine(rng, number, kinds)))
    return Topology(tuple(agents), tuple(kinds))


def _machine(rng: Random, number: int, kinds: list[str]) -> Books:
    """CPUs, memory, disks and ports of one agent."""
    low = FIRST_PORT + 100 * number
    books = Books()
    books.add([Resource("cpus", float(rng.choice((4, 6, 8, 12)))),
               Resource("mem", float(rng.choice((6144, 8192, 16384)))),
               Resource("disk", float(rng.choice((10_000, 20_000)))),
               Resource("ports", ranges=((low, low + PORTS - 1),))])
    for kind in kinds[1:]:
        for disk in range(1, rng.randint(1, 2) + 1):
            books.add([Resource("disk", 4000.0, disk=Disk(
                source_type=kind, source_root=f"/disks/{kind.lower()}-{disk}"))])
    return books


def cluster_count(rng: Random) -> int:
    """One to three; mostly one, because every turn of every cluster takes its time."""
    return rng.choice((1, 1, 1, 1, 2, 2, 3))


def first_spec(rng: Random, number: int, data_centre: Topology) -> ClusterSpec:
    """What people want a cluster to be in the beginning."""
    room = max(len({agent.host for agent in data_centre.agents}), 2)
    replicas = 2 if room >= 4 and rng.random() < 0.2 else 1
    body: dict[str, Any] = {
        "name": f"es{number}", "tenant": rng.choice(TENANTS), "version": rng.choice(VERSIONS),
        "default_replicas": replicas, "groups": _groups(rng, room, replicas, data_centre),
        "change": _change(rng)}
    if rng.random() < 0.3:
        body["replacement"] = {"after_s": 60, "per_hour": rng.choice((1, 5))}
    return parse_spec(body)


def _change(rng: Random) -> dict[str, Any]:
    return {"strategy": rng.choice(("serial", "serial", "parallel", "canary")),
            "max_down": rng.randint(1, 3), "max_extra": rng.choice((0, 1, 1, 2)),
            "on_failure": rng.choice(("roll_back", "roll_back", "hold"))}


def _groups(rng: Random, room: int, replicas: int, data_centre: Topology) -> list[dict[str, Any]]:
    most = max(min(room, 6), replicas + 1)
    size = {"cpus": rng.choice((0.5, 1.0)), "mem_mb": rng.choice((512, 1024)),
            "disk_mb": rng.choice((500, 1000)), "disk_type": rng.choice(data_centre.disk_types)}
    data = rng.randint(replicas + 1, max(most - 1, replicas + 1))
    placement: dict[str, Any] = {"spread_by": rng.choice(("rack", "rack", None))}
    if rng.random() < 0.15:
        placement["constraints"] = "hostname UNIQUE"
    if rng.random() < 0.55:
        groups = [{"name": "node", "count": data, "roles": ["master", "data"], **size,
                   "placement": placement}]
    else:
        masters = rng.choice((1, 3)) if room >= 5 else 1
        groups = [{"name": "master", "count": masters, "roles": ["master"], **size,
                   "placement": {"max_per_host": 2}},
                  {"name": "data", "count": data, "roles": ["data", "ingest"], **size,
                   "placement": placement | {"max_per_host": replicas + 1}}]
    if rng.random() < 0.1:
        groups.append({"name": "kibana", "kind": "sidecar", "count": 1, "command": "run",
                       "cpus": 0.1, "mem_mb": 256, "disk_mb": 64})
    return groups
