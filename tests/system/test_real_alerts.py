"""Alerts on a real Mesos and a real Elasticsearch: each is made to fire, and to be over again.

One life of one box and a cluster of two small nodes; limits are lowered in its spec and by the file
of the service. Notifications go to a real HTTP server. What needs figures of weeks or a broken disk
(trend, drill) is shown on stand-ins in ``tests/alerts``.
"""
from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre

from ..alerts.hooks import Hook
from .alerting import AT_ONCE, Alerting, hook, listed, told
from .service import Service, spec, wait_for

pytestmark = [pytest.mark.system, pytest.mark.long, pytest.mark.timeout(900)]
__all__ = ["hook"]                      # a fixture
LIMITS = {
    "cluster_red": AT_ONCE, "cluster_yellow": AT_ONCE, "unassigned_shards": AT_ONCE,
    "cluster_unseen": AT_ONCE, "node_count": AT_ONCE, "plan_stuck": AT_ONCE,
    "scheduler_without_master": AT_ONCE}
# This machine has as much to do as it likes.
PLATFORM = {"host_load": {"above": 1000}, "agent_lost": AT_ONCE,
            "quota_nearly_used": AT_ONCE | {"above": 50}}


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """One master and two agents, so that a node whose agent is away has nowhere to go."""
    with temporary_data_centre(2, principals={"demo": "demo"}) as centre:
        yield centre


