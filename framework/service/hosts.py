"""Hosts that people take out of service, and put back: for all clusters of the service at once.

What people have said is a record of its own, so that clusters which come later, or are taken up by
another process, know it, too.
"""
from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any

import orjson
import structlog
from pydantic import BaseModel, ConfigDict

from ..core import events as ev
from ..core.errors import EsaasError, Fault
from ..core.facts import ALIVE, ClusterState, HostPlan
from ..core.maintenance import MOVE, PEOPLE, STOP, mode_for
from ..runtime.loop import ClusterLoop
from ..store.contract import Delete, Put, StoreError
from ..store.leasing import OVERTAKEN, leased
from .base import Base
from .errors import Invalid, NotFound, Unavailable
from .foreign import Word
from .views import AgentView, MaintenanceView, SeatView

log = structlog.get_logger(__name__)

HOSTS = "hosts"                     # a folder of records
LEASE = "_hosts"                    # no name of a cluster begins like that
LOOK_S = 5.0                        # other processes' words on hosts are seen so late at most
MODES = ("auto", MOVE, STOP)
MAX_AHEAD_S = 365 * 86400.0


class _Record(BaseModel):
    """What people have said of a host."""

    model_config = ConfigDict(frozen=True)

    asked_at: float
    begins: float
    ends: float | None
    mode: str

    def plan(self) -> HostPlan:
        """As the core knows it."""
        return HostPlan(self.asked_at, self.begins, self.ends, PEOPLE, self.mode)


