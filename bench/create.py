"""From the request to green, over a bare start of the same three nodes by a script.

Both start real Elasticsearch 6.8.23 with the same configuration, heap and user, from a distribution
that is unpacked already; they take turns, and the ratio is taken pair by pair (aim: <= 1.15).

    python -m bench.create [ROUNDS]
"""
from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from esaas.executor import config
from esaas.framework.proto import esaas_pb2
from esaas.local import java
from esaas.local.fetch.elasticsearch import unpack
from esaas.local.settings import Settings
from esaas.local.testing import FIRST_TASK_PORT, temporary_data_centre

from bench import report
from tests.system.service import Service, es_request, spec, wait_for

VERSION, NODES = "6.8.23", 3


def payload(number: int, seeds: list[str]) -> esaas_pb2.NodeLaunch:
    """What the scheduler would tell the executor of this node."""
    port = FIRST_TASK_PORT + 1000 + 2 * number
    return esaas_pb2.NodeLaunch(
        cluster="bare", tenant="demo", node=f"node-{number}", incarnation=1, launch=1,
        distribution=esaas_pb2.Distribution(version=VERSION, url="file:///-", sha256="0" * 64),
        roles=["master", "data"], heap_mb=256, bind_host="127.0.0.1", http_port=port,
        transport_port=port + 1, data_path="data", stop_timeout_s=60,
        seeds=esaas_pb2.Seeds(addresses=seeds, generation=1),
        bootstrap=esaas_pb2.Bootstrap(minimum_master_nodes=2, expected_data_nodes=NODES,
                                      recover_after_data_nodes=2))


@contextlib.contextmanager
def bare_nodes(home: Path, user: str, java_home: Path) -> Iterator[str]:
    """Start the nodes at once; gives the URL of the first, ends them by pid."""
    root = Path(tempfile.mkdtemp(prefix="esaas-bare-"))
    owner = pwd.getpwnam(user)
    ports = [FIRST_TASK_PORT + 1000 + 2 * number for number in range(NODES)]
    seeds = [f"127.0.0.1:{port + 1}" for port in ports]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(NODES):
            sandbox = root / f"node-{number}"
            (sandbox / "data").mkdir(parents=True)
            layout = config.layout_of(sandbox, home, "data")
            config.write(payload(number, seeds), layout)
            (layout.config / "unicast_hosts.txt").write_text("\n".join(seeds) + "\n")
            running.append(start(home, sandbox, layout, java_home, owner))
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(root)


def start(home: Path, sandbox: Path, layout: config.Layout, java_home: Path,
          owner: pwd.struct_passwd) -> subprocess.Popen[bytes]:
    """One node, as the unprivileged user."""
    for folder in (sandbox.parent, sandbox, *sandbox.rglob("*")):
        if os.geteuid() == 0:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
    sandbox.parent.chmod(0o755)
    options: dict[str, Any] = {}
    if os.geteuid() == 0:
        options = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    temporary = sandbox / "tmp"
    temporary.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chown(temporary, owner.pw_uid, owner.pw_gid)
    with open(sandbox / "console.log", "wb") as console:
        return subprocess.Popen(
            [str(home / "bin" / "elasticsearch")], cwd=sandbox, stdout=console, stderr=console,
            stdin=subprocess.DEVNULL, start_new_session=True, **options,
            env={"PATH": "/usr/bin:/bin", "JAVA_HOME": str(java_home), "HOME": str(sandbox),
                 "ES_JAVA_HOME": str(java_home), "ES_PATH_CONF": str(layout.config),
                 "ES_TMPDIR": str(temporary)})


def bare_s(home: Path, user: str, java_home: Path) -> float:
    """Seconds from the start of the script to green."""
    begin = time.monotonic()
    with bare_nodes(home, user, java_home) as url:
        wait_for("the bare nodes to be green", lambda: es_request(
            url, f"/_cluster/health?wait_for_nodes={NODES}&timeout=1s")["status"] == "green"
            and es_request(url, "/_cluster/health")["number_of_nodes"] == NODES)
        return time.monotonic() - begin


def ours_s(service: Service) -> float:
    """Seconds from the request to green with all nodes members."""
    begin = time.monotonic()
    service.client.post("/v1/clusters", spec("demo", "demo", NODES))

    def green() -> bool:
        detail = service.show("demo")
        return bool(detail["health"] == "green" and detail["nodes_ready"] == NODES)

    wait_for("our cluster to be green", green)
    taken_s = time.monotonic() - begin
    service.client.delete("/v1/clusters/demo", confirm="demo")
    wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
    return taken_s


def main(rounds: int = 3) -> None:
    """Measure and keep."""
    cache = Settings.load().cache
    home = unpack(cache, VERSION)
    found = java.at_least(17)
    assert found is not None, "a Java 17 is needed"
    rows = []
    with temporary_data_centre(3, principals={"demo": "demo"}) as box:
        directory = Path(tempfile.mkdtemp(prefix="esaas-bench-"))
        service = Service(box, directory, ("demo",)).start()
        try:
            ours_s(service)             # the first one unpacks the distribution
            for number in range(rounds):
                bare, ours = bare_s(home, box.executor_user, found.home), ours_s(service)
                rows.append({"round": number + 1, "bare start (s)": bare,
                             "request to green (s)": ours, "ratio": ours / bare})
        finally:
            service.stop()
            shutil.rmtree(directory)
    middle = statistics.median(row["ratio"] for row in rows)
    rows.append({"round": "median", "ratio": middle,
                 "bare start (s)": statistics.median(row["bare start (s)"] for row in rows),
                 "request to green (s)": statistics.median(
                     row["request to green (s)"] for row in rows)})
    report.keep("create", "Request to green of three nodes",
                "Real Mesos and Elasticsearch 6.8.23, heap 256 MB, against a script that starts "
                "the same nodes at once without Mesos (aim: a ratio of at most 1.15).", rows)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
