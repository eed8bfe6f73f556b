"""Stages and placement: why an agent is refused, and which of those that fit is taken."""
from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from esaas.framework.core.constraints import Agent
from esaas.framework.core.offers import placement
from esaas.framework.core.offers.outcome import Outcome
from esaas.framework.core.offers.placement import Search
from esaas.framework.core.offers.pool import Pool
from esaas.framework.core.offers.stages import STAGES, evaluate
from esaas.framework.core.resources import Disk, Resource
from hypothesis import given
from hypothesis import strategies as st

from .builders import (
    demand,
    group,
    new_cluster,
    node_group,
    pool,
    record,
    scalars,
    seat,
    spec,
    with_nodes,
)

BIG: Any = {"cpus": 64.0, "mem": 65536.0, "disk": 1e6, "ports": (31000, 31999)}


# ------------------------------------------------------------------------ stages

@pytest.mark.parametrize(("wanted", "agent", "stage", "reason"), [
    (demand(on_host={"host-1": 1}), pool(), "max_per_host",
     "host-1 has 1 of at most 1 nodes of this cluster"),
    (demand(placement={"constraints": "rack IS rack-2"}), pool(), "constraints",
     "rack is rack-1, not rack-2"),
    (demand(placement={"constraints": "hostname UNIQUE"}, peers=[Agent("host-1", {})]), pool(),
     "constraints", "a node of the group is already on hostname host-1"),
    (demand(), pool(free=scalars(cpus=1.0)), "cpus", "needs cpus 1.1, 1 are free"),
    (demand(), pool(free=scalars(mem=1024)), "mem", "needs mem 1088 MB, 1024 MB are free"),
    (demand(), pool(free=scalars(disk=1999)), "disk",
     "needs 2000 MB on one ROOT disk, the largest has 1999 MB"),
    (demand(disk_type="MOUNT"), pool(), "disk",
     "needs 2000 MB on one MOUNT disk, the largest has 0 MB"),
    (demand(), pool(free=scalars(ports=(31000, 31000))), "ports", "needs ports 2, 1 are free"),
    (demand(), pool(free=scalars(ports=None)), "ports", "needs ports 2, 0 are free"),
])
def test_a_refusal_names_its_stage_and_the_figures(
        wanted: Any, agent: Pool, stage: str, reason: str) -> None:
    outcome = evaluate(wanted, agent)
    assert not outcome.ok
    assert (outcome.parts[-1].stage, outcome.why()) == (stage, reason)
    assert outcome.lines()[-1].strip().startswith("FAIL")
    assert outcome.stage == "group node on host-1"


def test_an_agent_that_fits_passes_every_stage_in_order() -> None:
    outcome = evaluate(demand(), pool(free=scalars(1.1, 1088, 2000, (1, 2))))
    assert outcome.ok and outcome.why() == ""
    assert [part.stage for part in outcome.parts] == [
        "max_per_host", "in_service", "elsewhere", "constraints", "cpus", "mem", "disk", "ports"]
    assert len(outcome.parts) == len(STAGES)


def test_thousandths_decide_nothing() -> None:
    assert evaluate(demand(), pool(free=scalars(cpus=1.0999999))).ok


# --------------------------------------------------------------------- placement

def place(pools: list[Pool], count: int, *seated: Any, **more: Any) -> tuple[Search, list[str]]:
    """The search, and the agent of each node that was placed."""
    wanted = spec(group(count=max(count, 2), **more))
    state = with_nodes(new_cluster(wanted), *seated)
    search = Search(state, {item.agent_id: item for item in pools})
    names = [f"new-{index}" for index in range(count)]
    found = search.place(wanted.groups[0], names)
    assert list(found) == names[:len(found)]
    return search, [agent_id for agent_id, _ in found.values()]


def racks(count: int, per_rack: int, **more: Any) -> list[Pool]:
    return [pool(100 * rack + index, scalars(**BIG), rack=f"rack-{rack}", **more)
            for rack in range(count) for index in range(per_rack)]


@pytest.mark.parametrize("count", [3, 4, 7, 9])
def test_nodes_are_spread_over_racks_as_evenly_as_can_be(count: int) -> None:
    search, found = place(racks(3, 3), count)
    per_rack = Counter(search.pools[agent_id].agent.attributes["rack"] for agent_id in found)
    assert sum(per_rack.values()) == count
    assert max(per_rack.values()) - min(per_rack.values()) <= 1


def test_nodes_that_stand_already_count_for_the_spread() -> None:
    standing = [record(f"node-{index}", seat=seat(900 + index, attributes=(("rack", "rack-0"),)))
                for index in (1, 2)]
    search, found = place(racks(2, 3), 2, *standing)
    assert {search.pools[agent_id].agent.attributes["rack"] for agent_id in found} == {"rack-1"}


def test_a_rack_where_nothing_fits_is_passed_over() -> None:
    full = pool(77, scalars(cpus=0.5), rack="a-rack")
    _, found = place([full, *racks(1, 2)], 2)
    assert sorted(found) == ["agent-0", "agent-1"]


@given(limit=st.integers(1, 4), hosts=st.integers(1, 4), agents=st.integers(1, 3),
       count=st.integers(1, 12))
