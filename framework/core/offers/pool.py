"""What is left of the offers: one pool per agent, taken from without ever being changed."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..constraints import Agent
from ..facts import LABEL_INCARNATION, LABEL_NODE, LABEL_UID
from ..resources import EPSILON, Offer, Resource, count_ports, first_ports


@dataclass(frozen=True, slots=True)
class SeatResources:
    """All resources on an agent that carry one node's labels."""

    node: str
    incarnation: int
    resources: tuple[Resource, ...]

    @property
    def volumes(self) -> tuple[Resource, ...]:
        """Its persistent volumes: at most one, unless something went wrong."""
        return tuple(item for item in self.resources
                     if item.disk is not None and item.disk.persistence_id)

    def amount(self, name: str) -> float:
        """The sum of a scalar."""
        return round(sum(item.amount for item in self.resources if item.name == name), 3)

    @property
    def ports(self) -> frozenset[int]:
        """Every reserved port."""
        return frozenset(port for item in self.resources for begin, end in item.ranges
                         for port in range(begin, end + 1) if item.name == "ports")


@dataclass(frozen=True, slots=True)
class Pool:
    """All offers of one agent together: what is free, and what is ours already."""

    agent_id: str
    host: str
    ip: str
    agent: Agent
    offer_ids: tuple[str, ...]
    free: tuple[Resource, ...]
    seats: tuple[SeatResources, ...]
    unavailable_from: float | None = None       # a maintenance window of the agent

    def free_amount(self, name: str) -> float:
        """The sum of a free scalar, in Mesos' own unit (MB for mem and disk)."""
        return round(sum(item.amount for item in self.free if item.name == name), 3)

    def free_ports(self) -> int:
        """How many ports are free."""
        return sum(count_ports(item.ranges) for item in self.free if item.name == "ports")

    def disks(self, kind: str) -> list[Resource]:
        """Free disk resources of a type, the smallest first, so that big ones stay whole."""
        return sorted((item for item in self.free
                       if item.name == "disk" and item.source[0] == kind),
                      key=lambda item: (item.amount, item.source[1] or ""))

    def without(self, taken: Iterable[Resource]) -> Pool:
        """The pool after something was taken."""
        return replace(self, free=tuple(subtract(self.free, taken)))

    def keeping(self, ports: Iterable[int]) -> Pool:
        """The pool without ports that are meant for a node, whatever is offered.

        When its ACCEPT was lost they are offered as free while its outcome is still unknown.
        """
        kept = [(port, port) for port in ports]
        if not kept:
            return self
        free = (replace(item, ranges=_without_ports(item.ranges, kept)) if item.ranges else item
                for item in self.free)
        return replace(self, free=tuple(item for item in free
                                        if item.ranges or item.name != "ports"))


def build(offers: Sequence[Offer], role: str, uid: str) -> list[Pool]:
    """One pool per agent, in order of the first offer of each."""
    by_agent: dict[str, list[Offer]] = {}
    for offer in offers:
        by_agent.setdefault(offer.agent_id, []).append(offer)
    return [_pool(group, role, uid) for group in by_agent.values()]


def _pool(offers: list[Offer], role: str, uid: str) -> Pool:
    first = offers[0]
    free: list[Resource] = []
    ours: dict[tuple[str, int], list[Resource]] = {}
    for offer in offers:
        for resource in offer.resources:
            labels = resource.labels
            if labels.get(LABEL_UID) == uid:
                count = labels.get(LABEL_INCARNATION, "")
                key = labels.get(LABEL_NODE, ""), int(count) if count.isdecimal() else 0
                ours.setdefault(key, []).append(resource)
            elif usable(resource, role):
                free.append(resource)
    seats = tuple(SeatResources(node, incarnation, tuple(items))
                  for (node, incarnation), items in ours.items())
    return Pool(first.agent_id, first.host, first.ip, Agent(first.host, first.attributes),
                tuple(offer.id for offer in offers), tuple(free), seats,
                next((offer.unavailable_from for offer in offers
                      if offer.unavailable_from is not None), None))


def usable(resource: Resource, role: str) -> bool:
    """Whether a resource may become part of a node.

    Not what is shared or revocable, not another's volume, and no dynamic reservation that
    somebody has labelled for a purpose of his own. A reservation for our very role cannot be
    refined either: Mesos wants a strict subrole each time (``Resources::validate``).
    """
    if resource.opaque or (resource.disk is not None and resource.disk.persistence_id):
        return False
    if not resource.reservations:
        return True
    innermost = resource.reservations[-1]
    return role.startswith(innermost.role + "/") and not innermost.labels


def take_scalar(free: Sequence[Resource], name: str, amount: float) -> list[Resource]:
    """Resources that sum up to the amount; empty when there is not enough.

    What is reserved for us already is taken first.
    """
    taken: list[Resource] = []
    for resource in sorted((item for item in free if item.name == name),
                           key=lambda item: -len(item.reservations)):
        part = min(resource.amount, amount)
        if part > EPSILON:
            taken.append(replace(resource, amount=round(part, 3)))
            amount = round(amount - part, 3)
        if amount <= EPSILON:
            return taken
    return []


def take_ports(free: Sequence[Resource], count: int) -> tuple[list[int], list[Resource]]:
    """The lowest free ports and the resources that hold them; empty when there are too few."""
    ports: list[int] = []
    taken: list[Resource] = []
    for resource in (item for item in free if item.name == "ports"):
        found = first_ports(resource.ranges, count - len(ports))
        if found:
            ports += found
            taken.append(replace(resource, ranges=tuple((port, port) for port in found)))
        if len(ports) == count:
            return ports, taken
    return [], []


def take_disk(pool: Pool, kind: str, size_mb: int) -> Resource | None:
    """A part of a ROOT or PATH disk, or a whole MOUNT disk that is large enough."""
    for disk in pool.disks(kind):
        if disk.amount + EPSILON >= size_mb:
            return disk if kind == "MOUNT" else replace(disk, amount=float(size_mb))
    return None


def subtract(free: Iterable[Resource], taken: Iterable[Resource]) -> Iterable[Resource]:
    """What is left of resources after some were taken out of them."""
    for resource in taken:
        free = list(_subtract(free, resource))
    return free


def _subtract(free: Iterable[Resource], taken: Resource) -> Iterable[Resource]:
    done = False
    for resource in free:
        if done or not _same_kind(resource, taken):
            yield resource
            continue
        if taken.ranges:
            if not _holds(resource.ranges, taken.ranges):
                yield resource
                continue
            left = _without_ports(resource.ranges, taken.ranges)
            if left:
                yield replace(resource, ranges=left)
        elif resource.amount + EPSILON < taken.amount:
            yield resource
            continue
        elif resource.amount - taken.amount > EPSILON:
            yield replace(resource, amount=round(resource.amount - taken.amount, 3))
        done = True


def _same_kind(one: Resource, other: Resource) -> bool:
    return (one.name, one.reservations, one.disk, one.provider_id) == (
        other.name, other.reservations, other.disk, other.provider_id)


def _holds(ranges: Iterable[tuple[int, int]], wanted: Iterable[tuple[int, int]]) -> bool:
    return all(any(begin <= low and high <= end for begin, end in ranges)
               for low, high in wanted)


def _without_ports(ranges: Iterable[tuple[int, int]],
                   taken: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    left = list(ranges)
    for low, high in taken:
        split: list[tuple[int, int]] = []
        for begin, end in left:
            if high < begin or end < low:
                split.append((begin, end))
                continue
            if begin < low:
                split.append((begin, low - 1))
            if high < end:
                split.append((high + 1, end))
        left = split
    return tuple(left)
