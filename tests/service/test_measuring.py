"""What a process measures of its clusters and itself, without Mesos and Elasticsearch."""
from __future__ import annotations

from dataclasses import replace

import psutil
from esaas.framework.core.facts import NodeState, SnapshotMemory
from esaas.framework.service.clusters import Clusters
from esaas.framework.service.figures import (
    HOUR_S,
    Starts,
    cluster_reading,
    host_readings,
    snapshot_figures,
)
from esaas.framework.telemetry.readings import OF_SERVICE, Board, of_cluster

from ..core.builders import NOW, formed, group, new_cluster, record, spec
from .test_clusters import SPEC, clusters, settings

__all__ = ["clusters", "settings"]


def values(service: Clusters) -> dict[str, float]:
    """Of the process itself, measured now."""
    service._measure_rest(psutil.Process())
    found = service.board.newest(OF_SERVICE)
    assert found is not None
    return dict(found.values)


async def test_turns_are_counted(clusters: Clusters) -> None:
    before = clusters.own.totals
    await clusters.create(SPEC)
    await clusters.pause("demo", True)
    assert clusters.own.totals.turns > before.turns
    text = clusters.own_metrics().decode()
    assert f"esaas_service_decide_seconds_count {clusters.own.totals.turns}.0" in text
    found = values(clusters)
    assert found["decide_ms"] > 0 and found["leases_owned"] == found["clusters"] == 1
    assert found["store_up"] == 1 and found["loops_stopped"] == 0 and found["masters_away"] == 1
    assert 'esaas_service_gate_steps_held{gate="connected_to_mesos"} 3.0' in (
        clusters.own_metrics().decode())


async def test_trouble_of_the_store_is_a_figure(clusters: Clusters) -> None:
    assert values(clusters)["store_up"] == 1
    await clusters._store_is_away("for a test")
    assert values(clusters)["store_up"] == 0
    await clusters._store_is_back()
    assert values(clusters)["store_up"] == 1


async def test_a_cluster_that_does_not_answer_has_nodes_that_are_not_up(
        clusters: Clusters) -> None:
    await clusters.create(SPEC)
    loop = clusters._loops["demo"]
    loop.cycle.state = loop.state.with_node(record("node-1", NodeState.UNREACHABLE, failures=4))
    await clusters.measure_cluster("demo")
    found = {one.subject.name: one.values for one in clusters.board.nodes("demo")}
    assert found["node-1"] == {"up": 0, "restarts_per_h": 0, "failures": 4}
    values(clusters)
    [host] = host_readings({"demo": loop.state}, Board(), NOW)
    assert host.values["nodes"] == host.values["nodes_unreachable"] == 1
    reading = clusters.board.newest(of_cluster("demo"))
    assert reading is not None
    assert "seen" not in reading.values, "a new cluster is not expected to answer"
    assert reading.values["connected"] == 0 and reading.values["nodes_ready"] == 0


def test_a_cluster_that_was_formed_is_seen_or_not() -> None:
    state = formed(3)
    found = cluster_reading(state, 7, NOW).values
    assert (found["seen"], found["status"], found["inbox"]) == (1, 0, 7)
    assert found["nodes_ready"] == found["nodes_wanted"] == 3 and found["connected"] == 1
    assert found["steps_held"] == found["waits_for_people"] == 0
    later = cluster_reading(state, 0, NOW + 600).values
    assert later["seen"] == 0 and later["view_age_s"] == 600
    assert cluster_reading(replace(state, paused=True), 0, NOW).values["waits_for_people"] == 1
    gone = cluster_reading(replace(state, deleting=True), 0, NOW + 600).values
    assert "seen" not in gone and gone["nodes_wanted"] == 0
    young = replace(new_cluster(), identity=replace(new_cluster().identity, created_at=NOW))
    assert "seen" not in cluster_reading(young, 0, NOW + 10).values
    assert cluster_reading(young, 0, NOW + 600).values["seen"] == 0, "it should have come by now"


def test_starts_are_counted_for_an_hour() -> None:
    starts, state = Starts(), formed(3)
    node = state.nodes["node-2"]

    def after(count: int, now: float) -> float:
        changed = state.with_node(replace(node, launch=node.launch + count))
        return starts.figures(changed, now)["node-2"]["restarts_per_h"]
    assert [after(0, NOW), after(1, NOW + 10), after(1, NOW + 20), after(2, NOW + 30)] == [
        0, 1, 1, 2]
    assert after(2, NOW + 10 + HOUR_S + 1) == 1 and after(2, NOW + 2 * HOUR_S) == 0
    starts.keep_only([])
    assert after(5, NOW + 2 * HOUR_S) == 0, "forgotten: nobody knows how often it was started"


def test_snapshots_have_an_age_are_late_and_fail() -> None:
    wish = {"repository": {"type": "fs", "settings": {"location": "/mnt/a"}}, "every_s": 600}
    state = formed(3, spec(group(count=3), snapshots=wish))
    assert snapshot_figures(state, NOW) == {}, "nothing is known yet"
    waiting = replace(state, snapshots=SnapshotMemory(since=NOW - 50, failed="no disk"))
    assert snapshot_figures(waiting, NOW) == {
        "snapshot_late_s": 50, "snapshot_failed": 1, "snapshot_drill_failed": 0}
    made = replace(state, snapshots=SnapshotMemory(since=NOW - 900, taken_at=NOW - 100,
                                                   drill_failed="red"))
    assert snapshot_figures(made, NOW) == {
        "snapshot_late_s": 0, "snapshot_failed": 0, "snapshot_drill_failed": 1,
        "snapshot_age_s": 100}
    assert snapshot_figures(replace(made, spec=formed(3).spec), NOW) == {}
