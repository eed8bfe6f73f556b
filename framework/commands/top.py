"""``esaas top``: all clusters, or the nodes of one, again and again."""
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from .completing import cluster_names
from .frame import answer, client, common, console, safe, table, toned, wants_json

if TYPE_CHECKING:
    from rich.console import RenderableType

WORST_FIRST = ("red", "unknown", "yellow", "green")


@click.command()
@click.argument("name", required=False, shell_complete=cluster_names)
@click.option("--every", "every_s", type=click.FloatRange(min=0.2), default=2.0,
              show_default=True, metavar="S", help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Look once and end.")
@click.option("--tenant", help="Only this tenant's clusters.")
@common
def top(name: str | None, every_s: float, once: bool, tenant: str | None) -> None:
    """All clusters, worst first; with NAME the nodes of one, fullest first. Ctrl-C ends it."""
    if name and tenant:
        raise click.UsageError("--tenant is for the list of clusters; one cluster has one tenant")

    def look() -> Any:
        if name:
            return client().get(client().cluster(name))
        return client().get("/v1/clusters", tenant=tenant)

    show = _nodes if name else _clusters
    if once or wants_json() or not console().is_terminal:
        answer(look(), show)
        return
    _again_and_again(look, show, every_s)


def _again_and_again(look: Any, show: Any, every_s: float) -> None:
    from rich.live import Live

    from ..client import Refused, Unreachable

    with Live(show(look()), console=console(), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(every_s)
            try:
                live.update(show(look()), refresh=True)
            except Unreachable as error:        # the service may be starting again
                live.update(f"[red]{safe(error)}[/]", refresh=True)
            except Refused as error:
                if error.status < 500:
                    raise
                live.update(f"[red]{safe(error)}[/]", refresh=True)


def _clusters(found: list[dict[str, Any]]) -> RenderableType:
    from rich.console import Group

    made = table("name", "tenant", "health", "nodes", "plan", "what goes on")
    for one in sorted(found, key=lambda one: (WORST_FIRST.index(one["health"]), one["name"])):
        made.add_row(safe(one["name"]), safe(one["tenant"]), toned(one["health"]),
                     f"{one['nodes_ready']}/{one['nodes_wanted']}",
                     f"{toned(one['plan_status'])} {one['plan_done']}/{one['plan_total']}",
                     safe(one["summary"]))
    counts = {health: sum(one["health"] == health for one in found) for health in WORST_FIRST}
    words = ", ".join(f"{count} {toned(health)}" for health, count in counts.items() if count)
    nodes = sum(one["nodes_ready"] for one in found), sum(one["nodes_wanted"] for one in found)
    return Group(f"{len(found)} clusters: {words or 'none'}; {nodes[0]} of {nodes[1]} nodes ready",
                 made)


def _nodes(one: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    made = table("node", "state", "host", "heap", "disk", "shards", "roles")
    for node in sorted(one["nodes"], key=lambda node: -(node["disk_used_percent"] or 0.0)):
        made.add_row(safe(node["name"]), toned(node["state"]), safe(node["host"]),
                     _meter(node["heap_used_percent"]), _meter(node["disk_used_percent"]),
                     safe(node["shards"]), safe(" ".join(node["roles"])))
    es = one["es"]
    return Group(f"{safe(one['name'])}: {toned(one['health'])}, {safe(one['summary'])}; "
                 f"{es['active_shards']} shards, {es['unassigned_shards']} unassigned, "
                 f"{safe(es['documents'])} documents", made)


def _meter(percent: float | None, width: int = 10) -> str:
    """A share as a bar."""
    if percent is None:
        return "-"
    full = round(min(max(percent, 0.0), 100.0) / 100 * width)
    tone = "red" if percent >= 85 else "yellow" if percent >= 75 else "green"
    return f"[{tone}]{'━' * full}[/]{'╌' * (width - full)} {percent:3.0f} %"
