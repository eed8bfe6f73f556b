"""Stories of hosts: short and long maintenance, windows that Mesos schedules, gone agents."""
from __future__ import annotations

from pathlib import Path

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core.facts import HostPlan, NodeState
from esaas.framework.core.maintenance import MOVE, STOP, mode_for
from esaas.framework.core.plan import diff

from .test_change import settled
from .world import ARROWS, World, spec


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, spec(4), agents=5)
    made.run(lambda: settled(made))
    return made


def host_of(world: World, node: str) -> str:
    seat = world.state.nodes[node].seat
    assert seat is not None
    return seat.host


def leave(world: World, host: str, mode: str) -> None:
    """People say that a host is to go, until it is stored."""
    while host not in world.state.maintenance:
        world.tick(ev.HostLeaves(world.now, host, HostPlan(
            world.now, world.now, None, "people", mode)))


def back(world: World, host: str) -> None:
    while host in world.state.maintenance:
        world.tick(ev.HostBack(world.now, host))


def ticks(world: World, count: int) -> None:
    for _ in range(count):
        world.mesos.progress(world.now)
        world.tick()


def test_a_short_window_is_waited_for_and_a_long_one_is_not() -> None:
    assert mode_for(0.0, 3600.0) == STOP
    assert mode_for(0.0, 3601.0) == mode_for(0.0, None) == MOVE


def test_nodes_of_a_host_stop_in_order_and_come_back_on_their_volumes(world: World) -> None:
    host, before = host_of(world, "node-2"), world.state.nodes["node-2"]
    leave(world, host, STOP)
    stopping = next(step for step in diff(world.state, world.now).steps
                    if step.id == "restart-node-2")
    assert stopping.title == f"stop node-2 for the maintenance of {host}"
    world.run(lambda: world.state.nodes["node-2"].state is NodeState.DOWN)
    assert "primaries" in world.mesos.writes and "flush" in world.mesos.writes
    ticks(world, 40)
    assert world.states() == {"node-1": "ready", "node-2": "down", "node-3": "ready",
                              "node-4": "ready"}
    waiting = next(step for step in diff(world.state, world.now).steps
                   if step.id == "start-node-2")
    assert waiting.detail.startswith("held by host_in_service")
    assert world.mesos.allocation == (None, None), "allocation does not wait for the host"
    assert world.mesos.delayed, "its copies are waited for"
    back(world, host)
    world.run(lambda: settled(world))
    after = world.state.nodes["node-2"]
    assert (after.incarnation, after.launch) == (before.incarnation, before.launch + 1)
    assert after.seat == before.seat and len(world.volumes()) == 4
    assert world.mesos.delayed == 0


def test_only_one_host_at_a_time_is_emptied_by_stopping(world: World) -> None:
    hosts = [host_of(world, "node-2"), host_of(world, "node-3")]
    for host in hosts:
        leave(world, host, STOP)
    ticks(world, 60)
    assert sorted(world.states().values()) == ["down", "ready", "ready", "ready"]
    first = next(name for name, state in world.states().items() if state == "down")
    back(world, host_of(world, first))
    other = "node-3" if first == "node-2" else "node-2"
    world.run(lambda: world.states()[other] == "down" and world.states()[first] == "ready")


def test_a_long_maintenance_moves_nodes_before_the_host_goes(world: World) -> None:
    host = host_of(world, "node-2")
    leave(world, host, MOVE)
    world.run(lambda: "node-5" in world.state.nodes and "node-2" not in world.state.nodes,
              ticks=400)
    world.run(lambda: settled(world))
    assert host not in {host_of(world, name) for name in world.state.nodes}
    assert len(world.volumes()) == 4
    back(world, host)
    ticks(world, 20)
    assert "node-5" in world.state.nodes, "nobody moves back"


