"""The life of a node is a table: what is not in it raises with the node's story."""
from __future__ import annotations

import itertools

import pytest
from esaas.framework.core.errors import InvalidTransition
from esaas.framework.core.facts import NodeState
from esaas.framework.core.machine import TRANSITIONS, Trigger, move

from .builders import record

S, T = NodeState, Trigger


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(NodeState, Trigger)))
def test_every_pair_is_in_the_table_or_raises_with_the_story(
        state: NodeState, trigger: Trigger) -> None:
    node = record("node-7", state, incarnation=3, launch=5, message="its last word")
    if (state, trigger) in TRANSITIONS:
        assert move(node, trigger) is TRANSITIONS[state, trigger]
        return
    with pytest.raises(InvalidTransition) as caught:
        move(node, trigger)
    for part in ("node-7", str(state), "incarnation 3", "launch 5", "its last word", str(trigger)):
        assert part in str(caught.value)


def ways_to(target: NodeState) -> set[tuple[NodeState, Trigger]]:
    return {pair for pair, found in TRANSITIONS.items() if found is target}


def test_only_an_explicit_stop_begins_the_way_out() -> None:
    assert {trigger for _, trigger in ways_to(S.STOPPING) if _ is not S.STOPPING} == {T.STOP}
    leaving = {S.STOPPING, S.STOPPED, S.RELEASING}
    assert {(state, trigger) for state, trigger in ways_to(S.STOPPED)
            if state not in leaving} == {(S.DOWN, T.STOP)}


def test_a_volume_is_destroyed_only_from_stopped() -> None:
    assert {pair for pair in ways_to(S.RELEASING) if pair[0] is not S.RELEASING} == {
        (S.STOPPED, T.RELEASE)}


def test_nobody_comes_back_from_the_way_out() -> None:
    leaving = {S.STOPPING, S.STOPPED, S.RELEASING}
    assert all(found in leaving for (state, _), found in TRANSITIONS.items() if state in leaving)


def test_a_node_forgets_its_seat_only_when_nothing_of_it_came_about() -> None:
    assert ways_to(S.PLANNED) == {(state, T.NEVER_WAS) for state in (
        S.PLACING, S.STARTING, S.UNREACHABLE)}


def test_what_mesos_says_of_a_task_never_raises_while_a_process_may_exist() -> None:
    told = (T.TASK_STARTING, T.TASK_RUNNING, T.TASK_UNREACHABLE, T.TASK_ENDED)
    alive = (S.PLACING, S.LAUNCHING, S.STARTING, S.RUNNING, S.UNREACHABLE, S.STOPPING)
    assert all(pair in TRANSITIONS for pair in itertools.product(alive, told))
