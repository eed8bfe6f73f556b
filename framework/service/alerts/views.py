"""What doors show of alerts; times are seconds since the epoch."""
from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["pending", "firing", "acknowledged", "silenced", "inhibited"]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class AckView(_View):
    """Who looks after an alert."""

    by: str
    at: float
    comment: str = ""


class AlertView(_View):
    """One alert: a rule about a subject of a cluster or of the platform."""

    id: str
    rule: str = Field(examples=["node_disk"])
    title: str = Field(examples=["Disk of a node"])
    cluster: str = Field(description="empty: of the platform")
    tenant: str = ""
    subject: str = Field(description="node, host, gate...; empty: the cluster as a whole")
    severity: Literal["warning", "critical"]
    status: Status
    text: str
    value: float | None = None
    since: float = Field(description="when it began")
    fired_at: float | None = None
    hosts: list[str] = []
    ack: AckView | None = None
    silenced_by: str = Field("", description="id of the silence")
    inhibited_by: str = Field("", description="the alert that says more")
    explanation: str = Field("", description="what Elasticsearch itself says")
    runbook: str = Field("", examples=["docs/runbooks.md#node_disk"])


class AlertEvent(_View):
    """One line of the history of alerts."""

    at: float
    cluster: str
    event: Literal["firing", "resolved", "acknowledged"]
    rule: str
    subject: str
    severity: Literal["warning", "critical"]
    text: str
    value: float | None = None
    by: str = ""


class SilenceRequest(BaseModel):
    """Alerts that match keep quiet for a while; patterns as of a shell, empty ones fit all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str = Field("", max_length=100, examples=["node_*"])
    cluster: str = Field("", max_length=100)
    subject: str = Field("", max_length=300)
    severity: Literal["", "warning", "critical"] = ""
    lasts_s: float = Field(gt=0, le=90 * 86400)
    why: str = Field(min_length=1, max_length=500)


class SilenceView(_View):
    """A silence, until it ends."""

    id: str
    rule: str
    cluster: str
    subject: str
    severity: str
    until: float
    by: str
    why: str
    at: float


class SinkResult(_View):
    """What came of a test notification."""

    sink: str
    kind: str
    where: str
    ok: bool
    message: str
