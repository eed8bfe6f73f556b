"""``esaas secret``: secure settings, whose values are never shown and never in an argument.

And the credentials of a secured cluster, which are shown to who asks for them.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .completing import cluster_names
from .frame import answer, client, common, safe, table, taken, when

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.group()
@common
def secret() -> None:
    """Secure settings of a cluster, kept in its nodes' keystores; values are never shown."""


@secret.command("list")
@click.argument("name", shell_complete=cluster_names)
@common
def list_(name: str) -> None:
    """Which secure settings there are, and when each was set."""
    def render(found: list[dict[str, Any]]) -> RenderableType:
        made = table("key", "set at", "version")
        for one in found:
            made.add_row(safe(one["key"]), when(one["set_at"]), str(one["version"]))
        return made if found else "No secure setting is set."
    answer(client().get(client().cluster(name, "secrets")), render)


@secret.command("set")
@click.argument("name", shell_complete=cluster_names)
@click.argument("key")
@click.option("--from-file", "file", type=click.File("r", encoding="utf-8"), metavar="FILE",
              help="Take the value from a file, - for standard input; one line end at its end is "
              "left out.")
@common
def set_(name: str, key: str, file: Any) -> None:
    """Set a secure setting, such as s3.client.default.secret_key.

    The value is asked for and not shown; it cannot be an argument, which other users of this
    machine could read.
    """
    if file is None:
        value = click.prompt(f"Value of {key}", hide_input=True, confirmation_prompt=True, err=True)
    else:
        try:
            value = file.read().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise click.UsageError(f"{file.name} is not UTF-8") from None
    _put(name, key, value)


@secret.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("key")
@common
def remove(name: str, key: str) -> None:
    """Take a secure setting out; its value cannot be brought back."""
    _put(name, key, None)


@secret.command()
@click.argument("name", shell_complete=cluster_names)
@click.option("--ca-file", "file", type=click.File("w", encoding="utf-8", lazy=True),
              metavar="FILE", help="Write the certificate authority there, for curl --cacert.")
@common
def credentials(name: str, file: Any) -> None:
    """User and password of a secured cluster, and whom to trust; recorded without them."""
    found = client().post(client().cluster(name, "credentials"))
    if file is not None:
        file.write(found["ca_certificate"])

    def render(one: dict[str, Any]) -> RenderableType:
        made = table("user", "password")
        made.add_row(safe(one["user"]), safe(one["password"]))
        return made
    answer(found, render)


def _put(name: str, key: str, value: str | None) -> None:
    taken(client().put(client().cluster(name, "secrets"), {key: value}))
