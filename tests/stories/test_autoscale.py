"""Stories of autoscaling: a group follows its disks out and in again, crashes and all."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from esaas.framework.core import autoscale
from esaas.framework.core import events as ev
from esaas.framework.core.autoscale import Sample
from esaas.framework.core.spec import ClusterSpec, parse_spec

from .test_change import settled
from .world import ARROWS, World, spec

WISH = {"mode": "act", "min": 2, "max": 4, "window_s": 60, "cool_down_s": 120}


def scaling(count: int = 3) -> ClusterSpec:
    body = spec(count).model_dump(mode="json")
    body["groups"][0]["autoscale"] = WISH
    return parse_spec(body)


class Scaled(World):
    """A world whose data nodes share ``used_mb`` of data; followed as the service follows it."""

    used_mb = 0.0

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, scaling(), agents=5)
        self.samples: list[Sample] = []
        self.crash_then = ""

    def seconds(self, count: int) -> list[str]:
        """So many seconds pass; sentences of what was done."""
        done = []
        for _ in range(count):
            self.mesos.progress(self.now)
            self.tick()
            [group] = self.state.spec.groups
            records = list(self.state.nodes.values())
            if len(records) == group.count and all(map(self.state.is_ready, records)):
                self.samples.append(Sample(self.now, group.count, {
                    "disk_percent": self.used_mb / group.count / group.disk_mb * 100}))
            advice = autoscale.advise(self.state, group, self.samples[-200:], self.now)
            if not autoscale.may_act(self.state, advice, self.now):
                before = self.state.revision
                if self.crash_then:
                    self.crash_at(self.crash_then, 1)
                    self.crash_then = ""
                self.tick(ev.SpecAccepted(
                    self.now, before + 1, autoscale.changed_spec(self.state, advice),
                    by=autoscale.BY, because=advice.why))
                if self.state.revision > before:
                    done.append(advice.why)
        return done


@pytest.fixture
def world(tmp_path: Path) -> Scaled:
    made = Scaled(tmp_path)
    made.run(lambda: settled(made))
    return made


def test_disks_fill_and_empty_and_the_group_follows_within_its_bounds(world: Scaled) -> None:
    world.used_mb = 5400.0                              # 90 % of three
    [first] = world.seconds(100)
    assert first == "disk 90 % used, above 75: 3 nodes become 4"
    assert world.state.scaled["node"].by == "autoscale: act"
    world.run(lambda: settled(world))
    world.used_mb = 7600.0                              # 95 % of four, and four is the most
    assert world.seconds(300) == [] and len(world.state.nodes) == 4
    world.used_mb = 2000.0                              # 25 % of four
    back = world.seconds(600)
    assert [one.rpartition(": ")[2] for one in back] == ["4 nodes become 3", "3 nodes become 2"]
    world.run(lambda: settled(world), ticks=400)
    assert len(world.state.nodes) == 2 and len(world.mesos.volumes_destroyed) == 2
    world.used_mb = 100.0
    assert world.seconds(300) == [], "never below its least"


@pytest.mark.parametrize("arrow", ARROWS)
def test_a_crash_makes_one_revision_and_keeps_the_cool_down(tmp_path: Path, arrow: str) -> None:
    world = Scaled(tmp_path)
    world.run(lambda: settled(world))
    world.used_mb, world.crash_then = 5400.0, arrow
    world.seconds(100)
    assert world.crashes == 1, "just when the revision is made"
    assert world.state.revision == 2 and world.state.spec.groups[0].count == 4
    world.run(lambda: settled(world))
    world.used_mb = 100.0
    world.restart()
    changed = world.state.scaled["node"].at
    while not (done := world.seconds(1)):
        assert world.now < changed + 600
    assert world.now - changed >= WISH["cool_down_s"] and "4 nodes become 3" in done[0]


def test_a_pause_and_a_plan_in_progress_hold_it(world: Scaled) -> None:
    world.used_mb = 5400.0
    world.tick(ev.Paused(world.now, True))
    assert world.seconds(150) == []
    world.tick(ev.Paused(world.now, False))
    while not world.seconds(1):
        assert world.now < 2000
    state = replace(world.state, scaled={})
    advice = autoscale.advise(state, state.spec.groups[0], [
        Sample(world.now - ago, 4, {"disk_percent": 10.0}) for ago in range(60, -1, -10)],
        world.now)
    assert advice.direction == "in" and "held by" in autoscale.may_act(state, advice, world.now)
