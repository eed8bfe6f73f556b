"""Stories of change: scale-in with drain, cancelled scale-in, rolling restart; crashes anywhere."""
from __future__ import annotations

from pathlib import Path

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core.facts import NodeState
from esaas.framework.core.plan import Status, diff

from .world import ARROWS, World, spec


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, spec(4))
    made.run(lambda: settled(made))
    return made


def settled(world: World) -> bool:
    """Nothing is left to do."""
    return world.all_ready() and diff(world.state, world.now).status is Status.DONE


def want(world: World, revision: int, **change: object) -> None:
    """Ask for another spec until it is stored, as a person would after a crash."""
    count = int(str(change.pop("count", 4)))
    while world.state.revision < revision:
        world.tick(ev.SpecAccepted(world.now, revision, spec(count, **change)))


def test_a_node_leaves_only_when_it_is_drained(world: World) -> None:
    total = sum(world.mesos.shards.values())
    want(world, 2, count=3)
    step = next(step for step in diff(world.state, world.now).steps if step.id == "remove-node-4")
    assert step.detail.startswith("held by drained")
    world.run(lambda: settled(world))
    assert sorted(world.state.nodes) == ["node-1", "node-2", "node-3"]
    assert sum(world.mesos.shards.values()) == total, "every copy has moved"
    assert world.mesos.volumes_destroyed == ["uid1.node-4.1"]
    assert world.mesos.exclude == (None, None) and world.state.excluded == ()
    assert world.mesos.persistent_mmn == 2


def test_the_operators_own_exclusions_survive(world: World) -> None:
    world.mesos.exclude = ("elsewhere", None)
    want(world, 2, count=3)
    world.run(lambda: settled(world))
    assert world.mesos.exclude == ("elsewhere", None)


def test_a_scale_in_can_be_cancelled_midway(world: World) -> None:
    want(world, 2, count=3)
    world.tick()
    assert world.mesos.exclude == (None, "node-4")
    want(world, 3, count=4)
    world.run(lambda: settled(world) and world.mesos.exclude == (None, None))
    assert len(world.mesos.launches) == 4 and world.mesos.volumes_destroyed == []


def test_a_name_that_comes_back_gets_a_volume_of_its_own(world: World) -> None:
    want(world, 2, count=3)
    world.run(lambda: settled(world))
    want(world, 3, count=4)
    world.run(lambda: settled(world))
    assert world.state.nodes["node-4"].incarnation == 2
    assert world.volumes()[-1] == "uid1.node-4.2"


def test_masters_leave_one_at_a_time_with_the_quorum_following(tmp_path: Path) -> None:
    world = World(tmp_path, spec(5), agents=5)
    world.run(lambda: settled(world))
    assert world.mesos.persistent_mmn == 3
    want(world, 2, count=3)
    while not settled(world):
        world.mesos.progress(world.now)
        world.tick()
        alive = len(set(world.alive()))
        assert alive >= (world.mesos.persistent_mmn or 1), "a quorum is always there"
        assert world.mesos.persistent_mmn * 2 > alive, "never two halves that both elect"
        stopping = [record for record in world.state.nodes.values()
                    if record.state is NodeState.STOPPING]
        assert len(stopping) <= 1
        assert world.now < 2000
    assert world.mesos.persistent_mmn == 2


def test_masters_of_version_7_lose_their_vote_before_they_stop(tmp_path: Path) -> None:
    world = World(tmp_path, spec(4, version="7.17.29"))
    world.run(lambda: settled(world))
    world.mesos.votes = {"operators-own"}
    want(world, 2, count=2, version="7.17.29")
    while not settled(world):
        world.mesos.progress(world.now)
        world.tick()
        for record in world.state.nodes.values():
            if record.retire and record.state is NodeState.STOPPING:
                assert record.name in world.mesos.votes
        assert world.now < 2000
    assert sorted(world.state.nodes) == ["node-1", "node-2"]
    assert world.mesos.votes == {"operators-own"} and world.state.excluded_votes == ()


def test_a_red_cluster_holds_a_scale_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace
    look = world.mesos.look
    monkeypatch.setattr(world.mesos, "look", lambda now: replace(look(now), health="red"))
    want(world, 2, count=3)
    for _ in range(40):
        world.tick()
    assert "node-4" in world.state.nodes and not world.state.nodes["node-4"].retire
    step = next(step for step in diff(world.state, world.now).steps if step.id == "remove-node-4")
    assert "no_primary_missing" in step.detail and step.status is Status.HELD


