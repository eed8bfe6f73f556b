"""Replicas below the wanted number: which indices get more, and how many.

Never more than there are other data nodes to hold them, never fewer than an index has, and only
what the disks have room for. Source: Elasticsearch reference, "Index modules".
"""
from __future__ import annotations

from ..gates import DISK_SHARE
from ..housekeeping_spec import Replicas
from ..indices import Index, IndexLook
from .findings import Act, Finding, amount, finding

POLICY = "replicas"


def target(rule: Replicas, data_nodes: int) -> int:
    """How many replicas an index is to have at least: a copy more than there are nodes waits."""
    return min(rule.at_least, max(data_nodes - 1, 0))


def find(rule: Replicas, look: IndexLook, data_nodes: int) -> Finding:
    """Which indices get more."""
    wanted = target(rule, data_nodes)
    room_mb = _room_mb(look)
    acts, leaves, enough = [], [], 0
    for index in look.subjects(rule.indices):
        if index.auto_expand or index.replicas >= wanted:
            enough += 1
            continue
        more_mb = (index.primary_mb or 0.0) * (wanted - index.replicas)
        why = _not_because(index, more_mb, room_mb)
        if why:
            leaves.append(Act(index.name, why))
            continue
        room_mb -= more_mb
        acts.append(Act(index.name, f"{index.replicas} replicas become {wanted}, "
                        f"{amount(more_mb)}"))
    bound = "" if wanted == rule.at_least else (
        f" ({rule.at_least} are wanted, and there are {data_nodes} data nodes)")
    return finding(POLICY, "", f"{enough} indices have {wanted} replicas or more{bound}, "
                   f"{len(acts)} can have more, {len(leaves)} are left alone", acts, leaves)


def _not_because(index: Index, more_mb: float, room_mb: float) -> str:
    if index.managed:
        return "Elasticsearch's own life cycle looks after it"
    if index.primary_mb is None:
        return "it is closed, or a primary of it has not started"
    if index.locked:
        return "it is read-only"
    return f"{amount(more_mb)} more have no room below the watermark" if more_mb > room_mb else ""


def _room_mb(look: IndexLook) -> float:
    """Of all data nodes below the low watermark; a disk that is not known has none."""
    return sum(max(disk.free_mb - (1 - DISK_SHARE) * disk.total_mb, 0.0)
               for disk in look.disks.values()
               if disk.free_mb is not None and disk.total_mb is not None)
