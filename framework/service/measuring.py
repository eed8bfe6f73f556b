"""Measuring: the figures of clusters, nodes, hosts and this process, put onto the board.

A request a cluster and interval, one cluster after another: what is looked at anyway is not asked
for again. A cluster that does not answer has no fresh figures, and its nodes none at all.
"""
from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

import psutil
import structlog

from ..core.facts import ClusterState, EsView
from ..core.plan import diff, wanted_nodes
from ..elastic.client import EsUnavailable
from ..runtime.loop import ClusterLoop
from ..telemetry import nodes
from ..telemetry.graphite import Graphite
from ..telemetry.readings import OF_SERVICE, Board, Reading, Scope, of_cluster, of_host, of_node
from .base import Base

log = structlog.get_logger(__name__)

STATUS = {"green": 0.0, "yellow": 1.0, "red": 2.0}
FRESH_S = 90.0                      # an older figure of a node says nothing of its host now
HOUR_S = 3600.0
# Of a host: the sum over its nodes, or the highest of them, which all see the same host.
SUMS = ("cpu_percent", "indexing_per_s", "searches_per_s")
HIGHEST = ("load_1m", "disk_used_percent", "disk_read_per_s", "disk_write_per_s")


class Measuring(Base):
    """The part of ``ClusterService`` that measures."""

    board: Board
    _answers: dict[str, nodes.Answers]
    _measure_tasks: Sequence[asyncio.Task[None]] = ()

    def node_hosts(self) -> dict[tuple[str, str], str]:
        """Host by cluster and node, of the clusters that run here."""
        return {(name, node): record.seat.host for name, loop in self._loops.items()
                for node, record in loop.state.nodes.items() if record.seat is not None}

    def _start_measuring(self) -> list[asyncio.Task[None]]:
        """Begin to measure, and to send figures where they are wanted."""
        settings = self.settings
        tasks = [asyncio.create_task(self.measure(settings.measure_s), name="measure")]
        if settings.graphite is not None:
            host, _, port = settings.graphite.rpartition(":")
            sink = Graphite(host, int(port), settings.graphite_prefix)
            self.board.listen(sink.take)
            tasks.append(asyncio.create_task(sink.run(), name="graphite"))
        return tasks

    async def measure(self, every_s: float) -> None:
        """Until cancelled, each cluster once an interval, spread over it."""
        process = psutil.Process(os.getpid())
        process.cpu_percent()               # the first call only sets the mark
        while True:
            names = list(self._loops)
            for name in names:
                await self.measure_cluster(name)
                await asyncio.sleep(every_s / (len(names) + 1))
            self._measure_rest(process)
            await asyncio.sleep(every_s / (len(names) + 1))

    async def measure_cluster(self, name: str) -> None:
        """Put the figures of one cluster and its nodes onto the board."""
        loop = self._loops.get(name)
        if loop is None:
            return
        now = time.time()
        after: nodes.Answers | None
        try:
            after = await loop.watch.ask(partial(nodes.ask, now=now), None)
        except EsUnavailable as error:
            log.debug("nodes cannot be measured now", cluster=name, why=str(error))
            after = None
        except (KeyError, TypeError, ValueError, AttributeError):
            # An answer of a shape that nobody expected gives no figure, and ends nothing.
            log.exception("figures of nodes are not understood", cluster=name)
            after = None
        state, batch = loop.state, [cluster_reading(loop.state, now)]
        if after is not None:
            before = self._answers.get(name, nodes.Answers())
            self._answers[name] = after
            batch += [_with_shards(one, state.es) for one in nodes.readings(name, before, after)
                      if one.subject.name in state.nodes]
            batch += [Reading(now, of_node(name, node), {"up": 0.0}) for node in state.nodes
                      if node not in after.nodes]
        self.board.put(batch)

    def _measure_rest(self, process: psutil.Process) -> None:
        """Hosts and this process; what is gone is forgotten."""
        now = time.time()
        for name in self._answers.keys() - self._loops.keys():
            del self._answers[name]
        kept = [of_cluster(name) for name in self._loops]
        self.board.keep_only(Scope.CLUSTER, kept)
        self.board.keep_only(Scope.NODE, [of_node(name, node) for name, loop in
                                          self._loops.items() for node in loop.state.nodes])
        hosts = host_readings(self._loops, self.board, now)
        self.board.keep_only(Scope.HOST, [one.subject for one in hosts])
        with process.oneshot():
            figures = {"cpu_percent": process.cpu_percent(),
                       "mem_mb": process.memory_info().rss / 2**20}
        self.board.put([*hosts, Reading(now, OF_SERVICE, figures | _of_loops(self._loops, now))])


def _of_loops(loops: Mapping[str, ClusterLoop], now: float) -> dict[str, float]:
    held = sum(any(not gate.ok for gate in step.gates) for loop in loops.values()
               for step in diff(loop.state, now).steps)
    return {"clusters": float(len(loops)), "gates_held": float(held),
            "inbox": float(max((loop.waiting for loop in loops.values()), default=0)),
            "masters_away": float(sum(not loop.state.link.connected for loop in loops.values()))}


def cluster_reading(state: ClusterState, now: float) -> Reading:
    """What the last look at a cluster says; of its age alone when there was none lately."""
    figures = {"nodes_wanted": float(len(wanted_nodes(state)))}
    view = state.es
    if view is not None:
        figures |= {
            "view_age_s": now - view.at, "status": STATUS.get(view.health, 2.0),
            "nodes": float(len(view.nodes)), "shards": float(view.active_shards),
            "unassigned_shards": float(view.unassigned_shards),
            "initializing_shards": float(view.initializing_shards),
            "relocating_shards": float(view.relocating_shards)}
        for metric, value in (("documents", view.documents), ("store_mb", view.store_mb)):
            if value is not None:
                figures[metric] = float(value)
    return Reading(now, of_cluster(state.identity.name), figures)


def _with_shards(reading: Reading, view: EsView | None) -> Reading:
    member = view.nodes.get(reading.subject.name) if view is not None else None
    if member is None or member.shards is None:
        return reading
    return Reading(reading.at, reading.subject, {**reading.values, "shards": float(member.shards)})


def host_readings(loops: Mapping[str, ClusterLoop], board: Board, now: float) -> list[Reading]:
    """Hosts with nodes of this process: sums over nodes, or what all of them see alike."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: {
        "nodes": 0.0, "reserved_cpus": 0.0, "reserved_mem_mb": 0.0})
    for name, loop in loops.items():
        for record in loop.state.nodes.values():
            if record.seat is None:
                continue
            host = found[record.seat.host]
            host["nodes"] += 1
            host["reserved_cpus"] += record.seat.resources.cpus
            host["reserved_mem_mb"] += record.seat.resources.mem_mb
            reading = board.newest(of_node(name, record.name))
            if reading is not None and now - reading.at <= FRESH_S:
                _add(host, reading.values)
    return [Reading(now, of_host(name), figures) for name, figures in sorted(found.items())]


def _add(host: dict[str, float], values: Mapping[str, float]) -> None:
    for metric in SUMS:
        if metric in values:
            host[metric] = host.get(metric, 0.0) + values[metric]
    for metric in HIGHEST:
        if metric in values:
            host[metric] = max(host.get(metric, 0.0), values[metric])
    if "disk_free_mb" in values:
        host["disk_free_mb"] = min(host.get("disk_free_mb", values["disk_free_mb"]),
                                   values["disk_free_mb"])
