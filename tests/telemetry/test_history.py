"""The store of readings: against a naive model, over restarts, broken files and wrong clocks."""
from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from esaas.framework.telemetry.history import TIERS, SqliteHistory
from esaas.framework.telemetry.readings import Reading, Scope, of_host, of_node
from hypothesis import given, settings
from hypothesis import strategies as st

T0 = 1_780_000_200.0
NODE = of_node("demo", "node-1")
READINGS = st.lists(st.tuples(st.integers(0, 7000), st.floats(-1e6, 1e6, width=32)), max_size=60)


class Clock:
    """A clock that tests turn."""

    now = T0

    def __call__(self) -> float:
        return self.now


def put(history: SqliteHistory, at: float, value: float, subject: object = NODE) -> None:
    """One reading, written when this returns."""
    history.append([Reading(at, subject, {"heap_used_percent": value})])  # type: ignore[arg-type]
    history.flush()


@settings(max_examples=40, deadline=None)
@given(READINGS, st.integers(1, 500))
def test_a_series_is_what_the_naive_model_says(given_: list[tuple[int, float]],
                                               points: int) -> None:
    clock, since, until = Clock(), T0 - 7100, T0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "h.sqlite"
        history, kept, newest = SqliteHistory(path, clock=clock), {}, -1
        for turn, (ago, value) in enumerate(given_):
            put(history, T0 - 7000 + ago, value)
            if turn % 20 == 19:
                history.close()
                history = SqliteHistory(path, clock=clock)      # a restart changes nothing
            if ago > newest:
                newest = ago
                kept.setdefault(int((T0 - 7000 + ago) // 15), []).append(value)
        got = history.series(NODE, "heap_used_percent", since, until, points)
        history.close()
    first, last = int(since // 15), int(until // 15)
    each, model = math.ceil((last - first + 1) / points), {}
    for slot, values in kept.items():
        model.setdefault(first + (slot - first) // each * each, []).extend(values)
    assert len(got) <= points
    assert [point.at for point in got] == [15.0 * slot for slot in sorted(model)]
    for point, (_, values) in zip(got, sorted(model.items()), strict=True):
        assert (point.low, point.high) == (min(values), max(values))
        assert math.isclose(point.mean, sum(values) / len(values), rel_tol=1e-3, abs_tol=1.0)


def test_the_rings_are_full_and_never_fuller(tmp_path: Path) -> None:
    clock = Clock()
    history = SqliteHistory(tmp_path / "h.sqlite", clock=clock)
    for turn in range(1500):
        clock.now = T0 + 900 * turn
        put(history, clock.now, turn)
    rows = history._db.execute("SELECT tier, count(*) FROM slots GROUP BY tier").fetchall()
    assert all(count <= TIERS[tier].slots for tier, count in rows)
    assert dict(rows)[2] == TIERS[2].slots
    got = history.series(NODE, "heap_used_percent", 0, clock.now, 5000)
    assert [point.mean for point in got] == [float(turn) for turn in range(156, 1500)]
    history.close()


def test_a_broken_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite"
    path.write_bytes(b"this is no database at all" * 100)
    history = SqliteHistory(path, clock=Clock())
    put(history, T0, 1.0)
    assert len(history.series(NODE, "heap_used_percent", T0 - 60, T0)) == 1
    assert [one.name for one in tmp_path.glob("*.broken-*")] == [f"h.sqlite.broken-{int(T0)}"]
    history.close()


def test_a_clock_that_was_ahead_costs_what_was_ahead_only(tmp_path: Path) -> None:
    clock = Clock()
    history = SqliteHistory(tmp_path / "h.sqlite", clock=clock)
    put(history, T0 - 30, 1.0)
    clock.now = T0 + 86400 * 365
    put(history, clock.now, 2.0)
    clock.now = T0
    put(history, T0 + 86400, 3.0)           # from the future: not believed
    put(history, T0, 4.0)
    got = history.series(NODE, "heap_used_percent", T0 - 60, T0)
    assert 4.0 in [point.mean for point in got]
    assert not {2.0, 3.0} & {point.mean for point in got}
    history.close()


def test_whoever_was_silent_longest_gives_way(tmp_path: Path) -> None:
    clock = Clock()
    history = SqliteHistory(tmp_path / "h.sqlite", max_subjects=2, clock=clock)
    put(history, T0 - 7200, 1.0, of_host("a"))
    put(history, T0 - 10, 1.0, of_host("b"))
    put(history, T0, 1.0, of_host("c"))     # a gives way
    put(history, T0, 1.0, of_host("d"))     # nobody does
    assert [one.name for one in history.subjects(Scope.HOST, 0)] == ["b", "c"]
    history.close()


def test_no_figure_is_no_point(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path / "h.sqlite", clock=Clock())
    put(history, T0 - 1, math.nan)
    put(history, T0, math.inf)
    assert history.series(NODE, "heap_used_percent", T0 - 60, T0) == []
    history.close()


def test_a_file_that_cannot_be_opened_is_left_alone(tmp_path: Path) -> None:
    """No room, no right, or locked: memory has to do, and the service goes on."""
    path = tmp_path / "no-folder" / "h.sqlite"
    history = SqliteHistory(path, clock=Clock())
    put(history, T0 - 10, 1.0)
    assert len(history.series(NODE, "heap_used_percent", T0 - 100, T0)) == 1
    history.close()
    assert not list(tmp_path.iterdir())


def test_a_reading_of_a_strange_shape_costs_itself_only(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path / "h.sqlite", clock=Clock())
    strange: Any = {"heap_used_percent": "much"}
    history.append([Reading(T0 - 20, NODE, strange)])
    put(history, T0 - 10, 2.0)
    assert [one.mean for one in history.series(NODE, "heap_used_percent", T0 - 100, T0)] == [2.0]
    history.close()


def test_what_was_kept_before_a_clock_was_put_right_counts_once(tmp_path: Path) -> None:
    clock = Clock()
    history = SqliteHistory(tmp_path / "h.sqlite", clock=clock)
    put(history, T0 - 5, 10.0)
    clock.now = T0 + 90_000
    put(history, T0 + 90_000, 99.0)
    clock.now = T0
    put(history, T0 - 5, 10.0)              # again, from a queue somewhere
    put(history, T0 + 1, 40.0)
    [point] = [one for one in history.series(NODE, "heap_used_percent", T0 - 15, T0 + 15)
               if one.low == 10.0]
    assert point.mean in (10.0, 25.0), "a second 10 would pull the mean down"
    history.close()
