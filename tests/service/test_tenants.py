"""Tenants and quota over a stand-in of the operator API: stored, refused, brought there."""
from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.core.quota import Amounts, Limit
from esaas.framework.mesos.operator import (
    MasterAway,
    MasterRefuses,
    OperatorApi,
    RoleQuota,
    _Told,
)
from esaas.framework.service.clusters import Clusters
from esaas.framework.service.errors import Conflict, Invalid, Malformed, NotFound, Unavailable
from esaas.framework.service.tenants import tenants as part
from esaas.framework.service.tenants.records import LEASE, Register
from esaas.framework.settings import KnownDistribution, MesosCredentials, Settings
from esaas.framework.store.contract import Put, StoreBusy, StoreError
from esaas.framework.store.sqlite import SqliteStore

from .standin_operator import StandInOperator
from .test_clusters import SPEC

# A cluster of three nodes of 1 CPU, with executors: 3.3 CPUs; and one more during changes: 4.4.
THREE = 4.4


@pytest.fixture
async def master() -> AsyncIterator[StandInOperator]:
    """A stand-in that wants a password."""
    found = StandInOperator("ops", "the secret of ops")
    found.start()
    yield found
    await found.stop()


@pytest.fixture
def settings(tmp_path: Path, master: StandInOperator) -> Settings:
    """With the credentials that it wants."""
    return Settings(
        mesos_master=master.address, state_dir=tmp_path,
        operator_credentials=MesosCredentials.model_validate(
            {"principal": "ops", "secret": "the secret of ops"}),
        distributions={"6.8.23": KnownDistribution(url="file:///es.zip", sha256="0" * 64)})


@pytest.fixture
async def clusters(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clusters]:
    """A started service that looks often."""
    monkeypatch.setattr(part, "LOOK_S", 0.02)
    monkeypatch.setattr(part, "AGAIN_S", 0.05)
    found = Clusters(settings)
    await found.start()
    yield found
    await found.stop()


def named(name: str, count: int = 3, **more: Any) -> dict[str, Any]:
    """A spec of so many nodes."""
    return SPEC | {"name": name, "groups": [SPEC["groups"][0] | {"count": count}]} | more


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    """Poll for a state."""
    deadline = time.monotonic() + 20
    while not await what():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.02)


def refusal(caught: pytest.ExceptionInfo[Invalid]) -> dict[str, str]:
    """Messages by rule."""
    return {fault.rule: fault.message for fault in caught.value.faults}


# ------------------------------------------------------------------------- requests


async def test_a_tenant_without_a_record_has_no_quota(clusters: Clusters) -> None:
    await clusters.create(named("demo", 40))
    view = await clusters.tenant("demo")
    assert (view.has_quota, view.standing, view.limit.cpus) == (False, "none", None)
    assert view.wanted.cpus == pytest.approx(1.1 * 41)
    with pytest.raises(NotFound):
        await clusters.tenant("nobody")
    with pytest.raises(NotFound):
        await clusters.remove_tenant("demo")


async def test_what_goes_beyond_is_refused_with_the_arithmetic_and_changes_nothing(
        clusters: Clusters) -> None:
    await clusters.set_tenant("demo", {"limit": {"cpus": 6}})
    await clusters.create(named("first"))
    for dry_run in (True, False):
        with pytest.raises(Invalid) as caught:
            await clusters.create(named("second"), dry_run=dry_run)
        assert refusal(caught) == {"tenant_quota": "cpus: 4.4 used by 1 cluster + 4.4 asked for "
                                                   "= 8.8 > limit 6 of tenant demo"}
    assert [one.name for one in clusters.list_clusters()] == ["first"]
    with pytest.raises(Invalid) as caught:
        await clusters.scale("first", "node", 5)
    assert refusal(caught)["tenant_quota"].startswith("cpus: 4.4 used by 1 cluster + 2.2 asked")
    with pytest.raises(Invalid):
        await clusters.update("first", named("first", 5))
    assert clusters.show("first").revision == 1
    await clusters.set_tenant("demo", {"limit": {"cpus": 9}})
    await clusters.create(named("second"))
    await clusters.create(named("elsewhere", tenant="acme"))


