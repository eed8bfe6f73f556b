"""Change rules: each takes (old, new, what Elasticsearch says) and says what is unsafe.

The name of the function is the name of the rule. A change that any rule refuses is refused whole,
with every reason at once.
"""
from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator

from .errors import Fault
from .facts import EsView
from .gates import DISK_SHARE
from .spec import ClusterSpec

Breach = tuple[str, str]
Rule = Callable[[ClusterSpec, ClusterSpec, EsView | None], Iterator[Breach]]



def identity_is_fixed(old: ClusterSpec, new: ClusterSpec, seen: EsView | None) -> Iterator[Breach]:
    """Name and tenant decide the Mesos role; they never change."""
    for field in ("name", "tenant"):
        if getattr(old, field) != getattr(new, field):
            yield field, f"{getattr(old, field)} cannot become {getattr(new, field)}"


def security_is_for_life(old: ClusterSpec, new: ClusterSpec,
                         seen: EsView | None) -> Iterator[Breach]:
    """Nodes with TLS and nodes without never form one cluster: there is no way to roll."""
    if old.security.enabled is not new.security.enabled:
        yield ("security.enabled", "security is switched on or off for the life of a cluster: "
               "make a new one, and bring the data over by a snapshot")


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


def groups_keep_their_roles(old: ClusterSpec, new: ClusterSpec,
                            seen: EsView | None) -> Iterator[Breach]:
    """A node that gives up a role leaves shards or a vote behind: make another group instead."""
    for index, group in enumerate(old.groups):
        after = new.group(group.name)
        for field in ("kind", "roles") if after is not None and group.count else ():
            if getattr(group, field) != getattr(after, field):
                yield (f"groups[{index}].{field}", f"{field} of {group.name} cannot change while "
                       "it has nodes: add a group, then bring this one's count to 0")


def volumes_never_shrink(old: ClusterSpec, new: ClusterSpec,
                         seen: EsView | None) -> Iterator[Breach]:
    """A volume is not made smaller: nobody knows whether the data would still fit."""
    for index, group in enumerate(old.groups):
        after = new.group(group.name)
        if after is not None and group.count and after.disk_mb < group.disk_mb:
            yield (f"groups[{index}].disk_mb", f"{group.disk_mb} MB of {group.name} cannot become "
                   f"{after.disk_mb} MB: add a group with smaller disks, then empty this one")


def moves_can_end(old: ClusterSpec, new: ClusterSpec, seen: EsView | None) -> Iterator[Breach]:
    """Without an extra node, the others must have room for all copies while one is rebuilt."""
    replicas = (seen.max_replicas if seen is not None else None) or new.default_replicas
    for index, group in enumerate(old.groups):
        after = new.group(group.name)
        if after is None or "data" not in group.roles or new.change.max_extra:
            continue
        moved = (after.disk_mb, after.disk_type) != (group.disk_mb, group.disk_type)
        if moved and new.data_nodes - 1 < replicas + 1:
            yield (f"groups[{index}]", f"with max_extra 0, {new.data_nodes - 1} data nodes would "
                   f"have to hold {replicas + 1} copies: allow an extra node")


# Settings that exist by pattern, so that no list of Elasticsearch has their names.
_PATTERNS = re.compile(
    r"node\.attr\..+|logger\..+|cluster\.remote\..+|search\.remote\..+|script\.context\..+"
    r"|cluster\.routing\.allocation\.(include|exclude|require|awareness)\..+"
    r"|xpack\.(security|ssl|http|notification|monitoring\.exporters|watcher)\..+|thread_pool\..+"
    r"|(s3|azure|gcs|repositories)\..+|reindex\..+|transport\.profiles\..+|tracers?\..+"
    r"|cluster\.metadata\..+|indices\.analysis\..+")


def setting_names(spec: ClusterSpec) -> set[str]:
    """Names of all settings of a spec."""
    return set(spec.settings).union(*(group.settings for group in spec.groups))


