"""Waiting for what the service does in the background, with progress on a terminal."""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import click

from .frame import (
    REFUSED,
    TIMED_OUT,
    F,
    answer,
    client,
    problem,
    safe,
    taken,
    tell,
    toned,
    wants_json,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

POLL_S = 0.5


def error_console() -> Console:
    """Where progress goes: beside the answer."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def waiting(function: F) -> F:
    """``--wait`` and ``--timeout``."""
    wait_ = click.option("--wait", is_flag=True, help="Wait until it is done.")
    timeout = click.option("--timeout", type=click.FloatRange(min=0), default=600.0,
                           show_default=True, metavar="S", help="Seconds to wait at most.")
    return wait_(timeout(function))


def follow_up(accepted: dict[str, Any], *, dry_run: bool = False, wait: bool = False,
              timeout: float = 0.0) -> None:
    """Show what was answered; wait for its revision when that is asked for."""
    if not (wait and wants_json()) or dry_run:
        taken(accepted)
    if wait and not dry_run:
        wait_for(accepted["cluster"], "green", timeout, accepted["revision"])


def reached(one: dict[str, Any] | None, goal: str, revision: int) -> bool:
    """Whether a cluster (None: there is none) is as it was waited for."""
    if one is None or goal == "deleted":
        return one is None and goal == "deleted"
    whole = (one["revision"] >= revision and one["plan_status"] == "done"
             and one["nodes_ready"] >= one["nodes_wanted"])
    return whole and (goal == "ready" or one["health"] == "green")


def settles(name: str, revision: int, timeout: float) -> bool:
    """Whether a cluster is green at a revision before the time is up; quiet."""
    return any(reached(one, "green", revision) for one, _ in _looks(name, "green", timeout))


def _look(name: str, goal: str) -> dict[str, Any] | None:
    from ..client import Refused

    try:
        found: dict[str, Any] = client().get(client().cluster(name))
        return found
    except Refused as error:
        if error.status == 404 and goal == "deleted":
            return None
        raise


def _looks(name: str, goal: str, timeout: float) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """The cluster again and again until the time is up, with what hinders looking."""
    from ..client import Refused, Unreachable

    deadline, one = time.monotonic() + timeout, _look(name, goal)
    trouble = ""
    while True:
        yield one, trouble
        if time.monotonic() >= deadline:
            return
        time.sleep(POLL_S)
        try:
            one, trouble = _look(name, goal), ""
        except Unreachable as error:
            trouble = str(error)            # the service may be starting again
        except Refused as error:
            if error.status < 500:
                raise
            trouble = str(error)


def held_by(one: dict[str, Any]) -> list[str]:
    """The gates that hold, each with its reason."""
    found = {f"{gate['name']}: {gate['reason']}" for phase in one["plan"]["phases"]
             for step in phase["steps"] for gate in step["gates"] if not gate["ok"]}
    return sorted(found)


def progress(one: dict[str, Any] | None, trouble: str) -> RenderableType:
    """What is shown while waiting."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    if one is None:
        return "gone"
    counts: dict[str, int] = {}
    for node in one["nodes"]:
        counts[node["state"]] = counts.get(node["state"], 0) + 1
    bar = Table.grid(padding=(0, 1))
    bar.add_row(f"[bold]{safe(one['name'])}[/]", toned(one["health"]),
                ProgressBar(total=max(one["plan_total"], 1), completed=one["plan_done"], width=30),
                f"{one['plan_done']}/{one['plan_total']} steps")
    lines: list[Any] = [bar, safe(one["summary"]), "  ".join(
        f"{count} {toned(state)}" for state, count in sorted(counts.items()))]
    lines += [f"[yellow]held by[/] {safe(text)}" for text in held_by(one)[:5]]
    if one.get("canary"):
        lines.append(f"[yellow]canary[/] {safe(one['canary'])} waits for you: esaas cluster "
                     f"continue {safe(one['name'])} lets the change go on")
    if trouble:
        lines.append(f"[red]{safe(trouble)}[/]")
    return Group(*lines)


def _on_terminal() -> bool:
    return sys.stderr.isatty()


def wait_for(name: str, goal: str, timeout: float, revision: int) -> None:
    """Wait for a goal with progress; leaves with TIMED_OUT when it is not reached in time."""
    if wants_json() or not _on_terminal():
        one = _wait_quietly(name, goal, timeout, revision)
    else:
        one = _wait_lively(name, goal, timeout, revision)
    if wants_json():
        click.echo(json.dumps(one, indent=2))
    else:
        click.echo(f"{name} is {goal}")


def _wait_quietly(name: str, goal: str, timeout: float, revision: int) -> dict[str, Any] | None:
    one, last = None, ""
    for one, trouble in _looks(name, goal, timeout):
        if not trouble and reached(one, goal, revision):
            return one
        said = trouble or (one["summary"] if one else "")
        if said != last and not wants_json():
            click.echo(said, err=True)
        last = said
    return _leave_in_vain(name, goal, timeout, one)


def _wait_lively(name: str, goal: str, timeout: float, revision: int) -> dict[str, Any] | None:
    from rich.console import Console
    from rich.live import Live

    one = None
    with Live(console=Console(stderr=True, highlight=False), transient=True) as live:
        for one, trouble in _looks(name, goal, timeout):
            if not trouble and reached(one, goal, revision):
                return one
            live.update(progress(one, trouble))
    return _leave_in_vain(name, goal, timeout, one)


def _leave_in_vain(name: str, goal: str, timeout: float,
                   one: dict[str, Any] | None) -> NoReturn:
    message = f"{name} is not {goal} after {timeout:g} s"
    story = [f"  {one['summary']}", *(f"  held by {text}" for text in held_by(one))] if one else []
    tell(problem("timed_out", message), "\n".join([f"Error: {message}", *story]))
    click.get_current_context().exit(TIMED_OUT)


# ---- for what is done once --------------------------------------------------------------------

def _operation(name: str, ident: str) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = client().get(client().cluster(name, "operations"))
    return next((one for one in found if one["id"] == ident), None)


def _operation_looks(name: str, one: dict[str, Any], timeout: float) -> Iterator[dict[str, Any]]:
    """An operation again and again until it has ended, or the time is up."""
    from ..client import Refused, Unreachable

    deadline, ident = time.monotonic() + timeout, one["id"]
    while True:
        yield one
        if one["status"] in ("done", "failed") or time.monotonic() >= deadline:
            return
        time.sleep(POLL_S)
        try:
            one = _operation(name, ident) or one
        except Unreachable:
            continue                        # the service may be starting again
        except Refused as error:
            if error.status < 500:
                raise


def follow_operation(name: str, begun: dict[str, Any], wait: bool, timeout: float) -> None:
    """Say that an operation was recorded, or wait until it has ended."""
    if wait:
        wait_for_operation(name, begun, timeout)
    else:
        answer(begun, lambda one: f"{safe(name)}: {safe(one['kind'])} is {toned(one['status'])}, "
               f"id {safe(one['id'])}; see esaas cluster operations {safe(name)}")


def wait_for_operation(name: str, begun: dict[str, Any], timeout: float) -> None:
    """Wait until an operation has ended; leaves with REFUSED when it failed."""
    lively = _on_terminal() and not wants_json()
    look = _operation_lively if lively else _operation_quietly
    one = look(_operation_looks(name, begun, timeout), begun)
    if wants_json():
        click.echo(json.dumps(one, indent=2))
    what = f"{one['kind']} of {name}"
    if one["status"] == "done":
        if not wants_json():
            click.echo(f"{what} is done{': ' if one['message'] else ''}{one['message']}")
        return
    code, fault = ((REFUSED, f"{what} failed: {one['message'] or 'no reason is known'}")
                   if one["status"] == "failed" else
                   (TIMED_OUT, f"{what} has not ended after {timeout:g} s; it goes on"))
    tell(problem("failed" if code == REFUSED else "timed_out", fault), f"Error: {fault}")
    click.get_current_context().exit(code)


def _operation_quietly(looks: Iterator[dict[str, Any]], one: dict[str, Any]) -> dict[str, Any]:
    last = ""
    for one in looks:
        said = f"{one['kind']} is {one['status']}" + (
            f": {one['progress']['text']}" if one["progress"] else "")
        if said != last and not wants_json():
            click.echo(said, err=True)
        last = said
    return one


def _operation_lively(looks: Iterator[dict[str, Any]], one: dict[str, Any]) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("[bold]{task.description}[/]"), BarColumn(),
               TextColumn("{task.fields[said]}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False),
                  transient=True) as shown:
        task = shown.add_task(safe(one["kind"]), total=None, said=one["status"])
        for one in looks:
            done = one["progress"] or {"done": 0, "total": None, "text": one["status"]}
            shown.update(task, total=done["total"], completed=done["done"], said=done["text"])
    return one
