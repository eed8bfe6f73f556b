"""Stories of housekeeping: an errand that a crash cuts off is carried out, and only if wanted."""
from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.facts import Errand
from esaas.framework.core.housekeeping import policies
from esaas.framework.core.indices import Quiet, remembered
from esaas.framework.elastic import errands, indices
from esaas.framework.elastic.errors import ErrandFailed

from ..contract.standin_indices import IndexStandIn
from .test_change import settled
from .world import ARROWS, World, spec

WISH = {"delete": [{"pattern": "logs-*", "older_than_s": 60, "dry_run": False}],
        "rollover": [{"alias": "logs", "max_documents": 10}],
        "merge": {"idle_s": 60}, "replicas": {"at_least": 1}}


class Kept(World):
    """A world whose errands are carried out on indices, by what really does it."""

    def __init__(self, directory: Path, **wish: Any) -> None:
        super().__init__(directory, spec(3, housekeeping=wish or WISH))
        self.indices = IndexStandIn()
        for number in (1, 2, 3):
            self.indices.add(f"logs-{number}")
        self.indices.add("pets")
        self.indices.writes["logs"] = "logs-3"
        send = self.mesos.send

        def both(operation: op.Operation, now: float) -> None:
            if isinstance(operation, op.RunErrand):
                self.mesos.outbox.append(self._carried_out(operation.errand))
            else:
                send(operation, now)

        self.mesos.send = both  # type: ignore[method-assign]

    def _carried_out(self, item: Errand) -> ev.EsActed:
        there: Any = self.indices
        try:
            told = asyncio.run(errands.run(there, item, 6, lambda done, total: None))
        except ErrandFailed as error:
            return ev.EsActed(self.now, "RunErrand", False, str(error), item.id)
        return ev.EsActed(self.now, "RunErrand", True, told, item.id)

    def look_after(self) -> list[str]:
        """What the service does at its pace: look, decide, ask; kinds of what it asked for."""
        there: Any = self.indices
        look = asyncio.run(indices.look(there, time.time()))
        memory = {name: Quiet(one.uuid, one.written, 5.0)
                  for name, one in remembered({}, look).items()}
        asked = []
        for one in policies.plans(self.state, look, memory):
            if not policies.may_act(self.state, one, self.now):
                asked.append(one.kind)
                self.tick(policies.asked(one, f"e{len(self.state.errands)}", self.now))
        return asked

    def ended(self) -> bool:
        return all(item.ended_at is not None for item in self.state.errands)


@pytest.fixture
def world(tmp_path: Path) -> Kept:
    made = Kept(tmp_path)
    made.run(lambda: settled(made))
    return made


def test_a_day_of_housekeeping(world: Kept) -> None:
    assert world.look_after() == [policies.MERGE, policies.ROLL_OVER, policies.DELETE,
                                  policies.RAISE]
    world.run(world.ended)
    assert {item.status for item in world.state.errands} == {"done"}
    assert set(world.indices.indices) == {"logs-3", "logs-000004", "pets"}, "it is written to"
    assert world.indices.indices["pets"]["segments"] == 1
    assert world.indices.indices["pets"]["replicas"] == 1
    calls = list(world.indices.done)
    world.look_after()
    world.run(world.ended)
    # What is not written to by an alias any more is old, too; nothing else is left to do.
    assert set(world.indices.indices) == {"logs-000004", "pets"}
    assert [call for call in world.indices.done[len(calls):] if not call.endswith("logs-3")
            and "logs-000004/_settings" not in call] == ["POST /logs-3/_forcemerge"]
    assert world.look_after() == []


@pytest.mark.parametrize("arrow", ARROWS)
@pytest.mark.parametrize("nth", [1, 2])
def test_a_crash_anywhere_deletes_what_was_decided_once_and_nothing_else(
        tmp_path: Path, arrow: str, nth: int) -> None:
    world = Kept(tmp_path, delete=WISH["delete"])
    world.run(lambda: settled(world))
    world.crash_at(arrow, nth)
    world.look_after()
    if not world.state.errands:         # the crash came before it was stored: the next look asks
        world.tick()
        world.look_after()
    world.run(world.ended)
    world.arrow = lambda name: None
    assert set(world.indices.indices) == {"logs-3", "pets"}
    assert sorted(world.indices.done) == ["DELETE /logs-1", "DELETE /logs-2"], "each once"
    assert [item.status for item in world.state.errands] == ["done"]


def test_what_people_take_back_while_it_waits_is_not_done(world: Kept) -> None:
    world.tick(ev.Paused(world.now, True))
    assert world.look_after() == [], "held by not_paused, so not even asked for"
    world.tick(ev.Paused(world.now, False))
    there: Any = world.indices
    look = asyncio.run(indices.look(there, time.time()))
    found = policies.plans(world.state, look, {
        name: Quiet(one.uuid, one.written or 0, 5.0) for name, one in look.indices.items()})
    [deleting] = [one for one in found if one.kind == policies.DELETE]
    world.tick(ev.Paused(world.now, True), policies.asked(deleting, "e1", world.now))
    assert world.state.errands[0].status == "waiting"
    world.restart()
    world.tick(ev.SpecAccepted(world.now, 2, spec(3)), ev.Paused(world.now, False))
    world.run(world.ended)
    [item] = world.state.errands
    assert item.status == "failed" and "not this rule any more" in item.message
    assert world.indices.done == []
