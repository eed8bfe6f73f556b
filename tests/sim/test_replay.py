"""The journal of a service, folded again by the same core."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from esaas.framework.core import apply as applying
from esaas.framework.core import events as ev
from esaas.framework.core.facts import ClusterState
from esaas.framework.store.contract import Put
from esaas.framework.store.sqlite import SqliteStore
from esaas.sim.faults import PROFILES
from esaas.sim.memory import StandInStore
from esaas.sim.replaying import Replayed, replay, replay_journal
from esaas.sim.run import World


def worlds(count: int, profile: str) -> list[tuple[World, str]]:
    """Simulated services whose clusters are still there, by name."""
    found = []
    for seed in range(count):
        world = World(seed, PROFILES[profile], keeps_journal=True)
        assert world.run().failure is None
        found += [(world, cluster.process.state.identity.name) for cluster in world.clusters
                  if not cluster.process.gone]
    return found


def copied(world: World, name: str, directory: Path) -> None:
    """The simulated store of a cluster as a real one."""
    store = SqliteStore(directory)
    lease = store.acquire(name, "test")
    entries = [entry for _, entry in world.store.journal(name, None, 0, 10**6)]
    store.write(lease, [Put(path, stored.data, 0) for path, stored in
                        world.store.read(f"clusters/{name}").items()], entries)
    store.close()


@pytest.mark.parametrize("profile", ["light", "heavy"])
def test_the_journal_gives_what_is_stored_and_breaks_nothing(profile: str) -> None:
    replayed = [replay_journal(world.store, name) for world, name in worlds(15, profile)]
    assert len(replayed) > 10 and sum(item.lines for item in replayed) > 1000
    assert not [item for item in replayed if not item.ok], [
        (item.cluster, item.broken, item.odd, item.differs) for item in replayed if not item.ok]
    assert all(item.whole for item in replayed)


def test_a_core_that_folds_otherwise_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    (world, name), *_ = worlds(1, "none")

    def forgets(state: ClusterState, event: ev.RevisionSettled) -> ClusterState:
        return replace(state, paused=True)

    monkeypatch.setitem(applying._HANDLERS, ev.RevisionSettled, forgets)
    found = replay_journal(world.store, name)
    assert any(line.startswith("paused: True in the journal") for line in found.differs)


def test_an_invariant_that_breaks_on_the_way_is_told_with_its_line(
        monkeypatch: pytest.MonkeyPatch) -> None:
    (world, name), *_ = worlds(1, "none")
    real = applying._HANDLERS[ev.PlaceIntended]

    def without_a_seat(state: ClusterState, event: ev.PlaceIntended) -> ClusterState:
        after = real(state, event)
        return after.with_node(replace(after.nodes[event.node], seat=None))

    monkeypatch.setitem(applying._HANDLERS, ev.PlaceIntended, without_a_seat)
    found = replay_journal(world.store, name)
    assert found.broken and "seated_when_alive" in found.broken[0] and "line " in found.broken[0]


def test_the_command_replays_a_state_directory(tmp_path: Path) -> None:
    (world, name), *_ = worlds(1, "light")
    copied(world, name, tmp_path)
    done = CliRunner().invoke(replay, ["--state-dir", str(tmp_path), name])
    assert done.exit_code == 0, done.output
    assert "the outcome is what is stored" in done.output
    assert "the journal does not keep" in done.output


def test_the_command_says_no_for_a_journal_that_does_not_fit(tmp_path: Path) -> None:
    (world, name), *_ = worlds(1, "light")
    world.store.lines = [line for line in world.store.lines if line[1].kind != "PlaceIntended"]
    copied(world, name, tmp_path)
    done = CliRunner().invoke(replay, ["--state-dir", str(tmp_path), name])
    assert done.exit_code == 1 and "not as stored" in done.output


def test_nothing_is_replayed_of_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    found: Replayed = replay_journal(StandInStore(), "demo")
    assert not found.ok and found.lines == 0
    done = CliRunner().invoke(replay, ["--state-dir", str(tmp_path), "demo"])
    assert done.exit_code == 1 and "holds no store" in done.output
