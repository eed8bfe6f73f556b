"""Where clusters are reached: which nodes take requests, what is told when, what is kept."""
from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.core.facts import ClusterState, NodeState
from esaas.framework.core.spec import parse_spec
from esaas.framework.service.clusters import Clusters
from esaas.framework.service.endpoints import endpoints_view
from esaas.framework.service.errors import Conflict, Elsewhere, Invalid, NotFound, Unavailable
from esaas.framework.service.foreign import Word
from esaas.framework.service.ports import Exhausted, PortRecord, Taken, assign
from esaas.framework.settings import KnownDistribution, Settings
from esaas.framework.store.contract import Put
from esaas.framework.store.sqlite import SqliteStore
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ..core.builders import formed, group, record, spec
from ..zookeepers import RealZooKeeper

S = NodeState
GROUP = {"name": "node", "count": 3, "roles": ["master", "data"], "mem_mb": 1024}
SPEC: dict[str, Any] = {"name": "demo", "tenant": "acme", "version": "6.8.23", "groups": [GROUP]}


# --------------------------------------------------------------- which nodes take requests

def names(state: ClusterState) -> list[str]:
    """The nodes that a load balancer is told of."""
    return [node.name for node in endpoints_view(state, {}).nodes]


def changed(facts: ClusterState, node: str, **more: Any) -> ClusterState:
    """With another record of one node."""
    return facts.with_node(replace(facts.nodes[node], **more))


def test_members_take_requests_and_nothing_else_does() -> None:
    state = formed()
    assert names(state) == ["node-1", "node-2", "node-3"]
    assert names(changed(state, "node-2", state=S.RESTARTING)) == ["node-1", "node-3"]
    assert names(changed(state, "node-2", es_node_id="another")) == ["node-1", "node-3"]
    assert names(replace(state, es=None)) == []
    kibana = group("kibana", 1, kind="sidecar", roles=[], command="x")
    beside = formed(wanted=spec(group(), kibana)).with_node(record("kibana-1"))
    assert beside.is_ready(beside.nodes["kibana-1"])
    assert names(beside) == ["node-1", "node-2", "node-3"]


def test_a_node_leaves_the_list_before_it_is_stopped_for_a_restart() -> None:
    chosen = changed(formed(), "node-2", recycle=1)         # and allocation is not even held yet
    assert chosen.is_ready(chosen.nodes["node-2"])
    assert names(chosen) == ["node-1", "node-3"]
    assert names(changed(chosen, "node-2", launch=2)) == ["node-1", "node-2", "node-3"]


def test_a_node_leaves_the_list_while_it_is_drained_if_others_are_there() -> None:
    leaving = changed(formed(), "node-2", leaving="scale-in")
    assert names(leaving) == ["node-1", "node-3"]
    for name in ("node-1", "node-3"):
        leaving = changed(leaving, name, leaving="moves")
    assert names(leaving) == ["node-1", "node-2", "node-3"]


def test_what_is_told_of_a_cluster_and_its_version() -> None:
    wanted = spec(group("master", 1, roles=["master"]), group("node", 2, roles=["data"]))
    state = formed(2, wanted)
    view = endpoints_view(state, {"http": 20000})
    assert view.http == view.data == ["http://10.0.0.1:31000", "http://10.0.0.2:31000"]
    assert view.master == view.ingest == []
    assert (view.cluster, view.tenant, view.secured) == ("demo", "acme", False)
    assert view.nodes[0].address == "10.0.0.1:31000" and view.nodes[0].roles == ["data"]
    assert endpoints_view(state, {"http": 20000}) == view
    others = [endpoints_view(state, {}), endpoints_view(changed(
        state, "node-1", state=S.DOWN), {"http": 20000})]
    assert len({view.version, *(other.version for other in others)}) == 3


# ----------------------------------------------------------------------- virtual ports

RANGE = (20000, 20005)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sets(st.sampled_from(
    ["master", "data", "ingest"])), st.none() | st.integers(*RANGE)), max_size=20))
def test_ports_are_unique_and_stay(
        wishes: list[tuple[str, set[str], int | None]]) -> None:
    records: dict[str, PortRecord] = {}
    for name, roles, wish in wishes:
        wanted = spec(name=name, virtual_roles=sorted(roles), virtual_port=wish)
        before = records.get(name)
        try:
            found = assign(records, name, wanted, RANGE, 1.0)
        except (Taken, Exhausted):
            continue
        records[name] = found
        assert found.ports.keys() == {"http", *roles}
        assert wish in (None, found.ports["http"])
        if before is not None and wish is None:
            assert all(found.ports[role] == port for role, port in before.ports.items()
                       if role in found.ports)
        ports = [port for each in records.values() for port in each.ports.values()]
        assert len(ports) == len(set(ports))
        assert all(RANGE[0] <= port <= RANGE[1] for port in ports)