async def test_each_cluster_has_a_limit_and_one_may_have_its_own(clusters: Clusters) -> None:
    await clusters.set_tenant("demo", {"cluster_limit": {"cpus": 5}, "clusters": {
        "big": {"cpus": 20}}})
    await clusters.create(named("small"))
    await clusters.create(named("big", 10))
    with pytest.raises(Invalid) as caught:
        await clusters.scale("small", "node", 4)
    assert refusal(caught) == {"cluster_quota": "cpus: 4.4 used by small + 1.1 asked for = 5.5 > "
                                                "limit 5 of cluster small"}


async def test_an_override_is_for_one_rule_and_is_recorded(clusters: Clusters) -> None:
    await clusters.set_tenant("demo", {"limit": {"cpus": 1}})
    with pytest.raises(Invalid):
        await clusters.create(named("demo"), override="cluster_quota")
    await clusters.create(named("demo"), override="tenant_quota")
    assert "overriding tenant_quota" in (await clusters.events("demo"))[0].message
    await clusters.scale("demo", "node", 4, override="tenant_quota")
    assert clusters.show("demo").revision == 2


async def test_other_rules_still_answer_as_before(clusters: Clusters) -> None:
    await clusters.set_tenant("demo", {"limit": {"cpus": 5}})
    await clusters.create(named("demo"))
    with pytest.raises(Conflict) as caught:         # a scale-in before anything was seen
        await clusters.scale("demo", "node", 2)
    assert "tenant_quota" not in {fault.rule for fault in caught.value.faults}


async def test_of_two_requests_that_fit_one_by_one_only_one_is_taken(clusters: Clusters) -> None:
    await clusters.create(named("a"))
    await clusters.create(named("b"))
    await clusters.set_tenant("demo", {"limit": {"cpus": 3 * THREE - 2.2}})
    answers = await asyncio.gather(clusters.scale("a", "node", 4), clusters.scale("b", "node", 5),
                                   clusters.scale("a", "node", 5), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Invalid)]
    used = (await clusters.tenant("demo")).wanted.cpus
    assert refused and used <= 3 * THREE - 2.2


async def test_clusters_of_other_processes_count(
        clusters: Clusters, settings: Settings) -> None:
    await clusters.set_tenant("demo", {"limit": {"cpus": 6}})
    await clusters.create(named("far"))
    loop = clusters._loops.pop("far")           # as if another process ran it
    try:
        with pytest.raises(Invalid) as caught:
            await clusters.create(named("near"))
        assert "4.4 used by 1 cluster" in refusal(caught)["tenant_quota"]
        assert [share.cluster for share in (await clusters.tenant("demo")).clusters] == ["far"]
    finally:
        clusters._loops["far"] = loop


# -------------------------------------------------------------------------- setting


@pytest.mark.parametrize(("body", "paths"), [
    ({"limit": {"cpus": -1}}, {"limit.cpus"}),
    ({"limit": {"cpus": "many", "gpus": 1}, "x": 1}, {"limit.cpus", "limit.gpus", "x"}),
    ({"guarantee": {"cpus": 5}, "limit": {"cpus": 4}}, {"limit.cpus"}),
    ({"guarantee": {"cpus": 9}}, {"guarantee.cpus"}),
    ({"owner": "two\nlines"}, {"contacts"}),
    ({"limit": {"mem_mb": float("inf")}}, {"limit.mem_mb"}),
    ({"clusters": {"No Name": {}}}, {"clusters.No Name.[key]"}),
])
async def test_a_quota_that_cannot_be_is_refused_with_every_fault(
        clusters: Clusters, master: StandInOperator, body: Any, paths: set[str]) -> None:
    with pytest.raises(Invalid) as caught:
        await clusters.set_tenant("demo", body)
    assert {fault.path for fault in caught.value.faults} == paths
    assert await clusters.tenants() == [] and master.quotas == {}


