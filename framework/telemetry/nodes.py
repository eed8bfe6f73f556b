"""Figures of the nodes of a cluster, out of two answers of Elasticsearch to the same question.

Its counters become rates between the two; after a restart of a node, which sets them back, there is
no rate until the next answer. Source: Elasticsearch reference, "Nodes stats" (6.8 to 9).
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..elastic.client import EsClient
from .readings import Reading, of_node

PATH = "/_nodes/stats/jvm,fs,indices,os,process,thread_pool,breaker"
_FIELDS = (
    "name", "jvm.uptime_in_millis", "jvm.mem.heap_used_percent", "jvm.mem.heap_used_in_bytes",
    "jvm.mem.pools.*.used_in_bytes", "jvm.mem.pools.*.max_in_bytes", "jvm.gc.collectors",
    "fs.total", "fs.io_stats.total", "os.cpu", "process.cpu.percent", "thread_pool.*.rejected",
    "breakers.*.tripped", "indices.docs.count", "indices.store.size_in_bytes",
    "indices.indexing.index_total", "indices.indexing.index_time_in_millis",
    "indices.search.query_total", "indices.search.query_time_in_millis",
    "indices.merges.current", "indices.merges.total_size_in_bytes",
    "indices.query_cache.memory_size_in_bytes", "indices.request_cache.memory_size_in_bytes",
    "indices.fielddata.memory_size_in_bytes", "indices.segments.count",
    "indices.segments.memory_in_bytes", "indices.segments.index_writer_memory_in_bytes")
FILTER = ",".join(f"nodes.*.{name}" for name in _FIELDS)
TIMEOUT_S = 15.0
MB = 2**20
# Figures that stand in an answer as they are: metric, path, divisor.
PLAIN: tuple[tuple[str, str, float], ...] = (
    ("heap_used_percent", "jvm.mem.heap_used_percent", 1),
    ("heap_used_mb", "jvm.mem.heap_used_in_bytes", MB),
    ("heap_young_mb", "jvm.mem.pools.young.used_in_bytes", MB),
    ("disk_free_mb", "fs.total.available_in_bytes", MB),
    ("disk_total_mb", "fs.total.total_in_bytes", MB),
    ("store_mb", "indices.store.size_in_bytes", MB),
    ("cpu_percent", "process.cpu.percent", 1),
    ("load_1m", "os.cpu.load_average.1m", 1),
    ("documents", "indices.docs.count", 1),
    ("segments", "indices.segments.count", 1),
    ("segments_mb", "indices.segments.memory_in_bytes", MB),
    ("fielddata_mb", "indices.fielddata.memory_size_in_bytes", MB),
    ("query_cache_mb", "indices.query_cache.memory_size_in_bytes", MB),
    ("request_cache_mb", "indices.request_cache.memory_size_in_bytes", MB),
    ("index_buffer_mb", "indices.segments.index_writer_memory_in_bytes", MB),
    ("merges", "indices.merges.current", 1))
# Counters whose growth in a second is a figure: metric, path, divisor.
RATES: tuple[tuple[str, str, float], ...] = (
    ("gc_young_ms_per_s", "jvm.gc.collectors.young.collection_time_in_millis", 1),
    ("gc_old_ms_per_s", "jvm.gc.collectors.old.collection_time_in_millis", 1),
    ("gc_old_per_s", "jvm.gc.collectors.old.collection_count", 1),
    ("disk_read_per_s", "fs.io_stats.total.read_operations", 1),
    ("disk_write_per_s", "fs.io_stats.total.write_operations", 1),
    ("indexing_per_s", "indices.indexing.index_total", 1),
    ("searches_per_s", "indices.search.query_total", 1),
    ("merge_mb_per_s", "indices.merges.total_size_in_bytes", MB))
# Mean times of one: metric, counter of milliseconds, counter of how many.
MEANS: tuple[tuple[str, str, str], ...] = (
    ("indexing_ms", "indices.indexing.index_time_in_millis", "indices.indexing.index_total"),
    ("search_ms", "indices.search.query_time_in_millis", "indices.search.query_total"))


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered last, by node name."""

    at: float = 0.0
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


async def ask(client: EsClient, now: float) -> Answers:
    """One request for all nodes; EsUnavailable."""
    answer = await client.request("GET", PATH, {"filter_path": FILTER}, timeout_s=TIMEOUT_S)
    return answers_of(answer or {}, now)


def answers_of(answer: Mapping[str, Any], now: float) -> Answers:
    """An answer by node name."""
    return Answers(now, {str(item["name"]): item
                         for item in (answer.get("nodes") or {}).values() if "name" in item})


def readings(cluster: str, before: Answers, after: Answers) -> list[Reading]:
    """A reading of each node that answered; rates only where both answers are of one process."""
    span_s = after.at - before.at
    found = []
    for name, item in after.nodes.items():
        figures = dict(_figures(item))
        old = before.nodes.get(name)
        if old is not None and span_s > 0 and _same_process(old, item):
            figures |= dict(_rates(old, item, span_s))
        found.append(Reading(after.at, of_node(cluster, name), {"up": 1.0} | figures))
    return found


def _same_process(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    before, after = (_at(item, "jvm.uptime_in_millis") for item in (old, new))
    return before is not None and after is not None and after >= before


def _figures(item: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for metric, path, divisor in PLAIN:
        value = _at(item, path)
        if value is not None:
            yield metric, value / divisor
    free, total = _at(item, "fs.total.available_in_bytes"), _at(item, "fs.total.total_in_bytes")
    if free is not None and total:
        yield "disk_used_percent", 100 * (1 - free / total)
    used = _at(item, "jvm.mem.pools.old.used_in_bytes")
    most = _at(item, "jvm.mem.pools.old.max_in_bytes")
    if used is not None and most:
        yield "heap_old_percent", 100 * used / most


def _rates(old: Mapping[str, Any], new: Mapping[str, Any],
           span_s: float) -> Iterator[tuple[str, float]]:
    for metric, path, divisor in RATES:
        grown = _grown(_at(old, path), _at(new, path))
        if grown is not None:
            yield metric, grown / divisor / span_s
    for metric, spent, count in MEANS:
        ms = _grown(_at(old, spent), _at(new, spent))
        done = _grown(_at(old, count), _at(new, count))
        if ms is not None and done:
            yield metric, ms / done
    for metric, group, counter in (("rejections_per_s", "thread_pool", "rejected"),
                                   ("breaker_trips_per_s", "breakers", "tripped")):
        grown = _grown(_total(old, group, counter), _total(new, group, counter))
        if grown is not None:
            yield metric, grown / span_s


def _grown(old: float | None, new: float | None) -> float | None:
    return new - old if old is not None and new is not None and new >= old else None


def _total(item: Mapping[str, Any], group: str, counter: str) -> float | None:
    found = [float(one[counter]) for one in (item.get(group) or {}).values() if counter in one]
    return sum(found) if found else None


def _at(item: Mapping[str, Any], path: str) -> float | None:
    """The number at a dotted path; None when there is none."""
    found: Any = item
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return float(found) if isinstance(found, (int, float)) and found >= 0 else None
