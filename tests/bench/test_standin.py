"""The stand-in for Elasticsearch by itself: its zip, its rules, and three of its processes."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from esaas.executor import archive, config, probe
from esaas.executor.cache import home_in
from esaas.framework.proto import esaas_pb2
from esaas.local import ports

from bench.standin_elasticsearch import VERSION, build
from bench.standin_es.state import DELAY, ENABLE, EXCLUDE, ClusterState, seconds
from tests.system.service import wait_for

FIRST_PORT, COUNT = 18_000, 3
INDEX = {"settings": {"number_of_shards": 2, "number_of_replicas": 1}}


# ------------------------------------------------------------------------ the zip

def test_the_zip_is_the_same_each_time_and_says_what_it_is(tmp_path: Path) -> None:
    first = build(tmp_path)
    assert build(tmp_path) == first
    found = next(tmp_path.glob("*.zip"))
    assert "stand-in" in found.name
    with zipfile.ZipFile(found) as zipped:
        assert all(name.startswith("stand-in-") for name in zipped.namelist())


# ---------------------------------------------------------------------- the rules

def with_index(*nodes: str) -> ClusterState:
    state = ClusterState()
    state.create_index("notes", INDEX)
    state.allocate(set(nodes), 0.0)
    return state


def places(state: ClusterState) -> dict[tuple[int, str | None], bool]:
    """Whether a copy is active, by shard and node."""
    return {(copy["shard"], copy["node"]): copy["active"]
            for copy in state.indices["notes"]["copies"]}


def test_copies_of_a_shard_are_on_different_nodes() -> None:
    assert with_index("a").health()["status"] == "yellow"
    assert with_index("a", "b").health()["status"] == "green"
    assert len(places(with_index("a", "b", "c"))) == 4


def test_a_copy_waits_for_its_node_and_moves_when_it_stays_away() -> None:
    state = with_index("a", "b")
    there = places(state)
    state.allocate({"a", "c"}, 10.0)
    assert state.health()["status"] == "yellow"
    state.allocate({"a", "c"}, 60.0)
    assert places(state).keys() == there.keys()
    state.allocate({"a", "c"}, 71.0)
    assert state.health()["status"] == "green"
    assert {node for _, node in places(state)} == {"a", "c"}


def test_a_longer_delay_is_kept_to() -> None:
    state = with_index("a", "b")
    state.put_index_settings(["notes"], {DELAY: "613s"}, keep=True)
    state.put_index_settings(["notes"], {DELAY: "1m"}, keep=True)
    state.allocate({"a", "c"}, 10.0)
    state.allocate({"a", "c"}, 600.0)
    assert state.health()["status"] == "yellow"
    state.put_index_settings(["notes"], {DELAY: None}, keep=False)
    state.allocate({"a", "c"}, 601.0)
    assert state.health()["status"] == "green"


def test_the_last_copy_is_nowhere_else() -> None:
    state = with_index("a", "b")
    state.allocate({"c", "d"}, 10.0)
    state.allocate({"c", "d"}, 1000.0)
    assert state.health()["status"] == "red"
    state.allocate({"a", "c"}, 1001.0)
    assert state.health()["status"] != "red"


def test_replicas_come_back_only_when_allocation_permits() -> None:
    state = with_index("a", "b")
    state.put_settings({"transient": {ENABLE: "primaries"}})
    state.allocate({"a"}, 10.0)
    state.allocate({"a", "b"}, 11.0)
    assert state.health()["status"] == "yellow"
    state.put_settings({"transient": {"cluster": {"routing": {"allocation": {"enable": None}}}}})
    state.allocate({"a", "b"}, 12.0)
    assert state.health()["status"] == "green"


def test_excluded_nodes_are_left() -> None:
    state = with_index("a", "b", "c")
    state.put_settings({"persistent": {EXCLUDE: "a"}})
    state.allocate({"a", "b", "c"}, 10.0)
    assert {node for _, node in places(state)} == {"b", "c"}
    assert state.health()["status"] == "green"


@pytest.mark.parametrize(("text", "value"), [("613s", 613), ("1m", 60), ("500ms", 0.5),
                                             ("0", 0)])
def test_times_are_understood(text: str, value: float) -> None:
    assert seconds(text) == value


# ------------------------------------------------------------------ three processes

class Nodes:
    """Stand-in nodes with the configuration that the real executor writes."""

    def __init__(self, root: Path) -> None:
        build(root)
        archive.unpack(next(root.glob("*.zip")), root / "tree")
        self.home = home_in(root / "tree")
        self.ports: list[int] = []
        for _ in range(2 * COUNT):
            self.ports.append(ports.choose(FIRST_PORT, self.ports))
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self._root = root

    def _launch(self, number: int) -> esaas_pb2.NodeLaunch:
        return esaas_pb2.NodeLaunch(
            cluster="stand-ins", tenant="demo", node=f"node-{number}", incarnation=1, launch=1,
            distribution=esaas_pb2.Distribution(version=VERSION, url="file:///-", sha256="0" * 64),
            roles=["master", "data"], heap_mb=128, bind_host="127.0.0.1",
            http_port=self.ports[number], transport_port=self.ports[COUNT + number],
            data_path="data", bootstrap=esaas_pb2.Bootstrap(
                minimum_master_nodes=2, recover_after_data_nodes=2))

    def start(self, number: int) -> None:
        """Start a node on what it has on disk."""
        sandbox = self._root / f"node-{number}"
        (sandbox / "data").mkdir(parents=True, exist_ok=True)
        layout = config.layout_of(sandbox, self.home, "data")
        config.write(self._launch(number), layout)
        (layout.config / "unicast_hosts.txt").write_text(
            "".join(f"127.0.0.1:{port}\n" for port in self.ports[COUNT:]))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with open(sandbox / "console", "ab") as console:
            self.running[number] = subprocess.Popen(
                [self.home / "bin" / "elasticsearch"], stdout=console, stderr=console,
                env={"PATH": path, "ES_PATH_CONF": str(layout.config)})

    def stop(self, number: int) -> int:
        """SIGTERM; the exit code."""
        process = self.running.pop(number)
        process.terminate()
        return process.wait(timeout=30)

    def ask(self, number: int, path: str, method: str = "GET", body: Any = None) -> Any:
        """One request; urllib's HTTPError when it is refused."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[number]}{path}",
                                         data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def healthy(self, number: int, status: str, count: int) -> bool:
        """Whether a node sees so many members and this status."""
        found = self.ask(number, "/_cluster/health")
        return bool((found["status"], found["number_of_nodes"]) == (status, count))

    def master(self, number: int) -> str:
        """The name of the master, as a node sees it."""
        state = self.ask(number, "/_cluster/state/master_node,nodes,blocks")
        assert not state["blocks"]["global"]
        return str(state["nodes"][state["master_node"]]["name"])


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """None is started yet; none is left."""
    found = Nodes(tmp_path)
    yield found
    for process in found.running.values():
        process.kill()
        process.wait()


