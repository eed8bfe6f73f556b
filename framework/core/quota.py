"""The arithmetic of quota: what clusters reserve at most, against the limits of their tenant.

Everything counts that Mesos reserves under the tenant's role: nodes and their executors, and the
nodes that a change may have beyond the wanted number. All values are sums of scalars; ports have
no quota in Mesos.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from .errors import Fault
from .facts import ClusterState
from .resources import EPSILON
from .spec import EXECUTOR_CPUS, EXECUTOR_MEM_MB, ClusterSpec, NodeGroup

# Only admins may go past these; the names are what people read in a refusal.
TENANT_QUOTA, CLUSTER_QUOTA = "tenant_quota", "cluster_quota"
QUOTA_RULES = frozenset({TENANT_QUOTA, CLUSTER_QUOTA})
FIELDS = ("cpus", "mem_mb", "disk_mb")
Joiner = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much of everything that has a quota."""

    cpus: float = 0.0
    mem_mb: float = 0.0
    disk_mb: float = 0.0

    def __add__(self, other: Amounts) -> Amounts:
        return self._joined(other, lambda a, b: a + b)

    def __sub__(self, other: Amounts) -> Amounts:
        return self._joined(other, lambda a, b: a - b)

    def times(self, count: int) -> Amounts:
        """The same so many times."""
        return Amounts(*(_exact(getattr(self, field) * count) for field in FIELDS))

    def largest(self, other: Amounts) -> Amounts:
        """The larger of each."""
        return self._joined(other, max)

    def _joined(self, other: Amounts, join: Joiner) -> Amounts:
        return Amounts(*(_exact(join(getattr(self, field), getattr(other, field)))
                         for field in FIELDS))

    @classmethod
    def total(cls, parts: Iterable[Amounts]) -> Self:
        """The sum of all."""
        found = list(parts)
        return cls(*(_exact(sum(getattr(part, field) for part in found)) for field in FIELDS))


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so much of each; None is without limit."""

    cpus: float | None = None
    mem_mb: float | None = None
    disk_mb: float | None = None

    def __or__(self, other: Limit) -> Limit:
        """Another limit, and this one for what it leaves open."""
        return Limit(*(mine if (theirs := getattr(other, field)) is None else theirs
                       for field in FIELDS for mine in [getattr(self, field)]))

    def exceeded(self, amounts: Amounts) -> list[str]:
        """Which of them are not enough."""
        return [field for field in FIELDS if (most := getattr(self, field)) is not None
                and getattr(amounts, field) > most + EPSILON]


@dataclass(frozen=True, slots=True)
class Quota:
    """What a tenant may have: all its clusters together, and each of them."""

    limit: Limit = Limit()
    per_cluster: Limit = Limit()
    clusters: Mapping[str, Limit] | None = None

    def of(self, cluster: str) -> Limit:
        """The limit of one cluster: its own, and the common one for what that leaves open."""
        return self.per_cluster | (self.clusters or {}).get(cluster, Limit())


def _exact(value: float) -> float:
    """Thousandths, as Mesos counts them."""
    return round(value, 3)


def of_node(group: NodeGroup) -> Amounts:
    """What is reserved for one node of a group, its executor included.

    A disk of type MOUNT is taken whole, however large: this counts what the spec asks for.
    """
    return Amounts(_exact(group.cpus + EXECUTOR_CPUS), group.mem_mb + EXECUTOR_MEM_MB,
                   group.disk_mb)


def peak(old: ClusterSpec | None, new: ClusterSpec) -> Amounts:
    """The most that is reserved on the way from one spec to another.

    Nodes start before others go: of each group the larger number and the larger size count, and
    the extra nodes of the change budget with the largest size of all.
    """
    pairs = [(group, old.group(group.name) if old is not None else None) for group in new.groups]
    pairs += [(group, None) for group in (old.groups if old is not None else ())
              if new.group(group.name) is None]
    parts, extra, movable = [], Amounts(), 0
    for group, before in pairs:
        count = max(group.count, before.count if before is not None else 0)
        size = of_node(group)
        if before is not None and before.count:
            size = size.largest(of_node(before)) if group.count else of_node(before)
        parts.append(size.times(count))
        if count:
            extra, movable = extra.largest(size), movable + count
    return Amounts.total([*parts, extra.times(min(new.change.max_extra, movable))])


def held_by(state: ClusterState) -> Amounts:
    """The most that a cluster holds now: by its spec, and by the one that it comes from."""
    settled = state.settled[1] if state.settled is not None else None
    return peak(settled, state.spec)


def quota_faults(quota: Quota, others: Mapping[str, Amounts], old: ClusterState | None,
                 new: ClusterSpec) -> list[Fault]:
    """What a new spec takes beyond the quota of its tenant, or of its cluster.

    ``others`` are the tenant's other clusters, ``old`` the cluster as it is. Only what grows is
    refused: a tenant above a limit that was lowered may always shrink.
    """
    before = held_by(old) if old is not None else Amounts()
    after = before.largest(peak(old.spec if old is not None else None, new))
    used, asked = Amounts.total([*others.values(), before]), after - before
    count = len(others) + (old is not None)
    clusters = f"{count} cluster{'' if count == 1 else 's'}"
    own = quota.of(new.name)
    return [
        *(Fault("groups", _sum(field, used, f"used by {clusters}", asked, quota.limit,
                               f"of tenant {new.tenant}"), TENANT_QUOTA)
          for field in quota.limit.exceeded(used + asked) if getattr(asked, field) > EPSILON),
        *(Fault("groups", _sum(field, before, f"used by {new.name}", asked, own,
                               f"of cluster {new.name}"), CLUSTER_QUOTA)
          for field in own.exceeded(after) if getattr(asked, field) > EPSILON)]


def _sum(field: str, used: Amounts, by: str, asked: Amounts, limit: Limit, whose: str) -> str:
    have, more, most = getattr(used, field), getattr(asked, field), getattr(limit, field)
    return (f"{field}: {number(have)} {by} + {number(more)} asked for = "
            f"{number(_exact(have + more))} > limit {number(most)} {whose}")


def number(value: float) -> str:
    """A number as people write it: no exponent, no trailing zeros, thousandths at most."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def limit_faults(guarantee: Amounts, limit: Limit, used: Amounts, *, forced: bool) -> list[Fault]:
    """What is wrong with a quota, whatever else there is.

    ``forced``: it may be below what is used; nothing is taken away, nothing more is given.
    """
    faults = [Fault(f"limit.{field}", f"limit {number(getattr(limit, field))} is below the "
                    f"guarantee {number(getattr(guarantee, field))}", "limit_holds_guarantee")
              for field in limit.exceeded(guarantee)]
    if not forced:
        faults += [Fault(f"limit.{field}", f"{number(getattr(used, field))} wanted by clusters "
                         f"that are there > limit {number(getattr(limit, field))}; force it to "
                         "set it all the same", "limit_covers_use")
                   for field in limit.exceeded(used)]
    return faults


def capacity_faults(tenant: str, guarantee: Amounts, others: Mapping[str, Amounts],
                    capacity: Amounts) -> list[Fault]:
    """Guarantees of all roles together must fit into what the agents have."""
    taken = Amounts.total(others.values())
    whole = taken + guarantee
    return [Fault(f"guarantee.{field}", f"{field}: {number(getattr(taken, field))} guaranteed to "
                  f"{len(others)} other{'' if len(others) == 1 else 's'} + "
                  f"{number(getattr(guarantee, field))} for {tenant} = "
                  f"{number(getattr(whole, field))} > {number(getattr(capacity, field))} of all "
                  "agents", "capacity_covers_guarantees")
            for field in FIELDS if getattr(guarantee, field) > EPSILON
            and getattr(whole, field) > getattr(capacity, field) + EPSILON]
