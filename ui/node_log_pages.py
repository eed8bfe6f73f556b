"""Logs of nodes: routes and the page that shows them, with search."""
from __future__ import annotations

from urllib.parse import quote, urlencode

from esaas.framework.core.logs import main_log, name_of
from esaas.framework.service.errors import NotFound, ServiceError, Unavailable
from esaas.framework.service.log_views import (
    LogAsked,
    LogHitsView,
    LogsView,
    LogTextView,
)
from tornado.routing import URLSpec

from .bodies import checked
from .models import LogSearchQuery, LogsQuery, LogTextQuery
from .pages import Page
from .route import CLUSTER, Call, Reply, get

LINES = (100, 500, 2000)


async def logs(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/logs``."""
    return Reply(await call.service.logs(call.name, call.query.node))


async def read_log(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/nodes/{node}/log``."""
    asked = call.query
    return Reply(await call.service.log_text(call.name, call.path["node"], LogAsked(
        asked.launch, asked.file, asked.lines, asked.offset, asked.length)))


async def find_in_log(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/nodes/{node}/log/search``."""
    asked = call.query
    return Reply(await call.service.log_hits(
        call.name, call.path["node"], LogAsked(asked.launch, asked.file), asked.text,
        asked.before))


NODE_LOG_ROUTES = (
    get(f"{CLUSTER}/logs", logs, "listLogs", "Logs of its nodes, former nodes and former launches "
        "included, as long as agents keep them", LogsView, query=LogsQuery,
        refuses=(Unavailable,)),
    get(f"{CLUSTER}/nodes/{{node}}/log", read_log, "readLog", "The end of a log of a node, or a "
        "part of it", LogTextView, query=LogTextQuery, refuses=(Unavailable,)),
    get(f"{CLUSTER}/nodes/{{node}}/log/search", find_in_log, "findInLog", "Lines of a log of a "
        "node with a text, the newest within bounds", LogHitsView, query=LogSearchQuery,
        refuses=(Unavailable,)),
)


class NodeLogs(Page):
    """``/clusters/NAME/logs``: which there are."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """The list, of all nodes or of one."""
        service, node = self.context.service, self.get_query_argument("node", "")
        detail = service.show(name)
        found: LogsView | None = None
        problem: ServiceError | None = None
        try:
            found = await service.logs(name, node or None)
        except Unavailable as error:
            problem = error
            self.set_status(error.status)
        self.render("node_logs.html", c=detail, found=found, node=node, problem=problem,
                    address=lambda one, launch="", file="": address(name, one, launch, file))


class NodeLog(Page):
    """``/clusters/NAME/logs/NODE``: the end of a log, or what was found in it."""

    async def get(self, name: str, node: str, fragment: str = "",  # type: ignore[override]
                  ) -> None:
        """The page, or its live part alone."""
        service = self.context.service
        detail = service.show(name)
        typed = {key: self.get_query_argument(key, "") for key in (
            "file", "launch", "lines", "text", "before")}
        given = {key: value for key, value in typed.items() if value}
        shown: LogTextView | None = None
        hits: LogHitsView | None = None
        problem: ServiceError | None = None
        try:
            if typed["text"]:
                asked = checked(LogSearchQuery, {
                    key: value for key, value in given.items() if key != "lines"}, "query")
                hits = await service.log_hits(
                    name, node, LogAsked(asked.launch, asked.file), asked.text, asked.before)
            else:
                part = checked(LogTextQuery, {
                    key: value for key, value in given.items() if key != "before"}, "query")
                shown = await service.log_text(name, node, LogAsked(
                    part.launch, part.file, part.lines))
        except NotFound:
            raise
        except ServiceError as error:
            problem = error
            self.set_status(error.status)
        self.render("_node_log.html" if fragment else "node_log.html", c=detail, node=node,
                    shown=shown, hits=hits, problem=problem, typed=typed, choices=LINES,
                    file=typed["file"] or name_of(name, main_log(name)), query=urlencode(given),
                    older=urlencode(given | {"before": hits.scanned_from}) if hits else "")


def address(name: str, node: str, launch: str = "", file: str = "") -> str:
    """The page of a log."""
    chosen = {key: value for key, value in (("launch", launch), ("file", file)) if value}
    return (f"/clusters/{quote(name, safe='')}/logs/{quote(node, safe='')}"
            + (f"?{urlencode(chosen)}" if chosen else ""))


def node_log_rules() -> list[URLSpec]:
    """The addresses of the pages."""
    root = r"/clusters/(?P<name>[^/]+)/logs"
    return [URLSpec(root, NodeLogs), URLSpec(rf"{root}/(?P<node>[^/]+)", NodeLog),
            URLSpec(rf"{root}/(?P<node>[^/]+)/(?P<fragment>fragment)", NodeLog)]
