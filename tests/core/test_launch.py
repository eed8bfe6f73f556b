"""What a node is started with: the right quorum from the first second, and all of its resources."""
from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from esaas.framework.core.facts import Bootstrap, ClusterState, NodeState
from esaas.framework.core.launch import launch, part_resources
from esaas.framework.core.operations import LaunchPayload
from esaas.framework.core.resources import Disk, Reservation, Resource
from esaas.framework.core.spec import EXECUTOR_CPUS, EXECUTOR_MEM_MB, ClusterSpec
from hypothesis import given
from hypothesis import strategies as st

from .builders import formed, group, record, scalars, seat, spec

S = NodeState
MIXED = (group("master", 3, roles=["master"]), group("data", 2, roles=["data"]))


def founding(wanted: ClusterSpec) -> ClusterState:
    """Before the cluster has formed, all nodes being placed."""
    from .builders import new_cluster
    state = new_cluster(wanted)
    for name in state.bootstrap.nodes:
        state = state.with_node(record(name, S.PLACING))
    return state


def payload(state: ClusterState, name: str) -> LaunchPayload:
    return launch(state, state.nodes[name], scalars()).payload


def test_founding_masters_are_told_the_first_quorum_and_nobody_else_is() -> None:
    state = founding(spec(*MIXED, version="7.17.0"))
    assert payload(state, "master-2").initial_master_nodes == ("master-1", "master-2", "master-3")
    assert payload(state, "data-1").initial_master_nodes == ()
    late = state.with_node(record("master-4", S.PLACING))
    assert payload(late, "master-4").initial_master_nodes == ()


def test_once_the_cluster_has_formed_no_node_is_ever_told_again() -> None:
    state = founding(spec(*MIXED, version="7.17.0"))
    state = replace(state, bootstrap=replace(state.bootstrap, cluster_uuid="uuid-1"))
    assert payload(state, "master-1").initial_master_nodes == ()


@pytest.mark.parametrize("version", ["7.0.0", "8.19.0", "9.1.0"])
def test_from_7_on_there_is_no_minimum_of_masters(version: str) -> None:
    state = founding(spec(*MIXED, version=version))
    assert {payload(state, name).minimum_master_nodes for name in state.nodes} == {0}


def test_up_to_6_the_quorum_of_all_founding_masters_holds_from_the_first_second() -> None:
    state = founding(spec(*MIXED))
    assert {payload(state, name).minimum_master_nodes for name in state.nodes} == {2}
    assert {payload(state, name).initial_master_nodes for name in state.nodes} == {()}
    alone = replace(state, nodes={"master-1": state.nodes["master-1"], **{
        name: record(name, S.PLANNED) for name in state.nodes if name != "master-1"}})
    assert payload(alone, "master-1").minimum_master_nodes == 2


def test_a_further_master_of_6_starts_with_the_quorum_that_counts_it() -> None:
    state = formed(3).with_node(record("node-4", S.PLACING))
    assert payload(state, "node-4").minimum_master_nodes == 3


def test_awareness_only_where_the_agent_has_the_attribute() -> None:
    state = founding(spec())
    assert payload(state, "node-1").awareness == ("rack",)
    bare = state.with_node(record("node-1", S.PLACING, seat=seat(1, attributes=(("zone", "a"),))))
    assert payload(bare, "node-1").awareness == ()
    nowhere = founding(spec(group(placement={"spread_by": None})))
    assert payload(nowhere, "node-1").awareness == ()


def test_recovery_waits_for_most_of_the_data_nodes() -> None:
    found = payload(founding(spec(*MIXED)), "data-1")
    assert (found.expected_data_nodes, found.recover_after_data_nodes) == (2, 2)
    found = payload(founding(spec(group(count=5))), "node-1")
    assert (found.expected_data_nodes, found.recover_after_data_nodes) == (5, 3)


