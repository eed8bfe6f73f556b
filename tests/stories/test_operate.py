"""Stories of the other changes: moves, replacement, strategies, debugging, switches, errands."""
from __future__ import annotations

from pathlib import Path

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core.facts import NodeState
from esaas.framework.core.plan import Status, Step, diff
from esaas.framework.core.spec import ClusterSpec, parse_spec
from esaas.framework.core.validate import validate

from .test_change import settled
from .world import ARROWS, World, spec

SETTING = {"indices.memory.index_buffer_size": "20%"}
NAMES = ["node-1", "node-2", "node-3", "node-4"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, spec(4), agents=5)
    made.run(lambda: settled(made))
    return made


def shaped(**group: object) -> ClusterSpec:
    """The demo's cluster of four with another shape of node."""
    body = spec(4).model_dump(mode="json")
    body["groups"][0] |= group
    return parse_spec(body)


def want(world: World, new: ClusterSpec) -> None:
    """Ask for a spec until it is stored, as a person would after a crash."""
    revision = world.state.revision + 1
    while world.state.revision < revision:
        world.tick(ev.SpecAccepted(world.now, revision, new))


def step(world: World, step_id: str) -> Step:
    return next(step for step in diff(world.state, world.now).steps if step.id == step_id)


def watch(world: World, ticks: int = 600) -> list[set[str]]:
    """Run until settled; the sets of nodes that were away together."""
    seen: list[set[str]] = []
    for _ in range(ticks):
        if settled(world):
            return seen
        world.mesos.progress(world.now)
        world.tick()
        away = {name for name, record in world.state.nodes.items()
                if not world.state.is_ready(record) and record.launch}
        if away and (not seen or seen[-1] != away):
            seen.append(away)
    raise AssertionError(f"not settled: {world.states()} "
                         f"{[(s.id, s.detail) for s in diff(world.state, world.now).steps]}")


# ------------------------------------------------------------------ vertical change

def test_more_memory_is_reserved_before_a_node_stops_and_its_ports_stay(world: World) -> None:
    before = {name: record.seat for name, record in world.state.nodes.items()}
    want(world, shaped(mem_mb=2048, cpus=2.0))
    away = watch(world)
    assert all(len(nodes) == 1 for nodes in away)
    for name, record in world.state.nodes.items():
        assert record.seat is not None and before[name] is not None
        assert (record.seat.resources.cpus, record.seat.resources.mem_mb) == (2.1, 2112)
        assert (record.seat.host, record.seat.http_port) == (
            before[name].host, before[name].http_port)
        assert record.launch == 2 and record.incarnation == 1 and record.grown == (0.0, 0)
    assert sum(item.amount for item in world.mesos.reserved() if item.name == "mem") == 4 * 2112


def test_less_memory_gives_the_rest_back(world: World) -> None:
    want(world, shaped(mem_mb=512))
    watch(world)
    assert sum(item.amount for item in world.mesos.reserved() if item.name == "mem") == 4 * 576


def test_without_room_on_its_agent_a_node_is_held_by_name_and_can_be_replaced(
        tmp_path: Path) -> None:
    world = World(tmp_path, spec(2), agents=3)
    world.run(lambda: settled(world))
    for agent in world.mesos.agents.values():
        agent.idle = [item for item in agent.idle if item.name != "mem" or item.reservations]
    world.mesos.add_agent(9)
    body = spec(2).model_dump(mode="json")
    body["groups"][0]["mem_mb"] = 2048
    want(world, parse_spec(body))
    for _ in range(30):
        world.tick()
    assert step(world, "restart-node-1").detail.startswith("held by room_reserved: ")
    assert all(record.launch == 1 for record in world.state.nodes.values())
    world.tick(ev.ReplaceAsked(world.now, "node-1"))
    world.run(lambda: "node-1" not in world.state.nodes, ticks=400)
    assert world.state.nodes["node-3"].seat.host == "agent-9"
    assert world.state.nodes["node-3"].seat.resources.mem_mb == 2112


