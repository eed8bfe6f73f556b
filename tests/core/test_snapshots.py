"""Snapshots: what is due, what holds it, what is remembered, and which may be deleted."""
from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from esaas.framework.core import config, errands, gates, snapshots
from esaas.framework.core import events as ev
from esaas.framework.core.apply import apply
from esaas.framework.core.draft import Draft
from esaas.framework.core.facts import ClusterState
from esaas.framework.core.operations import RunErrand
from esaas.framework.core.snapshots import Taken, expired, matching
from esaas.framework.core.spec import SpecFaults
from hypothesis import given
from hypothesis import strategies as st

from .builders import NOW, formed, group, spec, view

FS = {"type": "fs", "settings": {"location": "/mnt/snap/{tenant}/{cluster}"}}


def calm(**wish: object) -> ClusterState:
    """Three nodes, nothing to do but snapshots."""
    wanted = spec(group(count=3), snapshots={"repository": FS} | wish)
    state = formed(3, wanted)
    return replace(state, nodes=MappingProxyType({
        name: replace(record, config=config.wanted(state, record))
        for name, record in state.nodes.items()}), settled=(1, wanted))


def turn(state: ClusterState, now: float = NOW) -> tuple[ClusterState, list[str]]:
    """One look at what is due; kinds of what was begun."""
    assert state.es is not None
    draft = Draft(replace(state, es=replace(state.es, at=now)), now)
    snapshots.tend(draft)
    errands.run(draft)
    return draft.state, [one.errand.kind for one in draft.operations if isinstance(one, RunErrand)]


def ended(state: ClusterState, ok: bool = True, at: float = NOW) -> ClusterState:
    """The errand that runs has come to its end."""
    [running] = [item for item in state.errands if item.status == "running"]
    return apply(state, ev.EsActed(at, "RunErrand", ok, "so it was", running.id, False))


def test_the_repository_is_checked_then_one_is_made_then_old_ones_go_then_nothing() -> None:
    state, begun = calm(), []
    for _ in range(4):
        state, kinds = turn(state)
        begun += kinds
        state = ended(state) if kinds else state
    assert begun == [snapshots.REPOSITORY, snapshots.SNAPSHOT, snapshots.EXPIRE]
    memory = state.snapshots
    assert memory is not None and memory.taken_at == NOW
    assert memory.newest.startswith(snapshots.prefix(state)) and memory.newest == memory.expired
    assert snapshots.due_at(state) == NOW + 86400
    assert snapshots.drill_at(state) == NOW + 7 * 86400


def test_deciding_twice_asks_once_and_a_crash_begins_the_same_one_again() -> None:
    state, first = turn(calm())
    again, second = turn(state)
    assert first == [snapshots.REPOSITORY] and second == [] and again.errands == state.errands
    reborn, third = turn(replace(state, errands_sent=frozenset()))
    assert third == first and [item.id for item in reborn.errands] == [
        item.id for item in state.errands]


def test_what_failed_is_remembered_and_tried_again_later_only() -> None:
    state = ended(turn(calm())[0], ok=False)
    assert state.snapshots is not None and "so it was" in state.snapshots.failed
    assert turn(state, NOW + 10)[1] == []
    assert turn(state, NOW + snapshots.AGAIN_S + 1)[1] == [snapshots.REPOSITORY]


def test_another_repository_is_checked_before_anything_is_written_to_it() -> None:
    state = ended(turn(calm())[0])
    moved = spec(group(count=3), snapshots={"repository": {
        "type": "fs", "settings": {"location": "/elsewhere/{cluster}"}}})
    assert turn(replace(state, spec=moved))[1] == [snapshots.REPOSITORY]


@pytest.mark.parametrize("gate", ["es_view_fresh", "no_primary_missing", "no_restart_under_way",
                                  "repository_verified", "no_snapshot_runs"])
def test_each_gate_holds_a_snapshot_by_its_name(gate: str) -> None:
    state = ended(turn(calm())[0])
    state = apply(state, snapshots.asked(state, snapshots.SNAPSHOT, NOW))
    [item] = [one for one in state.errands if one.ended_at is None]
    assert snapshots.held(state, item, NOW) is None
    if gate == "es_view_fresh":
        state = replace(state, es=view("node-1", at=NOW - 31))
    elif gate == "no_primary_missing":
        state = replace(state, es=view("node-1", health="red"))
    elif gate == "no_restart_under_way":
        state = state.with_node(replace(state.nodes["node-2"], recycle=1))
    elif gate == "repository_verified":
        assert state.snapshots is not None
        state = replace(state, snapshots=replace(state.snapshots, repository=""))
    else:
        other = apply(state, ev.ErrandAsked(NOW, "x", snapshots.RESTORE, ()))
        state = apply(other, ev.ErrandBegun(NOW, "x"))
    assert gate in [one.name for one in snapshots.gates(state, item, NOW) if not one.ok]
    assert errands.held(state, item, NOW) is not None


