"""Two processes of one service on a real ZooKeeper: shares, doors, death, sleep; told in order."""
from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre

from .service import Service, spec, wait_for
from .test_real_life import reserved_by_role

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]
SESSION_S = 10.0


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """Three agents; the master is found through ZooKeeper."""
    with temporary_data_centre(3, principals={"demo": "demo"}, zookeeper=True) as centre:
        yield centre


@pytest.fixture(scope="module")
def pair(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    """Two processes that share a store; tests may put others in their places."""
    store = f"zk://{box.zookeeper_address}/esaas"
    first = Service(box, tmp_path_factory.mktemp("first"), ("demo",), store=store).start()
    found = [first, Service(box, tmp_path_factory.mktemp("second"), ("demo",),
                            beside=first).start()]
    try:
        yield found
    finally:
        for service in found:
            if not service.dead():
                assert service.process is not None
                service.process.send_signal(signal.SIGCONT)
                assert service.stop() == 0


def facts(service: Service, name: str) -> dict[str, tuple[Any, ...]]:
    """What must not change when another process takes over."""
    return {node["name"]: (node["task_id"], node["pid"], node["es_node_id"], node["launch"])
            for node in service.show(name)["nodes"]}


def counts(service: Service) -> list[int]:
    """How many clusters each process runs."""
    return sorted(member["clusters"] for member in service.client.get("/v1/status")["members"])


def runs(service: Service) -> set[str]:
    """The clusters that a process runs, by its own log of links to Mesos."""
    members = service.client.get("/v1/status")
    return {name for name, owner in owners(service).items() if owner == members["instance"]}


def owners(service: Service) -> dict[str, str]:
    """Process by cluster."""
    found: dict[str, str] = service.client.get("/v1/status")["owners"]
    return found


def owner_of(pair: list[Service], name: str) -> tuple[Service, Service]:
    """The process that runs a cluster, and the other one."""
    for number, service in enumerate(pair):
        if name in runs(service):
            return service, pair[1 - number]
    raise AssertionError(f"nobody runs {name}")


def registrations(service: Service, name: str) -> int:
    """How often a cluster's scheduler has registered."""
    found = service.client.get(f"/v1/clusters/{name}/events", limit=1000)
    return sum(event["kind"] == "registered" for event in found)


def test_clusters_are_shared_out_and_every_door_answers_for_all(pair: list[Service]) -> None:
    first, second = pair
    first.client.post("/v1/clusters", spec("one", "demo", 2))
    second.client.post("/v1/clusters", spec("two", "demo", 2))
    first.green("one", 2)
    second.green("two", 2)
    wait_for("a share for each", lambda: counts(first) == [1, 1])
    for service in pair:
        wait_for("both to be listed", lambda one=service: [
            (item["name"], item["health"]) for item in one.client.get("/v1/clusters")] == [
                ("one", "green"), ("two", "green")])
        assert {service.show(name)["name"] for name in ("one", "two")} == {"one", "two"}
    _, other = owner_of(pair, "one")
    other.client.post("/v1/clusters/one/scale", {"group": "node", "count": 3})
    other.green("one", 3)


def test_a_dead_process_is_made_up_for_and_no_node_moves(
        pair: list[Service], record_property: Callable[[str, object], None]) -> None:
    owner, other = owner_of(pair, "one")
    before, framework = facts(other, "one"), other.show("one")["framework_id"]
    died_at = time.time()
    owner.kill()
    wait_for("the other to run it", lambda: runs(other) == {"one", "two"}
             and other.show("one")["connected"], SESSION_S + 60)
    record_property("taken over after (s)", round(time.time() - died_at, 1))
    assert other.show("one")["framework_id"] == framework
    other.green("one", 3)
    assert facts(other, "one") == before
    owner.start()
    wait_for("shares to be even again", lambda: counts(other) == [1, 1], 120)
    for service in pair:
        assert facts(service, "one") == before


def test_a_process_that_slept_past_its_session_lets_go(pair: list[Service]) -> None:
    owner, other = owner_of(pair, "one")
    before = facts(other, "one")
    assert owner.process is not None
    owner.process.send_signal(signal.SIGSTOP)
    wait_for("the other to take over", lambda: runs(other) == {"one", "two"}
             and other.show("one")["connected"], SESSION_S + 60)
    count = registrations(other, "one")
    owner.process.send_signal(signal.SIGCONT)
    wait_for("shares to be even again", lambda: counts(other) == [1, 1]
             and other.show("one")["connected"] and other.show("two")["connected"], 120)
    # Nobody takes the framework from the other again and again.
    settled_at = time.time()
    while time.time() - settled_at < 15:
        assert other.show("one")["connected"]
        time.sleep(1)
    assert registrations(other, "one") <= count + 2
    for service in pair:
        assert facts(service, "one") == before


def test_a_store_that_is_away_holds_and_nothing_else(
        box: DataCentre, pair: list[Service]) -> None:
    before = {name: facts(pair[0], name) for name in ("one", "two")}
    keeper = box.daemon("zookeeper")
    keeper.kill()
    time.sleep(SESSION_S + 5)           # longer than any session lasts
    keeper.start()
    if not box.master(1).running:       # it ends itself when it may have lost its lead
        box.master(1).start()
    for service in pair:
        wait_for("every cluster to be run again", lambda one=service: all(
            one.show(name)["connected"] and one.show(name)["health"] == "green"
            for name in ("one", "two")), 180)
        assert {name: facts(service, name) for name in ("one", "two")} == before


def test_what_is_deleted_at_any_door_is_gone(box: DataCentre, pair: list[Service]) -> None:
    for number, name in enumerate(("one", "two")):
        pair[number].client.delete(f"/v1/clusters/{name}", confirm=name)
    for service in pair:
        wait_for("all to be gone", lambda one=service: one.client.get("/v1/clusters") == [])
    assert reserved_by_role(box) == {}
