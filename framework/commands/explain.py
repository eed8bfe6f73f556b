"""``esaas explain``: why a cluster is not where it should be, on one screen."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..words import risk_of
from .completing import cluster_names
from .frame import answer, bar, client, common, safe, table, toned, when

if TYPE_CHECKING:
    from rich.console import RenderableType

OFFERS, EVENTS = 6, 8
RUNBOOK = "docs/operations.md, Gates"


@click.command()
@click.argument("name", shell_complete=cluster_names)
@common
def explain(name: str) -> None:
    """Why a cluster does not move: the gate that holds, offers, what happened last."""
    one = client()
    path = one.cluster(name)
    story = {"cluster": one.get(path), "offers": one.get(f"{path}/offers"),
             "events": one.get(f"{path}/events", limit=EVENTS)}
    answer(story | {"why": why(story["cluster"])}, _screen)


def why(one: dict[str, Any]) -> list[dict[str, Any]]:
    """What holds, most of it first: ``gate``, ``reason``, the ``steps`` that wait for it.

    ``forcible``: whether people may go past it with a step.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for phase in one["plan"]["phases"]:
        for step in phase["steps"]:
            for gate in step["gates"]:
                if gate["ok"]:
                    continue
                known = found.setdefault((gate["name"], gate["reason"]), {
                    "gate": gate["name"], "reason": gate["reason"], "steps": [],
                    "forcible": gate["forcible"]})
                known["steps"].append({"id": step["id"], "title": step["title"]})
    return sorted(found.values(), key=lambda item: -len(item["steps"]))


def _screen(story: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    one = story["cluster"]
    parts: list[Any] = [_head(one), *_held(story["why"], one["name"]), *_at_work(one)]
    if any(node["state"] == "planned" for node in one["nodes"]):
        parts.append(_offers(story["offers"]))
    parts.append(_events(story["events"]))
    return Group(*parts)


def _head(one: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    es = one["es"]
    lines = [f"[bold]{safe(one['name'])}[/]: {safe(one['summary'])}",
             f"health {toned(one['health'])}, {one['nodes_ready']} of {one['nodes_wanted']} nodes "
             f"ready, {es['unassigned_shards']} shards unassigned, {es['relocating_shards']} on "
             f"their way, plan {one['plan_done']}/{one['plan_total']}"]
    if not one["connected"]:
        lines.append("[red]the scheduler is not registered with Mesos[/]")
    if one["paused"]:
        lines.append(f"[yellow]paused by people[/]: esaas cluster continue {safe(one['name'])}")
    if one["canary"]:
        lines.append(f"[yellow]the canary {safe(one['canary'])} waits for you[/]: esaas cluster "
                     f"continue {safe(one['name'])}")
    if one["setback"]:
        lines.append(f"[red]the last change went back by itself[/]: {safe(one['setback'])}")
    return Group(*lines, "")


def _held(reasons: list[dict[str, Any]], name: str) -> list[Any]:
    if not reasons:
        return ["[green]no gate holds anything[/]", ""]
    lines: list[Any] = []
    for item in reasons:
        steps = [step["title"] for step in item["steps"]]
        more = f" and {len(steps) - 3} more" if len(steps) > 3 else ""
        lines.append(f"[yellow]held by {safe(item['gate'])}[/]: {safe(item['reason'])}")
        lines.append(f"  waiting: {safe('; '.join(steps[:3]))}{more}")
        if item["forcible"]:
            step = item["steps"][0]["id"]
            lines.append(f"  [dim]to go past it: esaas cluster step force {safe(name)} "
                         f"{safe(step)} {safe(item['gate'])}. {safe(risk_of(item['gate']))}[/]")
    return [*lines, f"[dim]what to do about each: {RUNBOOK}[/]", ""]


def _at_work(one: dict[str, Any]) -> list[Any]:
    lines = [f"{toned(step['status'])} {safe(step['title'])} {safe(step['detail'])} "
             f"{bar(step['progress'])}".rstrip()
             for phase in one["plan"]["phases"] for step in phase["steps"]
             if step["status"] == "running"]
    return [*lines, ""] if lines else []


def _offers(found: list[dict[str, Any]]) -> RenderableType:
    if not found:
        return "no agent has offered anything to this cluster yet\n"
    made = table("offer of", "at", "answer", "why")
    newest = sorted(found, key=lambda offer: -float(offer["at"]))[:OFFERS]
    for offer in newest:
        made.add_row(safe(offer["agent"]), when(offer["at"]), toned(offer["answer"]),
                     safe(offer["reason"]))
    return made


def _events(found: list[dict[str, Any]]) -> RenderableType:
    made = table("last events", "", "")
    for event in found:
        made.add_row(when(event["at"]), toned(event["level"]), safe(event["message"]))
    return made
