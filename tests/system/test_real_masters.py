"""Masters that change, and a framework that somebody removes; on a real Mesos with ZooKeeper."""
from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.client import Refused
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre

from .service import Service, spec, wait_for
from .test_real_life import reserved_by_role, volumes

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """Three masters and three agents."""
    with temporary_data_centre(3, principals={"demo": "demo", "acme": "acme"}, masters=3,
                               zookeeper=True) as centre:
        yield centre


@pytest.fixture(scope="module")
def service(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two green clusters of two tenants."""
    directory: Path = tmp_path_factory.mktemp("service")
    with Service(box, directory, ("demo", "acme")).start() as found:
        for name in ("demo", "acme"):
            found.client.post("/v1/clusters", spec(name, name, 2))
        for name in ("demo", "acme"):
            found.green(name, 2)
        yield found


def facts(service: Service, name: str) -> dict[str, tuple[Any, ...]]:
    return {node["name"]: (node["task_id"], node["pid"], node["es_node_id"], node["launch"])
            for node in service.show(name)["nodes"]}


def frameworks(box: DataCentre, name: str) -> list[str]:
    """Ids of the active frameworks of a cluster."""
    return [one["id"] for one in box.master_state()["frameworks"]
            if one["name"] == f"esaas/{name}/{name}" and one["active"]]


def test_every_framework_follows_the_leading_master_and_nothing_moves(
        box: DataCentre, service: Service) -> None:
    before = {name: facts(service, name) for name in ("demo", "acme")}
    ids = {name: service.show(name)["framework_id"] for name in before}
    leader = box.leader()
    assert leader is not None
    port = int(leader.rpartition(":")[2])
    old = next(box.master(number) for number in (1, 2, 3) if box.master(number).port == port)
    old.kill()
    wait_for("another leader", lambda: box.leader() not in (None, leader), 120)
    for name in before:
        wait_for(f"{name} to be registered there", lambda one=name: frameworks(
            box, one) == [ids[one]], 120)
        service.green(name, 2)
        assert facts(service, name) == before[name]
    old.start()


def test_a_removed_framework_is_held_and_never_replaced_by_itself(
        box: DataCentre, service: Service) -> None:
    before = service.show("demo")
    # The new leader knows agents, and what is on them, only when they have registered with it.
    kept = wait_for("the leader to know the volumes", lambda: (
        lambda found: found if len(found) == 2 else None)(volumes(box, "demo/demo")), 120)
    with pytest.raises(Refused) as refused:
        service.client.post("/v1/clusters/demo/reregister", {"confirm": "demo"})
    assert refused.value.status == 409
    box.operator_call({"type": "TEARDOWN", "teardown": {
        "framework_id": {"value": before["framework_id"]}}})
    wait_for("the cluster to say so", lambda: "removed" in service.show("demo")["summary"], 120)
    until = time.monotonic() + 20           # longer than any back-off between two tries
    while time.monotonic() < until:
        assert frameworks(box, "demo") == []
        time.sleep(1)
    assert service.stop() == 0
    service.start()
    wait_for("it to be held again", lambda: "removed" in service.show("demo")["summary"], 120)
    assert frameworks(box, "demo") == [] and volumes(box, "demo/demo") == kept
    service.green("acme", 2)


def test_people_register_it_anew_and_its_nodes_start_on_their_volumes(
        box: DataCentre, service: Service) -> None:
    kept, before = volumes(box, "demo/demo"), service.nodes("demo")
    service.client.post("/v1/clusters/demo/reregister", {"confirm": "demo"})
    service.green("demo", 2)
    after = service.nodes("demo")
    assert volumes(box, "demo/demo") == kept
    assert {name: node["es_node_id"] for name, node in after.items()} == {
        name: node["es_node_id"] for name, node in before.items()}
    for name in ("demo", "acme"):
        service.client.delete(f"/v1/clusters/{name}", confirm=name)
    wait_for("all to be gone", lambda: service.client.get("/v1/clusters") == [])
    assert reserved_by_role(box) == {}
