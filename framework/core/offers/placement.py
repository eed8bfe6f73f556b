"""Choosing agents for new nodes: all stages must pass, then the emptiest rack and host win.

Agents stand in one heap per value of the spread attribute, and are checked when they come to the
top: n nodes on m agents cost about (n + m) log m. Only a refusal by a constraint that counts peers
is asked again for the next node; every other refusal holds for the whole pass, because what is
free only shrinks.
"""
from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..constraints import Agent, counts_peers, parse
from ..facts import ClusterState, NodeRecord, NodeResources, Seat
from ..resources import EPSILON, Resource
from ..spec import NodeGroup
from .outcome import Outcome
from .pool import Pool, take_disk, take_ports, take_scalar
from .stages import PORTS_PER_NODE, Demand, evaluate


@dataclass(frozen=True, slots=True)
class Taken:
    """A seat, and the free resources that it is made of."""

    seat: Seat
    resources: tuple[Resource, ...]
    disk: Resource


@dataclass(slots=True)
class Search:
    """One pass over the offers of a cycle; pools shrink as seats are taken."""

    state: ClusterState
    pools: dict[str, Pool]
    refusals: dict[str, list[Outcome]] = field(default_factory=lambda: defaultdict(list))

    def place(self, group: NodeGroup, names: Sequence[str]) -> dict[str, tuple[str, Taken]]:
        """Agent id and seat for as many of the nodes as fit; why not is kept per agent."""
        found: dict[str, tuple[str, Taken]] = {}
        on_host = Counter(seat.host for seat in self._neighbours(group))
        peers = [Agent(seat.host, dict(seat.attributes)) for seat in self._seats(group.name)]
        avoid = frozenset(record.seat.host for record in self.state.nodes.values()
                          if record.elsewhere and record.group == group.name and record.seat)
        demand = Demand(group, self.state.spec.max_per_host(group), on_host, peers, avoid,
                        frozenset(self.state.maintenance))
        queue = _Queue(self.pools, group.placement.spread_by, on_host)
        queue.count(peers)
        for name in names:
            agent_id = self._next(queue, demand)
            if agent_id is None:
                break
            taken = take_seat(self.pools[agent_id], demand)
            found[name] = agent_id, taken
            self.pools[agent_id] = self.pools[agent_id].without(taken.resources)
            on_host[taken.seat.host] += 1
            peers.append(self.pools[agent_id].agent)
            queue.count(peers[-1:])
            queue.push(agent_id)
        return found

    def _neighbours(self, group: NodeGroup) -> list[Seat]:
        """Seats that count for the limit of a host: sidecars hold no copy of anything."""
        if group.is_sidecar:
            return self._seats(group.name)
        return [record.seat for record in self.state.nodes.values()
                if record.seat is not None and not self.state.is_sidecar(record)]

    def _seats(self, group: str | None = None) -> list[Seat]:
        return [record.seat for record in self.state.nodes.values()
                if record.seat is not None and (group is None or record.group == group)]

    def _next(self, queue: _Queue, demand: Demand) -> str | None:
        """The best agent that passes all stages; None when none does."""
        aside: list[str] = []
        chosen = None
        text = demand.group.placement.constraints
        again = text is not None and counts_peers(parse(text))
        while chosen is None and (agent_id := queue.pop()) is not None:
            outcome = evaluate(demand, self.pools[agent_id])
            if outcome.ok:
                chosen = agent_id
                continue
            self.refusals[agent_id] = [other for other in self.refusals[agent_id]
                                       if other.stage != outcome.stage] + [outcome]
            if again and outcome.parts[-1].stage == "constraints":
                aside.append(agent_id)
        for agent_id in aside:
            queue.push(agent_id)
        return chosen


