"""Every offer is answered once; what is ours is started, adopted, kept or released."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.apply import apply
from esaas.framework.core.checks import check_operations
from esaas.framework.core.decide import Decision, decide
from esaas.framework.core.facts import ClusterState, NodeState
from esaas.framework.core.offers.answer import LONG_S, SHORT_S
from esaas.framework.core.resources import Disk, Offer, Reservation, Resource

from .builders import (
    NOW,
    connected,
    formed,
    group,
    new_cluster,
    offer,
    own_resources,
    record,
    scalars,
    spec,
    with_nodes,
)

S = NodeState


def answered(state: ClusterState, *offers: Offer, now: float = NOW) -> Decision:
    """What a cycle decides; every offer is answered once, with a reason."""
    decision = decide(state, offers, now)
    check_operations(state, decision.operations)
    ids = [item for operation in decision.operations
           if isinstance(operation, (op.Accept, op.Decline)) for item in operation.offer_ids]
    assert sorted(ids) == sorted(item.id for item in offers)
    assert all(answer.reason for answer in decision.answers)
    assert {answer.pool.agent_id for answer in decision.answers} == {
        item.agent_id for item in offers}
    return decision


def accepts(decision: Decision) -> list[op.Accept]:
    return [item for item in decision.operations if isinstance(item, op.Accept)]


def steps(decision: Decision) -> list[str]:
    return [type(step).__name__ for accept in accepts(decision) for step in accept.steps]


def declines(decision: Decision) -> dict[float, tuple[str, ...]]:
    return {item.refuse_s: item.offer_ids for item in decision.operations
            if isinstance(item, op.Decline)}


def seat_offer(state: ClusterState, name: str, *more: Resource, **changes: Any) -> Offer:
    """The agent of a node offers what is reserved for it."""
    node = state.nodes[name]
    assert node.seat is not None
    return offer(int(node.seat.agent_id.rpartition("-")[2]),
                 [*own_resources(state, node, **changes), *more])


def deleting(state: ClusterState) -> ClusterState:
    return replace(state, deleting=True)


# --------------------------------------------------------------------- new nodes

def test_a_new_node_gets_reserve_create_and_launch_in_one_accept() -> None:
    decision = answered(new_cluster(), offer(1))
    assert steps(decision) == ["Reserve", "Create", "Launch"]
    reserve, create, launch = accepts(decision)[0].steps
    assert isinstance(reserve, op.Reserve) and isinstance(create, op.Create)
    assert isinstance(launch, op.Launch)
    node = decision.state.nodes["node-1"]
    assert node.state is S.PLACING
    assert node.operations == (reserve.operation_id, create.operation_id)
    labels = dict(decision.state.reservation_labels(node))
    assert all(dict(item.labels) == labels for item in reserve.resources)
    assert {item.reservations[-1].role for item in reserve.resources} == {"acme/demo"}
    volume, = create.volumes
    assert volume.disk is not None
    assert volume.disk.persistence_id == decision.state.persistence_id(node) == "uid1.node-1.1"
    held = [item for item in launch.task_resources if item.disk]
    assert held == [volume]


def test_a_reservation_of_the_tenant_is_refined() -> None:
    tenants = scalars(reservations=(Reservation("acme", dynamic=False),))
    reserve = accepts(answered(new_cluster(), offer(1, tenants)))[0].steps[0]
    assert isinstance(reserve, op.Reserve)
    assert {tuple(part.role for part in item.reservations) for item in reserve.resources} == {
        ("acme", "acme/demo")}


@pytest.mark.parametrize("kind", ["PATH", "MOUNT"])
def test_a_volume_keeps_the_source_of_its_disk(kind: str) -> None:
    source = Disk(source_type=kind, source_root="/data1")
    free = [*scalars(disk=0.001), Resource("disk", 9000.0, disk=source)]
    state = new_cluster(spec(group(disk_type=kind)))
    decision = answered(state, offer(1, free))
    create = accepts(decision)[0].steps[1]
    assert isinstance(create, op.Create)
    volume, = create.volumes
    assert volume.amount == (9000.0 if kind == "MOUNT" else 2000.0)
    assert volume.disk == replace(source, persistence_id="uid1.node-1.1", principal="acme",
                                  container_path="data")
    seat = decision.state.nodes["node-1"].seat
    assert seat is not None
    assert (seat.resources.disk_type, seat.resources.disk_root) == (kind, "/data1")


def test_all_offers_of_an_agent_go_into_one_accept() -> None:
    halves = offer(1, scalars(1.0)), offer(1, [Resource("cpus", 3.0)], id="more")
    accept, = accepts(answered(new_cluster(), *halves))
    assert accept.offer_ids == ("offer-1", "more")


@pytest.mark.parametrize("theirs", [
    Reservation("acme", labels=(("purpose", "mine"),)), Reservation("acme/other"),
    Reservation("else")])
def test_what_is_anothers_is_never_used(theirs: Reservation) -> None:
    decision = answered(new_cluster(), offer(1, scalars(reservations=(theirs,))))
    assert accepts(decision) == []


def test_two_nodes_may_go_to_one_agent_where_the_spec_allows() -> None:
    state = new_cluster(spec(group(placement={"max_per_host": 2})))
    accept, = accepts(answered(state, offer(1)))
    ports = [port for step in accept.steps if isinstance(step, op.Launch)
             for port in (step.payload.http_port, step.payload.transport_port)]
    assert len(ports) == len(set(ports)) == 4


def test_ports_of_a_node_whose_accept_may_be_lost_go_to_nobody_else() -> None:
    """They are offered again before Mesos has said what became of its task."""
    state = new_cluster(spec(group(placement={"max_per_host": 2})))
    state = state.with_node(record("node-1", S.PLACING))
    decision = answered(state, offer(1))
    seats = [item.seat for item in decision.state.nodes.values() if item.seat is not None]
    assert len(seats) == 2 and {seat.http_port for seat in seats} == {31000, 31002}


# ---------------------------------------------------------------- long and short

def test_what_nobody_wants_is_declined_for_long() -> None:
    decision = answered(formed(), offer(1), offer(2))
    assert declines(decision) == {LONG_S: ("offer-1", "offer-2")}
    assert {answer.reason for answer in decision.answers} == {"nothing is wanted"}


def test_what_does_not_fit_is_declined_for_long_with_every_reason() -> None:
    decision = answered(new_cluster(), offer(1, scalars(cpus=0.5)))
    assert declines(decision) == {LONG_S: ("offer-1",)}
    assert decision.answers[0].reason == "needs cpus 1.1, 0.5 are free"
    assert decision.answers[0].outcomes[0].parts[-1].stage == "cpus"


def test_growth_that_is_held_wants_no_offers_until_its_gate_opens() -> None:
    """One master at a time: the rest of the offers may go; a REVIVE asks for them again."""
    state = formed(3, spec(group(count=5)), minimum_master_nodes=3)
    state = connected(state, needs=("place node x1",))
    decision = answered(state, offer(6), offer(7))
    assert [item.state for item in decision.state.nodes.values()].count(S.PLACING) == 1
    assert list(declines(decision)) == [LONG_S]
    assert decision.state.link.needs == ()


def test_what_fits_but_was_not_the_best_is_declined_for_short_while_more_is_wanted() -> None:
    state = new_cluster(spec(group(), group("big", 1, cpus=99.0)))
    decision = answered(state, *(offer(number) for number in range(1, 6)))
    assert len(accepts(decision)) == 3 and {item.refuse_s for item in accepts(decision)} == {
        SHORT_S}
    assert list(declines(decision)) == [LONG_S]
    assert {answer.reason for answer in decision.answers if not answer.accepted} == {
        "needs cpus 99.1, 4 are free"}


def test_the_rest_of_an_accepted_offer_comes_back_soon_while_more_is_wanted() -> None:
    assert accepts(answered(new_cluster(), offer(1)))[0].refuse_s == SHORT_S
    last = answered(new_cluster(), offer(1), offer(2), offer(3))
    assert {accept.refuse_s for accept in accepts(last)} == {LONG_S}


def test_no_offer_is_answered_without_a_connection() -> None:
    state = connected(new_cluster(), connected=False)
    decision = decide(state, [offer(1)], NOW)
    assert not [item for item in decision.operations if not isinstance(item, op.Remember)]


# ---------------------------------------------------------------- back in place

@pytest.mark.parametrize("state", [S.DOWN, S.UNREACHABLE, S.RUNNING, S.STARTING, S.LAUNCHING])
def test_a_node_whose_seat_is_offered_starts_in_place(state: NodeState) -> None:
    """Its resources are idle, so whatever we thought, no task uses them."""
    found = formed().with_node(record("node-1", state))
    decision = answered(found, seat_offer(found, "node-1", *scalars()))
    assert steps(decision) == ["Launch"]
    node = decision.state.nodes["node-1"]
    assert (node.state, node.launch, node.incarnation) == (S.LAUNCHING, 2, 1)
    assert node.seat == found.nodes["node-1"].seat


def test_a_node_keeps_its_ports_on_an_agent_that_came_back_as_a_new_one() -> None:
    state = formed().with_node(record("node-1", S.UNREACHABLE))
    moved = replace(seat_offer(state, "node-1"), agent_id="agent-new", ip="10.9.9.9")
    decision = answered(state, moved)
    seat = decision.state.nodes["node-1"].seat
    assert seat is not None
    assert (seat.agent_id, seat.ip, seat.http_port) == ("agent-new", "10.9.9.9", 31000)
    assert steps(decision) == ["Launch"]


@pytest.mark.parametrize("part", [{"cpus": 0.5}, {"mem": 500.0}, {"cpus": 9.0, "mem": 500.0}])
def test_a_part_of_a_seat_waits_for_the_rest(part: dict[str, float]) -> None:
    state = formed().with_node(record("node-1", S.DOWN))
    decision = answered(state, seat_offer(state, "node-1", **part))
    assert declines(decision) == {SHORT_S: ("offer-1",)}
    assert decision.answers[0].reason == "waiting for the rest of node-1's resources"
    assert decision.wake_at <= NOW + SHORT_S


def test_a_held_node_says_by_what_and_wakes_the_loop() -> None:
    state = formed().with_node(record("node-1", S.DOWN, failures=2, retry_at=NOW + 4))
    decision = answered(state, seat_offer(state, "node-1"))
    assert declines(decision) == {SHORT_S: ("offer-1",)}
    assert decision.answers[0].reason.startswith("node-1 is held by retry_backoff")
    assert decision.wake_at == NOW + 4


def test_a_node_is_not_started_before_mesos_has_said_what_became_of_it() -> None:
    state = formed().with_node(record("node-1", S.DOWN))
    state = connected(state, unreconciled={"demo.node-1.1.1": 1}, reconcile_at=NOW + 5)
    assert accepts(answered(state, seat_offer(state, "node-1"))) == []


# ----------------------------------------------------------------------- orphans

def planned(incarnation: int = 1) -> ClusterState:
    """node-1 is planned anew; what an earlier ACCEPT made of it may still turn up."""
    return formed().with_node(record("node-1", S.PLANNED, incarnation=incarnation))


def test_a_planned_node_adopts_its_volume() -> None:
    state = formed()
    decision = answered(planned(), seat_offer(state, "node-1"))
    assert steps(decision) == ["Launch"]
    assert decision.state.nodes["node-1"].incarnation == 1


def test_a_reservation_without_a_volume_is_given_back() -> None:
    state = formed()
    decision = answered(planned(), seat_offer(state, "node-1", volume=False))
    assert steps(decision) == ["Unreserve"]
    assert "released the orphaned reservation of node-1" in decision.answers[0].reason


@pytest.mark.parametrize("name", ["node-1", "node-9"])
def test_an_orphaned_volume_is_kept_until_the_cluster_goes(name: str) -> None:
    """Its incarnation is not the record's, or no record has its name."""
    state = formed()
    stray = state.with_node(record(name, incarnation=7))
    offered = seat_offer(stray, name)
    decision = answered(state, offered)
    assert accepts(decision) == []
    assert "keeps the orphaned volume" in decision.answers[0].reason
    gone = with_nodes(deleting(state))
    assert steps(answered(gone, offered)) == ["Destroy", "Unreserve"]


