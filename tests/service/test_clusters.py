"""The service without a Mesos master: what is stored, refused, and taken up again."""
from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.core.decide import Decision
from esaas.framework.core.facts import ClusterState
from esaas.framework.runtime import cycle
from esaas.framework.service.clusters import Clusters
from esaas.framework.service.errors import (
    Conflict,
    Invalid,
    Malformed,
    NotFound,
    Unavailable,
)
from esaas.framework.service.foreign import Word
from esaas.framework.settings import KnownDistribution, Settings
from esaas.framework.store.contract import Put, StoreBusy
from esaas.framework.store.sqlite import SqliteStore

GROUP = {"name": "node", "count": 3, "roles": ["master", "data"], "mem_mb": 1024}
SPEC: dict[str, Any] = {"name": "demo", "tenant": "demo", "version": "6.8.23", "groups": [GROUP]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A master that nobody listens as."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Settings(mesos_master=f"127.0.0.1:{port}", state_dir=tmp_path, distributions={
        "6.8.23": KnownDistribution(url="file:///es.zip", sha256="0" * 64)})


@pytest.fixture
async def clusters(settings: Settings) -> AsyncIterator[Clusters]:
    """A started service."""
    found = Clusters(settings)
    await found.start()
    yield found
    await found.stop()


async def test_the_same_spec_twice_changes_nothing_and_another_is_a_conflict(
        clusters: Clusters) -> None:
    assert (await clusters.create(SPEC)).changed
    assert not (await clusters.create(SPEC)).changed
    with pytest.raises(Conflict):
        await clusters.create(SPEC | {"description": "another"})
    assert [item.name for item in clusters.list_clusters()] == ["demo"]
    assert clusters.list_clusters("other") == []


@pytest.mark.parametrize(("body", "error"), [
    ("text", Malformed), ([], Malformed), ({}, Invalid), (SPEC | {"version": "6.8.22"}, Invalid)])
async def test_a_bad_spec_is_refused_and_nothing_is_stored(
        clusters: Clusters, body: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await clusters.create(body)
    assert clusters.list_clusters() == []


async def test_a_dry_run_stores_nothing(clusters: Clusters) -> None:
    await clusters.create(SPEC, dry_run=True)
    assert clusters.list_clusters() == []
    await clusters.create(SPEC)
    before = clusters.show("demo").revision
    preview = (await clusters.scale("demo", "node", 5, dry_run=True)).preview
    assert preview is not None and preview.starts == ["node-4", "node-5"]
    assert clusters.show("demo").revision == before


async def test_everything_is_there_after_a_restart(settings: Settings) -> None:
    first = Clusters(settings)
    await first.start()
    await first.create(SPEC)
    await first.scale("demo", "node", 4)
    shown = first.show("demo")
    await first.stop()
    second = Clusters(settings)
    await second.start()
    again = second.show("demo")
    assert (again.revision, again.framework_id, again.spec) == (
        2, shown.framework_id, shown.spec)
    assert [item.revision for item in await second.revisions("demo")] == [2, 1]
    assert (await second.revisions("demo"))[0].changes == ["groups.node.count: 3 -> 4"]
    assert [event.kind for event in await second.events("demo")][0] == "created"
    await second.stop()


async def test_one_process_at_a_time(clusters: Clusters, settings: Settings) -> None:
    with pytest.raises(StoreBusy):
        Clusters(settings)


async def test_a_cluster_that_cannot_be_read_leaves_the_others_alone(settings: Settings) -> None:
    first = Clusters(settings)
    await first.start()
    await first.create(SPEC)
    await first.create(SPEC | {"name": "other"})
    await first.stop()
    store = SqliteStore(settings.state_dir)
    lease = store.acquire("demo", "test")
    found = store.read("clusters/demo")["clusters/demo/meta"]
    store.write(lease, [Put("clusters/demo/meta", b"junk", found.version)])
    store.close()
    second = Clusters(settings)
    await second.start()
    assert [item.name for item in second.list_clusters()] == ["other"]
    assert list(second.status().unreadable) == ["demo"]
    with pytest.raises(Conflict, match="cannot be read"):
        await second.create(SPEC)
    await second.stop()


@pytest.mark.parametrize("ask", [
    lambda service: service.scale("demo", "none", 4),
    lambda service: service.scale("none", "node", 4),
    lambda service: service.rollback("demo", 7),
    lambda service: service.restart("demo", "node-9"),
    lambda service: service.delete("none", "none")])
async def test_unknown_names_are_not_found(
        clusters: Clusters, ask: Callable[[Clusters], Any]) -> None:
    await clusters.create(SPEC)
    with pytest.raises(NotFound):
        await ask(clusters)


async def test_an_override_must_name_a_rule_that_refuses_and_may_be_overridden(
        clusters: Clusters) -> None:
    body = SPEC | {"groups": [GROUP | {"count": 5}]}
    await clusters.create(body)
    with pytest.raises(Conflict) as refused:
        await clusters.scale("demo", "node", 2)
    assert {fault.rule for fault in refused.value.faults} == {
        "shrink_sees_the_data", "quorum_stays", "cluster_formed"}
    with pytest.raises(Invalid):
        await clusters.update("demo", body | {"description": "x"}, override="quorum_stays")
    with pytest.raises(Invalid, match="cannot be overridden"):
        await clusters.update("demo", SPEC | {"groups": [GROUP | {
            "count": 5, "roles": ["master", "data", "ingest"]}]},
                              override="groups_keep_their_roles")


async def test_a_watcher_hears_what_happens(clusters: Clusters) -> None:
    stream = clusters.watch(None)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)              # until it listens
    await clusters.create(SPEC)
    heard = await asyncio.wait_for(first, 30)
    assert "demo" in heard.model_dump_json()
    await stream.aclose()


