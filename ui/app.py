"""The web application: API, pages and static files over one ``ClusterService``."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
import tornado.web
from esaas.framework.service.api import ClusterService
from tornado.httputil import HTTPServerRequest

from .api import api_rules
from .base import Static
from .change_pages import change_rules
from .context import Context, Principal, anybody
from .operate_pages import operate_rules
from .pages import NoPage, page_rules
from .step_pages import step_rules
from .stream import Streams

log = structlog.get_logger()
HERE = Path(__file__).parent
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def _log_request(handler: tornado.web.RequestHandler) -> None:
    request, status = handler.request, handler.get_status()
    write = log.warning if status >= 500 else log.debug if status < 400 else log.info
    write("request", method=request.method, path=request.path, status=status,
          took_ms=round(1000 * request.request_time(), 1), remote=request.remote_ip,
          request_id=getattr(handler, "request_id", None))


def make_app(
    service: ClusterService, executor_file: Path | Callable[[], Path | None] | None = None, *,
    allowed_hosts: Iterable[str] | None = None,
    current_principal: Callable[[HTTPServerRequest], Principal] = anybody,
    heartbeat_s: float = 15.0, streams: Streams | None = None,
) -> tornado.web.Application:
    """The application over a service.

    ``executor_file`` may be a function, for a file that is only known later. ``allowed_hosts``
    are the names under which it answers (None: any); with loopback names alone, no web site can
    reach it by pointing its own name here. ``current_principal`` says who sends a request, or
    raises Unauthenticated. ``streams`` lets the caller close all event streams at the end.
    """
    find = executor_file if callable(executor_file) else lambda: executor_file
    context = Context(
        service=service, executor_file=find, current_principal=current_principal,
        allowed_hosts=None if allowed_hosts is None
        else frozenset(host.lower() for host in allowed_hosts),
        heartbeat_s=heartbeat_s, streams=Streams() if streams is None else streams)
    return tornado.web.Application(
        [*api_rules(), *page_rules(), *change_rules(), *step_rules(), *operate_rules()],
        context=context, default_handler_class=NoPage, log_function=_log_request,
        template_path=str(HERE / "templates"), autoescape="xhtml_escape",
        static_path=str(HERE / "static"),
        static_handler_class=Static, compress_response=True, xsrf_cookies=True,
        xsrf_cookie_kwargs={"httponly": True, "samesite": "Strict"})

