"""Force merge of indices that nobody writes to any more: which, and which never.

A merged segment is hardly ever merged again by itself, so an index that is still written to must
not get one. Source: Elasticsearch reference, "Force merge".
"""
from __future__ import annotations

from types import MappingProxyType

from ..housekeeping_spec import Merge
from ..indices import Index, IndexLook, Memory, quiet_since
from .findings import Act, Finding, finding, span

POLICY = "merge"
NONE: Memory = MappingProxyType({})
DISK_KEPT = 0.10                    # of a disk: the high watermark leaves no less


def find(rule: Merge, look: IndexLook, memory: Memory, merged_before: Memory = NONE) -> Finding:
    """What is to be merged, those with the most segments first.

    ``merged_before``: what has been merged, and was not written to since then; once is enough,
    whatever came of it.
    """
    writers = look.write_indices()
    room_mb = _room_mb(look)
    wanted: list[tuple[int, Act]] = []
    leaves, merged = [], 0
    for index in look.subjects(rule.indices):
        if index.segments is not None and index.segments <= rule.max_segments:
            merged += 1
            continue
        why = _not_because(rule, look, memory, index, writers.get(index.name, ""), room_mb)
        if not why and quiet_since(merged_before, index) is not None:
            why = f"it was merged, and has up to {index.segments} segments a shard all the same"
        if why:
            leaves.append(Act(index.name, why))
            continue
        since = quiet_since(memory, index)
        assert since is not None and index.segments is not None
        wanted.append((index.segments, Act(index.name, (
            f"up to {index.segments} segments a shard, not written to for "
            f"{span(look.at - since)}"))))
    acts = [act for _, act in sorted(wanted, key=lambda item: (-item[0], item[1].target))]
    return finding(POLICY, "", f"{merged} indices have at most {rule.max_segments} segments a "
                   f"shard, {len(acts)} can be merged, {len(leaves)} are left alone",
                   acts, leaves)


def _not_because(rule: Merge, look: IndexLook, memory: Memory, index: Index, writer: str,
                 room_mb: float | None) -> str:
    """Why an index is left alone; empty when it may be merged."""
    since = quiet_since(memory, index)
    if index.managed:
        return "Elasticsearch's own life cycle looks after it"
    if index.segments is None or since is None or index.primary_mb is None:
        return "it is closed, or a shard of it has not started"
    if writer:
        return f"{writer} writes into it"
    if index.locked:
        return "it is read-only"
    if look.at - since < rule.idle_s:
        return (f"written to within {span(rule.idle_s)}, as far as is known: its sequence number "
                f"has been the same for {span(look.at - since)}")
    needed_mb = index.primary_mb / max(index.shards, 1)
    if room_mb is None or room_mb < needed_mb:
        return "a data node may have no room for the merged segment beside the old ones"
    return ""


def _room_mb(look: IndexLook) -> float | None:
    """What the fullest data node has left; None when that is not known of all."""
    rooms = [disk.free_mb - DISK_KEPT * disk.total_mb for disk in look.disks.values()
             if disk.free_mb is not None and disk.total_mb is not None]
    return min(rooms) if rooms and len(rooms) == len(look.disks) else None