@pytest.fixture(scope="module")
def service(box: DataCentre, hook: Hook,
            tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one sink and a green cluster; a round every half second."""
    directory: Path = tmp_path_factory.mktemp("service")
    found = Alerting(box, directory, ("demo",))
    found.told_to(hook, PLATFORM)
    found.start()
    with found:
        found.client.post("/v1/clusters", spec("demo", "demo", 2, alerts=LIMITS))
        found.green("demo", 2)
        yield found


def change(service: Service, **limits: Any) -> None:
    """Other limits in the spec of the cluster, which restart no node."""
    before = {node["name"]: node["task_id"] for node in service.show("demo")["nodes"]}
    wanted = spec("demo", "demo", 2, alerts=LIMITS | limits)
    service.client.put("/v1/clusters/demo", wanted)
    assert {node["name"]: node["task_id"] for node in service.show("demo")["nodes"]} == before


def quiet_down(service: Service) -> None:
    """Until nothing fires that a step of before has left."""
    wait_for("all to be over", lambda: [one for one in service.client.get("/v1/alerts")
                                        if one["status"] != "pending"
                                        and one["rule"] != "quota_nearly_used"] == []
             and "none", 180)


def test_a_disk_above_its_limit_fires_and_ends_with_the_limit(
        service: Service, hook: Hook) -> None:
    quiet_down(service)
    change(service, node_disk={"above": 0.01, "critical": 99, "for_s": 0})
    found = wait_for("the disks", lambda: len(listed(service, "node_disk")) == 2
                     and listed(service, "node_disk"))
    assert {one["subject"] for one in found} == {"node-1", "node-2"}
    assert all(one["runbook"] == "docs/runbooks.md#node_disk" for one in found)
    wait_for("the message", lambda: told(hook, "node_disk", "firing"))
    ident = found[0]["id"]
    acked = service.client.post(f"/v1/alerts/{ident}/ack", {"comment": "known"})
    assert acked["status"] == "acknowledged"
    change(service)


def test_shards_that_find_no_node_are_told_with_elasticsearchs_own_word(
        service: Service, hook: Hook) -> None:
    service.es("demo", "/many?wait_for_active_shards=0", "PUT", {"settings": {
        "number_of_shards": 1, "number_of_replicas": 3}})
    wait_for("yellow", lambda: told(hook, "cluster_yellow", "firing"))
    wait_for("shards", lambda: told(hook, "unassigned_shards", "firing"))
    one = wait_for("the explanation", lambda: [
        one for one in listed(service, "unassigned_shards") if one["explanation"]])[0]
    assert "many[0] replica" in one["explanation"]
    assert "same shard" in one["explanation"] or "already" in one["explanation"]
    # A step of the plan that a gate holds: a restart waits for green.
    service.client.post("/v1/clusters/demo/restart")
    stuck = wait_for("the plan", lambda: listed(service, "plan_stuck"))
    assert stuck[0]["subject"] == "cluster_green"
    service.client.post("/v1/clusters/demo/pause")
    # A primary that is on no node: red keeps yellow and the shards quiet.
    service.es("demo", "/nowhere?wait_for_active_shards=0", "PUT", {"settings": {
        "number_of_shards": 1, "index.routing.allocation.require._name": "nobody"}})
    wait_for("red", lambda: told(hook, "cluster_red", "firing"))
    assert {one["inhibited_by"] for one in listed(service, "unassigned_shards")} == {
        "cluster_red"}
    service.es("demo", "/many,nowhere", "DELETE")
    for rule in ("cluster_red", "cluster_yellow", "unassigned_shards", "node_disk", "plan_stuck"):
        wait_for(f"{rule} to be over", lambda one=rule: listed(service, one) == [] and "over")
    for rule in ("cluster_red", "cluster_yellow", "unassigned_shards", "node_disk"):
        wait_for(f"{rule} to be told over", lambda one=rule: told(hook, one, "resolved"))


def test_a_quota_that_is_nearly_used(service: Service, hook: Hook) -> None:
    """Looked at every two minutes: begun here, awaited at the end."""
    service.client.put("/v1/tenants/demo", {"limit": {"cpus": 2.0}})


def test_a_node_that_dies_counts_as_missing_until_it_is_back(
        service: Service, hook: Hook) -> None:
    pid = service.nodes("demo")["node-2"]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for("the node", lambda: told(hook, "node_count", "firing"))
    service.client.post("/v1/clusters/demo/continue")
    wait_for("it to be over", lambda: told(hook, "node_count", "resolved"))


def test_a_lost_agent_is_one_message_and_the_rest_is_explained_by_it(
        box: DataCentre, service: Service, hook: Hook) -> None:
    service.green("demo", 2)
    quiet_down(service)
    before = len(hook.alerts())
    seat = service.nodes("demo")["node-2"]
    agent = box.agent(int(seat["host"].rpartition("-")[2]))
    os.kill(seat["pid"], signal.SIGKILL)
    agent.kill()
    wait_for("the agent", lambda: told(hook, "agent_lost", "firing", before))
    found = [one for one in service.client.get("/v1/alerts") if one["rule"] == "node_count"]
    assert all(one["inhibited_by"].startswith("agent_lost") for one in found)
    agent.start()
    wait_for("it to be over", lambda: told(hook, "agent_lost", "resolved", before))
    service.green("demo", 2)


def test_a_master_that_hangs_leaves_the_scheduler_without_one(
        box: DataCentre, service: Service, hook: Hook) -> None:
    quiet_down(service)
    master = box.master(1)
    master.stop()
    try:
        wait_for("the scheduler", lambda: told(hook, "scheduler_without_master", "firing"))
    finally:
        master.cont()
    wait_for("it to be over", lambda: told(hook, "scheduler_without_master", "resolved"))


def test_what_fired_while_the_sink_was_away_comes_after_a_kill(
        service: Service, hook: Hook) -> None:
    """Stored, not taken, killed: told by the next process, under the same id."""
    wait_for("the quota", lambda: told(hook, "quota_nearly_used", "firing"), 200)
    hook.status = 503
    seen = len(hook.seen)
    change(service, node_disk={"above": 0.01, "critical": 99, "for_s": 0})
    wait_for("a try", lambda: len(hook.seen) > seen)
    first = hook.seen[seen].headers["X-Esaas-Notification"]
    service.kill()
    hook.status = 200
    service.start()
    wait_for("it", lambda: first in [one.headers["X-Esaas-Notification"] for one in hook.got])
    service.green("demo", 2)
    change(service)
    wait_for("it to be over", lambda: listed(service, "node_disk") == [] and "over")
    service.client.put("/v1/tenants/demo", {"limit": {"cpus": 100}})
    lines = service.client.get("/v1/alerts/history")
    assert {"firing", "resolved", "acknowledged"} <= {one["event"] for one in lines}
