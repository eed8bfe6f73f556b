"""The web application: API, pages and static files over one ``ClusterService``."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
import tornado.web
from esaas.framework.service.access.access import Access
from esaas.framework.service.api import ClusterService
from esaas.framework.service.oplog.book import Book
from esaas.framework.settings import LOOPBACK_NAMES as LOOPBACK_NAMES

from .access_pages import access_rules
from .alert_pages import alert_rules
from .api import api_rules
from .base import Static
from .change_pages import change_rules
from .chart_pages import chart_rules
from .context import Context
from .create_pages import create_rules
from .delivery_pages import delivery_rules
from .forward import Forwarder
from .hotspot_pages import hotspot_rules
from .housekeeping_pages import housekeeping_rules
from .language import language_rules, load
from .node_log_pages import node_log_rules
from .operate_pages import operate_rules
from .oplog_pages import log_rules
from .pages import NoPage, page_rules
from .peer_key import PeerKey
from .peers import Peers, peer_rules
from .platform_pages import platform_rules
from .release_pages import release_rules
from .snapshot_pages import snapshot_rules
from .step_pages import step_rules
from .stream import Streams
from .tenant_pages import tenant_rules

log = structlog.get_logger()
HERE = Path(__file__).parent


def _log_request(handler: tornado.web.RequestHandler) -> None:
    request, status = handler.request, handler.get_status()
    write = log.warning if status >= 500 else log.debug if status < 400 else log.info
    write("request", method=request.method, path=request.path, status=status,
          took_ms=round(1000 * request.request_time(), 1), remote=request.remote_ip,
          request_id=getattr(handler, "request_id", None))


def make_app(
    service: ClusterService, executor_file: Path | Callable[[], Path | None] | None = None, *,
    access: Access, book: Book, login: bool = True, secure: bool = False,
    allowed_hosts: Iterable[str] | None = None,
    heartbeat_s: float = 15.0, streams: Streams | None = None,
    peers: Peers | None = None, peer_key: PeerKey | None = None, ca_file: str | None = None,
) -> tornado.web.Application:
    """The application over a service.

    ``executor_file`` may be a function, for a file that is only known later. ``allowed_hosts``
    are the names under which it answers (None: any); with loopback names alone, no web site can
    reach it by pointing its own name here. ``book`` is the operation log. Without ``login``
    everybody is an admin. ``secure`` says that browsers come by https. ``streams`` lets the
    caller close all event streams at the end. ``peers`` and ``peer_key`` are for a service of
    several processes: what another runs is passed on to it, whose certificate is checked with
    ``ca_file``.
    """
    load()
    find = executor_file if callable(executor_file) else lambda: executor_file
    context = Context(
        service=service, access=access, book=book, login=login, secure=secure, executor_file=find,
        allowed_hosts=None if allowed_hosts is None
        else frozenset(host.lower() for host in allowed_hosts),
        heartbeat_s=heartbeat_s, streams=Streams() if streams is None else streams,
        peer_key=peer_key, forwarder=Forwarder(peer_key, ca_file) if peer_key else None)
    return tornado.web.Application(
        [*(peer_rules(peers) if peers is not None else ()), *api_rules(), *page_rules(),
         *create_rules(), *delivery_rules(), *change_rules(), *step_rules(), *operate_rules(),
         *hotspot_rules(), *snapshot_rules(), *housekeeping_rules(), *housekeeping_rules(),
         *release_rules(), *access_rules(), *language_rules(), *log_rules(),
         *tenant_rules(), *platform_rules(), *alert_rules(), *chart_rules(), *node_log_rules()],
        context=context, default_handler_class=NoPage, log_function=_log_request,
        template_path=str(HERE / "templates"), autoescape="xhtml_escape",
        static_path=str(HERE / "static"),
        static_handler_class=Static, compress_response=True, xsrf_cookies=True,
        xsrf_cookie_kwargs={"httponly": True, "samesite": "Strict", "secure": secure},
        cookie_secret=access.cookie_key)

