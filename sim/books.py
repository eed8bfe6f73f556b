"""What an agent holds, as Mesos counts it: scalars add up, ports are a set, a volume is whole."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from esaas.framework.core.resources import EPSILON, Disk, Reservation, Resource

Key = tuple[str, tuple[Reservation, ...], Disk | None]


def key_of(resource: Resource) -> Key:
    """What makes two resources the same kind."""
    return resource.name, resource.reservations, resource.disk


def volume_of(resource: Resource) -> str | None:
    """The persistence id of a volume; None for anything else."""
    return resource.disk.persistence_id if resource.disk is not None else None


def ports_of(resource: Resource) -> set[int]:
    """Every port of a resource."""
    return {port for begin, end in resource.ranges for port in range(begin, end + 1)}


def ranges_of(ports: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Ports as few ranges."""
    found: list[list[int]] = []
    for port in sorted(ports):
        if found and found[-1][1] == port - 1:
            found[-1][1] = port
        else:
            found.append([port, port])
    return tuple((begin, end) for begin, end in found)


@dataclass(slots=True)
class Books:
    """Resources that can be added to and taken from."""

    scalars: dict[Key, float] = field(default_factory=dict)
    ports: dict[Key, set[int]] = field(default_factory=dict)

    def add(self, resources: Iterable[Resource]) -> None:
        """Put resources in."""
        for resource in resources:
            key = key_of(resource)
            if resource.name == "ports":
                self.ports.setdefault(key, set()).update(ports_of(resource))
            else:
                self.scalars[key] = round(self.scalars.get(key, 0.0) + resource.amount, 3)

    def holds(self, resources: Iterable[Resource]) -> bool:
        """Whether all of them could be taken."""
        wanted = Books()
        wanted.add(resources)
        return self.covers(wanted)

    def covers(self, other: Books) -> bool:
        """Whether everything of the other is in here, too."""
        return all(self.scalars.get(key, 0.0) + EPSILON >= amount
                   for key, amount in other.scalars.items()) and all(
            ports <= self.ports.get(key, set()) for key, ports in other.ports.items())

    def take(self, resources: Iterable[Resource]) -> bool:
        """Take all of them out, or none."""
        wanted = Books()
        wanted.add(resources)
        if not self.covers(wanted):
            return False
        for key, amount in wanted.scalars.items():
            left = round(self.scalars[key] - amount, 3)
            if left > EPSILON:
                self.scalars[key] = left
            else:
                del self.scalars[key]
        for key, ports in wanted.ports.items():
            self.ports[key] -= ports
            if not self.ports[key]:
                del self.ports[key]
        return True

    def resources(self) -> Iterator[Resource]:
        """Everything that is in here."""
        for (name, reservations, disk), amount in self.scalars.items():
            yield Resource(name, amount, reservations=reservations, disk=disk)
        for (name, reservations, disk), ports in self.ports.items():
            yield Resource(name, ranges=ranges_of(ports), reservations=reservations, disk=disk)

    def copy(self) -> Books:
        """Books of their own."""
        return Books(dict(self.scalars), {key: set(ports) for key, ports in self.ports.items()})

    def part(self, role: str, free: bool) -> list[Resource]:
        """What may be offered to a role: its own reservations, and what is free if asked for."""
        return [item for item in self.resources()
                if (item.reservations[-1].role == role if item.reservations else free)]


def bare(resource: Resource) -> Resource:
    """A volume's disk without the volume."""
    disk = resource.disk
    kept = None if disk is None or disk.source_type is None else replace(
        disk, persistence_id=None, principal=None, container_path=None)
    return replace(resource, disk=kept)


def unreserved(resource: Resource) -> Resource:
    """A resource without its innermost reservation."""
    return replace(resource, reservations=resource.reservations[:-1])
