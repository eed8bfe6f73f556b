"""What the demo shows in a terminal; in a pipe the same as plain lines."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.status import Status
from rich.table import Table

STATE_STYLES = {
    "ready": "green", "running": "cyan", "starting": "cyan", "placing": "blue", "launching": "blue",
    "planned": "dim", "down": "yellow", "unreachable": "red", "green": "green",
    "yellow": "yellow", "red": "red", "unknown": "dim",
}  # fmt: skip
Show = Callable[[dict[str, Any], float], None]


class Display:
    """Steps, the growing cluster, the addresses, and a last line that lives."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._status: Status | None = None
        self._said = ""

    # ------------------------------------------------------------------ single lines

    def note(self, text: str) -> None:
        """A line that stays."""
        self.console.print(escape(text), soft_wrap=True)

    def done(self, text: str) -> None:
        """A line about something that is finished."""
        self.console.print(f"[green]✔[/] {escape(text)}" if self._lively else escape(text))

    def step(self, text: str) -> None:
        """What is at work now; ports that had to be changed stay on screen."""
        if text.startswith("port ") or self._status is None or not self._lively:
            self.note(text)
        if self._status is not None:
            self._status.update(escape(text))

    @property
    def _lively(self) -> bool:
        return self.console.is_terminal

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """A spinner with the step at work."""
        self._status = Status(text, console=self.console)
        if not self._lively:
            self.note(text)
        try:
            with self._status:
                yield
        finally:
            self._status = None

    # ------------------------------------------------------------------ the cluster

    @contextmanager
    def growing(self) -> Iterator[Show]:
        """A function that shows the cluster as it is now."""
        if not self._lively:
            yield self._say_summary
            return
        with Live(console=self.console, transient=True, refresh_per_second=8) as live:
            yield lambda one, age_s: live.update(picture(one, age_s))

    def _say_summary(self, one: dict[str, Any], age_s: float) -> None:
        if one["summary"] != self._said:
            self._said = one["summary"]
            self.note(f"{age_s:5.1f} s  {self._said}")

    @contextmanager
    def watching(self) -> Iterator[Callable[[dict[str, Any] | None], None]]:
        """A function that keeps one line about the cluster up to date."""
        if not self._lively:
            yield lambda _: None
            return
        with Live(console=self.console, transient=True, refresh_per_second=4) as live:
            yield lambda one: live.update(line(one))

    # ------------------------------------------------------------------ how to go on

    def welcome(self, facts: dict[str, Any]) -> None:
        """Addresses and commands, once the cluster is green."""
        for text in welcome(facts):
            self.console.print(text, soft_wrap=True)


def toned(word: str) -> str:
    """A state or a health in its colour."""
    style = STATE_STYLES.get(word)
    return f"[{style}]{escape(word)}[/]" if style else escape(word)


def holds(one: dict[str, Any]) -> list[str]:
    """The gates that hold a step, each with its reason."""
    found = {
        f"{gate['name']}: {gate['reason']}"
        for phase in one["plan"]["phases"]
        for step in phase["steps"]
        for gate in step["gates"]
        if not gate["ok"]
    }
    return sorted(found)


def picture(one: dict[str, Any], age_s: float) -> RenderableType:
    """The cluster while it grows: a bar of steps, its nodes, what holds it."""
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Spinner("dots"), f"[bold]{escape(one['name'])}[/] Elasticsearch {escape(one['version'])}",
        toned(one["health"]),
        ProgressBar(total=max(one["plan_total"], 1), completed=one["plan_done"], width=24),
        f"{one['plan_done']}/{one['plan_total']} steps", f"{age_s:.0f} s",
    )  # fmt: skip
    nodes = Table.grid(padding=(0, 2))
    for node in one["nodes"]:
        place = f"{node['host']} {node['rack'] or ''}" if node["host"] else ""
        nodes.add_row(
            "  ", escape(node["name"]), toned(node["state"]), escape(place),
            escape(node["http_address"] or ""), f"[dim]{escape(node['detail'][:60])}[/]",
        )  # fmt: skip
    lines: list[RenderableType] = [head, nodes, f"   {escape(one['summary'])}"]
    lines += [f"   [yellow]holds[/] {escape(text)}" for text in holds(one)[:3]]
    return Group(*lines)


