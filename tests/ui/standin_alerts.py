"""The alerts of the stand-in: a few of each kind, behind the same contract."""
from __future__ import annotations

from typing import Any

from esaas.framework.core.alerts.rules import BY_NAME
from esaas.framework.service.alerts.alerts import parse_silence
from esaas.framework.service.alerts.message import runbook_of
from esaas.framework.service.alerts.views import (
    AckView,
    AlertEvent,
    AlertView,
    SilenceView,
    SinkResult,
)
from esaas.framework.service.errors import NotFound

T0 = 1_780_000_000.0


def alert_of(rule: str, cluster: str, status: str, text: str, **more: Any) -> AlertView:
    """An alert as the service shows it."""
    found = BY_NAME[rule]
    return AlertView.model_validate({
        "id": f"{rule}-{cluster or 'platform'}", "rule": rule, "title": found.title,
        "cluster": cluster, "tenant": cluster and "acme", "subject": "", "status": status,
        "severity": found.severity.value, "text": text, "since": T0 - 900,
        "runbook": runbook_of(rule)} | more)


class AlertsStandIn:
    """Keeps alerts in memory."""

    def __init__(self) -> None:
        self.alert_list: list[AlertView] = []
        self.alert_lines: list[AlertEvent] = []
        self.silence_list: list[SilenceView] = []

    def add_alerts(self, cluster: str) -> None:
        """One of each status, of a cluster and of the platform."""
        self.alert_list += [
            alert_of("cluster_red", cluster, "firing", "red: some primary shards are on no node"),
            alert_of("node_disk", cluster, "pending", "the disk of node-2 is 84 % full",
                     subject="node-2", value=84.0),
            alert_of("cluster_yellow", cluster, "inhibited", "some replicas are on no node",
                     inhibited_by="cluster_red"),
            alert_of("agent_lost", "", "firing", "the agent on host-3 is not reachable",
                     subject="host-3")]
        self.alert_lines.append(AlertEvent(
            at=T0 - 60, cluster=cluster, event="firing", rule="cluster_red", subject="",
            severity="critical", text="red: some primary shards are on no node"))

    async def alerts(self, cluster: str | None = None) -> list[AlertView]:
        """All, or those of one cluster."""
        return [one for one in self.alert_list if cluster in (None, one.cluster)]

    async def alert_history(self, cluster: str | None = None) -> list[AlertEvent]:
        """All lines."""
        return [one for one in self.alert_lines if cluster in (None, one.cluster)]

    def alert_counts(self) -> dict[str, tuple[int, int]]:
        """Of what fires."""
        return {name: tuple(sum(  # type: ignore[misc]
            one.cluster == name and one.status == "firing" and one.severity == severity
            for one in self.alert_list) for severity in ("critical", "warning"))
            for name in {one.cluster for one in self.alert_list}}

    async def acknowledge(self, ident: str, by: str, comment: str = "") -> AlertView:
        """NotFound."""
        for index, one in enumerate(self.alert_list):
            if one.id == ident:
                self.alert_list[index] = one.model_copy(update={
                    "status": "acknowledged", "ack": AckView(by=by, at=T0, comment=comment)})
                return self.alert_list[index]
        raise NotFound(f"no alert is called {ident!r}")

    async def silences(self) -> list[SilenceView]:
        """All."""
        return list(self.silence_list)

    async def add_silence(self, body: Any, by: str) -> SilenceView:
        """Malformed, Invalid."""
        wanted = parse_silence(body)
        made = SilenceView(id=f"silence-{len(self.silence_list) + 1}", by=by, at=T0,
                           until=T0 + wanted.lasts_s,
                           **wanted.model_dump(exclude={"lasts_s"}))
        self.silence_list.append(made)
        return made

    async def remove_silence(self, ident: str) -> list[SilenceView]:
        """NotFound."""
        if ident not in {one.id for one in self.silence_list}:
            raise NotFound(f"no silence is called {ident!r}")
        self.silence_list = [one for one in self.silence_list if one.id != ident]
        return list(self.silence_list)

    async def test_sinks(self, sink: str | None = None) -> list[SinkResult]:
        """One that works and one that does not."""
        return [SinkResult(sink="ops", kind="webhook", where="https://hooks.example", ok=True,
                           message="HTTP 200"),
                SinkResult(sink="mail", kind="email", where="mail.example:587", ok=False,
                           message="HTTP 503")]
