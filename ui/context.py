"""What the handlers share: the service behind them, and who may ask."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from esaas.framework.service.access.access import Access
from esaas.framework.service.api import ClusterService
from esaas.framework.service.oplog.book import Book

from .forward import Forwarder
from .peer_key import PeerKey
from .stream import Streams


@dataclass(frozen=True)
class Context:
    """Everything a handler needs; built once per application."""

    service: ClusterService
    access: Access
    book: Book                      # the operation log
    login: bool = True              # False: whoever asks is an admin
    secure: bool = False            # whether browsers come by https
    executor_file: Callable[[], Path | None] = lambda: None
    allowed_hosts: frozenset[str] | None = None
    heartbeat_s: float = 15.0
    streams: Streams = field(default_factory=Streams)
    peer_key: PeerKey | None = None         # None: this process is alone
    forwarder: Forwarder | None = None
