"""Strategies, forced gates and automatic replacement on a real cluster, told in order."""
from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre

from .namespaces import writing_beside
from .service import Service, put, spec, url, wait_for
from .test_real_life import reserved_by_role, volumes
from .test_real_operate import launches, settled, steps

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]
C = "/v1/clusters/demo"
BUFFER = "indices.memory.index_buffer_size"


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """Five agents: one more than the cluster needs."""
    with temporary_data_centre(5, principals={"demo": "demo"}) as centre:
        yield centre


@pytest.fixture(scope="module")
def service(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A cluster of a master and three data nodes; one index with a shard on two of them."""
    directory: Path = tmp_path_factory.mktemp("service")
    found = Service(box, directory, ("demo",)).start()
    shape = {"cpus": 0.5, "mem_mb": 768, "disk_mb": 2000, "heap": {"mb": 256}}
    with found:
        found.client.post("/v1/clusters", spec("demo", "demo") | {
            "change": {"strategy": "parallel", "max_down": 2},
            "replacement": {"after_s": 60, "per_hour": 2}, "groups": [
                shape | {"name": "master", "count": 1, "roles": ["master"]},
                shape | {"name": "data", "count": 3, "roles": ["data"]}]})
        found.green("demo", 4)
        found.es("demo", "/pets", "PUT", {"settings": {"number_of_shards": 1}})
        found.es("demo", "/pets/_doc/1?refresh=true", "PUT", {"name": "cat"})
        yield found


def changed(service: Service, **more: Any) -> dict[str, Any]:
    """The spec as it is, with something else."""
    found: dict[str, Any] = service.show("demo")["spec"] | more
    return found


def test_parallel_takes_two_at_once_but_never_both_copies(service: Service) -> None:
    settled(service, 4)
    shards = service.es("demo", "/_cat/shards/pets?format=json&h=node")
    holders = {item["node"] for item in shards}
    assert len(holders) == 2
    put(service, changed(service, settings={BUFFER: "12%"}))
    together: list[set[str]] = []

    def done() -> bool:
        detail = service.show("demo")
        away = {node["name"] for node in detail["nodes"] if node["state"] != "ready"}
        together.append(away)
        # The only master takes the cluster with it: it goes last, and nobody can avoid that.
        count = {node["name"]: node["launch"] for node in detail["nodes"]}
        masters_turn = "master-1" in away or count["master-1"] == 2
        last = all(count[f"data-{number}"] == 2 for number in (1, 2, 3))
        assert detail["health"] != "red" or (masters_turn and last)
        return bool(detail["settled_revision"] == detail["revision"])

    wait_for("the setting to be everywhere", done, 400)
    settled(service, 4)
    assert set(launches(service).values()) == {2}
    assert not any(holders <= away for away in together), "both copies of a shard were away"
    assert any(len(away) == 2 for away in together), "two went together"


def test_a_canary_waits_a_gate_is_forced_and_the_change_abandoned(service: Service) -> None:
    before = launches(service)
    spec_before = service.show("demo")["spec"]
    put(service, changed(service, change={"strategy": "canary"}, settings={BUFFER: "13%"}))
    first = wait_for("the canary", lambda: service.show("demo")["canary"], 200)

    def held() -> set[str]:
        """The nodes that wait for the canary."""
        return {step["node"] for step in steps(service).values()
                if step["detail"].startswith("held by canary_approved")}

    everyone_else = set(before) - {first}
    wait_for("the others to be held by it", lambda: held() == everyone_else)
    wait_for("the canary to be back", lambda: launches(service)[first] > before[first] and
             service.nodes("demo")[first]["state"] == "ready")
    assert {name for name, count in launches(service).items() if count > before[name]} == {first}
    second = min(name for name in everyone_else if name.startswith("data"))
    wait_for("green", lambda: service.show("demo")["health"] == "green")
    service.client.post(f"{C}/plan/steps/restart-{second}/force",
                        {"gate": "canary_approved", "confirm": "canary_approved"})
    wait_for("the forced one", lambda: launches(service)[second] > before[second])
    service.client.post(f"{C}/abandon")
    settled(service, 4)
    after = launches(service)
    assert service.show("demo")["spec"] == spec_before
    assert {name: after[name] - before[name] for name in after} == {
        name: 2 if name in (first, second) else 0 for name in after}


def test_a_node_that_is_gone_is_replaced_and_what_returns_is_released(
        box: DataCentre, service: Service) -> None:
    node = service.nodes("demo")["data-3"]
    agent = box.agent(int(node["host"].rpartition("-")[2]))
    with writing_beside(service, "demo", "data-3") as writing:
        agent.kill()
        os.kill(node["pid"], signal.SIGKILL)
        wait_for("another node", lambda: "data-4" in service.nodes("demo"), 400)
        wait_for("its place to be taken", lambda: service.nodes("demo")["data-4"][
            "state"] == "ready" and service.show("demo")["health"] == "green", 400)
        assert service.nodes("demo")["data-4"]["host"] != node["host"]
        wait_for("the old one to be given up", lambda: service.nodes("demo")["data-3"][
            "state"] in ("stopping", "stopped"), 200)
        assert len(volumes(box, "demo/demo")) == 4, "the dead agent's is not listed"
        agent.start()
        wait_for("what returned to be released", lambda: "data-3" not in service.nodes("demo"),
                 400)
        settled(service, 4)
    writing.check(url(service))
    assert len(volumes(box, "demo/demo")) == 4
    service.client.delete(C, confirm="demo")
    wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
    assert reserved_by_role(box) == {}
