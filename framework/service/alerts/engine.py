"""The evaluation: every few seconds each cluster of this process is looked at; then the platform.

What moved is stored with its notifications, and only then sent (``delivery.py``). What lies below
all clusters is looked at by one process, whichever holds the lease of the platform. The store's own
trouble is the one thing that cannot be stored: it is told at once and noted in this process only.
"""
from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import orjson
import structlog

from ...core.alerts.machine import Alert, Key, Phase, Severity, Step, advance
from ...core.alerts.routing import PLATFORM, Notice, Quiet, Silence, notify, quiet
from ...core.alerts.rules import BY_NAME, Evaluation, evaluate
from ...core.errors import EsaasError
from ...elastic.allocation import explained
from ...runtime.loop import ClusterLoop
from ...sinks import AlertSettings
from ...store.contract import (
    Delete,
    Lease,
    LeaseLost,
    StoreBusy,
    Stored,
    StoreError,
    VersionConflict,
)
from ...telemetry.readings import Board
from ..base import Base
from ..tenants.views import TenantView
from ..views import AgentView, ClusterSummary
from .delivery import Delivery
from .looking import Trends, cluster_look, platform_look, uses_of
from .message import body_of
from .records import FOLDER, Ledger, Outgoing, bounded, grouped, loud, new_id, parsed
from .silencing import read_silences
from .views import AlertEvent

log = structlog.get_logger(__name__)

LEASE = "_alerts"                       # of the platform; no name of a cluster begins like that
QUOTA_EVERY_S = 120.0                   # the master is asked for that
EXPLAIN_EVERY_S = 300.0