def line(one: dict[str, Any] | None) -> RenderableType:
    """The cluster in one line."""
    if one is None:
        return Spinner("dots", "the service does not answer at present")
    documents = one["es"]["documents"]
    counted = "" if documents is None else f" · {documents} documents"
    return Spinner(
        "dots",
        f"{toned(one['health'])} · {one['nodes_ready']}/{one['nodes_wanted']} nodes{counted} · "
        f"{escape(one['summary'])} · [dim]Ctrl-C stops everything and keeps the data[/]",
    )


def program() -> str:
    """How to call ``esaas`` from here."""
    started = Path(sys.argv[0])
    if started.name != "esaas":
        started = Path(sys.executable).with_name("esaas")
    here = Path.cwd()
    return str(started.relative_to(here) if started.is_relative_to(here) else started)


def welcome(facts: dict[str, Any]) -> Iterator[str]:
    """Where everything is and what to try, line by line."""
    url, name = facts["url"], facts["cluster"]
    yield "\n[bold]Open in a browser[/]"
    yield f"  [link={url}/clusters/{name}]{url}/clusters/{name}[/link]"
    password = facts["password"] or "as you have changed it"
    yield f"  user     admin, password {escape(password)}"
    yield "\n[bold]Where things are[/]"
    yield f"  API      {url}/v1/clusters/{name}, described by {url}/v1/openapi.json"
    for node in facts["nodes"]:
        where = escape(f"{node['host']}, {node['rack']}")
        yield f"  {escape(node['name']):<8} http://{node['http_address']} on {where}"
    yield f"  Mesos    {facts['mesos']}/state, a master and {facts['agents']} agents"
    yield f"  log      {escape(facts['log'])}"
    yield from _ways_to_scale(facts)
    yield from _ways_to_break(facts)
    yield ""


def _ways_to_scale(facts: dict[str, Any]) -> Iterator[str]:
    url, name, group, count = (
        facts["url"], facts["cluster"], facts["group"], len(facts["nodes"]) + 1,
    )  # fmt: skip
    # A command line finds a service on its usual port by itself.
    esaas = program() if facts["default_port"] else f"{program()} --url {url}"
    yield f"\n[bold]Scale out to {count} nodes[/]"
    yield f"  first    export ESAAS_TOKEN_FILE={escape(shlex.quote(facts['token_file']))}"
    if facts["agents"] < count:
        yield "  A host holds one node of this cluster, so first add an agent:"
        yield f"  agent    {program()} local up --agents {count}{_place(facts)}"
    body = f'{{"group": "{group}", "count": {count}}}'
    yield "  click    the scale form on the page above"
    yield f"  CLI      {esaas} cluster scale {name} {group} {count} --wait"
    yield "  curl     curl -H \"Authorization: Bearer $(cat \"$ESAAS_TOKEN_FILE\")\" \\"
    yield f"             -H 'Content-Type: application/json' -d '{body}' \\"
    yield f"             {url}/v1/clusters/{name}/scale"


def _ways_to_break(facts: dict[str, Any]) -> Iterator[str]:
    yield "\n[bold]Break something, and watch it heal[/]"
    if pids := [node["pid"] for node in facts["nodes"] if node["pid"]]:
        yield f"  node     kill -9 {pids[0]}"
    yield f"  agent    {program()} local agent kill 2{_place(facts)}"
    yield f"           {program()} local agent start 2{_place(facts)}"
    yield f"  service  kill -9 {facts['service_pid']}"


def _place(facts: dict[str, Any]) -> str:
    """A data centre in its usual place is found without being told."""
    return "" if facts["default_directory"] else f" -d {facts['directory']}"
