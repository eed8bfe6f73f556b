"""The checks that an agent must pass to seat a node of a group, in order, cheapest first.

Each stage is one function with a name that people read in the offers page.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..constraints import Agent, parse
from ..resources import EPSILON
from ..spec import EXECUTOR_CPUS, EXECUTOR_MEM_MB, NodeGroup
from .outcome import Outcome, failed, passed
from .pool import Pool, take_disk

PORTS_PER_NODE = 2


@dataclass(frozen=True, slots=True)
class Demand:
    """What a node of a group asks of an agent, and where its peers are."""

    group: NodeGroup
    max_per_host: int
    on_host: Counter[str]               # nodes of the whole cluster by host
    peers: Sequence[Agent]              # agents of the group's nodes
    avoid: frozenset[str] = frozenset()     # hosts that nodes are to be moved away from
    leaving: frozenset[str] = frozenset()   # hosts that are under maintenance, or about to be

    @property
    def cpus(self) -> float:
        """CPUs of the node and its executor."""
        return round(self.group.cpus + EXECUTOR_CPUS, 3)

    @property
    def mem_mb(self) -> int:
        """Memory of the node and its executor."""
        return self.group.mem_mb + EXECUTOR_MEM_MB


Stage = Callable[[Demand, Pool], Outcome]


def host_limit(demand: Demand, pool: Pool) -> Outcome:
    """Never more nodes of a cluster on a host than its replicas can make up for."""
    found = demand.on_host[pool.host]
    if found >= demand.max_per_host:
        return failed("max_per_host", f"{pool.host} has {found} of at most "
                                      f"{demand.max_per_host} nodes of this cluster")
    return passed("max_per_host")


def in_service(demand: Demand, pool: Pool) -> Outcome:
    """Not on a host that is to go."""
    if pool.host in demand.leaving or pool.unavailable_from is not None:
        return failed("in_service", f"{pool.host} is to be taken out for maintenance")
    return passed("in_service")


def elsewhere(demand: Demand, pool: Pool) -> Outcome:
    """Not on the host of a node whose place the new one takes."""
    if pool.host in demand.avoid:
        return failed("elsewhere", f"a node of {demand.group.name} is being moved away from "
                                   f"{pool.host}")
    return passed("elsewhere")


def constraints(demand: Demand, pool: Pool) -> Outcome:
    """The group's own placement constraints."""
    text = demand.group.placement.constraints
    if not text:
        return passed("constraints")
    outcome = parse(text).check(pool.agent, demand.peers)
    return Outcome("constraints", outcome.ok, "", (outcome,))


def cpus(demand: Demand, pool: Pool) -> Outcome:
    """Enough CPUs."""
    return _enough("cpus", pool.free_amount("cpus"), demand.cpus, "")


def mem(demand: Demand, pool: Pool) -> Outcome:
    """Enough memory."""
    return _enough("mem", pool.free_amount("mem"), demand.mem_mb, " MB")


def disk(demand: Demand, pool: Pool) -> Outcome:
    """One disk of the wanted type that is large enough; a volume never spans two."""
    kind = demand.group.disk_type
    if take_disk(pool, kind, demand.group.disk_mb) is not None:
        return passed("disk")
    largest = max((item.amount for item in pool.disks(kind)), default=0.0)
    return failed("disk", f"needs {demand.group.disk_mb} MB on one {kind} disk, "
                          f"the largest has {largest:g} MB")


def ports(demand: Demand, pool: Pool) -> Outcome:
    """One port for HTTP and one for transport."""
    return _enough("ports", pool.free_ports(), PORTS_PER_NODE, "")


def _enough(name: str, found: float, needed: float, unit: str) -> Outcome:
    if found + EPSILON >= needed:
        return passed(name)
    return failed(name, f"needs {name} {needed:g}{unit}, {found:g}{unit} are free")


STAGES: tuple[Stage, ...] = (host_limit, in_service, elsewhere, constraints, cpus, mem, disk, ports)


def evaluate(demand: Demand, pool: Pool) -> Outcome:
    """The outcome tree of all stages up to the first that refuses."""
    parts: list[Outcome] = []
    for stage in STAGES:
        parts.append(stage(demand, pool))
        if not parts[-1].ok:
            break
    return Outcome(f"group {demand.group.name} on {pool.host}", parts[-1].ok, "", tuple(parts))
