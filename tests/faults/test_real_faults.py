"""``make test-faults``: one fault after another on real parts, each under continuous writes."""
from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from esaas.local.datacentre import DataCentre
from esaas.local.fetch.plugins import fetch_plugin
from esaas.local.settings import Settings
from esaas.local.testing import temporary_data_centre

from ..system.service import Service, put, spec, wait_for
from . import rows
from .ground import LONG_S, NAME, NODES, Ground, reserved, sleep_process

pytestmark = [pytest.mark.system, pytest.mark.faults, pytest.mark.timeout(1500)]
Hit = Callable[[Ground], None]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Four agents, three masters and ZooKeeper; two processes; a green cluster of three nodes."""
    with temporary_data_centre(4, principals={"demo": "demo"}, masters=3,
                               zookeeper=True) as box:
        fetch_plugin(Settings.load().cache, "6.7.0")
        pair = processes(box, tmp_path_factory)
        with pair[0], pair[1]:
            pair[0].client.post("/v1/clusters", spec(NAME, "demo", NODES))
            pair[0].green(NAME, NODES)
            yield Ground(box, pair)
            rows.write()


def processes(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> list[Service]:
    first = Service(box, tmp_path_factory.mktemp("first"), ("demo",),
                    store=f"zk://{box.zookeeper_address}/esaas").start()
    return [first, Service(box, tmp_path_factory.mktemp("second"), ("demo",),
                           beside=first).start()]


# ------------------------------------------------------------------------- faults

def kill_service(ground: Ground) -> None:
    owner = ground.owner()
    owner.kill()
    wait_for("the other to take over", lambda: ground.owner() is not owner, 120)
    owner.start()


def sleep_service(ground: Ground) -> None:
    process = ground.owner().process
    assert process is not None
    sleep_process(process.pid, 2 * LONG_S)


def kill_agent(ground: Ground) -> None:
    agent = ground.agent(first(ground))
    agent.kill()
    time.sleep(5)
    agent.start()


def sleep_agent(ground: Ground) -> None:
    sleep_process(ground.agent(first(ground)).pid, LONG_S)


def kill_executor(ground: Ground) -> None:
    ground.executor(first(ground)).kill()


def sleep_executor(ground: Ground) -> None:
    sleep_process(ground.executor(first(ground)).pid, LONG_S)


def kill_jvm(ground: Ground) -> None:
    os.kill(ground.nodes()[first(ground)]["pid"], signal.SIGKILL)


def sleep_jvm(ground: Ground) -> None:
    sleep_process(ground.nodes()[first(ground)]["pid"], 2 * LONG_S)


def kill_master(ground: Ground) -> None:
    leader = ground.leader()
    leader.kill()
    wait_for("another leader", lambda: ground.leader().name != leader.name, 120)
    leader.start()


def sleep_master(ground: Ground) -> None:
    leader = ground.leader()
    sleep_process(leader.pid, 2 * LONG_S)
    wait_for("a leader", lambda: ground.leader().running, 120)


def kill_zookeeper(ground: Ground) -> None:
    keeper = ground.box.daemon("zookeeper")
    keeper.kill()
    time.sleep(LONG_S)
    keeper.start()


def sleep_zookeeper(ground: Ground) -> None:
    sleep_process(ground.box.daemon("zookeeper").pid, LONG_S)


def wrong_setting(ground: Ground) -> None:
    body = ground.show()["spec"] | {"settings": {"node.no_such_thing": "x"}}
    put(ground.service, body, "?override=settings_are_known")
    wait_for("the change to go back by itself", lambda: ground.show()["setback"], 300)


def bad_plugin(ground: Ground) -> None:
    body = ground.show()["spec"] | {"plugins": [
        {"name": "minhash", "url": "file:///nowhere/minhash.zip", "sha256": "0" * 64}]}
    revision = ground.show()["revision"]
    put(ground.service, body)
    wait_for("the change to go back by itself",
             lambda: ground.show()["revision"] == revision + 2, 300)


FAULTS: dict[str, Hit] = {
    "service, kill -9": kill_service, "service, stopped past its session": sleep_service,
    "agent, kill -9, back after 5 s": kill_agent, "agent, stopped for 15 s": sleep_agent,
    "executor, kill -9": kill_executor, "executor, stopped for 15 s": sleep_executor,
    "JVM, kill -9": kill_jvm, "JVM, stopped for 30 s": sleep_jvm,
    "leading master, kill -9": kill_master, "leading master, stopped for 30 s": sleep_master,
    "ZooKeeper, kill -9, back after 15 s": kill_zookeeper,
    "ZooKeeper, stopped for 15 s": sleep_zookeeper,
    "wrong configuration, rolled back": wrong_setting, "bad plugin, rolled back": bad_plugin,
}


def first(ground: Ground) -> str:
    """The node that is hit: not the elected master, so that two things are not tested at once."""
    elected = ground.show()["es"]["elected_master"]
    return min(name for name in ground.nodes() if name != elected)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_loses_nothing(ground: Ground, fault: str) -> None:
    row = ground.measure(fault, FAULTS[fault])
    rows.keep(row)
    assert row.found == row.acknowledged > 0
    assert row.leaks == 0
    assert row.worst_health != "red"
    masters = ("service", "leading master", "ZooKeeper", "agent")
    if fault.startswith(masters):
        assert row.tasks == 0, "no node starts again because of it"


def test_an_elected_master_that_dies_is_made_up_for(ground: Ground) -> None:
    def kill(ground: Ground) -> None:
        elected = ground.show()["es"]["elected_master"]
        os.kill(ground.nodes()[elected]["pid"], signal.SIGKILL)
    row = ground.measure("elected master of Elasticsearch, kill -9", kill)
    rows.keep(row)
    assert row.found == row.acknowledged > 0 and row.leaks == 0


# ----------------------------------------------------------- a scale-in, cut off midway

CUTS = {"service": kill_service, "agent": kill_agent, "executor": kill_executor,
        "JVM": kill_jvm, "leading master": kill_master, "ZooKeeper": kill_zookeeper}


@pytest.mark.parametrize("cut", CUTS)
def test_a_scale_in_that_is_cut_off_ends_all_the_same(ground: Ground, cut: str) -> None:
    wait_for("calm", ground.calm, 400)
    scale(ground, NODES + 1)
    wait_for("a fourth node", lambda: ground.calm(NODES + 1), 400)

    def hit(ground: Ground) -> None:
        scale(ground, NODES)
        wait_for("the drain to begin", lambda: any(
            node["leaving"] for node in ground.nodes().values()), 60)
        CUTS[cut](ground)

    row = ground.measure(f"scale-in cut off: {cut}, kill -9", hit, before=NODES + 1)
    rows.keep(row)
    assert row.found == row.acknowledged > 0 and row.leaks == 0
    assert len(ground.nodes()) == NODES


def scale(ground: Ground, count: int) -> None:
    ground.service.client.post(f"/v1/clusters/{NAME}/scale", {"group": "node", "count": count})


# ---------------------------------------------------------------------- gone for good

def test_an_agent_that_is_gone_for_good_is_made_up_for(ground: Ground) -> None:
    def hit(ground: Ground) -> None:
        node = ground.nodes()[first(ground)]
        agent = ground.agent(node["name"])
        executor = ground.executor(node["name"])
        agent.kill()
        executor.kill()
        os.kill(node["pid"], signal.SIGKILL)
        ground.box.operator_call({"type": "MARK_AGENT_GONE", "mark_agent_gone": {
            "agent_id": {"value": node["agent_id"]}}})
        wait_for("nothing of it to be left", lambda: node["es_node_id"] not in {
            other["es_node_id"] for other in ground.nodes().values()}, 300)
    row = ground.measure("agent, gone for good", hit)
    rows.keep(row)
    assert row.found == row.acknowledged > 0 and row.leaks == 0


def test_nothing_is_left_after_a_deletion(ground: Ground) -> None:
    ground.service.client.delete(f"/v1/clusters/{NAME}", confirm=NAME)
    wait_for("the cluster to be gone", lambda: ground.service.client.get("/v1/clusters") == [])
    assert reserved(ground.box) == {}