def test_an_orphaned_reservation_is_released_after_a_grace() -> None:
    stray = formed().with_node(record("node-9", incarnation=7))
    offered = seat_offer(stray, "node-9", volume=False)
    before = answered(formed(), offered)
    assert steps(before) == [] and "for a while" in before.answers[0].reason
    assert before.state.orphans["node-9.7"].host == "host-9" and before.wake_at <= NOW + 60
    decision = answered(before.state, offered, now=NOW + 60)
    assert steps(decision) == ["Unreserve"] and decision.state.orphans == {}
    unreserve = accepts(decision)[0].steps[0]
    assert isinstance(unreserve, op.Unreserve)
    assert all(item.labels["esaas.incarnation"] == "7" for item in unreserve.resources)


def test_an_orphaned_volume_is_destroyed_when_people_release_it() -> None:
    stray = formed().with_node(record("node-9", incarnation=7))
    offered = seat_offer(stray, "node-9")
    kept = answered(formed(), offered).state
    assert kept.orphans["node-9.7"].volume
    released = apply(kept, ev.OrphanReleased(NOW, "node-9.7"))
    assert apply(kept, ev.OrphanReleased(NOW, "node-9.8")) == kept
    decision = answered(released, offered)
    assert steps(decision) == ["Destroy", "Unreserve"] and decision.state.orphans == {}


