"""A real HAProxy, supervised by the real command; nodes and service are stand-ins."""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from esaas.framework.client import Client
from esaas.framework.discovery import runtime
from esaas.framework.discovery.haproxy import ConfigRefused, Files, check
from esaas.framework.discovery.render import Layout, render
from esaas.framework.discovery.targets import Server, Target

from .balancer import Balancer, ended
from .standins import Clients, StandInEndpoints, StandInNode, cluster, until

pytestmark = [pytest.mark.system,
              pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy here")]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


@pytest.fixture
def directory() -> Iterator[Path]:
    """With a short path, because of the socket."""
    with tempfile.TemporaryDirectory(prefix="hap-") as made:
        yield Path(made)


@pytest.fixture
def nodes() -> Iterator[Callable[..., StandInNode]]:
    """Makes nodes, and stops those that are left."""
    made: list[StandInNode] = []

    def make(name: str, port: int = 0) -> StandInNode:
        node = StandInNode(name, port)
        made.append(node)
        return node
    yield make
    for node in made:
        node.stop()


@pytest.fixture
def balancer(service: StandInEndpoints, directory: Path) -> Iterator[Balancer]:
    found = Balancer(service.url, directory)
    yield found
    found.stop()


def test_no_request_fails_while_nodes_come_and_go(
        balancer: Balancer, service: StandInEndpoints, nodes: Any) -> None:
    port, changes = free_port(), 0
    here = [nodes("node-0"), nodes("node-1"), nodes("node-2")]
    service.tell(cluster("demo", port, *here))
    balancer.uses("node-0", "node-1", "node-2")
    with Clients(port).asking() as clients:
        for turn in range(4):
            # In its place: it leaves the list, stops, comes back at its address; no reload.
            for node in list(here):
                others = [one for one in here if one is not node]
                service.tell(cluster("demo", port, *others))
                balancer.uses(*(one.name for one in others))
                node.stop()
                again = nodes(node.name, node.port)
                here[here.index(node)] = again
                service.tell(cluster("demo", port, *here))
                balancer.uses(*(one.name for one in here))
                changes += 2
            # Elsewhere: a new node, then the old one goes; a new one takes a reload.
            fresh = nodes(f"node-{turn + 3}")
            service.tell(cluster("demo", port, *here, fresh))
            balancer.uses(*(one.name for one in here), fresh.name)
            gone = here.pop(0)
            here.append(fresh)
            service.tell(cluster("demo", port, *here))
            balancer.uses(*(one.name for one in here))
            gone.stop()
            changes += 2
            asked = clients.answers
            until("more requests", lambda asked=asked: clients.answers > asked + 200)
    assert clients.failures == [], f"{len(clients.failures)} of {clients.answers}"
    assert changes >= 20 and clients.answers > 800
    assert set(clients.by_node) == {f"node-{number}" for number in range(7)}
    # One at the first answer, one for each new node; those that came back took none.
    assert balancer.reloads() == 5


def test_requests_go_on_without_the_service_and_when_haproxy_dies(
        balancer: Balancer, service: StandInEndpoints, nodes: Any) -> None:
    port = free_port()
    service.tell(cluster("demo", port, nodes("node-0"), nodes("node-1")))
    balancer.uses("node-0", "node-1")
    service.tell(cluster("demo", port))                 # none is ready, says a service that starts
    service.tell(complete=False)                        # and one that knows nothing of it yet
    service.refuses = 503
    asked = service.asked
    until("more questions", lambda: service.asked > asked + 1)
    assert balancer.in_use() == {"node-0", "node-1"}
    first = balancer.master
    workers = psutil.Process(first).children()
    os.kill(first, signal.SIGKILL)
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):     # it ends with its master, too
            worker.kill()
    until("another haproxy", lambda: balancer.master != first)
    balancer.uses("node-0", "node-1")
    service.refuses = None
    service.tell()                                      # it is deleted
    balancer.uses()
    second = balancer.master
    assert balancer.stop() == 0
    assert ended(second)


def test_another_supervisor_takes_over_what_runs(
        balancer: Balancer, service: StandInEndpoints, nodes: Any, directory: Path) -> None:
    port = free_port()
    service.tell(cluster("demo", port, nodes("node-0"), nodes("node-1")))
    balancer.uses("node-0", "node-1")
    master = balancer.master
    with Clients(port, 8).asking() as clients:
        balancer.process.kill()
        balancer.process.wait()
        again = Balancer(service.url, directory)
        until("to be taken over", lambda: "taken over" in again.log.read_text())
        service.tell(cluster("demo", port, nodes("node-2"), nodes("node-3")))
        again.uses("node-2", "node-3")
        asked = clients.answers
        until("more requests", lambda: clients.answers > asked + 100)
    assert clients.failures == []
    assert again.master == master
    assert again.stop() == 0
    assert ended(master)


