"""``esaas logs``: logs of a cluster's nodes, read from the agents that they run on, or ran on."""
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from . import waiting
from .completing import cluster_names, node_names
from .frame import answer, client, common, quoted, safe, table, wants_json, when

if TYPE_CHECKING:
    from rich.console import RenderableType


def _path(name: str, node: str, part: str) -> str:
    return client().cluster(name, f"nodes/{quoted(node)}/{part}")


@click.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("node", required=False, shell_complete=node_names)
@click.argument("file", required=False)
@click.option("--launch", metavar="N.M", help="A former launch; which there are: esaas logs NAME "
              "NODE --list.")
@click.option("--lines", type=click.IntRange(1, 5000), default=100, show_default=True,
              help="The last so many, as far as they fit into 64 KiB.")
@click.option("--follow", is_flag=True, help="Go on as lines come; Ctrl-C ends.")
@click.option("--search", metavar="TEXT", help="Lines with this text, in the last 4 MiB.")
@click.option("--list", "lists", is_flag=True, help="Which logs there are of NODE.")
@common
def logs(name: str, node: str | None, file: str | None, launch: str | None, lines: int,
         follow: bool, search: str | None, lists: bool) -> None:
    """Logs of a node; without NODE, which there are of all nodes.

    FILE is Elasticsearch's own log, unless another one is named.
    """
    if node is None or lists:
        answer(client().get(client().cluster(name, "logs"), node=node), _listed)
        return
    if follow and search is not None:
        raise click.UsageError("--follow and --search do not go together")
    chosen: dict[str, Any] = {"file": file, "launch": launch}
    if search is not None:
        answer(client().get(_path(name, node, "log/search"), **chosen, text=search), _found)
        return
    path = _path(name, node, "log")
    found = client().get(path, **chosen, lines=lines)
    if wants_json() and not follow:
        answer(found, lambda _: "")
        return
    _show(found)
    if follow:
        _follow(path, chosen, found)


def _show(found: dict[str, Any]) -> None:
    if wants_json():
        answer(found, lambda _: "")
    else:
        click.echo(found["text"], nl=False)


def _follow(path: str, chosen: dict[str, Any], found: dict[str, Any]) -> None:
    """What is written from now on, over restarts of the service and of the node."""
    from ..client import Refused, Unreachable

    while True:
        try:
            newer = client().get(path, **chosen, offset=str(found["next_offset"]))
            if newer["launch"] != found["launch"] or newer["size"] < found["next_offset"]:
                # A node that was started again, or a log that was begun anew, has another file.
                newer = client().get(path, **chosen, offset="0")
        except Unreachable:
            time.sleep(waiting.POLL_S)
            continue
        except Refused as error:
            if error.status != 503:
                raise
            time.sleep(waiting.POLL_S)
            continue
        if newer["text"]:
            _show(newer)
        else:
            time.sleep(waiting.POLL_S)
        found = newer


def _listed(found: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    shipped: list[str] = []
    made = table("node", "launch", "host", "task", "file", "bytes", "written")
    for node in found["nodes"]:
        for one in node["launches"]:
            shipping = one["shipping"]
            if shipping is not None:
                shipped.append(
                    f"{safe(node['node'])} {one['launch']}: {shipping['shipped']} lines shipped, "
                    f"{shipping['behind_bytes']} bytes wait {safe(shipping['error'])}".rstrip())
            files = one["files"] or [None]
            for file in files:
                made.add_row(
                    safe(node["node"] + ("" if node["exists"] else " (gone)")),
                    one["launch"], safe(one["host"] or one["agent_id"]),
                    safe(one["state"].removeprefix("TASK_").lower()),
                    safe(file["name"] if file else one["problem"] or "no log"),
                    str(file["size"]) if file else "", when(file["modified_at"]) if file else "")
    return Group(made, *shipped, "There are more launches; name a node." if found["cut"] else "")


def _found(found: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    lines = [safe(one["line"]) for one in found["hits"]]
    more = [] if not found["cut"] else [
        f"[dim]{len(found['hits'])} of {found['found']} lines, in bytes {found['scanned_from']} "
        f"to {found['scanned_to']} of {found['size']}[/]"]
    return Group(*lines, *more) if lines or more else "No line has this text."
