"""What people have done once on a cluster: flush, clear caches, force merge, retry allocation.

Sources: Elasticsearch reference of 6.8 and 7.17, "Flush", "Clear cache", "Force merge", "Cluster
reroute". Each may be done twice without harm; a shard that has moved is not moved again.
"""
from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from ..core.balancing import moves_of
from ..core.facts import Errand
from ..core.hotspots import Move
from . import housekeeping, snapshots
from .client import EsClient
from .errors import ErrandFailed

Tell = Callable[[int, int], None]
LONG_S = 300.0
MERGE_S = 6 * 3600.0                # of one index
MOVE_S = 6 * 3600.0                 # of all shards of one errand
MOVE_LOOK_S = 2.0
OPEN = {"expand_wildcards": "open", "ignore_unavailable": "true"}


def _parameters(errand: Errand) -> dict[str, str]:
    return dict(errand.parameters)


def _target(errand: Errand) -> str:
    return quote(_parameters(errand).get("index") or "_all", safe=",*-_.+<>")


def _shards(answer: dict[str, dict[str, int]], done: str) -> str:
    shards = answer.get("_shards") or {}
    failed = shards.get("failed", 0)
    if failed:
        raise ErrandFailed(f"{failed} of {shards.get('total')} shards failed")
    return f"{done}: {shards.get('successful', 0)} shards"


async def flush(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Write what is in memory to disk."""
    return _shards(await client.request("POST", f"/{_target(errand)}/_flush", OPEN,
                                        timeout_s=LONG_S), "flushed")


async def clear_cache(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Of the kinds query, request, fielddata; all when none is named."""
    kinds = [kind for kind in _parameters(errand).get("kinds", "").split(",") if kind]
    answer = await client.request("POST", f"/{_target(errand)}/_cache/clear",
                                  OPEN | dict.fromkeys(kinds, "true"), timeout_s=LONG_S)
    return _shards(answer, f"cleared {', '.join(kinds) or 'all caches'}")


async def force_merge(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Index after index, so that people see how far it is."""
    parameters = _parameters(errand)
    listed = await client.request("GET", f"/_cat/indices/{_target(errand)}", {
        "format": "json", "h": "index,status"})
    names = sorted(item["index"] for item in listed if item.get("status") == "open")
    query = OPEN | {"max_num_segments": parameters.get("max_segments") or "1"}
    tell(0, len(names))
    for number, name in enumerate(names, 1):
        answer = await client.request("POST", f"/{quote(name, safe='')}/_forcemerge", query,
                                      timeout_s=MERGE_S)
        _shards(answer, name)
        tell(number, len(names))
    return f"merged {len(names)} indices to at most {query['max_num_segments']} segments a shard"


async def reroute_retry(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Try shards again whose allocation has failed too often."""
    answer = await client.request("POST", "/_cluster/reroute", {
        "retry_failed": "true", "metric": "none", "filter_path": "acknowledged"})
    return "acknowledged" if answer.get("acknowledged") else "not acknowledged in time"


async def move_shards(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Move copies of shards, and wait until they are there; what has moved already is left."""
    moves = moves_of(errand)
    places = await _places(client)
    left = [move for move in moves if not _has_moved(places, move)]
    gone = [f"{move.index}[{move.number}]" for move in left if not _holds(places, move)]
    if gone:
        raise ErrandFailed(f"not where they were any more: {', '.join(gone)}")
    if left:
        await client.request("POST", "/_cluster/reroute", {"metric": "none"}, {"commands": [
            {"move": {"index": move.index, "shard": move.number, "from_node": move.source,
                      "to_node": move.target}} for move in left]}, timeout_s=LONG_S)
    until = time.monotonic() + MOVE_S
    while time.monotonic() < until:
        places = await _places(client)
        done = sum((move.target, False) in places.get((move.index, move.number), ())
                   for move in moves)
        tell(done, len(moves))
        if done == len(moves):
            return f"moved {len(moves)} shards"
        if not any(moving for at in places.values() for _, moving in at):
            raise ErrandFailed(f"{done} of {len(moves)} shards have moved, and nothing moves now: "
                               "Elasticsearch has taken the others back")
        await asyncio.sleep(MOVE_LOOK_S)
    raise ErrandFailed(f"the shards have not moved within {MOVE_S / 3600:g} h")


Places = dict[tuple[str, int], set[tuple[str, bool]]]


async def _places(client: EsClient) -> Places:
    """By shard: names of the nodes with a copy, and whether it is moving away from there."""
    listed = await client.request("GET", "/_cat/shards", {
        "format": "json", "h": "index,shard,state,node"})
    found: Places = {}
    for item in listed or ():
        if item.get("node") and item.get("state") in ("STARTED", "RELOCATING"):
            source, arrow, _ = str(item["node"]).partition(" -> ")
            found.setdefault((item["index"], int(item["shard"])), set()).add((source, bool(arrow)))
    return found


def _holds(places: Places, move: Move) -> bool:
    return any(node == move.source for node, _ in places.get((move.index, move.number), ()))


def _has_moved(places: Places, move: Move) -> bool:
    """It is there, or on its way from where it was."""
    at = places.get((move.index, move.number), set())
    return (move.target, False) in at or (move.source, True) in at


_ERRANDS: dict[str, Callable[[EsClient, Errand, int, Tell], Awaitable[str]]] = {
    "flush": flush, "clear_cache": clear_cache, "force_merge": force_merge,
    "reroute_retry": reroute_retry, "move_shards": move_shards, **snapshots.RUNS,
    **housekeeping.RUNS}


async def run(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Do it; what came of it. Raises EsUnavailable or ErrandFailed."""
    return await _ERRANDS[errand.kind](client, errand, major, tell)
