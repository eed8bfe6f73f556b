"""The REST API: every route with its methods, models and statuses, and nothing else of them."""
from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from esaas.framework.core.errors import Fault
from esaas.framework.core.spec import ClusterSpec
from esaas.framework.service.access.people import Role
from esaas.framework.service.errors import Conflict, Invalid, NotFound, Unavailable
from esaas.framework.service.views import (
    ClusterDetail,
    ClusterSummary,
    EventView,
    NodeView,
    OfferView,
    PlanView,
    RevisionView,
    ServiceStatus,
)

from .access_routes import ACCESS_ROUTES
from .alert_routes import ALERT_ROUTES
from .bodies import check_name, whole_number
from .chart_routes import CHART_ROUTES
from .delivery_pages import DELIVERY_ROUTES
from .discovery_routes import DISCOVERY_ROUTES
from .gate import check_spec
from .health_routes import HEALTH_ROUTES
from .host_routes import HOST_ROUTES
from .hotspot_pages import HOTSPOT_ROUTES
from .housekeeping_pages import HOUSEKEEPING_ROUTES
from .metrics_routes import METRICS_ROUTES
from .models import (
    DeleteQuery,
    EventsQuery,
    ListQuery,
    OverrideQuery,
    RollbackRequest,
    ScaleRequest,
    StreamQuery,
)
from .node_log_pages import NODE_LOG_ROUTES
from .openapi import document
from .operate_routes import OPERATE_ROUTES
from .oplog_routes import LOG_ROUTES
from .platform_pages import PLATFORM_ROUTES
from .release_pages import RELEASE_ROUTES
from .route import BODY, CLUSTER, TAKEN, Answer, Call, Reply, Route, Streamed, get, post, taken
from .snapshot_pages import SNAPSHOT_ROUTES
from .stream import Write, feed
from .template_routes import TEMPLATE_ROUTES
from .tenant_routes import TENANT_ROUTES
from .visible import while_allowed

EVENT_STREAM = "text/event-stream"
CHUNK_BYTES = 64 * 1024
EXECUTOR_NAME = re.compile(r"esaas-executor-[0-9a-f]{16}\.pyz")
STREAM = Answer("events and changed summaries as they come (server-sent events `event` with the "
                "sequence number as id, `summary`, `gone`)", str, EVENT_STREAM)


async def status(call: Call) -> Reply:
    """``GET /v1/status``."""
    return Reply(call.visible.status())


async def list_clusters(call: Call) -> Reply:
    """``GET /v1/clusters``."""
    return Reply(call.visible.list_clusters(call.query.tenant))


async def create(call: Call) -> Reply:
    """``POST /v1/clusters``."""
    check_spec(call.principal, call.body)
    dry_run = call.query.dry_run
    return taken(await call.service.create(call.body, dry_run=dry_run,
                                            override=call.query.override), dry_run=dry_run)


async def show(call: Call) -> Reply:
    """``GET /v1/clusters/{name}``."""
    return Reply(call.service.show(call.name))


async def delete(call: Call) -> Reply:
    """``DELETE /v1/clusters/{name}``."""
    return taken(await call.service.delete(call.name, call.query.confirm))


async def update(call: Call) -> Reply:
    """``PUT /v1/clusters/{name}``."""
    call.service.plan(call.name)        # a 404 comes before what is wrong with the spec
    check_name(call.name, call.body)
    check_spec(call.principal, call.body)
    dry_run = call.query.dry_run
    return taken(await call.service.update(call.name, call.body, dry_run=dry_run,
                                            override=call.query.override), dry_run=dry_run)


