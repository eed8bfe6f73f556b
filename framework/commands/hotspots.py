"""``esaas hotspots``: where load is uneven, why, and what moving a shard would do."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .completing import cluster_names
from .frame import answer, client, common, safe, table
from .waiting import follow_operation, waiting

if TYPE_CHECKING:
    from rich.console import RenderableType

DIMENSIONS = click.Choice(["store_mb", "shards", "indexing_per_s", "searches_per_s",
                           "time_ms_per_s"])
dimension_option = click.option("--dimension", type=DIMENSIONS, help="What is to be spread; "
                                "default: balance.dimension of the spec.")


@click.group()
@common
def hotspots() -> None:
    """Hot spots of clusters and hosts, and what moving something would do."""


def _spreads(found: dict[str, Any]) -> RenderableType:
    made = table("of", "mean", "deviation", "of the mean", "stands out")
    for one in found["spreads"]:
        outliers = ", ".join(f"{safe(item['name'])} ({item['times_mean']:.1f} x)"
                             for item in one["outliers"])
        made.add_row(safe(one["meaning"]), f"{one['mean']:.4g}", f"{one['deviation']:.4g}",
                     f"{one['relative_percent']:.0f} %", f"[yellow]{outliers}[/]")
    return made


@hotspots.command()
@click.argument("name", shell_complete=cluster_names)
@dimension_option
@common
def show(name: str, dimension: str | None) -> None:
    """Deviation and outliers over the nodes of a cluster, and proposals."""
    from rich.console import Group

    def render(found: dict[str, Any]) -> RenderableType:
        made = table("proposal", "moves", "deviation", "gain", "MB")
        for one in found["proposals"]:
            moves = "\n".join(f"{safe(move['index'])}[{move['shard']}] {safe(move['source'])} -> "
                              f"{safe(move['target'])}".replace("[", "\\[")
                              for move in one["moves"])
            made.add_row(one["id"], moves,
                         f"{one['deviation_before']:.4g} -> {one['deviation_after']:.4g}",
                         f"{one['gain_percent']:.0f} %", f"{one['moved_mb']:.0f}")
        held = f"held by {safe(found['held_by'])}" if found["held_by"] else ""
        return Group(_spreads(found), made if found["proposals"] else
                     "No move would make it noticeably more even.", held)
    query: dict[str, Any] = {"dimension": dimension} if dimension else {}
    answer(client().get(client().cluster(name, "hotspots"), **query), render)


@hotspots.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("proposal")
@dimension_option
@waiting
@common
def apply(name: str, proposal: str, dimension: str | None, wait: bool, timeout: float) -> None:
    """Move what a proposal moves, as soon as no gate holds."""
    body = {"proposal": proposal} | ({"dimension": dimension} if dimension else {})
    begun = client().post(client().cluster(name, "hotspots/apply"), body)
    follow_operation(name, begun, wait, timeout)


@hotspots.command()
@common
def hosts() -> None:
    """Deviation and outliers over hosts, and which node could leave which."""
    from rich.console import Group

    def render(found: dict[str, Any]) -> RenderableType:
        made = table("of", "node", "from", "to", "deviation")
        for dimension, moves in found["moves"].items():
            for one in moves:
                made.add_row(dimension, f"{safe(one['cluster'])} {safe(one['node'])}",
                             safe(one["source"]), safe(one["target"]),
                             f"{one['deviation_before']:.4g} -> {one['deviation_after']:.4g}")
        return Group(_spreads(found), made)
    answer(client().get("/v1/hotspots"), render)
