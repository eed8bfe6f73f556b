"""What we change in Elasticsearch itself; each is idempotent and verified by the next view."""
from __future__ import annotations

from ..core.errors import EsaasError
from ..core.operations import Operation, PutTemplate, SetMinimumMasterNodes
from .client import EsClient
from .observer import MINIMUM_MASTER_NODES, TEMPLATE

TEMPLATE_ORDER = -1                 # below every template of the users, which then win


async def perform(client: EsClient, operation: Operation) -> str:
    """Carry out one operation; what was done, for the journal. Raises EsUnavailable."""
    if isinstance(operation, PutTemplate):
        await client.request("PUT", f"/_template/{TEMPLATE}", body={
            "index_patterns": ["*"], "order": TEMPLATE_ORDER,
            "settings": {"index.number_of_replicas": operation.replicas}})
        return f"default number of replicas is {operation.replicas}"
    if isinstance(operation, SetMinimumMasterNodes):
        await client.request("PUT", "/_cluster/settings", body={
            "persistent": {MINIMUM_MASTER_NODES: operation.count}})
        return f"minimum_master_nodes is {operation.count}"
    raise EsaasError(f"not an operation on Elasticsearch: {operation}")
