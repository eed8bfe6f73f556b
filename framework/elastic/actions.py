"""What we change in Elasticsearch itself; each is idempotent and verified by the next view.

Sources: Elasticsearch reference of 6.8 and 7.17, "Cluster-level shard allocation", "Cluster update
settings", "Voting configuration exclusions", "Synced flush".
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ..core.facts import Layered
from ..core.operations import (
    ClearVotingExclusions,
    ExcludeNodes,
    ExcludeVotes,
    Flush,
    Operation,
    PutTemplate,
    SetAllocation,
    SetMinimumMasterNodes,
)
from .client import EsClient, EsUnavailable
from .observer import ALLOCATION, EXCLUDE, MINIMUM_MASTER_NODES, TEMPLATE

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


_ACTIONS: dict[type[Operation], Callable[[EsClient, Any, int], Awaitable[str]]] = {
    PutTemplate: put_template, SetMinimumMasterNodes: set_minimum_master_nodes,
    ExcludeNodes: exclude_nodes, ExcludeVotes: exclude_votes,
    ClearVotingExclusions: clear_votes, SetAllocation: set_allocation, Flush: flush}


async def perform(client: EsClient, operation: Operation, major: int) -> str:
    """Carry out one operation; what was done, for the journal. Raises EsUnavailable."""
    return await _ACTIONS[type(operation)](client, operation, major)
