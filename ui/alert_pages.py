"""The page of alerts: what fires by severity, what is pending or quiet, silences, history."""
from __future__ import annotations

from typing import Any, ClassVar

from esaas.framework.core.alerts.rules import RULES
from esaas.framework.core.errors import Fault
from esaas.framework.service.access.people import Role
from esaas.framework.service.alerts.views import AlertView
from esaas.framework.service.errors import Conflict, Invalid, ServiceError
from esaas.framework.words import seconds_of
from tornado.routing import URLSpec

from .alert_routes import check_silence, find, seen_alerts, seen_silences, sees
from .pages import Page

LINES_SHOWN = 50
ALERT_NOTICES = {
    "acknowledged": "You look after it: nobody is told of it again until it is over.",
    "silenced": "Alerts that match keep quiet from now on.",
    "ended": "The silence has ended.",
}
# Titles of the parts of the page, by status; those that people must see come first.
PARTS = (("firing", "Firing"), ("pending", "Pending"), ("acknowledged", "Acknowledged"),
         ("silenced", "Silenced"), ("inhibited", "Explained by another alert"))
ALERT_TONES = {"critical": "bad", "warning": "warn"}
EVENT_TONES = {"firing": "bad", "resolved": "good", "acknowledged": "work"}
FIELDS = ("rule", "cluster", "subject", "severity", "lasts", "why")


class AlertsPage(Page):
    """``/alerts``."""

    acts: ClassVar[Role | None] = Role.OPERATOR

    async def get(self, **path: str) -> None:
        """The page; an address of a form leads here, too."""
        if self.request.path != "/alerts":
            self.see("/alerts")
            return
        # A link on an alert fills the form in; nothing is silenced by following it.
        typed = {name: self.get_query_argument(name, "") for name in FIELDS}
        await self.show(ALERT_NOTICES.get(self.get_query_argument("notice", ""), ""), typed=typed)

    async def show(self, notice: str = "", problem: ServiceError | None = None,
                   typed: dict[str, str] | None = None) -> None:
        """Render it; a refused form keeps what was ``typed``."""
        if problem is not None:
            self.set_status(problem.status)
        service, me = self.context.service, self.principal
        by_status: dict[str, list[AlertView]] = {}
        for one in await seen_alerts(me, service):
            by_status.setdefault(one.status, []).append(one)
        lines = [line for line in await service.alert_history()
                 if sees(me, service, line.cluster)][:LINES_SHOWN]
        self.render("alerts.html", by_status=by_status, parts=PARTS, lines=lines, notice=notice,
                    silences=await seen_silences(me, service), problem=problem,
                    typed=typed or dict.fromkeys(FIELDS, ""), tones=ALERT_TONES,
                    event_tones=EVENT_TONES, rules=[rule.name for rule in RULES])


class AckAlert(AlertsPage):
    """``/alerts/ALERT/ack``."""

    async def post(self, alert: str) -> None:  # type: ignore[override]
        """Somebody looks after it."""
        self.read_form()
        found = await find(self.principal, self.context.service, alert)
        try:
            await self.context.service.acknowledge(found.id, self.principal.name,
                                                   self.field("comment").strip())
        except Conflict as problem:
            await self.show(problem=problem)
            return
        self.see("/alerts", notice="acknowledged")


class SilenceAlerts(AlertsPage):
    """``/silences``: make one."""

    async def post(self, **path: str) -> None:
        """Keep quiet what the form names."""
        self.read_form()
        typed = {name: self.field(name).strip() for name in FIELDS}
        try:
            body = wanted(typed)
            check_silence(self.principal, self.context.service, body)
            await self.context.service.add_silence(body, self.principal.name)
        except (Invalid, Conflict) as problem:
            await self.show(problem=problem, typed=typed)
            return
        self.see("/alerts", notice="silenced")


class EndSilence(AlertsPage):
    """``/silences/SILENCE/end``."""

    async def post(self, silence: str) -> None:  # type: ignore[override]
        """End it now; fine when it has ended."""
        self.read_form()
        seen = await seen_silences(self.principal, self.context.service)
        if silence in {one.id for one in seen}:
            await self.context.service.remove_silence(silence)
        self.see("/alerts", notice="ended")


def wanted(typed: dict[str, str]) -> dict[str, Any]:
    """What the form asks for, as the API has it; Invalid for a time that is none."""
    try:
        lasts_s = seconds_of(typed["lasts"])
    except ValueError as error:
        raise Invalid("this is no silence", [
            Fault("lasts_s", f"{error}, not {typed['lasts'][:80]!r}", "type")]) from error
    return {name: typed[name] for name in ("rule", "cluster", "subject", "severity", "why")} | {
        "lasts_s": lasts_s}


def alert_rules() -> list[URLSpec]:
    """The addresses of these pages."""
    return [URLSpec(r"/alerts", AlertsPage),
            URLSpec(r"/alerts/(?P<alert>[^/]+)/ack", AckAlert),
            URLSpec(r"/silences", SilenceAlerts),
            URLSpec(r"/silences/(?P<silence>[^/]+)/end", EndSilence)]
