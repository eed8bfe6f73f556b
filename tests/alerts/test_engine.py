"""Alerts of the service: stored first, then sent; over restarts, refusals and lost processes."""
from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.core.alerts.policy import AlertPolicy
from esaas.framework.core.facts import EsNode, NodeState
from esaas.framework.runtime.loop import ClusterLoop
from esaas.framework.service.alerts import engine as engine_module
from esaas.framework.service.clusters import Clusters
from esaas.framework.service.errors import Conflict, Invalid, NotFound
from esaas.framework.settings import Settings
from esaas.framework.sinks import AlertSettings
from esaas.framework.store.contract import Delete, StoreError
from esaas.framework.telemetry.readings import Reading, of_host, of_node

from ..core.builders import record, seat, view
from ..service.test_clusters import SPEC, settings
from .hooks import Hook

__all__ = ["settings"]

RED = {"cluster_red": {"for_s": 0}}
CALM = {"disabled": ["scheduler_without_master", "cluster_unseen", "plan_stuck", "node_count"]}


@pytest.fixture
def hook() -> Any:
    """A sink that takes everything."""
    found = Hook()
    yield found
    found.close()


def alerting(settings: Settings, hook: Hook, **more: Any) -> Settings:
    """Settings with one webhook; rounds are made by hand."""
    return settings.model_copy(update={"alerts": AlertSettings.model_validate({
        "sinks": [{"kind": "webhook", "name": "ops", "url": hook.url, "timeout_s": 2}],
        "evaluate_s": 300, "limits": RED | CALM} | more)})


@pytest.fixture
async def service(settings: Settings, hook: Hook) -> AsyncIterator[Clusters]:
    """A started service with one cluster whose view the tests make."""
    found = Clusters(alerting(settings, hook))
    await found.start()
    await found.create(SPEC)
    yield found
    await found.stop()


def shows(service: Clusters, health: str, name: str = "demo", **more: Any) -> ClusterLoop:
    """Let the cluster look like that, as far as its loop knows."""
    loop = service._loops[name]
    loop.cycle.state = replace(loop.state, es=view(at=time.time(), health=health, **more))
    return loop


async def until(found: Callable[[], Any], patience_s: float = 20.0) -> Any:
    """Poll for something true."""
    async with asyncio.timeout(patience_s):
        while not (value := found()):
            await asyncio.sleep(0.02)
    return value


async def test_it_fires_is_sent_and_is_over(service: Clusters, hook: Hook) -> None:
    service._loops["demo"].cycle.state = replace(service._loops["demo"].state, spec=replace_alerts(
        service, {"cluster_red": {"for_s": 0}}))
    shows(service, "red")
    await service.evaluate_alerts()
    await until(lambda: hook.alerts() == [("firing", "cluster_red", "")])
    [one] = await service.alerts()
    assert (one.status, one.cluster, one.tenant, one.severity) == (
        "firing", "demo", "demo", "critical")
    await until(lambda: not service._ledgers["demo"].outbox)
    await service.evaluate_alerts()
    shows(service, "green")
    await service.evaluate_alerts()                     # clear since now
    moved_back(service, 120)
    await service.evaluate_alerts()
    await until(lambda: hook.alerts()[-1] == ("resolved", "cluster_red", ""))
    assert len(hook.got) == 2 and await service.alerts() == []
    assert [line.event for line in await service.alert_history()] == ["resolved", "firing"]


def replace_alerts(service: Clusters, alerts: dict[str, Any]) -> Any:
    return service._loops["demo"].state.spec.model_copy(
        update={"alerts": AlertPolicy.model_validate(alerts)})


def moved_back(service: Clusters, by_s: float, group: str = "demo") -> None:
    """Let what is clear have been clear for longer: time passes."""
    ledger = service._ledgers[group]
    ledger.fresh({key: replace(one, clear_since=one.clear_since - by_s)
                  if one.clear_since is not None else one for key, one in ledger.alerts.items()})


