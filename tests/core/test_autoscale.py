"""Autoscaling: when a node more, when one less, what holds it, and that it never flaps."""
from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from esaas.framework.core import autoscale, config
from esaas.framework.core import events as ev
from esaas.framework.core.apply import apply
from esaas.framework.core.autoscale import Advice, Sample, advise, may_act
from esaas.framework.core.facts import ClusterState, Scaled, Switch
from esaas.framework.core.spec import ClusterSpec, NodeGroup, SpecFaults
from esaas.framework.runtime.chronicle import tell
from esaas.framework.store.codec import from_records, to_records
from esaas.framework.store.contract import Stored
from hypothesis import given, settings
from hypothesis import strategies as st

from .builders import NOW, formed, group, record, spec, view

WISH = {"mode": "act", "min": 2, "max": 5, "window_s": 60, "cool_down_s": 300}


def wanted(count: int = 3, masters: bool = True, **wish: Any) -> ClusterSpec:
    return spec(group(count=count, autoscale=WISH | wish,
                      roles=["master", "data"] if masters else ["data"]),
                *(() if masters else (group("boss", 1, roles=["master"]),)))


def settled(count: int = 3, now: float = NOW, **wish: Any) -> ClusterState:
    """So many nodes, nothing to do, seen just now."""
    goal = wanted(count, **wish)
    names = [f"node-{number}" for number in range(1, count + 1)]
    state = formed(count, goal, max_replicas=1, store_mb=100.0, at=now)
    return replace(state, nodes=MappingProxyType({
        name: replace(record(name, seeds_generation=1), config=config.wanted(
            state, state.nodes[name])) for name in names}), settled=(1, goal))


def samples(now: float = NOW, nodes: int = 3, span_s: float = 60, **figures: float,
            ) -> list[Sample]:
    """One each ten seconds, all alike."""
    return [Sample(now - ago, nodes, figures) for ago in range(int(span_s), -1, -10)]


def advice(state: ClusterState, found: list[Sample], now: float = NOW) -> Advice:
    return advise(state, state.spec.groups[0], found, now)


# -------------------------------------------------------------------------- the spec

@pytest.mark.parametrize(("path", "fault", "more"), [
    ("groups[0].autoscale", "min 6 is more than max 5", {"min": 6}),
    ("groups[0].autoscale", "no limit", {"disk_out_percent": None, "disk_in_percent": None}),
    ("groups[0].autoscale", "is below that for more", {"disk_in_percent": 80}),
    ("groups[0].autoscale", "needs one for more", {"load_in": 1}),
    ("groups[0].autoscale.window_s", "", {"window_s": 1}),
    ("groups[0].autoscale.hours", "", {"hours": "25-1"}),
    ("groups[0].autoscale.mode", "", {"mode": "perhaps"}),
    ("groups[0]", "count 3 is not from", {"min": 4})])
def test_a_policy_that_cannot_be(path: str, fault: str, more: dict[str, Any]) -> None:
    with pytest.raises(SpecFaults) as caught:
        wanted(**more)
    assert [(found.path, fault in found.message) for found in caught.value.faults] == [
        (path, True)]


def test_never_masters_alone_and_never_sidecars() -> None:
    for wrong in ({"roles": ["master"]}, {"roles": ["ingest"]},
                  {"kind": "sidecar", "command": "sleep 9", "roles": []}):
        with pytest.raises(SpecFaults, match="only of groups with the role data"):
            spec(group(), group("other", 3, autoscale=WISH, **wrong))


def test_a_policy_restarts_no_node() -> None:
    plain, scaling = spec(group(count=3)), wanted()
    assert config.parts(plain, plain.groups[0]) == config.parts(scaling, scaling.groups[0])


# ---------------------------------------------------------------------------- advice

@pytest.mark.parametrize(("figures", "wish", "direction", "says"), [
    ({"disk_percent": 80}, {}, "out", "disk 80 % used, above 75: 3 nodes become 4"),
    ({"disk_percent": 75}, {}, "stay", "between the limits"),
    ({"disk_percent": 46}, {}, "stay", "between the limits"),
    ({"disk_percent": 40}, {}, "in", "disk 40 % used, below 45: 3 nodes become 2"),
    ({"disk_percent": 45}, {}, "stay", "with a node less disk 68 % used, not below 67.5"),
    ({"disk_percent": 20, "load": 2.5}, {"load_out": 2}, "out", "load 2.50 a core, above 2"),
    ({"disk_percent": 20}, {"load_out": 2, "load_in": 1}, "stay", "between the limits"),
    ({"disk_percent": 20, "load": 1.5}, {"load_out": 2, "load_in": 1}, "stay", "between"),
    ({"disk_percent": 20, "heap_percent": 90}, {"heap_out_percent": 85}, "out", "heap 90 % used"),
    ({"disk_percent": 20, "heap_percent": 60}, {"heap_out_percent": 85}, "stay",
     "with a node less heap 90 % used"),
    ({"disk_percent": 20}, {"heap_out_percent": 85}, "stay", "with a node less nobody knows"),
    ({"disk_percent": 90}, {"max": 3}, "stay", "but there are 3 nodes, at most 3"),
    ({"disk_percent": 10}, {"min": 3}, "stay", "but there are 3 nodes, at least 3"),
    ({"disk_percent": 10}, {"disk_in_percent": None}, "stay", "between the limits"),
    ({}, {}, "stay", "no figure is known")])