def test_a_larger_disk_is_a_new_volume_node_by_node(world: World) -> None:
    want(world, shaped(disk_mb=4000))
    copies = sum(world.mesos.shards.values())
    while not settled(world):
        world.mesos.progress(world.now)
        world.tick()
        ready = sum(world.state.is_ready(record) for record in world.state.nodes.values())
        assert ready >= 4, "the new node comes before the old one goes"
        assert len(world.state.nodes) <= 5
        assert world.now < 3000
    assert len(world.mesos.volumes_destroyed) == 4
    assert sum(world.mesos.shards.values()) >= copies
    assert {record.seat.resources.disk_mb for record in world.state.nodes.values()} == {4000}
    assert world.mesos.exclude == (None, None) and world.mesos.persistent_mmn == 3


def test_without_an_extra_node_the_old_one_goes_first(world: World) -> None:
    want(world, shaped(disk_mb=4000).model_copy(update={"change": spec(4).change.model_copy(
        update={"max_extra": 0})}))
    while not settled(world):
        world.mesos.progress(world.now)
        world.tick()
        assert len(list(world.alive())) <= 4
        assert world.now < 3000
    assert len(world.mesos.volumes_destroyed) == 4


def test_a_roll_back_midway_keeps_the_nodes_that_have_not_gone(world: World) -> None:
    want(world, shaped(disk_mb=4000))
    world.run(lambda: any(record.moving for record in world.state.nodes.values()))
    want(world, spec(4))
    watch(world)
    assert sorted(world.state.nodes) == NAMES and world.mesos.volumes_destroyed == []


# ---------------------------------------------------------------------- strategies

def test_parallel_restarts_only_nodes_that_share_no_shard(tmp_path: Path) -> None:
    body = {"name": "demo", "tenant": "acme", "version": "6.8.23", "groups": [
        {"name": "master", "count": 1, "roles": ["master"], "mem_mb": 1024, "disk_mb": 2000},
        {"name": "data", "count": 4, "roles": ["data"], "mem_mb": 1024, "disk_mb": 2000}],
        "change": {"strategy": "parallel", "max_down": 2}}
    world = World(tmp_path, parse_spec(body), agents=5)
    world.run(lambda: settled(world))
    world.mesos.shared = {"data-1": {"a[0]", "b[0]"}, "data-2": {"a[0]"}, "data-3": {"b[0]"},
                          "data-4": {"c[0]"}}
    want(world, parse_spec(body | {"settings": SETTING}))
    away = watch(world)
    assert max(len(nodes) for nodes in away) == 2, "two at once"
    for nodes in away:
        assert not nodes >= {"data-1", "data-2"} and not nodes >= {"data-1", "data-3"}, nodes
    assert all(record.launch == 2 for record in world.state.nodes.values())


def test_a_canary_waits_until_people_let_the_change_go_on(world: World) -> None:
    canary = spec(4).change.model_copy(update={"strategy": "canary"})
    want(world, spec(4, settings=SETTING).model_copy(update={"change": canary}))
    for _ in range(60):
        world.mesos.progress(world.now)
        world.tick()
    touched = [name for name, record in world.state.nodes.items() if record.launch == 2]
    assert touched == ["node-2"] and world.state.canary.node == "node-2"
    assert step(world, "restart-node-3").detail.startswith("held by canary_approved: node-2")
    assert world.mesos.allocation == (None, None) and world.mesos.delayed == 0
    world.restart()
    world.tick(ev.ChangeApproved(world.now, world.state.revision))
    watch(world)
    assert all(record.launch == 2 for record in world.state.nodes.values())


def test_a_change_that_does_not_start_goes_back_by_itself(world: World) -> None:
    want(world, spec(4, settings={"no.such.setting": 1}))
    bad = world.state.revision
    for _ in range(200):
        for task in list(world.mesos.tasks.values()):
            name = task.node
            if world.state.revision == bad and world.state.nodes[name].launch > 1:
                world.mesos.end(task.task_id, "TASK_FAILED", world.now)
        world.mesos.progress(world.now)
        world.tick()
    assert settled(world) and world.state.revision == bad + 1
    assert world.state.spec == spec(4) and "failed at node-2" in world.state.setback
    assert [record.launch for record in world.state.nodes.values()].count(1) == 3
    assert world.mesos.allocation == (None, None)


