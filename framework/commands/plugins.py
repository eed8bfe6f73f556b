"""``esaas plugin``: plugins of a cluster, a part of its spec."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .completing import cluster_names
from .frame import answer, as_json, client, common, quoted, safe, table
from .waiting import follow_up, waiting

if TYPE_CHECKING:
    from rich.console import RenderableType

dry_run_option = click.option("--dry-run", is_flag=True, help="Show what it would do only.")


@click.group()
@common
def plugin() -> None:
    """Plugins of a cluster's nodes; to change them restarts the nodes, one by one and gated."""


@plugin.command("list")
@click.argument("name", shell_complete=cluster_names)
@common
def list_(name: str) -> None:
    """Which plugins are wanted, and where each comes from."""
    def render(found: list[dict[str, Any]]) -> RenderableType:
        made = table("plugin", "from", "sha256")
        for one in found:
            made.add_row(safe(one["name"]), safe(one.get("url") or "the catalog, or Elastic"),
                         safe(one.get("sha256")))
        return made if found else "No plugin is wanted."
    answer(list(client().get(client().cluster(name))["spec"].get("plugins", ())), render)


@plugin.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("plugin")
@click.option("--url", "source", metavar="URL",
              help="A zip to install it from; default: the service's catalog, or Elastic's own by "
              "name. With --sha256.")
@click.option("--sha256", metavar="HEX", help="The hash of that zip.")
@dry_run_option
@waiting
@as_json
def install(name: str, plugin: str, source: str | None, sha256: str | None, dry_run: bool,
            wait: bool, timeout: float) -> None:
    """Want one more plugin, or another source of it.

    --url is the plugin's here; name the service before: esaas --url URL plugin install, or by
    ESAAS_URL.
    """
    body = {key: value for key, value in (("name", plugin), ("url", source), ("sha256", sha256))
            if value is not None}
    follow_up(client().post(client().cluster(name, "plugins"), body, dry_run=dry_run),
              dry_run=dry_run, wait=wait, timeout=timeout)


@plugin.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("plugin")
@dry_run_option
@waiting
@common
def remove(name: str, plugin: str, dry_run: bool, wait: bool, timeout: float) -> None:
    """Want a plugin no more."""
    follow_up(client().delete(client().cluster(name, f"plugins/{quoted(plugin)}"),
                              dry_run=dry_run), dry_run=dry_run, wait=wait, timeout=timeout)
