"""Serves the route table: decodes, checks, calls, answers; one handler class for all routes."""
from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import tornado.web
from esaas.framework.service.access.people import Role
from esaas.framework.service.access.views import TokenMade
from esaas.framework.service.errors import Forbidden, NotFound, Unavailable
from pydantic_core import to_json
from tornado.iostream import StreamClosedError
from tornado.routing import URLSpec

from .base import SAFE_METHODS, Limited, header_list
from .bodies import JSON_TYPE, checked, decode, decode_secret, media_type
from .gate import check_override, keep_session
from .models import NoBody
from .oplog_door import run_logged
from .problems import WrongMediaType, WrongMethod
from .route import Call, Reply, Route, Streamed, Waiting
from .routes import ROUTES


class ApiHandler(Limited):
    """All routes of one address, told apart by method."""

    door = "api"
    _stream: asyncio.Task[None] | None = None

    def initialize(self, routes: dict[str, Route] | None = None) -> None:
        """``routes`` by method."""
        super().initialize()
        self._routes = routes or {}

    @property
    def route(self) -> Route | None:
        """The route of this request's method."""
        method = str(self.request.method)
        return self._routes.get("GET" if method == "HEAD" else method)

    def needed_role(self) -> Role | None:
        """What the route says; to be told that there is none takes a login."""
        return self.route.role if self.route is not None else Role.VIEWER

    async def prepare(self) -> None:
        """Beside what all do: a browser must prove that a page of ours sends a change.

        A token proves that by itself: no browser adds it to what another site sends.
        """
        await super().prepare()
        if self.principal.session and self.request.method not in SAFE_METHODS:
            try:
                tornado.web.RequestHandler.check_xsrf_cookie(self)
            except tornado.web.HTTPError as error:
                raise Forbidden("with a session a change needs the header X-XSRFToken, which "
                                "GET /v1/me answers") from error

    def _xsrf_text(self) -> str:
        return self.xsrf_token.decode()

    async def _dispatch(self, **path: str) -> None:
        method, route = str(self.request.method), self.route
        if route is None:
            self._refuse_method()
            return
        query = checked(route.query, self._query(), "query")
        check_override(self.principal, getattr(query, "override", None))
        body = None
        if route.body is not None:
            self.hushed = route.secret
            kind = self.request.headers.get("Content-Type", "")
            body = self.sent = await (decode_secret if route.secret else decode)(self.body(), kind)
            if route.check_body:
                body = checked(route.body, body, "body")
        elif method == "POST":
            await self._take_no_body()
        reply = await run_logged(self, route, Call(
            self.context, path, query, body, tuple(header_list(self.request.headers, "Accept")),
            self.request.headers.get("Last-Event-ID"), method, self.principal,
            str(self.request.remote_ip), self._xsrf_text))
        if isinstance(reply, Waiting):
            reply = await self._awaited(reply)
        if isinstance(reply, Streamed):
            await self._send(reply)
        else:
            self._answer(reply)

    get = head = post = put = patch = delete = options = _dispatch

    async def _take_no_body(self) -> None:
        """A change without a body must prove like the others that no other site's form sent it.

        A form cannot send the media type of JSON, and only our own pages are of our own origin.
        """
        headers = self.request.headers
        kind = media_type(headers.get("Content-Type", ""))
        # An Origin that is not ours was refused before.
        ours = headers.get("Sec-Fetch-Site") == "same-origin" or "Origin" in headers
        if kind != JSON_TYPE and not ours:
            raise WrongMediaType(f"send the header Content-Type: {JSON_TYPE}, without a body")
        if self.body().strip():
            checked(NoBody, await decode(self.body(), kind), "body")

    def _refuse_method(self) -> None:
        """405 with ``Allow``, which clearing for an error would drop if it came earlier."""
        methods = sorted({*self._routes, *(["HEAD"] if "GET" in self._routes else [])})
        self.set_header("Allow", ", ".join(methods))
        self.show_problem(WrongMethod(
            f"{self.request.method} is not possible here; {', '.join(methods)} is"))

    def _query(self) -> dict[str, Any]:
        found = {name: [value.decode("utf-8", "replace") for value in values]
                 for name, values in self.request.query_arguments.items()}
        # A parameter given twice stays a list, which the model then refuses by its path.
        return {name: values[0] if len(values) == 1 else values
                for name, values in found.items()}

    def _answer(self, reply: Reply) -> None:
        self.set_status(reply.status)
        for name, value in reply.headers.items():
            self.set_header(name, value)
        if isinstance(reply.body, TokenMade):
            self.set_header("Cache-Control", "no-store")
        if reply.session is not None:
            keep_session(self, reply.session, self.context)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(to_json(reply.body))

    async def _send(self, reply: Streamed) -> None:
        self.set_header("Content-Type", reply.media)
        for name, value in reply.headers.items():
            self.set_header(name, value)
        if self.request.method == "HEAD":
            await self.finish()
            return
        if not reply.endless:
            await reply.produce(self._write)
            await self.finish()
            return
        self._stream = self.context.streams.start(lambda: self._run(reply))
        await asyncio.gather(self._stream, return_exceptions=True)
        if not self._stream.cancelled():
            error = self._stream.exception()
            if error is not None and not isinstance(error, StreamClosedError):
                # The status is out already; closing tells the client to come again.
                self.log_exception(type(error), error, error.__traceback__)
        with contextlib.suppress(StreamClosedError):    # nobody is left to be told
            await self.finish()

    async def _awaited(self, waiting: Waiting) -> Reply:
        """Its answer; ended at once when the client goes away, or the service stops."""
        answers: list[Reply] = []

        async def work() -> None:
            answers.append(await waiting.answer())

        self._stream = task = self.context.streams.start(work)
        await asyncio.wait({task})
        if task.cancelled():
            raise Unavailable("the service stops; try again in a moment")
        task.result()
        return answers[0]

    async def _run(self, reply: Streamed) -> None:
        await reply.produce(self._write)

    async def _write(self, data: bytes) -> None:
        self.write(data)
        await self.flush()

    def on_connection_close(self) -> None:
        """The client went away: its stream ends at once."""
        if self._stream is not None:
            self._stream.cancel()


class NoRoute(ApiHandler):
    """Addresses under ``/v1`` that do not exist."""

    async def _dispatch(self, **path: str) -> None:
        raise NotFound(f"there is nothing at {self.request.path}")

    get = head = post = put = patch = delete = options = _dispatch


def api_rules() -> list[URLSpec]:
    """Tornado's rules for the whole table."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.pattern, {})[route.method] = route
    rules = [URLSpec(pattern, ApiHandler, {"routes": routes})
             for pattern, routes in by_path.items()]
    return [*rules, URLSpec(r"/v1(?:/.*)?", NoRoute)]