def test_a_new_setting_rolls_through_the_cluster_node_by_node(world: World) -> None:
    before = {name: record.seat for name, record in world.state.nodes.items()}
    want(world, 2, settings={"indices.memory.index_buffer_size": "20%"})
    order: list[str] = []
    while not settled(world):
        world.mesos.progress(world.now)
        world.tick()
        away = [record.name for record in world.state.nodes.values()
                if not world.state.is_ready(record)]
        assert len(away) <= 1, "never two nodes at once"
        order += [name for name in away if name not in order]
        assert world.now < 2000
    assert sorted(order) == ["node-1", "node-2", "node-3", "node-4"]
    assert order[-1] == "node-1", "the elected master goes last"
    assert {name: record.seat for name, record in world.state.nodes.items()} == before
    assert all(record.launch == 2 for record in world.state.nodes.values())
    assert world.mesos.writes == ["primaries", "flush", "restored"] * 4
    assert world.mesos.allocation == (None, None) and world.state.held_allocation is None


def test_between_two_nodes_of_a_roll_no_time_is_lost(world: World) -> None:
    want(world, 2, settings={"indices.memory.index_buffer_size": "20%"})
    world.run(lambda: world.state.raised_delays)
    restored = 0
    while any(record.launch == 1 for record in world.state.nodes.values()):
        assert world.busy(), f"it is looked at often at {world.now}"
        world.mesos.progress(world.now)
        world.tick()
        if world.mesos.writes[-1] == "restored" and world.mesos.writes.count("restored") > restored:
            restored += 1
            world.tick()
            assert any(record.recycle for record in world.state.nodes.values()), "the next follows"


def test_allocation_is_restored_to_what_the_operator_had(world: World) -> None:
    world.mesos.allocation = (None, "new_primaries")
    want(world, 2, settings={"a.b": 1})
    world.run(lambda: settled(world), ticks=400)
    assert world.mesos.allocation == (None, "new_primaries")


def test_a_pause_holds_the_next_restart(world: World) -> None:
    world.tick(ev.Paused(world.now, True))
    want(world, 2, settings={"a.b": 1})
    for _ in range(30):
        world.mesos.progress(world.now)
        world.tick()
    assert all(record.launch == 1 for record in world.state.nodes.values())
    step = next(step for step in diff(world.state, world.now).steps if "restart" in step.id)
    assert step.detail == "held by not_paused: the change is paused"
    world.tick(ev.Paused(world.now, False))
    world.run(lambda: settled(world), ticks=400)


def test_a_roll_back_midway_restarts_only_what_had_changed(world: World) -> None:
    want(world, 2, settings={"a.b": 1})
    world.run(lambda: world.state.nodes["node-2"].launch == 2)
    want(world, 3)
    world.run(lambda: settled(world), ticks=400)
    launches = {name: record.launch for name, record in world.state.nodes.items()}
    assert launches == {"node-1": 1, "node-2": 3, "node-3": 1, "node-4": 1}


def test_one_node_is_restarted_on_request(world: World) -> None:
    world.tick(ev.RestartAsked(world.now, "node-3"))
    world.run(lambda: settled(world) and world.state.nodes["node-3"].launch == 2, ticks=400)
    assert [record.launch for record in world.state.nodes.values()] == [1, 1, 2, 1]


@pytest.mark.parametrize("arrow", ARROWS)
@pytest.mark.parametrize("nth", range(1, 40, 3))
def test_a_crash_anywhere_in_a_change_leaves_nothing_behind(
        tmp_path: Path, arrow: str, nth: int) -> None:
    world = World(tmp_path, spec(4))
    world.run(lambda: settled(world))
    world.crash_at(arrow, nth)
    want(world, 2, count=3, settings={"a.b": 1})
    world.run(lambda: settled(world), ticks=600)
    assert sorted(world.state.nodes) == ["node-1", "node-2", "node-3"]
    assert len(world.volumes()) == 3
    assert world.mesos.allocation == (None, None) and world.mesos.exclude == (None, None)
    assert world.mesos.persistent_mmn == 2


def test_a_bad_setting_stops_at_the_first_node_and_a_roll_back_mends_it(world: World) -> None:
    want(world, 2, settings={"no.such.setting": 1})
    for _ in range(150):
        for task in list(world.mesos.tasks.values()):
            if not task.task_id.endswith(".1.1"):
                world.mesos.end(task.task_id, "TASK_FAILED", world.now)
        world.mesos.progress(world.now)
        world.tick()
    touched = [name for name, record in world.state.nodes.items() if record.launch > 1]
    assert len(touched) == 1, "the change stops at the first node"
    step = next(step for step in diff(world.state, world.now).steps
                if step.id == f"restart-{touched[0]}")
    assert step.status is Status.RUNNING and "failed" in step.detail
    want(world, 3)
    world.run(lambda: settled(world), ticks=400)
    assert world.mesos.allocation == (None, None) and world.volumes() == sorted(
        f"uid1.{name}.1" for name in world.state.nodes)
