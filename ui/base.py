"""What every answer shares: request ids, who asks, protection, errors, the body's limit."""
from __future__ import annotations

import re
import traceback
import uuid
from collections.abc import Awaitable
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import structlog
import tornado.web
from esaas.framework.service.errors import Malformed, ServiceError
from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError

from .bodies import MAX_BODY_BYTES
from .context import Context, Principal
from .problems import CrossSite, Misdirected, TooLarge, answer_of, from_status

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


def host_of(netloc: str) -> str:
    """The host name of ``host:port`` or ``[address]:port``, in lower case."""
    return (urlsplit(f"//{netloc}").hostname or "").lower()


class Guarded(tornado.web.RequestHandler):
    """A handler with our headers, request ids, checks and errors."""

    request_id: str
    principal: Principal
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

    def prepare(self) -> Awaitable[None] | None:
        """Refuse what is not for us before anything is read or done."""
        self._check_host()
        if self.request.method not in SAFE_METHODS:
            self._check_site()
        self.principal = self.context.current_principal(self.request)
        return None

    def _check_host(self) -> None:
        allowed = self.context.allowed_hosts
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
        self.show_problem(self.problem_of(status_code, error))

    def show_problem(self, problem: ServiceError) -> None:
        """As JSON; pages show it to people."""
        self.set_status(problem.status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(answer_of(problem, self.request_id).model_dump_json())

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

    def prepare(self) -> Awaitable[None] | None:
        """Refuse a body that says it is too large before it is sent."""
        length = self.request.headers.get("Content-Length", "")
        announced = int(length) if length.isdigit() else 0
        set_limit = getattr(self.request.connection, "set_max_body_size", None)
        if set_limit is not None:
            # Beyond Tornado's own limit it would answer a bare 400; refused below, it closes.
            set_limit(max(DRAINED_BYTES, announced))
        if announced > DRAINED_BYTES:
            raise self._too_large()
        return super().prepare()

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


def header_list(headers: HTTPHeaders, name: str) -> list[str]:
    """The media types or methods of a comma-separated header, without parameters."""
    return [part.split(";")[0].strip().lower() for part in headers.get(name, "").split(",")]
