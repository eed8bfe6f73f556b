"""Where every copy of every shard is, how large it is, and what it has had to do.

One request, made when somebody wants to know: its answer grows with the number of shards. Source:
Elasticsearch reference, "Indices stats" (``level=shards``).
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.hotspots import ShardCopy
from .client import EsClient

_SHARD = ("routing.node,routing.primary,routing.state,store.size_in_bytes,indexing.index_total,"
          "indexing.index_time_in_millis,search.query_total,search.query_time_in_millis")
FILTER = ",".join(f"indices.*.shards.*.{field}" for field in _SHARD.split(","))
LOOK_S = 30.0


@dataclass(frozen=True, slots=True)
class Work:
    """What a copy has done since it is where it is."""

    indexed: int
    indexing_ms: int
    queries: int
    query_ms: int


@dataclass(frozen=True, slots=True)
class Copy:
    """One started copy of a shard on a node, by the id of the node."""

    index: str
    number: int
    node_id: str
    primary: bool
    store_mb: float
    work: Work


async def look(client: EsClient) -> list[Copy]:
    """All started copies; EsUnavailable."""
    answer = await client.request(
        "GET", "/_stats/indexing,search,store",
        {"level": "shards", "expand_wildcards": "all", "filter_path": FILTER}, timeout_s=LOOK_S)
    return copies_of(answer or {})


def copies_of(answer: Mapping[str, Any]) -> list[Copy]:
    """The copies in an answer; one that moves counts where it still is."""
    found = []
    for index, item in (answer.get("indices") or {}).items():
        for number, copies in (item.get("shards") or {}).items():
            for copy in copies:
                routing = copy.get("routing") or {}
                if routing.get("state") not in ("STARTED", "RELOCATING"):
                    continue
                indexing, search = copy.get("indexing") or {}, copy.get("search") or {}
                found.append(Copy(
                    index, int(number), str(routing["node"]), bool(routing.get("primary")),
                    (copy.get("store") or {}).get("size_in_bytes", 0) / 2**20,
                    Work(indexing.get("index_total", 0), indexing.get("index_time_in_millis", 0),
                         search.get("query_total", 0), search.get("query_time_in_millis", 0))))
    return found


def with_shares(copies: list[Copy], names: Mapping[str, str],
                rates: Mapping[str, Mapping[str, float]]) -> list[ShardCopy]:
    """Copies by node name, and what of their node's rates comes from each.

    ``names`` are node names by id, ``rates`` figures by node name. A node's rate is divided among
    its shards as the work is that they have done: Elasticsearch tells no rates by shard.
    """
    totals: dict[str, list[int]] = {}
    for copy in copies:
        done = totals.setdefault(copy.node_id, [0, 0, 0])
        for place, amount in enumerate(_amounts(copy.work)):
            done[place] += amount
    found = []
    for copy in copies:
        name = names.get(copy.node_id)
        if name is None:
            continue
        figures, shares = rates.get(name, {}), {}
        for dimension, amount, total in zip(
                ("indexing_per_s", "searches_per_s", "time_ms_per_s"), _amounts(copy.work),
                totals[copy.node_id], strict=True):
            if total and dimension in figures:
                shares[dimension] = figures[dimension] * amount / total
        found.append(ShardCopy(copy.index, copy.number, name, copy.store_mb, copy.primary, shares))
    return found


def _amounts(work: Work) -> tuple[int, int, int]:
    return work.indexed, work.queries, work.indexing_ms + work.query_ms