def test_what_haproxy_refuses_is_told_and_not_put_in_place(
        service: StandInEndpoints, directory: Path) -> None:
    files = Files(directory, "127.0.0.1")
    sound = (Target("demo", "http", free_port(), False, (Server("node-0", "127.0.0.1", 9200),)),)
    assert files.install(sound) and not files.install(sound)
    before = files.config.read_text()
    broken = Files(directory, "203.0.113.1")            # nobody's address; a check binds nothing
    assert broken.install(sound)
    assert files.install(sound)
    files.layout = Layout("127.0.0.1", "/no-directory-is-here/\x00")
    with pytest.raises(Exception, match="no absolute path"):
        files.install(sound)
    files.layout = Layout("127.0.0.1", str(files.socket))
    liar = directory / "haproxy-that-refuses"
    liar.write_text("#!/bin/sh\necho 'line 9: unknown keyword' >&2; exit 1\n")
    liar.chmod(0o755)
    with pytest.raises(ConfigRefused, match="line 9: unknown keyword"):
        Files(directory, "127.0.0.1", str(liar)).install(())
    assert files.config.read_text() == before
    assert files.known() == sound
    assert "frontend demo" not in (directory / "haproxy.cfg.refused").read_text()
    assert sorted(path.name for path in directory.iterdir()) == [
        "haproxy-that-refuses", "haproxy.cfg", "haproxy.cfg.refused", "known.json"]


def test_a_real_check_knows_right_from_wrong(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(render((), Layout("127.0.0.1", "/run/h.sock")))
    assert check("haproxy", path) == ""
    path.write_text(path.read_text() + "frontend x\n    bind :1\n    use the_force\n")
    assert "unknown keyword 'use'" in check("haproxy", path)


def test_once_and_check_only_and_a_command_that_reloads(
        service: StandInEndpoints, nodes: Any, directory: Path) -> None:
    service.tell(cluster("demo", free_port(), nodes("node-0")))
    checked = Balancer(service.url, directory, "--check-only")
    assert checked.process.wait(60) == 0
    assert not (directory / "haproxy.cfg").exists()
    marks = directory / "marks"
    mark = f"{sys.executable} -c \"open('{marks}','a').write('x')\""
    for _ in range(2):                                  # the second finds it as it should be
        once = Balancer(service.url, directory, "--once", "--reload-command", mark)
        assert once.process.wait(60) == 0, once.log.read_text()
    assert "server node-0" in (directory / "haproxy.cfg").read_text()
    assert marks.read_text() == "x"
    follows = Balancer(service.url, directory, "--reload-command", mark)
    service.tell(cluster("demo", free_port(), nodes("node-1")))
    until("the new node", lambda: "node-1" in (directory / "haproxy.cfg").read_text())
    until("another reload", lambda: len(marks.read_text()) >= 2)
    assert follows.stop() == 0
    service.tell(cluster("demo", free_port(), nodes("node-2")))
    fails = Balancer(service.url, directory, "--once", "--reload-command", "false")
    assert fails.process.wait(60) == 1
    assert "false ended with 1" in fails.log.read_text()


def test_a_secured_cluster_is_passed_through(
        balancer: Balancer, service: StandInEndpoints, nodes: Any) -> None:
    port, by_role = free_port(), free_port()
    service.tell(cluster("demo", port, nodes("node-0"), secured=True, data=by_role))
    balancer.uses("node-0")
    for each in (port, by_role):
        with Clients(each, 2).asking() as clients:
            until("requests", lambda clients=clients: clients.answers > 20)
        assert clients.failures == [] and set(clients.by_node) == {"node-0"}
    assert (balancer.directory / "haproxy.cfg").read_text().count("mode tcp") == 4


def test_a_real_service_is_followed(directory: Path, tmp_path: Path) -> None:
    """No Mesos answers it, so no node is there; clusters and their ports are."""
    (tmp_path / "versions.json").write_text(json.dumps({
        "6.8.23": {"url": "file:///es.zip", "sha256": "0" * 64}}))
    ready, first = tmp_path / "ready.json", free_port()
    command = [sys.executable, "-c", "from esaas.framework.cli import main; main()", "serve",
               "--mesos-master", "127.0.0.1:1", "--state-dir", str(tmp_path / "state"), "--port",
               "0", "--no-login", "--distributions", str(tmp_path / "versions.json"),
               "--ready-file", str(ready), "--virtual-ports", f"{first}-{first + 1}"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as process:
        try:
            until("the service", ready.exists, 60)
            client = Client(json.loads(ready.read_text())["url"])
            balancer = Balancer(client.url, directory)
            try:
                client.post("/v1/clusters", {
                    "name": "demo", "tenant": "t", "version": "6.8.23",
                    "groups": [{"name": "node", "count": 3}]})
                until("its frontend", lambda: "frontend demo.http" in runtime_of(balancer))
                assert f"bind 127.0.0.1:{first}\n" in (directory / "haproxy.cfg").read_text()
            finally:
                assert balancer.stop() == 0
        finally:
            process.terminate()
            process.wait(60)


def runtime_of(balancer: Balancer) -> str:
    """The frontends that HAProxy has, as it says."""
    try:
        told = runtime.ask(balancer.socket, "show stat")
    except runtime.RuntimeFailed:
        return ""
    return "\n".join(f"frontend {line.split(',')[0]}" for line in told.splitlines()
                     if ",FRONTEND," in line)