def test_one_of_three_has_no_master(nodes: Nodes) -> None:
    nodes.start(0)
    answered = wait_for("the node to answer its executor", lambda: probe.ask(
        "127.0.0.1", nodes.ports[0], "node-0").identity, 30)
    assert (answered.version, answered.server_pid) == (VERSION, nodes.running[0].pid)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        nodes.ask(0, "/_cluster/health")


@pytest.mark.system
def test_three_elect_one_and_roll(nodes: Nodes) -> None:
    for number in range(COUNT):
        nodes.start(number)
    wait_for("all to be members", lambda: nodes.healthy(2, "green", COUNT), 60)
    uuid = nodes.ask(0, "/")["cluster_uuid"]
    assert len({nodes.master(number) for number in range(COUNT)}) == 1
    nodes.ask(1, "/notes", "PUT", INDEX)
    nodes.ask(2, "/_cluster/settings", "PUT", {"persistent": {ENABLE: "all"}})
    for number in range(COUNT):             # one of them is the master
        other = (number + 1) % COUNT
        assert nodes.stop(number) == 143
        wait_for("it to be missed", lambda other=other: nodes.healthy(
            other, nodes.ask(other, "/_cluster/health")["status"], COUNT - 1), 30)
        assert nodes.master(other) != f"node-{number}"
        nodes.start(number)
        wait_for("it to be back", lambda number=number: nodes.healthy(
            number, "green", COUNT), 30)
    assert nodes.ask(0, "/")["cluster_uuid"] == uuid
    assert nodes.ask(0, "/_cluster/settings")["persistent"] == {ENABLE: "all"}
    assert len(nodes.ask(0, "/_cat/shards")) == 4


def test_all_come_back_with_what_they_knew(nodes: Nodes) -> None:
    for number in range(COUNT):
        nodes.start(number)
    wait_for("all to be members", lambda: nodes.healthy(0, "green", COUNT), 60)
    nodes.ask(0, "/_template/some", "PUT", {"settings": {"index.number_of_replicas": 2}})
    known = nodes.ask(0, "/")["cluster_uuid"], nodes.ask(0, "/_nodes/http")["nodes"].keys()
    for number in range(COUNT):
        nodes.stop(number)
    for number in range(COUNT):
        nodes.start(number)
    wait_for("all to be members again", lambda: nodes.healthy(0, "green", COUNT), 60)
    assert (nodes.ask(0, "/")["cluster_uuid"], nodes.ask(0, "/_nodes/http")["nodes"].keys()
            ) == known
    assert "some" in nodes.ask(1, "/_template/some")