def test_what_figures_ask_for(figures: dict[str, float], wish: dict[str, Any], direction: str,
                              says: str) -> None:
    found = advice(settled(**wish), samples(**figures))
    assert found.direction == direction and says in found.why, found.why
    assert found.wanted == 3 + {"out": 1, "in": -1, "stay": 0}[direction]


@pytest.mark.parametrize("found", [
    [], samples(span_s=30, disk_percent=90), samples(NOW - 61, disk_percent=90),
    samples(nodes=2, disk_percent=90),
    [Sample(NOW - 60, 3, {"disk_percent": 90}), *samples(NOW, span_s=0, disk_percent=90)]])
def test_without_a_whole_window_nothing_is_said(found: list[Sample]) -> None:
    state = settled(window_s=120) if len(found) == 2 else settled()
    assert advice(state, found).direction == "stay" and "measured for" in advice(state, found).why


def test_a_peak_keeps_a_node_and_asks_for_none() -> None:
    found = samples(disk_percent=40)
    found[3] = replace(found[3], figures={"disk_percent": 99})
    assert advice(settled(), found).direction == "stay"


def test_a_figure_that_was_missing_once_is_not_known() -> None:
    found = samples(disk_percent=90)
    found[3] = replace(found[3], figures={})
    assert advice(settled(), found).direction == "stay"


def test_as_many_nodes_stay_as_a_shard_has_copies() -> None:
    state = replace(settled(min=1), es=view("node-1", "node-2", "node-3", max_replicas=2,
                                            store_mb=1.0))
    found = advice(state, samples(disk_percent=5))
    assert found.direction == "stay" and "at least 3" in found.why


# ------------------------------------------------------------------------ what holds

def test_it_acts_when_nothing_holds_it() -> None:
    state = settled()
    out = advice(state, samples(disk_percent=90))
    assert may_act(state, out, NOW) == ""
    assert may_act(state, advice(state, samples(disk_percent=10)), NOW) == ""
    assert autoscale.changed_spec(state, out).groups[0].count == 4


@pytest.mark.parametrize(("why", "wish", "changed"), [
    ("mode is advise", {"mode": "advise"}, {}),
    ("held by within_hours", {"hours": "5-6"}, {}),
    ("held by not_paused", {}, {"paused": True}),
    ("held by no_switch_in_the_way", {}, {"switches": {"allocation": Switch("none", None, NOW)}}),
    ("held by es_view_fresh", {}, {"es": view("node-1", "node-2", "node-3", at=NOW - 31)}),
    ("held by no_primary_missing", {}, {"es": view("node-1", "node-2", "node-3", health="red",
                                                   max_replicas=1)}),
    ("held by cool_down_over", {}, {"scaled": {"node": Scaled(NOW - 100, 2, 3)}}),
    ("number of nodes was changed", {}, {"deleting": True})])
def test_what_keeps_it_from_acting(why: str, wish: dict[str, Any],
                                   changed: dict[str, Any]) -> None:
    state = settled(**wish)
    out = advice(state, samples(disk_percent=90))
    assert out.direction == "out"
    assert why in may_act(replace(state, **changed), out, NOW)


def test_a_node_goes_only_from_a_calm_green_cluster_and_with_room_for_the_data() -> None:
    state = settled()
    less = advice(state, samples(disk_percent=10))
    seen = view("node-1", "node-2", "node-3", max_replicas=1, store_mb=100.0)
    for why, es in (("held by cluster_green", replace(seen, health="yellow")),
                    ("held by nothing_moves", replace(seen, relocating_shards=1)),
                    ("refused by shrink_leaves_room_on_disk", replace(seen, store_mb=1e6)),
                    ("refused by shrink_leaves_room_for_copies", replace(seen, max_replicas=2)),
                    ("refused by shrink_sees_the_data", replace(seen, max_replicas=None))):
        assert why in may_act(replace(state, es=es), less, NOW)
    more = advice(state, samples(disk_percent=90))
    assert may_act(replace(state, es=replace(seen, health="yellow")), more, NOW) == "", (
        "a full cluster is often yellow: just then it needs the node")


