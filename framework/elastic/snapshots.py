"""Snapshots as Elasticsearch makes, restores and deletes them; each may be begun again.

Sources: Elasticsearch reference of 6.8 and 7.17, "Snapshot and restore". Which snapshot is to go is
decided in ``core.snapshots``; this only asks and waits.
"""
from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from ..core import snapshots as core
from ..core.facts import Errand
from .client import EsClient, EsUnavailable
from .errors import ErrandFailed

Tell = Callable[[int, int], None]
LOOK_S = 2.0
LIST_S = 60.0
VERIFY_S = 120.0
LONGEST_S = 24 * 3600.0             # of one snapshot or restore
AWAY_S = 300.0                      # nobody answers for so long: whoever looks gives up
UNASSIGNED_S = 120.0                # a restored primary that finds no place for so long has failed


class SnapshotFailed(ErrandFailed):
    """Elasticsearch made no whole snapshot, or restored not all of it."""


def _passes(error: BaseException) -> bool:
    """Whether the next look may bring more: nobody answered, or with trouble of its own."""
    return isinstance(error, EsUnavailable) and (error.status is None or error.status >= 500
                                                 or error.status == 429)


# A look at what goes on: a node that restarts meanwhile is no reason to give the whole up.
patiently = retry(retry=retry_if_exception(_passes), stop=stop_after_delay(AWAY_S),
                  wait=wait_fixed(LOOK_S), reraise=True)


def _path(*parts: str) -> str:
    return "/_snapshot/" + "/".join(quote(part, safe="") for part in parts)


