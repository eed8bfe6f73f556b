"""What the handlers share: the service behind them, and who may ask."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from esaas.framework.service.api import ClusterService
from tornado.httputil import HTTPServerRequest

from .stream import Streams


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request; ``tenants`` None means all of them."""

    name: str
    tenants: frozenset[str] | None = None


def anybody(_: HTTPServerRequest) -> Principal:
    """Everyone is the same anonymous person, until there is a login."""
    return Principal("anonymous")


@dataclass(frozen=True)
class Context:
    """Everything a handler needs; built once per application."""

    service: ClusterService
    executor_file: Callable[[], Path | None] = lambda: None
    # The one place where a login belongs: raises Unauthenticated when nobody has said who asks.
    current_principal: Callable[[HTTPServerRequest], Principal] = anybody
    allowed_hosts: frozenset[str] | None = None
    heartbeat_s: float = 15.0
    streams: Streams = field(default_factory=Streams)
