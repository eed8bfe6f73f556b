"""Hosts of a real Mesos that go away as planned, and one that never comes back; told in order."""
from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre

from .service import Service, allocation, spec, wait_for
from .test_real_life import reserved_by_role, volumes

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]
C = "/v1/clusters/demo"
S_IN_NS = 10**9


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """Four agents: one more than the cluster needs."""
    with temporary_data_centre(4, principals={"demo": "demo"}) as centre:
        yield centre


@pytest.fixture(scope="module")
def service(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A green cluster of three nodes."""
    directory: Path = tmp_path_factory.mktemp("service")
    with Service(box, directory, ("demo",)).start() as found:
        found.client.post("/v1/clusters", spec("demo", "demo", 3))
        found.green("demo", 3)
        yield found


def schedule(box: DataCentre, host: str | None, begins_in_s: float = 0, lasts_s: float = 0) -> None:
    """What an operator schedules on the master; nothing for None."""
    windows: list[dict[str, Any]] = [] if host is None else [{
        "machine_ids": [{"hostname": host, "ip": "127.0.0.1"}],
        "unavailability": {
            "start": {"nanoseconds": int((time.time() + begins_in_s) * S_IN_NS)},
            "duration": {"nanoseconds": int(lasts_s * S_IN_NS)}}}]
    box.operator_call({"type": "UPDATE_MAINTENANCE_SCHEDULE", "update_maintenance_schedule": {
        "schedule": {"windows": windows}}})


def answers(box: DataCentre) -> list[str]:
    """What frameworks said to the inverse offers."""
    found = box.operator_call({"type": "GET_MAINTENANCE_STATUS"})
    machines = found["get_maintenance_status"]["status"].get("draining_machines", [])
    return [item["status"] for machine in machines for item in machine.get("statuses", [])]


def calm(service: Service, count: int = 3) -> None:
    service.green("demo", count)
    wait_for("the plan to be done", lambda: service.show("demo")["plan_status"] == "done")


def test_a_host_that_people_take_out_is_empty_and_its_node_comes_back(
        service: Service, written: None) -> None:
    before = service.nodes("demo")["node-2"]
    host = before["host"]
    service.client.post(f"/v1/agents/{host}/drain", {"lasts_s": 1800})
    wait_for("the host to be empty", lambda: service.client.get(f"/v1/agents/{host}")["empty"])
    wait_for("allocation to be as it was", lambda: allocation(service) == {})
    assert service.nodes("demo")["node-2"]["state"] == "down"
    step = next(step for phase in service.show("demo")["plan"]["phases"]
                for step in phase["steps"] if step["id"] == "start-node-2")
    assert step["detail"].startswith("held by host_in_service")
    service.client.delete(f"/v1/agents/{host}/drain")
    calm(service)
    after = service.nodes("demo")["node-2"]
    assert (after["es_node_id"], after["http_address"], after["launch"]) == (
        before["es_node_id"], before["http_address"], before["launch"] + 1)


def test_a_scheduled_window_is_answered_when_the_node_has_stopped(
        box: DataCentre, service: Service, written: None) -> None:
    before = service.nodes("demo")["node-3"]
    schedule(box, before["host"], begins_in_s=300, lasts_s=600)
    wait_for("the node to be stopped for it",
             lambda: service.nodes("demo")["node-3"]["state"] == "down")
    wait_for("the master to have our yes", lambda: "ACCEPT" in answers(box))
    assert service.client.get(f"/v1/agents/{before['host']}")["maintenance"]["mode"] == "stop"
    schedule(box, None)
    calm(service)
    after = service.nodes("demo")["node-3"]
    assert after["es_node_id"] == before["es_node_id"]
    assert service.client.get(f"/v1/agents/{before['host']}")["maintenance"] is None


def test_a_long_window_moves_the_node_before(
        box: DataCentre, service: Service, written: None) -> None:
    before = service.nodes("demo")["node-1"]
    schedule(box, before["host"], begins_in_s=900, lasts_s=86400)
    wait_for("another node elsewhere", lambda: "node-1" not in service.nodes("demo"), 500)
    calm(service)
    hosts = {node["host"] for node in service.nodes("demo").values()}
    assert before["host"] not in hosts and len(hosts) == 3
    assert len(volumes(box, "demo/demo")) == 3
    schedule(box, None)


def test_an_agent_that_is_declared_gone_is_made_up_for(box: DataCentre, service: Service) -> None:
    calm(service)
    before = service.nodes("demo")["node-2"]
    agent = box.agent(int(before["host"].rpartition("-")[2]))
    agent.kill()
    os.kill(before["pid"], signal.SIGKILL)
    box.operator_call({"type": "MARK_AGENT_GONE", "mark_agent_gone": {
        "agent_id": {"value": before["agent_id"]}}})
    wait_for("nothing of it to be left", lambda: before["es_node_id"] not in {
        node["es_node_id"] for node in service.nodes("demo").values()}, 300)
    calm(service)
    assert before["host"] not in {node["host"] for node in service.nodes("demo").values()}
    assert len(volumes(box, "demo/demo")) == 3, "of the agents that are there"
    service.client.delete(C, confirm="demo")
    wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
    assert reserved_by_role(box) == {}
