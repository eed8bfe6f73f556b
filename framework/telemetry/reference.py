"""The list of all metrics, for ``docs/metrics.md``; written from the code.

    python -m esaas.framework.telemetry.reference docs/metrics.md
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from .exposition import LABELS
from .own import Own
from .readings import METRICS, Scope

HEAD = """# Metrics

Written by `python -m esaas.framework.telemetry.reference docs/metrics.md`; a test compares. How
they are scraped, who sees which, and how old they may be: [operations](operations.md#metrics).

The unit is the end of the name; without one it is a plain number. All but those of the last section
are gauges, for Graphite and charts, too, and counters of Elasticsearch and Mesos are rates already.
A figure that could not be had is missing, never zero.
"""
TITLES = {
    Scope.CLUSTER: "Clusters", Scope.NODE: "Nodes", Scope.HOST: "Hosts",
    Scope.SERVICE: "The process itself", Scope.MESOS: "The leading Mesos master",
    Scope.ZOOKEEPER: "ZooKeeper of the store"}


def text() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_gauges(), *_counted()])


def _gauges() -> Iterator[str]:
    for scope in Scope:
        labels = ", ".join(f"`{name}`" for name in LABELS[scope]) or "none"
        yield from (f"## {TITLES[scope]}", "", f"Labels: {labels}.", "", "| Name | Meaning |",
                    "| --- | --- |")
        yield from (f"| `esaas_{scope.value}_{one.name}` | {one.help} |" for one in METRICS
                    if one.scope is scope)
        yield ""


def _counted() -> Iterator[str]:
    yield from ("## Counted by the process", "",
                "For Prometheus only. Reasons are the stages of placement, `not_wanted` (nothing "
                "was to be", "placed) and `not_now` (awaited again soon).", "",
                "| Name | Kind | Labels | Meaning |", "| --- | --- | --- | --- |")
    for name, kind, labels, meaning in Own().described():
        shown = ", ".join(f"`{label}`" for label in labels)
        yield f"| `{name}` | {kind} | {shown} | {meaning} |"
    yield ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text())
