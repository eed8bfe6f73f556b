"""Elasticsearch's own word on why a shard is on no node."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .client import EsClient, EsUnavailable

TIMEOUT_S = 5.0
MAX_CHARS, MAX_NODES = 1000, 3


async def explained(client: EsClient) -> str:
    """Why the first unassigned shard that Elasticsearch comes upon is on no node.

    Empty when there is none, or nobody answers in time.
    """
    try:
        found = await client.request("GET", "/_cluster/allocation/explain", timeout_s=TIMEOUT_S)
    except EsUnavailable:               # a 400 says that every shard has its node
        return ""
    return explanation_of(found) if isinstance(found, Mapping) else ""


def explanation_of(found: Mapping[str, Any]) -> str:
    """An answer of the allocation explain API in words."""
    kind = "primary" if found.get("primary") else "replica"
    lines = [f"{found.get('index')}[{found.get('shard')}] {kind}: "
             + str(found.get("allocate_explanation") or found.get("can_allocate") or "unassigned")]
    details = (found.get("unassigned_info") or {}).get("details")
    if details:
        lines.append(f"last: {details}")
    for node in (found.get("node_allocation_decisions") or ())[:MAX_NODES]:
        reasons = [str(one.get("explanation")) for one in node.get("deciders") or ()
                   if one.get("decision") == "NO"]
        lines.append(f"{node.get('node_name')}: {'; '.join(reasons) or 'no'}")
    return "\n".join(lines)[:MAX_CHARS]
