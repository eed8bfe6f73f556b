"""``esaas platform``: agents, schedulers, processes, store and masters."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .frame import answer, client, common, safe, table, when

if TYPE_CHECKING:
    from rich.console import RenderableType

PARTS = ("agents", "leftovers", "schedulers", "processes", "store", "mesos")


@click.command()
@click.argument("part", type=click.Choice(PARTS), required=False)
@common
def platform(part: str | None) -> None:
    """What is under the clusters: agents, what is left over on them of clusters that are gone,
    schedulers, processes, store, mesos; or one of these."""
    from rich.console import Group

    def render(found: dict[str, Any]) -> RenderableType:
        shown: dict[str, Any] = {
            "mesos": _mesos(found), "agents": _agents(found), "leftovers": _leftovers(found),
            "schedulers": _schedulers(found),
            "processes": _processes(found), "store": _store(found)}
        return Group(*(shown[name] for name in ([part] if part else shown)))
    answer(client().get("/v1/platform"), render)


def _mesos(found: dict[str, Any]) -> RenderableType:
    one = found["master"]
    if one is None:
        return f"[red]no leading master answers[/]: {safe(found['master_problem'])}"
    return (f"master {safe(one['address'])} {safe(one['version'])}, up {one['uptime_s']:.0f} s; "
            f"agents: {one['agents_active']} active, {one['agents_inactive']} inactive, "
            f"{one['agents_unreachable']} unreachable; {one['tasks_running']} running tasks")


def _agents(found: dict[str, Any]) -> RenderableType:
    made = table("agent", "state", "nodes", "cpus", "memory MB", "disk MB", "attributes")
    for one in found["agents"]:
        amounts = [f"{one['reserved'][name]:g}/{one['total'][name]:g}" if one["total"] else "-"
                   for name in ("cpus", "mem_mb", "disk_mb")]
        state = "maintenance" if one["maintenance"] else "active" if one["active"] else "away"
        nodes = "\n".join(f"{seat['cluster']}/{seat['node']}" for seat in one["nodes"])
        attributes = ", ".join(f"{name}={value}" for name, value in one["attributes"].items())
        made.add_row(safe(one["host"]), state, safe(nodes), *amounts, safe(attributes))
    return made


def _leftovers(found: dict[str, Any]) -> RenderableType:
    made = table("left over of", "node", "agent", "role", "cpus", "memory MB", "disk MB", "volumes")
    for one in found["leftovers"]:
        made.add_row(safe(one["cluster"]), safe(f"{one['node']}, {one['incarnation']}"),
                     safe(one["host"]), safe(one["role"]), *(
                         f"{one['amounts'][name]:g}" for name in ("cpus", "mem_mb", "disk_mb")),
                     safe("\n".join(one["volumes"])))
    return made if found["leftovers"] else "nothing is left over of clusters that are gone"


def _schedulers(found: dict[str, Any]) -> RenderableType:
    made = table("cluster", "registered", "framework", "run by", "epoch", "does")
    for one in found["schedulers"]:
        made.add_row(safe(one["cluster"]), "yes" if one["connected"] else "[red]no[/]",
                     safe(one["framework_id"]), safe(one["owner"]), safe(one["epoch"]),
                     safe(one["doing"]))
    return made


def _processes(found: dict[str, Any]) -> RenderableType:
    made = table("process", "address", "clusters", "since")
    for one in found["members"]:
        made.add_row(safe(one["instance"]), safe(one["url"]), str(one["clusters"]),
                     when(one["started_at"]))
    return made if found["members"] else "this process alone"


def _store(found: dict[str, Any]) -> RenderableType:
    store = found["store"]
    if store["kind"] == "embedded":
        return f"embedded store, {store['size_mb']} MB, {store['leases']} leases"
    made = table("zookeeper", "mode", "version", "latency ms", "waiting", "connections", "znodes")
    for one in store["servers"]:
        made.add_row(safe(one["address"]), safe(one["problem"] or one["mode"]),
                     safe(one["version"]), safe(one["latency_ms"]), safe(one["outstanding"]),
                     safe(one["connections"]), safe(one["nodes"]))
    return made
