"""Mesos resources, offers and their arithmetic as frozen values.

A ``Resource`` keeps what Mesos says that we must say back: reservations (a stack, the last is the
innermost; Mesos documentation, "Reservation"), volume and disk source.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

# Mesos counts scalars in thousandths.
EPSILON = 0.0005


@dataclass(frozen=True, slots=True)
class Reservation:
    """One refinement of a resource's reservation."""

    role: str
    dynamic: bool = True
    principal: str | None = None
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk part of a resource: where it is, and the volume on it."""

    persistence_id: str | None = None
    principal: str | None = None
    container_path: str | None = None
    source_type: str | None = None         # PATH or MOUNT; None is the agent's work directory
    source_root: str | None = None
    source_id: str | None = None
    source_profile: str | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """A scalar or a set of ranges, with reservation and disk."""

    name: str
    amount: float = 0.0
    ranges: tuple[tuple[int, int], ...] = ()
    reservations: tuple[Reservation, ...] = ()
    disk: Disk | None = None
    provider_id: str | None = None
    opaque: bool = False                   # shared or revocable: we never use it

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the innermost reservation."""
        return dict(self.reservations[-1].labels) if self.reservations else {}

    @property
    def source(self) -> tuple[str, str | None]:
        """Disk type (ROOT, PATH or MOUNT) and its root."""
        if self.disk is None or self.disk.source_type is None:
            return "ROOT", None
        return self.disk.source_type, self.disk.source_root

    def reserved(self, reservation: Reservation) -> Resource:
        """The same with one more refinement."""
        return replace(self, reservations=(*self.reservations, reservation))


@dataclass(frozen=True, slots=True)
class Offer:
    """What one agent offers to one framework."""

    id: str
    agent_id: str
    host: str
    ip: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    resources: tuple[Resource, ...] = ()
    unavailable_from: float | None = None   # a maintenance window of its agent


def count_ports(ranges: Iterable[tuple[int, int]]) -> int:
    """How many ports ranges hold."""
    return sum(end - begin + 1 for begin, end in ranges)


def first_ports(ranges: Iterable[tuple[int, int]], count: int) -> list[int]:
    """The lowest ports, at most ``count``."""
    found: list[int] = []
    for begin, end in sorted(ranges):
        found += range(begin, min(end, begin + count - len(found) - 1) + 1)
        if len(found) >= count:
            break
    return found


def describe(resources: Iterable[Resource]) -> str:
    """Resources in one line for people."""
    totals: dict[str, float] = {}
    for resource in resources:
        more = count_ports(resource.ranges) if resource.ranges else resource.amount
        totals[resource.name] = totals.get(resource.name, 0.0) + more
    units = {"mem": " MB", "disk": " MB"}
    return ", ".join(
        f"{amount:g} ports" if name == "ports" else f"{name} {amount:g}{units.get(name, '')}"
        for name, amount in totals.items()) or "nothing"
