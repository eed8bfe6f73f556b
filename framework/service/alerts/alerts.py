"""What people do with alerts: look, acknowledge, silence, test the sinks."""
from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from ...core.alerts.machine import Ack, Alert, Phase
from ...core.alerts.routing import PLATFORM, Quiet
from ...core.alerts.rules import BY_NAME
from ...core.spec import faults_of
from ...store.contract import Stored, StoreError
from ..errors import Conflict, Elsewhere, Invalid, Malformed, NotFound, ServiceError, Unavailable
from .engine import Engine, body_for_test, event_of
from .message import runbook_of
from .records import FOLDER, alert_id, grouped, loud, new_id, parsed, shown_group
from .sending import NotSent
from .silencing import active, add_silence, drop_silence, read_silences, silence_view
from .views import AckView, AlertEvent, AlertView, SilenceRequest, SilenceView, SinkResult, Status

MAX_COMMENT = 500


class Alerts(Engine):
    """The part of ``ClusterService`` that shows alerts and takes what people say of them."""

    @abstractmethod
    async def _holder_url(self, lease: str) -> str | None:
        """Where the process answers that holds a lease; None for this one, or nobody."""

    async def alerts(self, cluster: str | None = None) -> list[AlertView]:
        """Pending and firing alerts, the worst and newest first; Unavailable."""
        now = time.time()
        found = [view for group, alerts in (await self._all_alerts(cluster)).items()
                 for view in self._views(group, alerts, now)]
        return sorted(found, key=lambda one: (one.status == "pending",
                                              one.severity != "critical", -one.since, one.id))

    async def alert_history(self, cluster: str | None = None) -> list[AlertEvent]:
        """What fired, was over and was acknowledged, newest first; Unavailable."""
        lines = [line for group, records in (await self._all_records(cluster)).items()
                 for line in parsed(group, records)[1]]
        return sorted(lines, key=lambda line: -line.at)

    def alert_counts(self) -> dict[str, tuple[int, int]]:
        """(critical, warning) that fire and that nobody has, by cluster; of other processes' as
        they were at the last round."""
        counts = self._counts | {group: loud(ledger.alerts.values())
                                 for group, ledger in self._ledgers.items()}
        return {shown_group(group): count for group, count in counts.items()}

    async def acknowledge(self, ident: str, by: str, comment: str = "") -> AlertView:
        """Say that somebody looks after an alert; nobody is told of it again until it is over.

        NotFound; Conflict for one that does not fire; Unavailable.
        """
        group = await self._group_of(ident)
        ledger = self._ledgers.get(group)
        if ledger is None:
            raise await self._owner_elsewhere(group)
        async with ledger.lock:
            alert = next((one for key, one in ledger.alerts.items()
                          if alert_id(group, key) == ident), None)
            if alert is None:
                raise NotFound(f"no alert is called {ident[:80]!r}")
            if alert.phase is not Phase.FIRING:
                raise Conflict("an alert that does not fire yet cannot be acknowledged")
            now = time.time()
            acked = replace(alert, ack=Ack(by, now, comment[:MAX_COMMENT]))
            try:
                await ledger.commit({**ledger.alerts, alert.key: acked},
                                    [event_of(acked, group, now, by)])
            except StoreError as error:
                raise Unavailable(f"it could not be stored: {error}") from error
            return self._views(group, [acked], now)[0]

    async def silences(self) -> list[SilenceView]:
        """Those that have not ended; Unavailable."""
        try:
            known = await asyncio.to_thread(read_silences, self._store)
        except StoreError as error:
            raise Unavailable(f"silences cannot be read: {error}") from error
        self._silences = known
        return [silence_view(one) for one in active(known, time.time())]

    async def add_silence(self, body: Any, by: str) -> SilenceView:
        """Keep alerts that match quiet for a while. Malformed, Invalid, Conflict, Unavailable."""
        wanted = parse_silence(body)
        made = await asyncio.to_thread(add_silence, self._store, self._instance, wanted, by)
        await self.silences()
        return silence_view(made)

    async def remove_silence(self, ident: str) -> list[SilenceView]:
        """End a silence now, and give those that are left; NotFound, Unavailable."""
        if ident not in {one.id for one in await self.silences()}:
            raise NotFound(f"no silence is called {ident[:80]!r}")
        await asyncio.to_thread(drop_silence, self._store, self._instance, ident)
        return await self.silences()

    async def test_sinks(self, sink: str | None = None) -> list[SinkResult]:
        """Send a test to one sink or to all, now, and say what came of it; NotFound."""
        channels = self._delivery.channels
        if sink is not None and sink not in channels:
            raise NotFound(f"no sink is called {sink[:80]!r}; there are: "
                           + (", ".join(channels) or "none"))
        chosen = [one for name, one in channels.items() if sink in (None, name)]

        async def one_of(channel: Any) -> SinkResult:
            ident, ok = new_id(), True
            try:
                said = await channel.send(ident, body_for_test(self._base_url, ident,
                                                               time.time()))
            except NotSent as error:
                ok, said = False, str(error)
            return SinkResult(sink=channel.sink.name, kind=channel.sink.kind,
                              where=channel.sink.where, ok=ok, message=said)
        return list(await asyncio.gather(*(one_of(channel) for channel in chosen)))

    # ----------------------------------------------------------------------- helpers

    async def _all_records(self, cluster: str | None) -> dict[str, dict[str, Stored]]:
        prefix = FOLDER if cluster is None else f"{FOLDER}/{cluster}"
        try:
            found = await asyncio.to_thread(self._store.read, prefix)
        except StoreError as error:
            raise Unavailable(f"alerts cannot be read: {error}") from error
        return grouped(found)

    async def _all_alerts(self, cluster: str | None) -> dict[str, list[Alert]]:
        """By group: what this process looks after as it is now, the rest as it is on record."""
        stored = await self._all_records(cluster)
        found = {group: list(parsed(group, records)[0].values())
                 for group, records in stored.items() if group not in self._ledgers}
        found |= {group: list(ledger.alerts.values()) for group, ledger in self._ledgers.items()
                  if cluster in (None, group)}
        if self._store_alert is not None and cluster is None:
            found.setdefault(PLATFORM, []).append(self._store_alert)
        return found

    async def _group_of(self, ident: str) -> str:
        for group, alerts in (await self._all_alerts(None)).items():
            if any(alert_id(group, one.key) == ident for one in alerts):
                return group
        raise NotFound(f"no alert is called {ident[:80]!r}")

    async def _owner_elsewhere(self, group: str) -> ServiceError:
        if group != PLATFORM:
            return self._elsewhere(group) or Unavailable(f"{group} is not looked after yet")
        url = await self._holder_url("_alerts")
        return Elsewhere("another process looks after the platform", url) if url else Unavailable(
            "the platform is looked after in a moment; try again")

    def _views(self, group: str, alerts: Iterable[Alert], now: float) -> list[AlertView]:
        by_key = {one.key: one for one in alerts}
        known = self._ledgers.get(group)
        beside = {**known.alerts, **by_key} if known is not None else by_key
        quiets = self.quiets(group, beside, now)
        tenant = self._tenant_of(shown_group(group)) or ""
        return [_view(group, tenant, one, quiets.get(one.key, Quiet()))
                for one in by_key.values()]


