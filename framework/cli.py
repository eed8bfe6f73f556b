"""``esaas``: the command line over the REST API, with room for the commands of other rooms.

Exit codes: 0 done, 1 refused by the service, or failed there, 2 wrong use, 3 no service answers,
4 waited in vain. The commands are in ``commands``. Everything that takes time to import is
imported where it is used.
"""
from __future__ import annotations

import ast
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import (  # noqa: F401 (they join the group)
    autoscale,
    changes,
    charts,
    housekeeping,
    nodes,
    operate,
    templates,
)
from .commands.access import login, logout, token, user, whoami
from .commands.agents import agent
from .commands.alerts import alert
from .commands.backup import backup, restore
from .commands.clusters import cluster
from .commands.completing import completion
from .commands.explain import explain
from .commands.frame import DEFAULT_URL, REFUSED, UNREACHABLE, problem, remember, tell
from .commands.haproxy import haproxy
from .commands.hotspots import hotspots
from .commands.logs import logs
from .commands.oplog import oplog
from .commands.platform import platform
from .commands.plugins import plugin
from .commands.releases import release
from .commands.secrets import secret
from .commands.specs import spec
from .commands.tenants import tenant
from .commands.top import top

if TYPE_CHECKING:
    from .client import Refused


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
            tell(error.body(), _refused(error))
            code = REFUSED
        except Unreachable as error:
            tell(problem("unreachable", str(error)), f"Error: {error}\n"
                  "Is it running (esaas serve)? Is --url or ESAAS_URL right?")
            code = UNREACHABLE
        return ctx.exit(code)


def _refused(error: Refused) -> str:
    lines = [f"Error: {error.message}"]
    for fault in error.faults:
        rule = f"  [{fault.rule}]" if fault.rule else ""
        lines.append(f"  {fault.path}: {fault.message}{rule}")
    if error.status == 401:
        lines.append("Log in with esaas login, or give a token by ESAAS_TOKEN_FILE or ESAAS_TOKEN.")
    if error.status >= 500:
        lines.append(f"  request id {error.request_id}")
    return "\n".join(lines)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", "default_url", envvar="ESAAS_URL", expose_value=False, metavar="URL",
              callback=remember, show_envvar=True,
              help=f"The service; default {DEFAULT_URL}.")
@click.option("--json", is_flag=True, expose_value=False, callback=remember,
              help="Answer in JSON.")
@click.version_option(package_name="esaas")
def main() -> None:
    """Elasticsearch clusters on Apache Mesos.

    Exit codes: 0 done, 1 refused by the service, or failed there, 2 wrong use, 3 no service
    answers, 4 waited in vain.
    """


for _command in (cluster, agent, tenant, secret, plugin, spec, user, token, login, logout,
                 whoami, backup, restore, completion, explain, top, oplog, haproxy, hotspots,
                 release, platform, alert, logs):
    main.add_command(_command)

if __name__ == "__main__":
    main()
