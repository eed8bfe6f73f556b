"""The part of the REST API about alerts: what fires, silences, acknowledgement, history, a test."""
from __future__ import annotations

from typing import Literal

from esaas.framework.core.errors import Fault
from esaas.framework.service.access.people import Principal, Role
from esaas.framework.service.alerts.views import (
    AlertEvent,
    AlertView,
    SilenceRequest,
    SilenceView,
    SinkResult,
    Status,
)
from esaas.framework.service.api import ClusterService
from esaas.framework.service.errors import Forbidden, Invalid, NotFound
from pydantic import BaseModel, ConfigDict, Field

from .route import Answer, Call, Reply, change, get, post

ALERTS = "/v1/alerts"


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AlertsQuery(_Query):
    """Which alerts."""

    cluster: str | None = Field(None, max_length=100)
    severity: Literal["warning", "critical"] | None = None
    status: Status | None = None
    rule: str | None = Field(None, max_length=100)


class HistoryQuery(_Query):
    """Which lines of history."""

    cluster: str | None = Field(None, max_length=100)
    rule: str | None = Field(None, max_length=100)
    event: Literal["firing", "resolved", "acknowledged"] | None = None
    since: float = Field(0.0, ge=0, description="seconds since the epoch")
    limit: int = Field(200, ge=1, le=1000)


class AckRequest(_Query):
    """Somebody looks after it."""

    comment: str = Field("", max_length=500)


class TestRequest(_Query):
    """Which sink; nothing: all."""

    __test__ = False                    # pytest takes the name for one of its own
    sink: str | None = Field(None, max_length=100)


def sees(principal: Principal, service: ClusterService, cluster: str) -> bool:
    """Whether alerts of a cluster are for somebody's eyes; the platform's are for all tenants'."""
    if principal.tenants is None:
        return True
    try:
        return bool(cluster) and principal.sees(service.owner(cluster).tenant)
    except NotFound:
        return False                    # gone; nobody can say whose it was


async def seen_alerts(principal: Principal, service: ClusterService) -> list[AlertView]:
    """All that somebody may see; Unavailable."""
    return [one for one in await service.alerts() if sees(principal, service, one.cluster)]


async def seen_silences(principal: Principal, service: ClusterService) -> list[SilenceView]:
    """All that somebody may see; Unavailable."""
    return [one for one in await service.silences() if sees(principal, service, one.cluster)]


def check_silence(principal: Principal, service: ClusterService, body: object) -> None:
    """Forbidden for a silence beyond one of somebody's own clusters."""
    cluster = body.get("cluster") if isinstance(body, dict) else getattr(body, "cluster", "")
    if not sees(principal, service, str(cluster or "")):
        raise Forbidden(f"{principal.name} may silence alerts of one cluster of his tenants by "
                        "its name")


async def find(principal: Principal, service: ClusterService, ident: str) -> AlertView:
    """One alert; NotFound, also for one that is not for somebody's eyes."""
    found = next((one for one in await seen_alerts(principal, service) if one.id == ident), None)
    if found is None:
        raise NotFound(f"no alert is called {ident[:80]!r}")
    return found


async def alerts(call: Call) -> Reply:
    """``GET /v1/alerts``."""
    wanted = call.query.model_dump(exclude_none=True)
    return Reply([one for one in await seen_alerts(call.principal, call.service)
                  if all(getattr(one, name) == value for name, value in wanted.items())])


async def show(call: Call) -> Reply:
    """``GET /v1/alerts/{alert}``."""
    return Reply(await find(call.principal, call.service, call.path["alert"]))


async def acknowledge(call: Call) -> Reply:
    """``POST /v1/alerts/{alert}/ack``."""
    found = await find(call.principal, call.service, call.path["alert"])
    return Reply(await call.service.acknowledge(found.id, call.principal.name,
                                                call.body.comment))


async def history(call: Call) -> Reply:
    """``GET /v1/alerts/history``."""
    query = call.query
    wanted = {name: value for name in ("cluster", "rule", "event")
              if (value := getattr(query, name)) is not None}
    lines = [line for line in await call.service.alert_history()
             if line.at >= query.since and sees(call.principal, call.service, line.cluster)
             and all(getattr(line, name) == value for name, value in wanted.items())]
    return Reply(lines[:query.limit])


async def silences(call: Call) -> Reply:
    """``GET /v1/silences``."""
    return Reply(await seen_silences(call.principal, call.service))


async def add_silence(call: Call) -> Reply:
    """``POST /v1/silences``."""
    check_silence(call.principal, call.service, call.body)
    return Reply(await call.service.add_silence(call.body, call.principal.name), 201)


async def remove_silence(call: Call) -> Reply:
    """``DELETE /v1/silences/{silence}``."""
    ident = call.path["silence"]
    if ident not in {one.id for one in await seen_silences(call.principal, call.service)}:
        raise NotFound(f"no silence is called {ident[:80]!r}")
    await call.service.remove_silence(ident)
    return Reply(await seen_silences(call.principal, call.service))


async def send_test(call: Call) -> Reply:
    """``POST /v1/alerts/test``."""
    found = await call.service.test_sinks(call.body.sink)
    if not found:
        raise Invalid("this service has no sinks", [Fault(
            "sink", "name sinks in the file of esaas serve --alerts", "sinks_are_set")])
    return Reply(found)


ALERT_ROUTES = (
    get(ALERTS, alerts, "listAlerts", "Alerts that are pending or fire, the worst first",
        list[AlertView], query=AlertsQuery),
    get(f"{ALERTS}/history", history, "listAlertHistory", "What fired, was over, or was "
        "acknowledged, newest first", list[AlertEvent], query=HistoryQuery),
    post(f"{ALERTS}/test", send_test, "testAlertSinks", "Send a test notification to one "
         "sink or all, now", body=TestRequest, role=Role.ADMIN,
         answers={200: Answer("what each sink answered", list[SinkResult])}),
    get(f"{ALERTS}/{{alert}}", show, "showAlert", "One alert", AlertView),
    post(f"{ALERTS}/{{alert}}/ack", acknowledge, "acknowledgeAlert", "Say that somebody looks "
         "after it: nobody is told of it again until it is over", body=AckRequest,
         answers={200: Answer("the alert", AlertView)}),
    get("/v1/silences", silences, "listSilences", "Silences that have not ended",
        list[SilenceView]),
    post("/v1/silences", add_silence, "addSilence", "Keep alerts that match quiet for a while",
         body=SilenceRequest, check_body=False,
         answers={201: Answer("the silence", SilenceView)}),
    change("DELETE", "/v1/silences/{silence}", remove_silence, "removeSilence",
           "End a silence now", answers={200: Answer("those that are left", list[SilenceView])}),
)
