"""``esaas log``: who has changed what; search, export, verify."""
from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .backup import opened, which_store
from .frame import REFUSED, answer, client, common, safe, table, when

if TYPE_CHECKING:
    from rich.console import RenderableType

OUTCOMES = ("done", "refused", "failed", "begun")
TONES = {"done": "green", "refused": "yellow", "failed": "red", "begun": "blue"}
END_HEADER = "X-Esaas-Log-End"


def log_table(page: dict[str, Any]) -> RenderableType:
    """Lines for people, newest first, and the way to older ones."""
    from rich.console import Group

    made = table("line", "at", "user", "operation", "cluster", "outcome", "what")
    for one in page["entries"]:
        tone = TONES.get(one["outcome"], "default")
        times = f" ×{one['count']}" if one["count"] > 1 else ""
        made.add_row(str(one["seq"]), when(one["at"]), safe(one["user"]),
                     safe(one["operation"]) + times,
                     safe(" ".join(part for part in (one["cluster"], one["subject"]) if part)),
                     f"[{tone}]{safe(one['outcome'])}[/]", safe(what_of(one)))
    if page.get("next") is not None:
        return Group(made, f"There may be older ones: --before {page['next']}")
    return made if page["entries"] else "Nothing fits."


def what_of(one: dict[str, Any]) -> str:
    """What has changed, or why nothing has."""
    error = one.get("error")
    if error:
        return "\n".join([error["message"], *(
            f"  {fault.get('path', '')}: {fault.get('message', '')}" for fault in error["faults"])])
    before, after = one.get("before") or {}, one.get("after") or {}
    lines = [f"{path}: {before.get(path, 'nothing')} -> {after.get(path, 'nothing')}"
             for path in sorted({*before, *after})]
    return "\n".join(lines[:8] + ([f"and {len(lines) - 8} more"] if len(lines) > 8 else []))


@click.group("log", invoke_without_command=True)
@click.option("--since", metavar="TIME", help="Not older than so long, such as 2d or 12h.")
@click.option("--user", help="Who asked: a name, token:NAME, offline:NAME.")
@click.option("--tenant", help="Whose clusters.")
@click.option("--cluster", help="About one cluster.")
@click.option("--operation", help="Such as edit_switch, restart_node, cache_clear, login.")
@click.option("--outcome", type=click.Choice(OUTCOMES),
              help="begun: changes whose end nobody has written.")
@click.option("--request-id", help="What an answer or an error has named.")
@click.option("--search", metavar="TEXT", help="Text anywhere in a line.")
@click.option("--before", type=click.IntRange(1), metavar="LINE", help="Only lines before this.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@common
@click.pass_context
def oplog(ctx: click.Context, /, since: str | None, **wanted: Any) -> None:
    """Who has changed what, newest first; also refused requests and logins.

    Viewers and operators see what is about their tenants; logins, users and hosts only admins.
    """
    if ctx.invoked_subcommand is not None:
        return
    if since is not None:
        from ..words import seconds_of

        try:
            wanted["since"] = max(0.0, time.time() - seconds_of(since))
        except ValueError as error:
            raise click.UsageError(f"--since takes {error}") from error
    answer(client().get("/v1/log", **wanted), log_table)


@oplog.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@common
def export(file: Path) -> None:
    """Write all of the log to a new FILE (-: standard output), a line of JSON each; for admins.

    A file that could not be written to its end is not left behind.
    """
    with client().lines("/v1/log/export") as (headers, lines):
        end = int(headers.get(END_HEADER) or 0)
        out = sys.stdout.buffer
        last = _copied(lines, out) if str(file) == "-" else _to_file(file, lines, end)
    if last != end:
        raise click.ClickException(f"the log was cut off: line {last} came last, {end} is missing")
    if str(file) != "-":
        answer({"file": str(file), "last_seq": end}, lambda one: f"{one['last_seq']} is the last "
               f"line in {safe(one['file'])}")


def _copied(lines: Any, out: Any) -> int:
    """The number of the last line that was written."""
    import json

    last = b""
    for line in lines:
        out.write(line)
        last = line
    out.flush()
    return int(json.loads(last)["seq"]) if last else 0


def _to_file(file: Path, lines: Any, end: int) -> int:
    """As ``_copied``, whole or not at all, and for this user only."""
    if file.exists():
        raise click.ClickException(f"{file} is there already")
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            last = _copied(lines, out)
            os.fsync(out.fileno())
        if last == end:
            part.rename(file)
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return last


@oplog.command()
@click.option("--expect", metavar="LINE:HASH", help="A line and its hash that you have noted.")
@click.option("--offline", is_flag=True, help="Read the store itself (--state-dir or --store), "
              "without a service.")
@which_store
@common
@click.pass_context
def verify(ctx: click.Context, expect: str | None, offline: bool, address: str | None,
           store_credentials: str | None, state_dir: str) -> None:
    """Whether the log is as it was written: exit code 1, and the first line that is not.

    Note the last line and its hash elsewhere and give them as --expect later: only so can a log be
    told from one that somebody with the right to write the store has made anew. For admins.
    Without a service: --offline, or any of the options that name a store on the command line.
    """
    noted = _noted(expect)
    given = any(ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
                for name in ("address", "state_dir"))
    if offline or given:
        from ..service.oplog.verifying import verify as look

        with opened(address, store_credentials, state_dir, existing=True) as store:
            found = look(store, noted).model_dump(mode="json")
    else:
        query: dict[str, Any] = {"seq": noted[0], "hash": noted[1]} if noted else {}
        found = client().get("/v1/log/verify", **query)
    answer(found, _verdict)
    if not found["ok"]:
        ctx.exit(REFUSED)


def _noted(expect: str | None) -> tuple[int, str] | None:
    if expect is None:
        return None
    number, _, found = expect.partition(":")
    if not number.isascii() or not number.isdigit() or len(found) != 64:
        raise click.UsageError("--expect takes LINE:HASH, as verify prints them")
    return int(number), found


def _verdict(found: dict[str, Any]) -> RenderableType:
    fault = found["fault"]
    if fault is not None:
        return (f"[red]The log is not as it was written.[/] Line {fault['seq']} (segment "
                f"{fault['segment']}) is {safe(fault['what'])}: {safe(fault['message'])}. "
                f"{found['entries']} lines before it fit.")
    return (f"The log is as it was written: {found['entries']} lines.\n"
            f"Its last line: {found['last_seq']}:{safe(found['last_hash'])}")