def test_with_on_failure_hold_people_decide(world: World) -> None:
    hold = spec(4).change.model_copy(update={"on_failure": "hold"})
    want(world, spec(4, settings={"no.such": 1}).model_copy(update={"change": hold}))
    for _ in range(100):
        for task in list(world.mesos.tasks.values()):
            if world.state.nodes[task.node].launch > 1:
                world.mesos.end(task.task_id, "TASK_FAILED", world.now)
        world.mesos.progress(world.now)
        world.tick()
    assert world.state.revision == 2
    assert sum(record.launch > 1 for record in world.state.nodes.values()) == 1


def test_an_upgrade_that_fails_stops_at_its_first_node_and_may_be_taken_back(
        world: World) -> None:
    want(world, spec(4, version="7.17.29"))
    for _ in range(120):
        for task in list(world.mesos.tasks.values()):
            if task.version == "7.17.29":
                world.mesos.end(task.task_id, "TASK_FAILED", world.now)
        world.tick()
    assert world.state.revision == 2, "nothing goes back by itself: data may be written"
    states = list(world.states().values())
    assert states.count("ready") == 3, "the others serve on"
    assert sum(record.launch > 1 for record in world.state.nodes.values()) == 1
    assert validate(world.state.spec, spec(4), world.state.es) == []
    want(world, spec(4))
    watch(world)


# ------------------------------------------------------------------ nodes of people

def test_a_replaced_node_goes_only_when_another_has_its_shards(world: World) -> None:
    host = world.state.nodes["node-2"].seat.host
    world.tick(ev.ReplaceAsked(world.now, "node-2"))
    assert world.mesos.exclude == (None, None), "not drained before the other one is there"
    watch(world)
    assert sorted(world.state.nodes) == ["node-1", "node-3", "node-4", "node-5"]
    assert world.state.nodes["node-5"].seat.host != host
    assert world.mesos.volumes_destroyed == ["uid1.node-2.1"]
    assert world.mesos.exclude == (None, None)


def test_a_replacement_can_be_taken_back(world: World) -> None:
    world.tick(ev.ReplaceAsked(world.now, "node-2"))
    world.tick()
    world.tick(ev.KeepAsked(world.now, "node-2"))
    watch(world)
    assert sorted(world.state.nodes) == NAMES and world.mesos.volumes_destroyed in (
        [], ["uid1.node-5.1"])


def gone(world: World, name: str) -> str:
    """A node's agent goes away with everything on it; its id."""
    task = next(task for task in world.mesos.tasks.values() if task.node == name)
    world.mesos.agents[task.agent_id].alive = False
    world.tick(ev.TaskUpdated(world.now, task.task_id, "TASK_UNREACHABLE", task.agent_id))
    return task.agent_id


def replacing(after_s: int = 60, per_hour: int = 1) -> ClusterSpec:
    body = spec(4).model_dump(mode="json")
    return parse_spec(body | {"replacement": {"after_s": after_s, "per_hour": per_hour}})


def test_a_node_that_is_gone_for_too_long_is_replaced_and_what_returns_is_released(
        tmp_path: Path) -> None:
    world = World(tmp_path, replacing(), agents=5)
    world.run(lambda: settled(world))
    agent_id = gone(world, "node-2")
    world.mesos.shards.pop("node-2")            # its copies are built again elsewhere
    for _ in range(55):
        world.mesos.progress(world.now)
        world.tick()
    assert not world.state.nodes["node-2"].leaving, "not before its time"
    world.run(lambda: "node-5" in world.state.nodes and world.state.is_ready(
        world.state.nodes["node-5"]) and world.state.nodes["node-2"].retire, ticks=400)
    assert world.mesos.volumes_destroyed == []
    # It comes back: the old task is stopped, its volume released, one of the two survives.
    world.mesos.agents[agent_id].alive = True
    world.run(lambda: settled(world), ticks=400)
    assert sorted(world.state.nodes) == ["node-1", "node-3", "node-4", "node-5"]
    assert world.mesos.volumes_destroyed == ["uid1.node-2.1"]


