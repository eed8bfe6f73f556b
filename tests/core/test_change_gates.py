"""Gates of leaving and restarting, one table each: what must never happen has a name."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from esaas.framework.core.config import fingerprint, outdated, wanted
from esaas.framework.core.facts import (
    Bootstrap,
    ClusterState,
    EsNode,
    EsView,
    Identity,
    Link,
    NodeRecord,
    NodeResources,
    NodeState,
    Seat,
    ShardLoad,
)
from esaas.framework.core.gates import (
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
    ("quorum_kept", state(minimum_master_nodes=3)),
    ("votes_excluded", state("7.17.29", voting_exclusions=())),
    ("one_master_leaves_at_a_time", changed(state(), "node-2", leaving="scale-in")),
]


@pytest.mark.parametrize(("gate", "found"), LEAVING)
def test_a_leaving_node_is_held(gate: str, found: ClusterState) -> None:
    answer = held_by(stop_gates(found, found.nodes["node-3"], NOW))
    assert answer is not None and answer.name == gate and answer.reason


def test_every_gate_of_leaving_can_hold() -> None:
    assert {gate for gate, _ in LEAVING} == {gate.__name__ for gate in STOP_GATES}


RESTARTING: list[tuple[str, ClusterState]] = [
    ("connected_to_mesos", replace(state(), link=Link())),
    ("not_paused", replace(state(), paused=True)),
    ("es_view_fresh", state(at=NOW - 31)),
    ("one_node_at_a_time", changed(state(), "node-2", state=NodeState.DOWN)),
    ("cluster_green", state(health="yellow")),
    ("nothing_moves", state(relocating_shards=1)),
    ("nothing_moves", state(initializing_shards=1)),
]


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
    nodes = dict(state().es.nodes) | {"node-2": EsNode("es-node-2", "node-2", version="7.17.29")}
    found = state(health="yellow", nodes=nodes)
    assert held_by(restart_gates(found, found.nodes["node-1"], NOW)) is None
    red = state(health="red", nodes=nodes)
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
