"""Indices that a full disk has made read-only: released when every data node has room again.

Elasticsearch 6 sets ``index.blocks.read_only_allow_delete`` above the flood-stage watermark and
never takes it off; 7.4 and later do. Blocks of any other name are people's, and stay. Source:
Elasticsearch reference of 6.8, "Disk-based shard allocation".
"""
from __future__ import annotations

import re

from ..housekeeping_spec import Unblock
from ..indices import IndexLook
from .findings import Act, Finding, finding

POLICY = "unblock"
_UNITS_MB = {"b": 2.0**-20, "kb": 2.0**-10, "mb": 1.0, "gb": 2.0**10, "tb": 2.0**20, "pb": 2.0**30}


def find(rule: Unblock, look: IndexLook) -> Finding:
    """Which indices are released; none as long as any data node is, or may be, too full."""
    blocked = [one for one in look.indices.values() if one.full_disk]
    if not blocked:
        return finding(POLICY, "", "no index is read-only because of a full disk")
    full = too_full(rule, look)
    sees = f"{len(blocked)} indices are read-only because of a full disk"
    if full:
        return finding(POLICY, "", f"{sees}; {full}",
                       leaves=[Act(one.name, full) for one in blocked])
    stays = ", ".join(sorted({block for one in blocked for block in one.blocks}))
    return finding(POLICY, "", sees + (f"; {stays} is people's own, and stays" if stays else ""),
                   [Act(one.name, f"every data node is {rule.margin_percent:g} % below the high "
                        f"watermark ({look.high_watermark})") for one in blocked])


def too_full(rule: Unblock, look: IndexLook) -> str:
    """Why nothing is released; empty when all data nodes have room."""
    if not look.disks:
        return "no data node has said how full its disk is"
    for name, disk in sorted(look.disks.items()):
        used, limit = disk.used_percent, limit_percent(look.high_watermark, disk.total_mb)
        if used is None or limit is None:
            return f"it is not known how full the disk of {name} is, or may be"
        if used > limit - rule.margin_percent:
            return (f"the disk of {name} is {used:.1f} % full, released below "
                    f"{limit - rule.margin_percent:.1f} %")
    return ""


def limit_percent(watermark: str, total_mb: float | None) -> float | None:
    """A watermark (a share that is used, or a size that is free) as percent used; None: unclear."""
    text = watermark.strip().lower()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?%", text):
        return float(text[:-1])
    if re.fullmatch(r"(0(\.[0-9]+)?|1(\.0+)?)", text):
        return float(text) * 100
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(b|kb|mb|gb|tb|pb)", text)
    if found is None or not total_mb:
        return None
    return 100 * (1 - float(found[1]) * _UNITS_MB[found[2]] / total_mb)
