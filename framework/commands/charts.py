"""``esaas cluster chart``: a figure of a cluster or its nodes over time, in the terminal."""
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ..words import seconds_of
from .agents import agent
from .clusters import cluster
from .completing import cluster_names, host_names
from .frame import answer, client, common, quoted, safe, table

if TYPE_CHECKING:
    from rich.console import RenderableType

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 60
OF_HOSTS = ("nodes", "load_1m", "cpu_percent", "disk_used_percent", "indexing_per_s",
            "searches_per_s")


def _span(ctx: click.Context, param: click.Parameter, value: str) -> float:
    try:
        return seconds_of(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not {error}", ctx, param) from error


def sparks(points: list[dict[str, float]], since: float, until: float, low: float,
           high: float) -> str:
    """A line of blocks as wide as the time; a blank where nothing was measured."""
    cells = [" "] * WIDTH
    for point in points:
        place = min(max(int((point["at"] - since) / (until - since) * WIDTH), 0), WIDTH - 1)
        share = (point["mean"] - low) / (high - low) if high > low else 0.5
        cells[place] = BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]
    return "".join(cells)


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("metric")
@click.option("--node", metavar="NODE", help="One node; * for all of them. Default: the cluster, "
              "or all nodes for what only nodes have.")
@click.option("--last", "span_s", default="1h", show_default=True, callback=_span, metavar="TIME",
              help="How far back, such as 6h or 14d.")
@common
def chart(name: str, metric: str, node: str | None, span_s: float) -> None:
    """A figure over time: heap_used_percent, disk_used_percent, indexing_per_s, documents...

    A metric that is not known is refused with the names of all that are.
    """
    query: dict[str, Any] = {"metric": metric, "since": time.time() - span_s, "points": WIDTH}
    if node is not None:
        query["node"] = node
    answer(client().get(client().cluster(name, "series"), **query), drawn)


def drawn(found: dict[str, Any]) -> RenderableType:
    """A series, a line of blocks for each node or the one thing that it is of."""
    means = [point["mean"] for line in found["lines"] for point in line["points"]]
    made = table("", found["help"], "lowest", "highest", "last")
    for line in found["lines"]:
        points = line["points"]
        if points:
            made.add_row(safe(line["name"] or found["metric"]), sparks(
                points, found["since"], found["until"], min(means), max(means)),
                f"{min(one['low'] for one in points):.4g}",
                f"{max(one['high'] for one in points):.4g}", f"{points[-1]['mean']:.4g}")
    return made if means else "Nothing was measured in this time."


@agent.command()
@click.argument("host", required=False, shell_complete=host_names)
@click.argument("metric", required=False)
@common
def load(host: str | None, metric: str | None) -> None:
    """The load of all hosts; with HOST and METRIC the last hour of one."""
    if (host is None) is not (metric is None):
        raise click.UsageError("HOST and METRIC belong together")
    if host is not None:
        answer(client().get(f"/v1/hosts/{quoted(host)}/series", metric=metric), drawn)
        return

    def render(found: list[dict[str, Any]]) -> RenderableType:
        made = table("host", *(name.replace("_", " ") for name in OF_HOSTS))
        for one in found:
            made.add_row(safe(one["host"]), *(
                f"{one['values'][name]:.4g}" if name in one["values"] else "-"
                for name in OF_HOSTS))
        return made if found else "No host with a node of this service was measured lately."
    answer(client().get("/v1/hosts/load"), render)
