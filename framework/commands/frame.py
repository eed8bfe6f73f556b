"""What all commands share: options, the client, answers for people and for programs."""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import credentials

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from ..client import Client

REFUSED, USAGE, UNREACHABLE, TIMED_OUT = 1, 2, 3, 4
DEFAULT_URL = "http://127.0.0.1:8080"
F = TypeVar("F", bound=Callable[..., Any])
TONES = {"green": "green", "ready": "green", "done": "green", "accepted": "green",
         "yellow": "yellow", "held": "yellow", "warning": "yellow", "red": "red", "down": "red",
         "unreachable": "red", "error": "red", "running": "blue", "starting": "blue",
         "placing": "blue"}


def problem(code: str, message: str) -> dict[str, Any]:
    """A refusal of our own in the shape of the API."""
    return {"error": {"code": code, "message": message, "faults": [], "request_id": ""}}


def tell(body: dict[str, Any], words: str) -> None:
    """What went wrong, for people or as JSON."""
    click.echo(json.dumps(body) if wants_json() else words, err=True)


def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep an option that may stand before or after a command's name."""
    if value:
        ctx.meta[f"esaas.{param.name}"] = value


def as_json(function: F) -> F:
    """``--json``."""
    return click.option("--json", is_flag=True, expose_value=False, callback=remember,
                        help="Answer in JSON.")(function)


def common(function: F) -> F:
    """``--url`` and ``--json``."""
    url = click.option("--url", expose_value=False, callback=remember, metavar="URL",
                       help=f"The service; else ESAAS_URL, else {DEFAULT_URL}.")
    return url(as_json(function))


def wants_json() -> bool:
    """Whether ``--json`` was given anywhere."""
    return bool(click.get_current_context().meta.get("esaas.json"))


def service_url() -> str:
    """The address of the service that was chosen."""
    meta = click.get_current_context().meta
    found: str = meta.get("esaas.url") or meta.get("esaas.default_url") or DEFAULT_URL
    return found


def client(token: str | None = None) -> Client:
    """The client of the service that was chosen, with the user's token or another one."""
    from ..client import Client

    url = service_url()
    return Client(url, credentials.token_for(url) if token is None else token,
                  credentials.ca_file())


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


def when(at: float) -> str:
    """Seconds since the epoch as local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def bar(progress: dict[str, Any] | None, width: int = 20) -> str:
    """How far something is, as a bar with words; empty when that is not known."""
    if not progress:
        return ""
    share = min(max(progress["done"] / progress["total"], 0.0), 1.0) if progress["total"] else 1.0
    full = int(share * width)
    return f"{'━' * full}{'╌' * (width - full)} {share:.0%} {progress['text']}"


def safe(value: Any) -> str:
    """A value from the service as text that rich takes for nothing else."""
    from rich.markup import escape

    return "-" if value is None else escape(str(value))


def read_spec(file: Any) -> Any:
    """A spec file as plain values; click.UsageError when it is neither YAML nor JSON."""
    import yaml

    try:
        return yaml.safe_load(file.read())      # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file.name} is neither YAML nor JSON: {error}") from error


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


EFFECTS = (("starts", "[green]starts[/]", ", "), ("restarts", "[blue]restarts[/]", ", then "),
           ("replaces", "[red]replaces[/], volumes too", ", "),
           ("removes", "[red]drains and removes[/]", ", "),
           ("live", "[green]changes live[/]", ", "))


def preview_table(preview: dict[str, Any]) -> Table:
    """What a change does: to the spec, and to nodes."""
    made = table("", "")
    made.show_header = False
    made.add_row("changes", safe("\n".join(preview["changes"]) or "nothing in the spec"))
    for name, title, joint in EFFECTS:
        if preview.get(name):
            made.add_row(title, safe(joint.join(preview[name])))
    if not any(preview.get(name) for name, _, _ in EFFECTS[:-1]):
        made.add_row("nodes", "none is started, restarted, replaced or removed")
    because: dict[str, list[str]] = {}
    for node, reason in preview.get("reasons", {}).items():
        because.setdefault(reason, []).append(node)
    if because:
        made.add_row("because", safe("\n".join(
            f"{', '.join(names)}: {reason}" for reason, names in because.items())))
    return made
