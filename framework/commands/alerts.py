"""``esaas alert``: what fires, acknowledgement, silences, history, a test of the sinks."""
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from .frame import REFUSED, answer, as_json, client, common, quoted, safe, table, when

if TYPE_CHECKING:
    from rich.console import RenderableType

TONES = {"critical": "red", "warning": "yellow", "firing": "red", "pending": "blue",
         "acknowledged": "green", "silenced": "default", "inhibited": "default",
         "resolved": "green"}


def _toned(word: str) -> str:
    return f"[{TONES.get(word, 'default')}]{safe(word)}[/]"


def _seconds(_: click.Context, param: click.Parameter, text: str | None) -> float | None:
    from ..words import seconds_of

    if text is None:
        return None
    try:
        return float(seconds_of(text))
    except ValueError as error:
        raise click.BadParameter(f"{error}, not {text!r}", param=param) from None


@click.group()
@common
def alert() -> None:
    """Alerts: what is wrong with clusters, hosts and the platform."""


def _alerts(found: list[dict[str, Any]]) -> RenderableType:
    if not found:
        return "Nothing fires."
    made = table("alert", "severity", "status", "cluster", "rule", "about", "since", "what")
    for one in found:
        made.add_row(one["id"], _toned(one["severity"]), _toned(one["status"]),
                     safe(one["cluster"] or "(platform)"), safe(one["rule"]),
                     safe(one["subject"]), when(one["since"]), safe(one["text"]))
    return made


def _one(one: dict[str, Any]) -> RenderableType:
    made = table("", "")
    made.show_header = False
    ack = one.get("ack")
    lines = [("alert", one["id"]), ("what", f"{one['title']}: {one['text']}"),
             ("severity", one["severity"]), ("status", one["status"]),
             ("cluster", one["cluster"] or "(platform)"), ("about", one["subject"]),
             ("since", when(one["since"])), ("hosts", ", ".join(one["hosts"])),
             ("acknowledged by", f"{ack['by']} {ack['comment']}" if ack else ""),
             ("silenced by", one["silenced_by"]), ("inhibited by", one["inhibited_by"]),
             ("explanation", one["explanation"]), ("runbook", one["runbook"])]
    for title, text in lines:
        if text:
            made.add_row(title, safe(text))
    return made


@alert.command("list")
@click.option("--cluster", help="Of one cluster.")
@click.option("--severity", type=click.Choice(["warning", "critical"]))
@click.option("--status", type=click.Choice(
    ["pending", "firing", "acknowledged", "silenced", "inhibited"]))
@as_json
def list_(cluster: str | None, severity: str | None, status: str | None) -> None:
    """Alerts that are pending or fire, the worst first."""
    answer(client().get("/v1/alerts", cluster=cluster, severity=severity, status=status), _alerts)


@alert.command()
@click.argument("ident", metavar="ALERT")
@as_json
def show(ident: str) -> None:
    """One alert, with Elasticsearch's own explanation and its runbook."""
    answer(client().get(f"/v1/alerts/{quoted(ident)}"), _one)


@alert.command()
@click.argument("ident", metavar="ALERT")
@click.option("--comment", default="", metavar="TEXT", help="For the others.")
@as_json
def ack(ident: str, comment: str) -> None:
    """Say that you look after it: nobody is told of it again until it is over."""
    answer(client().post(f"/v1/alerts/{quoted(ident)}/ack", {"comment": comment}), _one)


@alert.command()
@click.option("--since", callback=_seconds, metavar="TIME", help="Such as 12h or 2d.")
@click.option("--cluster", help="Of one cluster.")
@click.option("--rule", help="Of one rule.")
@click.option("--limit", type=int, default=100, show_default=True)
@as_json
def history(since: float | None, cluster: str | None, rule: str | None, limit: int) -> None:
    """What fired, was over, or was acknowledged; newest first."""
    def show_lines(found: list[dict[str, Any]]) -> RenderableType:
        made = table("at", "event", "severity", "cluster", "rule", "about", "what")
        for one in found:
            made.add_row(when(one["at"]), _toned(one["event"]), _toned(one["severity"]),
                         safe(one["cluster"] or "(platform)"), safe(one["rule"]),
                         safe(one["subject"]),
                         safe(f"{one['by']}: {one['text']}" if one["by"] else one["text"]))
        return made if found else "Nothing has fired."
    answer(client().get("/v1/alerts/history", cluster=cluster, rule=rule, limit=limit,
                        since=None if since is None else time.time() - since), show_lines)


@alert.group()
def silence() -> None:
    """Silences: alerts that match keep quiet for a while."""


def _silences(found: list[dict[str, Any]]) -> RenderableType:
    if not found:
        return "Nothing is silenced."
    made = table("silence", "rule", "cluster", "about", "severity", "until", "by", "why")
    for one in found:
        made.add_row(one["id"], *(safe(one[name] or "*") for name in (
            "rule", "cluster", "subject", "severity")), when(one["until"]), safe(one["by"]),
            safe(one["why"]))
    return made


@silence.command("list")
@as_json
def list_silences() -> None:
    """Those that have not ended."""
    answer(client().get("/v1/silences"), _silences)


@silence.command("add")
@click.option("--rule", default="", metavar="PATTERN", help="Such as node_disk or node_*.")
@click.option("--cluster", default="", metavar="PATTERN")
@click.option("--about", "subject", default="", metavar="PATTERN", help="Node, host, gate...")
@click.option("--severity", default="", type=click.Choice(["", "warning", "critical"]))
@click.option("--for", "lasts_s", required=True, callback=_seconds, metavar="TIME",
              help="Such as 90m or 2d.")
@click.option("--why", required=True, metavar="TEXT")
@as_json
def add(rule: str, cluster: str, subject: str, severity: str, lasts_s: float, why: str) -> None:
    """Keep alerts that match all that is given quiet for a while.

    Example: esaas alert silence add --cluster logs --rule 'node_*' --for 2h --why "disks change"
    """
    answer(client().post("/v1/silences", {
        "rule": rule, "cluster": cluster, "subject": subject, "severity": severity,
        "lasts_s": lasts_s, "why": why}), lambda one: _silences([one]))


@silence.command("remove")
@click.argument("ident", metavar="SILENCE")
@as_json
def remove(ident: str) -> None:
    """End a silence now."""
    answer(client().delete(f"/v1/silences/{quoted(ident)}"), _silences)


@alert.command()
@click.option("--sink", metavar="NAME", help="One of them only.")
@as_json
@click.pass_context
def test(ctx: click.Context, sink: str | None) -> None:
    """Send a test notification to every sink, now; exit code 1 when one does not take it."""
    found = client().post("/v1/alerts/test", {"sink": sink})

    def show_results(results: list[dict[str, Any]]) -> RenderableType:
        made = table("sink", "kind", "where", "taken", "answer")
        for one in results:
            made.add_row(safe(one["sink"]), one["kind"], safe(one["where"]),
                         "[green]yes[/]" if one["ok"] else "[red]no[/]", safe(one["message"]))
        return made
    answer(found, show_results)
    if not all(one["ok"] for one in found):
        ctx.exit(REFUSED)
