"""Stories of one cluster: what is done, in which order, and that a crash changes nothing."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.facts import NodeState
from esaas.framework.core.plan import Status, diff

from .world import ARROWS, World, spec


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_three_nodes_are_placed_on_three_racks_and_become_members(world: World) -> None:
    world.run(world.all_ready)
    seats = [record.seat for record in world.state.nodes.values()]
    assert len({seat.host for seat in seats}) == 3
    assert len(world.volumes()) == 3
    assert world.state.bootstrap.cluster_uuid == "uuid-1"
    world.run(lambda: diff(world.state, world.now).status is Status.DONE)
    assert world.mesos.template == 1 and world.mesos.persistent_mmn == 2
    world.run(lambda: world.mesos.suppressed)       # an idle cluster is not offered anything


def test_an_idle_cluster_sends_nothing(world: World) -> None:
    world.run(lambda: diff(world.state, world.now).status is Status.DONE and world.mesos.suppressed)
    for _ in range(5):
        world.tick()
    world.sent.clear()
    for _ in range(60):
        world.tick()
    assert world.sent == []


def test_a_dead_node_comes_back_on_its_volume_with_its_ports(world: World) -> None:
    world.run(world.all_ready)
    before = world.state.nodes["node-2"]
    world.mesos.end(world.state.task_id(before), "TASK_FAILED", world.now)
    world.run(lambda: world.state.nodes["node-2"].launch == 2 and world.all_ready())
    after = world.state.nodes["node-2"]
    assert (after.seat, after.incarnation) == (before.seat, before.incarnation)
    assert after.es_node_id == before.es_node_id
    assert len(world.volumes()) == 3


def test_a_node_that_keeps_failing_is_started_ever_more_slowly(world: World) -> None:
    world.run(world.all_ready)
    starts = []
    for _ in range(5):
        record = world.state.nodes["node-1"]
        world.mesos.end(world.state.task_id(record), "TASK_FAILED", world.now)
        ended = world.now
        world.run(lambda launch=record.launch: world.state.nodes["node-1"].launch > launch)
        starts.append(world.now - ended)
        world.run(world.all_ready)
    assert starts == sorted(starts) and starts[-1] > 4 * starts[0]


def test_growth_waits_for_the_quorum_and_goes_one_master_at_a_time(world: World) -> None:
    world.run(lambda: diff(world.state, world.now).status is Status.DONE)
    world.mesos.add_agent(5)
    world.tick(ev.SpecAccepted(world.now, 2, spec(5)))
    starting: set[int] = set()
    while not world.all_ready():
        world.mesos.progress(world.now)
        world.tick()
        news = [record for record in world.state.nodes.values() if record.name in (
            "node-4", "node-5") and record.state not in (NodeState.PLANNED, NodeState.RUNNING)]
        starting.add(len(news))
        masters = len({*world.alive()})
        assert world.mesos.persistent_mmn >= masters // 2 + 1, "quorum follows before masters do"
        assert world.now < 2000
    assert max(starting) == 1
    assert world.mesos.persistent_mmn == 3


def test_delete_leaves_nothing(world: World) -> None:
    world.run(world.all_ready)
    world.mesos.graveyard = True
    world.tick(ev.DeleteAccepted(world.now))
    world.run(lambda: world.mesos.torn_down)
    assert world.mesos.reserved() == [] and world.mesos.tasks == {}
    assert len(world.mesos.volumes_destroyed) == 3


def test_nothing_is_destroyed_without_a_deletion(world: World) -> None:
    world.run(world.all_ready)
    for name in list(world.state.nodes):
        world.mesos.end(world.state.task_id(world.state.nodes[name]), "TASK_LOST", world.now)
        world.tick()
    world.run(world.all_ready)
    assert world.mesos.volumes_destroyed == []
    assert len(world.mesos.volumes_made) == 3


def test_a_lost_accept_is_found_out_and_done_again(world: World) -> None:
    lost: list[op.Operation] = []

    def lose(operation: op.Operation) -> bool:
        if isinstance(operation, op.Accept) and len(lost) < 2:
            lost.append(operation)
            world.mesos.offered = {key: value for key, value in world.mesos.offered.items()
                                   if key not in operation.offer_ids}
            for offer_id in operation.offer_ids:
                assert offer_id not in world.mesos.offered
            agent = world.mesos.agents[operation.agent_id]
            agent.idle = fresh[operation.agent_id]
            return True
        return False

    fresh = {agent.id: list(agent.idle) for agent in world.mesos.agents.values()}
    world.mesos.lose = lose
    world.run(world.all_ready)
    assert len(lost) == 2 and len(world.volumes()) == 3 and len(world.mesos.tasks) == 3


def test_an_agent_that_comes_back_as_a_new_one_keeps_its_node(world: World) -> None:
    world.run(world.all_ready)
    record = world.state.nodes["node-1"]
    old = world.mesos.agents.pop(record.seat.agent_id)
    task = world.mesos.tasks.pop(world.state.task_id(record))
    world.tick(ev.TaskUpdated(world.now, task.task_id, "TASK_UNREACHABLE", old.id))
    assert world.state.nodes["node-1"].state is NodeState.UNREACHABLE
    for _ in range(30):
        world.tick()
    assert world.state.nodes["node-1"].state is NodeState.UNREACHABLE, "it may well be alive"
    idle = [*old.idle, *task.resources]
    world.mesos.agents["agent-id-new"] = replace(old, id="agent-id-new", idle=idle)
    world.run(world.all_ready)
    assert world.state.nodes["node-1"].seat.agent_id == "agent-id-new"
    assert world.state.nodes["node-1"].incarnation == record.incarnation
    assert len(world.volumes()) == 3


def test_a_task_that_no_record_knows_is_killed(world: World) -> None:
    world.run(world.all_ready)
    world.tick(ev.TaskUpdated(world.now, "demo.node-9.1.1", "TASK_RUNNING", "agent-id-1"))
    assert "Kill" in world.sent


def test_updates_may_come_twice_late_and_out_of_order(world: World) -> None:
    seen: list[ev.Event] = []
    for _ in range(12):
        world.mesos.progress(world.now)
        seen += world.mesos.outbox
        world.tick()
    before = world.states()
    world.tick(*reversed([event for event in seen if not isinstance(event, ev.Registered)]))
    assert world.states() == before


@pytest.mark.parametrize("arrow", ARROWS)
@pytest.mark.parametrize("nth", range(1, 25))
def test_a_crash_at_any_step_neither_loses_nor_duplicates_a_node(
        tmp_path: Path, arrow: str, nth: int) -> None:
    world = World(tmp_path)
    world.crash_at(arrow, nth)
    world.run(world.all_ready)
    world.tick(ev.SpecAccepted(world.now, 2, spec(4)))
    if world.state.revision == 1:                       # the crash took the request with it
        world.tick(ev.SpecAccepted(world.now, 2, spec(4)))
    world.run(lambda: world.all_ready() and len(world.mesos.tasks) == 4)
    assert sorted(world.alive()) == ["node-1", "node-2", "node-3", "node-4"]
    assert len(world.volumes()) == 4, "no volume is lost or left over"
    world.mesos.graveyard = True
    world.tick(ev.DeleteAccepted(world.now))
    if not world.state.deleting:
        world.tick(ev.DeleteAccepted(world.now))
    world.run(lambda: world.mesos.torn_down)
    assert world.mesos.reserved() == []
