"""Processes that share a store: the key that all must have, and a service on a real ZooKeeper."""
from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.service.clusters import Clusters
from esaas.framework.service.errors import ServiceError
from esaas.framework.service.vault import KEY_RECORD, VaultError, agree_on_key
from esaas.framework.settings import KnownDistribution, Settings
from esaas.framework.store.sqlite import SqliteStore
from pydantic import SecretStr, ValidationError

from ..zookeepers import RealZooKeeper

GROUP = {"name": "node", "count": 3, "roles": ["master", "data"], "mem_mb": 1024}
SPEC: dict[str, Any] = {"name": "demo", "tenant": "demo", "version": "6.8.23", "groups": [GROUP]}


def test_the_first_key_is_the_one_that_all_must_have(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store")
    first, second = tmp_path / "first.key", tmp_path / "second.key"
    agree_on_key(store, first, "one")
    assert first.stat().st_mode & 0o777 == 0o600
    with pytest.raises(VaultError, match="second.key is not there"):
        agree_on_key(store, second, "two")
    assert not second.exists(), "no key that nobody could use is left behind"
    shutil.copy(first, second)
    agree_on_key(store, second, "two")
    third = tmp_path / "third.key"
    agree_on_key(SqliteStore(tmp_path / "another"), third, "three")
    with pytest.raises(VaultError, match="third.key is not the key that this store was made with"):
        agree_on_key(store, third, "three")
    assert first.read_bytes() not in store.read("service")[KEY_RECORD].data
    assert store.leases() == {}
    store.close()


@pytest.mark.parametrize(("more", "words"), [
    ({"store": "zk:/host"}, "must be zk://"), ({"store": "zk://host:2181"}, "must be zk://"),
    ({"store": "zk://user:pw@host/x"}, "must be zk://"), ({"store": "http://host/x"}, "must be"),
    ({"store": "zk://host/../x"}, "no path that a store can have"),
    ({"store_credentials": {"user": "u", "password": "p"}}, "name one in store"),
    ({"store": "zk://host/x", "store_credentials": {"user": "a:b", "password": "p"}}, "user")])
def test_settings_of_a_store_that_cannot_be(
        tmp_path: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings(mesos_master="host:5050", state_dir=tmp_path, **more)


def test_settings_of_a_store(tmp_path: Path) -> None:
    found = Settings(mesos_master="host:5050", state_dir=tmp_path,
                     store="zk://a:2181,b:2181,[::1]:2183/prod/esaas",
                     store_credentials={"user": "u", "password": "hidden"},
                     secret_key_file=tmp_path / "key")
    assert found.key_path == tmp_path / "key"
    assert "hidden" not in repr(found)
    assert Settings(mesos_master="host:5050", state_dir=tmp_path).key_path == (
        tmp_path / "secret.key")


# ------------------------------------------------------------------ a real ZooKeeper

@pytest.fixture
def settings(zookeeper: RealZooKeeper, tmp_path: Path) -> Callable[..., Settings]:
    """Of one process or another on one store; nobody listens as a master."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def made(who: str, **more: Any) -> Settings:
        return Settings(**{
            "mesos_master": f"127.0.0.1:{port}", "state_dir": tmp_path / who,
            "store": f"zk://{zookeeper.hosts}/{tmp_path.name}",
            "secret_key_file": tmp_path / "shared.key", "distributions": {
                "6.8.23": KnownDistribution(url="file:///es.zip", sha256="0" * 64)}, **more})

    return made


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.05)


@pytest.mark.system
async def test_a_service_on_zookeeper_leaves_its_clusters_to_the_next(
        settings: Callable[..., Settings]) -> None:
    secret = {"user": "esaas", "password": SecretStr("secret")}
    first = Clusters(settings("one", store_credentials=secret))
    first.advertise("http://one")
    await first.start()
    assert first.status().store == settings("one").store
    await first.create(SPEC)
    await first.set_secrets("demo", {"s3.client.default.access_key": "word"})
    revision = first.show("demo").revision
    await first.stop()
    with pytest.raises(ServiceError):
        await first.create(SPEC | {"name": "late"})
    second = Clusters(settings("two", store_credentials=secret))
    second.advertise("http://two")
    await second.start()
    await until(lambda: [item.name for item in second.list_clusters()] == ["demo"])
    assert second.show("demo").revision == revision
    assert "created" in [event.kind for event in await second.events("demo")]
    assert second._vault.read(second._loops["demo"].cycle) == {
        "s3.client.default.access_key": "word"}
    await second.stop()


@pytest.mark.system
async def test_two_services_share_clusters_out_and_one_takes_all_when_the_other_stops(
        settings: Callable[..., Settings]) -> None:
    one, two = Clusters(settings("one")), Clusters(settings("two"))
    for service, url in ((one, "http://one"), (two, "http://two")):
        service.advertise(url)
        await service.start()
    for number in range(6):
        await one.create(SPEC | {"name": f"demo-{number}"})
    await until(lambda: len(one.running()) == len(two.running()) == 3)
    assert not set(one.running()) & set(two.running())
    await one.stop()
    await until(lambda: len(two.running()) == 6)
    await two.stop()


@pytest.mark.system
def test_a_process_with_another_key_does_not_start(
        settings: Callable[..., Settings], tmp_path: Path) -> None:
    async def run() -> None:
        service = Clusters(settings("one"))
        await asyncio.to_thread(service._store.close)
        with pytest.raises(VaultError, match="other.key is not there"):
            Clusters(settings("two", secret_key_file=tmp_path / "other.key"))

    before = threading.active_count()
    asyncio.run(run())
    assert threading.active_count() <= before + 1, "the refused one has let go of its session"
