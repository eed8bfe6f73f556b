"""Housekeeping and autoscaling in the service, without Mesos and Elasticsearch."""
from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from esaas.framework.core.autoscale import Sample
from esaas.framework.core.facts import ClusterState, NodeState
from esaas.framework.core.indices import Quiet
from esaas.framework.elastic.client import EsUnavailable
from esaas.framework.runtime.loop import ClusterLoop
from esaas.framework.service.autoscaling import sample_of
from esaas.framework.service.clusters import Clusters
from esaas.framework.service.errors import Unavailable
from esaas.framework.service.housekeeping import _MEMORY, _path
from esaas.framework.telemetry.readings import Board, Reading, of_host, of_node

from ..contract.standin_indices import IndexStandIn
from ..core.builders import formed, group, spec, view
from .test_clusters import SPEC, clusters, settings

__all__ = ["clusters", "settings"]
DELETING = {"every_s": 10, "delete": [{"pattern": "logs-*", "older_than_s": 60, "idle_s": 10,
                                       "dry_run": False}]}


def alive(**wish: Any) -> ClusterState:
    """A cluster of three that was seen just now."""
    state = formed(3, spec(group(count=3), **wish))
    return replace(state, es=view("node-1", "node-2", "node-3", at=time.time()))


@pytest.fixture
async def loop(clusters: Clusters, monkeypatch: pytest.MonkeyPatch) -> ClusterLoop:
    """The loop of a cluster whose Elasticsearch is a stand-in with two indices."""
    await clusters.create(SPEC)
    found, there = clusters._loops["demo"], IndexStandIn()
    there.add("logs-1")
    there.add("pets")

    async def ask(question: Callable[[Any], Awaitable[Any]], none: Any) -> Any:
        return await question(there)

    monkeypatch.setattr(found.watch, "ask", ask)
    found.cycle.state = alive(housekeeping=DELETING)
    return found


def known(loop: ClusterLoop) -> dict[str, Quiet]:
    """What is stored of the indices."""
    data = loop.cycle.book.read(_path("demo"))
    return _MEMORY.validate_json(data) if data is not None else {}


async def test_what_was_seen_is_stored_and_a_new_process_goes_on_with_it(
        clusters: Clusters, loop: ClusterLoop) -> None:
    await clusters._keep(loop)
    assert loop.state.errands == (), "nobody knows yet how long it has been idle"
    first = known(loop)
    assert set(first) == {"logs-1", "pets"} and first["logs-1"].written == 10
    long_ago = {name: replace(one, since=one.since - 1000) for name, one in first.items()}
    loop.cycle.put(_path("demo"), _MEMORY.dump_json(long_ago))
    clusters._kept.clear()              # as another process takes the cluster up
    loop.cycle.state = alive(housekeeping=DELETING)
    await clusters._keep(loop)
    [asked] = loop.state.errands
    assert dict(asked.parameters)["targets"] == "logs-1"
    await clusters._keep(loop)
    assert len(loop.state.errands) == 1, "at the pace of the spec"


async def test_what_cannot_be_read_of_it_only_makes_indices_wait(
        clusters: Clusters, loop: ClusterLoop) -> None:
    loop.cycle.put(_path("demo"), b"{")
    await clusters._keep(loop)
    assert loop.state.errands == ()


async def test_nothing_is_looked_at_without_a_policy_or_a_fresh_view(
        clusters: Clusters, loop: ClusterLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(question: Any, none: Any) -> Any:
        raise AssertionError("asked")

    monkeypatch.setattr(loop.watch, "ask", never)
    for state in (alive(), alive(housekeeping={"guards": {"max_result_window": 1}}),
                  replace(alive(housekeeping=DELETING), deleting=True),
                  formed(3, spec(group(count=3), housekeeping=DELETING))):
        loop.cycle.state = state
        await clusters._keep(loop)


async def test_a_report_needs_an_answer(clusters: Clusters, loop: ClusterLoop,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    report = await clusters.housekeeping("demo")
    assert [one.policy for one in report.policies] == ["delete"]
    assert "written to within" in report.policies[0].leaves[0].why

    async def refuses(question: Any, none: Any) -> Any:
        raise EsUnavailable("GET /_all: 503", 503)

    async def nobody(question: Any, none: Any) -> Any:
        return none

    for answer in (refuses, nobody):
        monkeypatch.setattr(loop.watch, "ask", answer)
        with pytest.raises(Unavailable, match="cannot be looked at now"):
            await clusters.housekeeping("demo")


# ----------------------------------------------------------------------- autoscaling

def measured(now: float, **loads: float) -> Board:
    """Figures of three nodes on three hosts."""
    board = Board()
    board.put([Reading(now, of_node("demo", f"node-{number}"), {
        "disk_used_percent": 10.0 * number, "store_mb": 900.0, "heap_used_percent": 50.0})
        for number in (1, 2, 3)])
    board.put([Reading(now, of_host(host.replace("_", "-")), {"load_per_core": load})
               for host, load in loads.items()])
    return board


def test_a_sample_is_the_mean_of_a_group_that_is_whole() -> None:
    now = time.time()
    state = alive()
    [wanted] = state.spec.groups
    board = measured(now, host_1=1.0, host_2=2.0, host_3=3.0)
    # A disk counts by the file system or by the node's own share, whichever is fuller.
    assert sample_of(state, wanted, board, now) == Sample(now, 3, {
        "disk_percent": 45.0, "heap_percent": 50.0, "load": 2.0})
    partly = sample_of(state, wanted, measured(now, host_1=1.0), now)
    assert partly is not None and set(partly.figures) == {"disk_percent", "heap_percent"}
    late = sample_of(replace(state, es=view("node-1", "node-2", "node-3", at=now + 500)), wanted,
                     board, now + 500)
    assert late is not None and late.figures == {}, "what is old is not known"
    away = state.with_node(replace(state.nodes["node-2"], state=NodeState.DOWN))
    assert sample_of(away, wanted, board, now) is None


async def test_advice_is_shown_with_what_would_refuse_it(clusters: Clusters) -> None:
    await clusters.create(SPEC)
    loop, now = clusters._loops["demo"], time.time()
    policy = {"min": 2, "max": 4, "window_s": 30}
    loop.cycle.state = formed(3, spec(group(count=3, autoscale=policy)), at=now, max_replicas=2)
    [wanted] = loop.state.spec.groups
    watched = clusters._watched_of(loop, wanted)
    for figure, advice, refused in ((90.0, "out", []), (10.0, "stay", [])):
        watched.samples.clear()
        watched.samples.extend(Sample(now - ago, 3, {"disk_percent": figure})
                               for ago in (30, 20, 10, 0))
        [shown] = (await clusters.autoscale("demo")).groups
        assert (shown.advice, shown.refused) == (advice, refused), shown
    assert "at least 3" in shown.why, "an index has two replicas"
    assert (await clusters.autoscale("demo")).groups[0].acts_not_because == "there is nothing to do"
    clusters._loops.clear()
    clusters._forget()
    assert clusters._watched == {}
    clusters._loops["demo"] = loop
