"""What a node was started with, as a fingerprint: when the wanted one differs, it is outdated."""
from __future__ import annotations

import hashlib
import json

from .facts import ClusterState, NodeRecord
from .spec import ClusterSpec, NodeGroup


def fingerprint(spec: ClusterSpec, group: NodeGroup) -> str:
    """Of everything that takes a restart to change; counts, quotas and placement do not."""
    parts = {
        "version": spec.version,
        "distribution": spec.distribution.model_dump() if spec.distribution else None,
        "roles": group.roles, "heap_mb": group.heap_mb,
        "jvm_options": [*spec.jvm_options, *group.jvm_options],
        "settings": {**spec.settings, **group.settings}}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def wanted(state: ClusterState, record: NodeRecord) -> str:
    """The fingerprint that a node should have; its own when the spec has no such group."""
    group = state.group_of(record)
    return fingerprint(state.spec, group) if group is not None else record.config


def outdated(state: ClusterState, record: NodeRecord) -> bool:
    """Whether a node runs with something else than what is wanted."""
    return bool(record.config) and record.config != wanted(state, record)
