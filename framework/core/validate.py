"""Change rules: each takes (old, new, what Elasticsearch says) and says what is unsafe.

The name of the function is the name of the rule. A change that any rule refuses is refused whole,
with every reason at once.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator

from .errors import Fault
from .facts import EsView
from .spec import ClusterSpec

Breach = tuple[str, str]
Rule = Callable[[ClusterSpec, ClusterSpec, EsView | None], Iterator[Breach]]

DISK_SHARE = 0.85                   # Elasticsearch's low watermark
# May change in a running group; the rest would need another seat.
_LIVE_FIELDS = {"count", "settings", "jvm_options", "heap", "placement"}


def identity_is_fixed(old: ClusterSpec, new: ClusterSpec, seen: EsView | None) -> Iterator[Breach]:
    """Name and tenant decide the Mesos role; they never change."""
    for field in ("name", "tenant"):
        if getattr(old, field) != getattr(new, field):
            yield field, f"{getattr(old, field)} cannot become {getattr(new, field)}"


def shrinks(old: ClusterSpec, new: ClusterSpec) -> bool:
    """Whether nodes go away."""
    counts = {group.name: group.count for group in new.groups}
    return any(counts.get(group.name, 0) < group.count for group in old.groups)


def shrink_sees_the_data(old: ClusterSpec, new: ClusterSpec,
                         seen: EsView | None) -> Iterator[Breach]:
    """A scale-in is judged by what the cluster holds: unknown holds."""
    if shrinks(old, new) and (seen is None or seen.max_replicas is None):
        yield "groups", "Elasticsearch has not been seen, so nobody knows what the nodes hold"


def shrink_leaves_room_for_copies(old: ClusterSpec, new: ClusterSpec,
                                  seen: EsView | None) -> Iterator[Breach]:
    """Copies of a shard never share a node: a drain to too few nodes could never end."""
    replicas = (seen.max_replicas if seen is not None else None) or 0
    if new.data_nodes < old.data_nodes and new.data_nodes < replicas + 1:
        yield ("groups", f"an index has {replicas} replicas, so at least {replicas + 1} data nodes "
                         f"must stay, {new.data_nodes} would")


def shrink_leaves_room_on_disk(old: ClusterSpec, new: ClusterSpec,
                               seen: EsView | None) -> Iterator[Breach]:
    """The disks that stay must hold the data below the low watermark."""
    used_mb = (seen.store_mb if seen is not None else None) or 0.0
    room_mb = DISK_SHARE * sum(group.count * group.disk_mb for group in new.groups
                               if "data" in group.roles)
    if new.data_nodes < old.data_nodes and used_mb > room_mb:
        yield ("groups", f"{used_mb:.0f} MB of data do not fit on the {room_mb:.0f} MB that "
                         f"{new.data_nodes} data nodes offer below the watermark")


def quorum_stays(old: ClusterSpec, new: ClusterSpec, seen: EsView | None) -> Iterator[Breach]:
    """A majority of the masters of today must be there afterwards, or go one step at a time."""
    if new.masters < old.masters and new.masters < old.masters // 2 + 1 and old.masters > 2:
        yield ("groups", f"{new.masters} of {old.masters} masters are no majority: go by way of "
                         f"{old.masters // 2 + 1}")


def groups_are_emptied_first(old: ClusterSpec, new: ClusterSpec,
                             seen: EsView | None) -> Iterator[Breach]:
    """A group goes when it has no node any more: its nodes need it until they are drained."""
    for index, group in enumerate(old.groups):
        if group.count and new.group(group.name) is None:
            yield (f"groups[{index}]", f"{group.name} has {group.count} nodes: bring its count to "
                                       "0 first, then leave it out")


def groups_keep_their_shape(old: ClusterSpec, new: ClusterSpec,
                            seen: EsView | None) -> Iterator[Breach]:
    """CPU, memory, disk and roles belong to a seat; changing them in place is not possible yet."""
    for index, group in enumerate(old.groups):
        after = new.group(group.name)
        if after is None:
            continue
        before, now = group.model_dump(), after.model_dump()
        changed = sorted(field for field in before
                         if field not in _LIVE_FIELDS and before[field] != now[field])
        if changed:
            yield (f"groups[{index}]", f"{', '.join(changed)} of {group.name} cannot change while "
                                       "its nodes run")


def no_downgrade(old: ClusterSpec, new: ClusterSpec, seen: EsView | None) -> Iterator[Breach]:
    """Elasticsearch cannot read what a newer version has written."""
    before, after = (tuple(map(int, spec.version.split("."))) for spec in (old, new))
    if after < before:
        yield "version", f"{old.version} cannot go back to {new.version}"


def upgrade_is_supported(old: ClusterSpec, new: ClusterSpec,
                         seen: EsView | None) -> Iterator[Breach]:
    """A rolling upgrade goes to the same major, or to the next from its last minor."""
    last_minor = {6: 8, 7: 17, 8: 19}
    if new.major == old.major:
        return
    minor = int(old.version.split(".")[1])
    if new.major != old.major + 1 or minor < last_minor.get(old.major, 0):
        yield ("version", f"no rolling upgrade leads from {old.version} to {new.version}")


RULES: tuple[Rule, ...] = (
    identity_is_fixed, shrink_sees_the_data, shrink_leaves_room_for_copies,
    shrink_leaves_room_on_disk, quorum_stays, groups_are_emptied_first, groups_keep_their_shape,
    no_downgrade, upgrade_is_supported)


# What no request may override: there would be no way on from there.
NEVER_OVERRIDDEN = frozenset({"identity_is_fixed", "groups_are_emptied_first",
                              "groups_keep_their_shape", "no_downgrade", "not_deleting"})


def validate(old: ClusterSpec, new: ClusterSpec, seen: EsView | None = None) -> list[Fault]:
    """Every breach of every rule; empty when the change is safe."""
    return [Fault(path, message, rule.__name__)
            for rule in RULES for path, message in rule(old, new, seen)]