def test_a_node_that_is_back_before_its_successor_stays(tmp_path: Path) -> None:
    world = World(tmp_path, replacing(), agents=4)          # no agent for another one
    world.run(lambda: settled(world))
    agent_id = gone(world, "node-2")
    world.run(lambda: bool(world.state.nodes["node-2"].leaving), ticks=200)
    world.mesos.agents[agent_id].alive = True
    task = next(task for task in world.mesos.tasks.values() if task.node == "node-2")
    world.mesos.tell(task.task_id, "TASK_RUNNING", world.now)
    watch(world)
    assert sorted(world.state.nodes) == NAMES and world.mesos.volumes_destroyed == []


def test_at_most_so_many_are_replaced_in_an_hour(tmp_path: Path) -> None:
    five = spec(5, replacement={"after_s": 60, "per_hour": 1})
    world = World(tmp_path, five, agents=8)
    world.run(lambda: settled(world))
    gone(world, "node-3")
    gone(world, "node-4")
    for _ in range(400):
        world.mesos.progress(world.now)
        world.tick()
    assert sum(record.moving for record in world.state.nodes.values()) == 1


def test_a_red_cluster_gives_up_no_node(tmp_path: Path) -> None:
    world = World(tmp_path, replacing(), agents=6)
    world.run(lambda: settled(world))
    gone(world, "node-2")
    world.mesos.health = "red"
    for _ in range(300):
        world.mesos.progress(world.now)
        world.tick()
    assert not world.state.nodes["node-2"].retire
    assert "no_primary_missing" in step(world, "remove-node-2").detail


def test_a_node_is_held_for_debugging_and_starts_again(world: World) -> None:
    world.tick(ev.NodeHeld(world.now, "node-3", True))
    for _ in range(60):
        world.mesos.progress(world.now)
        world.tick()
    record = world.state.nodes["node-3"]
    assert record.state is NodeState.STARTING and record.launch == 2 and not record.recycle
    assert world.mesos.allocation == (None, None), "copies may be built elsewhere meanwhile"
    assert step(world, "start-node-3").gates[0].name == "not_held"
    want(world, spec(4, settings=SETTING))
    for _ in range(30):
        world.mesos.progress(world.now)
        world.tick()
    assert "change_budget" in step(world, "restart-node-1").detail
    world.tick(ev.NodeHeld(world.now, "node-3", False))
    watch(world)
    assert world.state.nodes["node-3"].launch == 3


def test_a_forced_gate_lets_one_node_through_once(world: World) -> None:
    world.mesos.health = "yellow"
    want(world, spec(4, settings=SETTING))
    for _ in range(20):
        world.mesos.progress(world.now)
        world.tick()
    assert "cluster_green" in step(world, "restart-node-2").detail
    world.tick(ev.GateForced(world.now, "node-2", "cluster_green"))
    for _ in range(60):
        world.mesos.progress(world.now)
        world.tick()
    launches = {name: record.launch for name, record in world.state.nodes.items()}
    assert launches == {"node-1": 1, "node-2": 2, "node-3": 1, "node-4": 1}
    world.mesos.health = None
    watch(world)


def test_a_step_that_hangs_is_begun_anew(world: World) -> None:
    want(world, spec(4, settings=SETTING))
    world.run(lambda: world.state.nodes["node-2"].launch == 2)
    for _ in range(30):
        world.tick()                    # it never serves
    assert step(world, "start-node-2").can_restart
    world.tick(ev.StepRestarted(world.now, "node-2"))
    watch(world)
    assert world.state.nodes["node-2"].launch == 3


# --------------------------------------------------------------- live, beside, once

def test_a_live_setting_changes_without_a_restart_and_goes_again(world: World) -> None:
    key = "indices.recovery.max_bytes_per_sec"
    want(world, spec(4, settings={key: "80mb"}))
    watch(world)
    assert world.mesos.persistent[key] == "80mb"
    assert all(record.launch == 1 for record in world.state.nodes.values())
    world.mesos.persistent["operators.own"] = "1"
    want(world, spec(4))
    world.run(lambda: settled(world) and key not in world.mesos.persistent)
    assert world.mesos.persistent == {"operators.own": "1"}
    world.run(lambda: world.state.live_keys == ())


