"""What may hold the start of a node: one table per gate, the name being what users read."""
from __future__ import annotations

from dataclasses import replace

import pytest
from esaas.framework.core import gates
from esaas.framework.core.facts import Bootstrap, ClusterState, HostPlan, NodeState
from esaas.framework.core.gates import Gate, held_by, quorum_with, start_gates

from .builders import NOW, connected, formed, group, new_cluster, record, spec, view, with_nodes

S = NodeState
TWO = spec(group(count=3), group("data", 3, roles=["data"]))


def grown(ready: int, *more: str, **changes: object) -> ClusterState:
    """``ready`` founding masters that are members, and further nodes that are planned."""
    state = formed(ready, **changes)                              # type: ignore[arg-type]
    state = replace(state, spec=TWO)
    for name in more:
        state = state.with_node(record(name, S.PLANNED))
    return state


def leaving_host(mode: str, begins: float = NOW) -> ClusterState:
    """The host of node-1 is to go."""
    return replace(formed(), maintenance={
        "host-1": HostPlan(NOW - 9, begins, None, "people", mode)})


def unformed() -> ClusterState:
    state = grown(3, "node-4")
    return replace(state, bootstrap=replace(state.bootstrap, cluster_uuid=None))


CASES: list[tuple[Gate, ClusterState, str, str]] = [
    # gate, state, node, and what is said when it holds ("" when it lets through)
    (gates.connected_to_mesos, formed(), "node-1", ""),
    (gates.connected_to_mesos, connected(formed(), connected=False), "node-1", "not registered"),
    (gates.connected_to_mesos, connected(formed(), connected=False, error="no such role"),
     "node-1", "no such role"),
    (gates.tasks_reconciled, formed(), "node-1", ""),
    (gates.tasks_reconciled, connected(formed(), unreconciled={"demo.node-2.1.1": 1}), "node-1",
     ""),
    (gates.tasks_reconciled, connected(formed(), unreconciled={"demo.node-1.1.1": 1}), "node-1",
     "what became of demo.node-1.1.1"),
    (gates.retry_backoff, formed(), "node-1", ""),
    (gates.retry_backoff, with_nodes(formed(), record("node-1", S.DOWN, failures=3,
                                                      retry_at=NOW + 8)), "node-1",
     "failed 3 times in a row, next try in 8 s"),
    (gates.retry_backoff, with_nodes(formed(), record("node-1", S.DOWN, failures=3,
                                                      retry_at=NOW)), "node-1", ""),
    (gates.host_in_service, formed(), "node-1", ""),
    (gates.host_in_service, leaving_host("stop"), "node-1", "host-1 is under maintenance"),
    (gates.host_in_service, leaving_host("move"), "node-1", "host-1 is under maintenance"),
    (gates.host_in_service, leaving_host("move", begins=NOW + 1), "node-1", ""),
    (gates.host_in_service, leaving_host("stop"), "node-2", ""),
    (gates.cluster_formed, formed(), "node-1", ""),
    (gates.cluster_formed, unformed(), "node-4", "have not formed a cluster"),
    (gates.es_view_fresh, formed(), "node-1", ""),
    (gates.es_view_fresh, formed(at=NOW - 30), "node-1", ""),
    (gates.es_view_fresh, formed(at=NOW - 31), "node-1", "last seen 31 s ago"),
    (gates.es_view_fresh, replace(formed(), es=None), "node-1", "has not been seen yet"),
    (gates.one_master_at_a_time, grown(3, "node-4"), "node-4", ""),
    (gates.one_master_at_a_time, grown(3, "node-4").with_node(record("node-3", S.DOWN)), "node-4",
     "waiting for node-3 to be a member"),
    (gates.one_master_at_a_time, grown(3, "node-5").with_node(record("node-4", S.STARTING)),
     "node-5", "waiting for node-4 to be a member"),
    (gates.one_master_at_a_time, grown(3, "node-4", "node-5"), "node-4", ""),
    (gates.one_master_at_a_time, grown(3, "data-1").with_node(record("node-3", S.DOWN)), "data-1",
     ""),
    (gates.one_master_at_a_time, grown(3, "node-4").with_node(
        record("node-3", S.STOPPING)), "node-4", ""),             # it is to go
    (gates.quorum_raised, grown(3, "node-4", minimum_master_nodes=2), "node-4",
     "minimum_master_nodes must be 3 first, it is 2"),
    (gates.quorum_raised, grown(3, "node-4", minimum_master_nodes=3), "node-4", ""),
    (gates.quorum_raised, grown(3, "node-4", minimum_master_nodes=None), "node-4",
     "it is not set"),
    (gates.quorum_raised, grown(3, "data-1", minimum_master_nodes=None), "data-1", ""),
    (gates.quorum_raised, replace(grown(3, "node-4", minimum_master_nodes=None),
                                  spec=spec(version="7.17.0")), "node-4", ""),
    (gates.extra_nodes_allowed, grown(3, "node-4"), "node-4", ""),
    (gates.extra_nodes_allowed, grown(4, "node-5").with_node(
        record("node-1", moving=True, leaving="x")), "node-5",
     "4 nodes of node are there, at most 4 may be"),
    (gates.masters_before_data, grown(3, "data-1"), "data-1", ""),
    (gates.masters_before_data, grown(3, "data-1", "node-4"), "data-1",
     "waiting for the masters node-4"),
    (gates.masters_before_data, grown(3, "node-4").with_node(record("node-3", S.DOWN)), "node-4",
     ""),
]


