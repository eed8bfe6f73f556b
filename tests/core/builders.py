"""Small makers of specs, states, agents and offers for the tests of the pure core."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from esaas.framework.core.constraints import Agent
from esaas.framework.core.facts import (
    Bootstrap,
    ClusterState,
    EsNode,
    EsView,
    Identity,
    Link,
    NodeRecord,
    NodeResources,
    NodeState,
    Seat,
    Seeds,
)
from esaas.framework.core.offers.pool import Pool
from esaas.framework.core.offers.stages import Demand
from esaas.framework.core.plan import founded
from esaas.framework.core.resources import Disk, Offer, Reservation, Resource
from esaas.framework.core.spec import ClusterSpec, NodeGroup, parse_spec

S = NodeState
NOW = 1000.0
ROLE = "acme/demo"


def group(name: str = "node", count: int = 3, **more: Any) -> dict[str, Any]:
    """The body of a node group."""
    return {"name": name, "count": count, "roles": ["master", "data"], "mem_mb": 1024,
            "disk_mb": 2000, **more}


def body(*groups: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The body of a spec."""
    return {"name": "demo", "tenant": "acme", "version": "6.8.23",
            "groups": list(groups) or [group()], **more}


def spec(*groups: dict[str, Any], **more: Any) -> ClusterSpec:
    """A checked spec."""
    return parse_spec(body(*groups, **more))


def node_group(**more: Any) -> NodeGroup:
    """The one group of a spec."""
    return NodeGroup.model_validate(group(**more))


def identity(**more: Any) -> Identity:
    """The identity of the cluster demo."""
    return replace(Identity("demo", "acme", "uid1", 1.0, "acme", "framework-1"), **more)


def connected(state: ClusterState, **more: Any) -> ClusterState:
    """The state with a link to Mesos, everything reconciled lately."""
    link = Link(connected=True, since=NOW - 10, reconciled_at=NOW - 10)
    return replace(state, link=replace(link, **more))


def new_cluster(wanted: ClusterSpec | None = None) -> ClusterState:
    """A cluster that has just been asked for, connected."""
    return connected(founded(identity(), wanted or spec()))


def seat(number: int = 1, port: int = 31000, **more: Any) -> Seat:
    """A seat on agent ``number``."""
    found = Seat(f"agent-{number}", f"host-{number}", f"10.0.0.{number}",
                 (("rack", f"rack-{number}"),), port, port + 1,
                 NodeResources(1.1, 1088, 2000))
    return replace(found, **more)


def record(name: str = "node-1", state: NodeState = S.RUNNING, **more: Any) -> NodeRecord:
    """A node on the seat of its own number, but for a planned one."""
    number = int(name.rpartition("-")[2])
    planned = state is S.PLANNED
    leaving = state in (S.STOPPING, S.STOPPED, S.RELEASING)
    found = NodeRecord(
        name, name.rpartition("-")[0], state, since=NOW - 100,
        incarnation=0 if planned else 1, launch=0 if planned else 1,
        seat=None if planned else seat(number), seat_confirmed=not planned and (
            state is not S.PLACING), retire=leaving, es_node_id=f"es-{name}",
        serving_since=NOW - 90 if state is S.RUNNING else None)
    return replace(found, **more)


def with_nodes(state: ClusterState, *records: NodeRecord) -> ClusterState:
    """The state with these records alone."""
    return replace(state, nodes=MappingProxyType({item.name: item for item in records}))


def view(*names: str, at: float = NOW, **more: Any) -> EsView:
    """What Elasticsearch says when these nodes are members."""
    found = EsView(at, "green", "uuid-1", {name: EsNode(f"es-{name}", name) for name in names},
                   template_replicas=1, minimum_master_nodes=len(names) // 2 + 1)
    return replace(found, **more)


def formed(count: int = 3, wanted: ClusterSpec | None = None, **more: Any) -> ClusterState:
    """A settled cluster of ``count`` founding nodes, all ready."""
    state = new_cluster(wanted or spec(group(count=max(count, 2))))
    names = [f"node-{index}" for index in range(1, count + 1)]
    seeds = Seeds(tuple(f"10.0.0.{index}:31001" for index in range(1, count + 1)), 1)
    state = with_nodes(state, *(record(name, seeds_generation=1) for name in names))
    return replace(state, bootstrap=Bootstrap(tuple(names), tuple(names), "uuid-1"), seeds=seeds,
                   es=view(*names, **more))


def scalars(cpus: float = 4.0, mem: float = 4096.0, disk: float = 20000.0,
            ports: tuple[int, int] | None = (31000, 31009), **more: Any) -> tuple[Resource, ...]:
    """Unreserved resources of an agent."""
    found = [Resource("cpus", cpus, **more), Resource("mem", mem, **more),
             Resource("disk", disk, **more)]
    if ports:
        found.append(Resource("ports", ranges=(ports,), **more))
    return tuple(found)


def offer(number: int = 1, resources: Iterable[Resource] | None = None, **more: Any) -> Offer:
    """An offer of agent ``number`` on its own host and rack."""
    found = Offer(f"offer-{number}", f"agent-{number}", f"host-{number}", f"10.0.0.{number}",
                  {"rack": f"rack-{number}"},
                  tuple(scalars() if resources is None else resources))
    return replace(found, **more)


def own_resources(state: ClusterState, node: NodeRecord, *, volume: bool = True,
                  **amounts: float) -> tuple[Resource, ...]:
    """What a node holds, as its agent offers it when no task uses it."""
    assert node.seat is not None
    held = node.seat.resources
    reservation = Reservation(state.identity.role, True, state.identity.principal,
                              state.reservation_labels(node))
    disk = Disk(state.persistence_id(node), state.identity.principal, "data") if volume else None
    low, high = sorted((node.seat.http_port, node.seat.transport_port))
    found = (Resource("cpus", amounts.get("cpus", held.cpus)),
             Resource("mem", amounts.get("mem", held.mem_mb)),
             Resource("disk", amounts.get("disk", held.disk_mb), disk=disk),
             Resource("ports", ranges=((low, high),)))
    return tuple(item.reserved(reservation) for item in found)


def pool(number: int = 1, free: Iterable[Resource] | None = None, host: str | None = None,
         **attributes: str) -> Pool:
    """A pool of one agent."""
    host = host or f"host-{number}"
    return Pool(f"agent-{number}", host, f"10.0.0.{number}",
                Agent(host, attributes or {"rack": f"rack-{number}"}), (f"offer-{number}",),
                tuple(scalars() if free is None else free), ())


def demand(max_per_host: int = 1, on_host: dict[str, int] | None = None,
           peers: Iterable[Agent] = (), **more: Any) -> Demand:
    """What a node of a group asks for."""
    return Demand(node_group(**more), max_per_host, Counter(on_host or {}), list(peers))
