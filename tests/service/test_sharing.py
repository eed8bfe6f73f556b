"""Which process runs which cluster: the assignment, and taking up, handing over, waiting."""
from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest
from esaas.framework.service import sharing
from esaas.framework.service.sharing import Shared, Sharing, assignment
from esaas.framework.store.sqlite import SqliteStore
from hypothesis import given
from hypothesis import strategies as st

NAMES = [f"cluster-{number}" for number in range(48)]
MEMBERS = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=6, unique=True)


@given(MEMBERS, st.integers(0, 48))
def test_everything_is_assigned_and_nobody_gets_more_than_a_share(
        members: list[str], count: int) -> None:
    found = assignment(NAMES[:count], members)
    assert found.keys() == set(NAMES[:count])
    assert max(Counter(found.values()).values(), default=0) <= -(-count // len(members))
    assert assignment(reversed(NAMES[:count]), members[::-1]) == found, "the same for everybody"


def test_nothing_is_assigned_to_nobody() -> None:
    assert assignment(NAMES, []) == {}


@given(MEMBERS.filter(lambda members: len(members) > 1))
def test_only_a_part_moves_when_a_member_goes(members: list[str]) -> None:
    before, after = assignment(NAMES, members), assignment(NAMES, members[1:])
    moved = sum(before[name] != after[name] for name in NAMES if before[name] != members[0])
    assert moved <= len(NAMES) // 2


class StandInRunner:
    """Runs clusters by name only."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.handed: list[str] = []

    def running(self) -> Collection[str]:
        return self.names

    async def take_up(self, name: str) -> None:
        self.names.add(name)

    async def hand_over(self, name: str) -> None:
        self.names.discard(name)
        self.handed.append(name)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Shared]:
    """What the store is seen to say."""
    found = {"now": Shared(frozenset(NAMES), {"a": b""}, {})}
    monkeypatch.setattr(sharing, "look", lambda store: found["now"])
    monkeypatch.setattr(sharing, "SETTLE_S", 0.05)
    monkeypatch.setattr(sharing, "PATIENCE_S", 0.05)
    return found


async def until(holds: object) -> None:
    assert callable(holds)
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_process_alone_takes_everything_and_hands_a_share_to_a_second(
        tmp_path: Path, told: dict[str, Shared], monkeypatch: pytest.MonkeyPatch) -> None:
    runner = StandInRunner()
    share = Sharing(SqliteStore(tmp_path), "a", runner)
    await share.start(b"")
    assert runner.names == set(NAMES)
    monkeypatch.setattr(sharing, "look", lambda store: Shared(
        frozenset(NAMES), {"a": b"", "b": b""},
        {name: "a" if name in runner.names else "b" for name in NAMES}))
    share.wake()
    await until(lambda: len(runner.names) == 24)
    due = assignment(NAMES, ["a", "b"])
    assert all(due[name] == "b" for name in runner.handed)
    await share.stop()


async def test_what_was_let_go_and_is_still_ours_is_taken_up_again(
        tmp_path: Path, told: dict[str, Shared]) -> None:
    runner = StandInRunner()
    told["now"] = Shared(frozenset(NAMES[:2]), {"a": b"", "b": b""},
                         {NAMES[0]: "a", NAMES[1]: "b"})
    share = Sharing(SqliteStore(tmp_path), "a", runner)
    await share.start(b"")
    assert runner.names == {NAMES[0]}
    await share.stop()


async def test_what_another_does_not_take_up_is_taken_in_the_end(
        tmp_path: Path, told: dict[str, Shared]) -> None:
    runner = StandInRunner()
    told["now"] = Shared(frozenset(NAMES), {"a": b"", "b": b""}, {})
    share = Sharing(SqliteStore(tmp_path), "a", runner)
    await share.start(b"")
    assert len(runner.names) == 24
    await until(lambda: runner.names == set(NAMES))
    await share.stop()