def test_a_groups_settings_go_over_the_clusters_and_options_follow() -> None:
    wanted = spec(group(settings={"a.b": 2}, jvm_options=["-Dx=2"]), settings={"a.b": 1, "c.d": 3},
                  jvm_options=["-Dx=1"])
    found = payload(founding(wanted), "node-1")
    assert found.settings == (("a.b", 2), ("c.d", 3))
    assert found.jvm_options == ("-Dx=1", "-Dx=2")


def test_an_attribute_that_the_spec_sets_is_not_said_twice() -> None:
    """The executor refuses a launch that has it among the attributes and the settings."""
    wanted = spec(group(settings={"node.attr.zone": "mine"}))
    state = founding(wanted).with_node(record("node-1", S.PLACING, seat=seat(
        1, attributes=(("rack", "rack-1"), ("zone", "a")))))
    assert payload(state, "node-1").attributes == (("rack", "rack-1"),)


def test_a_launch_carries_the_seat_and_the_counters_of_its_record() -> None:
    state = founding(spec()).with_node(record("node-2", S.LAUNCHING, incarnation=3, launch=7,
                                              seat=seat(2, port=31200)))
    found = launch(state, state.nodes["node-2"], scalars())
    assert found.task_id == "demo.node-2.3.7"
    told = found.payload
    assert (told.incarnation, told.launch, told.bind_host, told.http_port, told.transport_port) == (
        3, 7, "10.0.0.2", 31200, 31201)
    assert told.url is None and told.sha256 is None


def test_a_distribution_of_ones_own_is_handed_on() -> None:
    wanted = spec(distribution={"url": "https://x/es.zip", "sha256": "0" * 64})
    found = payload(founding(wanted), "node-1")
    assert (found.url, found.sha256) == ("https://x/es.zip", "0" * 64)


def test_a_node_whose_group_is_gone_cannot_be_launched() -> None:
    state = founding(spec())
    with pytest.raises(AssertionError, match="old-1 has no group or seat"):
        launch(state, record("old-1", S.PLACING), scalars())


# ------------------------------------------------- executor and task share it all

def totals(*parts: tuple[Resource, ...]) -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    for item in (item for part in parts for item in part):
        key = item.name, item.reservations, item.disk, item.ranges
        found[key] += round(item.amount * 1000)
    return +found + Counter({key: 1 for key in found if key[3]})


MILLI = st.integers(1, 8000).map(lambda number: number / 1000)
OURS, TENANTS = Reservation("acme/demo"), Reservation("acme")


@given(cpus=st.lists(MILLI, min_size=1, max_size=3), mem=st.lists(
    st.integers(1, 4096).map(float), min_size=1, max_size=3))
def test_what_executor_and_task_hold_sums_up_to_what_was_reserved(
        cpus: list[float], mem: list[float]) -> None:
    resources = (
        *(Resource("cpus", amount, reservations=(TENANTS, OURS)[:index % 2 + 1])
          for index, amount in enumerate(cpus)),
        *(Resource("mem", amount, reservations=(OURS,) * (index % 2))
          for index, amount in enumerate(mem)),
        Resource("disk", 2000.0, disk=Disk("id-1", container_path="data")),
        Resource("ports", ranges=((31000, 31001),)))
    executor, task = part_resources(resources)
    assert totals(executor, task) == totals(resources)
    assert all(item.amount > 0 or item.ranges for item in (*executor, *task))
    assert {item.name for item in executor} <= {"cpus", "mem"}
    for name, share, whole in (("cpus", EXECUTOR_CPUS, cpus), ("mem", EXECUTOR_MEM_MB, mem)):
        held = sum(item.amount for item in executor if item.name == name)
        assert held == pytest.approx(min(share, sum(whole)), abs=1e-6)


def test_a_bootstrap_names_its_founders() -> None:
    assert formed(3).bootstrap == Bootstrap(("node-1", "node-2", "node-3"),
                                            ("node-1", "node-2", "node-3"), "uuid-1")