def test_never_while_a_plan_is_in_progress() -> None:
    state = settled()
    out = advice(state, samples(disk_percent=90))
    for changed in ({"recycle": 1}, {"leaving": "scale-in"}, {"draining": True}):
        busy = state.with_node(replace(state.nodes["node-2"], **changed))
        assert "held by no_change_under_way" in may_act(busy, out, NOW)
    grown = replace(state, spec=wanted(4), revision=2)
    assert "number of nodes was changed" in may_act(grown, out, NOW)


# ------------------------------------------------------------------- what is recorded

def test_who_changed_the_number_and_why_is_remembered_and_told() -> None:
    state = settled()
    scaled = apply(state, ev.SpecAccepted(NOW, 2, wanted(4), by=autoscale.BY, because="disk 90 %"))
    assert scaled.scaled == {"node": Scaled(NOW, 3, 4, autoscale.BY, "disk 90 %")}
    told = {one.kind: one.message for one in tell(state, scaled)}
    assert told["autoscaled"] == "node: 3 nodes become 4, by autoscale: act: disk 90 %"
    records = {path: Stored(data, 1) for path, data in to_records(scaled).items()}
    assert from_records(records, "demo").scaled == scaled.scaled, "a crash forgets no cool-down"
    other = apply(scaled, ev.SpecAccepted(NOW + 9, 3, wanted(4, hours="1-2")))
    assert other.scaled == scaled.scaled, "the count is the same"
    people = apply(other, ev.SpecAccepted(NOW + 10, 4, wanted(5)))
    assert people.scaled == {"node": Scaled(NOW + 10, 4, 5)}
    assert not [one for one in tell(other, people) if one.kind == "autoscaled"]
    assert apply(people, ev.SpecAccepted(NOW, 5, spec(group("data", 2)))).scaled == {}


# -------------------------------------------------------------------------- never ever

FIGURES = st.fixed_dictionaries({}, optional={
    "disk_percent": st.floats(0, 100), "heap_percent": st.floats(0, 100),
    "load": st.floats(0, 10)})
WISHES = st.fixed_dictionaries({}, optional={
    "heap_out_percent": st.just(85), "load_out": st.just(2.0), "disk_in_percent": st.sampled_from(
        [None, 20, 74]), "min": st.integers(1, 3), "max": st.integers(3, 6)})


@given(WISHES, FIGURES)
def test_never_outside_of_the_bounds_and_never_below_the_copies(
        wish: dict[str, Any], figures: dict[str, float]) -> None:
    state = settled(**wish)
    found = advice(state, samples(**figures))
    policy = state.spec.groups[0].autoscale
    assert policy is not None
    assert policy.min <= found.wanted <= policy.max and abs(found.wanted - found.count) <= 1
    assert found.wanted >= state.spec.default_replicas + 1
    assert found.why


LOADS = st.lists(st.floats(0, 400), min_size=5, max_size=60)


@settings(deadline=None, max_examples=50)
@given(LOADS, st.booleans())
def test_an_out_is_not_followed_by_an_in_within_the_cool_down(loads: list[float],
                                                              in_the_window: bool) -> None:
    """Whatever the load does: minutes of a total that the nodes share, each followed at once."""
    state, kept, changes, now = settled(min=2, max=6), [], [], NOW
    for load in loads:
        for _ in range(12):             # two minutes, a sample each ten seconds
            now += 10
            count = state.spec.groups[0].count
            kept.append(Sample(now, count, {"disk_percent": load / count}))
            found = advise(state, state.spec.groups[0], kept[-50:], now)
            state = replace(settled(count, now, min=2, max=6), scaled=state.scaled,
                            revision=state.revision)
            if not may_act(state, found, now):
                changes.append((now, found.direction))
                state = apply(state, ev.SpecAccepted(
                    now, state.revision + 1, autoscale.changed_spec(state, found),
                    by=autoscale.BY))
            if in_the_window:
                load += 1
    policy: NodeGroup = state.spec.groups[0]
    assert policy.autoscale is not None and 2 <= policy.count <= 6
    for (before, _), (after, _) in zip(changes, changes[1:], strict=False):
        assert after - before >= policy.autoscale.cool_down_s, "no two within a cool-down"


@given(st.floats(0, 450), st.integers(2, 5))
def test_a_steady_load_never_asks_for_a_change_back(load: float, count: int) -> None:
    state = settled(count, min=2, max=6)
    first = advice(state, samples(nodes=count, disk_percent=load / count))
    if first.direction == "stay":
        return
    after = settled(first.wanted, min=2, max=6)
    second = advice(after, samples(nodes=first.wanted, disk_percent=load / first.wanted))
    assert {first.direction, second.direction} != {"in", "out"}
