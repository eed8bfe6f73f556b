"""What we change in Elasticsearch itself; each is idempotent and verified by the next view.

Sources: Elasticsearch reference of 6.8 and 7.17, "Cluster-level shard allocation", "Cluster update
settings", "Voting configuration exclusions", "Synced flush".
"""
from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from ..core.facts import Layered
from ..core.operations import (
    ClearVotingExclusions,
    ExcludeNodes,
    ExcludeVotes,
    Flush,
    Operation,
    PutSettings,
    PutTemplate,
    RaiseDelays,
    RestoreDelays,
    RunErrand,
    SetAllocation,
    SetMinimumMasterNodes,
    SetSwitch,
)
from . import errands
from .client import EsClient, EsUnavailable
from .observer import (
    ALLOCATION,
    DELAY,
    DELAY_VALUE,
    EXCLUDE,
    MINIMUM_MASTER_NODES,
    TEMPLATE,
    delayed,
)

NAMES_AT_ONCE = 50                  # indices in one address
TEMPLATE_ORDER = -1                 # below every template of the users, which then win


async def _put_settings(client: EsClient, transient: dict[str, Any],
                        persistent: dict[str, Any]) -> None:
    body = {layer: values for layer, values in (
        ("transient", transient), ("persistent", persistent)) if values}
    await client.request("PUT", "/_cluster/settings", body=body)


async def _layers(client: EsClient, key: str) -> Layered:
    found = await client.request("GET", "/_cluster/settings", {"flat_settings": "true"})
    return (found.get("transient") or {}).get(key), (found.get("persistent") or {}).get(key)


async def put_template(client: EsClient, operation: PutTemplate, major: int) -> str:
    """The index template with the default number of replicas."""
    await client.request("PUT", f"/_template/{TEMPLATE}", body={
        "index_patterns": ["*"], "order": TEMPLATE_ORDER,
        "settings": {"index.number_of_replicas": operation.replicas}})
    return f"default number of replicas is {operation.replicas}"


async def set_minimum_master_nodes(client: EsClient, operation: SetMinimumMasterNodes,
                                   major: int) -> str:
    """The quorum of 6.x."""
    await _put_settings(client, {}, {MINIMUM_MASTER_NODES: operation.count})
    return f"minimum_master_nodes is {operation.count}"


async def exclude_nodes(client: EsClient, operation: ExcludeNodes, major: int) -> str:
    """Names in, stale ones out, the operator's own as they are.

    Read and written in one go, in the layer that is in force: a transient value would mask a
    persistent one.
    """
    transient, persistent = await _layers(client, EXCLUDE)
    there = [name for name in (transient or persistent or "").split(",") if name]
    names = [name for name in there if name not in operation.stale]
    names += [name for name in operation.names if name not in names]
    value = {EXCLUDE: ",".join(names) or None}
    await _put_settings(client, value if transient else {}, {} if transient else value)
    return f"no shards are to be on: {', '.join(names) or 'no node'}"


async def exclude_votes(client: EsClient, operation: ExcludeVotes, major: int) -> str:
    """Masters out of the voting configuration."""
    await client.request("POST", "/_cluster/voting_config_exclusions",
                         {"node_names": ",".join(operation.names)})
    return f"no vote for {', '.join(operation.names)}"


async def clear_votes(client: EsClient, operation: ClearVotingExclusions, major: int) -> str:
    """Elasticsearch clears all or nothing; those to keep are put back."""
    await client.request("DELETE", "/_cluster/voting_config_exclusions",
                         {"wait_for_removal": "false"})
    if operation.keep:
        await client.request("POST", "/_cluster/voting_config_exclusions",
                             {"node_names": ",".join(operation.keep)})
    return "voting exclusions are cleared"


async def set_allocation(client: EsClient, operation: SetAllocation, major: int) -> str:
    """Hold allocation in both layers that are set, or restore what was before."""
    transient, persistent = operation.before
    if operation.value is None:
        await client.request("PUT", "/_cluster/settings", body={
            "transient": {ALLOCATION: transient}, "persistent": {ALLOCATION: persistent}})
        return f"allocation is {transient or persistent or 'all'} again"
    value = {ALLOCATION: operation.value}
    await _put_settings(client, value if transient else {}, {} if transient else value)
    return f"allocation is {operation.value}"


async def flush(client: EsClient, operation: Flush, major: int) -> str:
    """A synced flush where there is one; conflicts with writes going on are fine."""
    path = "/_flush/synced" if major < 8 else "/_flush"
    try:
        await client.request("POST", path)
    except EsUnavailable as error:
        if error.status != 409:
            raise
        return "flushed, but shards that are being written to"
    return "flushed"


async def set_switch(client: EsClient, operation: SetSwitch, major: int) -> str:
    """A setting of the cluster in the layer that is in force, or what was before in both."""
    if operation.value is None:
        transient, persistent = operation.before
        await client.request("PUT", "/_cluster/settings", body={
            "transient": {operation.key: transient}, "persistent": {operation.key: persistent}})
        return f"{operation.key} is as it was before"
    value = {operation.key: operation.value}
    masked = bool(operation.before[0])
    await _put_settings(client, value if masked else {}, {} if masked else value)
    return f"{operation.key} is {operation.value}"


async def put_settings(client: EsClient, operation: PutSettings, major: int) -> str:
    """Live settings; Elasticsearch takes all of them or none."""
    values = {key: json.loads(value) if value is not None and value.startswith("[") else value
              for key, value in operation.values}
    await client.request("PUT", "/_cluster/settings", body={"persistent": values})
    return ", ".join(f"{key} is {value or 'not set'}" for key, value in operation.values)


async def raise_delays(client: EsClient, operation: RaiseDelays, major: int) -> str:
    """On every open index that says nothing of its own."""
    await client.request("PUT", "/_all/_settings", {
        "preserve_existing": "true", "allow_no_indices": "true", "expand_wildcards": "open"},
        {DELAY: DELAY_VALUE})
    return f"copies of a missing node wait for {DELAY_VALUE}"


async def restore_delays(client: EsClient, operation: RestoreDelays, major: int) -> str:
    """Only where ours is set; people's own values stay."""
    found = await client.request("GET", f"/_settings/{DELAY}", {
        "flat_settings": "true", "expand_wildcards": "all"})
    names = delayed(found or {})
    for start in range(0, len(names), NAMES_AT_ONCE):
        part = ",".join(names[start:start + NAMES_AT_ONCE])
        await client.request("PUT", f"/{part}/_settings", {"ignore_unavailable": "true"},
                             {DELAY: None})
    return f"the time-out for missing nodes is as before on {len(names)} indices"


Perform = Callable[[EsClient, Any, int], Awaitable[str]]
_ACTIONS: dict[type[Operation], Perform] = {
    PutTemplate: put_template, SetMinimumMasterNodes: set_minimum_master_nodes,
    ExcludeNodes: exclude_nodes, ExcludeVotes: exclude_votes,
    ClearVotingExclusions: clear_votes, SetAllocation: set_allocation, Flush: flush,
    SetSwitch: set_switch, PutSettings: put_settings, RaiseDelays: raise_delays,
    RestoreDelays: restore_delays}


async def perform(client: EsClient, operation: Operation, major: int,
                  tell: Callable[[int, int], None] = lambda done, total: None) -> str:
    """Carry out one operation; what was done, for the journal. Raises EsUnavailable.

    ``tell(done, total)`` is called while an errand goes on.
    """
    if isinstance(operation, RunErrand):
        return await errands.run(client, operation.errand, major, tell)
    return await _ACTIONS[type(operation)](client, operation, major)
