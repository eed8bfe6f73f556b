"""``esaas cluster housekeeping``: what every policy sees, does next, and waits for."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .clusters import cluster
from .completing import cluster_names
from .frame import answer, client, common, safe, table, when

if TYPE_CHECKING:
    from rich.console import RenderableType


def _lines(acts: list[dict[str, Any]]) -> str:
    return "\n".join(f"{safe(one['target'])}: {safe(one['why'])}" for one in acts)


def _state(one: dict[str, Any]) -> str:
    last = one["last"]
    done = (f"last: {last['status']} {when(last['asked_at'])} {safe(last['message'])}"
            if last else "")
    return "\n".join(filter(None, (f"[yellow]{safe(one['acts_not_because'])}[/]", done)))


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@common
def housekeeping(name: str) -> None:
    """What every policy of a cluster's indices sees, does next, and waits for."""
    from rich.console import Group

    def render(found: dict[str, Any]) -> RenderableType:
        if not found["policies"]:
            return "The spec has no policy; each is off unless it is named under housekeeping."
        made = table("policy", "sees", "next", "left alone", "state")
        for one in found["policies"]:
            more = f"\nand {one['beyond']} more" if one["beyond"] else ""
            made.add_row(f"{safe(one['policy'])} {safe(one['subject'])}".strip(),
                         safe(one["sees"]), _lines(one["acts"]) + more, _lines(one["leaves"]),
                         _state(one))
        return Group(made, f"Looked at {when(found['at'])}, every {found['every_s']} s.")
    answer(client().get(client().cluster(name, "housekeeping")), render)