def test_a_live_setting_that_is_refused_is_told_by_name(world: World) -> None:
    world.mesos.refuse_settings = "failed to parse value [many]"
    want(world, spec(4, settings={"search.max_buckets": "many"}))
    for _ in range(5):
        world.tick()
    found = step(world, "live-search.max_buckets")
    assert found.status is Status.HELD and "elasticsearch_accepts: failed to parse" in found.detail


def test_a_remote_cluster_follows_the_nodes_of_the_other_one(world: World) -> None:
    want(world, spec(4, remotes=[{"name": "far", "cluster": "other"}]))
    watch(world)
    assert world.mesos.persistent == {}
    for port in (9301, 9302):
        world.tick(ev.RemoteSeen(world.now, "other", (f"10.0.0.1:{port}",)))
        watch(world)
        assert world.mesos.persistent["cluster.remote.far.seeds"] == f'["10.0.0.1:{port}"]'
    world.restart()                     # the other one is not known yet: left as it is
    watch(world)
    assert "cluster.remote.far.seeds" in world.mesos.persistent
    want(world, spec(4))
    world.run(lambda: settled(world) and not world.mesos.persistent)


def test_a_sidecar_is_placed_and_kept_alive_and_counts_for_nothing_else(tmp_path: Path) -> None:
    groups = [{"name": "node", "count": 2, "roles": ["master", "data"], "mem_mb": 1024,
               "disk_mb": 2000},
              {"name": "head", "kind": "sidecar", "count": 1, "command": "serve", "mem_mb": 256,
               "disk_mb": 64}]
    body = {"name": "demo", "tenant": "acme", "version": "6.8.23", "groups": groups}
    world = World(tmp_path, parse_spec(body), agents=2)
    world.run(lambda: settled(world))
    assert "head-1" not in world.state.bootstrap.nodes and len(world.state.seeds.addresses) == 2
    task = next(task for task in world.mesos.tasks.values() if task.node == "head-1")
    world.mesos.end(task.task_id, "TASK_FAILED", world.now)
    world.tick()
    world.run(lambda: settled(world))
    assert world.state.nodes["head-1"].launch == 2
    groups[1]["command"] = "serve --better"
    want(world, parse_spec(body))
    world.run(lambda: settled(world) and world.state.nodes["head-1"].launch == 3)
    assert world.mesos.writes == [] and world.state.nodes["node-1"].launch == 1
    groups[1]["count"] = 0
    want(world, parse_spec(body))
    world.run(lambda: settled(world))
    assert world.mesos.volumes_destroyed == ["uid1.head-1.1"]


def test_secure_settings_roll_through_and_keep_their_values_to_themselves(world: World) -> None:
    world.tick(ev.SecretsChanged(world.now, ("s3.client.default.access_key",)))
    watch(world)
    assert all(record.launch == 2 for record in world.state.nodes.values())
    world.tick(ev.SecretsChanged(world.now, (), ("s3.client.default.access_key",)))
    watch(world)
    assert all(record.launch == 3 for record in world.state.nodes.values())


def test_a_switch_goes_back_to_what_it_was_when_its_time_is_over(world: World) -> None:
    world.mesos.persistent["cluster.routing.rebalance.enable"] = "primaries"
    world.tick(ev.SwitchSet(world.now, "rebalance", "none", world.now + 20))
    world.tick()
    assert world.mesos.persistent["cluster.routing.rebalance.enable"] == "none"
    world.restart()
    for _ in range(40):
        world.tick()
    assert world.mesos.persistent == {"cluster.routing.rebalance.enable": "primaries"}
    assert dict(world.state.switches) == {}


