"""Clusters from templates: a few answers instead of a spec."""
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from .clusters import cluster
from .frame import F, answer, client, common, quoted, safe, table, wants_json
from .specs import spec
from .waiting import error_console, follow_up, waiting

if TYPE_CHECKING:
    from rich.console import RenderableType


def answers(function: F) -> F:
    """What a template asks for."""
    for option in reversed((
            click.option("--tenant", required=True, help="Whose it is."),
            click.option("--data-gb", type=float, default=10.0, show_default=True, metavar="GB",
                         help="All primaries, when the cluster is as full as it gets."),
            click.option("--replicas", type=int, default=1, show_default=True),
            click.option("--hot-share", type=float, help="Of the data that is fresh, as 0.25; for "
                         "hot-warm."),
            click.option("--version", "version", help="Of Elasticsearch."),
            click.option("--secured", is_flag=True, help="TLS and passwords."))):
        function = option(function)
    return function


def said(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The answers that were given."""
    return {"name": name} | {key: value for key, value in given.items()
                             if value is not None and value is not False}


@spec.command()
@common
def templates() -> None:
    """Kinds of clusters to start from."""
    from ..core.templates import TEMPLATES

    def show(found: list[dict[str, Any]]) -> RenderableType:
        made = table("template", "what for")
        for one in found:
            made.add_row(safe(one["name"]), safe(one["text"]))
        return made
    answer([{"name": one.name, "title": one.title, "text": one.text}
            for one in TEMPLATES.values()], show)


@spec.command("make")
@click.argument("template")
@click.argument("name")
@answers
@common
def make_(template: str, name: str, **given: Any) -> None:
    """Print a spec made from a template; why it is so goes to standard error.

    \b
    esaas spec make log-analytics logs --tenant acme --data-gb 2000 > logs.yaml
    """
    import yaml

    from ..client import Refused
    from ..core.spec import SpecFaults
    from ..core.templates import make, unknown

    try:
        made = make(template, said(name, given))
    except KeyError:
        fault = unknown(template)
        raise Refused(404, "not_found", fault.message) from None
    except SpecFaults as error:
        raise Refused(422, "invalid", "this cannot be made into a cluster",
                      tuple(error.faults)) from error
    if wants_json():
        click.echo(json.dumps({"spec": made.body, "reasons": [
            {"what": one.what, "value": one.value, "why": one.why} for one in made.reasons]},
            indent=2))
        return
    click.echo(yaml.safe_dump(made.body, sort_keys=False).rstrip())
    why = table("why", "", "")
    for one in made.reasons:
        why.add_row(safe(one.what), safe(one.value), safe(one.why))
    error_console().print(why)


@cluster.command("make")
@click.argument("template")
@click.argument("name")
@answers
@click.option("--dry-run", is_flag=True, help="Show what it would do only.")
@waiting
@common
def make_cluster(template: str, name: str, dry_run: bool, wait: bool, timeout: float,
                 **given: Any) -> None:
    """Make a cluster from a template; esaas spec templates lists them."""
    follow_up(client().post(f"/v1/templates/{quoted(template)}/clusters", said(name, given),
                            dry_run=dry_run), dry_run=dry_run, wait=wait, timeout=timeout)
