"""Asks the node over HTTP who it is (works without a master, on 6.8 to 9.x); or any port."""
from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .security import Access

# GET / would do on full distributions; trimmed builds of 8.x and 9.x answer it with 405.
PATH = "/_nodes/_local/http,transport,process"
_TIMEOUT_S = 5.0
_MAX_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node says of itself; all empty when it answers, but tells strangers nothing."""

    es_node_id: str = ""
    name: str = ""
    version: str = ""
    http_address: str = ""
    transport_address: str = ""
    server_pid: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One probe: an identity, or why there is none."""

    identity: Identity | None
    problem: str = ""


def identity_of(body: dict[str, Any]) -> Identity:
    """The identity in an answer to ``PATH``. Raises ``ValueError`` when it is not there."""
    nodes = body.get("nodes")
    if not isinstance(nodes, dict) or len(nodes) != 1:
        raise ValueError("no answer of one local node")
    [(es_node_id, node)] = nodes.items()
    return Identity(
        es_node_id=es_node_id,
        name=node.get("name", ""),
        version=node.get("version", ""),
        http_address=node.get("http", {}).get("publish_address", ""),
        transport_address=node.get("transport_address")
        or node.get("transport", {}).get("publish_address", ""),
        server_pid=int(node.get("process", {}).get("id", 0)),
    )


def ask(host: str, port: int, name: str, timeout_s: float = _TIMEOUT_S,
        access: Access | None = None) -> Answer:
    """Probe once; never raises.

    ``name``: only a node of this name counts; ``access``: to a node of a secured cluster.
    """
    connection = _connection(host, port, timeout_s, access)
    try:
        connection.request("GET", PATH, headers={"Authorization": access.authorization}
                           if access is not None else {})
        response = connection.getresponse()
        body = response.read(_MAX_BODY_BYTES)
        if response.status == 401 and access is None:
            return Answer(Identity(name=name))  # security is on; HTTP works
        if response.status != 200:
            return Answer(None, f"HTTP status {response.status}")
        identity = identity_of(json.loads(body))
    except (OSError, http.client.HTTPException, ValueError, AttributeError, TypeError) as error:
        return Answer(None, f"{type(error).__name__}: {error}")
    finally:
        connection.close()
    if identity.name != name:
        return Answer(None, f"node {identity.name!r} answers in place of {name!r}")
    return Answer(identity)


def _connection(host: str, port: int, timeout_s: float,
                access: Access | None) -> http.client.HTTPConnection:
    if access is None:
        return http.client.HTTPConnection(_to_ask(host), port, timeout=timeout_s)
    return http.client.HTTPSConnection(_to_ask(host), port, timeout=timeout_s,
                                       context=access.context)


def knock(host: str, port: int, timeout_s: float = _TIMEOUT_S) -> Answer:
    """Whether a port takes connections; never raises."""
    try:
        socket.create_connection((_to_ask(host), port), timeout=timeout_s).close()
    except OSError as error:
        return Answer(None, f"{type(error).__name__}: {error}")
    return Answer(Identity(http_address=f"{host}:{port}"))


def _to_ask(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


class Prober:
    """Asks again and again on a thread of its own, so that a slow answer holds nothing up."""

    def __init__(self, probe: Callable[[], Answer], tell: Callable[[Answer], None],
                 interval_s: float) -> None:
        self.interval_s = interval_s
        self._probe = probe
        self._tell = tell
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)

    def start(self) -> None:
        """Begin, after one interval."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; an answer that is under way may still come."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self.interval_s):
            self._tell(self._probe())
