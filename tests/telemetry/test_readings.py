"""The board of newest readings, and the names of metrics."""
from __future__ import annotations

import re

from esaas.framework.telemetry.readings import (
    BY_NAME,
    METRICS,
    Board,
    Reading,
    Scope,
    Subject,
    of_cluster,
    of_host,
    of_node,
)


def reading(at: float, subject: Subject, **values: float) -> Reading:
    return Reading(at, subject, values)


def test_the_newest_reading_is_kept_of_each() -> None:
    board = Board()
    board.put([reading(1, of_node("a", "n-1"), up=1), reading(1, of_node("a", "n-0"), up=1)])
    board.put([reading(2, of_node("a", "n-1"), up=0), reading(2, of_node("b", "n-0"), up=1)])
    assert [(one.subject.name, one.at, one.values["up"]) for one in board.nodes("a")] == [
        ("n-0", 1, 1), ("n-1", 2, 0)]
    assert board.newest(of_cluster("a")) is None


def test_a_batch_is_told_once_and_whole() -> None:
    board, batches = Board(), []
    board.listen(batches.append)
    batch = [reading(1, of_cluster("a"), status=0), reading(1, of_host("h"), nodes=1)]
    board.put(one for one in batch)
    assert batches == [tuple(batch)]


def test_what_is_gone_is_forgotten() -> None:
    board = Board()
    board.put([reading(1, of_cluster("a"), status=0), reading(1, of_node("a", "n"), up=1),
               reading(1, of_cluster("b"), status=0), reading(1, of_host("h"), nodes=1)])
    board.forget("a")
    assert board.nodes("a") == [] and board.newest(of_cluster("b")) is not None
    assert board.newest(of_host("h")) is not None, "a host is no cluster's"
    board.keep_only(Scope.HOST, [])
    assert board.all(Scope.HOST) == [] and len(board.all(Scope.CLUSTER)) == 1


def test_names_say_what_they_are() -> None:
    assert len(BY_NAME) == len(METRICS), "a metric is there twice"
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name) and metric.help
