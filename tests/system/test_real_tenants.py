"""Tenants on a real master with ACLs: quota set while running, refusals, and who sees what.

Told in order: each test goes on from where the one before left the tenants.
"""
from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.client import Client, Refused
from esaas.local import master_api
from esaas.local.datacentre import DataCentre
from esaas.local.spec import default_agents
from esaas.local.testing import FIRST_TASK_PORT, temporary_data_centre

from .service import Service, spec, wait_for
from .test_real_life import reserved_by_role

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
# Two nodes of 0.5 CPUs and 768 MB with their executors, and none beyond them.
ONE = {"cpus": 1.2, "mem_mb": 1664, "disk_mb": 4000}


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """Two agents; each tenant has a principal for its own roles."""
    agents = default_agents(2, first_port=FIRST_TASK_PORT + 3000)
    with temporary_data_centre(agents, principals={"acme": "acme", "demo": "demo"}) as centre:
        yield centre


@pytest.fixture(scope="module")
def service(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may set quota."""
    directory: Path = tmp_path_factory.mktemp("service")
    with Service(box, directory, ("acme", "demo")).start() as found:
        yield found


def small(name: str, tenant: str = "acme", count: int = 2) -> dict[str, Any]:
    """A cluster that reserves ONE."""
    return spec(name, tenant, count, change={"max_extra": 0})


def quota_of(box: DataCentre, role: str) -> dict[str, Any] | None:
    """What the master has on record; it keeps the name of a role whose quota was removed."""
    found = box.operator_call({"type": "GET_QUOTA"})["get_quota"]["status"].get("configs", [])
    return next((config for config in found if config["role"] == role
                 and len(config) > 1), None)


def faults_of(error: Refused) -> dict[str, str]:
    """Messages by rule."""
    return {fault.rule: fault.message for fault in error.faults}


def test_a_quota_set_while_running_is_on_the_master(box: DataCentre, service: Service) -> None:
    assert quota_of(box, "acme") is None
    view = service.client.put("/v1/tenants/acme", {
        "owner": "Ada", "guarantee": {"cpus": 0.5}, "limit": {"cpus": 2, "mem_mb": 3000}})
    assert (view["standing"], view["why"]) == ("applied", "")
    assert quota_of(box, "acme") == {
        "role": "acme", "guarantees": {"cpus": {"value": 0.5}},
        "limits": {"cpus": {"value": 2.0}, "mem": {"value": 3000.0}}}
    with pytest.raises(Refused) as caught:
        service.client.put("/v1/tenants/demo", {"guarantee": {"cpus": 10_000}})
    assert caught.value.status == 422
    assert "of all agents" in faults_of(caught.value)["capacity_covers_guarantees"]


def test_the_master_takes_no_quota_below_a_tenant(box: DataCentre) -> None:
    """So the limit of a cluster is ours alone (docs/adr/0013-quota.md)."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        box.operator_call({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [
            {"role": "acme/one", "limits": {"cpus": {"value": 1}}}]}})
    assert caught.value.code == 400 and b"nested role" in caught.value.read()


def test_what_a_cluster_reserves_counts_on_the_master(
        box: DataCentre, service: Service) -> None:
    service.client.post("/v1/clusters", small("one"))
    service.green("one", 2)
    view = service.client.get("/v1/tenants/acme")
    assert view["wanted"] == ONE
    assert {part: view["master"][part]["cpus"] for part in ("used", "reserved", "consumed")} == {
        "used": 1.2, "reserved": 1.2, "consumed": 1.2}
    assert view["master"]["reserved"]["mem_mb"] == ONE["mem_mb"]
    assert view["master"]["drift"] == ""


def test_a_second_cluster_is_refused_with_the_arithmetic_and_nothing_changes(
        box: DataCentre, service: Service) -> None:
    before = reserved_by_role(box)
    for dry_run in (True, False):
        with pytest.raises(Refused) as caught:
            service.client.post("/v1/clusters", small("two"), dry_run=dry_run)
        assert caught.value.status == 422
        assert caught.value.faults[0].message == (
            "cpus: 1.2 used by 1 cluster + 1.2 asked for = 2.4 > limit 2 of tenant acme")
    with pytest.raises(Refused):
        service.client.post("/v1/clusters/one/scale", {"group": "node", "count": 4})
    assert [one["name"] for one in service.client.get("/v1/clusters")] == ["one"]
    assert service.show("one")["revision"] == 1 and reserved_by_role(box) == before