def test_a_wish_that_is_taken_and_a_range_that_is_used_up() -> None:
    records = {"a": PortRecord(claimed_at=0.0, ports={"http": 20000})}
    with pytest.raises(Taken):
        assign(records, "b", spec(name="b", virtual_port=20000), RANGE, 1.0)
    with pytest.raises(Exhausted):
        assign(records, "b", spec(name="b"), (20000, 20000), 1.0)
    assert assign(records, "a", spec(name="a"), (20000, 20000), 1.0).ports == {"http": 20000}


@pytest.mark.parametrize(("given", "found"), [
    ("20000-20999", (20000, 20999)), ("none", None), ("3000-3000", (3000, 3000)), (None, None)])
def test_ranges(tmp_path: Path, given: Any, found: Any) -> None:
    assert Settings(mesos_master="m:1", state_dir=tmp_path,
                    virtual_ports=given).virtual_ports == found


@pytest.mark.parametrize("wrong", ["", "20000", "2-1", "80-90", "1024-70000", "a-b", "5000-4000"])
def test_what_is_no_range(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ValidationError, match="FIRST-LAST"):
        Settings(mesos_master="m:1", state_dir=tmp_path, virtual_ports=wrong)


# ----------------------------------------------------------------------- the service

@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """A master that nobody listens as."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def made(**more: Any) -> Settings:
        return Settings(**{
            "mesos_master": f"127.0.0.1:{port}", "state_dir": tmp_path,
            "virtual_ports": (20000, 20003), "distributions": {
                "6.8.23": KnownDistribution(url="file:///es.zip", sha256="0" * 64)}} | more)
    return made


@pytest.fixture
async def clusters(settings: Callable[..., Settings]) -> AsyncIterator[Clusters]:
    """A started service."""
    found = Clusters(settings())
    await found.start()
    yield found
    await found.stop()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)


def ports(service: Clusters, name: str = "demo") -> dict[str, int]:
    """Of a cluster that runs there."""
    return service.discover(name).virtual_ports


async def test_clusters_have_ports_of_their_own_and_keep_them(
        clusters: Clusters, settings: Callable[..., Settings]) -> None:
    await clusters.create(SPEC)
    await clusters.create(SPEC | {"name": "other", "virtual_roles": ["data"]})
    assert ports(clusters) == {"http": 20000} == clusters.show("demo").virtual_ports
    assert ports(clusters, "other") == {"http": 20001, "data": 20002}
    await clusters.scale("demo", "node", 4)
    await clusters.update("other", SPEC | {"name": "other"})
    assert ports(clusters, "other") == {"http": 20001}
    await clusters.stop()
    again = Clusters(settings())
    await again.start()
    assert (ports(again), ports(again, "other")) == ({"http": 20000}, {"http": 20001})
    await again.create(SPEC | {"name": "third", "virtual_port": 20003})
    assert ports(again, "third") == {"http": 20003}
    await again.stop()


async def test_a_port_that_is_taken_is_a_conflict_and_nothing_is_made(clusters: Clusters) -> None:
    await clusters.create(SPEC | {"virtual_port": 20001})
    for dry_run in (True, False):
        with pytest.raises(Conflict) as refused:
            await clusters.create(SPEC | {"name": "other", "virtual_port": 20001},
                                  dry_run=dry_run)
        assert [(fault.path, fault.rule) for fault in refused.value.faults] == [
            ("virtual_port", "virtual_port_is_free")]
        assert "demo" not in str(refused.value.faults), "whose it is, is nobody's business"
    await clusters.create(SPEC | {"name": "other"})
    with pytest.raises(Conflict):
        await clusters.update("other", SPEC | {"name": "other", "virtual_port": 20001})
    assert ports(clusters, "other") == {"http": 20000}
    await clusters.update("other", SPEC | {"name": "other", "virtual_port": 20002})
    assert ports(clusters, "other") == {"http": 20002}
    with pytest.raises(Conflict, match="no virtual port is free"):
        await clusters.create(SPEC | {"name": "many", "virtual_roles": [
            "master", "data", "ingest"]})
    assert [one.name for one in clusters.list_clusters()] == ["demo", "other"]


@pytest.mark.parametrize(("wish", "path"), [
    ({"virtual_port": 30000}, "virtual_port"), ({"virtual_port": 80}, "virtual_port"),
    ({"virtual_port": "x"}, "virtual_port"), ({"virtual_roles": ["none"]}, "virtual_roles[0]"),
    ({"virtual_roles": ["data", "data"]}, "virtual_roles")])
async def test_what_cannot_be_wished_for(
        clusters: Clusters, wish: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as refused:
        await clusters.create(SPEC | wish)
    assert [fault.path for fault in refused.value.faults] == [path]


async def test_without_a_range_there_are_none_and_later_all_get_one(
        settings: Callable[..., Settings]) -> None:
    before = Clusters(settings(virtual_ports=None))
    await before.start()
    with pytest.raises(Invalid, match="cannot be carried out"):
        await before.create(SPEC | {"virtual_port": 20000})
    await before.create(SPEC)
    assert ports(before) == {}
    await before.stop()
    after = Clusters(settings())
    await after.start()
    await until(lambda: ports(after) == {"http": 20000})
    await after.stop()


async def test_ports_of_clusters_that_are_gone_are_given_out_again(
        settings: Callable[..., Settings], tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    lease = store.acquire("_ports", "test")
    store.write(lease, [Put("ports/gone", PortRecord(
        claimed_at=1.0, ports={"http": 20000}).model_dump_json().encode(), 0)])
    store.close()
    service = Clusters(settings())
    await service.start()
    await until(lambda: not service._port_records)
    await service.create(SPEC)
    assert ports(service) == {"http": 20000}
    await service.stop()


async def test_the_bell_rings_when_a_cluster_is_reached_elsewhere_and_only_then(
        clusters: Clusters) -> None:
    bell = clusters.bell()
    await clusters.create(SPEC)
    await until(bell.is_set)
    assert [one.cluster for one in clusters.discover_all().clusters] == ["demo"]
    assert clusters.discover_all() == clusters.discover_all()
    bell = clusters.bell()
    await clusters.update("demo", SPEC | {"description": "nothing of addresses"})
    clusters._changed("demo")
    assert not bell.is_set()
    other = clusters.discover("demo").model_copy(update={"cluster": "far", "version": "1"})
    summary = clusters.list_clusters()[0].model_copy(update={"name": "far"})
    clusters.hear("two", Word(name="far", summary=summary, endpoints=other))
    assert bell.is_set()
    assert [one.cluster for one in clusters.discover_all().clusters] == ["demo", "far"]
    with pytest.raises(NotFound):
        clusters.discover("none")
    clusters.hear("two", Word(name="far"))
    assert "far" in [one.cluster for one in clusters.discover_all().clusters], (
        "its process has let it go, which does not mean that it is gone")
    await until(lambda: [one.cluster for one in clusters.discover_all().clusters] == ["demo"])
    await clusters.delete("demo", "demo")


async def test_nobody_is_told_of_nothing_before_the_service_knows(
        settings: Callable[..., Settings]) -> None:
    service = Clusters(settings())
    with pytest.raises(Unavailable):
        service.discover_all()
    await service.start()
    assert service.discover_all().complete and service.discover_all().clusters == []
    await service.create(SPEC)
    await service.stop()
    service._reached.clear()
    service._loops.clear()
    assert service._sharing is not None
    service._sharing.shared = replace(service._sharing.shared, names=frozenset({"demo"}))
    assert not service.discover_all().complete


@pytest.mark.system
async def test_processes_on_one_store_give_no_port_twice_and_answer_for_all(
        zookeeper: RealZooKeeper, settings: Callable[..., Settings], tmp_path: Path) -> None:
    one, two = (Clusters(settings(
        state_dir=tmp_path / who, store=f"zk://{zookeeper.hosts}/{tmp_path.name}",
        secret_key_file=tmp_path / "shared.key", virtual_ports=(20000, 20019)))
        for who in ("one", "two"))
    for service, url in ((one, "http://one"), (two, "http://two")):
        service.advertise(url)
        await service.start()
    await asyncio.gather(*(service.create(SPEC | {"name": f"{who}-{number}"})
                           for number in range(5) for service, who in ((one, "a"), (two, "b"))))
    for service, other in ((one, two), (two, one)):
        for word in other.words():
            service.hear("other", word)
    found = [view for service in (one, two) for view in service.discover_all().clusters]
    by_name = {view.cluster: view.virtual_ports["http"] for view in found}
    assert len(by_name) == 10 and len(set(by_name.values())) == 10
    assert sorted(by_name.values()) == list(range(20000, 20010))
    with pytest.raises((Elsewhere, Unavailable)):
        one.discover(next(name for name in by_name if name not in one.running()))
    await one.stop()
    await two.stop()


async def test_two_clusters_of_two_processes_do_not_write_snapshots_into_one_place(
        clusters: Clusters) -> None:
    def wish(location: str) -> dict[str, Any]:
        return SPEC | {"name": "near", "snapshots": {"repository": {
            "type": "fs", "settings": {"location": location}}}}
    await clusters.create(SPEC)
    [word] = clusters.words()
    assert word.summary is not None and word.snapshot_place == ""
    clusters.hear("two", word.model_copy(update={
        "name": "far", "summary": word.summary.model_copy(update={"name": "far"}),
        "snapshot_place": parse_spec(wish("/mnt/one")).snapshot_place}))
    with pytest.raises(Invalid) as refused:
        await clusters.create(wish("/mnt/one/"))
    assert [fault.rule for fault in refused.value.faults] == ["repository_not_shared"]
    assert (await clusters.create(wish("/mnt/two"))).changed