@pytest.mark.parametrize(("gate", "state", "name", "held"), CASES)
def test_a_gate_says_its_name_and_why_it_holds(
        gate: Gate, state: ClusterState, name: str, held: str) -> None:
    answer = gate(state, state.nodes[name], NOW)
    assert answer.name == gate.__name__
    assert answer.ok is (held == ""), answer.reason
    if held:
        assert held in answer.reason


def test_every_gate_has_a_case_that_holds_and_one_that_lets_through() -> None:
    for gate in gates.START_GATES:
        assert {bool(held) for found, _, _, held in CASES if found is gate} == {True, False}


@pytest.mark.parametrize(("masters", "needed"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4)])
def test_up_to_6_the_quorum_is_raised_before_a_further_master_starts(
        masters: int, needed: int) -> None:
    """1 -> 2 cannot ask for two while there is one: Elasticsearch 6 would refuse."""
    new = f"node-{masters + 1}"
    state = formed(masters).with_node(record(new, S.PLANNED))
    assert quorum_with(state, state.nodes[new]) == needed


def test_growing_by_two_raises_the_quorum_for_each_in_turn() -> None:
    state = grown(3, "node-4", "node-5")
    assert [quorum_with(state, state.nodes[name]) for name in ("node-4", "node-5")] == [3, 3]
    four = grown(4, "node-5")
    assert quorum_with(four, four.nodes["node-5"]) == 3


def test_a_founding_node_waits_for_nobody_of_the_cluster() -> None:
    state = new_cluster()
    state = state.with_node(record("node-1", S.PLANNED))
    assert state.es is None
    assert held_by(start_gates(state, state.nodes["node-1"], NOW)) is None


def test_a_node_with_a_volume_may_start_however_sick_the_cluster_is() -> None:
    state = replace(grown(3), es=None, bootstrap=Bootstrap(("node-1",), ("node-1",), "uuid-1"))
    state = state.with_node(record("node-4", S.DOWN))
    assert held_by(start_gates(state, state.nodes["node-4"], NOW)) is None


def test_growth_is_held_by_the_first_gate_in_the_list() -> None:
    state = replace(grown(3, "node-4"), es=view("node-1", at=0.0))
    held = held_by(start_gates(state, state.nodes["node-4"], NOW))
    assert held is not None and held.name == "es_view_fresh"
