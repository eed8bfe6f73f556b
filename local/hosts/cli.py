"""``esaas local host``: make this machine a host of a data centre."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import click

from ..cli_frame import problems_shown
from ..errors import LocalError
from ..settings import Settings
from .host import choose_supervisor, down, install, up
from .spec import DEFAULT_DIRECTORY, VERSION, Host, build_host

DIRECTORY = click.option(
    "--directory", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_DIRECTORY,
    show_default=True, help="Where the host keeps its state.",
)  # fmt: skip
SYSTEMD = click.option(
    "--systemd/--no-systemd", default=None,
    help="Units of systemd, or plain processes [default: systemd where it runs].",
)  # fmt: skip


def say(step: str) -> None:
    """A step, for people."""
    click.echo(step, err=True)


@click.group()
def host() -> None:
    """Make this machine a host of a data centre of several: as root, on Debian 12.

    One machine is the control host (ZooKeeper, a Mesos master, `esaas serve`), the others are
    agents. For tests: one master, no TLS, agents without credentials. See vagrant/README.md.
    """


@host.command("install")
@click.argument("kind", type=click.Choice(["control", "agent"]))
@click.option("--version", "versions", multiple=True, default=(VERSION,), show_default=True,
              help="Of Elasticsearch, into the cache; may be given again.")
def install_host(kind: str, versions: tuple[str, ...]) -> None:
    """Install what a host of this kind needs, and start nothing.

    Packages, the user of executors, Mesos, Elasticsearch; downloads what the cache lacks.
    """
    with problems_shown():
        install(Settings.load(), kind, versions, say)


def of_every_host(function: Any) -> Any:
    """Options that every kind of host has."""
    for option in (
        click.option("--ip", required=True, help="Where its daemons listen."),
        click.option("--hostname", default=socket.gethostname, help="Its name for people."),
        DIRECTORY, SYSTEMD,
    ):  # fmt: skip
        function = option(function)
    return function


@host.command()
@of_every_host
@click.option("--tenant", "tenants", multiple=True, required=True,
              help="May have clusters, under the role of its name; may be given again.")
@click.option("--fast-failure", is_flag=True,
              help="Agents count as lost after 6 s without an answer instead of 25 s.")
def control(ip: str, systemd: bool | None, **given: Any) -> None:
    """ZooKeeper, a master and the service, on this machine."""
    start({"kind": "control", "ip": ip, "control_ip": ip, **given}, systemd)


@host.command()
@of_every_host
@click.option("--control-ip", required=True, help="The address of the control host.")
@click.option("--rack", required=True, help="Its rack, for constraints and awareness.")
@click.option("--cpus", type=float, default=4, show_default=True)
@click.option("--mem-mb", type=int, default=4096, show_default=True)
@click.option("--disk-mb", type=int, default=20_000, show_default=True)
def agent(systemd: bool | None, **given: Any) -> None:
    """A Mesos agent, on this machine."""
    start({"kind": "agent", **given}, systemd)


def start(fields: dict[str, Any], systemd: bool | None) -> None:
    """Make this machine such a host."""
    with problems_shown():
        wanted = build_host(fields)
        up(wanted, choose_supervisor(wanted.directory, systemd), Settings.load(), say)
        click.echo(where(wanted))


def where(wanted: Host) -> str:
    """How to reach it."""
    if wanted.kind == "agent":
        return f"{wanted.hostname} ({wanted.ip}) is an agent of {wanted.masters}"
    return (f"service: {wanted.service_url}, its token: {wanted.directory / 'admin-token'}\n"
            f"masters: {wanted.masters}")


@host.command("down")
@DIRECTORY
@SYSTEMD
def end(directory: Path, systemd: bool | None) -> None:
    """End what was started here, executors and Elasticsearch included. State stays."""
    with problems_shown():
        if not (directory / "host.json").exists():
            raise LocalError(f"{directory} belongs to no host")
        down(directory, choose_supervisor(directory, systemd))
