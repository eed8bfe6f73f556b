"""What a data centre may be, the texts Mesos gets, and the environments of daemons."""

import json
from pathlib import Path

import pytest
from esaas.local import commands, environment, spec
from esaas.local.daemons import MARKER
from esaas.local.environment import Places
from esaas.local.errors import LocalError
from esaas.local.spec import AgentSpec, Disk, default_agents
from esaas.local.state import State


def test_default_agents_have_hosts_racks_and_ports_of_their_own() -> None:
    agents = default_agents(3)
    assert [a.hostname for a in agents] == ["agent-1", "agent-2", "agent-3"]
    assert agents[1].attributes_text() == "rack:rack-2"
    assert agents[1].resources_text() == "cpus:4;mem:4096;disk:20000;ports:[31200-31299]"


def test_many_agents_stay_below_the_ports_of_outgoing_connections() -> None:
    assert max(a.ports[1] for a in default_agents(87)) < 32768
    assert max(a.ports[1] for a in default_agents(16)) < 32768


def test_more_agents_join_the_known_ones_as_they_are() -> None:
    known = default_agents(2, spec.build_size(1, 512, 1000), first_port=24000)
    grown = default_agents(3, known=known)
    assert grown[:2] == known
    assert grown[2].ports == (24200, 24299) and grown[2].mem_mb == 4096


def test_other_disks_make_the_resources_json() -> None:
    disks = (Disk(type="PATH", size_mb=100), Disk(type="MOUNT", size_mb=200, path="/mnt/x"))
    agent = AgentSpec(hostname="h", ports=(1, 2), disks=disks)
    roots = Places(Path("/box")).disk_roots(1, agent)
    found = json.loads(agent.resources_text(roots))
    assert found[-2]["disk"]["source"] == {
        "type": "PATH", "path": {"root": "/box/agents/1/disks/1-path"},
    }  # fmt: skip
    assert found[-1]["disk"]["source"] == {"type": "MOUNT", "mount": {"root": "/mnt/x"}}
    assert [r["name"] for r in found] == ["cpus", "mem", "disk", "ports", "disk", "disk"]


def test_everything_wrong_is_told_at_once() -> None:
    clash = [AgentSpec(hostname=h, ports=(100, 200)) for h in "ab"]
    changes = {"agents": clash, "masters": 2, "principals": {"admin": ("x",)}}
    with pytest.raises(LocalError) as told:
        spec.build_spec(None, changes)
    text = str(told.value)
    assert "even number" in text and "'admin'" in text and "a and b overlap" in text
    assert len(told.value.problems) == 3


def test_several_masters_bring_zookeeper() -> None:
    assert spec.build_spec(None, {"agents": (), "masters": 3}).zookeeper


def test_principals_are_parsed_and_all_faults_listed() -> None:
    assert spec.parse_principals(["a=x", "a=y", "b=*"]) == {"a": ("x", "y"), "b": ("*",)}
    with pytest.raises(LocalError) as told:
        spec.parse_principals(["a", "=b", "c=d"])
    assert len(told.value.problems) == 2


def test_an_existing_data_centre_only_grows() -> None:
    old = spec.build_spec(None, {"agents": default_agents(2)})
    grown = spec.build_spec(old, {"agents": default_agents(3)})
    assert spec.changes_refused(old, grown, running=True) == []
    assert spec.changes_refused(grown, old, running=False) == ["there are 3 agents, not 2"]
    other = spec.build_spec(old, {"masters": 3, "principals": {"p": ("r",)}})
    assert len(spec.changes_refused(old, other, running=True)) == 3  # and ZooKeeper


def a_state(**changes: object) -> State:
    wanted = spec.build_spec(None, {"agents": default_agents(2), **changes})
    state = State.fresh(wanted)
    ports = {name: commands.preferred_port(name) for name in commands.names(state)}
    return state.model_copy(update={"ports": ports})


def test_daemons_start_in_order_of_need() -> None:
    assert commands.names(a_state(masters=3)) == [
        "zookeeper", "master-1", "master-2", "master-3", "agent-1", "agent-2",
    ]  # fmt: skip
    assert commands.names(a_state(many_in_one=True)) == ["master-1", "agents"]


def test_addresses() -> None:
    assert commands.master_address(a_state()) == "127.0.0.1:5050"
    assert commands.master_address(a_state(zookeeper=True)) == "zk://127.0.0.1:2181/mesos"
    assert commands.agent_pid(a_state(), 2) == "slave(1)@127.0.0.1:5101"
    assert commands.agent_pid(a_state(many_in_one=True), 2) == "slave(2)@127.0.0.1:5100"


def test_masters_ask_for_credentials_only_with_principals() -> None:
    places = Places(Path("/box"))
    bare = environment.master_environment(a_state().spec, places, 1, 5050, None)
    assert not [name for name in bare if "AUTH" in name or "ACL" in name]
    state = a_state(masters=3, principals={"p": ("r",)})
    env = environment.master_environment(state.spec, places, 2, 5051, 2181)
    assert env["MESOS_QUORUM"] == "2"
    assert env["MESOS_ZK"] == "zk://127.0.0.1:2181/mesos"
    assert env["MESOS_AUTHENTICATE_HTTP_FRAMEWORKS"] == "true"
    assert env["MESOS_CREDENTIALS"] == "/box/credentials.json"


def test_executors_find_system_paths_and_their_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/root/secret/bin")
    places = Places(Path("/box"))
    state = a_state(disk_du=True)
    env = environment.agent_environment(
        state.spec, places, 5100, "m:1", True, environment.executor_environment("mark", places)
    )
    inner = json.loads(env["MESOS_EXECUTOR_ENVIRONMENT_VARIABLES"])
    assert inner["PATH"].startswith("/usr/sbin:/usr/bin:")
    assert inner["ESAAS_CACHE_DIR"] == "/box/executor-cache"
    assert inner[MARKER] == "mark"
    assert env["MESOS_SWITCH_USER"] == "true"
    assert env["MESOS_ISOLATION"] == "posix/cpu,posix/mem,disk/du"
    assert env["MESOS_EXECUTOR_REREGISTRATION_TIMEOUT"] == "15secs"
