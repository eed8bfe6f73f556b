"""Moves of shards: which gates hold them, and what the service does by itself."""
from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from esaas.framework.core import balancing, config, errands
from esaas.framework.core import events as ev
from esaas.framework.core.apply import apply
from esaas.framework.core.draft import Draft
from esaas.framework.core.facts import ClusterState, NodeState, Switch
from esaas.framework.core.hotspots import Move
from esaas.framework.core.operations import RunErrand
from esaas.framework.core.spec import SpecFaults
from esaas.framework.service.present import operation_views

from .builders import NOW, formed, group, spec, view

MOVES = (Move("logs", 0, "node-1", "node-2"), Move("logs", 3, "node-2", "node-1"))
WISH = {"mode": "act", "max_moves_per_hour": 4, "hours": "0-24"}


def settled(**balance: object) -> ClusterState:
    """Three nodes, nothing to do."""
    wanted = spec(group(count=3), balance=WISH | balance)
    state = formed(3, wanted)
    return replace(state, nodes=MappingProxyType({
        name: replace(record, config=config.wanted(state, record))
        for name, record in state.nodes.items()}), settled=(1, wanted))


def asked(state: ClusterState, at: float = NOW, ident: str = "e1") -> ClusterState:
    return apply(state, ev.ErrandAsked(at, ident, balancing.KIND,
                                       balancing.parameters("store_mb", MOVES, "people")))


def begun(state: ClusterState) -> list[str]:
    draft = Draft(state, NOW)
    errands.run(draft)
    return [one.subject for one in draft.operations if isinstance(one, RunErrand)]


def test_moves_are_kept_as_they_were_proposed() -> None:
    [item] = asked(settled()).errands
    assert tuple(balancing.moves_of(item)) == MOVES
    assert dict(item.parameters)["by"] == "people"


def test_nothing_holds_moves_in_a_calm_cluster() -> None:
    state = settled()
    assert all(answer.ok for answer in balancing.gates(state, NOW))
    assert begun(asked(state)) == ["e1"]


@pytest.mark.parametrize(("name", "changed"), [
    ("cluster_green", {"es": view("node-1", "node-2", "node-3", health="yellow")}),
    ("nothing_moves", {"es": view("node-1", "node-2", "node-3", relocating_shards=1)}),
    ("es_view_fresh", {"es": view("node-1", "node-2", "node-3", at=NOW - 31)}),
    ("not_paused", {"paused": True}),
    ("no_switch_in_the_way", {"switches": {"allocation": Switch("none", None, NOW)}})])
def test_each_gate_holds_them_by_its_name(name: str, changed: dict[str, object]) -> None:
    state = replace(asked(settled()), **changed)
    held = [answer.name for answer in balancing.gates(state, NOW) if not answer.ok]
    assert name in held
    assert begun(state) == []
    assert balancing.may_act(state, NOW)


@pytest.mark.parametrize("changed", [
    {"recycle": 1}, {"draining": True, "leaving": "scale-in"}, {"state": NodeState.DOWN},
    {"state": NodeState.UNREACHABLE}])
def test_a_change_under_way_holds_them(changed: dict[str, object]) -> None:
    state = asked(settled())
    state = state.with_node(replace(state.nodes["node-2"], **changed))
    assert not balancing.no_change_under_way(state, NOW).ok
    assert begun(state) == []


def test_other_errands_are_not_held() -> None:
    state = replace(apply(settled(), ev.ErrandAsked(NOW, "e2", "flush")), paused=True)
    assert begun(state) == ["e2"]


@pytest.mark.parametrize(("why", "state"), [
    ("mode is advise", settled(mode="advise")),
    ("not within", settled(hours="3-4")),
    ("waiting or under way", asked(settled()))])
def test_the_service_moves_nothing_by_itself(why: str, state: ClusterState) -> None:
    assert why in balancing.may_act(state, NOW)


def test_so_many_moves_an_hour_and_no_more() -> None:
    state = settled()
    assert balancing.may_act(state, NOW) == ""
    for number in range(2):
        state = asked(state, NOW, f"e{number}")
        state = apply(state, ev.EsActed(NOW, "RunErrand", True, "moved", f"e{number}", False))
    assert balancing.moved_lately(state, NOW) == 4
    assert "at most 4" in balancing.may_act(state, NOW)
    later = NOW + balancing.HOUR_S + 1
    assert balancing.moved_lately(state, later) == 0


@pytest.mark.parametrize(("hours", "inside"), [("22-6", {22, 23, 0, 5}), ("8-18", {8, 17}),
                                               ("0-24", {0, 12, 23})])
def test_hours_may_go_over_midnight(hours: str, inside: set[int]) -> None:
    wish = spec(balance={"hours": hours}).balance
    outside = {hour for hour in (6, 7, 18, 21) if hours != "0-24"} - (
        set(range(8, 18)) if hours == "8-18" else set())
    assert all(wish.at_hour(hour) for hour in inside)
    assert not any(wish.at_hour(hour) for hour in outside)


def test_every_fault_of_a_policy_at_once() -> None:
    with pytest.raises(SpecFaults) as caught:
        spec(balance={"mode": "maybe", "hours": "25-3", "max_moves_per_hour": 0})
    assert {fault.path for fault in caught.value.faults} == {
        "balance.mode", "balance.hours", "balance.max_moves_per_hour"}


def test_people_read_which_gate_moves_wait_for() -> None:
    state = replace(asked(settled()), paused=True)
    [shown] = operation_views(state, NOW)
    assert shown.status == "waiting" and shown.message.startswith("held by not_paused: ")
    [free] = operation_views(asked(settled()), NOW)
    assert free.message == ""
