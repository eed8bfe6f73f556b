"""Measuring: the figures of clusters, nodes, hosts and this process, put onto the board.

A request a cluster and interval, one cluster after another: what is looked at anyway is not asked
for again. A cluster that does not answer has no fresh figures, and its nodes hardly any.
"""
from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import psutil
import structlog

from ..core.alerts.machine import Alert
from ..elastic.client import EsUnavailable
from ..runtime.loop import ClusterLoop
from ..telemetry import nodes
from ..telemetry.graphite import Graphite
from ..telemetry.own import Own, Totals
from ..telemetry.readings import OF_SERVICE, Board, Reading, Scope, of_cluster, of_node
from .base import Base
from .below import Below
from .figures import Starts, cluster_reading, held_by_gate, host_readings, with_shards

log = structlog.get_logger(__name__)


class Measuring(Base):
    """The part of ``ClusterService`` that measures."""

    board: Board
    _answers: dict[str, nodes.Answers]
    _starts: Starts
    _below: Below
    own: Own
    _store_alert: Alert | None              # what the last round of alerts has found
    _counted: tuple[float, Totals]          # when, and what was counted by then
    _measure_tasks: Sequence[asyncio.Task[None]] = ()

    def node_hosts(self) -> dict[tuple[str, str], str]:
        """Host by cluster and node, of the clusters that run here."""
        return {(name, node): record.seat.host for name, loop in self._loops.items()
                for node, record in loop.state.nodes.items() if record.seat is not None}

    def own_metrics(self) -> bytes:
        """What this process counts of its own work, in the text format of Prometheus."""
        return self.own.text()

    def _start_measuring(self) -> list[asyncio.Task[None]]:
        """Begin to measure, and to send figures where they are wanted."""
        settings = self.settings
        tasks = [asyncio.create_task(self.measure(settings.measure_s), name="measure"),
                 asyncio.create_task(self.measure_below(settings.measure_s), name="below")]
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

    async def measure_below(self, every_s: float) -> None:
        """Until cancelled, what lies below the nodes, once an interval."""
        while True:
            try:
                self.board.put(await self._below.measure(
                    {name: loop.state for name, loop in self._loops.items()}))
            except (KeyError, TypeError, ValueError, AttributeError):
                log.exception("figures of agents or of the master are not understood")
            await asyncio.sleep(every_s)

    async def measure_cluster(self, name: str) -> None:
        """Put the figures of one cluster and its nodes onto the board."""
        loop = self._loops.get(name)
        if loop is None:
            return
        now = time.time()
        after: nodes.Answers | None
        try:
            after = await loop.watch.ask(partial(nodes.ask, now=now), nodes.Answers(now))
        except EsUnavailable as error:
            log.debug("nodes cannot be measured now", cluster=name, why=str(error))
            after = nodes.Answers(now)
        except (KeyError, TypeError, ValueError, AttributeError):
            # An answer of a shape that nobody expected gives no figure, and ends nothing.
            log.exception("figures of nodes are not understood", cluster=name)
            after = None
        state, batch = loop.state, [cluster_reading(loop.state, loop.waiting, now)]
        starts = self._starts.figures(state, now)
        answered: dict[str, Mapping[str, float]] = {}
        if after is not None:
            before = self._answers.get(name, nodes.Answers())
            self._answers[name] = after
            answered = {node: {"up": 0.0} for node in state.nodes} | {
                one.subject.name: with_shards(one, state.es).values
                for one in nodes.readings(name, before, after)}
        batch += [Reading(now, of_node(name, node), {
            **starts[node], **self._below.of_node(name, node, now), **answered.get(node, {})})
            for node in state.nodes]
        self.board.put(batch)

    def _measure_rest(self, process: psutil.Process) -> None:
        """Hosts and this process; what is gone is forgotten."""
        now = time.time()
        for name in self._answers.keys() - self._loops.keys():
            del self._answers[name]
        states = {name: loop.state for name, loop in self._loops.items()}
        self.board.keep_only(Scope.CLUSTER, [of_cluster(name) for name in states])
        there = [(name, node) for name, state in states.items() for node in state.nodes]
        self.board.keep_only(Scope.NODE, [of_node(*one) for one in there])
        self._starts.keep_only(there)
        hosts = [Reading(one.at, one.subject, {
            **one.values, **self._below.of_host(one.subject.name, now)})
            for one in host_readings(states, self.board, now)]
        self.board.keep_only(Scope.HOST, [one.subject for one in hosts])
        with process.oneshot():
            figures = {"cpu_percent": process.cpu_percent(),
                       "mem_mb": process.memory_info().rss / 2**20}
        held = held_by_gate(states.values(), now)
        self.own.held(held)
        figures |= _of_loops(self._loops, held) | self._rates(now)
        figures["store_up"] = float(self._store_alert is None)
        self.board.put([*hosts, Reading(now, OF_SERVICE, figures)])

    def _rates(self, now: float) -> dict[str, float]:
        """Of what was counted since the last time."""
        (since, was), total = self._counted, self.own.totals
        self._counted = now, total
        span_s, turns = now - since, total.turns - was.turns
        found = {} if not turns else {
            "decide_ms": 1000 * (total.decide_s - was.decide_s) / turns}
        if since and span_s > 0:
            found |= {"offers_per_s": (total.received - was.received) / span_s,
                      "declines_per_s": (total.declined - was.declined) / span_s}
        return found


def _of_loops(loops: Mapping[str, ClusterLoop], held: Counter[str]) -> dict[str, float]:
    return {"clusters": float(len(loops)), "gates_held": float(held.total()),
            "leases_owned": float(sum(loop.owned() for loop in loops.values())),
            "loops_stopped": float(sum(loop.stopped for loop in loops.values())),
            "inbox": float(max((loop.waiting for loop in loops.values()), default=0)),
            "masters_away": float(sum(not loop.state.link.connected for loop in loops.values()))}
