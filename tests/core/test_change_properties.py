"""What must never happen to a changing cluster: properties over states of any kind."""
from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from esaas.framework.core import events as ev
from esaas.framework.core import invariants
from esaas.framework.core.decide import decide
from esaas.framework.core.draft import Draft
from esaas.framework.core.facts import Canary, ClusterState, NodeState, ShardLoad
from esaas.framework.core.gates import FORCIBLE, restart_gates, stop_gates
from esaas.framework.core.leaving import depart
from esaas.framework.core.operations import Kill, Operation, Teardown
from esaas.framework.core.plan import diff, wanted_nodes
from esaas.framework.core.rolling import roll
from esaas.framework.core.validate import validate
from hypothesis import given, settings
from hypothesis import strategies as st

from .builders import NOW, formed, group, record, spec, view, with_nodes

S = NodeState
COUNT = 5
NAMES = [f"node-{number}" for number in range(1, COUNT + 1)]
STATES = st.sampled_from([S.RUNNING] * 6 + [S.STARTING, S.DOWN, S.UNREACHABLE, S.RESTARTING])
SHARDS = st.sets(st.sampled_from(["a[0]", "a[1]", "b[0]", "c[0]"]), max_size=3)
CHANGES = st.fixed_dictionaries({
    "strategy": st.sampled_from(["serial", "parallel", "canary"]),
    "max_down": st.integers(1, 3), "max_extra": st.integers(0, 2)})


@st.composite
def nodes(draw: st.DrawFn, name: str) -> Any:
    """One node of a changing cluster."""
    state = draw(STATES)
    leaving = draw(st.sampled_from(["", "", "", "scale-in", "replaced on request"]))
    return record(
        name, state, config=draw(st.sampled_from(["old", "older"])), leaving=leaving,
        moving=leaving.startswith("replaced"), draining=bool(leaving) and draw(st.booleans()),
        forced=tuple(draw(st.sets(st.sampled_from(sorted(FORCIBLE | {"drained", "quorum_kept"})),
                                  max_size=3))),
        recycle=1 if state is S.RESTARTING else draw(st.sampled_from([0, 0, 0, 0, 1])),
        retry_at=draw(st.sampled_from([0.0, NOW + 50])), failures=draw(st.integers(0, 3)),
        seeds_generation=1)


@st.composite
def states(draw: st.DrawFn) -> ClusterState:
    """A formed cluster in the middle of anything."""
    wanted = spec(group(count=draw(st.integers(2, COUNT))), change=draw(CHANGES),
                  version=draw(st.sampled_from(["6.8.23", "7.17.29"])))
    members = draw(st.sets(st.sampled_from(NAMES), min_size=1))
    loads = {name: ShardLoad(draw(st.integers(0, 3)), draw(st.integers(0, 1)), 10)
             for name in NAMES}
    seen = view(*sorted(members), at=NOW - draw(st.sampled_from([1, 1, 1, 40])),
                health=draw(st.sampled_from(["green", "green", "yellow", "red"])),
                loads=draw(st.sampled_from([loads, loads, None])),
                copies={name: frozenset(draw(SHARDS)) for name in NAMES},
                incomplete=frozenset(draw(SHARDS)), lone=frozenset(draw(SHARDS)),
                relocating_shards=draw(st.sampled_from([0, 0, 1])), max_replicas=1,
                minimum_master_nodes=draw(st.sampled_from([1, 2, 3])),
                exclude_settings=(None, ",".join(draw(st.sets(st.sampled_from(NAMES))))),
                voting_exclusions=tuple(sorted(draw(st.sets(st.sampled_from(NAMES))))))
    base = with_nodes(formed(COUNT, wanted), *(draw(nodes(name)) for name in NAMES))
    canary = Canary(1, draw(st.sampled_from(NAMES))) if draw(st.booleans()) else None
    return replace(base, es=seen, paused=draw(st.sampled_from([False, False, True])),
                   canary=canary)


def chosen(draft: Draft, before: ClusterState) -> list[str]:
    """Nodes that were ready and are told to stop, or chosen for it, by this turn."""
    return [name for name, after in draft.state.nodes.items()
            if before.is_ready(before.nodes[name]) and (
                (after.recycle and not before.nodes[name].recycle)
                or (after.retire and not before.nodes[name].retire))]


@settings(deadline=None, max_examples=150)
@given(states())
def test_no_healthy_node_stops_on_an_old_look_or_a_red_cluster_or_a_pause(
        state: ClusterState) -> None:
    draft = Draft(state, NOW)
    depart(draft)
    roll(draft)
    assert state.es is not None
    for name in chosen(draft, state):
        assert NOW - state.es.at <= 30, f"{name} on a stale view"
        forced = state.nodes[name].forced
        assert state.es.health != "red" or "cluster_green" in forced, f"{name} in red"
        assert not state.paused or "not_paused" in forced, f"{name} in a pause"


