"""What a node was started with, as a fingerprint: when the wanted one differs, it is outdated.

Beside it, what no restart on the same volume can change: then another node takes its place.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from . import live
from .facts import ClusterState, NodeRecord, Secret, Tls
from .spec import EXECUTOR_CPUS, EXECUTOR_MEM_MB, ClusterSpec, NodeGroup

HELD = "+held"                      # of a fingerprint: Elasticsearch is not started
NO_SECRETS: Mapping[str, Secret] = {}


def parts(spec: ClusterSpec, group: NodeGroup,
          secrets: Mapping[str, Secret] = NO_SECRETS, tls: Tls | None = None) -> dict[str, Any]:
    """Everything that takes a restart to change; counts, quotas and placement do not."""
    if group.is_sidecar:
        return {"command": group.command, "uris": [uri.model_dump() for uri in group.uris],
                "env": group.env, "listens": group.listens}
    found: dict[str, Any] = {
        "version": spec.version,
        "distribution": spec.distribution.model_dump() if spec.distribution else None,
        "roles": group.roles, "heap_mb": group.heap_mb,
        "jvm_options": [*spec.jvm_options, *group.jvm_options],
        "settings": {**live.static(spec.cluster_settings()), **group.settings}}
    # Absent rather than empty, so that nodes of an earlier service are not outdated by a new key.
    if spec.plugins:
        found["plugins"] = sorted(plugin.model_dump_json() for plugin in spec.plugins)
    if files := spec.files_of(group):
        found["files"] = sorted(file.model_dump_json() for file in files)
    if secrets:
        found["secure settings"] = sorted((key, item.version) for key, item in secrets.items())
    if tls is not None:
        found["tls"] = tls.generation
    return found


def fingerprint(spec: ClusterSpec, group: NodeGroup,
                secrets: Mapping[str, Secret] = NO_SECRETS, tls: Tls | None = None) -> str:
    """A short hash of the parts."""
    text = json.dumps(parts(spec, group, secrets, tls), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# The fingerprints of the last spec, by group: nodes are many, and files may be large.
_last: list[tuple[ClusterSpec, Mapping[str, Secret], Tls | None, dict[str, str]]] = []


def _remembered(state: ClusterState, group: NodeGroup) -> str:
    if not _last or _last[0][0] is not state.spec or (
            _last[0][1] is not state.secrets or _last[0][2] is not state.tls):
        _last[:] = [(state.spec, state.secrets, state.tls, {})]
    known = _last[0][3]
    if group.name not in known:
        known[group.name] = fingerprint(state.spec, group, state.secrets, state.tls)
    return known[group.name]


def wanted(state: ClusterState, record: NodeRecord) -> str:
    """The fingerprint that a node should have; its own when the spec has no such group."""
    group = state.group_of(record)
    if group is None:
        return record.config
    return _remembered(state, group) + (HELD if record.held else "")


def outdated(state: ClusterState, record: NodeRecord) -> bool:
    """Whether a node runs with something else than what is wanted.

    One that is held for debugging is left alone; it gets what is wanted when it starts again.
    """
    if record.held and record.config.endswith(HELD):
        return False
    return bool(record.config) and (
        record.config != wanted(state, record) or lacking(state, record, True) != (0.0, 0))


def wanted_size(group: NodeGroup) -> tuple[float, int]:
    """CPUs and MB of a node of a group, the executor's share included."""
    return round(group.cpus + EXECUTOR_CPUS, 3), group.mem_mb + EXECUTOR_MEM_MB


def lacking(state: ClusterState, record: NodeRecord,
            seat_only: bool = False) -> tuple[float, int]:
    """CPUs and MB that are wanted beyond what is reserved for a node's next start.

    ``seat_only``: beyond what it runs with; negative when it runs with more than is wanted.
    """
    group = state.group_of(record)
    if group is None or record.seat is None:
        return 0.0, 0
    cpus, mem_mb = wanted_size(group)
    held = record.seat.resources
    if seat_only:
        return round(cpus - held.cpus, 3), mem_mb - held.mem_mb
    return (max(round(cpus - held.cpus - record.grown[0], 3), 0.0),
            max(mem_mb - held.mem_mb - record.grown[1], 0))


def misplaced(state: ClusterState, record: NodeRecord) -> str:
    """Why a node's volume cannot be what is wanted; empty when it is."""
    group = state.group_of(record)
    if group is None or record.seat is None:
        return ""
    held = record.seat.resources
    if held.disk_type != group.disk_type:
        return f"disk_type {held.disk_type} -> {group.disk_type}"
    if held.disk_mb < group.disk_mb:
        return f"disk_mb {held.disk_mb} -> {group.disk_mb}"
    return ""


def to_restart(state: ClusterState, record: NodeRecord) -> bool:
    """Whether a node is to start again in place with what is wanted.

    One that leaves, or is to move, is not worth a restart. But one that was held for debugging
    runs no Elasticsearch until then, and others may wait for just that: a quorum, or its shards.
    """
    if record.retire or not outdated(state, record):
        return False
    paused = record.config.endswith(HELD)
    if record.leaving:
        return paused and not record.held
    return paused or record.held or not misplaced(state, record)