def test_a_move_that_is_not_needed_any_more_is_taken_back(world: World) -> None:
    host = host_of(world, "node-2")
    for agent in world.mesos.agents.values():       # there is no room for another
        agent.alive = agent.host in {host_of(world, name) for name in world.state.nodes}
    leave(world, host, MOVE)
    ticks(world, 30)
    assert world.state.nodes["node-2"].leaving == f"maintenance of {host}"
    held = next(step for step in diff(world.state, world.now).steps
                if step.id == "remove-node-2")
    assert "successor_ready" in held.detail
    back(world, host)
    world.run(lambda: settled(world))
    assert sorted(world.state.nodes) == ["node-1", "node-2", "node-3", "node-4"]
    assert world.mesos.volumes_destroyed == []


def test_an_inverse_offer_gets_a_yes_only_when_nothing_runs_there(world: World) -> None:
    seat = world.state.nodes["node-2"].seat
    assert seat is not None
    world.mesos.agents[seat.agent_id].window = world.now + 600

    def ask(number: int) -> None:
        world.tick(ev.InverseOffered(world.now, f"inverse-{number}", seat.agent_id,
                                     world.now + 600, world.now + 1200))

    ask(1)
    assert world.mesos.inverse_answers == ["no"]
    assert world.state.maintenance[seat.host].mode == STOP
    world.run(lambda: world.state.nodes["node-2"].state is NodeState.DOWN)
    ask(2)
    assert world.mesos.inverse_answers == ["no", "yes"]
    ticks(world, 30)
    assert world.states()["node-2"] == "down", "an offer within the window starts nothing"
    world.mesos.agents[seat.agent_id].window = None
    world.run(lambda: settled(world))
    assert world.state.maintenance == {} and world.state.nodes["node-2"].launch == 2


def test_an_inverse_offer_that_was_taken_back_is_not_answered(world: World) -> None:
    agents = {record.seat.agent_id for record in world.state.nodes.values() if record.seat}
    free = next(agent for agent in world.mesos.agents if agent not in agents)
    world.tick(ev.InverseOffered(world.now, "inverse-1", free, world.now + 60),
               ev.InverseAnswered(world.now, ("inverse-1",)))
    assert world.mesos.inverse_answers == [] and world.state.maintenance == {}
    world.tick(ev.InverseOffered(world.now, "inverse-2", free, world.now + 60))
    assert world.mesos.inverse_answers == ["yes"], "nothing of ours was ever there"


def test_an_agent_that_is_declared_gone_takes_its_volume_with_it(world: World) -> None:
    seat = world.state.nodes["node-2"].seat
    assert seat is not None
    agent = world.mesos.agents[seat.agent_id]
    world.mesos.end(world.state.task_id(world.state.nodes["node-2"]), "TASK_FAILED", world.now)
    agent.alive = False
    ticks(world, 30)
    assert world.states()["node-2"] in ("down", "launching")
    agent.gone = True
    world.run(lambda: world.states().get("node-2") == "ready", ticks=400)
    after = world.state.nodes["node-2"]
    assert after.seat is not None and after.seat.host != seat.host
    assert after.incarnation == 2, "a new volume, never the name of the old one"


@pytest.mark.parametrize("arrow", ARROWS)
@pytest.mark.parametrize("nth", [1, 2, 4, 7, 11, 17, 26])
@pytest.mark.parametrize("mode", [STOP, MOVE])
def test_a_crash_anywhere_in_a_maintenance_leaves_nothing_behind(
        tmp_path: Path, mode: str, arrow: str, nth: int) -> None:
    world = World(tmp_path, spec(4), agents=5)
    world.run(lambda: settled(world))
    host = host_of(world, "node-3")
    world.crash_at(arrow, nth)
    leave(world, host, mode)
    if mode == STOP:
        world.run(lambda: world.states()["node-3"] == "down", ticks=400)
    else:
        world.run(lambda: "node-3" not in world.state.nodes, ticks=600)
    back(world, host)
    world.run(lambda: settled(world), ticks=400)
    assert len(world.volumes()) == 4 == len(world.state.nodes)
    assert world.mesos.allocation == (None, None) and world.mesos.exclude == (None, None)
    assert world.mesos.delayed == 0
