"""Stories of secured clusters: certificates roll through with all gates, also over a crash."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core import tls
from esaas.framework.core.config import outdated
from esaas.framework.core.plan import diff

from .test_change import settled
from .test_operate import watch
from .world import ARROWS, World, spec

SECURED: dict[str, Any] = {"security": {"enabled": True, "certificate_days": 30}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, spec(**SECURED))
    made.run(lambda: settled(made))
    return made


def generation(world: World) -> int:
    assert world.state.tls is not None
    return world.state.tls.generation


def test_every_launch_says_whom_its_certificate_is_for(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, spec(**SECURED))
    launched: list[op.LaunchPayload] = []
    send = world.mesos.send

    def noting(operation: op.Operation, now: float) -> None:
        launched.extend(step.payload for step in getattr(operation, "steps", ())
                        if isinstance(step, op.Launch))
        send(operation, now)

    monkeypatch.setattr(world.mesos, "send", noting)
    world.run(lambda: settled(world))
    assert {payload.node for payload in launched} == set(world.state.nodes)
    for payload in launched:
        seat = world.state.nodes[payload.node].seat
        assert seat is not None and payload.certificate_days == 30
        assert {seat.ip, payload.node, seat.host} <= set(payload.certificate_names)


def test_asked_for_new_certificates_roll_through_node_by_node(world: World) -> None:
    launches = {name: record.launch for name, record in world.state.nodes.items()}
    volumes = world.volumes()
    world.tick(ev.TlsRotated(world.now))
    away = watch(world)
    assert away and all(len(nodes) == 1 for nodes in away)
    assert {name: record.launch for name, record in world.state.nodes.items()} == {
        name: launch + 1 for name, launch in launches.items()}
    assert generation(world) == 2 and world.volumes() == volumes


def test_in_time_they_follow_by_themselves_once(world: World) -> None:
    world.now += 30 * tls.DAY_S * 2 / 3
    world.tick()
    assert generation(world) == 2
    assert all(outdated(world.state, record) for record in world.state.nodes.values())
    watch(world)
    for _ in range(20):
        world.tick()
    assert generation(world) == 2 and settled(world)


def test_a_pause_holds_the_roll(world: World) -> None:
    world.tick(ev.Paused(world.now, True))
    world.tick(ev.TlsRotated(world.now))
    for _ in range(20):
        world.mesos.progress(world.now)
        world.tick()
    assert {record.launch for record in world.state.nodes.values()} == {1}
    details = [step.detail for step in diff(world.state, world.now).steps
               if step.id.startswith("restart-")]
    assert details and all("not_paused" in detail for detail in details)
    world.tick(ev.Paused(world.now, False))
    watch(world)
    assert {record.launch for record in world.state.nodes.values()} == {2}


def test_a_node_that_dies_meanwhile_comes_back_with_the_new_generation(world: World) -> None:
    world.tick(ev.Paused(world.now, True))
    world.tick(ev.TlsRotated(world.now))
    record = world.state.nodes["node-2"]
    world.mesos.end(world.state.task_id(record), "TASK_FAILED", world.now)
    world.run(lambda: world.state.is_ready(world.state.nodes["node-2"])
              and world.state.nodes["node-2"].launch == 2)
    assert [name for name, record in world.state.nodes.items()
            if not outdated(world.state, record)] == ["node-2"]
    world.tick(ev.Paused(world.now, False))
    watch(world)
    assert {record.launch for record in world.state.nodes.values()} == {2}


def test_what_people_ask_for_is_told_without_what_they_were_told(world: World) -> None:
    world.tick(ev.CredentialsShown(world.now))
    world.tick(ev.TlsRotated(world.now))
    kinds = [entry.kind for _, entry in world.store.journal("demo", "told")]
    assert {"credentials_shown", "certificates_rotated"} <= set(kinds)


@pytest.mark.parametrize("arrow", ARROWS)
@pytest.mark.parametrize("nth", [1, 3, 6])
def test_a_crash_anywhere_in_a_rotation_neither_loses_nor_repeats_it(
        tmp_path: Path, arrow: str, nth: int) -> None:
    world = World(tmp_path, spec(**SECURED))
    world.run(lambda: settled(world))
    volumes = world.volumes()
    world.crash_at(arrow, nth)
    while generation(world) == 1:       # as people would, until it is stored
        world.tick(ev.TlsRotated(world.now))
    watch(world)
    assert generation(world) == 2
    # A launch that the crash has cut off is made again; nothing else is.
    launches = sorted(record.launch for record in world.state.nodes.values())
    assert launches in ([2, 2, 2], [2, 2, 3]) and world.volumes() == volumes
