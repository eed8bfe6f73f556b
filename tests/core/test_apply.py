"""Folding events into facts: total, idempotent, and the same in whatever order updates come."""
from __future__ import annotations

from dataclasses import replace

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core import invariants
from esaas.framework.core.apply import apply, backoff_s
from esaas.framework.core.facts import ClusterState, NodeRecord, NodeState, Seeds
from esaas.framework.store.codec import EVENTS
from hypothesis import given, settings
from hypothesis import strategies as st

from .builders import NOW, connected, formed, new_cluster, record, seat, view, with_nodes
from .strategies import events_of

S = NodeState
SERVING = ev.NodeFacts("es-node-1", 4711, "6.8.23", serving=True)


def update(state: ClusterState, status: str, node: ev.NodeFacts | None = None,
           at: float = NOW, name: str = "node-1", **more: str) -> ev.TaskUpdated:
    return ev.TaskUpdated(at, state.task_id(state.nodes[name]), status, "agent-1", node=node,
                          **more)


def fold(state: ClusterState, *events: ev.Event) -> ClusterState:
    for event in events:
        state = apply(state, event)
        invariants.check(state)
    return state


def one(state: NodeState = S.LAUNCHING, **more: object) -> ClusterState:
    """A cluster of one node in a state."""
    found = with_nodes(formed(), record("node-1", state, **more))
    return replace(found, seeds=Seeds(("10.0.0.1:31001",), 1))


# ------------------------------------------------------------------- all kinds

def test_every_kind_of_event_has_a_handler_and_a_name_in_the_journal() -> None:
    from esaas.framework.core.apply import _HANDLERS
    assert set(_HANDLERS) == set(EVENTS.values())


FROM_OUTSIDE = (ev.Registered, ev.Disconnected, ev.MesosRefused, ev.TaskUpdated,
                ev.OperationUpdated, ev.SendFailed, ev.SeedsWritten, ev.EsObserved, ev.EsActed,
                ev.SpecAccepted, ev.DeleteAccepted)


@pytest.mark.parametrize("kind", FROM_OUTSIDE)
@settings(max_examples=20)
@given(data=st.data())
def test_what_comes_from_outside_never_raises_and_twice_is_as_once(
        kind: type[ev.Event], data: st.DataObject) -> None:
    event = data.draw(events_of(kind))
    state = apply(formed(), event)
    assert apply(state, event) == state


def test_an_unknown_kind_raises() -> None:
    with pytest.raises(KeyError):
        apply(formed(), ev.Event(NOW))


# --------------------------------------------------- updates in whatever order

NO_WORD = ("TASK_STAGING", "TASK_STARTING")
PATHS = [list(NO_WORD), [*NO_WORD, "TASK_RUNNING"], [*NO_WORD, "TASK_RUNNING", "SERVING"],
         [*NO_WORD, "TASK_RUNNING", "SERVING", "TASK_UNREACHABLE"],
         [*NO_WORD, "SERVING", "TASK_UNREACHABLE", "TASK_RUNNING"],
         ["TASK_STARTING", "TASK_UNREACHABLE", "TASK_RUNNING"]]
ENDS = ["TASK_FAILED", "TASK_KILLED", "TASK_FINISHED", "TASK_LOST", "TASK_GONE",
        "TASK_DROPPED", "TASK_ERROR"]


def as_update(state: ClusterState, status: str, at: float) -> ev.TaskUpdated:
    if status == "SERVING":
        return update(state, "TASK_RUNNING", SERVING, at)
    silent = ev.NodeFacts() if status == "TASK_RUNNING" else None
    return update(state, status, silent, at)


def outcome(state: ClusterState) -> tuple[object, ...]:
    """What may not depend on the order; times and words may."""
    node = state.nodes["node-1"]
    return node.state, node.failures, node.seat, node.seat_confirmed, node.operations, node.launch


@given(path=st.sampled_from(PATHS), end=st.none() | st.sampled_from(ENDS), data=st.data())
def test_updates_late_twice_and_out_of_order_end_in_the_same_state(
        path: list[str], end: str | None, data: st.DataObject) -> None:
    start = one(S.LAUNCHING)
    statuses = path + ([end] if end else [])
    shuffled = data.draw(st.permutations(statuses + data.draw(
        st.lists(st.sampled_from(statuses), max_size=4))))
    # At last Mesos is asked: the master answers with the latest state, and no executor's word.
    last = update(start, "TASK_RUNNING" if statuses[-1] == "SERVING" else statuses[-1], at=NOW + 99)
    in_order = fold(start, *(as_update(start, status, NOW + index)
                             for index, status in enumerate(statuses)), last)
    mixed = fold(start, *(as_update(start, status, NOW + index)
                          for index, status in enumerate(shuffled)), last)
    assert outcome(mixed) == outcome(in_order)
    assert fold(mixed, last) == mixed