def settings_are_known(old: ClusterSpec, new: ClusterSpec,
                       seen: EsView | None) -> Iterator[Breach]:
    """Elasticsearch does not start with a setting that it does not know; ask it beforehand.

    A plugin that comes with the change may bring settings of its own: then nobody knows yet.
    """
    known = seen.known_settings if seen is not None else None
    if not known or old.version != new.version or old.plugins != new.plugins:
        return
    for path, settings, before in (("settings", new.settings, old.settings), *(
            (f"groups[{index}].settings", group.settings,
             after.settings if (after := old.group(group.name)) else {})
            for index, group in enumerate(new.groups))):
        for key in sorted(settings.keys() - before.keys()):
            plain = re.sub(r"\.\d+$", "", key)          # key.0 of a list
            if key not in known and plain not in known and not _PATTERNS.fullmatch(key):
                hint = difflib.get_close_matches(key, known, 1)
                yield f"{path}.{key}", f"Elasticsearch {new.version} knows no such setting" + (
                    f"; did you mean {hint[0]}?" if hint else "")


def plugins_follow_the_version(old: ClusterSpec, new: ClusterSpec,
                               seen: EsView | None) -> Iterator[Breach]:
    """A plugin is built for one version: the zip of the old one does not install on the new."""
    if old.version == new.version:
        return
    for index, plugin in enumerate(new.plugins):
        if plugin.url and plugin in old.plugins:
            yield (f"plugins[{index}]", f"{plugin.name} comes from the same zip as for "
                   f"{old.version}")


def no_downgrade(old: ClusterSpec, new: ClusterSpec, seen: EsView | None) -> Iterator[Breach]:
    """Elasticsearch cannot read what a newer version has written.

    Back from an upgrade whose first node has never come up is no downgrade: nothing was written.
    """
    before, after = version_number(old.version), version_number(new.version)
    versions = [node.version for node in seen.nodes.values()] if seen is not None else []
    untouched = bool(versions) and all(
        version is not None and version_number(version) <= after for version in versions)
    if after < before and not untouched:
        yield "version", f"{old.version} cannot go back to {new.version}"


def version_number(version: str) -> tuple[int, ...]:
    """A version to compare with others; without what follows a dash."""
    return tuple(map(int, version.split("-")[0].split(".")))


def upgrade_is_supported(old: ClusterSpec, new: ClusterSpec,
                         seen: EsView | None) -> Iterator[Breach]:
    """A rolling upgrade goes to the same major, or to the next from its last minor."""
    last_minor = {6: 8, 7: 17, 8: 19}
    if new.major <= old.major:
        return                          # going back is another rule's
    minor = int(old.version.split(".")[1])
    if new.major != old.major + 1 or minor < last_minor.get(old.major, 0):
        yield ("version", f"no rolling upgrade leads from {old.version} to {new.version}")


RULES: tuple[Rule, ...] = (
    identity_is_fixed, security_is_for_life, shrink_sees_the_data, shrink_leaves_room_for_copies,
    shrink_leaves_room_on_disk, quorum_stays, groups_are_emptied_first, groups_keep_their_roles,
    volumes_never_shrink, moves_can_end, settings_are_known, plugins_follow_the_version,
    no_downgrade, upgrade_is_supported)


# What no request may override: there would be no way on from there.
NEVER_OVERRIDDEN = frozenset({"identity_is_fixed", "security_is_for_life",
                              "groups_are_emptied_first", "groups_keep_their_roles",
                              "volumes_never_shrink", "no_downgrade", "not_deleting", "host_limit"})


def validate(old: ClusterSpec, new: ClusterSpec, seen: EsView | None = None) -> list[Fault]:
    """Every breach of every rule; empty when the change is safe."""
    return [Fault(path, message, rule.__name__)
            for rule in RULES for path, message in rule(old, new, seen)]
