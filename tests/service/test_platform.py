"""What the master and ZooKeeper say of themselves, as values."""
from __future__ import annotations

from typing import Any

import pytest
from esaas.framework.core.quota import Amounts
from esaas.framework.mesos import inventory
from esaas.framework.mesos.operator import OperatorApi
from esaas.framework.service.platform import agent_views, leftover_views
from esaas.framework.service.views import AgentView
from esaas.framework.store import ensemble

SRVR = """Zookeeper version: 3.8.0--1, built on 2022
Latency min/avg/max: 0/0.5/12
Received: 10
Connections: 3
Outstanding: 2
Zxid: 0x1
Mode: follower
Node count: 5
"""


def scalar(name: str, value: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}, **more}


def labelled(node: str) -> dict[str, Any]:
    labels = {"esaas.cluster": "demo", "esaas.uid": "uid1", "esaas.node": node,
              "esaas.incarnation": "2"}
    return {"role": "t/demo", "labels": {"labels": [
        {"key": key, "value": value} for key, value in labels.items()]}}


class StandInApi(OperatorApi):
    """Answers from a table."""

    async def leader(self) -> str:
        return "10.0.0.1:5050"

    async def asked(self, method: str, path: str, body: bytes | None) -> Any:
        if path == "/version":
            return {"version": "1.11.0"}
        if path == "/metrics/snapshot":
            return {"master/uptime_secs": 5.5, "master/slaves_active": 2.0}
        assert body is not None
        if b"GET_FRAMEWORKS" in body:
            return {"get_frameworks": {"frameworks": [
                {"framework_info": {"name": "esaas/t/demo", "id": {"value": "f1"}},
                 "connected": True, "active": True,
                 "registered_time": {"nanoseconds": 2_000_000_000}},
                {"framework_info": {"name": "marathon", "id": {"value": "m"}}}]}}
        return {"get_agents": {"agents": [{
            "agent_info": {"id": {"value": "S0"}, "hostname": "b", "attributes": [
                {"name": "rack", "type": "TEXT", "text": {"value": "r1"}}]},
            "active": True, "version": "1.11.0", "pid": "slave(1)@10.0.0.2:5051",
            "registered_time": {"nanoseconds": 1_000_000_000},
            "total_resources": [
                scalar("cpus", 4), scalar("mem", 100), scalar("cpus", 9, revocable={}),
                scalar("mem", 50, reservations=[{"role": "t/demo"}]),
                scalar("cpus", 1, reservations=[labelled("node-1")]),
                scalar("disk", 7, reservations=[labelled("node-1")],
                       disk={"persistence": {"id": "uid1.node-1.2"}}),
                scalar("disk", 9, reservations=[{"role": "t"}, labelled("node-2")])],
            "allocated_resources": [scalar("cpus", 1)]}]}}


async def test_agents_frameworks_and_the_master() -> None:
    api = StandInApi("10.0.0.1:5050")
    [agent] = await inventory.agents(api)
    assert (agent.total, agent.reserved, agent.allocated) == (
        Amounts(5, 150, 16), Amounts(1, 50, 16), Amounts(1))
    assert agent.attributes == (("rack", "r1"),) and agent.registered_at == 1.0
    assert [(one.id, one.registered_at) for one in await inventory.frameworks(api)] == [
        ("f1", 2.0)], "others are not ours"
    master = await inventory.master(api)
    assert (master.version, master.uptime_s, master.agents_active) == ("1.11.0", 5.5, 2)


async def test_what_is_reserved_for_a_cluster_that_nobody_knows_is_told() -> None:
    agents = await inventory.agents(StandInApi("10.0.0.1:5050"))
    assert leftover_views(agents, {"demo", "other"}) == []
    assert [(one.host, one.cluster, one.node, one.incarnation, one.role, one.volumes,
             one.amounts.cpus, one.amounts.disk_mb)
            for one in leftover_views(agents, {"other"})] == [
        ("b", "demo", "node-1", "2", "t/demo", ["uid1.node-1.2"], 1, 7),
        ("b", "demo", "node-2", "2", "t/demo", [], 0, 9)]


async def test_a_host_that_the_master_does_not_know_is_shown_all_the_same() -> None:
    agents = await inventory.agents(StandInApi("10.0.0.1:5050"))
    found = agent_views(agents, [AgentView(host="a", nodes=[], empty=True)])
    assert [(one.host, one.active, one.agent_id) for one in found] == [
        ("a", False, ""), ("b", True, "S0")]


def test_what_a_server_of_zookeeper_says() -> None:
    found = ensemble.status_of("z:1", SRVR)
    assert (found.mode, found.version, found.latency_ms, found.outstanding, found.nodes) == (
        "follower", "3.8.0", 0.5, 2, 5)
    refused = ensemble.status_of("z:1", "srvr is not executed because it is not in the whitelist.")
    assert "whitelist" in refused.problem
    assert ensemble.status_of("z:1", "").problem


async def test_a_server_that_is_away_is_told() -> None:
    [found] = await ensemble.ask("127.0.0.1:1")
    assert "does not answer" in found.problem


@pytest.mark.system
async def test_a_real_server_tells(zookeeper: Any) -> None:
    [found] = await ensemble.ask(zookeeper.hosts)
    assert (found.mode, found.problem) == ("standalone", "")
    assert found.nodes is not None and found.latency_ms is not None