def test_a_limit_below_what_is_used_takes_force_here_and_on_the_master(
        box: DataCentre, service: Service) -> None:
    with pytest.raises(Refused) as caught:
        service.client.put("/v1/tenants/acme", {"limit": {"cpus": 1}})
    assert "limit_covers_use" in faults_of(caught.value)
    view = service.client.put("/v1/tenants/acme", {"limit": {"cpus": 1}, "force": True})
    assert view["standing"] == "applied"
    # Nothing is taken away: what is reserved is offered on, and a node starts on it again.
    before = service.nodes("one")["node-1"]["launch"]
    service.client.post("/v1/clusters/one/nodes/node-1/restart")
    wait_for("the restart", lambda: service.nodes("one")["node-1"]["launch"] == before + 1)
    service.green("one", 2)


def test_after_the_quota_is_raised_it_is_accepted_and_green(
        box: DataCentre, service: Service) -> None:
    view = service.client.put("/v1/tenants/acme", {"limit": {"cpus": 3}})
    assert view["standing"] == "applied"
    service.client.post("/v1/clusters", small("two"))
    service.green("two", 2)
    assert set(reserved_by_role(box)) == {"acme/one", "acme/two"}
    assert service.client.get("/v1/tenants/acme")["master"]["consumed"]["cpus"] == 2.4


def test_what_somebody_changes_on_the_master_is_drift(box: DataCentre, service: Service) -> None:
    box.operator_call({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [
        {"role": "acme", "limits": {"cpus": {"value": 7}}}]}})
    view = service.client.get("/v1/tenants/acme")
    assert view["master"]["drift"] == "limit cpus: 3 here, 7 on the master"
    assert service.client.put("/v1/tenants/acme", {"limit": {"cpus": 3}})["master"]["drift"] == ""


def test_a_principal_reserves_under_its_own_tenant_only(box: DataCentre) -> None:
    leading = box.master_url.removeprefix("http://")
    agent = next(iter(master_api.agents(leading).values()))["id"]

    def reserve(role: str, kind: str = "RESERVE_RESOURCES") -> None:
        resource = {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}, "reservations": [
            {"type": "DYNAMIC", "role": role, "principal": "acme"}]}
        master_api.call(leading, {"type": kind, kind.lower(): {
            "agent_id": {"value": agent}, "resources": [resource]}}, "acme", box.secret("acme"))

    reserve("acme/probe")
    wait_for("the reservation", lambda: "acme/probe" in reserved_by_role(box))
    for role in ("demo", "demo/one"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            reserve(role)
        assert caught.value.code == 403
    assert not [role for role in reserved_by_role(box) if role.startswith("demo")]
    reserve("acme/probe", "UNRESERVE_RESOURCES")
    wait_for("it to be given back", lambda: "acme/probe" not in reserved_by_role(box))


def test_users_of_one_tenant_do_not_see_the_other(service: Service) -> None:
    made = service.client.post("/v1/tokens", {
        "name": "of-demo", "role": "operator", "tenants": ["demo"]})
    theirs = Client(service.url, made["token"])
    assert theirs.get("/v1/clusters") == [] and theirs.get("/v1/agents") is not None
    assert "acme" not in {one["name"] for one in theirs.get("/v1/tenants")}
    for method, path, body in (
            ("get", "/v1/clusters/one", None), ("get", "/v1/tenants/acme", None),
            ("post", "/v1/clusters/one/scale", {"group": "node", "count": 3}),
            ("put", "/v1/tenants/acme", {}), ("post", "/v1/clusters", small("mine"))):
        with pytest.raises(Refused) as caught:
            getattr(theirs, method)(path, *([body] if body is not None else []))
        assert caught.value.status == 403, (method, path)
    # Roles of a tenant without quota are as before; its operator may not go past one either.
    accepted = theirs.post("/v1/clusters", small("theirs", "demo"), dry_run=True)
    assert accepted["changed"]
    with pytest.raises(Refused) as caught:
        theirs.post("/v1/clusters", small("theirs", "demo"), override="tenant_quota")
    assert caught.value.status == 403


def test_without_its_quota_a_tenant_is_as_before(box: DataCentre, service: Service) -> None:
    for name in ("one", "two"):
        service.client.delete(f"/v1/clusters/{name}", confirm=name)
    wait_for("the clusters to be gone", lambda: service.client.get("/v1/clusters") == [])
    left = service.client.delete("/v1/tenants/acme")
    assert not left["has_quota"] and quota_of(box, "acme") is None
    assert reserved_by_role(box) == {}