async def test_what_is_no_tenant_is_refused(clusters: Clusters) -> None:
    for body in ("text", [], None):
        with pytest.raises(Malformed):
            await clusters.set_tenant("demo", body)
    with pytest.raises(Invalid) as caught:
        await clusters.set_tenant("Demo/x", {"limit": {"cpus": -1}})
    assert set(refusal(caught)) >= {"tenant_name"} and len(caught.value.faults) == 2


async def test_a_limit_below_what_is_used_takes_force(clusters: Clusters) -> None:
    await clusters.create(named("demo"))
    with pytest.raises(Invalid) as caught:
        await clusters.set_tenant("demo", {"limit": {"cpus": 4}})
    assert refusal(caught) == {"limit_covers_use": "4.4 wanted by clusters that are there > limit "
                                                   "4; force it to set it all the same"}
    assert (await clusters.set_tenant("demo", {"limit": {"cpus": 4}, "force": True})).has_quota


async def test_guarantees_of_all_roles_fit_into_the_agents(
        clusters: Clusters, master: StandInOperator) -> None:
    master.quotas["spark"] = {"role": "spark", "guarantees": {"cpus": {"value": 5}}, "limits": {}}
    with pytest.raises(Invalid) as caught:
        await clusters.set_tenant("demo", {"guarantee": {"cpus": 4}})
    assert refusal(caught) == {"capacity_covers_guarantees": (
        "cpus: 5 guaranteed to 1 other + 4 for demo = 9 > 8 of all agents")}
    view = await clusters.set_tenant("demo", {"guarantee": {"cpus": 4}, "force": True})
    assert view.standing == "applied" and master.updates[-1]["force"] is True


# --------------------------------------------------------------- the way to the master


async def test_a_quota_comes_to_the_master_and_goes_again(
        clusters: Clusters, master: StandInOperator) -> None:
    master.use["demo"] = {"allocated": {"cpus": 1.5, "mem": 100}, "reserved": {"disk": 7},
                          "offered": {}, "quota": {"consumed": {"cpus": 2}}}
    view = await clusters.set_tenant("demo", {
        "display_name": "Demo", "owner": "Ada", "contacts": ["ada@example.org"],
        "limit": {"cpus": 10, "disk_mb": 0}, "guarantee": {"cpus": 2.5}})
    assert master.quotas["demo"] == {"role": "demo", "guarantees": {"cpus": {"value": 2.5}},
                                     "limits": {"cpus": {"value": 10.0}, "disk": {"value": 0.0}}}
    assert view.standing == "applied" and view.master is not None and not view.master.drift
    assert (view.master.used.cpus, view.master.reserved.disk_mb, view.master.consumed.cpus) == (
        1.5, 7, 2)
    left = await clusters.remove_tenant("demo")
    assert not left.has_quota and master.quotas == {} and await clusters.tenants() == []


async def test_while_the_master_is_away_it_is_pending_and_tried_again(
        clusters: Clusters, master: StandInOperator) -> None:
    master.answer = 503, ""
    view = await clusters.set_tenant("demo", {"limit": {"cpus": 10}})
    assert (view.standing, view.master) == ("pending", None) and "not ready" in view.why
    assert view.master_problem
    with pytest.raises(Invalid):        # here it holds at once
        await clusters.create(named("demo", 20))
    master.answer = None

    async def applied() -> bool:
        return (await clusters.tenant("demo")).standing == "applied"
    await until(applied)
    assert "demo" in master.quotas
    master.answer = 503, ""
    assert (await clusters.remove_tenant("demo")).removing
    await clusters.create(named("big", 20))         # removed here: nothing is refused any more
    master.answer = None

    async def forgotten() -> bool:
        return not (await clusters.tenant("demo")).has_quota
    await until(forgotten)
    assert master.quotas == {}


async def test_what_the_master_refuses_is_told_and_tried_again(
        clusters: Clusters, master: StandInOperator) -> None:
    master.answer = 400, "Invalid QuotaConfig: not on the roles whitelist"
    view = await clusters.set_tenant("demo", {"limit": {"cpus": 10}})
    assert view.standing == "refused" and "whitelist" in view.why
    master.answer = None

    async def applied() -> bool:
        return (await clusters.tenant("demo")).standing == "applied"
    await until(applied)


