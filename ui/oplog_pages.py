"""The page of the operation log: who has changed what, found by a form."""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from esaas.framework.core.errors import Fault
from esaas.framework.service.access.people import Role
from esaas.framework.service.errors import Invalid, ServiceError
from esaas.framework.service.oplog.entry import LogEntry
from esaas.framework.service.oplog.searching import LogFilter, LogPage
from esaas.framework.words import seconds_of
from tornado.routing import URLSpec

from .bodies import checked
from .oplog_routes import scope_of
from .oplog_words import METHODS, PAGE_OPERATIONS, ROUTE_OPERATIONS, RUNS, snake
from .pages import Page
from .routes import ROUTES

SHOWN = 50
FIELDS = ("user", "tenant", "cluster", "operation", "request_id", "search")
OUTCOMES = ("done", "refused", "failed", "begun")
# What each outcome is shown as, beside its colour.
TONES = {"done": "good", "refused": "warn", "failed": "bad", "begun": "work"}
MARKS = {"done": "✓", "refused": "!", "failed": "✕", "begun": "◐"}


def operations() -> list[str]:
    """All names that a line may have, for the form to offer."""
    routes = {ROUTE_OPERATIONS.get(route.name) or snake(route.name) for route in ROUTES
              if route.method != "GET" and route.name != "runOperation"}
    offline = {"restore_backup", "reset_admin"}
    return sorted({*routes, *RUNS.values(), *METHODS.values(), *PAGE_OPERATIONS.values(),
                   *offline} - {"restart", "run_operation", "change_plugins"})


def changes(entry: LogEntry) -> list[tuple[str, str, str]]:
    """What has changed, by path: as it was and as it is; empty for what was not there."""
    before, after = entry.before or {}, entry.after or {}
    return [(path, _text(before, path), _text(after, path))
            for path in sorted({*before, *after})]


def _text(values: Mapping[str, Any], path: str) -> str:
    if path not in values:
        return ""
    value = values[path]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def request_text(entry: LogEntry) -> str:
    """What was asked for, as people read it."""
    return json.dumps(entry.request, indent=2, ensure_ascii=False) if entry.request else ""


class Log(Page):
    """``/log``: the lines that fit, newest first."""

    sees = Role.VIEWER

    async def get(self) -> None:  # type: ignore[override]
        """The form, and what was found; what was typed wrongly is told beside it."""
        typed = {name: self.get_query_argument(name, "") for name in (
            *FIELDS, "outcome", "since", "before")}
        found, problem = LogPage(entries=[]), None
        try:
            found = await self.context.book.search(self.wanted(typed), scope_of(self.principal))
        except ServiceError as error:
            problem = error
            self.set_status(error.status)
        more = {name: value for name, value in typed.items() if value and name != "before"}
        self.render("log.html", typed=typed, problem=problem, found=found, outcomes=OUTCOMES,
                    tones=TONES, marks=MARKS, operations=operations(), changes=changes,
                    request_text=request_text, filtered=bool(more),
                    newest="/log" + (f"?{urlencode(more)}" if more else ""),
                    older=f"/log?{urlencode(more | {'before': found.next})}")

    def wanted(self, typed: dict[str, str]) -> LogFilter:
        """The filter as it was typed; Invalid with every fault."""
        body: dict[str, Any] = {name: typed[name].strip() for name in (*FIELDS, "outcome", "before")
                                if typed[name].strip()}
        body["limit"] = SHOWN
        if typed["since"].strip():
            try:
                body["since"] = self.context.book.now() - seconds_of(typed["since"])
            except ValueError as error:
                raise Invalid("the time is no time", [
                    Fault("since", f"{error}, not {typed['since'][:80]!r}", "type")]) from error
            body["since"] = max(0.0, body["since"])
        wanted = checked(LogFilter, body, "form")
        assert isinstance(wanted, LogFilter)
        return wanted


def log_rules() -> list[URLSpec]:
    """The address of this page."""
    return [URLSpec(r"/log", Log)]
