"""``esaas tenant``: quota of tenants, and what is used of it."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .frame import answer, as_json, client, common, quoted, safe, table

if TYPE_CHECKING:
    from rich.console import RenderableType

FIELDS = ("cpus", "mem_mb", "disk_mb")
# Fields of a request by those of an answer.
KEPT = {"display_name": "display_name", "owner": "owner", "contacts": "contacts",
        "guarantee": "guarantee", "limit": "limit", "cluster_limit": "cluster_limit",
        "cluster_limits": "clusters"}


def amount(text: str) -> tuple[str, float | None]:
    """(field, number) of ``RESOURCE=NUMBER``; a number of ``none`` is without limit."""
    field, equals, number = text.partition("=")
    if not equals or field not in FIELDS:
        raise click.BadParameter(f"{text!r}: write it as cpus=16, mem_mb=65536 or disk_mb=500000")
    if number == "none":
        return field, None
    try:
        return field, float(number)
    except ValueError:
        raise click.BadParameter(f"{text!r}: {number!r} is no number") from None


def cluster_amount(text: str) -> tuple[str, tuple[str, float | None] | None]:
    """(cluster, amount) of ``CLUSTER:RESOURCE=NUMBER``; no amount for ``CLUSTER:none``."""
    cluster, colon, rest = text.partition(":")
    if not colon or not cluster:
        raise click.BadParameter(f"{text!r}: write it as logs:cpus=4, or logs:none")
    return cluster, None if rest == "none" else amount(rest)


@click.group()
@common
def tenant() -> None:
    """Tenants: their quota on Mesos, and what is used of it."""


def _path(name: str) -> str:
    return f"/v1/tenants/{quoted(name)}"


def _plain(value: float | None, none: str = "no limit") -> str:
    return none if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def _rows(one: dict[str, Any]) -> list[tuple[str, ...]]:
    master = one.get("master") or {}
    return [(field, _plain(one["wanted"][field]), *(
        _plain((master.get(part) or {}).get(field), "-") for part in ("reserved", "used")),
        _plain(one["guarantee"][field]), _plain(one["limit"][field])) for field in FIELDS]


def _standing(one: dict[str, Any]) -> str:
    drift = (one.get("master") or {}).get("drift")
    told = [one["standing"] if one["has_quota"] else "no quota", one["why"],
            "being removed" if one["removing"] else "",
            f"the master has something else: {drift}" if drift else "",
            f"master: {one['master_problem']}" if one["master_problem"] else ""]
    return "; ".join(part for part in told if part)


def _render_all(found: list[dict[str, Any]]) -> RenderableType:
    made = table("tenant", "", "wanted", "reserved", "used", "guarantee", "limit", "quota")
    for one in found:
        for index, row in enumerate(_rows(one)):
            made.add_row("" if index else safe(one["name"]), *row,
                         "" if index else safe(_standing(one)))
    return made if found else "No tenant has a quota or a cluster."


def _render(one: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    clusters = table("cluster", *(f"{field} wanted of limit" for field in FIELDS))
    for share in one["clusters"]:
        clusters.add_row(safe(share["cluster"]), *(
            f"{_plain(share['wanted'][field])} of {_plain(share['limit'][field])}"
            for field in FIELDS))
    who = ", ".join(part for part in (one["display_name"], one["owner"], *one["contacts"]) if part)
    return Group(safe(who) if who else "", _render_all([one]),
                 clusters if one["clusters"] else "It has no cluster.")


@tenant.command("list")
@as_json
def list_() -> None:
    """Every tenant that you see: what its clusters want, reserve and use, and its limits."""
    answer(client().get("/v1/tenants"), _render_all)


@tenant.command()
@click.argument("name")
@as_json
def show(name: str) -> None:
    """One tenant with its clusters."""
    answer(client().get(_path(name)), _render)


@tenant.command("set")
@click.argument("name")
@click.option("--limit", "limit", type=amount, multiple=True, metavar="RESOURCE=NUMBER",
              help="At most so much for all its clusters; repeat for cpus, mem_mb, disk_mb. "
              "RESOURCE=none is without limit.")
@click.option("--guarantee", type=amount, multiple=True, metavar="RESOURCE=NUMBER",
              help="So much is kept free for it on the agents; at most the limit.")
@click.option("--cluster-limit", type=amount, multiple=True, metavar="RESOURCE=NUMBER",
              help="At most so much for each of its clusters.")
@click.option("--limit-of", type=cluster_amount, multiple=True,
              metavar="CLUSTER:RESOURCE=NUMBER",
              help="At most so much for one of its clusters; CLUSTER:none takes that back.")
@click.option("--display-name", metavar="TEXT", help="Its name for people.")
@click.option("--owner", metavar="TEXT", help="Who answers for it.")
@click.option("--contact", multiple=True, metavar="TEXT", help="How to reach them; repeat.")
@click.option("--force", is_flag=True, help="Also a limit below what is used (nothing is taken "
              "away), or a guarantee beyond what the agents have.")
@as_json
def set_(name: str, limit: tuple[Any, ...], guarantee: tuple[Any, ...],
         cluster_limit: tuple[Any, ...], limit_of: tuple[Any, ...], display_name: str | None,
         owner: str | None, contact: tuple[str, ...], force: bool) -> None:
    """Set a tenant's quota, here and on the Mesos master; what is not given stays as it is.

    Mesos counts everything under the tenant's role: what runs, and what is reserved. Example:
    esaas tenant set acme --limit cpus=16 --limit mem_mb=65536 --cluster-limit cpus=8
    """
    body = _before(name) | {"force": force}
    for part, given in (("limit", limit), ("guarantee", guarantee),
                        ("cluster_limit", cluster_limit)):
        body[part] = body.get(part, {}) | dict(given)
    body["guarantee"] = {field: value or 0 for field, value in body["guarantee"].items()}
    clusters: dict[str, dict[str, float | None]] = dict(body.get("clusters", {}))
    for cluster, given_to_it in limit_of:
        if given_to_it is None:
            clusters.pop(cluster, None)
        else:
            clusters[cluster] = clusters.get(cluster, {}) | dict([given_to_it])
    body["clusters"] = clusters
    said = {"display_name": display_name, "owner": owner, "contacts": list(contact) or None}
    body |= {field: value for field, value in said.items() if value is not None}
    answer(client().put(_path(name), body), _render)


def _before(name: str) -> dict[str, Any]:
    """The quota as it is, as a request; empty when there is none."""
    from ..client import Refused

    try:
        found = client().get(_path(name))
    except Refused as error:
        if error.status != 404:
            raise
        return {}
    return {asked: found[said] for said, asked in KEPT.items()}


@tenant.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def remove(name: str, yes: bool) -> None:
    """Remove a tenant's quota, here and on the master; its clusters stay, without limit."""
    if not yes:
        click.confirm(f"Nothing will limit what {name} takes. Go ahead?", abort=True, err=True)
    answer(client().delete(_path(name)), _render)