async def test_a_yes_of_the_master_is_not_enough(
        clusters: Clusters, master: StandInOperator) -> None:
    master.deaf = True
    view = await clusters.set_tenant("demo", {"limit": {"cpus": 10}})
    assert view.standing == "pending" and "no limit on the master" in view.why


async def test_a_quota_that_somebody_else_changes_is_shown_as_drift(
        clusters: Clusters, master: StandInOperator) -> None:
    await clusters.set_tenant("demo", {"limit": {"cpus": 10}})
    master.quotas["demo"]["limits"] = {"cpus": {"value": 3}}
    view = await clusters.tenant("demo")
    assert view.master is not None
    assert view.master.drift == "limit cpus: 10 here, 3 on the master"
    view = await clusters.set_tenant("demo", {"limit": {"cpus": 10}})
    assert view.master is not None and view.master.drift == ""


async def test_the_record_outlives_a_restart_with_the_last_word_not_brought_yet(
        settings: Settings, master: StandInOperator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "LOOK_S", 0.02)
    first = Clusters(settings)
    await first.start()
    master.answer = 503, ""
    await first.set_tenant("demo", {"limit": {"cpus": 10}})
    await first.stop()
    master.answer = None
    second = Clusters(settings)
    await second.start()

    async def there() -> bool:
        return "demo" in master.quotas
    try:
        await until(there)
        assert (await second.tenant("demo")).limit.cpus == 10
    finally:
        await second.stop()


async def test_a_record_that_cannot_be_read_lets_nothing_through(
        clusters: Clusters) -> None:
    lease = clusters._store.acquire(LEASE, "test")
    clusters._store.write(lease, [Put("tenants/demo", b"{}", 0)])
    clusters._store.release(lease)
    with pytest.raises(Unavailable):
        await clusters.create(SPEC)
    assert clusters.list_clusters() == []


# ----------------------------------------------------------------------- the register


async def test_who_waits_too_long_for_another_process_is_told(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path)

    def busy(name: str, owner: str) -> None:
        raise StoreBusy(f"{name} is held")
    register = Register(store, "me", patience_s=0.1)
    with monkeypatch.context() as patch:
        patch.setattr(store, "acquire", busy)
        with pytest.raises(Unavailable):
            async with register.turn():
                pass
    with pytest.raises(Unavailable):
        async with register.turn():
            raise StoreError("no")
    async with register.turn() as turn:             # given back all the same
        assert turn.page.records == {}
    store.close()


# ----------------------------------------------------------------------- the operator


async def test_the_leader_is_followed_and_told_who_asks(master: StandInOperator) -> None:
    follower = StandInOperator()
    follower.leader = master.address
    api = OperatorApi(follower.start(), "ops", "the secret of ops")
    await api.update_quota("acme", RoleQuota(Amounts(1), Limit(cpus=2)))
    assert await api.get_quota() == {"acme": RoleQuota(Amounts(1), Limit(cpus=2))}
    assert await api.capacity() == Amounts(8, 16384, 100000)
    assert "the secret" not in repr(api)
    await follower.stop()


async def test_wrong_credentials_are_a_refusal(master: StandInOperator) -> None:
    api = OperatorApi(master.address, "ops", "wrong")
    with pytest.raises(MasterRefuses) as caught:
        await api.get_quota()
    assert caught.value.status == 401 and "wrong" not in str(caught.value)


async def test_nobody_leads(master: StandInOperator) -> None:
    master.leader = master.address
    with pytest.raises(MasterAway):
        await OperatorApi(master.address).get_quota()
    await master.stop()
    with pytest.raises(MasterAway):
        await OperatorApi(master.address).get_quota()


def test_what_zookeeper_says_of_the_leader_is_read() -> None:
    told: list[str | None] = []
    found = _Told(told.append)
    found.onNewMasterDetectedMessage(b'{"address": {"ip": "10.0.0.1", "port": 5050}}')
    found.onNewMasterDetectedMessage(b'{"address": {"hostname": "m1", "port": 5050}}')
    found.onNewMasterDetectedMessage(b"junk")
    found.onNoMasterDetectedMessage()
    assert told == ["10.0.0.1:5050", "m1:5050", None, None]
