"""Gates of leaving and restarting, one table each: what must never happen has a name."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from esaas.framework.core.config import fingerprint, outdated, wanted
from esaas.framework.core.facts import (
    Bootstrap,
    Canary,
    ClusterState,
    Errand,
    EsNode,
    EsView,
    Identity,
    Link,
    NodeRecord,
    NodeResources,
    NodeState,
    Seat,
    ShardLoad,
    Switch,
)
from esaas.framework.core.gates import (
    FORCIBLE,
    RESTART_GATES,
    STOP_GATES,
    held_by,
    restart_gates,
    stop_gates,
    wanted_minimum_master_nodes,
)
from esaas.framework.core.rolling import order
from esaas.framework.core.spec import parse_spec

NOW = 1000.0
NAMES = ("node-1", "node-2", "node-3")


def state(version: str = "6.8.23", **view: Any) -> ClusterState:
    """Three ready master and data nodes; node-3 is to leave and empty."""
    spec = parse_spec({"name": "demo", "tenant": "demo", "version": version, "groups": [
        {"name": "node", "count": 2, "roles": ["master", "data"]}]})
    nodes = {}
    for number, name in enumerate(NAMES, 1):
        seat = Seat(f"a{number}", f"host-{number}", "127.0.0.1", (), 31000 + 2 * number,
                    31001 + 2 * number, NodeResources(1.1, 2112, 10240))
        nodes[name] = NodeRecord(name, "node", NodeState.RUNNING, since=1.0, incarnation=1,
                                 launch=1, seat=seat, seat_confirmed=True, es_node_id=f"es-{name}",
                                 config=fingerprint(spec, spec.groups[0]))
    nodes["node-3"] = replace(nodes["node-3"], leaving="scale-in")
    seen = EsView(NOW, "green", "uuid", {name: EsNode(f"es-{name}", name, version=version)
                                         for name in NAMES},
                  master="node-1", minimum_master_nodes=2, template_replicas=1, max_replicas=1,
                  loads={"node-1": ShardLoad(4), "node-2": ShardLoad(4)},
                  exclude_settings=(None, "node-3"), voting_exclusions=("node-3",))
    return ClusterState(Identity("demo", "demo", "uid", 0.0), spec, 1,
                        Bootstrap(NAMES, NAMES, "uuid"), nodes, link=Link(connected=True),
                        es=replace(seen, **view))


def changed(found: ClusterState, name: str, **fields: Any) -> ClusterState:
    """The state with one node changed."""
    return found.with_node(replace(found.nodes[name], **fields))


def full(**view: Any) -> ClusterState:
    """node-3 drains and still holds 50 MB."""
    found = state(**{"loads": {"node-3": ShardLoad(5, 0, 50)}, **view})
    return changed(found, "node-3", draining=True)


def as_only_master(found: ClusterState) -> ClusterState:
    """node-3 is the only master, and drained."""
    group = found.spec.groups[0]
    spec = found.spec.model_copy(update={"groups": (
        group, group.model_copy(update={"name": "data", "roles": ("data",)}))})
    for name in ("node-1", "node-2"):
        found = changed(found, name, group="data")
    return replace(found, spec=spec)


def test_an_empty_excluded_node_may_leave() -> None:
    assert held_by(stop_gates(state(), state().nodes["node-3"], NOW)) is None
    assert held_by(stop_gates(state("7.17.29"), state().nodes["node-3"], NOW)) is None


LEAVING: list[tuple[str, ClusterState]] = [
    ("connected_to_mesos", replace(state(), link=Link())),
    ("not_paused", replace(state(), paused=True)),
    ("es_view_fresh", state(at=NOW - 31)),
    ("es_view_fresh", replace(state(), es=None)),
    ("no_primary_missing", state(health="red")),
    ("drained", state(loads={"node-3": ShardLoad(shards=1, store_mb=7)})),
    ("drained", state(loads={"node-3": ShardLoad(incoming=1)})),
    ("drained", state(loads=None)),
    ("drained", state(exclude_settings=(None, None))),
    ("drained", state(exclude_settings=("other", "node-3"))),       # a transient one masks
    ("masters_are_ready", changed(state(), "node-2", state=NodeState.STARTING)),
    ("successor_ready", changed(changed(state(), "node-3", moving=True), "node-2",
                                state=NodeState.DOWN)),
    ("successor_ready", changed(state(), "node-3", moving=True).without_node("node-2")),
    ("drain_can_end", full(max_replicas=2)),
    ("drain_can_end", full(allocation_settings=("none", None))),
    ("drain_can_end", full(nodes={name: EsNode(
        f"es-{name}", name, disk_total_mb=1000.0, disk_used_percent=84.0) for name in NAMES})),
    ("copies_rebuilt", changed(state(health="yellow"), "node-3", state=NodeState.UNREACHABLE)),
    ("masters_are_ready", changed(state(), "node-2", recycle=1)),
    ("quorum_kept", state(minimum_master_nodes=3)),
    ("quorum_kept", as_only_master(state("7.17.29"))),
    ("votes_excluded", state("7.17.29", voting_exclusions=())),
    ("one_master_leaves_at_a_time", changed(state(), "node-2", leaving="scale-in")),
]


@pytest.mark.parametrize(("gate", "found"), LEAVING)
def test_a_leaving_node_is_held(gate: str, found: ClusterState) -> None:
    answer = held_by(stop_gates(found, found.nodes["node-3"], NOW))
    assert answer is not None and answer.name == gate and answer.reason


def test_every_gate_of_leaving_can_hold() -> None:
    assert {gate for gate, _ in LEAVING} == {gate.__name__ for gate in STOP_GATES}


COPIES = {"node-1": frozenset({"a[0]", "b[0]"}), "node-2": frozenset({"a[0]"}),
          "node-3": frozenset({"c[0]"})}


def parallel(found: ClusterState, **more: Any) -> ClusterState:
    """With the strategy parallel, two nodes down at once."""
    change = found.spec.change.model_copy(update={"strategy": "parallel", "max_down": 2})
    return replace(found, spec=found.spec.model_copy(update={"change": change}), **more)


def as_data(found: ClusterState, *, masters: str) -> ClusterState:
    """All nodes but the named one are data nodes only."""
    group = found.spec.groups[0]
    spec = found.spec.model_copy(update={"groups": (
        group, group.model_copy(update={"name": "data", "roles": ("data",)}))})
    for name in NAMES:
        if name != masters:
            found = changed(found, name, group="data")
    return replace(found, spec=spec)


def mixed(**view: Any) -> ClusterState:
    """The middle of an upgrade."""
    nodes = dict(state().es.nodes) | {"node-2": EsNode("es-node-2", "node-2", version="7.17.29")}
    return state(**{"health": "yellow", "nodes": nodes, "copies": COPIES, **view})


LARGER = state().spec.model_copy(update={"groups": (
    state().spec.groups[0].model_copy(update={"mem_mb": 4096}),)})
RESTARTING: list[tuple[str, ClusterState]] = [
    ("connected_to_mesos", replace(state(), link=Link())),
    ("not_paused", replace(state(), paused=True)),
    ("canary_approved", replace(state(), canary=Canary(1, "node-2"))),
    ("room_reserved", replace(state(), spec=LARGER)),
    ("es_view_fresh", state(at=NOW - 31)),
    ("change_budget", changed(state(), "node-2", state=NodeState.DOWN)),
    ("change_budget", changed(state(), "node-2", recycle=1)),
    ("one_master_restarts_at_a_time", parallel(changed(state(), "node-2", recycle=1))),
    ("one_master_restarts_at_a_time", parallel(changed(state(), "node-3", retire=True))),
    ("one_master_restarts_at_a_time", changed(state("7.17.29"), "node-3", draining=True)),
    ("quorum_survives", state(minimum_master_nodes=3)),
    ("shares_no_shard", parallel(changed(as_data(state(copies=COPIES), masters="node-3"),
                                         "node-2", recycle=1))),
    ("shares_no_shard", parallel(changed(as_data(state(), masters="node-3"), "node-2",
                                         recycle=1))),
    ("no_switch_in_the_way", replace(state(), switches={"allocation": Switch(
        "none", (None, None), 1.0)})),
    ("snapshot_finished", replace(state(), errands=(Errand(
        "s", "snapshot", (("snapshot", "esaas-1"),), NOW - 1, "running"),))),
    ("cluster_green", state(health="yellow")),
    ("no_last_copy", mixed(lone=frozenset({"b[0]"}), incomplete=frozenset({"b[0]"}))),
    ("no_last_copy", mixed(copies=None)),
    ("nothing_moves", state(relocating_shards=1)),
    ("nothing_moves", state(initializing_shards=1)),
]


def test_data_nodes_that_share_nothing_may_go_together() -> None:
    found = parallel(changed(as_data(state(copies=COPIES), masters="node-2"), "node-3", recycle=1))
    assert held_by(restart_gates(found, found.nodes["node-1"], NOW)) is None


@pytest.mark.parametrize("gate", sorted(FORCIBLE))
def test_people_go_past_a_gate_that_may_be_forced(gate: str) -> None:
    cases = [(found, "node-1", restart_gates) for name, found in RESTARTING if name == gate]
    cases += [(found, "node-3", stop_gates) for name, found in LEAVING if name == gate]
    for found, node, ask in cases:
        forced = changed(found, node, forced=(gate,))
        answers = {answer.name: answer for answer in ask(forced, forced.nodes[node], NOW)}
        assert answers[gate].ok and answers[gate].reason.startswith("forced: ")


@pytest.mark.parametrize(("gate", "found"), [
    case for case in LEAVING if case[0] not in FORCIBLE])
def test_nobody_goes_past_what_keeps_data_and_quorum(gate: str, found: ClusterState) -> None:
    forced = changed(found, "node-3", forced=(gate,))
    answer = held_by(stop_gates(forced, forced.nodes["node-3"], NOW))
    assert answer is not None and answer.name == gate


@pytest.mark.parametrize(("gate", "found"), RESTARTING)
def test_a_restart_is_held(gate: str, found: ClusterState) -> None:
    answer = held_by(restart_gates(found, found.nodes["node-1"], NOW))
    assert answer is not None and answer.name == gate and answer.reason


def test_every_gate_of_a_restart_can_hold() -> None:
    assert {gate for gate, _ in RESTARTING} == {gate.__name__ for gate in RESTART_GATES}


def test_a_node_that_is_no_member_may_always_restart() -> None:
    found = changed(state(health="red"), "node-1", es_node_id="another")
    assert held_by(restart_gates(found, found.nodes["node-1"], NOW)) is None


def test_yellow_is_enough_in_the_middle_of_an_upgrade() -> None:
    found = mixed()
    assert held_by(restart_gates(found, found.nodes["node-1"], NOW)) is None
    red = mixed(health="red")
    assert held_by(restart_gates(red, red.nodes["node-1"], NOW)).name == "cluster_green"


def test_the_elected_master_is_restarted_last_and_the_unhealthy_first() -> None:
    found = state()
    for name in NAMES:
        found = changed(found, name, config="old", leaving="")
    assert [record.name for record in order(found)] == ["node-2", "node-3", "node-1"]
    found = changed(found, "node-3", es_node_id="another")
    assert order(found)[0].name == "node-3"


def test_only_what_takes_a_restart_makes_a_node_outdated() -> None:
    found = state()
    record = found.nodes["node-1"]
    assert not outdated(found, record)
    spec = found.spec
    for same in (spec.with_count("node", 5), spec.model_copy(update={"description": "x"})):
        assert not outdated(replace(found, spec=same), record)
    for other in ({"version": "6.8.24"}, {"settings": {"a.b": 1}}, {"jvm_options": ("-Dx=y",)}):
        assert outdated(replace(found, spec=spec.model_copy(update=other)), record)
    assert wanted(replace(found, spec=spec), record) == record.config


@pytest.mark.parametrize(("masters", "found", "ready", "wanted_count"), [
    (3, 2, 3, 2), (3, 3, 3, 2), (3, 2, 2, 2), (3, None, 3, 2), (2, 2, 2, 2)])
def test_the_quorum_of_6_follows_the_standing_masters(
        masters: int, found: int | None, ready: int, wanted_count: int) -> None:
    made = changed(state(minimum_master_nodes=found), "node-3", leaving="")
    for name in NAMES[masters:]:
        made = made.without_node(name)
    for name in NAMES[ready:masters]:
        made = changed(made, name, state=NodeState.STARTING)
    assert wanted_minimum_master_nodes(made, NOW) == wanted_count
