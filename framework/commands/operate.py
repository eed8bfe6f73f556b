"""``esaas cluster``: switches with a time-out, and what is done once and recorded."""
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ..words import seconds_of
from .clusters import cluster
from .completing import cluster_names
from .frame import answer, bar, client, common, quoted, safe, table, taken, toned, when
from .waiting import follow_operation, waiting

if TYPE_CHECKING:
    from rich.console import RenderableType

SWITCHES = click.Choice(["allocation", "rebalance", "read-only"])
index_option = click.option("--index", metavar="INDEX", help="Only these indices, such as logs-*; "
                            "default: all.")


def _span(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else seconds_of(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not {error}", ctx, param) from error


# ---- switches ---------------------------------------------------------------------------------

@cluster.group()
@common
def switch() -> None:
    """Switches of a cluster, which go back by themselves: allocation, rebalance, read-only."""


def _path(name: str, switch: str) -> str:
    return client().cluster(name, f"switches/{quoted(switch.replace('-', '_'))}")


@switch.command("set")
@click.argument("name", shell_complete=cluster_names)
@click.argument("switch", type=SWITCHES)
@click.argument("value")
@click.option("--for", "span", callback=_span, metavar="TIME",
              help="Goes back by itself after 90s, 10m, 2h, 1d; default: when it is restored.")
@common
def set_(name: str, switch: str, value: str, span: float | None) -> None:
    """Set a switch, for a time.

    \b
    allocation  all, primaries, new_primaries, none: which shards get a place
    rebalance   all, primaries, replicas, none: which shards move for balance
    read-only   true, false: whether every write is refused
    """
    body: dict[str, Any] = {"value": value}
    taken(client().post(_path(name, switch), body if span is None else body | {"timeout_s": span}))


@switch.command()
@click.argument("name", shell_complete=cluster_names)
@click.argument("switch", type=SWITCHES)
@common
def restore(name: str, switch: str) -> None:
    """Let a switch go back to what it was, now."""
    taken(client().post(f"{_path(name, switch)}/restore"))


@switch.command("list")
@click.argument("name", shell_complete=cluster_names)
@common
def list_switches(name: str) -> None:
    """The switches that people have set, and until when."""
    def render(found: list[dict[str, Any]]) -> RenderableType:
        made = table("switch", "value", "goes back to", "until", "set at")
        for one in found:
            until = "goes back now" if one["restoring"] else (
                "it is restored" if one["until"] is None else when(one["until"]))
            made.add_row(safe(one["switch"].replace("_", "-")), f"[yellow]{safe(one['value'])}[/]",
                         safe(one["before"]), until, when(one["set_at"]))
        return made if found else "No switch is set."
    answer(client().get(client().cluster(name))["switches"], render)


# ---- what is done once ------------------------------------------------------------------------

def _run(name: str, kind: str, parameters: dict[str, Any], wait: bool, timeout: float) -> None:
    given = {key: value for key, value in parameters.items() if value not in (None, ())}
    begun = client().post(client().cluster(name, "operations"), {"kind": kind} | given)
    follow_operation(name, begun, wait, timeout)


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@index_option
@waiting
@common
def flush(name: str, index: str | None, wait: bool, timeout: float) -> None:
    """Write what is in memory to disk, so that a restart has less to replay."""
    _run(name, "flush", {"index": index}, wait, timeout)


@cluster.command("clear-cache")
@click.argument("name", shell_complete=cluster_names)
@index_option
@click.option("--kind", "kinds", metavar="KIND,...",
              help="Of query, request, fielddata; default: all of them.")
@waiting
@common
def clear_cache(name: str, index: str | None, kinds: str | None, wait: bool,
                timeout: float) -> None:
    """Empty the caches; searches are slower until they have filled again."""
    wanted = [kind.strip() for kind in kinds.split(",")] if kinds else None
    _run(name, "clear_cache", {"index": index, "kinds": wanted}, wait, timeout)


@cluster.command("force-merge")
@click.argument("name", shell_complete=cluster_names)
@index_option
@click.option("--max-segments", type=click.IntRange(min=1), metavar="N",
              help="Merge down to so many segments a shard; default: as Elasticsearch sees fit.")
@waiting
@common
def force_merge(name: str, index: str | None, max_segments: int | None, wait: bool,
                timeout: float) -> None:
    """Merge the segments of indices that are not written any more.

    It takes long, much disk and much I/O, and cannot be stopped.
    """
    _run(name, "force_merge", {"index": index, "max_segments": max_segments}, wait, timeout)


@cluster.command("reroute-retry")
@click.argument("name", shell_complete=cluster_names)
@waiting
@common
def reroute_retry(name: str, wait: bool, timeout: float) -> None:
    """Try shards again whose allocation has failed too often."""
    _run(name, "reroute_retry", {}, wait, timeout)


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@waiting
@common
def snapshot(name: str, wait: bool, timeout: float) -> None:
    """Make a snapshot now, beside those on the timer (snapshots in the spec)."""
    _run(name, "snapshot", {}, wait, timeout)


@cluster.command("snapshots")
@click.argument("name", shell_complete=cluster_names)
@common
def list_snapshots(name: str) -> None:
    """How it stands with a cluster's snapshots, and what its repository holds."""
    answer(client().get(client().cluster(name, "snapshots")), _snapshots)


def _snapshots(found: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    if found["repository"] is None:
        return "No snapshots are made: neither the spec nor the platform names a repository."
    lines = [f"last: {_when(found, 'taken_at')}   next: {_when(found, 'next_at')}   "
             f"last drill: {_when(found, 'drilled_at')}"]
    lines += [f"[red]{safe(found[key])}[/]" for key in ("failed", "drill_failed") if found[key]]
    lines += [f"held by {safe(found['held_by'])}"] if found["held_by"] else []
    if found["listed"] is None:
        return Group(*lines, f"[yellow]{safe(found['unlisted_because'])}[/]")
    made = table("snapshot", "state", "begun", "indices", "shards", "failed")
    for one in found["listed"]:
        made.add_row(safe(one["name"]), safe(one["status"]), when(one["started_at"]),
                     str(len(one["indices"])), str(one["shards"]), str(one["shards_failed"]))
    return Group(*lines, made)


def _when(found: dict[str, Any], key: str) -> str:
    return "never" if found[key] is None else when(found[key])


@cluster.command("restore")
@click.argument("name", shell_complete=cluster_names)
@click.argument("snapshot")
@index_option
@click.option("--prefix", metavar="TEXT", help="How the names of restored indices begin; default: "
              "restored-.")
@click.option("--from", "from_cluster", metavar="CLUSTER", shell_complete=cluster_names,
              help="The cluster whose snapshot it is; default: NAME itself.")
@waiting
@common
def restore_snapshot(name: str, snapshot: str, index: str | None, prefix: str | None,
                     from_cluster: str | None, wait: bool, timeout: float) -> None:
    """Restore indices of a snapshot beside what is there, under new names.

    An index that is there already is never written over.
    """
    _run(name, "restore", {"snapshot": snapshot, "index": index, "prefix": prefix,
                           "from_cluster": from_cluster}, wait, timeout)


@cluster.command("restore-drill")
@click.argument("name", shell_complete=cluster_names)
@waiting
@common
def restore_drill(name: str, wait: bool, timeout: float) -> None:
    """Restore one index of the newest snapshot, count its documents, and delete it again."""
    _run(name, "restore_drill", {}, wait, timeout)


@cluster.command("rotate-certificates")
@click.argument("name", shell_complete=cluster_names)
@common
def rotate_certificates(name: str) -> None:
    """Give every node of a secured cluster a new certificate, one by one.

    It happens by itself in time; this is for when a key may be known to others.
    """
    taken(client().post(client().cluster(name, "rotate-certificates")))


@cluster.command()
@click.argument("name", shell_complete=cluster_names)
@common
def operations(name: str) -> None:
    """What was done once (flush, clear-cache, ...), newest first, and what came of it."""
    def render(found: list[dict[str, Any]]) -> RenderableType:
        made = table("asked at", "kind", "parameters", "status", "took", "result", "id")
        for one in found:
            ended = one["ended_at"]
            took = (ended or time.time()) - one["asked_at"]
            made.add_row(when(one["asked_at"]), safe(one["kind"]),
                         safe(", ".join(f"{key} {value}" for key, value in
                                        one["parameters"].items()) or "-"),
                         toned(one["status"]), f"{took:.0f} s" if ended else "-",
                         safe(bar(one["progress"]) or one["message"] or "-"), safe(one["id"]))
        return made if found else "Nothing was done once yet."
    found = client().get(client().cluster(name, "operations"))
    answer(found, render)
