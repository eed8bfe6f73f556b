"""What a new spec would change: refused or not, and what it would do to nodes."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..core import live
from ..core.config import misplaced, parts
from ..core.errors import Fault
from ..core.facts import ClusterState, NodeRecord, NodeState
from ..core.invariants import host_limit
from ..core.leaving import moves
from ..core.plan import wanted_nodes
from ..core.rolling import order
from ..core.spec import ClusterSpec
from ..core.validate import setting_names, shrinks, validate, version_number
from .views import Preview


def brings_settings(old: ClusterSpec, new: ClusterSpec) -> bool:
    """Whether a spec has settings whose names Elasticsearch should be asked about."""
    return old.version == new.version and bool(setting_names(new) - setting_names(old))


def refusals(state: ClusterState, new: ClusterSpec,
             known_settings: frozenset[str] | None = None) -> list[Fault]:
    """Every rule that refuses the change, by what the cluster is like now.

    ``known_settings``: names that Elasticsearch itself knows; None when nobody could be asked.
    """
    seen = state.es
    if seen is not None and known_settings is not None:
        seen = replace(seen, known_settings=known_settings)
    faults = validate(state.spec, new, seen)
    if shrinks(state.spec, new) and state.bootstrap.cluster_uuid is None:
        faults.append(Fault("groups", "the cluster has not formed yet", "cluster_formed"))
    after = replace(state, spec=new)
    # A limit that is lowered below what stands there would break an invariant at once.
    faults += [Fault("groups", found, "host_limit") for found in host_limit(after)]
    if not any(fault.rule == "no_downgrade" for fault in faults):
        faults += _written_by_newer(state, new)
    gone = {group.name for group in state.spec.groups} - {group.name for group in new.groups}
    for record in state.nodes.values():
        if record.group in gone and record.state is not NodeState.PLANNED:
            faults.append(Fault("groups", f"{record.name} of {record.group} is still there",
                                "groups_are_emptied_first"))
    return faults


def _written_by_newer(state: ClusterState, new: ClusterSpec) -> Iterator[Fault]:
    """Nodes that have run what the cluster is to go back from, whether they are members or not."""
    wanted = version_number(new.version)
    if wanted >= version_number(state.spec.version):
        return
    for record in state.nodes.values():
        if record.version is not None and version_number(record.version) > wanted:
            yield Fault("version", f"{record.name} has run {record.version}, and cannot go back "
                        f"to {new.version}", "no_downgrade")


def replace_refusals(state: ClusterState, record: NodeRecord) -> list[Fault]:
    """Why a node cannot be replaced."""
    faults = []
    if state.bootstrap.cluster_uuid is None:
        faults.append(Fault("", "the cluster has not formed yet", "cluster_formed"))
    if record.state is NodeState.PLANNED:
        faults.append(Fault("", f"{record.name} has no place yet", "node_is_placed"))
    if record.leaving and not record.moving or record.retire:
        faults.append(Fault("", f"{record.name} is on its way out: {record.leaving}",
                            "node_is_to_stay"))
    return faults


def preview(state: ClusterState, new: ClusterSpec) -> Preview:
    """What it would do, in the order it would be done."""
    after = replace(state, spec=new)
    wanted = wanted_nodes(after)
    known = set(state.nodes) | set(wanted_nodes(state))
    restarts = [record.name for record in order(after) if record.name in wanted]
    moving = [record for record in moves(after) if record.name in wanted]
    reasons = {record.name: f"{misplaced(after, record)}: another node starts, then it is drained "
               "and its volume destroyed" for record in moving}
    reasons |= {name: restart_reason(state, after, state.nodes[name]) for name in restarts}
    return Preview(
        changes=differences(state.spec, new),
        starts=[name for name in wanted if name not in known], restarts=restarts,
        replaces=[record.name for record in moving], removes=sorted(known - set(wanted)),
        live=_live(state, after), reasons=reasons)


def restart_reason(before: ClusterState, after: ClusterState, record: NodeRecord) -> str:
    """What of a node takes a restart, in words."""
    old, new = before.group_of(record), after.group_of(record)
    found = []
    if old is not None and new is not None:
        was = parts(before.spec, old, before.secrets, before.tls)
        is_ = parts(after.spec, new, after.secrets, after.tls)
        found = [key for key in sorted(was.keys() | is_.keys()) if was.get(key) != is_.get(key)]
        found += [field for field in ("cpus", "mem_mb")
                  if getattr(old, field) != getattr(new, field)]
    return ", ".join(found) or "it does not run with what is wanted yet"


def _live(state: ClusterState, after: ClusterState) -> list[str]:
    """Live settings that would change, one a line."""
    was, is_ = live.wanted(state), live.wanted(after)
    return [f"{key}: {was.get(key, '(none)')} -> {is_.get(key, '(none)')}"
            for key in sorted(was.keys() | is_.keys()) if was.get(key) != is_.get(key)]


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