# ----------------------------------------------------------------------- leaving

@pytest.mark.parametrize("state", [S.STOPPED, S.STOPPING, S.RELEASING])
def test_a_retired_nodes_volume_is_destroyed_and_everything_unreserved(state: NodeState) -> None:
    found = deleting(with_nodes(formed(), record("node-1", state)))
    decision = answered(found, seat_offer(found, "node-1"))
    assert steps(decision) == ["Destroy", "Unreserve"]
    destroy, unreserve = accepts(decision)[0].steps
    assert isinstance(destroy, op.Destroy) and isinstance(unreserve, op.Unreserve)
    assert all(item.disk is None for item in unreserve.resources)
    node = decision.state.nodes["node-1"]
    assert node.state is S.RELEASING
    assert node.operations == (destroy.operation_id, unreserve.operation_id)


def test_a_volume_that_is_destroyed_already_is_not_destroyed_again() -> None:
    found = deleting(with_nodes(formed(), record("node-1", S.STOPPED)))
    assert steps(answered(found, seat_offer(found, "node-1", volume=False))) == ["Unreserve"]


def test_a_disk_keeps_its_source_when_it_is_unreserved() -> None:
    found = deleting(with_nodes(formed(), record("node-1", S.STOPPED)))
    own = [replace(item, disk=replace(item.disk, source_type="MOUNT", source_root="/m1"))
           if item.disk else item for item in seat_offer(found, "node-1").resources]
    unreserve = accepts(answered(found, offer(1, own)))[0].steps[1]
    assert isinstance(unreserve, op.Unreserve)
    assert [item.disk for item in unreserve.resources if item.disk] == [
        Disk(source_type="MOUNT", source_root="/m1")]


