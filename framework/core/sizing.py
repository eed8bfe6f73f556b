"""How large a cluster should be for its data, and why: rules of thumb that explain themselves.

Sources: Elasticsearch documentation ("Size your shards", "Heap size settings", "Disk-based shard
allocation settings"), and Elastic's published ratios of memory to data of hot and warm nodes.
They are where to begin. What a cluster needs in the end, its load tells.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

from .spec import MAX_HEAP_MB

GB_MB = 1024
LOW_WATERMARK = 0.85            # above it Elasticsearch puts no further shard on a node
OVERHEAD = 1.15                 # merges write the new segments before the old ones go
HEAP_SHARE = 0.5                # the other half is for the file system's cache
SHARDS_PER_HEAP_GB = 20
DEDICATED_MASTERS_FROM = 6      # data nodes
LEAST_MEM_MB, MOST_MEM_MB = 2 * GB_MB, 62 * GB_MB
MOST_DISK_MB = 4 * 1024 * GB_MB     # of a node: more takes too long to recover
MASTER_MEM_MB, MASTER_DISK_MB = 4 * GB_MB, 10 * GB_MB


@dataclass(frozen=True, slots=True)
class Use:
    """A way to use a cluster. ``ratio``: MB of data that a MB of memory serves."""

    name: str
    ratio: int
    shard_gb: int
    cpus_per_8gb: float
    why_ratio: str


SEARCH = Use("search", 12, 20, 2.0, "searches want their data in the file system's cache")
LOGS = Use("logs", 30, 40, 1.0, "fresh logs are written all the time, and asked for a little")
WARM = Use("warm", 160, 50, 0.5, "old data is asked for seldom")
SMALL = Use("small", 16, 20, 1.0, "a bit of everything")


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that was chosen, and why."""

    what: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Size:
    """Nodes of a group; sizes in MB."""

    count: int
    cpus: float
    mem_mb: int
    disk_mb: int
    reasons: tuple[Reason, ...]

    @property
    def heap_mb(self) -> int:
        """The heap of a node."""
        return min(int(self.mem_mb * HEAP_SHARE), MAX_HEAP_MB)


def gigabytes(mem_mb: float) -> str:
    """MB as GB for people."""
    return f"{mem_mb / GB_MB:,.1f}".removesuffix(".0") + " GB"


def _rounded(mem_mb: float, step_mb: int) -> int:
    return math.ceil(mem_mb / step_mb) * step_mb


def disk_needed_mb(data_gb: float, replicas: int) -> int:
    """What all nodes together need for ``data_gb`` of primaries."""
    return math.ceil(data_gb * GB_MB * (1 + replicas) * OVERHEAD / LOW_WATERMARK)


def size_for(use: Use, data_gb: float, replicas: int, least: int = 2) -> Size:
    """Data nodes for ``data_gb`` of primaries with ``replicas`` copies each; at least ``least``.

    As few nodes as disk and memory allow, all alike.
    """
    total_mb = disk_needed_mb(data_gb, replicas)
    mem_mb = total_mb / use.ratio
    least = max(least, replicas + 1)
    count = max(least, math.ceil(mem_mb / MOST_MEM_MB), math.ceil(total_mb / MOST_DISK_MB))
    node_mem_mb = min(max(_rounded(mem_mb / count, GB_MB), LEAST_MEM_MB), MOST_MEM_MB)
    node_disk_mb = max(_rounded(total_mb / count, 10 * GB_MB), 10 * GB_MB)
    cpus = max(1.0, math.ceil(node_mem_mb / (8 * GB_MB) * use.cpus_per_8gb))
    return Size(count, cpus, node_mem_mb, node_disk_mb, _reasons(
        use, data_gb, replicas, least, total_mb, Size(count, cpus, node_mem_mb, node_disk_mb, ())))


def _reasons(use: Use, data_gb: float, replicas: int, least: int, total_mb: int,
             size: Size) -> tuple[Reason, ...]:
    shards = shards_for(use, data_gb)
    copies = shards * (1 + replicas)
    room = int(size.heap_mb / GB_MB * SHARDS_PER_HEAP_GB) * size.count
    return (
        Reason("disk in all", gigabytes(total_mb),
               f"{data_gb:g} GB of primaries, {replicas} replica{'s' * (replicas != 1)} of each, "
               f"{OVERHEAD - 1:.0%} for merges, and {1 - LOW_WATERMARK:.0%} free below the low "
               "watermark"),
        Reason("nodes", str(size.count), f"at least {least}, of at most "
               f"{gigabytes(MOST_MEM_MB)} memory and {gigabytes(MOST_DISK_MB)} disk each: a node "
               "that fails must be copied again in hours, not days"),
        Reason("memory of a node", gigabytes(size.mem_mb),
               f"a GB of memory for {use.ratio} GB of disk: {use.why_ratio}"),
        Reason("heap of a node", gigabytes(size.heap_mb),
               f"half of the memory, at most {gigabytes(MAX_HEAP_MB)}: the other half caches "
               "files, and a larger heap would lose compressed pointers"),
        Reason("primaries", str(shards), f"of about {use.shard_gb} GB each; with replicas "
               f"{copies} shards, and the heap has room for {room} "
               f"({SHARDS_PER_HEAP_GB} a GB)"))


def shards_for(use: Use, data_gb: float) -> int:
    """How many primaries, so that each is of a good size."""
    return max(1, math.ceil(data_gb / use.shard_gb))


def masters_for(data_nodes: int) -> Size | None:
    """Nodes that do nothing but lead, where there are many data nodes; None: they can lead."""
    if data_nodes < DEDICATED_MASTERS_FROM:
        return None
    return Size(3, 1.0, MASTER_MEM_MB, MASTER_DISK_MB, (
        Reason("masters", "3", f"of their own, since there are {data_nodes} data nodes: a busy "
               "data node should not hold up the cluster; three, so that one may be away"),))
