"""``esaas release``: clusters from a git repository, with a history, and the way back."""
from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ..words import seconds_of
from .frame import (
    REFUSED,
    TIMED_OUT,
    answer,
    client,
    common,
    console,
    preview_table,
    problem,
    quoted,
    safe,
    table,
    tell,
    toned,
    wants_json,
    when,
)
from .haproxy import log_to_stderr, stopped
from .waiting import settles, waiting

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..releases.applying import Planned

MAX_SECRET_BYTES = 1000


class Releasing(click.Group):
    """``release REPO`` is ``release apply REPO``."""

    def resolve_command(self, ctx: click.Context, args: list[str],
                        ) -> tuple[str | None, click.Command | None, list[str]]:
        """A first word that is no command is a repository."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            args = ["apply", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=Releasing)
@common
def release() -> None:
    """Clusters from a git repository: esaas release REPO[@REF].

    \b
    CLUSTER/cluster.yaml               the cluster's own fields
    CLUSTER/GROUP.yaml                 a node group
    environments/ENV/defaults.yaml     over every cluster
    environments/ENV/CLUSTER/...       over the files of the same names
    """


def planned_of(repository: str, environment: str, groups: tuple[str, ...]) -> Planned:
    """What a release would do; leaves with REFUSED when the repository cannot be read."""
    from ..releases.applying import about, plan
    from ..releases.git import GitError, Repository
    from ..releases.layout import LayoutFaults, specs_of

    try:
        with Repository(repository) as found:
            commit = found.commit()
            specs = specs_of(found.files(commit), environment)
        return plan(client(), specs, groups, about(commit, environment, groups))
    except (GitError, LayoutFaults) as error:
        refuse("malformed", str(error))


def refuse(code: str, words: str) -> NoReturn:
    """Say why, and leave."""
    tell(problem(code, words), f"Error: {words}")
    click.get_current_context().exit(REFUSED)


environment_option = click.option("--env", "environment", default="", metavar="ENV",
                                  help="The environment that lies over the files.")


@release.command()
@click.argument("repository", metavar="REPO[@REF]")
@environment_option
@click.option("--group", "groups", multiple=True, metavar="GROUP",
              help="Only these node groups; everything else stays as it runs. Repeat for more.")
@click.option("--dry-run", is_flag=True, help="Show what it would do only.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@waiting
@common
def apply(repository: str, environment: str, groups: tuple[str, ...], dry_run: bool, yes: bool,
          wait: bool, timeout: float) -> None:
    """Release what a commit says; what runs like that already is left alone.

    Nothing is changed when any of it would be refused. With --wait each cluster is waited for
    before the next is changed.
    """
    proceed(planned_of(repository, environment, groups), dry_run, yes, wait, timeout)


def proceed(planned: Planned, dry_run: bool, yes: bool, wait: bool, timeout: float) -> None:
    """Show, ask, carry out, and tell what came of each cluster."""
    from ..releases.applying import NothingBegun, carry_out

    if dry_run or not wants_json():
        answer([step.record() | {"refused": list(step.refused)} for step in planned.steps],
               lambda _: shown(planned))
    if planned.refused:
        refuse("conflict", "nothing was changed: " + "; ".join(planned.refused))
    if dry_run or not planned.changes:
        return
    if not yes:
        click.confirm("Release this?", abort=True, err=True)
    came_all = []
    try:
        for came in carry_out(client(), planned, lambda name, revision: (
                not wait or settles(name, revision, timeout))):
            came_all.append(came)
            if not wants_json():
                console().print(f"{safe(came.step.cluster)}: {toned(came.outcome)} "
                                f"{safe(came.message)}")
    except NothingBegun as error:
        refuse("conflict", str(error))
    if wants_json():
        answer([{"cluster": one.step.cluster, "outcome": one.outcome, "revision": one.revision,
                 "message": one.message} for one in came_all], str)
    outcomes = {one.outcome for one in came_all}
    if "refused" in outcomes:
        click.get_current_context().exit(REFUSED)
    if "skipped" in outcomes:
        click.get_current_context().exit(TIMED_OUT)


def shown(planned: Planned) -> RenderableType:
    """A release that has not begun, for people."""
    from rich.console import Group

    parts: list[Any] = []
    about = planned.about
    if about.get("commit"):
        parts.append(f"{safe(about['commit'][:12])} {safe(about['commit_subject'])} "
                     f"({safe(about['commit_author'])})")
    for step in planned.steps:
        parts.append(f"[bold]{safe(step.cluster)}[/]: " + {
            "same": "as it runs", "create": "is made", "update": "is changed",
            "roll_back": f"goes back to revision {step.revision_before}"}[step.action])
        parts += [f"  [red]refused[/] {safe(line)}" for line in step.refused]
        if step.preview is not None:
            parts.append(preview_table(dict(step.preview)))
        elif step.action == "create":
            parts += [f"  {safe(line)}" for line in step.changes]
    return Group(*parts)


@release.command()
@click.argument("repository", metavar="REPO[@REF]")
@environment_option
@common
def drift(repository: str, environment: str) -> None:
    """What runs otherwise than a commit says; exit code 1 when something does."""
    planned = planned_of(repository, environment, ())
    found = {name: list(lines) for name, lines in planned.drift().items()}

    def render(drifted: dict[str, list[str]]) -> RenderableType:
        made = table("cluster", "differs in")
        for name, lines in drifted.items():
            made.add_row(safe(name), safe("\n".join(lines)))
        return made if drifted else "Everything runs as the commit says."
    answer(found, render)
    if found:
        click.get_current_context().exit(REFUSED)


@release.command("list")
@common
def list_releases() -> None:
    """Who released which commit, newest first."""
    def render(found: list[dict[str, Any]]) -> RenderableType:
        made = table("release", "at", "by", "kind", "commit", "subject", "clusters", "status")
        for one in found:
            it = one["release"]
            made.add_row(it["id"], when(it["at"]), safe(it["by"]), safe(it["kind"]),
                         it["commit"][:12], safe(it["commit_subject"]),
                         str(len(it["clusters"])), toned(one["status"]))
        return made if found else "Nothing was released yet."
    answer(client().get("/v1/releases"), render)


def _one(ident: str) -> dict[str, Any]:
    found: dict[str, Any] = client().get(f"/v1/releases/{quoted(ident)}")
    return found


@release.command()
@click.argument("ident", metavar="ID")
@common
def show(ident: str) -> None:
    """One release: what was to change, and what came of each cluster."""
    def render(one: dict[str, Any]) -> RenderableType:
        made = table("cluster", "changes", "outcome", "revision", "message")
        for item in one["release"]["clusters"]:
            made.add_row(safe(item["cluster"]), safe("\n".join(item["changes"]) or item["action"]),
                         toned(item["outcome"]), safe(item["revision"]), safe(item["message"]))
        return made
    answer(_one(ident), render)


def _again(ident: str, remake: str, dry_run: bool, yes: bool, wait: bool, timeout: float) -> None:
    from ..releases import applying

    try:
        planned = getattr(applying, remake)(client(), _one(ident)["release"])
    except applying.NothingBegun as error:
        refuse("conflict", str(error))
    proceed(planned, dry_run, yes, wait, timeout)


@release.command()
@click.argument("ident", metavar="ID")
@click.option("--dry-run", is_flag=True, help="Show what it would do only.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@waiting
@common
def repeat(ident: str, dry_run: bool, yes: bool, wait: bool, timeout: float) -> None:
    """Release the same specs once more, from the record; no repository is needed."""
    _again(ident, "again", dry_run, yes, wait, timeout)


@release.command()
@click.argument("ident", metavar="ID")
@click.option("--dry-run", is_flag=True, help="Show what it would do only.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@waiting
@common
def rollback(ident: str, dry_run: bool, yes: bool, wait: bool, timeout: float) -> None:
    """Take a release back: every cluster that it changed to its revision before."""
    _again(ident, "back", dry_run, yes, wait, timeout)


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    try:
        return seconds_of(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not {error}", ctx, param) from error


def _hook_address(ctx: click.Context, param: click.Parameter,
                  value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter("ADDRESS:PORT, such as 127.0.0.1:9000", ctx, param)
    return host, int(port)


@release.command()
@click.argument("repository", metavar="REPO[@REF]")
@environment_option
@click.option("--name", default="main", show_default=True, help="What this follower is called.")
@click.option("--every", "every_s", default="60s", show_default=True, callback=_seconds,
              metavar="TIME", help="How often the branch is looked at.")
@click.option("--apply", "applies", is_flag=True,
              help="Release what differs; without, it is only shown.")
@click.option("--hook", callback=_hook_address, metavar="ADDRESS:PORT",
              help="Listen for a git server's webhook, and look at once when it knocks.")
@click.option("--hook-secret-file", type=click.Path(dir_okay=False, path_type=Path),
              metavar="FILE", help="What its calls are signed with; mode 600.")
@click.option("--once", is_flag=True, help="Look once; exit code 1 when something differs.")
@common
def follow(repository: str, environment: str, name: str, every_s: float, applies: bool,
           hook: tuple[str, int] | None, hook_secret_file: Path | None, once: bool) -> None:
    """Follow a branch: show what runs otherwise, and with --apply release it.

    Ends with SIGTERM or Ctrl-C. What differs is on the page Releases, and told by esaas release
    followers.
    """
    from contextlib import nullcontext

    from ..releases.following import Followed, Hook, look
    from ..releases.following import follow as go_on
    from ..releases.git import GitError, Repository

    if (hook is None) is not (hook_secret_file is None):
        raise click.UsageError("--hook and --hook-secret-file belong together")
    log_to_stderr()
    secret = _secret(hook_secret_file) if hook_secret_file is not None else b""
    try:
        with Repository(repository) as found:
            what = Followed(name, found, environment, applies, every_s)
            if once:
                if not look(client(), what):
                    click.get_current_context().exit(REFUSED)
                return
            knock = threading.Event()
            stop = stopped(knock)
            with Hook(hook, secret, knock) if hook else nullcontext():
                go_on(client(), what, stop, knock)
    except GitError as error:
        refuse("malformed", str(error))
    except OSError as error:
        refuse("unavailable", f"--hook: {error.strerror or error}")


def _secret(path: Path) -> bytes:
    """The secret of a file that only its owner can read; click.UsageError."""
    try:
        if path.stat().st_mode & 0o077:
            raise click.UsageError(f"{path} can be read by others: chmod 600 it")
        secret = path.read_bytes().strip()
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from error
    if not 16 <= len(secret) <= MAX_SECRET_BYTES:
        raise click.UsageError(f"{path} must hold 16 characters or more")
    return secret


@release.command()
@click.option("--remove", metavar="NAME", help="Forget one that follows no more.")
@common
def followers(remove: str | None) -> None:
    """Who follows which branch, and what differs from it."""
    if remove:
        answer(client().delete(f"/v1/followers/{quoted(remove)}"),
               lambda one: f"{safe(one['name'])} is forgotten")
        return

    def render(found: list[dict[str, Any]]) -> RenderableType:
        made = table("follower", "branch", "commit", "looked at", "mode", "differs", "problem")
        for one in found:
            made.add_row(safe(one["name"]), safe(f"{one['repository']}@{one['ref']}"),
                         one["commit"][:12], when(one["at"]), one["mode"],
                         safe(", ".join(one["drift"]) or "nothing"), safe(one["problem"]))
        return made if found else "Nobody follows a branch."
    answer(client().get("/v1/followers"), render)
