"""Finding the leading master by a real ZooKeeper, as masters write themselves into it."""
from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from esaas.framework.mesos import operator
from esaas.framework.mesos.operator import MasterAway, MasterFinder
from kazoo.client import KazooClient

from ..zookeepers import RealZooKeeper, real_zookeeper

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def zookeeper() -> Iterator[RealZooKeeper]:
    with real_zookeeper() as found:
        yield found


@pytest.fixture
def client(zookeeper: RealZooKeeper) -> Iterator[KazooClient]:
    """The masters."""
    found = KazooClient(zookeeper.hosts)
    found.start()
    found.ensure_path("/mesos/log_replicas")
    yield found
    found.stop()
    found.close()


def master(number: int) -> bytes:
    """What a master says of itself."""
    return json.dumps({"address": {"ip": "10.0.0.1", "port": 5050 + number},
                       "hostname": f"m{number}"}).encode()


async def until(finder: MasterFinder, wanted: str) -> None:
    """Poll until the finder names a master."""
    async with asyncio.timeout(30):
        while await finder.find() != wanted:
            await asyncio.sleep(0.05)


async def test_the_leader_is_found_and_followed(
        zookeeper: RealZooKeeper, client: KazooClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "FIND_TIMEOUT_S", 0.5)
    finder = MasterFinder(f"zk://{zookeeper.hosts}/mesos")
    with pytest.raises(MasterAway):
        await finder.find()
    monkeypatch.setattr(operator, "FIND_TIMEOUT_S", 30)
    make = client.create
    await asyncio.to_thread(make, "/mesos/json.info_", master(1), sequence=True, ephemeral=True)
    await asyncio.to_thread(make, "/mesos/json.info_", master(2), sequence=True, ephemeral=True)
    await until(finder, "10.0.0.1:5051")
    first = min(name for name in client.get_children("/mesos") if name.startswith("json"))
    await asyncio.to_thread(client.delete, f"/mesos/{first}")
    await until(finder, "10.0.0.1:5052")
    await finder.close()


async def test_a_zookeeper_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "FIND_TIMEOUT_S", 0.5)
    finder = MasterFinder("zk://127.0.0.1:1/mesos")
    with pytest.raises(MasterAway):
        await finder.find()
    await finder.close()
