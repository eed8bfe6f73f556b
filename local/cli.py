"""``esaas local``: the data centre in a box on the command line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from . import requirements, spec
from .cli_frame import problems_shown
from .datacentre import DataCentre, Status
from .errors import LocalError
from .fetch import elasticsearch
from .fetch.mesos import fetch_mesos
from .hosts.cli import host
from .settings import Settings

CONDITION_STYLES = {"running": "green", "stopped": "yellow", "down": "red"}


@contextmanager
def reporting(title: str) -> Iterator[tuple[Console, Callable[[str], None]]]:
    """A spinner with the step at work; a step that tells something lasting stays on screen."""
    console = Console(stderr=True)
    with console.status(title) as status:

        def report(step: str) -> None:
            if step.startswith("port "):
                console.print(step)
            status.update(step)

        yield console, report


def directory_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--directory, for every command on a data centre."""
    return click.option(
        "--directory", "-d", type=click.Path(file_okay=False, path_type=Path), default=None,
        help="Where the data centre keeps its state [default: ESAAS_LOCAL_DIR, else "
        "/var/lib/esaas-local as root, else the user's data directory].",
    )(function)  # fmt: skip


@click.group()
def local() -> None:
    """A data centre in a box: real Mesos, ZooKeeper and Elasticsearch on this machine.

    For demo, tests and benchmarks. Everything listens on 127.0.0.1 only. State (agent ids,
    volumes, the masters' log) lives on over `down` and `up`; `forget` deletes it.
    """


local.add_command(host)


@local.command()
@click.option(
    "--agents",
    "-n",
    type=click.IntRange(0, 500),
    default=None,
    help="How many agents [default: what there is, else 3].",
)
@click.option(
    "--masters",
    type=click.IntRange(1, 7),
    default=None,
    help="An odd number; more than one needs ZooKeeper and starts it [default: 1].",
)
@click.option(
    "--zookeeper", is_flag=True, default=None, help="Start ZooKeeper even for one master."
)
@click.option(
    "--principal",
    "principals",
    multiple=True,
    metavar="NAME=ROLE",
    help="May use this role and those under it; '*' is any role. May be given again. "
    "With one or more, frameworks must authenticate.",
)
@click.option(
    "--many-in-one",
    is_flag=True,
    default=None,
    help="All agents in one process: light, but they cannot be killed one by one.",
)
@click.option("--cpus", type=float, default=4, show_default=True, help="Of a new agent.")
@click.option("--mem-mb", type=int, default=4096, show_default=True, help="Of a new agent.")
@click.option("--disk-mb", type=int, default=20_000, show_default=True, help="Of a new agent.")
@click.option(
    "--fast-failure",
    is_flag=True,
    default=None,
    help="Agents count as lost after 6 s without an answer instead of 25 s.",
)
@click.option(
    "--disk-du", is_flag=True, default=None, help="Kill containers that outgrow their disk."
)
@directory_option
def up(
    agents: int | None, masters: int | None, zookeeper: bool | None, principals: tuple[str, ...],
    many_in_one: bool | None, cpus: float, mem_mb: int, disk_mb: int,
    fast_failure: bool | None, disk_du: bool | None, directory: Path | None,
) -> None:  # fmt: skip
    """Start a data centre, or whatever of it does not run.

    What is not given stays as it is; a larger --agents adds agents. Installs missing Debian
    packages as root; otherwise names the command.
    """
    with problems_shown(), reporting("starting") as (console, report):
        centre = DataCentre(
            directory, agents, masters=masters, zookeeper=zookeeper,
            principals=spec.parse_principals(principals) or None, many_in_one=many_in_one,
            fast_failure=fast_failure, disk_du=disk_du,
            size=spec.build_size(cpus, mem_mb, disk_mb), report=report, console=console,
        )  # fmt: skip
        centre.up()
        status_now = centre.status()
    show(status_now)


@local.command()
@directory_option
def down(directory: Path | None) -> None:
    """End everything that was started here, executors included. State stays."""
    with problems_shown(), reporting("ending") as (console, report):
        DataCentre(directory, report=report, console=console).down()


@local.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@directory_option
def status(as_json: bool, directory: Path | None) -> None:
    """Show daemons, the leading master, and agents as it sees them.

    Exit status 1 when a daemon does not run.
    """
    with problems_shown():
        found = DataCentre(directory).status()
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found) | {"running": found.running}, indent=2))
    else:
        show(found)
    if not found.running:
        raise SystemExit(1)


@local.command()
@click.confirmation_option(prompt="Delete the data centre with all its volumes?")
@directory_option
def forget(directory: Path | None) -> None:
    """`down`, then delete all state: agent ids, volumes, credentials."""
    with problems_shown(), reporting("forgetting") as (console, report):
        try:
            centre = DataCentre(directory, report=report, console=console)
        except LocalError as error:
            raise LocalError(f"{error}; delete the directory by hand") from error
        centre.forget()


