"""The plan is derived from facts each time, and every cycle ends in one readable sentence."""
from __future__ import annotations

from dataclasses import replace

import pytest
from esaas.framework.core.facts import ClusterState, NodeState
from esaas.framework.core.plan import Status, diff, founded, node_names, summary, wanted_nodes

from .builders import (
    NOW,
    connected,
    formed,
    group,
    identity,
    new_cluster,
    node_group,
    record,
    spec,
    view,
    with_nodes,
)

S = NodeState


def sentence(state: ClusterState) -> str:
    return summary(state, diff(state, NOW))


def test_a_group_has_numbered_nodes() -> None:
    assert node_names(node_group(count=3)) == ["node-1", "node-2", "node-3"]
    assert node_names(node_group(count=0)) == []


def test_a_new_cluster_is_founded_by_all_its_nodes_with_the_masters_as_quorum() -> None:
    state = founded(identity(), spec(group("data", 2, roles=["data"]), group("node", 1)))
    assert state.bootstrap.nodes == ("data-1", "data-2", "node-1")
    assert state.bootstrap.masters == ("node-1",)
    assert state.revision == 1 and not state.nodes


def test_masters_stand_before_the_others_and_settings_last() -> None:
    plan = diff(new_cluster(spec(group("data", 2, roles=["data"]), group("node", 1))), NOW)
    assert [phase.name for phase in plan.phases] == ["masters", "nodes", "settings"]
    assert [step.id for step in plan.steps] == [
        "start-node-1", "start-data-1", "start-data-2", "default-replicas"]
    assert len({step.id for step in plan.steps}) == len(plan.steps)


@pytest.mark.parametrize(("state", "status", "title", "detail"), [
    (S.PLANNED, Status.PENDING, "start node-1", "waiting for an offer that fits"),
    (S.PLACING, Status.RUNNING, "start node-1", "last word"),
    (S.LAUNCHING, Status.RUNNING, "start node-1", "last word"),
    (S.STARTING, Status.RUNNING, "start node-1", "last word"),
    (S.UNREACHABLE, Status.HELD, "start node-1", "last word"),
    (S.DOWN, Status.PENDING, "restart node-1", "waiting for its own resources on host-1"),
])
def test_a_step_follows_the_state_of_its_node(
        state: NodeState, status: Status, title: str, detail: str) -> None:
    node = record("node-1", state, message="last word")
    step = diff(with_nodes(new_cluster(), node), NOW).steps[0]
    assert (step.node, step.status, step.title, step.detail) == ("node-1", status, title, detail)


def test_an_open_port_is_not_membership() -> None:
    state = formed()
    assert diff(state, NOW).steps[0].status is Status.DONE
    for other in (view("node-2", "node-3"),
                  replace(view("node-1", "node-2", "node-3"),
                          nodes={"node-1": replace(view("node-1").nodes["node-1"], id="other")})):
        step = diff(replace(state, es=other), NOW).steps[0]
        assert step.status is Status.RUNNING and "lists it as a member" in step.detail


def test_a_held_step_shows_the_gate_by_its_name() -> None:
    state = with_nodes(formed(), record("node-1", S.DOWN, failures=2, retry_at=NOW + 4))
    step = diff(state, NOW).steps[0]
    assert step.status is Status.HELD
    assert step.detail == ("held by retry_backoff: failed 2 times in a row, next try in 4 s")
    assert [answer.name for answer in step.gates if not answer.ok] == ["retry_backoff"]


def test_the_index_template_is_a_step_of_its_own() -> None:
    step = diff(formed(), NOW).steps[-1]
    assert (step.id, step.status) == ("default-replicas", Status.DONE)
    assert diff(formed(template_replicas=None), NOW).steps[-1].status is Status.RUNNING
    assert diff(new_cluster(), NOW).steps[-1].status is Status.PENDING


def test_a_deletion_stops_releases_and_deregisters() -> None:
    state = replace(with_nodes(formed(), record("node-1", S.STOPPING), record("node-2", S.STOPPED)),
                    deleting=True)
    plan = diff(state, NOW)
    assert [(step.id, step.status) for step in plan.steps] == [
        ("stop-node-1", Status.RUNNING), ("stop-node-2", Status.DONE),
        ("release-node-1", Status.PENDING), ("release-node-2", Status.RUNNING),
        ("deregister", Status.PENDING)]
    assert wanted_nodes(state) == {}


@pytest.mark.parametrize(("state", "expected"), [
    (formed(), "all 3 nodes are members, health is green"),
    (replace(formed(), removed=True), "deleted"),
    (connected(formed(), connected=False), "waiting for the Mesos master"),
    (connected(formed(), connected=False, error="no such role"),
     "Mesos refuses this cluster's scheduler: no such role"),
    (new_cluster(), "working, 0 of 4 done: start node-1, waiting for an offer that fits"),
    (formed().with_node(record("node-2", S.STARTING, message="Elasticsearch starts")),
     "working, 4 of 5 done: start node-2, Elasticsearch starts"),
    (formed().with_node(record("node-2", S.UNREACHABLE, message="its agent is unreachable")),
     "working, 4 of 5 done: start node-2, its agent is unreachable"),
    (replace(with_nodes(formed(), record("node-1", S.STOPPING, message="stopping")),
             deleting=True), "deleting, 0 of 3 done: stop node-1, stopping"),
])
def test_a_cycle_ends_in_one_sentence(state: ClusterState, expected: str) -> None:
    assert sentence(state) == expected
