"""Debian's ZooKeeper as one server of our own."""

from __future__ import annotations

import socket
from pathlib import Path

from . import java
from .errors import LocalError
from .files import write_atomically
from .ports import LOOPBACK
from .requirements import LOWEST_JAVA, ZOOKEEPER_JAR

MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
HEAP_MB = 128
ANSWER_TIMEOUT_S = 2


def command(directory: Path, port: int, address: str = LOOPBACK) -> list[str]:
    """Write its configuration under a directory; the command that runs it.

    Raises LocalError without Java. Connections from one address are not limited: each agent and
    each master holds some, and all may come from one machine.
    """
    runtime = java.at_least(LOWEST_JAVA)
    if runtime is None:
        raise LocalError(f"ZooKeeper needs Java >= {LOWEST_JAVA}: see esaas local doctor")
    settings = {
        "tickTime": "1000",
        "dataDir": str(directory / "data"),
        "clientPort": str(port),
        "clientPortAddress": address,
        "admin.enableServer": "false",
        "maxClientCnxns": "0",
        "autopurge.purgeInterval": "1",
    }
    (directory / "data").mkdir(parents=True, exist_ok=True)
    config = directory / "zoo.cfg"
    write_atomically(config, "".join(f"{k}={v}\n" for k, v in settings.items()))
    return [
        str(runtime.program), f"-Xmx{HEAP_MB}m", "-XX:+UseSerialGC", "-cp", str(ZOOKEEPER_JAR),
        MAIN, str(config),
    ]  # fmt: skip


def serving(port: int, address: str = LOOPBACK) -> bool:
    """Whether it answers the command ``srvr`` as a server that has a mode."""
    try:
        with socket.create_connection((address, port), timeout=ANSWER_TIMEOUT_S) as link:
            link.sendall(b"srvr")
            answer = b"".join(iter(lambda: link.recv(4096), b""))
    except OSError:
        return False
    return b"Mode:" in answer