def test_an_update_of_an_earlier_start_moves_nothing() -> None:
    state = one(S.RUNNING, launch=2)
    old = ev.TaskUpdated(NOW, "demo.node-1.1.1", "TASK_FAILED", "agent-1")
    assert apply(state, old).nodes == state.nodes


def test_a_task_that_no_record_knows_is_a_stranger_until_it_has_ended() -> None:
    state = apply(formed(), ev.TaskUpdated(NOW, "demo.node-9.1.1", "TASK_RUNNING", "agent-5"))
    assert state.link.strangers == {"demo.node-9.1.1": "agent-5"}
    gone = apply(state, ev.TaskUpdated(NOW, "demo.node-9.1.1", "TASK_KILLED", "agent-5"))
    assert gone.link.strangers == {}


def test_a_node_that_comes_back_from_unreachable_still_serves() -> None:
    """The master's own update carries no word of the executor, and the executor has said all."""
    state = fold(one(), update(one(), "TASK_RUNNING", SERVING),
                 update(one(), "TASK_UNREACHABLE"))
    assert state.nodes["node-1"].state is S.UNREACHABLE
    assert fold(state, update(state, "TASK_RUNNING")).nodes["node-1"].state is S.RUNNING


def test_a_node_that_never_served_is_not_running_by_the_masters_word_alone() -> None:
    assert fold(one(), update(one(), "TASK_RUNNING")).nodes["node-1"].state is S.STARTING


def test_a_restarted_node_has_to_serve_anew() -> None:
    """What its last start said is forgotten, whether its end was told or seen by its seat."""
    state = one(S.RUNNING)
    state = fold(state, ev.SeatFound(NOW, "node-1", seat(1), 1))
    assert state.nodes["node-1"].serving_since is None
    state = fold(state, ev.LaunchIntended(NOW, "node-1", seat(1)))
    state = fold(state, update(state, "TASK_RUNNING"))
    assert state.nodes["node-1"].state is S.STARTING


# --------------------------------------------------------------- failed starts

def test_failures_are_answered_ever_more_slowly() -> None:
    assert [backoff_s(count) for count in (0, 1, 2, 3, 20)] == [0, 2, 4, 8, 300]
    state = one(S.STARTING, failures=2)
    node = fold(state, update(state, "TASK_FAILED", message="boom")).nodes["node-1"]
    assert (node.state, node.failures, node.retry_at) == (S.DOWN, 3, NOW + 8)
    assert node.message == "failed: boom" and node.pid is None


@pytest.mark.parametrize("status", ["TASK_ERROR", "TASK_DROPPED", "TASK_LOST", "TASK_GONE"])
def test_an_accept_of_which_nothing_came_leaves_the_node_planned(status: str) -> None:
    state = one(S.PLACING, operations=("a.reserve", "a.create"))
    node = fold(state, update(state, status)).nodes["node-1"]
    assert (node.state, node.seat, node.operations, node.failures) == (S.PLANNED, None, (), 1)


def test_once_its_volume_is_known_a_node_keeps_its_seat() -> None:
    state = one(S.PLACING, operations=("a.reserve", "a.create"))
    state = fold(state, ev.OperationUpdated(NOW, "a.create", "OPERATION_FINISHED"),
                 update(state, "TASK_DROPPED"))
    assert state.nodes["node-1"].state is S.DOWN and state.nodes["node-1"].seat == seat(1)


def test_the_executors_reason_is_the_last_word() -> None:
    state = one(S.STARTING)
    node = fold(state, update(state, "TASK_FAILED", ev.NodeFacts(reason="no Java"),
                              message="exit 1")).nodes["node-1"]
    assert node.message == "failed: no Java"


# ------------------------------------------------------------------ operations

@pytest.mark.parametrize("status", ["OPERATION_FAILED", "OPERATION_ERROR", "OPERATION_DROPPED",
                                    "OPERATION_GONE_BY_OPERATOR"])
def test_a_release_that_failed_is_tried_again(status: str) -> None:
    state = one(S.RELEASING, operations=("a.destroy", "a.unreserve"))
    node = fold(state, ev.OperationUpdated(NOW, "a.destroy", status, "busy")).nodes["node-1"]
    assert (node.state, node.operations, node.message) == (S.STOPPED, (), "destroy failed: busy")


def test_pending_operations_are_waited_for() -> None:
    state = one(S.RELEASING, operations=("a.destroy", "a.unreserve"))
    assert fold(state, ev.OperationUpdated(NOW, "a.destroy", "OPERATION_PENDING")) == state
    left = fold(state, ev.OperationUpdated(NOW, "a.destroy", "OPERATION_FINISHED"))
    assert left.nodes["node-1"].operations == ("a.unreserve",)


