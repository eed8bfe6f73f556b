"""What every answer shares: request ids, who asks, protection, errors, the body's limit."""
from __future__ import annotations

import asyncio
import re
import traceback
import uuid
from collections.abc import Awaitable
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import structlog
import tornado.web
from esaas.framework.service.access.people import NOBODY, Principal, Role
from esaas.framework.service.errors import (
    Elsewhere,
    Malformed,
    ServiceError,
    TooManyTries,
    Unauthenticated,
)
from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError

from .bodies import MAX_BODY_BYTES
from .context import Context
from .forward import REMOTE, Forwarder
from .gate import check_cluster, check_role, principal_of
from .oplog_door import Record, finished, operation_of
from .problems import CrossSite, Misdirected, TooLarge, answer_of, from_status
from .visible import Visible

log = structlog.get_logger()
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
DRAINED_BYTES = 8 * MAX_BODY_BYTES      # a body too large is read so far, to answer it in peace
_REQUEST_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
    "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"))
HEADERS = {
    "Server": "esaas",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


HSTS = "max-age=31536000"


def host_of(netloc: str) -> str:
    """The host name of ``host:port`` or ``[address]:port``, in lower case."""
    return (urlsplit(f"//{netloc}").hostname or "").lower()


class Guarded(tornado.web.RequestHandler):
    """A handler with our headers, request ids, checks and errors."""

    request_id: str
    principal: Principal
    _passing: asyncio.Future[None] | None = None
    door = "page"                           # in the operation log
    record: Record | None = None            # what the log knows of a change
    refusal: ServiceError | None = None
    sent: Any = None                        # the decoded body
    checking = False                        # a dry run, which changes nothing
    tried_user = ""                         # who somebody says he is who logs in
    hushed = False      # True: the request holds secrets, and nothing of it is logged

    @property
    def context(self) -> Context:
        """What the handlers share."""
        found: Context = self.application.settings["context"]
        return found

    def set_default_headers(self) -> None:
        """Security headers and the request id, on every answer, errors included."""
        if not hasattr(self, "request_id"):
            given = self.request.headers.get("X-Request-Id", "")
            self.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.set_header("X-Request-Id", self.request_id)
        if self.context.secure:
            self.set_header("Strict-Transport-Security", HSTS)

    async def prepare(self) -> None:
        """Refuse what is not for us, or not for whom it comes from, before anything is done."""
        self._check_host()
        if self.request.method not in SAFE_METHODS:
            self._check_site()
        needed = self.needed_role()
        if needed is None:
            self.principal = NOBODY
            return
        self.principal = await principal_of(self, self.context)
        check_role(self.principal, needed)
        check_cluster(self.principal, self.request.path, self.path_kwargs.get("name"),
                      self.context)

    def needed_role(self) -> Role | None:
        """What this request needs; None when it is open to everybody."""
        raise NotImplementedError

    @property
    def visible(self) -> Visible:
        """What goes over all clusters, as whoever asks may see it."""
        return Visible(self.context.service, self.principal)

    @property
    def remote(self) -> str:
        """The address that the request came from, also when another process passed it on."""
        passed = self.request.headers.get(REMOTE) if self.from_peer() else None
        return passed or str(self.request.remote_ip)

    @property
    def operation(self) -> str:
        """What the operation log calls this request."""
        return operation_of(self)

    @property
    def passed_on(self) -> bool:
        """Whether another process answers, and writes the log."""
        return self._passing is not None and self.refusal is None

    def on_finish(self) -> None:
        """What was refused is written into the operation log."""
        finished(self)

    def from_peer(self) -> bool:
        """Whether another process of this service has sent or passed on this request."""
        key = self.context.peer_key
        return key is not None and key.signed(self.request)

    def drop(self) -> None:
        """Close the connection: what was answered so far is not all."""
        stream = self.detach()
        if stream is not None:
            stream.close()

    def _handle_request_exception(self, e: BaseException) -> None:
        """What another process runs is passed on to it, once."""
        forwarder = self.context.forwarder
        if not isinstance(e, Elsewhere) or forwarder is None or self.from_peer():
            super()._handle_request_exception(e)
            return
        self._passing = asyncio.ensure_future(self._pass_on(forwarder, e))

    async def _pass_on(self, forwarder: Forwarder, error: Elsewhere) -> None:
        try:
            await forwarder.pass_on(self, error.url, await self.whole_body())
        # It is a task of its own: what went wrong would be seen by nobody else.
        except Exception as problem:  # noqa: BLE001
            super()._handle_request_exception(problem)

    async def whole_body(self) -> bytes:
        """The body of the request, once all of it is there."""
        return self.request.body or b""

    def _check_host(self) -> None:
        allowed = None if self.from_peer() else self.context.allowed_hosts
        try:
            host = host_of(self.request.host)
        except ValueError as error:
            raise Malformed(f"the Host header is no host: {error}") from error
        if allowed is not None and host not in allowed:
            raise Misdirected(f"this service is not known as {host or 'an empty name'!s}; "
                              "see --allow-host of esaas serve")

    def _check_site(self) -> None:
        site = self.request.headers.get("Sec-Fetch-Site")
        if site not in (None, "same-origin", "none"):
            raise CrossSite(f"a change that comes from another site ({site}) is not taken")
        origin = self.request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != self.request.host.lower():
            raise CrossSite(f"a change that comes from {origin} is not taken")

    def check_xsrf_cookie(self) -> None:
        """Done by each family of handlers in its own way, once the body is there."""

    def problem_of(self, status: int, error: BaseException | None) -> ServiceError:
        """Any error as the refusal that is shown for it; unknown ones show no detail."""
        if isinstance(error, ServiceError):
            return error
        if isinstance(error, tornado.web.HTTPError):
            return from_status(status, error.reason)
        if status >= 500:
            return from_status(500, "something went wrong inside the service; its log tells "
                               f"more under request id {self.request_id}")
        return from_status(status)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer with the status of a refusal, when it is one of ours."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        if isinstance(error, ServiceError):
            status_code = error.status
        super().send_error(status_code, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Show an error in this family's way."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        self.refusal = self.problem_of(status_code, error)
        self.show_problem(self.refusal)

    def show_problem(self, problem: ServiceError) -> None:
        """As JSON; pages show it to people."""
        self.set_status(problem.status)
        self.set_challenge(problem)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(answer_of(problem, self.request_id).model_dump_json())

    def set_challenge(self, problem: ServiceError) -> None:
        """Say how to log in, or when to come again."""
        if isinstance(problem, Unauthenticated):
            self.set_header("WWW-Authenticate", 'Bearer realm="esaas"')
        if isinstance(problem, TooManyTries):
            self.set_header("Retry-After", str(problem.retry_after_s))

    def log_exception(self, kind: type[BaseException] | None, error: BaseException | None,
                      trace: TracebackType | None) -> None:
        """Refusals are answers, not failures; everything else goes to the log in full."""
        if isinstance(error, (ServiceError, tornado.web.HTTPError, StreamClosedError)):
            return
        # The text of an unknown error may quote what was sent; where it came from does not.
        story: dict[str, Any] = {"exc_info": (kind, error, trace)} if not self.hushed else {
            "error": getattr(kind, "__name__", ""), "frames": "".join(traceback.format_tb(trace))}
        log.error("request_failed", request_id=self.request_id, method=self.request.method,
                  path=self.request.path, **story)


@tornado.web.stream_request_body
class Limited(Guarded):
    """A handler whose body is read up to the limit, with 413 beyond."""

    def initialize(self) -> None:
        """Start with an empty body."""
        self._chunks: list[bytes] = []
        self._size = 0

    async def prepare(self) -> None:
        """Refuse a body that says it is too large before it is sent."""
        length = self.request.headers.get("Content-Length", "")
        announced = int(length) if length.isdigit() else 0
        set_limit = getattr(self.request.connection, "set_max_body_size", None)
        if set_limit is not None:
            # Beyond Tornado's own limit it would answer a bare 400; refused below, it closes.
            set_limit(max(DRAINED_BYTES, announced))
        if announced > DRAINED_BYTES:
            raise self._too_large()
        await super().prepare()

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Keep the body as long as it is within the limit."""
        self._size += len(chunk)
        if self._size <= MAX_BODY_BYTES:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()
        return None

    def _too_large(self) -> TooLarge:
        return TooLarge(f"a body may have {MAX_BODY_BYTES} bytes")

    async def whole_body(self) -> bytes:
        """The body, which may still be on its way when the handler gave up on it."""
        coming = self.request._body_future
        if not coming.done():
            await coming
        return self.body()

    def body(self) -> bytes:
        """The whole body; TooLarge beyond the limit."""
        if self._size > MAX_BODY_BYTES:
            raise self._too_large()
        return b"".join(self._chunks)


class Static(tornado.web.StaticFileHandler):
    """Our own style, script and icon, with the same headers as everything else."""

    def set_default_headers(self) -> None:
        """Security headers; static files are cached by their version."""
        for name, value in HEADERS.items():
            if name != "Cache-Control":
                self.set_header(name, value)
        if self.application.settings["context"].secure:
            self.set_header("Strict-Transport-Security", HSTS)


def header_list(headers: HTTPHeaders, name: str) -> list[str]:
    """The media types or methods of a comma-separated header, without parameters."""
    return [part.split(";")[0].strip().lower() for part in headers.get(name, "").split(",")]
