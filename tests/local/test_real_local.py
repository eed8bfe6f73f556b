"""Real masters, agents and ZooKeeper: up and down, broken and mended.

States are polled for with generous time-outs; no test depends on how fast anything is.
"""

import os
import pwd
import tarfile
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from esaas.local.daemons import marked, wait_until
from esaas.local.datacentre import DataCentre, Status
from esaas.local.errors import LocalError
from esaas.local.spec import AgentSpec, Disk, default_agents
from esaas.local.state import load_state
from esaas.local.testing import FIRST_TASK_PORT
from esaas.local.testing.framework import TinyFramework, scalar

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

LONG_S = 180.0
Make = Callable[..., DataCentre]
Subscribe = Callable[..., TinyFramework]


def ids(status: Status) -> list[str | None]:
    return [agent.agent_id for agent in status.agents]


def wait_for_agents(box: DataCentre, active: list[bool]) -> None:
    def so() -> bool:
        return [agent.active for agent in box.status().agents] == active

    wait_until(so, f"agents to be {active}", LONG_S)


def quota(role: str) -> dict[str, Any]:
    config = {"role": role, "limits": {"cpus": {"value": 2}}}
    return {"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [config]}}


def test_state_outlives_down_and_another_process_can_end_it(make_box: Make) -> None:
    box = make_box(3)
    first = box.status()
    assert first.running and all(agent.active for agent in first.agents)
    assert [a.rack for a in first.agents] == ["rack-1", "rack-2", "rack-3"]
    slaves = {s["hostname"]: s for s in box.master_state()["slaves"]}
    assert slaves["agent-2"]["resources"]["mem"] == 4096
    assert slaves["agent-2"]["attributes"] == {"rack": "rack-2"}
    box.operator_call(quota("demo"))
    pids = [d.pid for d in first.daemons]

    again = DataCentre(box.directory)  # knows nothing but the directory
    again.up()
    assert [d.pid for d in again.status().daemons] == pids
    again.down()
    assert not [pid for pid in pids if pid and psutil.pid_exists(pid)]
    assert not again.status().running

    box.up()
    assert ids(box.status()) == ids(first)
    assert "demo" in str(box.operator_call({"type": "GET_QUOTA"}))
    assert box.add_agent() == 4
    assert [a.active for a in box.status().agents] == [True] * 4
    assert ids(box.status())[:3] == ids(first)


def test_an_executor_outlives_the_kill_of_its_agent(make_box: Make, subscribe: Subscribe) -> None:
    box = make_box(2)
    with subscribe(box) as framework:
        task = framework.launch(framework.offer("agent-1"))
        found = framework.running(task)
        before = ids(box.status())
        executor = psutil.Process(found["pid"])
        box.agent(1).kill()
        wait_for_agents(box, [False, True])
        assert executor.is_running()
        box.agent(1).start()
        wait_for_agents(box, [True, True])
        assert ids(box.status()) == before
        assert executor.is_running()
        framework.call("RECONCILE", reconcile={"tasks": [{"task_id": {"value": task}}]})
        status = framework.wait("UPDATE")["status"]
        assert (status["state"], status["task_id"]["value"]) == ("TASK_RUNNING", task)

        box.agent(2).stop()
        assert box.status().daemons[-1].condition == "stopped"
        wait_for_agents(box, [True, False])
        box.agent(2).cont()
        wait_for_agents(box, [True, True])
        assert ids(box.status()) == before
        box.down()  # takes the executor with it
        assert not executor.is_running()
        framework.close()


def test_the_fetcher_and_the_executor_run_as_the_unprivileged_user(
    make_box: Make, subscribe: Subscribe, tmp_path: Path
) -> None:
    box = make_box(1)
    bundle = box.directory.parent / "bundle.tar.gz"
    (tmp_path / "hello.txt").write_text("hello")
    with tarfile.open(bundle, "w:gz") as tar:
        tar.add(tmp_path / "hello.txt", "hello.txt")
    bundle.chmod(0o644)
    uris = ({"value": bundle.as_uri(), "cache": True, "extract": True},)
    user = pwd.getpwnam(box.executor_user)
    with subscribe(box) as framework:
        found = framework.running(framework.launch(framework.offer(), uris))
        assert found["uid"] == user.pw_uid
        if os.geteuid() == 0:
            assert user.pw_uid != 0
        assert found["files"]["hello.txt"] == user.pw_uid
        env = found["environment"]
        assert env["PATH"].startswith("/usr/sbin:/usr/bin")
        assert Path(env["ESAAS_CACHE_DIR"]).stat().st_uid == user.pw_uid


def test_a_foreign_role_and_a_wrong_secret_are_refused(
    make_box: Make, subscribe: Subscribe
) -> None:
    box = make_box(1, principals={"shop": "shop", "bank": "bank"})
    leading = box.leader()
    assert leading
    for pair in (None, ("shop", "guessed")):
        with pytest.raises(LocalError, match="401"):
            TinyFramework(leading, role="shop", user=box.executor_user, pair=pair)
    foreign = subscribe(box, role="bank/search", principal="shop")
    with pytest.raises(LocalError, match="Not authorized"):
        foreign.wait("SUBSCRIBED")
    foreign.close()

    with subscribe(box, role="shop/search", principal="shop") as framework:

        def reserve(offer: dict[str, Any], role: str) -> dict[str, Any]:
            cpus = scalar("cpus", 1, "shop/search")
            cpus["reservations"] = [{"type": "DYNAMIC", "role": role, "principal": "shop"}]
            return {"type": "RESERVE", "reserve": {"resources": [cpus]}}

        def reserved(offer: dict[str, Any]) -> list[str]:
            return [r["reservations"][-1]["role"] for r in offer["resources"]
                    if r.get("reservations")]  # fmt: skip

        offer = framework.offer()
        framework.accept(offer, reserve(offer, "bank"))
        offer = framework.offer()
        assert reserved(offer) == []
        framework.accept(offer, reserve(offer, "shop/search"))
        framework.wait("OFFERS", lambda e: any(reserved(o) == ["shop/search"]
                                               for o in e["offers"]["offers"]))  # fmt: skip
        # Reads are open; operator calls are for admin alone.
        assert box.master_state()["frameworks"]
        for principal in ("shop", None):
            assert refused(box, principal) == (403 if principal else 401)
        box.operator_call(quota("shop"))


def refused(box: DataCentre, principal: str | None) -> int:
    """The status with which a principal's quota is refused."""
    from esaas.local import master_api

    leading = box.leader()
    assert leading
    secret = box.secret(principal) if principal else None
    with pytest.raises(urllib.error.HTTPError) as answer:
        master_api.call(leading, quota("bank"), principal, secret)
    return answer.value.code


def test_disks_of_type_path_and_mount_are_offered(make_box: Make, subscribe: Subscribe) -> None:
    disks = [Disk(type="PATH", size_mb=1000)]
    if os.geteuid() == 0:  # a mount point can only be made as root
        disks.append(Disk(type="MOUNT", size_mb=2000))
    ports = (FIRST_TASK_PORT, FIRST_TASK_PORT + 99)
    box = make_box([AgentSpec(hostname="agent-1", ports=ports, disks=tuple(disks))])
    with subscribe(box) as framework:
        offered = {
            r["disk"]["source"]["type"]: r["scalar"]["value"]
            for r in framework.offer()["resources"]
            if r["name"] == "disk" and "disk" in r
        }
    assert offered == {disk.type: disk.size_mb for disk in disks}
    before = ids(box.status())
    box.down()
    assert str(box.directory) not in Path("/proc/self/mounts").read_text()
    box.up()
    assert ids(box.status()) == before


def test_many_agents_in_one_process(make_box: Make, subscribe: Subscribe) -> None:
    box = make_box(default_agents(12, first_port=FIRST_TASK_PORT), many_in_one=True)
    status = box.status()
    assert [d.name for d in status.daemons] == ["master-1", "agents"]
    assert sum(agent.active for agent in status.agents) == 12
    with pytest.raises(LocalError, match="share one process"):
        box.agent(1)
    box.daemon("agents").kill()
    box.up()
    assert ids(box.status()) == ids(status)
    with subscribe(box) as framework:
        found = framework.running(framework.launch(framework.offer("agent-7")))
        assert "slave(7)@" in found["environment"]["MESOS_SLAVE_PID"]


def test_another_master_takes_over_and_the_killed_one_returns(
    make_box: Make, subscribe: Subscribe
) -> None:
    box = make_box(2, masters=3, principals={"shop": "shop"})
    assert box.master_address.startswith("zk://127.0.0.1:")
    first, before = box.leader(), ids(box.status())
    box.operator_call(quota("shop"))
    k = next(k for k in (1, 2, 3) if box.master(k).port == int(str(first).split(":")[1]))
    box.master(k).kill()
    wait_until(lambda: box.leader() not in (None, first), "another leader", LONG_S)
    wait_for_agents(box, [True, True])
    assert ids(box.status()) == before
    assert "shop" in str(box.operator_call({"type": "GET_QUOTA"}))
    box.up()  # starts the killed master again
    assert box.status().running
    state = load_state(box.places.state)
    assert state is not None
    assert len(marked(state.id)) == 6  # ZooKeeper, three masters, two agents
    with subscribe(box, role="shop", principal="shop") as framework:
        assert framework.offer()["hostname"] in ("agent-1", "agent-2")
