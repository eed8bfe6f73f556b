"""What a new spec would change: refused or not, and what it would do to nodes."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..core.config import outdated
from ..core.errors import Fault
from ..core.facts import ClusterState, NodeState
from ..core.plan import wanted_nodes
from ..core.rolling import order
from ..core.spec import ClusterSpec
from ..core.validate import shrinks, validate
from .views import Preview


def refusals(state: ClusterState, new: ClusterSpec) -> list[Fault]:
    """Every rule that refuses the change, by what the cluster is like now."""
    faults = validate(state.spec, new, state.es)
    if shrinks(state.spec, new) and state.bootstrap.cluster_uuid is None:
        faults.append(Fault("groups", "the cluster has not formed yet", "cluster_formed"))
    gone = {group.name for group in state.spec.groups} - {group.name for group in new.groups}
    for record in state.nodes.values():
        if record.group in gone and record.state is not NodeState.PLANNED:
            faults.append(Fault("groups", f"{record.name} of {record.group} is still there",
                                "groups_are_emptied_first"))
    return faults


def preview(state: ClusterState, new: ClusterSpec) -> Preview:
    """What it would do, in the order it would be done."""
    after = replace(state, spec=new)
    wanted = wanted_nodes(after)
    known = set(state.nodes) | set(wanted_nodes(state))
    return Preview(
        changes=differences(state.spec, new),
        starts=[name for name in wanted if name not in known],
        restarts=[record.name for record in order(after)
                  if record.name in wanted and outdated(after, record)],
        removes=sorted(known - set(wanted)))


def differences(old: ClusterSpec, new: ClusterSpec) -> list[str]:
    """``path: old -> new`` for everything that differs; groups go by name."""
    before, after = dict(_flat(_by_name(old))), dict(_flat(_by_name(new)))
    return [f"{path}: {_shown(before, path)} -> {_shown(after, path)}"
            for path in sorted(before.keys() | after.keys())
            if before.get(path) != after.get(path)]


def _by_name(spec: ClusterSpec) -> dict[str, Any]:
    body = spec.model_dump(mode="json")
    body["groups"] = {group.pop("name"): group for group in body["groups"]}
    return body


def _flat(body: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(body, dict) and body:
        for key, value in body.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    elif body not in ({}, [], "", None):
        yield path, body


def _shown(values: dict[str, Any], path: str) -> str:
    return str(values[path]) if path in values else "(none)"