async def test_an_error_of_our_own_holds_one_cluster_and_is_told(
        clusters: Clusters, monkeypatch: pytest.MonkeyPatch) -> None:
    await clusters.create(SPEC)
    await clusters.create(SPEC | {"name": "other"})
    decide = cycle.decide

    def broken(state: ClusterState, *rest: Any) -> Decision:
        if state.identity.name == "demo":
            raise KeyError("a bug")
        return decide(state, *rest)

    monkeypatch.setattr(cycle, "decide", broken)
    with pytest.raises(Unavailable, match="a bug"):
        await clusters.scale("demo", "node", 4)
    assert clusters.show("demo").summary.startswith("held: an error of the service itself")
    assert clusters.show("demo").revision == 1, "nothing was stored"
    assert (await clusters.scale("other", "node", 4)).revision == 2


async def test_logs_are_shipped_into_another_cluster_of_the_tenant(clusters: Clusters) -> None:
    for name, tenant in (("logs", "demo"), ("theirs", "acme")):
        await clusters.create(SPEC | {"name": name, "tenant": tenant})
    for target in ("demo", "theirs", "nowhere"):
        with pytest.raises(Invalid) as refused:
            await clusters.create(SPEC | {"logs": {"cluster": target}})
        assert [(fault.path, fault.rule) for fault in refused.value.faults] == [
            ("logs.cluster", "log_target_is_ours")]
    await clusters.create(SPEC | {"logs": {"cluster": "logs"}})
    target, source = clusters._loops["logs"], clusters._loops["demo"]
    seeds = replace(target.state.seeds, http_urls=("http://10.0.0.1:31000",))
    target.cycle.state = replace(target.state, seeds=seeds)
    clusters._tell_remotes("logs")
    async with asyncio.timeout(60):
        while source.state.seeds.log_urls != seeds.http_urls:
            await asyncio.sleep(0.05)


async def test_logs_are_shipped_into_a_cluster_of_another_process(clusters: Clusters) -> None:
    summary = clusters._summary
    await clusters.create(SPEC | {"name": "logs"})
    far = summary(clusters._loops["logs"]).model_copy(update={"name": "far"})
    clusters.hear("two", Word(name="far", summary=far, http_urls=("http://10.0.0.9:1",)))
    await clusters.create(SPEC | {"logs": {"cluster": "far"}})
    clusters._tell_remotes("demo")
    async with asyncio.timeout(60):
        while clusters._loops["demo"].state.seeds.log_urls != ("http://10.0.0.9:1",):
            await asyncio.sleep(0.05)
