"""``esaas cluster step`` and ``esaas cluster node``: steps that wait, nodes one by one."""
from __future__ import annotations

import click

from ..words import risk_of
from .clusters import cluster
from .completing import cluster_names, node_names
from .frame import client, common, quoted, taken
from .waiting import follow_up, waiting


@cluster.group()
@common
def step() -> None:
    """Steps of a plan that wait or hang; their ids: esaas cluster plan NAME."""


@step.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("step")
@click.option("--gate", required=True, metavar="GATE", help="The gate to go past.")
@click.option("--yes", is_flag=True, help="Do not ask for the name of the gate again.")
@common
def force(name: str, step: str, gate: str, yes: bool) -> None:
    """Go past one gate that holds a step.

    Only that gate and only for that step; it is recorded, and forgotten when the step is done.
    The plan says which gates can be forced; those that keep data from being lost cannot.
    """
    confirm = gate
    if not yes:
        click.echo(risk_of(gate), err=True)
        confirm = click.prompt(f"Type the name of the gate to go past it for {step}", err=True)
    taken(client().post(client().cluster(name, f"plan/steps/{quoted(step)}/force"),
                        {"gate": gate, "confirm": confirm}))


@step.command("restart")
@click.argument("name", shell_complete=cluster_names)
@click.argument("step")
@common
def restart_step(name: str, step: str) -> None:
    """Begin a step anew, at once, whatever back-off; a node that hangs is started again."""
    taken(client().post(client().cluster(name, f"plan/steps/{quoted(step)}/restart")))


@cluster.group()
@common
def node() -> None:
    """One node of a cluster: replace it, keep it, hold it for debugging."""


def _path(name: str, node: str, what: str) -> str:
    return client().cluster(name, f"nodes/{quoted(node)}/{what}")


@node.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("node", shell_complete=node_names)
@click.option("--dry-run", is_flag=True, help="Show what it would do only.")
@click.option("--yes", is_flag=True, help="Do not ask for the name of the node again.")
@waiting
@common
def replace(name: str, node: str, dry_run: bool, yes: bool, wait: bool, timeout: float) -> None:
    """Let another node take a node's place, elsewhere.

    The new node starts first; then the old one is drained, stopped, and its volume destroyed.
    Until it is stopped, `esaas cluster node keep` takes it back.
    """
    confirm = node
    if not (yes or dry_run):
        confirm = click.prompt(f"{node} is drained, stopped, and its volume destroyed, once "
                               "another node has taken its place. Type its name to go on", err=True)
    follow_up(client().post(_path(name, node, "replace"), {"confirm": confirm}, dry_run=dry_run),
              dry_run=dry_run, wait=wait, timeout=timeout)


@node.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("node", shell_complete=node_names)
@common
def keep(name: str, node: str) -> None:
    """Take a replacement back, while the node has not been stopped."""
    taken(client().post(_path(name, node, "keep")))


@node.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("node", shell_complete=node_names)
@common
def pause(name: str, node: str) -> None:
    """Stop Elasticsearch on a node, gated; sandbox and volume stay for debugging."""
    taken(client().post(_path(name, node, "pause")))


@node.command("continue")
@click.argument("name", shell_complete=cluster_names)
@click.argument("node", shell_complete=node_names)
@common
def continue_(name: str, node: str) -> None:
    """Start a node again that was paused for debugging."""
    taken(client().post(_path(name, node, "continue")))