def _view(group: str, tenant: str, one: Alert, keeps: Quiet) -> AlertView:
    rule = BY_NAME.get(one.rule)
    return AlertView(
        id=alert_id(group, one.key), rule=one.rule, title=rule.title if rule else one.rule,
        cluster=shown_group(group), tenant=tenant, subject=one.subject,
        severity="critical" if one.severity.value == "critical" else "warning",
        status=_status(one, keeps), text=one.text, value=one.value, since=one.since,
        fired_at=one.fired_at, hosts=list(one.hosts), silenced_by=keeps.silenced_by,
        ack=None if one.ack is None else AckView(
            by=one.ack.by, at=one.ack.at, comment=one.ack.comment),
        inhibited_by=keeps.inhibited_by, explanation=one.explanation,
        runbook=runbook_of(one.rule))


def _status(one: Alert, keeps: Quiet) -> Status:
    if one.phase is Phase.PENDING:
        return "pending"
    if one.ack is not None:
        return "acknowledged"
    if keeps.silenced_by:
        return "silenced"
    return "inhibited" if keeps.inhibited_by else "firing"


def parse_silence(body: Any) -> SilenceRequest:
    """A decoded body as a wish for a silence; Malformed, Invalid with every fault."""
    if isinstance(body, SilenceRequest):
        return body
    if not isinstance(body, dict):
        raise Malformed("a silence is an object with rule, cluster, subject, lasts_s, why")
    try:
        return SilenceRequest.model_validate(body)
    except ValidationError as error:
        raise Invalid("this is no silence", faults_of(error)) from error
