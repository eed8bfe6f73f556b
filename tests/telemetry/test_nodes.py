"""Figures of nodes out of real answers of Elasticsearch, and rates between two of them."""
from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.telemetry.exposition import text
from esaas.framework.telemetry.nodes import FILTER, Answers, answers_of, readings
from esaas.framework.telemetry.readings import (
    BY_NAME,
    Board,
    Reading,
    Scope,
    of_cluster,
    of_host,
    of_node,
)

KEPT = Path(__file__).parent / "answers"
VERSIONS = ("6.8.23", "7.17.29")


def answer(version: str) -> dict[str, Any]:
    """What a real node of this version answered."""
    found: dict[str, Any] = json.loads((KEPT / f"{version}.json").read_text())
    return found


def later(found: dict[str, Any], **counters: float) -> dict[str, Any]:
    """The same node after ten seconds of work."""
    changed = copy.deepcopy(found)
    [node] = changed["nodes"].values()
    node["jvm"]["uptime_in_millis"] += 10_000
    node["indices"]["indexing"]["index_total"] += counters.get("indexed", 0)
    node["indices"]["indexing"]["index_time_in_millis"] += counters.get("ms", 0)
    node["jvm"]["gc"]["collectors"]["old"]["collection_time_in_millis"] += counters.get("gc", 0)
    node["thread_pool"]["write"]["rejected"] += counters.get("rejected", 0)
    return changed


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_answer_gives_known_figures(version: str) -> None:
    [found] = readings("demo", Answers(), answers_of(answer(version), 1.0))
    assert set(found.values) <= {name for scope, name in BY_NAME if scope is Scope.NODE}
    for metric in ("heap_used_percent", "heap_old_percent", "disk_used_percent", "load_1m",
                   "cpu_percent", "documents", "store_mb", "segments", "index_buffer_mb"):
        assert metric in found.values, metric
    assert found.values["up"] == 1 and 0 < found.values["heap_used_percent"] < 100
    assert 0 < found.values["disk_used_percent"] < 100
    assert "indexing_per_s" not in found.values, "one answer gives no rate"


@pytest.mark.parametrize("version", VERSIONS)
def test_two_answers_give_rates(version: str) -> None:
    first = answer(version)
    second = later(first, indexed=50, ms=200, gc=40, rejected=20)
    [found] = readings("demo", answers_of(first, 100.0), answers_of(second, 110.0))
    assert found.values["indexing_per_s"] == 5 and found.values["indexing_ms"] == 4
    assert found.values["gc_old_ms_per_s"] == 4 and found.values["rejections_per_s"] == 2
    assert found.values["breaker_trips_per_s"] == 0
    assert "search_ms" not in found.values, "nothing was searched"


def test_a_restarted_node_has_no_rate_and_no_negative_one() -> None:
    first = later(answer("6.8.23"), indexed=50)
    [found] = readings("demo", answers_of(first, 100.0), answers_of(answer("6.8.23"), 110.0))
    assert found.values["up"] == 1 and not [name for name in found.values if "_per_s" in name]
    again = later(answer("6.8.23"))
    [node] = again["nodes"].values()
    node["indices"]["indexing"]["index_total"] = 0      # a shard has left
    [found] = readings("demo", answers_of(answer("6.8.23"), 100.0), answers_of(again, 110.0))
    assert "indexing_per_s" not in found.values and "searches_per_s" in found.values


def test_odd_answers_give_less_and_never_an_error() -> None:
    assert answers_of({}, 1.0).nodes == {}
    [found] = readings("demo", Answers(), answers_of({"nodes": {
        "x": {"name": "n", "os": {"cpu": {"percent": -1, "load_average": {}}}, "fs": None}}}, 1.0))
    assert dict(found.values) == {"up": 1.0}
    assert "nodes.*.indices.store.size_in_bytes" in FILTER


def test_prometheus_gets_what_is_fresh_and_may_be_seen() -> None:
    board = Board()
    board.put([Reading(1000.0, of_node("demo", "n-0"), {"heap_used_percent": 41.5}),
               Reading(1000.0, of_cluster("demo"), {"status": 1.0}),
               Reading(1000.0, of_cluster("secret"), {"status": 2.0}),
               Reading(100.0, of_host("h"), {"nodes": 1.0})])

    def labels(reading: Reading) -> tuple[str, ...] | None:
        if reading.subject.cluster == "secret":
            return None
        return {Scope.NODE: ("acme", "demo", "n-0", "h"), Scope.CLUSTER: ("acme", "demo"),
                Scope.HOST: ("h",)}[reading.subject.scope]
    found = text(board, labels, 1010.0).decode()
    assert ('esaas_node_heap_used_percent{cluster="demo",host="h",node="n-0",tenant="acme"} 41.5'
            in found)
    assert 'esaas_cluster_status{cluster="demo",tenant="acme"} 1.0' in found
    assert "secret" not in found and "esaas_host" not in found, "the host's figure is old"
    assert "# TYPE esaas_cluster_status gauge" in found