async def put_repository(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Register the repository; every node writes into it and reads it back."""
    parameters = dict(errand.parameters)
    body = json.loads(parameters["body"])
    answer = await _registered(client, parameters["repository"], body)
    return f"{len(answer.get('nodes') or {})} nodes write into and read from the repository"


async def _registered(client: EsClient, repository: str,
                      body: Mapping[str, Any]) -> Mapping[str, Any]:
    await client.request("PUT", _path(repository), {"verify": "false"}, body, timeout_s=VERIFY_S)
    answer: Mapping[str, Any] = await client.request("POST", _path(repository, "_verify"),
                                                     timeout_s=VERIFY_S)
    return answer


async def listed(client: EsClient, repository: str = core.OWN) -> list[core.Taken]:
    """Every snapshot of a repository, the oldest first; none when there is no repository."""
    answer = await client.request("GET", _path(repository, "_all"), missing_ok=True,
                                  timeout_s=LIST_S)
    return sorted(map(_taken, (answer or {}).get("snapshots") or ()),
                  key=lambda one: (one.started_at, one.name))


@patiently
async def _one(client: EsClient, repository: str, name: str) -> core.Taken | None:
    answer = await client.request("GET", _path(repository, name), missing_ok=True,
                                  timeout_s=LIST_S)
    found = (answer or {}).get("snapshots") or ()
    return _taken(found[0]) if found else None


def _taken(item: Mapping[str, Any]) -> core.Taken:
    shards, ended_ms = item.get("shards") or {}, item.get("end_time_in_millis")
    return core.Taken(item["snapshot"], item["state"], item.get("start_time_in_millis", 0) / 1000,
                      ended_ms / 1000 if ended_ms else None, tuple(item.get("indices") or ()),
                      shards.get("total", 0), shards.get("failed", 0))


async def take(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Make a snapshot, or wait for the one that an earlier process has begun."""
    parameters = dict(errand.parameters)
    repository, name = parameters["repository"], parameters["snapshot"]
    if await _one(client, repository, name) is None:
        await client.request("PUT", _path(repository, name), {"wait_for_completion": "false"}, {
            "indices": parameters["indices"], "ignore_unavailable": True, "partial": False,
            "include_global_state": False}, timeout_s=LIST_S)
    until = time.monotonic() + LONGEST_S
    while time.monotonic() < until:
        found = await _one(client, repository, name)
        if found is None:
            raise SnapshotFailed(f"{name} is not in the repository any more")
        if found.status == "SUCCESS":
            return f"{name}: {found.shards} shards of {len(found.indices)} indices"
        if found.status != "IN_PROGRESS":
            raise SnapshotFailed(f"{name} is {found.status}: {found.shards_failed} of "
                                 f"{found.shards} shards failed")
        await _tell_progress(client, repository, name, tell)
        await asyncio.sleep(LOOK_S)
    raise SnapshotFailed(f"{name} is not complete after {LONGEST_S / 3600:g} h")


@patiently
async def _tell_progress(client: EsClient, repository: str, name: str, tell: Tell) -> None:
    answer = await client.request("GET", _path(repository, name, "_status"), missing_ok=True)
    for item in (answer or {}).get("snapshots") or ():
        stats = item.get("shards_stats") or {}
        tell(stats.get("done", 0), stats.get("total", 0))


async def expire(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Delete the snapshots of this cluster that are beyond the number to keep."""
    parameters = dict(errand.parameters)
    repository = parameters["repository"]
    old = core.expired(await listed(client, repository), parameters["prefix"],
                       int(parameters["keep"]))
    for number, name in enumerate(old, 1):
        await client.request("DELETE", _path(repository, name), missing_ok=True,
                             timeout_s=LONGEST_S)
        tell(number, len(old))
    return f"deleted {', '.join(old)}" if old else "none is old enough to go"


async def restore(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Restore chosen indices under new names, beside what is there.

    An index of that name is never written over: it fails, unless this restore has made it before
    the process that ran it went away.
    """
    parameters = dict(errand.parameters)
    repository, name = parameters["repository"], parameters["snapshot"]
    if "body" in parameters:            # of another cluster: read only
        await _registered(client, repository, json.loads(parameters["body"]))
    found = await _one(client, repository, name)
    if found is None:
        raise SnapshotFailed(f"there is no snapshot {name} in the repository")
    chosen = core.matching(found.indices, parameters["indices"])
    if not chosen:
        raise SnapshotFailed(f"no index of {name} is named {parameters['indices']}")
    targets = {index: parameters["prefix"] + index for index in chosen}
    there = await _existing(client)
    taken = sorted(target for target in targets.values() if target in there)
    if taken and errand.status == "waiting":
        raise SnapshotFailed(f"there already: {', '.join(taken)}")
    left = [index for index, target in targets.items() if target not in there]
    if left:
        await _begin(client, repository, name, left, parameters["prefix"], {})
    await _restored(client, list(targets.values()), tell)
    return f"restored {', '.join(targets.values())} from {name}"


async def _existing(client: EsClient) -> set[str]:
    """Names of all indices, closed ones too; 6.8 knows no way to ask _cat for them."""
    answer = await client.request("GET", "/_all/_settings/index.uuid", {
        "expand_wildcards": "all", "flat_settings": "true"})
    return set(answer or ())


async def _begin(client: EsClient, repository: str, name: str, indices: Sequence[str],
                 prefix: str, settings: Mapping[str, Any]) -> None:
    body: dict[str, Any] = {
        "indices": ",".join(indices), "include_global_state": False, "include_aliases": False,
        "rename_pattern": "^(.+)$", "rename_replacement": f"{prefix}$1"}
    if settings:
        body["index_settings"] = dict(settings)
    await client.request("POST", _path(repository, name, "_restore"),
                         {"wait_for_completion": "false"}, body, timeout_s=LIST_S)


@patiently
async def _primaries(client: EsClient) -> list[Mapping[str, str]]:
    return [item for item in await client.request("GET", "/_cat/shards", {
        "format": "json", "h": "index,prirep,state"}) or () if item["prirep"] == "p"]


async def _restored(client: EsClient, targets: Sequence[str], tell: Tell) -> int:
    """Wait until every primary has started; how many there are."""
    until, homeless_since = time.monotonic() + LONGEST_S, 0.0
    wanted = set(targets)
    while time.monotonic() < until:
        shards = [item for item in await _primaries(client) if item["index"] in wanted]
        done = sum(item["state"] in ("STARTED", "RELOCATING") for item in shards)
        tell(done, len(shards))
        if shards and done == len(shards) and {item["index"] for item in shards} == wanted:
            return done
        if not any(item["state"] == "UNASSIGNED" for item in shards):
            homeless_since = 0.0
        elif not homeless_since:
            homeless_since = time.monotonic()
        elif time.monotonic() - homeless_since > UNASSIGNED_S:
            raise SnapshotFailed(f"{len(shards) - done} of {len(shards)} shards find no place")
        await asyncio.sleep(LOOK_S)
    raise SnapshotFailed(f"not restored after {LONGEST_S / 3600:g} h")


async def drill(client: EsClient, errand: Errand, major: int, tell: Tell) -> str:
    """Restore one index of the newest snapshot, count its documents, and delete it again."""
    parameters = dict(errand.parameters)
    repository = parameters["repository"]
    await _sweep(client)                # what a drill that was cut off has left
    complete = [one for one in await listed(client, repository) if one.status == "SUCCESS"
                and one.name.startswith(parameters["prefix"]) and one.indices]
    if not complete:
        raise SnapshotFailed("there is no complete snapshot with an index in it")
    newest = complete[-1]
    index = next((one for one in sorted(newest.indices) if not one.startswith(".")),
                 newest.indices[0])
    target = core.DRILLED + index
    try:
        await _begin(client, repository, newest.name, [index], core.DRILLED,
                     {"index.number_of_replicas": 0})
        shards = await _restored(client, [target], tell)
        counted = await client.request("GET", f"/{quote(target, safe='')}/_count",
                                       timeout_s=LIST_S)
    finally:
        await _sweep(client)
    return f"{index} of {newest.name}: {counted['count']} documents in {shards} shards"


async def _sweep(client: EsClient) -> None:
    """Delete what drills have made, each by its whole name."""
    for name in sorted(one for one in await _existing(client) if one.startswith(core.DRILLED)):
        await client.request("DELETE", f"/{quote(name, safe='')}", missing_ok=True)


RUNS = {core.REPOSITORY: put_repository, core.SNAPSHOT: take, core.EXPIRE: expire,
        core.RESTORE: restore, core.DRILL: drill}
