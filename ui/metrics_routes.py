"""``GET /metrics`` for Prometheus: the figures of whoever asks, from this process."""
from __future__ import annotations

import asyncio
import time

from esaas.framework.service.access.people import Role
from esaas.framework.telemetry.exposition import CONTENT_TYPE, text
from esaas.framework.telemetry.readings import Reading, Scope

from .route import Answer, Call, Route, Streamed
from .stream import Write


async def metrics(call: Call) -> Streamed:
    """``GET /metrics``."""
    hosts = call.service.node_hosts()
    tenants = {one.name: one.tenant for one in call.service.owners()
               if call.principal.sees(one.tenant)}
    all_tenants = call.principal.tenants is None

    def labels(reading: Reading) -> tuple[str, ...] | None:
        scope, cluster, name = reading.subject
        if scope not in (Scope.CLUSTER, Scope.NODE):        # what lies below all tenants
            return ((name,) if name else ()) if all_tenants else None
        if cluster not in tenants:
            return None
        if scope is Scope.CLUSTER:
            return tenants[cluster], cluster
        return tenants[cluster], cluster, name, hosts.get((cluster, name), "")

    # Thousands of nodes take a while: meanwhile others are answered.
    body = await asyncio.to_thread(text, call.service.board.frozen(), labels, time.time())
    if all_tenants:
        body += call.service.own_metrics()

    async def produce(write: Write) -> None:
        await write(body)
    return Streamed(CONTENT_TYPE, produce)


METRICS_ROUTES = (
    Route("GET", "/metrics", "scrapeMetrics", "Figures of clusters, nodes, hosts and this process "
          "for Prometheus", metrics, {200: Answer("the text format of Prometheus", str,
                                                  "text/plain")}, role=Role.VIEWER),
)