def test_a_restart_waits_for_an_allocation_switch_and_the_switch_for_a_restart(
        world: World) -> None:
    world.tick(ev.SwitchSet(world.now, "allocation", "none"))
    world.tick()
    assert world.mesos.allocation == (None, "none")
    want(world, spec(4, settings=SETTING))
    for _ in range(20):
        world.mesos.progress(world.now)
        world.tick()
    assert "no_switch_in_the_way" in step(world, "restart-node-2").detail
    world.tick(ev.SwitchBack(world.now, "allocation"))
    world.run(lambda: world.state.held_allocation is not None)
    world.tick(ev.SwitchSet(world.now, "allocation", "none"))
    world.run(lambda: world.state.held_allocation is None and world.mesos.allocation == (
        None, "none"), ticks=100)
    world.tick(ev.SwitchBack(world.now, "allocation"))
    watch(world)
    assert world.mesos.allocation == (None, None) and dict(world.state.switches) == {}


def test_an_errand_is_run_once_and_again_when_a_crash_has_cut_it_off(world: World) -> None:
    world.tick(ev.ErrandAsked(world.now, "e1", "flush"))
    world.tick()
    assert [item.status for item in world.state.errands] == ["done"]
    world.mesos.lose = lambda operation: type(operation).__name__ == "RunErrand"
    world.tick(ev.ErrandAsked(world.now, "e2", "clear_cache", (("kinds", "query"),)))
    world.tick()
    world.mesos.lose = lambda operation: False
    world.restart()
    for _ in range(3):
        world.tick()
    assert [item.status for item in world.state.errands] == ["done", "done"]
    assert world.mesos.errands == ["flush", "clear_cache"]


def test_only_the_last_errands_are_kept(world: World) -> None:
    for number in range(60):
        world.tick(ev.ErrandAsked(world.now, f"e{number}", "flush"))
    assert len(world.state.errands) == 50 and world.state.errands[-1].id == "e59"


# -------------------------------------------------------------------------- crashes

CHANGES: dict[str, ClusterSpec] = {
    "disk": shaped(disk_mb=4000), "memory": shaped(mem_mb=1536),
    "everything": shaped(mem_mb=1536, disk_mb=3000, count=3).model_copy(
        update={"settings": SETTING})}


@pytest.mark.parametrize("kind", sorted(CHANGES))
@pytest.mark.parametrize("arrow", ARROWS)
@pytest.mark.parametrize("nth", [2, 5, 9, 14, 23, 37, 60])
def test_a_crash_anywhere_in_a_move_leaves_nothing_behind(
        tmp_path: Path, kind: str, arrow: str, nth: int) -> None:
    world = World(tmp_path, spec(4), agents=5)
    world.run(lambda: settled(world))
    world.crash_at(arrow, nth)
    want(world, CHANGES[kind])
    watch(world, ticks=1500)
    group = CHANGES[kind].groups[0]
    assert len(world.state.nodes) == group.count == len(world.volumes())
    held = sum(item.amount for item in world.mesos.reserved() if item.name == "mem")
    assert held == group.count * (group.mem_mb + 64)
    assert world.mesos.allocation == (None, None) and world.mesos.exclude == (None, None)
    assert world.mesos.delayed == 0 and world.state.excluded == ()


@pytest.mark.parametrize("arrow", ARROWS)
@pytest.mark.parametrize("nth", [1, 3, 6, 10])
def test_a_crash_around_a_replacement_a_switch_and_an_errand_forgets_none(
        tmp_path: Path, arrow: str, nth: int) -> None:
    world = World(tmp_path, spec(4), agents=5)
    world.run(lambda: settled(world))
    world.crash_at(arrow, nth)
    asked = [ev.ReplaceAsked(0.0, "node-2"), ev.ErrandAsked(0.0, "e1", "flush"),
             ev.SwitchSet(0.0, "rebalance", "none", world.now + 30)]
    for _ in range(3):                  # people ask again when the service died on them
        world.tick(*asked)
    asked = []
    for _ in range(120):
        world.mesos.progress(world.now)
        world.tick()
    watch(world)
    assert sorted(world.state.nodes) == ["node-1", "node-3", "node-4", "node-5"]
    assert world.state.errands[0].status == "done"
    assert dict(world.state.switches) == {} and world.mesos.persistent == {}