@settings(deadline=None, max_examples=150)
@given(states())
def test_a_node_is_retired_only_when_nothing_is_left_on_it(state: ClusterState) -> None:
    draft = Draft(state, NOW)
    depart(draft)
    assert state.es is not None
    for name, after in draft.state.nodes.items():
        if not after.retire or state.nodes[name].retire:
            continue
        assert state.es.loads is not None, f"{name} was never looked at"
        load = state.es.loads[name]
        assert not load.shards and not load.incoming, f"{name} holds shards"
        assert state.es.health != "red" and name in state.es.excluded
        assert after.leaving, f"{name} was not asked to leave"


@settings(deadline=None, max_examples=150)
@given(states())
def test_never_two_masters_and_never_two_copies_of_a_shard_at_once(state: ClusterState) -> None:
    draft = Draft(state, NOW)
    roll(draft)
    assert state.es is not None and state.es.copies is not None
    new = chosen(draft, state)
    assert len(new) <= 1, "all of these are masters"
    for name in new:
        for other in draft.state.nodes.values():
            if other.recycle and other.name != name and state.is_ready(state.nodes[other.name]):
                shared = state.es.copies[name] & state.es.copies[other.name]
                assert not shared, f"{name} and {other.name} share {shared}"


@settings(deadline=None, max_examples=100)
@given(states())
def test_the_quorum_of_6_is_never_broken_by_a_leaving_master(state: ClusterState) -> None:
    draft = Draft(state, NOW)
    depart(draft)
    went = [name for name, after in draft.state.nodes.items()
            if after.retire and not state.nodes[name].retire]
    assert len(went) <= 1, "masters leave one at a time"
    if went and state.spec.major == 6:
        left = sum(not item.retire for item in draft.state.nodes.values())
        assert left >= (state.es.minimum_master_nodes or 1)
    if went and state.spec.major == 7:
        assert went[0] in state.es.voting_exclusions


@settings(deadline=None, max_examples=100)
@given(states())
def test_no_force_opens_what_keeps_data_and_quorum(state: ClusterState) -> None:
    everything = tuple(sorted(gate.name for item in state.nodes.values() for gate in (
        *stop_gates(state, item, NOW), *restart_gates(state, item, NOW))))
    for item in state.nodes.values():
        forced = replace(item, forced=everything)
        for ask in (stop_gates, restart_gates):
            plain = {gate.name: gate.ok for gate in ask(state, replace(item, forced=()), NOW)}
            for gate in ask(state, forced, NOW):
                assert gate.ok == plain[gate.name] or gate.name in FORCIBLE, gate.name


def _kinds(operations: tuple[Operation, ...]) -> Counter[str]:
    return Counter(type(item).__name__ for item in operations if not isinstance(item, Kill))


@settings(deadline=None, max_examples=100)
@given(states())
def test_deciding_again_repeats_nothing_and_keeps_every_invariant(state: ClusterState) -> None:
    first = decide(state, (), NOW)
    invariants.check(first.state)
    assert not any(isinstance(item, Teardown) for item in first.operations)
    second = decide(first.state, (), NOW)
    third = decide(second.state, (), NOW)
    asked = _kinds(third.operations) - Counter({"Remember": 99})
    assert not asked, f"asked again at the same moment: {asked}"
    diff(third.state, NOW)              # a plan can always be shown


@settings(deadline=None, max_examples=100)
@given(states())
def test_the_wanted_nodes_are_as_many_as_wanted_and_none_that_moves(state: ClusterState) -> None:
    wanted = wanted_nodes(state)
    assert len(wanted) == state.spec.groups[0].count
    assert not any(state.nodes[name].moving for name in wanted if name in state.nodes)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 4), st.floats(0, 20000))
def test_no_accepted_shrink_leaves_too_few_nodes_or_too_little_disk(
        before: int, after: int, replicas: int, store_mb: float) -> None:
    old, new = (spec(group("m", 3, roles=["master"]), group("d", max(count, 2), roles=["data"]))
                for count in (before, after))
    seen = view("m-1", max_replicas=replicas, store_mb=store_mb)
    if not validate(old, new, seen) and new.data_nodes < old.data_nodes:
        assert new.data_nodes > replicas
        assert store_mb <= 0.85 * new.data_nodes * 2000


@settings(deadline=None, max_examples=100)
@given(states(), st.sampled_from(NAMES), st.booleans())
def test_what_people_ask_of_a_node_never_breaks_an_invariant(
        state: ClusterState, name: str, held: bool) -> None:
    from esaas.framework.core.apply import apply
    for event in (ev.ReplaceAsked(NOW, name), ev.NodeHeld(NOW, name, held),
                  ev.StepRestarted(NOW, name), ev.KeepAsked(NOW, name),
                  ev.GateForced(NOW, name, "cluster_green"), ev.RestartAsked(NOW, name)):
        state = apply(state, event)
        invariants.check(state)
        invariants.check(decide(state, (), NOW).state)