class Engine(Base):
    """The part of ``ClusterService`` that finds, stores and sends alerts."""

    board: Board
    _instance: str
    _base_url: str
    _ledgers: dict[str, Ledger]
    _platform: tuple[Alert, ...]        # of whichever process holds its lease
    _silences: dict[str, tuple[Silence, int]]
    _delivery: Delivery
    _alert_task: asyncio.Task[None] | None
    _trends: Trends
    _store_alert: Alert | None
    _uses: tuple[float, tuple[TenantView, ...] | None]
    _explained_at: dict[str, float]
    _evaluating: asyncio.Lock
    _counts: dict[str, tuple[int, int]]     # as they were on record, by group

    @abstractmethod
    def agents(self) -> list[AgentView]:
        """Hosts with nodes."""

    @abstractmethod
    def list_clusters(self, tenant: str | None = None) -> list[ClusterSummary]:
        """All clusters, wherever they run."""

    @abstractmethod
    async def tenants(self) -> list[TenantView]:
        """Every tenant; Unavailable."""

    @property
    def _alerting(self) -> AlertSettings:
        return self.settings.alerts

    def _make_alerts(self) -> None:
        self._ledgers, self._platform, self._silences = {}, (), {}
        self._delivery = Delivery(self._alerting.sinks, lambda: self._ledgers)
        self._alert_task, self._trends, self._store_alert = None, Trends(), None
        self._uses, self._explained_at = (0.0, None), {}
        self._evaluating, self._counts = asyncio.Lock(), {}

    def _start_alerts(self) -> None:
        self._delivery.start()
        self._alert_task = asyncio.create_task(self._watch_alerts(), name="alerts")

    async def _stop_alerts(self) -> None:
        if self._alert_task is not None:
            self._alert_task.cancel()
            await asyncio.gather(self._alert_task, return_exceptions=True)
        await self._delivery.stop()
        platform = self._ledgers.pop(PLATFORM, None)
        if platform is not None:
            try:
                await asyncio.to_thread(self._store.release, platform.lease)
            except StoreError as error:         # it ends with the session in any case
                log.warning("lease of alerts could not be given back", error=str(error))

    async def _watch_alerts(self) -> None:
        while True:
            try:
                await self.evaluate_alerts()
            except Exception:  # noqa: BLE001 (one bad turn must not end all alerts for good)
                log.exception("alerts could not be evaluated")
            await asyncio.sleep(self._alerting.evaluate_s)

    async def evaluate_alerts(self) -> None:
        """One round over all clusters of this process, and the platform when that is ours."""
        async with self._evaluating:        # one round at a time
            await self._round()

    async def _round(self) -> None:
        try:
            self._silences, self._platform = await asyncio.to_thread(self._read_alerts)
        except StoreError as error:
            await self._store_is_away(str(error))
            return
        await self._store_is_back()
        for name in [*self._ledgers.keys() - self._loops.keys() - {PLATFORM}]:
            self._forget_alerts(name)
        await self._guarded(PLATFORM, self._evaluate_platform())
        for name, loop in list(self._loops.items()):
            if loop.owned():
                await self._guarded(name, self._evaluate_cluster(loop))

    def _read_alerts(self) -> tuple[dict[str, tuple[Silence, int]], tuple[Alert, ...]]:
        """Silences, and the alerts of the platform; StoreError."""
        groups = {PLATFORM: self._store.read(f"{FOLDER}/{PLATFORM}")} if (
            not self._foreign.words) else grouped(self._store.read(FOLDER))
        found = {group: parsed(group, records)[0] for group, records in groups.items()}
        self._counts = {group: loud(alerts.values()) for group, alerts in found.items()}
        return read_silences(self._store), tuple(found.get(PLATFORM, {}).values())

    async def _guarded(self, group: str, work: Any) -> None:
        """A round of one group; what goes wrong there does not touch the others."""
        try:
            await work
        except (LeaseLost, VersionConflict) as error:
            log.info("alerts are another process's now", group=group, why=str(error))
            self._forget_alerts(group)
        except StoreError as error:             # the next round finds the same, and stores it
            log.warning("alerts could not be stored", group=group, error=str(error))

    def _forget_alerts(self, group: str) -> None:
        self._ledgers.pop(group, None)
        self._trends.forget(group)
        self._explained_at.pop(group, None)

    async def _ledger(self, group: str, lease: Lease) -> Ledger:
        """The ledger under this lease; read anew when the lease is a new one; StoreError."""
        known = self._ledgers.get(group)
        if known is None or known.lease != lease:
            known = Ledger(self._store, lease, group)
            await known.load()
            self._ledgers[group] = known
            self._delivery.ring()               # what waited when the process before ended
        return known

    # ------------------------------------------------------------------- one group

    async def _evaluate_cluster(self, loop: ClusterLoop) -> None:
        state = loop.state
        ledger = await self._ledger(loop.name, loop.cycle.lease)
        now = time.time()
        look = cluster_look(state, self.board, self._trends, now)
        async with ledger.lock:
            found = evaluate(look, _firing(ledger.alerts),
                             (state.spec.alerts, self._alerting.limits))
            step = advance(ledger.alerts, found.found, found.unknown, now)
            await self._take(ledger, step, state.identity.tenant, now,
                             await self._explanation(loop, step.alerts, now))

    async def _evaluate_platform(self) -> None:
        ledger = self._ledgers.get(PLATFORM)
        if ledger is None or not self._store.held(ledger.lease):
            try:
                lease = await asyncio.to_thread(self._store.acquire, LEASE, self._instance)
            except StoreBusy:
                self._ledgers.pop(PLATFORM, None)
                return                          # another process looks after the platform
            ledger = await self._ledger(PLATFORM, lease)
        now = time.time()
        look = platform_look(self.board, self.agents(), self.list_clusters(),
                             await self._used(now), now)
        async with ledger.lock:
            found: Evaluation = evaluate(look, _firing(ledger.alerts), (self._alerting.limits,))
            step = advance(ledger.alerts, found.found, found.unknown, now)
            await self._take(ledger, step, "", now)
        self._platform = tuple(ledger.alerts.values())
        await self._sweep(ledger)

    async def _used(self, now: float) -> Any:
        at, known = self._uses
        if now - at >= QUOTA_EVERY_S:
            try:
                known = tuple(await self.tenants())
            except EsaasError as error:
                log.info("quota cannot be looked at now", error=str(error))
                known = None
            self._uses = now, known
        return None if known is None else uses_of(known)

    def quota_percents(self, now: float) -> dict[tuple[str, str], float]:
        """How much of each limit is used, by tenant and resource, if this process has looked."""
        at, known = self._uses
        if known is None or now - at > 2 * QUOTA_EVERY_S:
            return {}
        return {(use.tenant, use.resource): use.percent for use in uses_of(known)}

    async def _take(self, ledger: Ledger, step: Step, tenant: str, now: float,
                    explanation: str | None = None) -> None:
        """Store what moved with what people are told of it; then let it be sent."""
        alerts = bounded(step.alerts)
        if explanation is not None:
            alerts = {key: replace(one, explanation=explanation)
                      if one.rule == "unassigned_shards" else one for key, one in alerts.items()}
        quiets = self.quiets(ledger.group, alerts, now)
        alerts_told, notice = notify(ledger.group, alerts, step.moved, quiets,
                                     self._alerting.repeat_s, now)
        if not (step.moved or step.dropped or notice is not None):
            ledger.fresh(alerts_told)
            return
        outgoing = self._outgoing(notice, tenant, now) if notice is not None else ()
        events = [event_of(one, ledger.group, now) for one in step.moved
                  if one.phase is not Phase.PENDING]
        await ledger.commit(alerts_told, events, outgoing)
        for one in step.moved:
            log.info("alert moved", group=ledger.group, rule=one.rule, subject=one.subject,
                     phase=one.phase.value, severity=one.severity.value, text=one.text)
        if outgoing:
            self._delivery.ring()

    def quiets(self, group: str, alerts: Mapping[Key, Alert], now: float) -> dict[Key, Quiet]:
        """What keeps alerts of a group quiet."""
        silences = [one for one, _ in self._silences.values()]
        platform = alerts.values() if group == PLATFORM else self._platform
        return {key: quiet("" if group == PLATFORM else group, one, alerts.values(), platform,
                           silences, now)
                for key, one in alerts.items()}

    def _outgoing(self, notice: Notice, tenant: str, now: float) -> list[Outgoing]:
        ident = new_id()
        body = body_of(notice, ident, tenant, self._base_url, now)
        return [Outgoing(id=ident, sink=sink.name, group=notice.group, at=now, body=body,
                         expires=now + self._alerting.expire_s)
                for sink in self._alerting.sinks
                if sink.wants("" if notice.group == PLATFORM else notice.group, notice.severity)]

    async def _explanation(self, loop: ClusterLoop, alerts: Mapping[Key, Alert],
                           now: float) -> str | None:
        """Elasticsearch's own word, asked when shards without a node fire, and now and then."""
        one = alerts.get(("unassigned_shards", ""))
        if one is None or one.phase is not Phase.FIRING:
            self._explained_at.pop(loop.name, None)
            return None
        if now - self._explained_at.get(loop.name, 0.0) < EXPLAIN_EVERY_S:
            return None
        self._explained_at[loop.name] = now
        return await loop.watch.ask(explained, "")

    # ------------------------------------------------------- clusters and store that are gone

    async def _sweep(self, ledger: Ledger) -> None:
        """Records of clusters that are gone: whoever was told of an alert hears that it is over."""
        gone = await asyncio.to_thread(self._gone_groups)
        now = time.time()
        for group, records in gone.items():
            alerts, _, outbox = parsed(group, records)
            over = [replace(one, phase=Phase.RESOLVED, ended_at=now, text="the cluster is gone")
                    for one in alerts.values()]
            _, notice = notify(group, {}, over, {}, self._alerting.repeat_s, now)
            outgoing = self._outgoing(notice, "", now) if notice is not None else []
            async with ledger.lock:
                # Into the platform's own outbox first: a crash in between sends twice, not never.
                await ledger.commit(ledger.alerts, (), [*outbox, *outgoing])
                await asyncio.to_thread(self._store.write, ledger.lease, [
                    Delete(path, stored.version) for path, stored in records.items()])
            self._delivery.ring()
            log.info("alerts of a cluster that is gone were removed", group=group)

    def _gone_groups(self) -> dict[str, dict[str, Stored]]:
        groups = grouped(self._store.read(FOLDER))
        there = self._store.names() | set(self._store.leases()) | {PLATFORM}
        return {group: records for group, records in groups.items() if group not in there}

    async def _store_is_away(self, why: str) -> None:
        now = time.time()
        first = self._store_alert or Alert("store_trouble", self._instance, Phase.PENDING,
                                           Severity.CRITICAL, f"the store fails: {why}", now)
        self._store_alert = first
        log.warning("the store fails, alerts cannot be evaluated", error=why)
        limits = BY_NAME["store_trouble"].limits((self._alerting.limits,))
        if first.phase is Phase.FIRING or now - first.since < limits.for_s or BY_NAME[
                "store_trouble"].off((self._alerting.limits,)):
            return
        self._store_alert = replace(first, phase=Phase.FIRING, fired_at=now, told_at=now)
        await self._tell_at_once(Notice(PLATFORM, (self._store_alert,), ()), now)

    async def _store_is_back(self) -> None:
        was, self._store_alert = self._store_alert, None
        if was is not None and was.phase is Phase.FIRING:
            now = time.time()
            over = replace(was, phase=Phase.RESOLVED, ended_at=now, text="the store answers again")
            await self._tell_at_once(Notice(PLATFORM, (), (over,)), now)

    async def _tell_at_once(self, notice: Notice, now: float) -> None:
        """Past the outbox, which is in the store; every sink is tried once."""
        async def one(outgoing: Outgoing) -> None:
            try:
                await self._delivery.channels[outgoing.sink].send(outgoing.id, outgoing.body)
            except EsaasError as error:
                log.error("trouble of the store could not be told", sink=outgoing.sink,
                          error=str(error))
        await asyncio.gather(*(one(each) for each in self._outgoing(notice, "", now)))


def _firing(alerts: Mapping[Key, Alert]) -> Collection[Key]:
    return {key for key, one in alerts.items() if one.phase is Phase.FIRING}


def event_of(one: Alert, group: str, now: float, by: str = "") -> AlertEvent:
    """A line of history about what an alert has come to; with ``by``: that somebody has it."""
    kind = "acknowledged" if by else "resolved" if one.phase is Phase.RESOLVED else "firing"
    return AlertEvent.model_validate({
        "at": now, "cluster": "" if group == PLATFORM else group, "event": kind,
        "rule": one.rule, "subject": one.subject, "severity": one.severity.value,
        "text": one.text, "value": one.value, "by": by})


def body_for_test(base_url: str, ident: str, now: float) -> str:
    """A notification that says that it is a test."""
    alert = Alert("test", "", Phase.FIRING, Severity.WARNING,
                  "this is a test: notifications of ESAAS arrive here", now, fired_at=now)
    made: dict[str, Any] = orjson.loads(body_of(Notice(PLATFORM, (alert,), ()), ident, "",
                                                base_url, now))
    return orjson.dumps(made).decode()
