"""The demo from an empty directory to a green cluster, to its end, and back with its documents."""
from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from esaas.framework.client import Client
from esaas.local.daemons import marked
from esaas.local.demo_display import welcome
from esaas.local.state import load_state

from .tree import ROOT

GREEN_S = 240.0
END_S = 90.0
DOCUMENTS = 100
COMMAND = [sys.executable, "-I", "-m", "esaas.framework.cli", "local", "demo"]
opener = build_opener(ProxyHandler({}))


@dataclass
class Run:
    """One run of the demo as a process, its output in a file."""

    directory: Path
    port: int
    output: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [*COMMAND, "-d", str(self.directory), "--port", str(self.port)],
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)

    def said(self) -> str:
        """All it has said."""
        return self.output.read_text()

    def until(self, condition: Callable[[str], Any], timeout_s: float) -> None:
        """Wait until it has said something."""
        deadline = time.monotonic() + timeout_s
        while not condition(self.said()):
            assert self.process.poll() is None, f"the demo ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"not in {timeout_s:g} s:\n{self.said()}"
            time.sleep(0.2)

    def green(self) -> Client:
        """Wait until it is green and has shown its addresses; a client of its service."""
        self.until(lambda said: "Break something" in said, GREEN_S)
        found = re.search(r"API\s+(http://127\.0\.0\.1:\d+)/", self.said())
        assert found, self.said()
        named = re.search(r"export ESAAS_TOKEN_FILE=(\S+)", self.said())
        assert named, self.said()
        assert re.search(r"user     admin, password \S{20,}", self.said()), self.said()
        return Client(found[1], Path(named[1]).read_text().strip())

    def end(self, number: signal.Signals) -> None:
        """Signal it; it must end by itself, in order, with status 0."""
        self.process.send_signal(number)
        assert self.process.wait(END_S) == 0, self.said()
        assert "everything is stopped" in self.said()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that executors of another user can reach; nothing of it runs on afterwards."""
    root = Path(tempfile.mkdtemp(prefix="esaas-demo-"))
    root.chmod(0o755)
    yield root
    state = load_state(root / "box" / "state.json")
    if state is not None:                       # a test that failed half way
        subprocess.run([*COMMAND, "--forget", "-d", str(root / "box")], check=True, timeout=END_S)
    shutil.rmtree(root)


@pytest.fixture
def start(place: Path) -> Iterator[Callable[[int], Run]]:
    """Starts runs of the demo in one directory; they have ended afterwards."""
    runs: list[Run] = []

    def make(port: int) -> Run:
        runs.append(Run(place / "box", port, place / f"run-{len(runs)}.log"))
        return runs[-1]

    yield make
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
            run.process.wait(END_S)


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port that somebody holds."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen(1)
        yield holder.getsockname()[1]


def ask(url: str, body: str | None = None) -> Any:
    """The decoded answer of an Elasticsearch node."""
    request = Request(url, data=body.encode() if body else None,
                      headers={"Content-Type": "application/x-ndjson"})
    with opener.open(request, timeout=60) as answer:
        return json.load(answer)


def lasting(cluster: dict[str, Any]) -> dict[str, Any]:
    """What must be the same after a restart: framework, hosts, ports and the nodes' own ids."""
    return {"framework": cluster["framework_id"], "uuid": cluster["es"]["cluster_uuid"]} | {
        node["name"]: (node["host"], node["http_address"], node["es_node_id"])
        for node in cluster["nodes"]}


@pytest.mark.system
@pytest.mark.timeout(600)
def test_the_demo_comes_back_with_its_documents_and_is_forgotten_on_demand(
        place: Path, start: Callable[[int], Run], busy_port: int) -> None:
    box = place / "box"
    first = start(busy_port)
    client = first.green()
    assert f"port {busy_port} is held by" in first.said(), "a busy port is named"
    assert not client.url.endswith(f":{busy_port}")
    before = client.get("/v1/clusters/demo")
    lines = "".join('{"index":{}}\n' f'{{"number":{n}}}\n' for n in range(DOCUMENTS))
    url = before["endpoints"]["http"][0]
    assert not ask(f"{url}/things/doc/_bulk?refresh=true", lines)["errors"]

    again = subprocess.run([*COMMAND, "-d", str(box)], capture_output=True, text=True, timeout=60,
                           check=False)
    assert again.returncode == 1
    assert f"the demo runs already (process {first.process.pid}): {client.url}" in again.stderr

    state = load_state(box / "state.json")
    assert state is not None
    first.end(signal.SIGINT)
    assert marked(state.id) == [], "no process outlives the demo"

    second = start(busy_port)
    after = second.green().get("/v1/clusters/demo")
    assert lasting(after) == lasting(before)
    assert [node["launch"] for node in after["nodes"]] == [2, 2, 2]
    found = ask(f"{after['endpoints']['http'][0]}/things/_search?size=0")
    assert found["hits"]["total"] == DOCUMENTS
    second.end(signal.SIGTERM)

    subprocess.run([*COMMAND, "--forget", "-d", str(box)], check=True, timeout=END_S)
    assert not box.exists()
    assert marked(state.id) == []


def test_make_run_calls_the_demo() -> None:
    done = subprocess.run(["make", "-n", "run", "AGENTS=4"], cwd=ROOT, capture_output=True,
                          text=True, check=True)
    assert "esaas local demo --agents 4" in done.stdout


def test_the_demo_tells_how_to_log_in() -> None:
    facts: dict[str, Any] = {
        "url": "http://127.0.0.1:8080", "cluster": "demo", "group": "node", "tenant": "demo",
        "mesos": "http://127.0.0.1:5050", "agents": 3, "nodes": [], "log": "log",
        "directory": "box", "service_pid": 7, "default_directory": True, "default_port": True,
        "password": "a-password", "token_file": "a box/admin-token"}
    said = "\n".join(welcome(facts))
    assert "user     admin, password a-password" in said
    assert "export ESAAS_TOKEN_FILE='a box/admin-token'" in said
    assert 'Bearer $(cat "$ESAAS_TOKEN_FILE")' in said
    assert "as you have changed it" in "\n".join(welcome(facts | {"password": ""}))
