"""What must never be, and what must never leave the house: a breach is planted for each."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from esaas.framework.core import checks, invariants
from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.errors import InvariantBroken
from esaas.framework.core.facts import Bootstrap, ClusterState, NodeState
from esaas.framework.core.launch import launch
from esaas.framework.core.resources import Resource

from .builders import NOW, formed, own_resources, record, seat, with_nodes

S = NodeState
STATE = formed()
ONE = STATE.nodes["node-1"]
OWN = own_resources(STATE, ONE)
VOLUME = next(item for item in OWN if item.disk)
BARE = own_resources(STATE, ONE, volume=False)
FOREIGN = tuple(replace(item, reservations=()) for item in OWN)
INTENT = ev.LaunchIntended(NOW, "node-1", seat(1))
RELEASE = ev.ReleaseIntended(NOW, "node-1", ("a",))


def accept(*steps: op.OfferStep, intents: Iterable[ev.Event] = (INTENT,),
           offers: tuple[str, ...] = ("offer-1",)) -> op.Accept:
    return op.Accept(tuple(intents), offers, "agent-1", steps, 5.0)


LAUNCH = launch(STATE, ONE, OWN)
BREACHES: list[tuple[list[op.Operation], str]] = [
    ([op.Teardown(())], "TEARDOWN of a framework that is not empty"),
    ([accept(), accept()], "offers answered twice: offer-1"),
    ([accept(), op.Decline((), ("offer-2", "offer-1"), 5.0)], "offers answered twice: offer-1"),
    ([op.Decline((), ("offer-1",), 5.0), accept()], "offers answered twice: offer-1"),
    ([accept(LAUNCH, intents=())], "an ACCEPT on agent agent-1 that records no intent"),
    ([accept(LAUNCH, LAUNCH)], "task demo.node-1.1.1 launched twice"),
    ([accept(op.Reserve("a", FOREIGN))], "Reserve of a resource that is not this cluster's"),
    ([accept(op.Unreserve("a", FOREIGN))], "Unreserve of a resource that is not this cluster's"),
    ([accept(op.Create("a", (replace(VOLUME, reservations=()),)))], "Create of a resource"),
    ([accept(op.Destroy("a", (VOLUME,)))], "DESTROY of node-1's volume without a decommission"),
    ([accept(op.Create("a", BARE[2:3]))], "Create of a disk that is no volume"),
    ([accept(op.Destroy("a", BARE[2:3]), intents=[RELEASE])], "Destroy of a disk that is no"),
]


@pytest.mark.parametrize(("operations", "message"), BREACHES)
def test_a_planted_bad_operation_is_caught(operations: list[op.Operation], message: str) -> None:
    with pytest.raises(InvariantBroken, match=message) as caught:
        checks.check_operations(STATE, operations)
    assert "cluster demo" in str(caught.value)


def test_teardown_of_a_cluster_with_nodes_is_caught_even_when_it_is_to_go() -> None:
    assert list(checks.breaches(replace(STATE, deleting=True), [op.Teardown(())]))
    empty = replace(with_nodes(STATE), deleting=True)
    assert not list(checks.breaches(empty, [op.Teardown(())]))


@pytest.mark.parametrize("operations", [
    [accept(op.Reserve("a", BARE), op.Create("b", (VOLUME,)), LAUNCH),
     op.Decline((), ("offer-2",), 5.0)],
    [accept(op.Destroy("a", (VOLUME,)), op.Unreserve("b", BARE), intents=[RELEASE])],
    [accept(op.Unreserve("b", BARE), intents=[ev.Released(NOW, ())])],
])
def test_good_operations_pass(operations: list[op.Operation]) -> None:
    checks.check_operations(STATE, operations)


def test_all_breaches_are_told_at_once() -> None:
    with pytest.raises(InvariantBroken) as caught:
        checks.check_operations(STATE, [op.Teardown(()), accept(intents=())])
    assert "TEARDOWN" in str(caught.value) and "records no intent" in str(caught.value)


PLANTED: list[tuple[Callable[[ClusterState], object], ClusterState, str]] = [
    (invariants.seated_when_alive, with_nodes(STATE, record(seat=None)),
     "node-1 is running without a seat"),
    (invariants.destroyed_only_when_retired, with_nodes(STATE, record("node-1", S.STOPPED,
                                                                      retire=False)),
     "node-1 is stopped without having been retired"),
    (invariants.ports_are_apart, with_nodes(STATE, record(), record(
        "node-2", seat=seat(1, port=31001, host="host-9"))),
     "port 31001 on agent agent-1 is held 2 times"),
    (invariants.host_limit, with_nodes(STATE, record(), record(
        "node-2", seat=seat(1, port=31200))), "host-1 has 2 nodes, at most 1 are allowed"),
    (invariants.one_founding, replace(STATE, bootstrap=Bootstrap(("node-1", "x"), ("node-1",))),
     "founding masters that are no founding nodes: x"),
    (invariants.operations_have_a_flight, with_nodes(STATE, record("node-1", S.STOPPED,
                                                                   operations=("a",))),
     "node-1 is stopped and awaits a"),
    (invariants.removed_means_empty, replace(STATE, removed=True),
     "removed, but 3 nodes are left, deleting is False"),
    (invariants.names_match, replace(STATE, nodes={"x": record()}), "node-1 stands under x"),
    (invariants.names_match, with_nodes(STATE, record(incarnation=0)),
     "node-1 is running as incarnation 0"),
]


@pytest.mark.parametrize(("check", "state", "message"), PLANTED)
def test_a_planted_breach_is_found_by_its_check(
        check: Callable[[ClusterState], object], state: ClusterState, message: str) -> None:
    expected = f"{check.__name__}: {message}"
    assert invariants.breaches(state) == [expected]
    with pytest.raises(InvariantBroken, match="cluster demo"):
        invariants.check(state)


def test_every_check_has_a_planted_breach_and_the_settled_cluster_has_none() -> None:
    assert {check for check, _, _ in PLANTED} == set(invariants.CHECKS)
    assert invariants.breaches(STATE) == []


def test_a_node_that_is_to_go_does_not_count_for_the_host() -> None:
    going = record("node-2", S.STOPPING, seat=seat(1, port=31200))
    assert invariants.breaches(with_nodes(STATE, record(), going)) == []


def test_a_disk_without_labels_is_nobodys() -> None:
    assert list(checks.breaches(STATE, [accept(op.Reserve("a", (Resource("cpus", 1.0),)))]))
