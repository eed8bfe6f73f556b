"""``esaas cluster``: what there is, and how far it is."""
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from . import waiting
from .completing import cluster_names
from .frame import (
    answer,
    bar,
    client,
    common,
    console,
    safe,
    table,
    toned,
    wants_json,
    when,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


@click.group()
@common
def cluster() -> None:
    """Make, watch, change and delete clusters."""


@cluster.command("list")
@click.option("--tenant", help="Only this tenant's.")
@common
def list_(tenant: str | None) -> None:
    """All clusters."""
    def show(found: list[dict[str, Any]]) -> RenderableType:
        if not found:
            return ("No cluster yet. Make one: esaas spec example > c.yaml; "
                    "esaas cluster create -f c.yaml --wait")
        made = table("name", "tenant", "version", "health", "nodes", "plan", "summary")
        for one in found:
            made.add_row(safe(one["name"]), safe(one["tenant"]), safe(one["version"]),
                         toned(one["health"]), f"{one['nodes_ready']}/{one['nodes_wanted']}",
                         f"{toned(one['plan_status'])} {one['plan_done']}/{one['plan_total']}",
                         safe(one["summary"]))
        return made
    answer(client().get("/v1/clusters", tenant=tenant), show)


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@common
def show(name: str) -> None:
    """Everything about one cluster."""
    def render(one: dict[str, Any]) -> RenderableType:
        from rich.console import Group

        es = one["es"]
        made = table("", "")
        made.show_header = False
        for title, value in (
                ("tenant", safe(one["tenant"])), ("version", safe(one["version"])),
                ("health", toned(one["health"])),
                ("nodes", f"{one['nodes_ready']} of {one['nodes_wanted']} ready"),
                ("plan", f"{toned(one['plan_status'])} {one['plan_done']}/{one['plan_total']}"),
                ("shards", f"{es['active_shards']} active, {es['unassigned_shards']} unassigned"),
                ("documents", safe(es["documents"])), ("role", safe(one["role"])),
                ("framework", safe(one["framework_id"])), ("revision", str(one["revision"])),
                ("endpoints", safe(", ".join(one["endpoints"].get("http", [])) or "none yet")),
                ("virtual ports", safe(", ".join(
                    f"{port} ({role})" for role, port in one.get("virtual_ports", {}).items())
                    or "none"))):
            made.add_row(title, value)
        return Group(f"[bold]{safe(one['name'])}[/]  {safe(one['summary'])}", *hints(one), made,
                     nodes_table(one["nodes"]))
    answer(client().get(client().cluster(name)), render)


def nodes_table(found: list[dict[str, Any]]) -> Table:
    """Nodes, one a line."""
    made = table("node", "state", "roles", "host", "rack", "http", "shards", "heap", "disk",
                 "detail")
    for one in found:
        heap, disk = one["heap_used_percent"], one["disk_used_percent"]
        roles = "sidecar" if one.get("kind") == "sidecar" else ",".join(one["roles"])
        state = toned(one["state"]) + (" [yellow]paused[/]" if one.get("paused") else "")
        told = [*([f"leaves: {one['leaving']}"] if one.get("leaving") else []), one["detail"]]
        made.add_row(safe(one["name"]), state, roles,
                     safe(one["host"]), safe(one["rack"]), safe(one["http_address"]),
                     safe(one["shards"]), "-" if heap is None else f"{heap:.0f}%",
                     "-" if disk is None else f"{disk:.0f}%",
                     safe("; ".join(filter(None, told))))
    return made


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@common
def nodes(name: str) -> None:
    """Its nodes."""
    answer(client().get(client().cluster(name, "nodes")), nodes_table)


def hints(one: dict[str, Any]) -> list[str]:
    """What people should know of a cluster at once: what they hold, or what waits for them."""
    name = safe(one["name"])
    found = []
    if one.get("canary"):
        found.append(f"[yellow]canary[/] {safe(one['canary'])} has the change and waits for you: "
                     f"esaas cluster continue {name} lets the change go on, "
                     f"esaas cluster abandon {name} gives it up")
    if one.get("paused"):
        found.append(f"[yellow]paused[/] esaas cluster continue {name} lets the change go on")
    for switch in one.get("switches", ()):
        until = "it is restored" if switch["until"] is None else when(switch["until"])
        found.append(f"[yellow]switch[/] {safe(switch['switch'].replace('_', '-'))} is "
                     f"{safe(switch['value'])} until {until}")
    return found


def step_lines(name: str, step: dict[str, Any]) -> list[str]:
    """A step of a plan, how far it is, what holds it, and what people may do about it."""
    active = step["status"] in ("held", "running")
    act = f"esaas cluster step {{}} {safe(name)} {safe(step['id'])}"
    lines = [f"  {toned(step['status']):<8} {safe(step['title'])}  [dim]{safe(step['detail'])}[/]"]
    if active and step.get("progress"):
        lines.append(f"    [blue]{safe(bar(step['progress']))}[/]")
    for gate in step["gates"] if active else ():
        lines.append(f"    {'allows' if gate['ok'] else '[yellow]holds[/]'} "
                     f"{safe(gate['name'])}  [dim]{safe(gate['reason'])}[/]")
        if not gate["ok"] and gate.get("forcible"):
            lines.append(f"      [dim]to go past it: {act.format('force')} "
                         f"--gate {safe(gate['name'])}[/]")
    if step.get("can_restart"):
        lines.append(f"    [dim]to begin it anew: {act.format('restart')}[/]")
    return lines


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@common
def plan(name: str) -> None:
    """How far it is from its spec, what holds it, and which step can be forced or begun anew."""
    if wants_json():
        answer(client().get(client().cluster(name, "plan")), lambda _: "")
        return

    def render(detail: dict[str, Any]) -> RenderableType:
        one = detail["plan"]
        lines = [f"{toned(one['status'])} {one['done']}/{one['total']}  {safe(one['summary'])}",
                 *hints(detail)]
        for phase in one["phases"]:
            lines.append(f"[bold]{safe(phase['name'])}[/] {toned(phase['status'])}")
            for step in phase["steps"]:
                lines += step_lines(name, step)
        return "\n".join(lines)
    answer(client().get(client().cluster(name)), render)


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@click.option("--tree", is_flag=True, help="Show every check.")
@common
def offers(name: str, tree: bool) -> None:
    """The last answer to each agent's offers, and why."""
    def render(found: list[dict[str, Any]]) -> RenderableType:
        made = table("agent", "answer", "reason", "resources")
        for one in found:
            checks = "\n" + "\n".join(one["tree"]) if tree else ""
            made.add_row(safe(one["agent"]), toned(one["answer"]), safe(one["reason"] + checks),
                         safe(one["resources"]))
        return made if found else "No agent has offered anything yet."
    answer(client().get(client().cluster(name, "offers")), render)


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@common
def endpoints(name: str) -> None:
    """URLs of the nodes that take requests, and virtual ports, by role."""
    def render(found: dict[str, Any]) -> RenderableType:
        made = table("role", "virtual port", "urls")
        for role in ("http", "master", "data", "ingest"):
            made.add_row(role, safe(found.get("virtual_ports", {}).get(role)),
                         safe("\n".join(found[role]) or None))
        return made
    answer(client().get(client().cluster(name, "endpoints")), render)


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@click.option("--follow", is_flag=True, help="Go on as events come; Ctrl-C ends.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@common
def events(name: str, follow: bool, limit: int) -> None:
    """What happened to it, oldest first."""
    found = client().get(client().cluster(name, "events"), limit=limit)
    if wants_json() and not follow:
        answer(found, lambda _: "")
        return
    last = found[-1]["seq"] if found else 0
    for event in found:
        _show_event(event)
    if follow:
        for event in _following(name, last):
            _show_event(event)


def _show_event(event: dict[str, Any]) -> None:
    if wants_json():
        click.echo(json.dumps(event))
        return
    console().print(f"[dim]{when(event['at'])}[/] {toned(event['level']):<7} "
                    f"{safe(event['message'])} [dim]{safe(event['kind'])}[/]", soft_wrap=True)


def _following(name: str, last: int) -> Iterator[dict[str, Any]]:
    """Events as they come, over restarts of the service; ends when the cluster is gone."""
    from ..client import Unreachable

    reached = False
    while True:
        try:
            for message in client().stream(client().cluster(name, "events/stream"), last):
                reached = True
                if message.kind == "gone":
                    return
                if message.kind == "event":
                    last = int(message.data["seq"])
                    yield message.data
        except Unreachable:
            if not reached:
                raise
        time.sleep(waiting.POLL_S)


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@common
def revisions(name: str) -> None:
    """Every spec that was wanted, newest first, and what each changed."""
    def render(found: list[dict[str, Any]]) -> RenderableType:
        made = table("revision", "wanted at", "", "changes")
        for one in found:
            at = "-" if one["at"] is None else when(one["at"])
            first = "the first spec" if one["revision"] == 1 else "not kept"
            made.add_row(str(one["revision"]), at, "[green]current[/]" if one["current"] else "",
                         safe("\n".join(one["changes"]) or first))
        return made
    answer(client().get(client().cluster(name, "revisions")), render)


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@common
def facts(name: str) -> None:
    """Delivery facts: what whoever uses the cluster has to know."""
    def render(one: dict[str, Any]) -> RenderableType:
        from rich.console import Group

        made = table("", "")
        made.show_header = False
        for title, value in (
                ("tenant", one["tenant"]), ("version", one["version"]),
                ("credentials", one["credentials"]),
                *((f"endpoints {role}", " ".join(urls))
                  for role, urls in sorted(one["endpoints"].items()) if urls),
                ("plugins", ", ".join(one["plugins"]) or "none"),
                ("settings", "\n".join(f"{key}: {value}" for key, value in
                                       sorted(one["settings"].items())) or "none"),
                ("nodes", "\n".join(f"{node['name']} on {node['host'] or '-'}, "
                                    f"{node['http'] or '-'}" for node in one["nodes"]))):
            made.add_row(title, safe(value))
        snippets = [f"[bold]{safe(item['language'])}[/]\n{safe(item['text'])}\n"
                    for item in one["snippets"]]
        return Group(made, *snippets)
    answer(client().get(client().cluster(name, "delivery")), render)