def test_a_running_snapshot_holds_restarts_but_not_for_ever() -> None:
    state = ended(turn(calm())[0])
    state, kinds = turn(state)
    assert kinds == [snapshots.SNAPSHOT]
    record = state.nodes["node-1"]
    assert not gates.snapshot_finished(state, record, NOW).ok
    assert gates.snapshot_finished(state, record, NOW + gates.SNAPSHOT_MAX_S).ok
    assert gates.snapshot_finished(ended(state, ok=False), record, NOW).ok


def test_nodes_without_snapshots_are_not_outdated_and_those_with_may_write_there() -> None:
    assert "path.repo" not in spec().cluster_settings()
    assert spec(snapshots={"enabled": False}).cluster_settings() == {}
    wanted = spec(settings={"path.repo": "/other"}, snapshots={"repository": FS})
    assert wanted.cluster_settings()["path.repo"] == ["/other", "/mnt/snap"]
    assert config.parts(spec(), spec().groups[0]) == config.parts(
        spec(snapshots={"repository": {"type": "s3"}}), spec().groups[0])


def test_every_fault_of_a_wish_at_once() -> None:
    with pytest.raises(SpecFaults) as caught:
        spec(snapshots={"every_s": 1, "keep": 0, "repository": {
            "type": "s3", "settings": {"secret_key": "x"}}})
    assert {fault.path for fault in caught.value.faults} == {
        "snapshots.every_s", "snapshots.keep", "snapshots.repository.settings"}
    for wrong in ({}, {"repository": {"type": "fs"}}, {"repository": {
            "type": "fs", "settings": {"location": "/a/../b"}}}):
        with pytest.raises(SpecFaults):
            spec(snapshots=wrong)


LISTED = st.lists(st.builds(
    Taken, st.sampled_from(["own-", "other-"]).flatmap(
        lambda first: st.integers(0, 10**6).map(lambda number: f"{first}{number}")),
    st.sampled_from(["SUCCESS", "PARTIAL", "FAILED", "IN_PROGRESS"]),
    st.floats(0, 1e6)), unique_by=lambda one: one.name, max_size=30)


@given(LISTED, st.integers(1, 10))
def test_retention_never_deletes_what_it_must_not(listed: list[Taken], keep: int) -> None:
    gone = set(expired(listed, "own-", keep))
    by_name = {one.name: one for one in listed}
    assert all(name.startswith("own-") and by_name[name].status != "IN_PROGRESS" for name in gone)
    complete = [one for one in listed if one.name.startswith("own-") and one.status == "SUCCESS"]
    assert len([one for one in complete if one.name not in gone]) == min(keep, len(complete))
    kept = [one.started_at for one in complete if one.name not in gone]
    assert all(by_name[name].started_at <= min(kept) for name in gone)


def test_indices_by_pattern() -> None:
    there = ["logs-1", "logs-2", "pets"]
    assert matching(there, "*") == there
    assert matching(there, "logs-*,-logs-1") == ["logs-2"]
    assert matching(there, "none") == []


@pytest.mark.parametrize(("one", "other", "same"), [
    ({"location": "/mnt/a"}, {"location": "/mnt//a/"}, True),
    ({"location": "/mnt/a"}, {"location": "/mnt/a", "compress": False}, True),
    ({"location": "/mnt/{cluster}"}, {"location": "/mnt/demo"}, True),
    ({"location": "/mnt/a"}, {"location": "/mnt/b"}, False),
])
def test_a_place_is_the_same_however_it_is_written(
        one: dict[str, object], other: dict[str, object], same: bool) -> None:
    places = [spec(group(), snapshots={"repository": {"type": "fs", "settings": settings}}
                   ).snapshot_place for settings in (one, other)]
    assert all(places) and (places[0] == places[1]) is same


def test_the_same_path_on_another_server_is_another_place() -> None:
    places = {spec(group(), snapshots={"repository": {"type": "hdfs", "settings": {
        "uri": uri, "path": "/a"}}}).snapshot_place for uri in ("hdfs://one:8020", "hdfs://two/",
                                                                "hdfs://two")}
    assert len(places) == 2
    assert spec(group()).snapshot_place == ""
