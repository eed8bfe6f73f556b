"""Tenants and their quota: the part of ``ClusterService`` that people and requests meet.

A quota is stored first and then brought to the master, again and again until that says the same.
Here it refuses requests beforehand, with the arithmetic; on the master it bounds what the tenant's
role is offered and may reserve, whatever happens here.
"""
from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from ...core.errors import EsaasError, Fault
from ...core.facts import ClusterState
from ...core.quota import (
    Amounts,
    capacity_faults,
    held_by,
    limit_faults,
    quota_faults,
)
from ...core.spec import ClusterSpec
from ...mesos.operator import OperatorApi, OperatorError, RoleQuota, RoleUse
from ...settings import Settings
from ...store.codec import CodecError, cluster_path, from_records
from ...store.contract import StoreError
from ..base import Base
from ..errors import Invalid, NotFound, Unavailable
from .applying import apply_quota, differs
from .records import QuotaRequest, Register, Standing, TenantRecord, parse_request
from .views import AmountsView, LimitView, MasterView, ShareView, TenantView

log = structlog.get_logger(__name__)

LOOK_S = 5.0                        # between looks for a quota that is not applied yet
AGAIN_S = 30.0                      # after the master has refused one


@dataclass(frozen=True, slots=True)
class Picture:
    """What the master says, or why it does not."""

    quotas: Mapping[str, RoleQuota]
    roles: Mapping[str, RoleUse]
    problem: str = ""


def operator_of(settings: Settings) -> OperatorApi:
    """The operator API as the settings name it."""
    given = settings.operator_credentials
    return OperatorApi(settings.mesos_master, given.principal if given else None,
                       given.secret.get_secret_value() if given else None)


class Tenants(Base):
    """The part of ``ClusterService`` that knows tenants and their quota."""

    _instance: str
    _register: Register
    _operator: OperatorApi
    _tenant_task: asyncio.Task[None] | None = None

    async def _start_tenants(self) -> None:
        self._tenant_task = asyncio.create_task(self._watch_tenants(), name="tenants")

    async def _stop_tenants(self) -> None:
        if self._tenant_task is not None:
            self._tenant_task.cancel()
            await asyncio.gather(self._tenant_task, return_exceptions=True)
        await self._operator.close()

    async def _watch_tenants(self) -> None:
        """Bring to the master what is not there yet, until cancelled."""
        while True:
            try:
                await self._bring_all()
            except EsaasError as error:
                log.warning("quota cannot be brought to the master now", error=str(error))
            await asyncio.sleep(LOOK_S)

    async def _bring_all(self) -> None:
        for name, record in (await self._register.read()).records.items():
            pause_s = AGAIN_S if record.standing == "refused" else LOOK_S
            if record.standing != "applied" and time.time() - record.tried_at >= pause_s:
                await self._bring(name)

    async def _bring(self, name: str) -> None:
        """One try to bring a tenant's quota to the master, and a note of what came of it.

        One at a time: the last that the master is told is what is on record, never what was.
        """
        async with self._register.bringing():
            record = (await self._register.read()).records.get(name)
            if record is None or record.standing == "applied":
                return
            standing, why = await apply_quota(self._operator, record)
            log.info("quota was brought to the master", tenant=name, standing=standing, why=why)
            await self._noted(record, standing, why)

    async def _bring_soon(self, name: str) -> None:
        """A first try; what was stored stays, and is tried again, whatever comes of it."""
        try:
            await self._bring(name)
        except Unavailable as error:
            log.warning("quota is brought to the master later", tenant=name, error=str(error))

    async def _noted(self, record: TenantRecord, standing: Standing, why: str) -> None:
        """Write down how far a quota has come, unless another one is wanted by now."""
        name = record.name
        async with self._register.turn() as turn:
            if turn.page.records.get(name) != record:
                return
            if standing == "applied" and record.removing:
                await turn.write(turn.page.delete(name))
            else:
                await turn.write(turn.page.put(record.model_copy(update={
                    "standing": standing, "why": why, "tried_at": time.time()})))

    # -------------------------------------------------------------------- checking

    @asynccontextmanager
    async def _quota_checked(self, old: ClusterState | None,
                             new: ClusterSpec) -> AsyncIterator[list[Fault]]:
        """What a spec takes beyond the quota; nobody else of a tenant with one changes meanwhile.

        What is stored in the body counts for whoever comes next. Unavailable.
        """
        record = (await self._register.read()).records.get(new.tenant)
        if record is None:
            yield []
            return
        async with self._register.turn() as turn:
            record = turn.page.records.get(new.tenant)
            if record is None or record.removing:
                yield []
                return
            others = await self._reserved(new.tenant)
            others.pop(new.name, None)
            yield quota_faults(record.quota, others, old, new)

    async def _reserved(self, tenant: str | None = None) -> dict[str, Amounts]:
        """The most that each cluster of a tenant, or of all, may hold now."""
        return {state.spec.name: held_by(state) for state in await self._states()
                if tenant is None or state.spec.tenant == tenant}

    async def _states(self) -> list[ClusterState]:
        """All clusters; those that other processes run are read from the store; StoreError."""
        stored = await asyncio.to_thread(self._store.names)
        mine = {name: loop.state for name, loop in self._loops.items()}
        others = [await asyncio.to_thread(self._stored_state, name)
                  for name in sorted(stored - mine.keys())]
        return [*mine.values(), *(state for state in others if state is not None)]

    def _stored_state(self, name: str) -> ClusterState | None:
        records = self._store.read(cluster_path(name))
        try:
            return from_records(records, name) if records else None
        except CodecError as error:     # it is left alone; what it reserves is not known
            log.warning("cluster does not count against a quota", cluster=name, error=str(error))
            return None

    # --------------------------------------------------------------------- looking

    async def tenants(self) -> list[TenantView]:
        """Every tenant with a record or a cluster, by name."""
        records = (await self._register.read()).records
        states, picture = await self._all_states(), await self._picture()
        names = sorted({*records, *(state.spec.tenant for state in states)})
        return [_view(name, records.get(name), states, picture) for name in names]

    async def tenant(self, name: str) -> TenantView:
        """One of them; NotFound."""
        found = next((view for view in await self.tenants() if view.name == name), None)
        if found is None:
            raise NotFound(f"no tenant is called {name[:80]!r}: none has a quota or a cluster")
        return found

    async def _all_states(self) -> list[ClusterState]:
        try:
            return await self._states()
        except StoreError as error:
            raise Unavailable(f"clusters cannot be read now: {error}") from error

    async def _picture(self) -> Picture:
        try:
            quotas, roles = await asyncio.gather(self._operator.get_quota(),
                                                 self._operator.get_roles())
        except OperatorError as error:
            return Picture({}, {}, str(error))
        return Picture(quotas, roles)

    # -------------------------------------------------------------------- changing

    async def set_tenant(self, name: str, body: Any) -> TenantView:
        """Set who a tenant is and its quota: stored, then brought to the master.

        The answer says whether the master has it already. Malformed, Invalid with every fault,
        Unavailable.
        """
        wanted = parse_request(name, body)
        async with self._register.turn() as turn:
            faults = await self._faults(name, wanted, turn.page.records)
            if faults:
                raise Invalid(f"the quota of {name} cannot be like that", faults)
            record = TenantRecord(**dict(wanted), name=name, set_at=time.time())
            await turn.write(turn.page.put(record))
        await self._bring_soon(name)
        return await self.tenant(name)

    async def _faults(self, name: str, wanted: QuotaRequest,
                      records: Mapping[str, TenantRecord]) -> list[Fault]:
        used = Amounts.total((await self._reserved(name)).values())
        guarantee = wanted.guarantee.amounts()
        faults = limit_faults(guarantee, wanted.limit.limit(), used, forced=wanted.force)
        if wanted.force or guarantee == Amounts():
            return faults
        try:
            capacity, quotas = await asyncio.gather(self._operator.capacity(),
                                                    self._operator.get_quota())
        except OperatorError as error:
            # The master checks the same when the quota comes to it.
            log.warning("capacity of the agents is not known now", error=str(error))
            return faults
        others = {role: quota.guarantee for role, quota in quotas.items()} | {
            other: record.wanted.guarantee for other, record in records.items()}
        others = {role: given for role, given in others.items()
                  if role != name and "/" not in role and given != Amounts()}
        return [*faults, *capacity_faults(name, guarantee, others, capacity)]

    async def remove_tenant(self, name: str) -> TenantView:
        """Remove a tenant's record and its quota from the master; clusters stay, without limit.

        The answer is what is left: nothing of it once the master has forgotten it. NotFound,
        Unavailable.
        """
        before = await self.tenant(name)
        async with self._register.turn() as turn:
            record = turn.page.records.get(name)
            if record is None:
                raise NotFound(f"tenant {name} has no quota")
            await turn.write(turn.page.put(record.model_copy(update={
                "removing": True, "standing": "pending", "why": "", "tried_at": 0.0})))
        await self._bring_soon(name)
        found = [view for view in await self.tenants() if view.name == name]
        return found[0] if found else TenantView(
            name=name, has_quota=False, standing="none", wanted=before.wanted)


