"""``esaas agent``: hosts with nodes of this service, and taking them out of service."""
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from .clusters import cluster
from .completing import cluster_names, host_names
from .frame import (
    TIMED_OUT,
    answer,
    as_json,
    client,
    common,
    problem,
    quoted,
    safe,
    table,
    taken,
    tell,
    wants_json,
    when,
)
from .waiting import POLL_S, error_console, waiting

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.group()
@common
def agent() -> None:
    """Hosts with nodes of this service: what is on them, and maintenance."""


def _path(host: str, what: str = "") -> str:
    return f"/v1/agents/{quoted(host)}{what}"


def _maintenance(one: dict[str, Any]) -> str:
    plan = one.get("maintenance")
    if plan is None:
        return ""
    until = f" to {when(plan['ends'])}" if plan.get("ends") else ""
    verb = "stopped meanwhile" if plan["mode"] == "stop" else "moved away"
    ready = "empty" if one["empty"] else f"nodes are {verb}"
    return f"{plan['source']}, from {when(plan['begins'])}{until}: {ready}"


def _render(found: list[dict[str, Any]]) -> RenderableType:
    made = table("host", "rack", "nodes", "maintenance")
    for one in found:
        nodes = ", ".join(f"{seat['cluster']}/{seat['node']} {seat['state']}"
                          for seat in one["nodes"])
        made.add_row(safe(one["host"]), safe(one.get("rack")), safe(nodes or "none"),
                     safe(_maintenance(one)))
    return made if found else "No node of this service is on any host."


@agent.command("list")
@as_json
def list_() -> None:
    """Every host with nodes of this service, and every host under maintenance."""
    answer(client().get("/v1/agents"), _render)


@agent.command()
@click.argument("host", shell_complete=host_names)
@click.option("--mode", type=click.Choice(["auto", "move", "stop"]), default="auto",
              show_default=True, help="stop: stop its nodes in order, they come back with it; "
              "move: to other hosts first; auto: stop for at most an hour, else move.")
@click.option("--in", "begins_in_s", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS",
              help="When the host goes; default: as soon as it is empty.")
@click.option("--for", "lasts_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="How long it will be away; default: nobody knows.")
@waiting
@as_json
def drain(host: str, mode: str, begins_in_s: float, lasts_s: float | None, wait: bool,
          timeout: float) -> None:
    """Take a host out of service, gated as any change: quorum, copies and health are kept.

    With --wait it returns when nothing of this service runs there any more.
    """
    body = {"mode": mode, "begins_in_s": begins_in_s, "lasts_s": lasts_s}
    found = client().post(_path(host, "/drain"), body)
    if wait:
        found = _until_empty(host, found, timeout)
    answer([found], _render)


def _left(one: dict[str, Any]) -> list[str]:
    return [f"{seat['cluster']}/{seat['node']}" for seat in one["nodes"] if seat["alive"]]


def _until_empty(host: str, one: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Look until nothing runs on a host, with a bar; leaves with TIMED_OUT."""
    from rich.progress import Progress

    deadline, total = time.monotonic() + timeout, max(len(_left(one)), 1)
    with Progress(console=error_console(), transient=True, disable=wants_json()) as shown:
        task = shown.add_task("", total=total)
        while not one["empty"] and time.monotonic() < deadline:
            left = _left(one)
            shown.update(task, completed=total - len(left), description=safe(
                f"{host}: {', '.join(left)} left"))
            time.sleep(POLL_S)
            one = client().get(_path(host))
    if not one["empty"]:
        message = f"{host} is not empty after {timeout:g} s; the work goes on"
        tell(problem("timed_out", message), f"Error: {message}")
        click.get_current_context().exit(TIMED_OUT)
    return one


@agent.command()
@click.argument("host", shell_complete=host_names)
@as_json
def restore(host: str) -> None:
    """Put a host back into service: stopped nodes start again, moves not begun are taken back."""
    answer([client().delete(_path(host, "/drain"))], _render)


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@click.option("--yes", is_flag=True, help="Do not ask for the name again.")
@common
def reregister(name: str, yes: bool) -> None:
    """Register as a new framework after an operator has removed the cluster's own from Mesos.

    Mesos lets a removed framework never come back, and has stopped its nodes. Their volumes are
    still reserved for the cluster: the new framework starts them there.
    """
    confirm = name if yes else click.prompt(f"Type {name} to register it as a new framework",
                                            err=True)
    taken(client().post(client().cluster(name, "reregister"), {"confirm": confirm}))


@agent.command("release-orphan")
@click.argument("name", shell_complete=cluster_names)
@click.argument("orphan")
@click.option("--yes", is_flag=True, help="Do not ask for the id again.")
@common
def release_orphan(name: str, orphan: str, yes: bool) -> None:
    """Free what is reserved for a cluster and belongs to no node; its volume is destroyed."""
    confirm = orphan if yes else click.prompt(
        f"What is on this volume will be lost. Type {orphan} to go on", err=True)
    taken(client().post(client().cluster(name, f"orphans/{quoted(orphan)}/release"),
                        {"confirm": confirm}))