def test_a_host_never_gets_more_nodes_than_allowed_however_many_agents_it_has(
        limit: int, hosts: int, agents: int, count: int) -> None:
    pools = [pool(10 * host + agent, scalars(**BIG), host=f"host-{host}", rack="rack-1")
             for host in range(hosts) for agent in range(agents)]
    search, found = place(pools, count, placement={"max_per_host": limit})
    per_host = Counter(search.pools[agent_id].host for agent_id in found)
    assert len(found) == min(count, limit * hosts)
    assert max(per_host.values()) <= limit
    assert max(per_host.values()) - min(per_host[f"host-{host}"] for host in range(hosts)) <= 1


@given(count=st.integers(1, 8), room=st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_nothing_is_taken_twice_while_nodes_are_placed(count: int, room: list[int]) -> None:
    pools = [pool(index, scalars(1.1 * seats + 0.5, 9999, 99999, (31000, 31099)))
             for index, seats in enumerate(room)]
    wanted = spec(group(count=max(count, 2), placement={"max_per_host": 9}))
    search = Search(new_cluster(wanted), {item.agent_id: item for item in pools})
    found = search.place(wanted.groups[0], [f"new-{index}" for index in range(count)])
    assert len(found) == min(count, sum(room))
    used = [(agent_id, port) for agent_id, taken in found.values()
            for port in (taken.seat.http_port, taken.seat.transport_port)]
    assert len(used) == len(set(used))
    for index, item in enumerate(pools):
        left = search.pools[item.agent_id]
        taken = sum(agent_id == item.agent_id for agent_id, _ in found.values())
        assert taken <= room[index]
        assert left.free_amount("cpus") == pytest.approx(
            item.free_amount("cpus") - 1.1 * taken, abs=1e-3)


def test_constraints_hold_for_every_node_of_a_pass() -> None:
    text = "rack MAX_PER 1 and not hostname LIKE host-.*1"
    search, found = place(racks(3, 3), 5, placement={"constraints": text})
    assert len(found) == 3
    assert len({search.pools[agent_id].agent.attributes["rack"] for agent_id in found}) == 3
    assert not any(search.pools[agent_id].host.endswith("1") for agent_id in found)


def test_an_agent_refused_by_its_peers_is_asked_again_for_the_next_node() -> None:
    """GROUP_BY refuses the big rack until the small one has caught up."""
    search, found = place(racks(2, 2), 4, placement={
        "constraints": "rack GROUP_BY 2", "spread_by": None})
    assert Counter(search.pools[agent_id].agent.attributes["rack"] for agent_id in found) == {
        "rack-0": 2, "rack-1": 2}


def test_a_seat_takes_a_whole_mount_disk_and_two_ports() -> None:
    free = (Resource("cpus", 4.0), Resource("mem", 4096.0), Resource("ports", ranges=((5, 9),)),
            Resource("disk", 7000.0, disk=Disk(source_type="MOUNT", source_root="/m1")))
    search, found = place([pool(1, free)], 1, disk_type="MOUNT")
    assert found == ["agent-1"]
    left = search.pools["agent-1"]
    assert left.disks("MOUNT") == [] and left.free_ports() == 3


def test_why_an_agent_was_refused_is_kept_once_per_group() -> None:
    search, _ = place([pool(1, scalars(cpus=0.5)), pool(2)], 3,
                      placement={"constraints": "hostname UNIQUE"})
    assert [outcome.why() for outcome in search.refusals["agent-1"]] == [
        "needs cpus 1.1, 0.5 are free"]
    assert len(search.refusals["agent-2"]) == 1


# -------------------------------------------------------------------------- cost

def calls(monkeypatch: pytest.MonkeyPatch, agents: int, nodes: int, **more: Any) -> int:
    """How often an agent is evaluated while nodes are placed."""
    count = 0

    def counted(wanted: Any, agent: Pool) -> Outcome:
        nonlocal count
        count += 1
        return evaluate(wanted, agent)

    monkeypatch.setattr(placement, "evaluate", counted)
    pools = [pool(index, scalars(cpus=0.5) if index % 2 else scalars(**BIG),
                  rack=f"rack-{index % 5}", zone="a" if index % 4 else "b")
             for index in range(agents)]
    place(pools, nodes, **more)
    return count


def test_every_agent_is_looked_at_about_once_however_many_nodes_there_are(
        monkeypatch: pytest.MonkeyPatch) -> None:
    for agents in (100, 1000):
        assert calls(monkeypatch, agents, 50) <= agents + 50
    assert calls(monkeypatch, 1000, 800) <= 1000 + 800      # more nodes than fit


def test_a_constraint_that_looks_at_no_peers_is_asked_once_per_agent(
        monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"placement": {"constraints": "zone IS b", "spread_by": None}}
    assert calls(monkeypatch, 1000, 50, **more) <= 1000 + 50


def test_constraints_that_count_peers_cost_linearly_more_as_agents_grow(
        monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"placement": {"constraints": "rack GROUP_BY 5"}}
    small, large = (calls(monkeypatch, agents, 20, **more) for agents in (200, 2000))
    assert large <= 12 * small


def test_spreading_over_a_value_per_agent_looks_at_each_value_about_once(
        monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    value_of = placement._Queue._value

    def counted(self: Any, agent: Agent) -> str:
        nonlocal looks
        looks += 1
        return value_of(self, agent)

    monkeypatch.setattr(placement._Queue, "_value", counted)
    assert calls(monkeypatch, 1000, 50, placement={"spread_by": "hostname"}) <= 1050
    assert looks <= 1000 + 3 * 50


def test_a_group_may_be_larger_than_a_pass() -> None:
    assert place([pool(1), pool(2)], 5)[1] == ["agent-1", "agent-2"]
    assert place([], 3)[1] == []
    assert node_group(count=3).count == 3
