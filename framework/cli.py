"""``esaas``: the command line over the REST API, with room for the commands of other rooms.

Exit codes: 0 done, 1 refused by the service, 2 wrong use, 3 no service answers, 4 waited in vain.
Everything that takes time to import is imported where it is used.
"""
from __future__ import annotations

import ast
import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from .client import Client, Refused

REFUSED, USAGE, UNREACHABLE, TIMED_OUT = 1, 2, 3, 4
DEFAULT_URL = "http://127.0.0.1:8080"
POLL_S = 0.5
F = TypeVar("F", bound=Callable[..., Any])
TONES = {"green": "green", "ready": "green", "done": "green", "accepted": "green",
         "yellow": "yellow", "held": "yellow", "warning": "yellow", "red": "red", "down": "red",
         "unreachable": "red", "error": "red", "running": "blue", "starting": "blue",
         "placing": "blue"}


# ---- commands of other rooms, loaded when they are used --------------------------------------

def docstring_of(entry: EntryPoint) -> str:
    """The docstring of an entry point's function, read from its source without importing it."""
    module = find_spec(entry.module)
    if module is None or not module.origin:
        return ""
    tree = ast.parse(Path(module.origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return ast.get_docstring(node) or ""
    return ""


class Commands(click.Group):
    """Our commands, and those that other packages name under ``esaas.commands``."""

    def _others(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group="esaas.commands")}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted({*super().list_commands(ctx), *self._others()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command; another room's is loaded now."""
        own = super().get_command(ctx, cmd_name)
        entry = self._others().get(cmd_name)
        if own is not None or entry is None:
            return own
        if ctx.meta.get("esaas.listing"):
            return click.Command(cmd_name, help=docstring_of(entry))
        loaded = entry.load()
        assert isinstance(loaded, click.Command), f"{entry.value} is no command"
        return loaded

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help, which needs a line of each and no more."""
        ctx.meta["esaas.listing"] = True
        try:
            super().format_commands(ctx, formatter)
        finally:
            ctx.meta["esaas.listing"] = False

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; refusals become messages with every fault, and exit codes."""
        from .client import Refused, Unreachable

        try:
            return super().invoke(ctx)
        except Refused as error:
            _tell(error.body(), _refused(error))
            code = REFUSED
        except Unreachable as error:
            _tell(_problem("unreachable", str(error)), f"Error: {error}\n"
                  "Is it running (esaas serve)? Is --url or ESAAS_URL right?")
            code = UNREACHABLE
        return ctx.exit(code)


def _problem(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "faults": [], "request_id": ""}}


def _tell(body: dict[str, Any], words: str) -> None:
    click.echo(json.dumps(body) if wants_json() else words, err=True)


def _refused(error: Refused) -> str:
    lines = [f"Error: {error.message}"]
    for fault in error.faults:
        rule = f"  [{fault.rule}]" if fault.rule else ""
        lines.append(f"  {fault.path}: {fault.message}{rule}")
    if error.status >= 500:
        lines.append(f"  request id {error.request_id}")
    return "\n".join(lines)


# ---- options that every command has, before or after its name --------------------------------

def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value:
        ctx.meta[f"esaas.{param.name}"] = value


def common(function: F) -> F:
    """``--url`` and ``--json``."""
    url = click.option("--url", expose_value=False, callback=_remember, metavar="URL",
                       help=f"The service; else ESAAS_URL, else {DEFAULT_URL}.")
    as_json = click.option("--json", is_flag=True, expose_value=False, callback=_remember,
                           help="Answer in JSON.")
    return url(as_json(function))


def wants_json() -> bool:
    """Whether ``--json`` was given anywhere."""
    return bool(click.get_current_context().meta.get("esaas.json"))


def client() -> Client:
    """The client of the service that was chosen."""
    from .client import Client

    meta = click.get_current_context().meta
    return Client(meta.get("esaas.url") or meta.get("esaas.default_url") or DEFAULT_URL)


def console() -> Console:
    """Where tables go."""
    from rich.console import Console

    # Cut off columns would lose names in a pipe, which has no width of its own.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def answer(value: Any, show: Callable[[Any], RenderableType]) -> None:
    """An answer as JSON, or as ``show`` makes it for people."""
    if wants_json():
        click.echo(json.dumps(value, indent=2))
    else:
        console().print(show(value))


def toned(word: str) -> str:
    """A state in its colour."""
    tone = TONES.get(word)
    return f"[{tone}]{word}[/]" if tone else word


def table(*columns: str) -> Table:
    """An airy table."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def quoted(name: str) -> str:
    """A name as a part of an address."""
    from urllib.parse import quote

    return quote(name, safe="")


def safe(value: Any) -> str:
    """A value from the service as text that rich takes for nothing else."""
    from rich.markup import escape

    return "-" if value is None else escape(str(value))


# ---- the tree of commands ---------------------------------------------------------------------

@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", "default_url", envvar="ESAAS_URL", expose_value=False, metavar="URL",
              callback=_remember, show_envvar=True,
              help=f"The service; default {DEFAULT_URL}.")
@click.option("--json", is_flag=True, expose_value=False, callback=_remember,
              help="Answer in JSON.")
@click.version_option(package_name="esaas")
def main() -> None:
    """Elasticsearch clusters on Apache Mesos.

    Exit codes: 0 done, 1 refused by the service, 2 wrong use, 3 no service answers, 4 waited in
    vain.
    """


@main.group()
@common
def cluster() -> None:
    """Make, watch, change and delete clusters."""


@main.group()
@common
def spec() -> None:
    """Write and check specs, without any service."""


def read_spec(file: Any) -> Any:
    """A spec file as plain values; click.UsageError when it is neither YAML nor JSON."""
    import yaml

    try:
        return yaml.safe_load(file.read())      # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file.name} is neither YAML nor JSON: {error}") from error


def waiting(function: F) -> F:
    """``--wait`` and ``--timeout``."""
    wait_ = click.option("--wait", is_flag=True, help="Wait until it is done.")
    timeout = click.option("--timeout", type=click.FloatRange(min=0), default=600.0,
                           show_default=True, metavar="S", help="Seconds to wait at most.")
    return wait_(timeout(function))


def changing(function: F) -> F:
    """``--dry-run`` and ``--override``."""
    dry_run = click.option("--dry-run", is_flag=True, help="Show what it would do only.")
    override = click.option("--override", metavar="RULE", help="One rule that is not to refuse "
                            "this change; that may cost data, and is recorded.")
    return dry_run(override(function))


def taken(accepted: dict[str, Any]) -> None:
    """Show what a request for a change was answered, and what it does to nodes."""
    def show(one: dict[str, Any]) -> RenderableType:
        from rich.console import Group

        preview = one.get("preview")
        message = one["message"]
        if preview is not None and message == "; ".join(preview["changes"]):
            message = "wanted from now on"      # the preview below tells it line by line
        same = "" if one["changed"] else " (nothing to change)"
        head = f"{safe(one['cluster'])}: {safe(message)}, revision {one['revision']}{same}"
        return head if preview is None else Group(head, preview_table(preview))
    answer(accepted, show)


def preview_table(preview: dict[str, Any]) -> Table:
    """What a change does: to the spec, and to nodes."""
    made = table("", "")
    made.show_header = False
    made.add_row("changes", safe("\n".join(preview["changes"]) or "nothing in the spec"))
    idle = True
    for name, title, joint in (("starts", "[green]starts[/]", ", "),
                               ("restarts", "[blue]restarts[/]", ", then "),
                               ("removes", "[red]drains and removes[/]", ", ")):
        if preview.get(name):
            idle = False
            made.add_row(title, safe(joint.join(preview[name])))
    if idle:
        made.add_row("nodes", "none is started, restarted or removed")
    return made


def follow_up(accepted: dict[str, Any], *, dry_run: bool = False, wait: bool = False,
              timeout: float = 0.0) -> None:
    """Show what was answered; wait for its revision when that is asked for."""
    if not (wait and wants_json()) or dry_run:
        taken(accepted)
    if wait and not dry_run:
        wait_for(accepted["cluster"], "green", timeout, accepted["revision"])


@cluster.command()
@click.option("-f", "--file", type=click.File("r", encoding="utf-8"), required=True,
              help="The spec in YAML or JSON; - for standard input.")
@click.option("--dry-run", is_flag=True, help="Check only.")
@waiting
@common
def create(file: Any, dry_run: bool, wait: bool, timeout: float) -> None:
    """Make a cluster from a spec; the same spec again changes nothing."""
    follow_up(client().post("/v1/clusters", read_spec(file), dry_run=dry_run),
              dry_run=dry_run, wait=wait, timeout=timeout)


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
@click.argument("name")
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
                ("endpoints", safe(", ".join(one["endpoints"].get("http", [])) or "none yet"))):
            made.add_row(title, value)
        return Group(f"[bold]{safe(one['name'])}[/]  {safe(one['summary'])}", made,
                     nodes_table(one["nodes"]))
    answer(client().get(client().cluster(name)), render)


def nodes_table(found: list[dict[str, Any]]) -> Table:
    """Nodes, one a line."""
    made = table("node", "state", "roles", "host", "rack", "http", "shards", "heap", "disk",
                 "detail")
    for one in found:
        heap, disk = one["heap_used_percent"], one["disk_used_percent"]
        made.add_row(safe(one["name"]), toned(one["state"]), ",".join(one["roles"]),
                     safe(one["host"]), safe(one["rack"]), safe(one["http_address"]),
                     safe(one["shards"]), "-" if heap is None else f"{heap:.0f}%",
                     "-" if disk is None else f"{disk:.0f}%", safe(one["detail"]))
    return made


@cluster.command()
@click.argument("name")
@common
def nodes(name: str) -> None:
    """Its nodes."""
    answer(client().get(client().cluster(name, "nodes")), nodes_table)


@cluster.command()
@click.argument("name")
@common
def plan(name: str) -> None:
    """How far it is from its spec, and what holds it."""
    def render(one: dict[str, Any]) -> RenderableType:
        lines = [f"{toned(one['status'])} {one['done']}/{one['total']}  {safe(one['summary'])}"]
        for phase in one["phases"]:
            lines.append(f"[bold]{safe(phase['name'])}[/] {toned(phase['status'])}")
            for step in phase["steps"]:
                lines.append(f"  {toned(step['status']):<8} {safe(step['title'])}  "
                             f"[dim]{safe(step['detail'])}[/]")
                lines += [f"    {'allows' if gate['ok'] else '[yellow]holds[/]'} "
                          f"{safe(gate['name'])}  [dim]{safe(gate['reason'])}[/]"
                          for gate in step["gates"] if step["status"] in ("held", "running")]
        return "\n".join(lines)
    answer(client().get(client().cluster(name, "plan")), render)


@cluster.command()
@click.argument("name")
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
@click.argument("name")
@common
def endpoints(name: str) -> None:
    """URLs of ready nodes by role."""
    def render(found: dict[str, list[str]]) -> RenderableType:
        made = table("role", "urls")
        for role, urls in found.items():
            made.add_row(safe(role), safe("\n".join(urls) or None))
        return made
    answer(client().get(client().cluster(name, "endpoints")), render)


@cluster.command()
@click.argument("name")
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
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["at"]))
    console().print(f"[dim]{when}[/] {toned(event['level']):<7} {safe(event['message'])} "
                    f"[dim]{safe(event['kind'])}[/]", soft_wrap=True)


def _following(name: str, last: int) -> Iterator[dict[str, Any]]:
    """Events as they come, over restarts of the service; ends when the cluster is gone."""
    from .client import Unreachable

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
        time.sleep(POLL_S)


@cluster.command()
@click.argument("name")
@click.argument("group")
@click.argument("count", type=click.IntRange(min=0))
@changing
@waiting
@common
def scale(name: str, group: str, count: int, dry_run: bool, override: str | None, wait: bool,
          timeout: float) -> None:
    """Change the number of nodes of a group.

    With fewer, nodes are drained first; then their volumes are destroyed.
    """
    follow_up(client().post(client().cluster(name, "scale"), {"group": group, "count": count},
                            dry_run=dry_run, override=override),
              dry_run=dry_run, wait=wait, timeout=timeout)


@cluster.command()
@click.option("-f", "--file", type=click.File("r", encoding="utf-8"), required=True,
              help="The spec in YAML or JSON; - for standard input. Its name is the cluster's.")
@changing
@waiting
@common
def update(file: Any, dry_run: bool, override: str | None, wait: bool, timeout: float) -> None:
    """Want another spec for a running cluster.

    Nodes are started, restarted one by one, or drained and removed, as it takes; what that is, is
    shown. The same spec again changes nothing. When rules refuse it, each is named.
    """
    body = read_spec(file)
    name = body.get("name") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name:
        raise click.UsageError(f"{file.name} must hold an object with the cluster's name")
    follow_up(client().put(client().cluster(name), body, dry_run=dry_run, override=override),
              dry_run=dry_run, wait=wait, timeout=timeout)


@cluster.command()
@click.argument("name")
@common
def revisions(name: str) -> None:
    """Every spec that was wanted, newest first, and what each changed."""
    def render(found: list[dict[str, Any]]) -> RenderableType:
        made = table("revision", "wanted at", "", "changes")
        for one in found:
            when = "-" if one["at"] is None else time.strftime(
                "%Y-%m-%d %H:%M:%S", time.localtime(one["at"]))
            first = "the first spec" if one["revision"] == 1 else "not kept"
            made.add_row(str(one["revision"]), when, "[green]current[/]" if one["current"] else "",
                         safe("\n".join(one["changes"]) or first))
        return made
    answer(client().get(client().cluster(name, "revisions")), render)


@cluster.command()
@click.argument("name")
@click.argument("revision", type=click.IntRange(min=1))
@changing
@waiting
@common
def rollback(name: str, revision: int, dry_run: bool, override: str | None, wait: bool,
             timeout: float) -> None:
    """Want the spec of an earlier revision again.

    It becomes a new revision; also while a change is under way. The numbers: esaas cluster
    revisions NAME.
    """
    follow_up(client().post(client().cluster(name, "rollback"), {"revision": revision},
                            dry_run=dry_run, override=override),
              dry_run=dry_run, wait=wait, timeout=timeout)


@cluster.command()
@click.argument("name")
@common
def pause(name: str) -> None:
    """Begin no further step of a change; what has begun is finished."""
    taken(client().post(client().cluster(name, "pause")))


@cluster.command("continue")
@click.argument("name")
@common
def continue_(name: str) -> None:
    """Go on after a pause."""
    taken(client().post(client().cluster(name, "continue")))


@cluster.command()
@click.argument("name")
@click.argument("node", required=False)
@click.option("--yes", is_flag=True, help="Do not ask before a whole cluster is restarted.")
@waiting
@common
def restart(name: str, node: str | None, yes: bool, wait: bool, timeout: float) -> None:
    """Restart a node in its place, or all nodes, one by one and gated.

    The next node follows when the cluster is green and nothing moves.
    """
    if node is None and not yes:
        click.confirm(f"Restart every node of {name}, one by one?", abort=True, err=True)
    part = "restart" if node is None else f"nodes/{quoted(node)}/restart"
    follow_up(client().post(client().cluster(name, part)), wait=wait, timeout=timeout)


@cluster.command()
@click.argument("name")
@click.option("--confirm", metavar="NAME", help="The name again; else it is asked for.")
@waiting
@common
def delete(name: str, confirm: str | None, wait: bool, timeout: float) -> None:
    """Stop its nodes, destroy its volumes, deregister: all data is lost."""
    if confirm is None:
        confirm = click.prompt(f"All data of {name} will be lost. Type its name to go on",
                               err=True)
    accepted = client().delete(client().cluster(name), confirm=confirm)
    if not (wait and wants_json()):
        taken(accepted)
    if wait:
        wait_for(name, "deleted", timeout, 0)


@cluster.command()
@click.argument("name")
@click.option("--for", "goal", type=click.Choice(["green", "ready", "deleted"]), default="green",
              show_default=True, help="ready: every node is in; green: and so is every copy.")
@click.option("--timeout", type=click.FloatRange(min=0), default=600.0, show_default=True,
              metavar="S", help="Seconds to wait at most.")
@common
def wait(name: str, goal: str, timeout: float) -> None:
    """Wait until a cluster is as wanted; exit code 4 when it is not in time."""
    wait_for(name, goal, timeout, 0)


# ---- waiting ----------------------------------------------------------------------------------

def reached(one: dict[str, Any] | None, goal: str, revision: int) -> bool:
    """Whether a cluster (None: there is none) is as it was waited for."""
    if one is None or goal == "deleted":
        return one is None and goal == "deleted"
    whole = (one["revision"] >= revision and one["plan_status"] == "done"
             and one["nodes_ready"] >= one["nodes_wanted"])
    return whole and (goal == "ready" or one["health"] == "green")


def _look(name: str, goal: str) -> dict[str, Any] | None:
    from .client import Refused

    try:
        found: dict[str, Any] = client().get(client().cluster(name))
        return found
    except Refused as error:
        if error.status == 404 and goal == "deleted":
            return None
        raise


def _looks(name: str, goal: str, timeout: float) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """The cluster again and again until the time is up, with what hinders looking."""
    from .client import Refused, Unreachable

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
    _tell(_problem("timed_out", message), "\n".join([f"Error: {message}", *story]))
    click.get_current_context().exit(TIMED_OUT)


# ---- specs, without a service -----------------------------------------------------------------

@spec.command()
@common
def example() -> None:
    """A spec to start from."""
    import yaml

    from .client import EXAMPLE_SPEC

    click.echo(json.dumps(yaml.safe_load(EXAMPLE_SPEC), indent=2) if wants_json()
               else EXAMPLE_SPEC.rstrip())


@spec.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@common
def validate(file: Any) -> None:
    """Check a spec in YAML or JSON (- for standard input) and show every fault."""
    from .client import Refused
    from .core.spec import SpecFaults, parse_spec

    try:
        sound = parse_spec(read_spec(file))
    except SpecFaults as error:
        raise Refused(422, "invalid", f"{file.name} has {len(error.faults)} fault"
                      f"{'s' if len(error.faults) > 1 else ''}", tuple(error.faults)) from error
    answer(sound.model_dump(mode="json"), lambda one: f"{safe(one['name'])} is sound: "
           f"{sum(group['count'] for group in one['groups'])} nodes in "
           f"{len(one['groups'])} groups")


if __name__ == "__main__":
    main()
