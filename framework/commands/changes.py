"""``esaas cluster``: what changes a cluster as a whole."""
from __future__ import annotations

from typing import Any

import click

from .clusters import cluster
from .completing import cluster_names, node_names
from .frame import changing, client, common, quoted, read_spec, taken, wants_json
from .waiting import follow_up, wait_for, waiting


@cluster.command()
@click.option("-f", "--file", type=click.File("r", encoding="utf-8"), required=True,
              help="The spec in YAML or JSON; - for standard input.")
@changing
@waiting
@common
def create(file: Any, dry_run: bool, override: str | None, wait: bool, timeout: float) -> None:
    """Make a cluster from a spec; the same spec again changes nothing."""
    follow_up(client().post("/v1/clusters", read_spec(file), dry_run=dry_run,
                            override=override),
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
@click.argument("name", shell_complete=cluster_names)
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
@click.argument("name", shell_complete=cluster_names)
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
@click.argument("name", shell_complete=cluster_names)
@changing
@waiting
@common
def abandon(name: str, dry_run: bool, override: str | None, wait: bool, timeout: float) -> None:
    """Give up the change under way: want the last settled spec again.

    That is the last revision that was in force on every node; it becomes a new revision. What
    the change has done so far is taken back, gated like every change.
    """
    follow_up(client().post(client().cluster(name, "abandon"), dry_run=dry_run,
                            override=override), dry_run=dry_run, wait=wait, timeout=timeout)


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@common
def pause(name: str) -> None:
    """Begin no further step of a change; what has begun is finished."""
    taken(client().post(client().cluster(name, "pause")))


@cluster.command("continue")
@click.argument("name", shell_complete=cluster_names)
@common
def continue_(name: str) -> None:
    """Go on after a pause, or after the first node of a canary.

    To give a change up instead: esaas cluster abandon NAME.
    """
    taken(client().post(client().cluster(name, "continue")))


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("node", required=False, shell_complete=node_names)
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
@click.argument("name", shell_complete=cluster_names)
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
@click.argument("name", shell_complete=cluster_names)
@click.option("--for", "goal", type=click.Choice(["green", "ready", "deleted"]), default="green",
              show_default=True, help="ready: every node is in; green: and so is every copy.")
@click.option("--timeout", type=click.FloatRange(min=0), default=600.0, show_default=True,
              metavar="S", help="Seconds to wait at most.")
@common
def wait(name: str, goal: str, timeout: float) -> None:
    """Wait until a cluster is as wanted; exit code 4 when it is not in time."""
    wait_for(name, goal, timeout, 0)
