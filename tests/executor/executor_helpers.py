"""What the executor's tests share: ports, polling, launches, the stand-in's distribution."""
from __future__ import annotations

import base64
import hashlib
import os
import pwd
import socket
import subprocess
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esaas.framework.proto import esaas_pb2

HERE = Path(__file__).parent
WAIT_S = 60.0


def poll(condition: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
    """Wait for state that nobody tells us of; the first true value of ``condition``."""
    pause = threading.Event()
    for _ in range(int(timeout_s / 0.05)):
        if found := condition():
            return found
        pause.wait(0.05)
    raise AssertionError(f"not so within {timeout_s} s")


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listening.getsockname()[1] for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports


def unprivileged_user() -> pwd.struct_passwd | None:
    """Whom to run the executor as when the tests run as root; None: as we are."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def stand_in_distribution(directory: Path) -> tuple[str, str]:
    """A zip laid out as a distribution, around the stand-in: its URL and sha256."""
    path = directory / "stand-in.zip"
    files = {
        "bin/elasticsearch": ((HERE / "stand_in_elasticsearch.py").read_text(), 0o755),
        "config/jvm.options": ("-Xms1g\n-Xmx1g\n-XX:+UseG1GC\n", 0o644),
        "config/elasticsearch.yml": ("", 0o644),
        "jdk/bin/java": ("#!/bin/sh\n", 0o755),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, (text, mode) in files.items():
            member = zipfile.ZipInfo(f"elasticsearch-6.8.23/{name}")
            member.external_attr = mode << 16
            archive.writestr(member, text)
    return path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest()


def launch_of(url: str, sha256: str, version: str = "6.8.23",
              **settings: str) -> esaas_pb2.NodeLaunch:
    """A launch without faults; ``settings``: JSON texts, ``__`` in keys stands for a dot."""
    http_port, transport_port = free_ports(2)
    is_zen = version.startswith("6.")
    return esaas_pb2.NodeLaunch(
        cluster="tests", tenant="t", node="tests-data-0", incarnation=1, launch=1,
        distribution=esaas_pb2.Distribution(version=version, url=url, sha256=sha256),
        roles=["master", "data"], heap_mb=256, bind_host="127.0.0.1", http_port=http_port,
        transport_port=transport_port, data_path="data",
        settings={key.replace("__", "."): text for key, text in settings.items()},
        attributes={"rack": "r1"}, awareness=["rack"],
        seeds=esaas_pb2.Seeds(addresses=[f"127.0.0.1:{transport_port}"], generation=1),
        bootstrap=esaas_pb2.Bootstrap(
            minimum_master_nodes=1 if is_zen else 0,
            initial_master_nodes=[] if is_zen else ["tests-data-0"]),
        stop_timeout_s=60)


def task_of(launch: esaas_pb2.NodeLaunch, task_id: str = "task-1") -> dict[str, Any]:
    """The ``TaskInfo`` of a launch."""
    return {"name": launch.node, "task_id": {"value": task_id}, "agent_id": {"value": "agent"},
            "data": base64.b64encode(launch.SerializeToString()).decode()}


@dataclass
class Executor:
    """A running one-file executor and its sandbox."""

    process: subprocess.Popen[bytes]
    sandbox: Path
    pids: list[int] = field(default_factory=list)  # to be gone at the end of the test

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(WAIT_S)

    def log(self) -> str:
        """Its standard error so far."""
        return (self.sandbox / "stderr").read_text()