@pytest.mark.parametrize("early", [S.PLACING, S.STARTING, S.RUNNING])
def test_a_node_may_end_before_its_operations_are_told(early: NodeState) -> None:
    """Feedback on RESERVE comes by another way than updates: a deletion may overtake it."""
    state = one(early, operations=("a.reserve", "a.create"))
    state = fold(state, ev.RetireIntended(NOW, "node-1", "deleted"),
                 update(state, "TASK_KILLED"))
    assert state.nodes["node-1"].state is S.STOPPED and state.nodes["node-1"].operations == ()


def test_a_node_that_is_down_may_be_retired_before_its_operations_are_told() -> None:
    state = one(S.DOWN, operations=("a.reserve",))
    state = fold(state, ev.RetireIntended(NOW, "node-1", "deleted"))
    assert state.nodes["node-1"].state is S.STOPPED


# ------------------------------------------------------------------------ link

def test_a_registration_asks_about_every_task_that_may_live() -> None:
    state = with_nodes(formed(), record("node-1"), record("node-2", S.DOWN),
                       record("node-3", S.STOPPING), record("node-4", S.PLANNED))
    state = apply(state, ev.Registered(NOW, "framework-2"))
    assert state.identity.framework_id == "framework-2"
    assert set(state.link.unreconciled) == {"demo.node-1.1.1", "demo.node-3.1.1"}


def test_an_offered_seat_answers_what_became_of_its_task() -> None:
    state = connected(one(S.RUNNING), unreconciled={"demo.node-1.1.1": 1, "demo.node-2.1.1": 1})
    state = fold(state, ev.SeatFound(NOW, "node-1", seat(1), 1))
    assert set(state.link.unreconciled) == {"demo.node-2.1.1"}


def test_a_lost_connection_keeps_the_reason_of_a_refusal() -> None:
    state = fold(formed(), ev.MesosRefused(NOW, "no such role"), ev.Disconnected(NOW + 1))
    assert not state.link.connected and state.link.error == "no such role"
    assert fold(state, ev.Registered(NOW + 2, "framework-1")).link.error == ""


def test_a_call_that_did_not_get_through_makes_needs_unknown() -> None:
    state = connected(formed(), needs=())
    assert fold(state, ev.SendFailed(NOW, "Suppress")).link.needs is None


# ---------------------------------------------------------------- what is wanted

def test_an_older_revision_changes_nothing() -> None:
    state = formed()
    assert fold(state, ev.SpecAccepted(NOW, 1, new_cluster().spec)) == state


def test_a_cluster_forms_once() -> None:
    state = fold(new_cluster(), ev.EsObserved(NOW, view("node-1", cluster_uuid="first")),
                 ev.EsObserved(NOW, view("node-1", cluster_uuid="second")))
    assert state.bootstrap.cluster_uuid == "first"


def test_a_volume_id_is_never_used_twice() -> None:
    state = with_nodes(formed(), record("node-1", S.RELEASING, incarnation=4))
    used = state.persistence_id(state.nodes["node-1"])
    state = fold(state, ev.NodeReleased(NOW, "node-1"), ev.NodePlanned(NOW, "node-1", "node"),
                 ev.PlaceIntended(NOW, "node-1", seat(1)))
    assert state.nodes["node-1"].incarnation == 5
    assert state.persistence_id(state.nodes["node-1"]) != used


def test_seeds_follow_the_seats_and_their_generation_only_grows() -> None:
    state = formed()
    moved = fold(state, ev.SeatFound(NOW, "node-1", seat(1, ip="10.9.9.9"), 1))
    assert "10.9.9.9:31001" in moved.seeds.addresses and moved.seeds.generation == 2
    again = fold(moved, ev.SeatFound(NOW, "node-1", seat(1, ip="10.9.9.9"), 1))
    assert again.seeds == moved.seeds


def test_seeds_that_were_written_are_never_unwritten() -> None:
    state = fold(formed(), ev.SeedsWritten(NOW, "node-1", 7), ev.SeedsWritten(NOW, "node-1", 3))
    assert state.nodes["node-1"].seeds_generation == 7


def test_a_seat_keeps_what_was_reserved_and_takes_the_agent_from_the_offer() -> None:
    state = one(S.DOWN)
    smaller = replace(seat(8), resources=replace(seat(8).resources, cpus=9.0))
    node: NodeRecord = fold(state, ev.SeatFound(NOW, "node-1", smaller, 1)).nodes["node-1"]
    assert node.seat is not None and node.seat.agent_id == "agent-8"
    assert node.seat.resources == seat(1).resources


def test_old_questions_are_forgotten() -> None:
    state = fold(formed(), ev.AskedFor(NOW, "a"), ev.AskedFor(NOW + 4000, "b"))
    assert set(state.asked.at) == {"b"}
