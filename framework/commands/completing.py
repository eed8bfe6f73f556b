"""What the shell offers when one presses Tab; and the scripts that teach it to ask."""
from __future__ import annotations

from typing import Any

import click

from . import frame

TIMEOUT_S = 2.0
RC_FILES = {"bash": "~/.bashrc", "zsh": "~/.zshrc"}


def _asked(ctx: click.Context, path: str) -> list[dict[str, Any]]:
    """A list of the service; none when it does not answer at once, for nobody reads why here."""
    from ..client import Refused, Unreachable

    with ctx:
        try:
            found: list[dict[str, Any]] = frame.client().get(path, answer_within_s=TIMEOUT_S)
        except (Refused, Unreachable):
            return []
    return found


def cluster_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of clusters."""
    return [one["name"] for one in _asked(ctx, "/v1/clusters")
            if one["name"].startswith(incomplete)]


def node_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the nodes of the cluster that was named before."""
    name = ctx.params.get("name")
    if not name:
        return []
    return [one["name"] for one in _asked(ctx, f"/v1/clusters/{frame.quoted(name)}/nodes")
            if one["name"].startswith(incomplete)]


def host_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of hosts."""
    return [one["host"] for one in _asked(ctx, "/v1/agents") if one["host"].startswith(incomplete)]


@click.command()
@click.argument("shell", type=click.Choice(sorted(RC_FILES)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what a shell needs to complete our commands, and names of clusters and nodes.

    \b
    bash: echo 'eval "$(esaas completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(esaas completion zsh)"'  >> ~/.zshrc
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    script = made(ctx.find_root().command, {}, "esaas", "_ESAAS_COMPLETE")
    template = script.source_template % script.source_vars()
    click.echo(template)