@local.command()
@click.argument("action", type=click.Choice(["kill", "stop", "cont", "start", "terminate"]))
@click.argument("k", type=click.IntRange(1))
@directory_option
def agent(action: str, k: int, directory: Path | None) -> None:
    """Break and mend agent K: kill (-9), stop and cont (as if it hung), terminate, start."""
    with problems_shown():
        getattr(DataCentre(directory).agent(k), action)()
    click.echo(f"agent-{k}: {action}")


@local.command()
@click.argument("action", type=click.Choice(["kill", "stop", "cont", "start", "terminate"]))
@click.argument("k", type=click.IntRange(1))
@directory_option
def master(action: str, k: int, directory: Path | None) -> None:
    """Break and mend master K, as with `agent`."""
    with problems_shown():
        getattr(DataCentre(directory).master(k), action)()
    click.echo(f"master-{k}: {action}")


@local.command()
@click.option(
    "--agents",
    "-n",
    type=click.IntRange(3, 100),
    default=None,
    help="How many agents [default: what there is, else 3].",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Where the service listens; the next free port when it is taken.",
)
@click.option("--forget", is_flag=True, help="Delete the demo with all its data instead.")
@directory_option
def demo(agents: int | None, port: int, forget: bool, directory: Path | None) -> None:
    """Show a cluster of three nodes: data centre, service, and a page to look at.

    Runs until Ctrl-C, which ends everything in order and keeps the data: the next run brings the
    same cluster back. The other commands here work on its data centre meanwhile.
    """
    from .demo import Demo

    with problems_shown():
        one = Demo(directory, None if forget else agents, port)
        if forget:
            one.forget()
        else:
            one.run()


@local.command()
@click.argument("part", type=click.Choice(list(requirements.ALL)))
@click.argument("version", required=False)
@click.option("--unpack", is_flag=True, help="Also unpack, shared and read-only; print its home.")
def fetch(part: str, version: str | None, unpack: bool) -> None:
    """Download a real part into the cache and print its path.

    mesos; elasticsearch VERSION (6.8.23, 7.17.29, 9.5.3); zookeeper (Debian's package). Pinned
    by sha256; a second run downloads nothing.
    """
    settings = Settings.load()
    with problems_shown():
        if part == requirements.ELASTICSEARCH and version is None:
            raise LocalError("which version?", list(elasticsearch.DISTRIBUTIONS))
        if part == requirements.ELASTICSEARCH:
            elasticsearch.distribution(version or "")
        requirements.ensure(settings, [part], lambda step: click.echo(step, err=True))
        if part == requirements.MESOS:
            click.echo(fetch_mesos(settings.cache))
        elif part == requirements.ZOOKEEPER:
            click.echo(requirements.ZOOKEEPER_JAR)
        else:
            get = elasticsearch.unpack if unpack else elasticsearch.fetch_elasticsearch
            click.echo(get(settings.cache, version or ""))


@local.command()
def catalog() -> None:
    """Print the Elasticsearch versions in the cache, as `esaas serve` takes them."""
    click.echo(json.dumps(elasticsearch.catalog(Settings.load().cache), indent=2))


@local.command()
@click.option("--install", is_flag=True, help="Install what is missing (root).")
@click.option(
    "--for",
    "parts",
    multiple=True,
    type=click.Choice(list(requirements.ALL)),
    help="Only what this part needs; may be given again [default: all].",
)
def doctor(install: bool, parts: tuple[str, ...]) -> None:
    """Say what this machine has and lacks. Exit status 1 when something is missing."""
    wanted = parts or requirements.ALL
    settings = Settings.load()
    if install:
        with problems_shown(), reporting("installing") as (_, report):
            requirements.ensure(settings, wanted, report)
    absent = requirements.missing(wanted)
    table = Table("needs", "Debian package", "for", "here")
    for each in requirements.REQUIREMENTS:
        if set(wanted) & set(each.needed_for):
            here = "[red]no" if each in absent else "[green]yes"
            table.add_row(each.what, each.package, ", ".join(each.needed_for), here)
    Console().print(table)
    if absent:
        click.echo(f"install with: sudo {' '.join(requirements.apt_command(absent))}")
        raise SystemExit(1)


def show(status: Status) -> None:
    """Tables of daemons and agents, and how to reach the masters."""
    console = Console()
    daemons = Table("daemon", "condition", "pid", "port", "log", title=status.directory)
    for d in status.daemons:
        style = CONDITION_STYLES[d.condition]
        daemons.add_row(
            d.name, f"[{style}]{d.condition}", str(d.pid or ""), str(d.port or ""), d.log
        )
    agents = Table("agent", "rack", "agent id", "active")
    for a in status.agents:
        active = "[green]yes" if a.active else "[red]no"
        agents.add_row(a.hostname, a.rack or "", a.agent_id or "", active)
    console.print(daemons)
    console.print(agents)
    console.print(f"masters: {status.master_address}")
    console.print(f"leader: {'http://' + status.leader if status.leader else 'none'}")
    if status.credentials:
        names = ", ".join(status.principals)
        console.print(f"principals: {names}; secrets: {status.credentials}")
