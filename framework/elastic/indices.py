"""A look at indices for housekeeping: settings, aliases, what shards hold, disks of data nodes.

Five requests, made at a slow pace and only for a cluster with a policy that needs them; answers
grow with the number of shards, and no faster. Sources: Elasticsearch reference of 6.8 and 7.17,
"Get settings", "Get alias", "Indices stats" (``level=shards``), "Nodes stats".
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ..core.indices import Alias, Disk, Index, IndexLook
from .client import EsClient

BLOCK = "index.blocks."
FULL_DISK = "read_only_allow_delete"
BLOCKS = ("read_only", "read", "write", "metadata")
LIMITS = ("index.max_result_window", "index.mapping.total_fields.limit")
SETTINGS = ("index.uuid", "index.creation_date", "index.number_of_*", "index.auto_expand_replicas",
            f"{BLOCK}*", "index.lifecycle.name", *LIMITS)
_SHARD = ("routing.primary", "routing.state", "docs.count", "store.size_in_bytes",
          "segments.count", "seq_no.max_seq_no")
STATS = ",".join(f"indices.*.shards.*.{field}" for field in _SHARD)
FS = "nodes.*.name,nodes.*.roles,nodes.*.timestamp,nodes.*.fs.total"
WATERMARK = "cluster.routing.allocation.disk.watermark.high"
LOOK_S = 30.0
MB = 2.0**20


async def look(client: EsClient, now: float, names: Sequence[str] = ()) -> IndexLook:
    """All indices, with disks; or those of these names alone, which may be gone; EsUnavailable."""
    path = "/" + (",".join(quote(name, safe="") for name in names) or "_all")
    gone = {"ignore_unavailable": "true"}
    settings = await client.request("GET", f"{path}/_settings/{','.join(SETTINGS)}", {
        "flat_settings": "true", "expand_wildcards": "all", **gone}, timeout_s=LOOK_S)
    aliases = await client.request("GET", f"{path}/_alias", gone, timeout_s=LOOK_S)
    stats = await client.request("GET", f"{path}/_stats/docs,store,segments", {
        "level": "shards", "filter_path": STATS, **gone}, timeout_s=LOOK_S)
    if names:                       # asked before each index: the disks say nothing of it
        return look_of(now, settings or {}, aliases or {}, stats or {}, {}, {})
    disks = await client.request("GET", "/_nodes/stats/fs", {"filter_path": FS}, timeout_s=LOOK_S)
    limits = await client.request("GET", "/_cluster/settings", {
        "include_defaults": "true", "filter_path": f"*.{WATERMARK}"}, timeout_s=LOOK_S)
    return look_of(now, settings or {}, aliases or {}, stats or {}, disks or {}, limits or {})


def look_of(now: float, settings: Mapping[str, Any], aliases: Mapping[str, Any],
            stats: Mapping[str, Any], disks: Mapping[str, Any],
            limits: Mapping[str, Any]) -> IndexLook:
    """One look, out of the answers of Elasticsearch."""
    shards = stats.get("indices") or {}
    return IndexLook(now, {name: _index(name, item.get("settings") or {},
                                        (shards.get(name) or {}).get("shards") or {})
                           for name, item in settings.items()},
                     _aliases(aliases), dict(_disks(disks)), _watermark(limits),
                     _clock_off_s(now, disks))


def _index(name: str, flat: Mapping[str, Any], shards: Mapping[str, Any]) -> Index:
    copies = [[copy for copy in found if (copy.get("routing") or {}).get("state") in (
        "STARTED", "RELOCATING")] for found in shards.values()]
    primaries = [copy for found in copies for copy in found if copy["routing"].get("primary")]
    count = int(flat.get("index.number_of_shards") or 1)
    whole = len(primaries) == count
    written = [copy.get("seq_no", {}).get("max_seq_no") for copy in primaries]
    everything = [copy for found in copies for copy in found]
    return Index(
        name, str(flat.get("index.uuid") or ""),
        int(flat.get("index.creation_date") or 0) / 1000, count,
        int(flat.get("index.number_of_replicas") or 0),
        auto_expand=str(flat.get("index.auto_expand_replicas", "false")) != "false",
        managed=bool(flat.get("index.lifecycle.name")),
        full_disk=_is_true(flat.get(BLOCK + FULL_DISK)),
        blocks=tuple(block for block in BLOCKS if _is_true(flat.get(BLOCK + block))),
        limits={key: int(flat[key]) for key in LIMITS if key in flat},
        documents=_sum(primaries, "docs", "count") if whole else None,
        primary_mb=_sum(primaries, "store", "size_in_bytes") / MB if whole else None,
        written=sum(one + 1 for one in written) if whole and None not in written else None,
        store_mb=_sum(everything, "store", "size_in_bytes") / MB if whole else None,
        segments=max((copy.get("segments", {}).get("count", 0) for copy in everything),
                     default=0) if whole else None)


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _sum(copies: Iterable[Mapping[str, Any]], group: str, field: str) -> int:
    return sum((copy.get(group) or {}).get(field, 0) for copy in copies)


def _aliases(answer: Mapping[str, Any]) -> dict[str, Alias]:
    held: dict[str, list[str]] = {}
    writes: dict[str, str] = {}
    for index, item in sorted(answer.items()):
        for name, alias in (item.get("aliases") or {}).items():
            held.setdefault(name, []).append(index)
            if alias.get("is_write_index"):
                writes[name] = index
    return {name: Alias(name, tuple(found), writes.get(name)) for name, found in held.items()}


def _data_nodes(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Nodes that hold shards; from 7.10 on their roles are data, data_hot and so on."""
    return [node for node in (answer.get("nodes") or {}).values()
            if any(str(role).startswith("data") for role in node.get("roles") or ())]


def _disks(answer: Mapping[str, Any]) -> Iterable[tuple[str, Disk]]:
    for node in _data_nodes(answer):
        total = (node.get("fs") or {}).get("total") or {}
        size, free = total.get("total_in_bytes"), total.get("available_in_bytes")
        yield node["name"], Disk(size / MB if size is not None else None,
                                 free / MB if free is not None else None)


def _clock_off_s(now: float, answer: Mapping[str, Any]) -> float | None:
    clocks = [node.get("timestamp") for node in _data_nodes(answer)]
    if not clocks or None in clocks:
        return None
    return max(abs(float(clock or 0) / 1000 - now) for clock in clocks)


def _watermark(answer: Mapping[str, Any]) -> str:
    """The value in force: what is set, or what nodes were started with, or the default."""
    for layer in ("transient", "persistent", "defaults"):
        found: Any = answer.get(layer) or {}
        for part in WATERMARK.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is not None:
            return str(found)
    return ""