def _view(name: str, record: TenantRecord | None, states: list[ClusterState],
          picture: Picture) -> TenantView:
    own = {state.spec.name: held_by(state) for state in states if state.spec.tenant == name}
    shares = [ShareView(cluster=cluster, wanted=AmountsView.of(amounts), limit=LimitView.of(
        record.quota.of(cluster)) if record is not None else LimitView())
        for cluster, amounts in sorted(own.items())]
    said: dict[str, Any] = {"has_quota": False, "standing": "none"} if record is None else {
        "has_quota": True, "standing": record.standing, "why": record.why,
        "removing": record.removing, "set_at": record.set_at, "guarantee": record.guarantee,
        "limit": record.limit, "cluster_limit": record.cluster_limit,
        "cluster_limits": record.clusters, "display_name": record.display_name,
        "owner": record.owner, "contacts": list(record.contacts)}
    return TenantView(name=name, wanted=AmountsView.of(Amounts.total(own.values())),
                      clusters=shares, master=_master(name, record, picture),
                      master_problem=picture.problem, **said)


def _master(name: str, record: TenantRecord | None, picture: Picture) -> MasterView | None:
    if picture.problem:
        return None
    quota, use = picture.quotas.get(name, RoleQuota()), picture.roles.get(name, RoleUse())
    applied = record is not None and record.standing == "applied"
    wanted = record.wanted if record is not None else RoleQuota()
    drift = differs(wanted, quota) if applied or record is None else ""
    return MasterView(
        guarantee=AmountsView.of(quota.guarantee), limit=LimitView.of(quota.limit),
        used=AmountsView.of(use.allocated), reserved=AmountsView.of(use.reserved),
        consumed=AmountsView.of(use.consumed), drift=drift)
