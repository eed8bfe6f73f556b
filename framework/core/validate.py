"""Change rules: each takes (old, new) and says what is unsafe; its name is the rule.

A change that any rule refuses is refused whole, with every reason at once.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator

from .errors import Fault
from .spec import ClusterSpec

Rule = Callable[[ClusterSpec, ClusterSpec], Iterator[tuple[str, str]]]


def identity_is_fixed(old: ClusterSpec, new: ClusterSpec) -> Iterator[tuple[str, str]]:
    """Name and tenant decide the Mesos role; they never change."""
    for field in ("name", "tenant"):
        if getattr(old, field) != getattr(new, field):
            yield field, f"{getattr(old, field)} cannot become {getattr(new, field)}"


def scale_in_needs_drain(old: ClusterSpec, new: ClusterSpec) -> Iterator[tuple[str, str]]:
    """A node must be drained before it goes, which this version cannot do yet."""
    for index, group in enumerate(old.groups):
        after = new.group(group.name)
        count = after.count if after is not None else 0
        if count < group.count:
            yield (f"groups[{index}].count",
                   f"{group.name} cannot shrink from {group.count} to {count}: its nodes hold "
                   "data and cannot be drained yet")


def running_nodes_keep_their_shape(old: ClusterSpec,
                                   new: ClusterSpec) -> Iterator[tuple[str, str]]:
    """Only counts can change while nodes run; the rest needs a rolling change."""
    for index, group in enumerate(old.groups):
        after = new.group(group.name)
        if after is not None and after.model_copy(update={"count": group.count}) != group:
            yield (f"groups[{index}]",
                   f"{group.name} can change its count only; other changes need a rolling restart")
    for field in ("version", "distribution", "settings", "jvm_options", "default_replicas"):
        if getattr(old, field) != getattr(new, field):
            yield field, f"{field} cannot change while the cluster runs, it needs a rolling restart"


RULES: tuple[Rule, ...] = (identity_is_fixed, scale_in_needs_drain,
                           running_nodes_keep_their_shape)


def validate(old: ClusterSpec, new: ClusterSpec) -> list[Fault]:
    """Every breach of every rule; empty when the change is safe."""
    return [Fault(path, message, rule.__name__)
            for rule in RULES for path, message in rule(old, new)]
