"""``esaas cluster autoscale``: what each group with a policy should do, and what holds it."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .clusters import cluster
from .completing import cluster_names
from .frame import answer, client, common, safe, table, when

if TYPE_CHECKING:
    from rich.console import RenderableType


def _last(one: dict[str, Any] | None) -> str:
    if one is None:
        return ""
    by = f" {safe(one['by'])}: {safe(one['why'])}" if one["by"] else ""
    return f"{one['count_before']} -> {one['count']} {when(one['at'])}{by}"


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@common
def autoscale(name: str) -> None:
    """What each group with a policy should do, by which figures, and what holds it."""
    def render(found: dict[str, Any]) -> RenderableType:
        if not found["groups"]:
            return "No group of the cluster has autoscale in its spec."
        made = table("group", "mode", "nodes", "advice", "why", "not now", "changed last")
        for one in found["groups"]:
            advice = one["advice"] if one["advice"] == "stay" else (
                f"[yellow]{one['advice']}: {one['count']} -> {one['wanted']}[/]")
            holds = [one["acts_not_because"], *(f"refused by {text}" for text in one["refused"])]
            made.add_row(safe(one["group"]), one["mode"],
                         f"{one['count']} ({one['min']} to {one['max']})", advice,
                         safe(one["why"]), safe("\n".join(filter(None, holds))),
                         _last(one["last"]))
        return made
    answer(client().get(client().cluster(name, "autoscale")), render)