async def test_a_look_that_changes_nothing_writes_nothing(
        service: Clusters, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    shows(service, "red", unassigned_shards=3)
    await service.evaluate_alerts()
    await until(lambda: hook.got and not service._ledgers["demo"].outbox)
    writes: list[Any] = []
    real = service._store.write
    monkeypatch.setattr(service._store, "write",
                        lambda lease, changes, entries=(): (
                            writes.extend(one for one in changes if one.path.startswith("alerts")),
                            real(lease, changes, entries))[1])
    for _ in range(5):
        shows(service, "red", unassigned_shards=7)
        await service.evaluate_alerts()
    assert writes == []
    assert {one.value for one in await service.alerts()} == {7}, "figures are shown as they are"


async def test_what_cannot_be_stored_is_not_sent_and_comes_with_the_next_round(
        service: Clusters, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    shows(service, "red")
    real = service._store.write

    def refuse(lease: Any, changes: Any, entries: Any = ()) -> Any:
        if any(change.path == "alerts/demo/state" for change in changes):
            raise StoreError("no")
        return real(lease, changes, entries)

    monkeypatch.setattr(service._store, "write", refuse)
    await service.evaluate_alerts()
    assert hook.seen == [] and service._ledgers["demo"].alerts == {}
    monkeypatch.setattr(service._store, "write", real)
    await service.evaluate_alerts()
    await until(lambda: hook.alerts() == [("firing", "cluster_red", "")])


async def test_a_process_that_dies_between_storing_and_sending_sends_after_its_restart(
        settings: Settings, hook: Hook) -> None:
    first = Clusters(alerting(settings, hook))
    first._delivery.start = lambda: None  # type: ignore[method-assign]     # it dies before
    await first.start()
    await first.create(SPEC)
    shows(first, "red")
    await first.evaluate_alerts()
    [waits] = first._ledgers["demo"].outbox.values()
    await first.stop()
    assert hook.seen == []
    second = Clusters(alerting(settings, hook))
    await second.start()
    got = await until(lambda: hook.got)
    assert got[0].headers["X-Esaas-Notification"] == waits.id
    assert [one.rule for one in await second.alerts()] == ["cluster_red"]
    shows(second, "red")
    await second.evaluate_alerts()
    await until(lambda: not second._ledgers["demo"].outbox)
    assert len(hook.got) == 1, "told before the restart is told"
    await second.stop()


async def test_a_sink_that_refuses_gets_the_same_again_in_order(
        service: Clusters, hook: Hook) -> None:
    hook.status = 503
    shows(service, "red")
    await service.evaluate_alerts()
    await until(lambda: len(hook.seen) >= 2)
    shows(service, "green")
    await service.evaluate_alerts()
    moved_back(service, 120)
    await service.evaluate_alerts()
    hook.status = 200
    await until(lambda: len(hook.got) == 2)
    assert [one[0] for one in hook.alerts()] == ["firing", "resolved"]
    assert len({one.headers["X-Esaas-Notification"] for one in hook.seen}) == 2


async def test_a_sink_that_hangs_holds_up_no_other(settings: Settings, hook: Hook) -> None:
    slow = Hook()
    slow.hold()
    both = [{"kind": "webhook", "name": "slow", "url": slow.url, "timeout_s": 100},
            {"kind": "webhook", "name": "ops", "url": hook.url}]
    service = Clusters(alerting(settings, hook, sinks=both))
    await service.start()
    await service.create(SPEC)
    shows(service, "red")
    await service.evaluate_alerts()
    await until(lambda: hook.got and slow.seen)
    assert [one.sink for one in service._ledgers["demo"].outbox.values()] in (["slow"], [
        "slow", "ops"])
    await service.stop()
    slow.close()


async def test_what_expires_is_given_up(settings: Settings, hook: Hook) -> None:
    hook.status = 500
    service = Clusters(alerting(settings, hook))
    await service.start()
    await service.create(SPEC)
    shows(service, "red")
    await service.evaluate_alerts()
    await until(lambda: hook.seen)
    ledger = service._ledgers["demo"]
    for key, one in ledger.outbox.items():
        ledger.outbox[key] = one.model_copy(update={"expires": time.time() - 1})
    await until(lambda: not ledger.outbox)
    await service.stop()


async def test_an_acknowledgement_outlives_a_restart(settings: Settings, hook: Hook) -> None:
    first = Clusters(alerting(settings, hook))
    await first.start()
    await first.create(SPEC)
    shows(first, "red")
    await first.evaluate_alerts()
    [one] = await first.alerts()
    acked = await first.acknowledge(one.id, "ann", "on it")
    assert acked.status == "acknowledged" and acked.ack is not None
    with pytest.raises(NotFound):
        await first.acknowledge("nothing", "ann")
    await first.stop()
    second = Clusters(alerting(settings, hook))
    await second.start()
    [again] = await second.alerts()
    assert again.ack == acked.ack and again.status == "acknowledged"
    assert [line.event for line in await second.alert_history()] == ["acknowledged", "firing"]
    await second.stop()


async def test_what_is_pending_cannot_be_acknowledged(service: Clusters) -> None:
    shows(service, "yellow")
    await service.evaluate_alerts()
    [one] = await service.alerts()
    assert one.status == "pending"
    with pytest.raises(Conflict):
        await service.acknowledge(one.id, "ann")


async def test_a_silence_keeps_it_quiet_and_its_end_lets_it_speak(
        service: Clusters, hook: Hook) -> None:
    with pytest.raises(Invalid, match="everything"):
        await service.add_silence({"lasts_s": 60, "why": "x"}, "ann")
    with pytest.raises(Invalid) as refused:
        await service.add_silence({"rule": "x", "lasts_s": -1, "odd": 1}, "ann")
    assert {fault.path for fault in refused.value.faults} == {"lasts_s", "why", "odd"}
    made = await service.add_silence(
        {"rule": "cluster_*", "cluster": "demo", "lasts_s": 600, "why": "work"}, "ann")
    shows(service, "red")
    await service.evaluate_alerts()
    [one] = await service.alerts()
    assert one.status == "silenced" and one.silenced_by == made.id and hook.seen == []
    assert await service.remove_silence(made.id) == []
    with pytest.raises(NotFound):
        await service.remove_silence(made.id)
    await service.evaluate_alerts()
    await until(lambda: hook.alerts() == [("firing", "cluster_red", "")])


async def test_a_lost_host_is_one_message_for_all_its_clusters(
        settings: Settings, hook: Hook) -> None:
    service = Clusters(alerting(settings, hook, limits={
        "agent_lost": {"for_s": 0}, "node_count": {"for_s": 0}, "cluster_yellow": {"for_s": 0},
        "disabled": ["scheduler_without_master", "plan_stuck", "mesos_away"]}))
    await service.start()
    for _ in range(2):                  # whichever comes first: the round of the start is over
        await service.evaluate_alerts()
    for name in ("demo", "other", "third"):
        await service.create(SPEC | {"name": name})
        loop = service._loops[name]
        for number in (1, 2, 3):
            away = number == 1
            loop.cycle.state = loop.state.with_node(record(
                f"node-{number}", NodeState.UNREACHABLE if away else NodeState.RUNNING,
                seat=seat(number)))
        loop.cycle.state = replace(loop.state, es=view(
            "node-2", "node-3", at=time.time(), health="yellow"))
    await service.evaluate_alerts()
    await until(lambda: hook.got)
    assert hook.alerts() == [("firing", "agent_lost", "host-1")]
    found = await service.alerts()
    assert {one.inhibited_by for one in found if one.cluster} == {"agent_lost host-1"}
    assert len([one for one in found if one.cluster]) == 6
    await service.stop()


async def test_figures_come_from_the_board_and_from_the_last_look(
        service: Clusters, hook: Hook) -> None:
    loop = service._loops["demo"]
    loop.cycle.state = replace(loop.state.with_node(record("node-1", seat=seat(1))), es=replace(
        view(at=time.time()), nodes={"node-1": EsNode("es-node-1", "node-1",
                                                      disk_used_percent=91.0)}))
    now = time.time()
    service.board.put([
        Reading(now, of_node("demo", "node-1"), {"gc_old_ms_per_s": 700.0}),
        Reading(now - 3600, of_node("demo", "node-2"), {"gc_old_ms_per_s": 700.0}),
        Reading(now, of_host("host-1"), {"load_per_core": 9.0, "disk_used_percent": 97.0})])
    await service.evaluate_alerts()
    found = {(one.rule, one.subject): one for one in await service.alerts()}
    assert found.keys() == {("gc_time", "node-1"), ("node_disk", "node-1"),
                            ("host_load", "host-1"), ("host_disk", "host-1")}
    assert found["node_disk", "node-1"].hosts == ["host-1"]


async def test_alerts_of_a_cluster_that_is_gone_are_over(
        service: Clusters, hook: Hook) -> None:
    shows(service, "red")
    await service.evaluate_alerts()
    await until(lambda: hook.got and not service._ledgers["demo"].outbox)
    loop = service._loops.pop("demo")
    await loop.stop()
    records = service._store.read("clusters/demo")
    service._store.write(loop.cycle.lease, [Delete(path, one.version)
                                            for path, one in records.items()])
    service._store.release(loop.cycle.lease)
    await service.evaluate_alerts()
    await until(lambda: ("resolved", "cluster_red", "") in hook.alerts())
    assert "alerts/demo/state" not in service._store.read("alerts")


async def test_a_store_that_fails_is_told_past_the_store(
        settings: Settings, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Clusters(alerting(settings, hook, limits={"store_trouble": {"for_s": 0}} | CALM))
    await service.start()
    real = service._read_alerts

    def fails() -> Any:
        raise StoreError("no quorum")

    monkeypatch.setattr(service, "_read_alerts", fails)
    for _ in range(3):
        await service.evaluate_alerts()
    assert [one[:2] for one in hook.alerts()] == [("firing", "store_trouble")]
    assert [one.rule for one in await service.alerts()] == ["store_trouble"]
    monkeypatch.setattr(service, "_read_alerts", real)
    await service.evaluate_alerts()
    assert [one[:2] for one in hook.alerts()][-1] == ("resolved", "store_trouble")
    assert await service.alerts() == []
    await service.stop()


async def test_quota_is_looked_at_now_and_then(service: Clusters) -> None:
    await service.set_tenant("demo", {"limit": {"cpus": 3.4}, "force": True})
    monkey = engine_module.QUOTA_EVERY_S
    service._uses = (time.time() - monkey - 1, None)
    await service.evaluate_alerts()
    assert [(one.rule, one.subject) for one in await service.alerts()] == [
        ("quota_nearly_used", "demo/cpus")]


async def test_a_test_says_what_each_sink_answered(
        settings: Settings, hook: Hook, tmp_path: Path) -> None:
    sinks = [{"kind": "webhook", "name": "ops", "url": f"{hook.url}?secret=1"},
             {"kind": "command", "name": "run", "argv": [str(tmp_path / "nothing")]}]
    service = Clusters(alerting(settings, hook, sinks=sinks))
    await service.start()
    found = {one.sink: one for one in await service.test_sinks()}
    assert found["ops"].ok and not found["run"].ok
    assert "secret" not in found["ops"].where
    assert hook.alerts() == [("firing", "test", "")]
    with pytest.raises(NotFound):
        await service.test_sinks("nothing")
    await service.stop()
