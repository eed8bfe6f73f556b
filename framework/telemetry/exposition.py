"""The board in the text format of Prometheus: every fresh figure as a gauge with bounded labels.

Names are ``esaas_SCOPE_METRIC``; their unit is the end of the name. Source: Prometheus
documentation, "Exposition formats".
"""
from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from .readings import METRICS, Board, Reading, Scope

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRESH_S = 120.0                     # older figures are left out: Prometheus then knows of a gap
LABELS = {Scope.CLUSTER: ("tenant", "cluster"), Scope.NODE: ("tenant", "cluster", "node", "host"),
          Scope.HOST: ("host",), Scope.SERVICE: (), Scope.MESOS: (),
          Scope.ZOOKEEPER: ("server",)}
# Labels of a reading in the order of its scope; None: whoever asks must not see it.
Labels = Callable[[Reading], tuple[str, ...] | None]


class _OfBoard(Collector):
    """Made for one scrape."""

    def __init__(self, board: Board, labels: Labels, now: float) -> None:
        self._board, self._labels, self._now = board, labels, now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every metric that somebody has a fresh figure of."""
        fresh = {scope: [(found, reading) for reading in self._board.all(scope)
                         if self._now - reading.at <= FRESH_S
                         and (found := self._labels(reading)) is not None] for scope in Scope}
        for metric in METRICS:
            family = GaugeMetricFamily(f"esaas_{metric.scope.value}_{metric.name}", metric.help,
                                       labels=LABELS[metric.scope])
            for labels, reading in fresh[metric.scope]:
                if metric.name in reading.values:
                    family.add_metric(labels, reading.values[metric.name])
            if family.samples:
                yield family


def text(board: Board, labels: Labels, now: float) -> bytes:
    """What a scrape is answered."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_OfBoard(board, labels, now))
    return generate_latest(registry)
