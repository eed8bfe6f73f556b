"""Free TCP ports on the loopback address."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

import psutil

from .errors import LocalError

LOOPBACK = "127.0.0.1"
TRIES = 1000


def is_free(port: int) -> bool:
    """Whether a server could bind this port on 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: connections that linger in TIME_WAIT are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def choose(preferred: int, taken: Iterable[int] = ()) -> int:
    """The preferred port, or the next free one above it. Raises LocalError if there is none."""
    used = set(taken)
    for port in range(preferred, preferred + TRIES):
        if port not in used and is_free(port):
            return port
    raise LocalError(f"no free port from {preferred} to {preferred + TRIES - 1}")


def holder(port: int) -> str:
    """Who listens on a port, for people: "process 7 (java)", as far as we may know."""
    for connection in psutil.net_connections(kind="tcp"):
        if connection.laddr and connection.laddr.port == port and connection.status == "LISTEN":
            if connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
            break
    return "another process"
