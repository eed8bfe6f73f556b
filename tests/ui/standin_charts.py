"""The stand-in's figures: a real history in memory, filled with waves and a gap."""
from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from esaas.framework.service.charting import cluster_series, host_series, hosts_load
from esaas.framework.service.views import HostLoadView, SeriesView
from esaas.framework.telemetry.history import SqliteHistory
from esaas.framework.telemetry.own import Own
from esaas.framework.telemetry.readings import (
    METRICS,
    Board,
    Reading,
    Scope,
    Subject,
    of_cluster,
    of_host,
    of_node,
)


def waves(subject: Subject, at: float, phase: int) -> Reading:
    """Every metric of a subject, each with a wave of its own."""
    return Reading(at, subject, {
        metric.name: 45 + 30 * math.sin(at / 600 + phase + index)
        for index, metric in enumerate(METRICS) if metric.scope is subject.scope})


class ChartsStandIn:
    """What ``ClusterService`` promises of charts; ``demo`` alone has something to show."""

    _find: Any

    def __init__(self) -> None:
        self.history, self.board = SqliteHistory(Path(":memory:")), Board()
        self.own = Own()
        self.board.listen(self.history.append)
        subjects = [of_cluster("demo"), *(of_node("demo", f"node-{n}") for n in range(3)),
                    *(of_host(f"agent-{n}.example") for n in range(1, 5))]
        now = time.time()
        for turn in range(60):
            if not 20 < turn < 30:                          # a gap
                self.board.put([waves(one, now - 3540 + 60 * turn, phase)
                                for phase, one in enumerate(subjects)])
                self.history.flush()
        assert self.history.subjects(Scope.HOST, 0)

    async def series(self, name: str, metric: str, node: str | None = None,
                     since: float | None = None, until: float | None = None,
                     points: int = 300) -> SeriesView:
        self._find(name)
        return await cluster_series(self.history, name, metric, node, since, until, points)

    async def host_series(self, host: str, metric: str, since: float | None = None,
                          until: float | None = None, points: int = 300) -> SeriesView:
        return await host_series(self.history, host, metric, since, until, points)

    def own_metrics(self) -> bytes:
        return self.own.text()

    def hosts_load(self) -> list[HostLoadView]:
        return hosts_load(self.board)
