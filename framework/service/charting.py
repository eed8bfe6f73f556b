"""What the history tells of clusters, nodes and hosts: the part of the service behind charts."""
from __future__ import annotations

import asyncio
import time

from ..core.errors import Fault
from ..telemetry.readings import (
    BY_NAME,
    METRICS,
    Board,
    History,
    Scope,
    Subject,
    of_cluster,
    of_host,
    of_node,
)
from .base import Base
from .errors import Invalid
from .views import HostLoadView, LineView, PointView, SeriesView

EVERY_NODE = "*"
HOUR_S = 3600.0
STALE_S = 120.0                     # a host's newest reading that is older says nothing of now


def names_of(scope: Scope) -> list[str]:
    """The metrics of a scope, in their order."""
    return [metric.name for metric in METRICS if metric.scope is scope]


def _span(since: float | None, until: float | None, faults: list[Fault]) -> tuple[float, float]:
    end = time.time() if until is None else until
    begin = end - HOUR_S if since is None else since
    if begin >= end:
        faults.append(Fault("since", "must be before until", "since_before_until"))
    return begin, end


def _known(scope: Scope, metric: str, faults: list[Fault]) -> None:
    if (scope, metric) not in BY_NAME:
        faults.append(Fault("metric", f"no metric {metric[:80]!r} of a {scope}; there are "
                            f"{', '.join(names_of(scope))}", "known_metric"))


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise Invalid("the query has faults", faults)


def _lines(history: History, subjects: list[Subject], metric: str, since: float, until: float,
           points: int) -> list[LineView]:
    """A line per subject, also where there is nothing; reads from the disk."""
    return [LineView(name=subject.name, points=[
        PointView(at=one.at, low=one.low, mean=one.mean, high=one.high)
        for one in history.series(subject, metric, since, until, points)])
        for subject in subjects]


async def cluster_series(history: History, cluster: str, metric: str, node: str | None,
                         since: float | None, until: float | None, points: int) -> SeriesView:
    """A metric of a cluster, one node, or every node (``*``, or a metric that only nodes have).

    Times in seconds since the epoch. Invalid with every fault.
    """
    faults: list[Fault] = []
    begin, end = _span(since, until, faults)
    if node is None and (Scope.CLUSTER, metric) not in BY_NAME and (
            Scope.NODE, metric) in BY_NAME:
        node = EVERY_NODE
    scope = Scope.CLUSTER if node is None else Scope.NODE
    _known(scope, metric, faults)
    _refuse(faults)

    def read() -> list[LineView]:
        subjects = [of_cluster(cluster)] if node is None else [of_node(cluster, node)]
        if node == EVERY_NODE:
            subjects = [one for one in history.subjects(Scope.NODE, begin)
                        if one.cluster == cluster]
        return _lines(history, subjects, metric, begin, end, points)
    return SeriesView(metric=metric, help=BY_NAME[scope, metric].help, since=begin, until=end,
                      lines=await asyncio.to_thread(read))


async def host_series(history: History, host: str, metric: str, since: float | None,
                      until: float | None, points: int) -> SeriesView:
    """A metric of a host, as far as this process has seen it. Invalid with every fault."""
    faults: list[Fault] = []
    begin, end = _span(since, until, faults)
    _known(Scope.HOST, metric, faults)
    _refuse(faults)
    lines = await asyncio.to_thread(
        _lines, history, [of_host(host)], metric, begin, end, points)
    return SeriesView(metric=metric, help=BY_NAME[Scope.HOST, metric].help, since=begin,
                      until=end, lines=lines)


def hosts_load(board: Board) -> list[HostLoadView]:
    """The newest figures of every host that this process has seen lately, by name."""
    fresh = time.time() - STALE_S
    return [HostLoadView(host=reading.subject.name, at=reading.at, values=dict(reading.values))
            for reading in board.all(Scope.HOST) if reading.at >= fresh]


class Charting(Base):
    """The part of ``ClusterService`` that answers with series."""

    board: Board
    history: History

    async def series(self, name: str, metric: str, node: str | None = None,
                     since: float | None = None, until: float | None = None,
                     points: int = 300) -> SeriesView:
        """See ``cluster_series``; NotFound, Elsewhere.

        Nothing from before the cluster: another one, of anybody, may have had its name.
        """
        born = self._loop(name).state.identity.created_at
        begin = max(since if since is not None else time.time() - HOUR_S, born)
        return await cluster_series(self.history, name, metric, node, begin, until, points)

    async def host_series(self, host: str, metric: str, since: float | None = None,
                          until: float | None = None, points: int = 300) -> SeriesView:
        """See ``host_series`` of this module."""
        return await host_series(self.history, host, metric, since, until, points)

    def hosts_load(self) -> list[HostLoadView]:
        """See ``hosts_load`` of this module."""
        return hosts_load(self.board)
