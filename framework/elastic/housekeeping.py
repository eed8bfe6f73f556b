"""Housekeeping as Elasticsearch does it: decided once more on a fresh look, then index by index.

Each may be begun again: what is done already is not found any more, and nothing is done to an index
that was written to, made anew, or became a write index since it was decided. Sources: Elasticsearch
reference of 6.8 and 7.17, "Force merge", "Rollover index", "Delete index", "Update indices
settings".
"""
from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote

from ..core import hours
from ..core.facts import Errand
from ..core.housekeeping import deletion, merging, policies, replicas, rollover, unblocking
from ..core.housekeeping.findings import planned, rule_of, still
from ..core.housekeeping_spec import Deletion, Merge, Replicas, Rollover, Unblock
from ..core.indices import Index, remembered
from . import indices, snapshots
from .client import EsClient, EsUnavailable
from .errors import ErrandFailed
from .indices import BLOCK, FULL_DISK

Tell = Callable[[int, int], None]
MERGE_S = 6 * 3600.0                # of one index
LONG_S = 120.0


class IndexChanged(ErrandFailed):
    """An alias or index is not as it was when this was decided."""


def _path(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


async def _untouched(client: EsClient, index: Index) -> bool:
    """Whether it is the very same index, nobody has written to it, and no alias writes into it."""
    look = await indices.look(client, time.time(), [index.name])
    now = look.indices.get(index.name)
    return (now is not None and (now.uuid, now.written) == (index.uuid, index.written)
            and index.name not in look.write_indices())


async def merge(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Merge idle indices, so many at once, as long as their hours last."""
    rule, now = rule_of(errand, Merge), time.time()
    look = await indices.look(client, now)
    known = planned(errand)
    found = still(merging.find(rule, look, remembered(known, look)), known, look)
    ends, turns = hours.ends_at(rule.hours, now), asyncio.Semaphore(rule.concurrency)
    done: list[str] = []
    left: list[str] = []
    failed: list[str] = []

    async def one(index: Index) -> None:
        async with turns:
            if time.time() >= ends or not await _untouched(client, index):
                left.append(index.name)
                return
            answer = await client.request("POST", _path(index.name, "_forcemerge"), {
                "max_num_segments": rule.max_segments}, timeout_s=MERGE_S)
            (failed if (answer.get("_shards") or {}).get("failed") else done).append(index.name)
            tell(len(done), len(found))

    tell(0, len(found))
    await _all(one, found)
    if failed:
        raise ErrandFailed(f"shards of {', '.join(sorted(failed))} failed; merged: "
                           f"{', '.join(sorted(done)) or 'none'}")
    return _told("merged", done, left, "written to meanwhile, or the hours are over")


async def _all(one: Callable[[Index], Awaitable[None]], found: Sequence[Index]) -> None:
    """Each of them; what one of them raises comes when all have ended."""
    ended = await asyncio.gather(*map(one, found), return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException):
            raise error


def _told(what: str, done: list[str], left: list[str], why: str) -> str:
    told = f"{what} {', '.join(sorted(done))}" if done else f"{what} none"
    return f"{told}; left alone ({why}): {', '.join(sorted(left))}" if left else told


async def roll_over(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """A new index behind an alias, unless there is one already; Elasticsearch looks again, too."""
    rule, [name] = rule_of(errand, Rollover), list(planned(errand))
    look = await indices.look(client, time.time())
    alias = look.aliases.get(rule.alias)
    if alias is None or alias.writes is None:
        raise IndexChanged(f"{rule.alias} writes into no index any more")
    if alias.writes != name:
        return f"{rule.alias} writes into {alias.writes} already"
    found = rollover.find(rule, look)
    if not found.acts:
        raise IndexChanged(f"it is not time any more: {found.sees}")
    answer = await client.request("POST", _path(rule.alias, "_rollover"), body={
        "conditions": rollover.conditions(rule)}, timeout_s=LONG_S)
    if not answer.get("rolled_over"):
        raise IndexChanged("Elasticsearch says that it is not time")
    return f"{rule.alias} goes on from {answer['old_index']} to {answer['new_index']}"


async def delete(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Delete indices one by one, each by its whole name."""
    rule = rule_of(errand, Deletion)
    if rule.dry_run:
        raise ErrandFailed("dry_run is true: nothing is deleted")
    taken = await snapshots.listed(client) if rule.require_snapshot else None
    look, known = await indices.look(client, time.time()), planned(errand)
    found = still(deletion.find(rule, look, remembered(known, look), taken), known, look)
    done: list[str] = []
    left: list[str] = []
    tell(0, len(found))
    for index in found:
        if not await _untouched(client, index):
            left.append(index.name)
            continue
        await client.request("DELETE", _path(index.name), missing_ok=True, timeout_s=LONG_S)
        done.append(index.name)
        tell(len(done), len(found))
    return _told("deleted", done, left, "written to meanwhile")


async def raise_replicas(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """More replicas, never fewer."""
    rule, known = rule_of(errand, Replicas), planned(errand)
    look = await indices.look(client, time.time())
    nodes = min(int(dict(errand.parameters)["data_nodes"]), len(look.disks))
    found = still(replicas.find(rule, look, nodes), known, look)
    wanted = replicas.target(rule, nodes)
    tell(0, len(found))
    for number, index in enumerate(found, 1):
        await client.request("PUT", _path(index.name, "_settings"), body={
            "index.number_of_replicas": wanted}, timeout_s=LONG_S)
        tell(number, len(found))
    return _told(f"{wanted} replicas for", [index.name for index in found], [], "")


async def release(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Take off the block of a full disk, and no other, while all data nodes have room."""
    rule, known = rule_of(errand, Unblock), planned(errand)
    look = await indices.look(client, time.time())
    full = unblocking.too_full(rule, look)
    if full:
        raise IndexChanged(f"nothing is released: {full}")
    found = still(unblocking.find(rule, look), known, look)
    for number, index in enumerate(found, 1):
        try:
            await client.request("PUT", _path(index.name, "_settings"), body={
                BLOCK + FULL_DISK: None}, timeout_s=LONG_S)
        except EsUnavailable as error:
            if error.status != 404:     # it was deleted meanwhile
                raise
        tell(number, len(found))
    return _told("writable again:", [index.name for index in found], [], "")


RUNS = {policies.MERGE: merge, policies.ROLL_OVER: roll_over, policies.DELETE: delete,
        policies.RAISE: raise_replicas, policies.RELEASE: release}
