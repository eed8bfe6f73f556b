"""Hosts taken out of service: what is stored, who is told, what is refused."""
from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from esaas.framework.core.facts import NodeState, Orphan
from esaas.framework.runtime.loop import ClusterLoop
from esaas.framework.service.clusters import Clusters
from esaas.framework.service.errors import Invalid, NotFound
from esaas.framework.settings import Settings

from ..core.builders import record, seat
from .test_clusters import SPEC, clusters, settings

__all__ = ["clusters", "settings"]


async def seated(service: Clusters, name: str = "demo") -> ClusterLoop:
    """A cluster whose first node sits on host-1, as far as its loop knows."""
    await service.create(SPEC | {"name": name})
    loop = service._loops[name]
    node = record("node-1", NodeState.RUNNING, seat=seat(1))
    loop.cycle.state = loop.state.with_node(node)
    return loop


async def test_a_host_is_drained_for_every_cluster_and_put_back(clusters: Clusters) -> None:
    loop = await seated(clusters)
    assert [view.host for view in clusters.agents()] == ["host-1"]
    assert not clusters.agent("host-1").empty
    drained = await clusters.drain_agent("host-1", lasts_s=600)
    assert drained.maintenance is not None and drained.maintenance.mode == "stop"
    assert loop.state.maintenance["host-1"].source == "people"
    later = await clusters.create(SPEC | {"name": "later"})
    assert later.changed and "host-1" in clusters._loops["later"].state.maintenance
    restored = await clusters.restore_agent("host-1")
    assert restored.maintenance is None and loop.state.maintenance == {}
    assert (await clusters.restore_agent("host-1")).maintenance is None, "again changes nothing"


async def test_the_same_request_again_changes_nothing(clusters: Clusters) -> None:
    loop = await seated(clusters)
    first = await clusters.drain_agent("host-1", "move")
    assert await clusters.drain_agent("host-1", "move") == first
    assert first.maintenance is not None
    assert loop.state.maintenance["host-1"].asked_at == first.maintenance.asked_at


async def test_what_people_said_outlives_a_restart(settings: Settings) -> None:
    first = Clusters(settings)
    await first.start()
    await seated(first)
    await first.drain_agent("host-1", "move")
    await first.stop()
    second = Clusters(settings)
    await second.start()
    assert second.agent("host-1").maintenance is not None
    assert second._loops["demo"].state.maintenance["host-1"].mode == "move"
    await second.stop()


async def test_every_fault_is_told_and_unknown_hosts_are_not_found(clusters: Clusters) -> None:
    await seated(clusters)
    with pytest.raises(Invalid) as refused:
        await clusters.drain_agent("host-1", "fast", -1.0, 0.0)
    assert {fault.path for fault in refused.value.faults} == {"mode", "begins_in_s", "lasts_s"}
    with pytest.raises(NotFound):
        await clusters.drain_agent("host-9")


async def test_an_orphan_is_released_by_its_id_only(clusters: Clusters) -> None:
    loop = await seated(clusters)
    orphan = Orphan("node-7", 2, "host-3", 1000.0, volume=True, disk_mb=2000)
    loop.cycle.state = replace(loop.state, orphans={orphan.id: orphan})
    assert clusters.show("demo").orphans[0].id == "node-7.2"
    with pytest.raises(Invalid):
        await clusters.release_orphan("demo", "node-7.2", "node-7")
    with pytest.raises(NotFound, match="there are: node-7.2"):
        await clusters.release_orphan("demo", "node-7.1", "node-7.1")
    assert (await clusters.release_orphan("demo", "node-7.2", "node-7.2")).changed
    await asyncio.sleep(0)
    assert loop.state.orphans["node-7.2"].released