async def scale(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/scale``."""
    wanted, dry_run = call.body, call.query.dry_run
    return taken(await call.service.scale(
        call.name, wanted.group, wanted.count, dry_run=dry_run, override=call.query.override),
        dry_run=dry_run)


async def revisions(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/revisions``."""
    return Reply(await call.service.revisions(call.name))


async def rollback(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/rollback``."""
    dry_run = call.query.dry_run
    return taken(await call.service.rollback(
        call.name, call.body.revision, dry_run=dry_run, override=call.query.override),
        dry_run=dry_run)


async def pause(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/pause``."""
    return taken(await call.service.pause(call.name, True))


async def go_on(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/continue``."""
    return taken(await call.service.pause(call.name, False))


async def restart(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/restart``, and of one of its nodes."""
    return taken(await call.service.restart(call.name, call.path.get("node")))


async def nodes(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/nodes``."""
    return Reply(call.service.nodes(call.name))


async def plan(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/plan``."""
    return Reply(call.service.plan(call.name))


async def offers(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/offers``."""
    return Reply(call.service.offers(call.name))


def _stream(call: Call) -> Streamed:
    name = call.path.get("name")
    if name is not None:
        call.service.show(name)         # a 404 must come before the stream begins
    after = call.query.after
    if call.last_event_id:
        after = whole_number(call.last_event_id)
        if after is None:
            raise Invalid("Last-Event-ID is no sequence number", [
                Fault("Last-Event-ID", f"a number, not {call.last_event_id!r}", "type")])
    context, visible = call.context, call.visible

    async def produce(write: Write) -> None:
        await while_allowed(context, call.principal,
                            feed(visible, name, after, write, context.heartbeat_s))

    return Streamed(EVENT_STREAM, produce, {"X-Accel-Buffering": "no"}, endless=True)


async def events(call: Call) -> Reply | Streamed:
    """``GET /v1/clusters/{name}/events`` and ``GET /v1/events``, as JSON or as a stream."""
    if EVENT_STREAM in call.accept:
        return _stream(call)
    return Reply(await call.visible.events(call.path.get("name"), call.query.after or 0,
                                           call.query.limit))


async def stream(call: Call) -> Streamed:
    """``GET /v1/clusters/{name}/events/stream`` and ``GET /v1/events/stream``."""
    return _stream(call)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


async def executor(call: Call) -> Streamed:
    """``GET /v1/executor/{name}``: the file that agents fetch, of today or of an older service."""
    today = call.context.executor_file()
    # Tasks keep naming the executor they were started with: older files stay, and are served.
    if today is None or not EXECUTOR_NAME.fullmatch(call.name):
        raise NotFound(f"no executor is named {call.name}")
    path = today.with_name(call.name)
    if path.is_symlink() or not path.is_file():
        raise NotFound(f"no executor is named {call.name}")

    async def produce(write: Write) -> None:
        chunks = _read(path)
        while (chunk := await asyncio.to_thread(next, chunks, b"")) != b"":
            await write(chunk)

    # The name holds the hash of the contents, so a copy never grows old.
    return Streamed("application/octet-stream", produce, {
        "Content-Length": str(path.stat().st_size),
        "Cache-Control": "public, max-age=31536000, immutable"})


@cache
def described() -> dict[str, Any]:
    """The document of this table, made once."""
    return document(ROUTES)


async def openapi(_: Call) -> Reply:
    """``GET /v1/openapi.json``."""
    return Reply(described())


def _stream_route(path: str, name: str, summary: str) -> Route:
    refuses = (NotFound, Unavailable) if "{" in path else (Unavailable,)
    return Route("GET", path, name, summary, stream, {200: STREAM}, refuses=refuses,
                 query=StreamQuery, role=Role.VIEWER)


ROUTES: tuple[Route, ...] = (
    get("/v1/status", status, "status", "The service itself", ServiceStatus),
    get("/v1/clusters", list_clusters, "listClusters", "All clusters, by name",
         list[ClusterSummary], query=ListQuery),
    Route("POST", "/v1/clusters", "createCluster", "Make a cluster from a spec", create, TAKEN,
          refuses=(*BODY, Conflict, Invalid, Unavailable), query=OverrideQuery, body=ClusterSpec,
          check_body=False, role=Role.OPERATOR),
    get(CLUSTER, show, "showCluster", "Everything about one cluster", ClusterDetail),
    Route("PUT", CLUSTER, "updateCluster", "Want another spec: nodes start, are drained, or "
          "restart one by one, as it takes", update, TAKEN, query=OverrideQuery, body=ClusterSpec,
          refuses=(*BODY, NotFound, Conflict, Invalid, Unavailable), check_body=False,
          role=Role.OPERATOR),
    Route("DELETE", CLUSTER, "deleteCluster", "Stop its nodes, destroy its volumes, deregister",
          delete, TAKEN, refuses=(NotFound, Conflict, Invalid, Unavailable), query=DeleteQuery,
          role=Role.OPERATOR),
    post(f"{CLUSTER}/scale", scale, "scaleCluster", "Change the number of nodes of a group",
          query=OverrideQuery, body=ScaleRequest),
    get(f"{CLUSTER}/revisions", revisions, "listRevisions",
         "Every spec that was wanted, newest first", list[RevisionView]),
    post(f"{CLUSTER}/rollback", rollback, "rollbackCluster",
          "Want the spec of an earlier revision again, as a new one; also midway",
          query=OverrideQuery, body=RollbackRequest),
    post(f"{CLUSTER}/pause", pause, "pauseCluster",
          "Begin no further step of a change; what has begun is finished"),
    post(f"{CLUSTER}/continue", go_on, "continueCluster",
          "Go on after a pause; a canary that waits is approved by it"),
    post(f"{CLUSTER}/restart", restart, "restartCluster",
          "Restart every node in its place, one by one and gated"),
    post(f"{CLUSTER}/nodes/{{node}}/restart", restart, "restartNode",
          "Restart one node in its place, gated"),
    get(f"{CLUSTER}/nodes", nodes, "listNodes", "Its nodes", list[NodeView]),
    get(f"{CLUSTER}/plan", plan, "showPlan", "How far it is from its spec", PlanView),
    get(f"{CLUSTER}/offers", offers, "listOffers",
         "The last answer to each agent's offers, and why", list[OfferView]),
    get(f"{CLUSTER}/events", events, "listEvents", "What happened to it, oldest first",
         list[EventView], query=EventsQuery, also={EVENT_STREAM: STREAM}),
    _stream_route(f"{CLUSTER}/events/stream", "streamEvents", "Its events as they happen"),
    get("/v1/events", events, "listAllEvents", "What happened to all clusters, oldest first",
         list[EventView], query=EventsQuery, also={EVENT_STREAM: STREAM}),
    _stream_route("/v1/events/stream", "streamAllEvents", "All clusters' events as they happen"),
    get("/v1/openapi.json", openapi, "openapi", "This document", dict[str, Any]),
    Route("GET", "/v1/executor/{name}", "fetchExecutor", "The executor that agents run", executor,
          {200: Answer("the file", bytes, "application/octet-stream")}, refuses=(NotFound,),
          role=None),
    *OPERATE_ROUTES,
    *HOST_ROUTES, *HOTSPOT_ROUTES, *SNAPSHOT_ROUTES,
    *RELEASE_ROUTES, *PLATFORM_ROUTES, *METRICS_ROUTES,
    *CHART_ROUTES, *HOUSEKEEPING_ROUTES,
    *DISCOVERY_ROUTES,
    *TENANT_ROUTES,
    *ACCESS_ROUTES,
    *HEALTH_ROUTES,
    *TEMPLATE_ROUTES,
    *DELIVERY_ROUTES,
    *LOG_ROUTES,
    *NODE_LOG_ROUTES,
    *ALERT_ROUTES,
)
