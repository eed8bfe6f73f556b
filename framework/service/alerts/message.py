"""What a notification says: JSON in the shape of Alertmanager's webhook, and words for people."""
from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from ...core.alerts.machine import Alert, Phase
from ...core.alerts.routing import Notice
from ...core.alerts.rules import BY_NAME
from .records import alert_id, shown_group

RUNBOOKS = "docs/runbooks.md"
NEVER = "0001-01-01T00:00:00Z"


def runbook_of(rule: str) -> str:
    """Where a rule is explained."""
    return f"{RUNBOOKS}#{rule}"


def body_of(notice: Notice, ident: str, tenant: str, base_url: str, now: float) -> str:
    """The notification as JSON."""
    cluster = shown_group(notice.group)
    status = "firing" if notice.firing else "resolved"
    alerts = [_alert(one, notice.group, tenant, base_url, now)
              for one in (*notice.firing, *notice.resolved)]
    return orjson.dumps({
        "version": "4", "id": ident, "groupKey": f"esaas:{notice.group}", "status": status,
        "receiver": "esaas", "truncatedAlerts": 0, "groupLabels": {"cluster": cluster},
        "commonLabels": {"cluster": cluster, "tenant": tenant}, "commonAnnotations": {},
        "externalURL": base_url, "severity": notice.severity.value, "alerts": alerts}).decode()


def _alert(one: Alert, group: str, tenant: str, base_url: str, now: float) -> dict[str, Any]:
    over = one.phase is Phase.RESOLVED
    return {
        "status": "resolved" if over else "firing",
        "labels": {"alertname": one.rule, "cluster": shown_group(group), "tenant": tenant,
                   "subject": one.subject, "severity": one.severity.value},
        "annotations": {"title": BY_NAME[one.rule].title if one.rule in BY_NAME else one.rule,
                        "summary": one.text, "description": one.explanation,
                        "runbook": runbook_of(one.rule)},
        "startsAt": _time(one.fired_at or one.since),
        "endsAt": _time(one.ended_at or now) if over else NEVER,
        "generatorURL": f"{base_url}/alerts", "fingerprint": alert_id(group, one.key)}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace(
        "+00:00", "Z")


def subject_line(body: Mapping[str, Any]) -> str:
    """One line that says it all; of an e-mail."""
    alerts, where = body["alerts"], body["groupLabels"]["cluster"] or "platform"
    first = alerts[0]
    title = first["annotations"].get("title") or first["labels"]["alertname"]
    more = f" and {len(alerts) - 1} more" if len(alerts) > 1 else ""
    word = body["severity"] if body["status"] == "firing" else "resolved"
    return f"[{word}] {where}: {title}{more}"


def words(body: Mapping[str, Any]) -> str:
    """The notification for people."""
    lines = []
    for one in body["alerts"]:
        notes = one["annotations"]
        lines += [f"{one['status'].upper()}: {notes['title']} "
                  f"({one['labels']['subject'] or one['labels']['cluster'] or 'platform'})",
                  f"  {notes['summary']}", f"  since {one['startsAt']}"]
        if notes.get("description"):
            lines.append(f"  {notes['description']}")
        lines += [f"  runbook: {notes['runbook']}", ""]
    return "\n".join([*lines, f"{body['externalURL']}/alerts", f"notification {body['id']}"])