class Hosts(Base):
    """The part of ``ClusterService`` that takes hosts out of service."""

    _instance: str
    _host_records: dict[str, tuple[_Record, int]]
    _host_task: asyncio.Task[None] | None

    async def _watch_hosts(self) -> None:
        """See what other processes were told, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._read_hosts()
            except StoreError as error:
                log.warning("hosts cannot be looked up now", error=str(error))

    async def _read_hosts(self) -> None:
        found = await asyncio.to_thread(self._store.read, HOSTS)
        self._host_records = {
            path.removeprefix(f"{HOSTS}/"): (_Record.model_validate(orjson.loads(stored.data)),
                                             stored.version)
            for path, stored in found.items()}
        for loop in list(self._loops.values()):
            await self._align_hosts(loop)

    async def _align_hosts(self, loop: ClusterLoop) -> None:
        """Tell a cluster what people have said since it last heard."""
        known, now = loop.state.maintenance, time.time()
        wanted = {host: record.plan() for host, (record, _) in self._host_records.items()}
        told: list[ev.Event] = [ev.HostLeaves(now, host, plan) for host, plan in wanted.items()
                                if known.get(host) != plan]
        told += [ev.HostBack(now, host) for host, plan in known.items()
                 if plan.source == PEOPLE and host not in wanted]
        for event in told:
            try:
                await loop.command(event)
            except EsaasError as error:         # the next look tells it again
                log.warning("cluster was not told of a host", cluster=loop.name, error=str(error))

    # --------------------------------------------------------------------- looking

    def agents(self) -> list[AgentView]:
        """Hosts with nodes of ours, and those under maintenance; by name."""
        seats: dict[str, list[SeatView]] = defaultdict(list)
        plans: dict[str, MaintenanceView] = {}
        words = {name: word for name, (_, word) in self._foreign.words.items()} | {
            name: seats_of(loop.state) for name, loop in self._loops.items()}
        for _, word in sorted(words.items()):
            plans |= word.maintenance
            for seat in word.nodes:
                seats[seat.host].append(seat)
        plans |= {host: maintenance_view(record.plan())
                  for host, (record, _) in self._host_records.items()}
        return [AgentView(
            host=host, nodes=seats.get(host, []), maintenance=plans.get(host),
            rack=next((seat.rack for seat in seats.get(host, []) if seat.rack), None),
            empty=not any(seat.alive for seat in seats.get(host, [])))
            for host in sorted({*seats, *plans})]

    def agent(self, host: str) -> AgentView:
        """One of them; NotFound."""
        found = next((view for view in self.agents() if view.host == host), None)
        if found is None:
            raise NotFound(f"no node of this service is on {host!r}, and none was asked off it")
        return found

    # -------------------------------------------------------------------- changing

    async def drain_agent(self, host: str, mode: str = "auto", begins_in_s: float = 0.0,
                          lasts_s: float | None = None) -> AgentView:
        """Take a host out of service: its nodes are stopped in order, or moved away first.

        ``auto`` stops them when it is said to last at most an hour, and moves them otherwise. The
        same request again changes nothing. NotFound, Invalid, Unavailable.
        """
        faults = []
        if mode not in MODES:
            faults.append(Fault("mode", f"one of {', '.join(MODES)}", "drain_mode"))
        if not 0 <= begins_in_s <= MAX_AHEAD_S:
            faults.append(Fault("begins_in_s", "0 to a year, in seconds", "drain_begins"))
        if lasts_s is not None and not 0 < lasts_s <= MAX_AHEAD_S:
            faults.append(Fault("lasts_s", "above 0 and at most a year, in seconds",
                                "drain_lasts"))
        if faults:
            raise Invalid(f"{host} cannot be drained like that", faults)
        self.agent(host)
        now = time.time()
        ends = now + begins_in_s + lasts_s if lasts_s is not None else None
        chosen = mode_for(now + begins_in_s, ends) if mode == "auto" else mode
        known = self._host_records.get(host)
        if known is None or known[0].mode != chosen or begins_in_s or lasts_s is not None:
            await self._write_host(host, _Record(asked_at=now, begins=now + begins_in_s,
                                                 ends=ends, mode=chosen))
        return self.agent(host)

    async def restore_agent(self, host: str) -> AgentView:
        """Put a host back into service; fine when it is. NotFound, Unavailable."""
        before = self.agent(host)
        if host in self._host_records:
            await self._write_host(host, None)
        found = next((view for view in self.agents() if view.host == host), None)
        return found or before.model_copy(update={"maintenance": None})

    async def _write_host(self, host: str, record: _Record | None) -> None:
        version = self._host_records[host][1] if host in self._host_records else 0
        path = f"{HOSTS}/{host}"
        change = (Delete(path, version) if record is None
                  else Put(path, record.model_dump_json().encode(), version))
        try:
            await asyncio.to_thread(self._write_shared, change)
            await self._read_hosts()
        except OVERTAKEN as error:
            raise Unavailable(f"somebody else changes {host} in this moment") from error
        except StoreError as error:
            raise Unavailable(f"the request could not be stored: {error}") from error

    def _write_shared(self, change: Put | Delete) -> None:
        with leased(self._store, LEASE, self._instance) as lease:
            self._store.write(lease, [change])


def check_host(host: Any) -> str:
    """A host name that may be part of a record's path; NotFound otherwise."""
    text = str(host)
    if not text or len(text) > 253 or "/" in text or text in (".", ".."):
        raise NotFound(f"no host is called {text[:80]!r}")
    return text


def seats_of(state: ClusterState) -> Word:
    """Where the nodes of a cluster sit, and which hosts are to go, as a word on it."""
    return Word(
        name=state.identity.name, snapshot_place=state.spec.snapshot_place,
        maintenance={host: maintenance_view(plan) for host, plan in state.maintenance.items()},
        nodes=[SeatView(
            host=record.seat.host, rack=record.seat.attribute("rack"),
            cluster=state.identity.name, tenant=state.identity.tenant, node=record.name,
            state="ready" if state.is_ready(record) else record.state.value,
            alive=record.state in ALIVE)
            for record in state.nodes.values() if record.seat is not None])


def maintenance_view(plan: HostPlan) -> MaintenanceView:
    """What is planned for a host, for people."""
    return MaintenanceView(
        mode="stop" if plan.mode == STOP else "move", source=plan.source,
        asked_at=plan.asked_at, begins=plan.begins, ends=plan.ends)