@pytest.mark.parametrize("part", [{"cpus": 0.5}, {"mem": 500.0}, {"disk": 100.0}])
def test_nothing_is_destroyed_while_a_part_is_still_in_use(part: dict[str, float]) -> None:
    found = deleting(with_nodes(formed(), record("node-1", S.STOPPING)))
    decision = answered(found, seat_offer(found, "node-1", **part))
    assert accepts(decision) == [] and list(declines(decision)) == [SHORT_S]
    assert decision.state.nodes["node-1"].state is S.STOPPING


def test_a_running_node_of_a_cluster_that_is_to_go_is_stopped_first() -> None:
    decision = answered(deleting(formed()), offer(1))
    assert accepts(decision) == []
    assert sum(isinstance(item, op.Kill) for item in decision.operations) == 3


def test_a_stopped_node_of_which_nothing_ever_came_is_given_up_after_a_while() -> None:
    """Its ACCEPT was lost: nothing of it will be offered, and the deletion must not wait."""
    node = record("node-1", S.STOPPED, seat_confirmed=False, since=NOW)
    state = deleting(with_nodes(formed(), node))
    early = decide(state, [], NOW + 1)
    assert "node-1" in early.state.nodes and early.wake_at <= NOW + 30
    assert "node-1" not in decide(early.state, [], NOW + 30).state.nodes
    sure = deleting(with_nodes(formed(), replace(node, seat_confirmed=True)))
    assert "node-1" in decide(sure, [], NOW + 9999).state.nodes
