"""Hosts as network namespaces: a link that is cut, and mended; told in order."""
from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from esaas.local.hosts.netns import Namespaces

from .namespaces import ProvidedService, namespaces, small, tasks, writing_beside
from .service import allocation, es_request, put, url, wait_for
from .test_real_life import reserved_by_role, volumes

pytestmark = [pytest.mark.system, pytest.mark.timeout(1500)]
STAYS_S = 20.0
PATIENCE_S = 500.0
AFTER_A_MINUTE = {"after_s": 60, "per_hour": 2}      # no policy may be quicker


@pytest.fixture(scope="module")
def hosts() -> Iterator[Namespaces]:
    """A control host and three agents."""
    with namespaces(3) as found:
        yield found


@pytest.fixture(scope="module")
def service(hosts: Namespaces) -> ProvidedService:
    """The service of the control host, with a green cluster of three nodes."""
    found = ProvidedService(hosts)
    found.client.post("/v1/clusters", small("demo"))
    found.green("demo", 3)
    return found


def members(service: ProvidedService, away: str) -> set[str]:
    """The members of the cluster as the nodes see it that are not cut off."""
    node = next(node for name, node in service.nodes("demo").items()
                if name != away and node["state"] == "ready")
    found = es_request(f"http://{node['http_address']}", "/_cat/nodes?format=json&h=name")
    return {member["name"] for member in found}


def facts(node: dict[str, Any]) -> tuple[Any, ...]:
    """What shows that a node has not started again."""
    return node["task_id"], node["pid"], node["es_node_id"], node["launch"]


def test_every_node_runs_on_its_own_host(hosts: Namespaces, service: ProvidedService) -> None:
    nodes = service.nodes("demo").values()
    assert {node["host"] for node in nodes} == set(hosts.agents)
    for node in nodes:
        assert node["http_address"].startswith(hosts.ip(node["host"]) + ":")
        assert node["pid"] in hosts.processes(node["host"])
        assert node["rack"] == node["host"].replace("agent", "rack")


def test_a_host_that_is_made_ready_again_stays_as_it_is(
        hosts: Namespaces, service: ProvidedService) -> None:
    before = {name: hosts.processes(name) for name in ("control", *hosts.agents)}
    for name in before:
        hosts.provision(name)
    assert {name: hosts.processes(name) for name in before} == before
    service.green("demo", 3)


def test_a_host_that_is_cut_off_is_waited_for_and_its_task_runs_on(
        hosts: Namespaces, service: ProvidedService) -> None:
    before = service.nodes("demo")
    elected = service.show("demo")["es"]["elected_master"]
    away = min(name for name in before if name != elected)
    with writing_beside(service, "demo", away) as writing:
        hosts.cut(before[away]["host"])
        wait_for("its node to be unreachable",
                 lambda: service.nodes("demo")[away]["state"] == "unreachable", 60)
        wait_for("the others to go on without it",
                 lambda: members(service, away) == set(before) - {away}, 60)
        written = len(writing.acknowledged)
        until = time.monotonic() + STAYS_S
        while time.monotonic() < until:
            detail = service.show("demo")
            assert {node["name"] for node in detail["nodes"]} == set(before), "nobody replaces it"
            assert gates_of(detail, f"start-{away}") == {"agent_reachable": False}
            time.sleep(1)
        assert len(writing.acknowledged) > written, "two of three go on"
        assert psutil.pid_exists(before[away]["pid"])
        hosts.mend(before[away]["host"])
        service.green("demo", 3)
    after = service.nodes("demo")
    assert {name: facts(node) for name, node in after.items()} == {
        name: facts(node) for name, node in before.items()}, "the same task runs on"
    assert tasks(hosts, "demo") == {node["task_id"]: node["host"] for node in before.values()}
    writing.check(url(service))
    assert allocation(service) == {}


def gates_of(detail: dict[str, Any], step_id: str) -> dict[str, bool]:
    """The gates of a step of the plan: whether each is open; nothing when there is no such step."""
    return {gate["name"]: gate["ok"] for phase in detail["plan"]["phases"]
            for step in phase["steps"] if step["id"] == step_id for gate in step["gates"]}


def test_a_host_that_is_cut_off_for_too_long_is_made_up_for_and_one_survives(
        hosts: Namespaces, service: ProvidedService) -> None:
    hosts.add_agent()
    put(service, service.show("demo")["spec"] | {"replacement": AFTER_A_MINUTE})
    service.green("demo", 3)
    before = service.nodes("demo")
    away = service.show("demo")["es"]["elected_master"]
    lost = before[away]
    with writing_beside(service, "demo", away) as writing:
        hosts.cut(lost["host"])

        def made_up_for() -> bool:
            ready = {node["name"]: node["host"] for node in service.nodes("demo").values()
                     if node["state"] == "ready"}
            return (len(ready) == 3 and away not in ready and lost["host"] not in ready.values()
                    and service.show("demo")["health"] == "green")
        wait_for("another node in its place", made_up_for, PATIENCE_S)
        assert psutil.pid_exists(lost["pid"]), "it runs on, where nobody hears of it"
        chosen = {node["name"]: facts(node) for node in service.nodes("demo").values()
                  if node["name"] != away}
        hosts.mend(lost["host"])
        wait_for("nothing of the lost one to be left", lambda: (
            away not in service.nodes("demo") and not psutil.pid_exists(lost["pid"])
            and lost["host"] not in tasks(hosts, "demo").values()), PATIENCE_S)
        service.green("demo", 3)
    after = service.nodes("demo")
    assert {name: facts(node) for name, node in after.items()} == chosen
    assert tasks(hosts, "demo") == {node["task_id"]: node["host"] for node in after.values()}
    writing.check(url(service))
    assert len(volumes(hosts, "demo/demo")) == 3 and allocation(service) == {}


def test_the_only_copy_of_a_shard_is_waited_for_though_its_node_was_made_up_for(
        hosts: Namespaces, service: ProvidedService) -> None:
    before = service.nodes("demo")
    elected = service.show("demo")["es"]["elected_master"]
    away = min(name for name in before if name != elected)
    service.es("demo", "/alone", "PUT", {"settings": {
        "number_of_replicas": 0, "number_of_shards": 1,
        "index.routing.allocation.require._name": away}})
    service.es("demo", "/alone/_doc/1?refresh=wait_for", "PUT", {"number": 1})
    host = before[away]["host"]
    hosts.cut(host)
    try:
        wait_for("another node in its place, and the lost one to be held", lambda: sum(
            node["state"] == "ready" and node["name"] != away
            for node in service.nodes("demo").values()) == 3
            and gates_of(service.show("demo"), f"remove-{away}").get("no_primary_missing") is False,
            PATIENCE_S)
        service.es("demo", "/alone/_settings", "PUT", {
            "index.routing.allocation.require._name": None})
    finally:
        hosts.mend(host)
    wait_for("the node to be gone", lambda: away not in service.nodes("demo"), PATIENCE_S)
    service.green("demo", 3)
    assert service.es("demo", "/alone/_doc/1")["_source"] == {"number": 1}
    assert len(volumes(hosts, "demo/demo")) == 3 and allocation(service) == {}


def test_nothing_is_left(hosts: Namespaces, service: ProvidedService) -> None:
    service.client.delete("/v1/clusters/demo", confirm="demo")
    wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
    assert reserved_by_role(hosts) == {}