class _Queue:
    """Agents, best first: the value of the spread attribute with the fewest nodes, then the host
    with the fewest, then the most free memory."""

    def __init__(self, pools: dict[str, Pool], spread: str | None, on_host: Counter[str]) -> None:
        self.pools, self.spread, self.on_host = pools, spread, on_host
        self.counts: Counter[str] = Counter()
        self.heaps: dict[str, list[tuple[int, float, str, str]]] = {}
        for agent_id in pools:
            self.heaps.setdefault(self._value(pools[agent_id].agent), []).append(
                self._rank(agent_id))
        for heap in self.heaps.values():
            heapq.heapify(heap)
        # The values themselves, emptiest first. Counts only grow, so an old one comes up early
        # and is put right then.
        self.values = sorted((0, value) for value in self.heaps)

    def _value(self, agent: Agent) -> str:
        return (agent.field(self.spread) if self.spread else None) or ""

    def _rank(self, agent_id: str) -> tuple[int, float, str, str]:
        pool = self.pools[agent_id]
        return self.on_host[pool.host], -pool.free_amount("mem"), pool.host, agent_id

    def count(self, peers: Sequence[Agent]) -> None:
        """Take note of nodes of the group."""
        self.counts.update(self._value(peer) for peer in peers)

    def push(self, agent_id: str) -> None:
        """Put an agent back."""
        value = self._value(self.pools[agent_id].agent)
        if not self.heaps[value]:
            heapq.heappush(self.values, (self.counts[value], value))
        heapq.heappush(self.heaps[value], self._rank(agent_id))

    def pop(self) -> str | None:
        """The best agent, taken out; None when there is none left."""
        while self.values:
            count, value = self.values[0]
            heap = self.heaps[value]
            if not heap:
                heapq.heappop(self.values)
                continue
            if count != self.counts[value]:
                heapq.heapreplace(self.values, (self.counts[value], value))
                continue
            rank = heapq.heappop(heap)
            fresh = self._rank(rank[-1])
            if fresh == rank:
                return rank[-1]
            heapq.heappush(heap, fresh)      # its host has got a node since: look again
        return None


def take_seat(pool: Pool, demand: Demand) -> Taken:
    """The resources of one node out of a pool that has passed all stages."""
    group = demand.group
    disk = take_disk(pool, group.disk_type, group.disk_mb)
    assert disk is not None, f"{pool.host} passed the disk stage"
    ports, port_resources = take_ports(pool.free, PORTS_PER_NODE)
    resources = (*take_scalar(pool.free, "cpus", demand.cpus),
                 *take_scalar(pool.free, "mem", demand.mem_mb), disk, *port_resources)
    held = NodeResources(demand.cpus, demand.mem_mb, int(disk.amount), *disk.source)
    seat = Seat(pool.agent_id, pool.host, pool.ip, tuple(sorted(pool.agent.attributes.items())),
                ports[0], ports[1], held)
    return Taken(seat, resources, disk)


def offered_seat(pool: Pool, record: NodeRecord,
                 resources: Sequence[Resource]) -> Seat | None:
    """The seat that a node's own reserved resources make up; None when something is missing."""
    ports = sorted(port for item in resources for begin, end in item.ranges
                   for port in range(begin, end + 1) if item.name == "ports")
    disk = next((item for item in resources
                 if item.disk is not None and item.disk.persistence_id), None)
    cpus = round(sum(item.amount for item in resources if item.name == "cpus"), 3)
    mem_mb = round(sum(item.amount for item in resources if item.name == "mem"))
    if disk is None or len(ports) < PORTS_PER_NODE or not cpus or not mem_mb:
        return None
    held = NodeResources(cpus, mem_mb, int(disk.amount), *disk.source)
    seat = Seat(pool.agent_id, pool.host, pool.ip, tuple(sorted(pool.agent.attributes.items())),
                ports[0], ports[1], held)
    if record.seat is None:
        return seat
    old = record.seat
    if ({old.http_port, old.transport_port} - set(ports)
            or cpus + EPSILON < old.resources.cpus or mem_mb < old.resources.mem_mb):
        return None                     # only a part of it is offered yet; the rest will come
    return replace(seat, http_port=old.http_port, transport_port=old.transport_port)
