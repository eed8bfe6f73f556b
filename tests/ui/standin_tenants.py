"""The tenants of the stand-in service: records in memory, the real arithmetic, no master."""
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaas.framework.core.facts import Identity
from esaas.framework.core.plan import founded
from esaas.framework.core.quota import Amounts, limit_faults, peak, quota_faults
from esaas.framework.core.spec import ClusterSpec
from esaas.framework.service.errors import Invalid, NotFound
from esaas.framework.service.tenants.records import TenantRecord, parse_request
from esaas.framework.service.tenants.views import (
    AmountsView,
    LimitView,
    MasterView,
    ShareView,
    TenantView,
)

if TYPE_CHECKING:
    from standin_service import Fake


class TenantsStandIn:
    """What ``StandInService`` says of tenants."""

    fakes: dict[str, Fake]
    clock: float
    records: dict[str, TenantRecord]
    away = ""                           # why the master does not answer

    async def tenants(self) -> list[TenantView]:
        names = {*self.records, *(fake.spec.tenant for fake in self.fakes.values())}
        return [self._tenant(name) for name in sorted(names)]

    async def tenant(self, name: str) -> TenantView:
        for one in await self.tenants():
            if one.name == name:
                return one
        raise NotFound(f"no tenant is called {name[:80]!r}")

    async def set_tenant(self, name: str, body: Any) -> TenantView:
        wanted = parse_request(name, body)
        faults = limit_faults(wanted.guarantee.amounts(), wanted.limit.limit(),
                              Amounts.total(self._own(name).values()), forced=wanted.force)
        if faults:
            raise Invalid(f"the quota of {name} cannot be like that", faults)
        self.records[name] = TenantRecord(**dict(wanted), name=name, set_at=self.clock,
                                          standing="pending" if self.away else "applied")
        return self._tenant(name)

    async def remove_tenant(self, name: str) -> TenantView:
        await self.tenant(name)
        if self.records.pop(name, None) is None:
            raise NotFound(f"tenant {name} has no quota")
        return self._tenant(name)

    def check_quota(self, old: ClusterSpec | None, new: ClusterSpec,
                    override: str | None = None) -> None:
        """Invalid when it goes beyond, unless that rule is overridden."""
        record = self.records.get(new.tenant)
        others = {name: own for name, own in self._own(new.tenant).items() if name != new.name}
        before = founded(Identity(old.name, old.tenant, "u", 0.0, None, "f"), old) if old else None
        faults = [fault for fault in (quota_faults(record.quota, others, before, new)
                                      if record else []) if fault.rule != override]
        if faults:
            raise Invalid(f"{new.name} would take more than its quota", faults)

    def _own(self, tenant: str) -> dict[str, Amounts]:
        return {name: peak(None, fake.spec) for name, fake in self.fakes.items()
                if fake.spec.tenant == tenant}

    def _tenant(self, name: str) -> TenantView:
        record, own = self.records.get(name), self._own(name)
        wanted = Amounts.total(own.values())
        said = {} if record is None else {
            "guarantee": record.guarantee, "limit": record.limit, "owner": record.owner,
            "cluster_limit": record.cluster_limit, "cluster_limits": record.clusters,
            "display_name": record.display_name, "contacts": list(record.contacts),
            "set_at": record.set_at}
        used = replace(wanted, cpus=round(wanted.cpus / 2, 3))
        master = None if self.away else MasterView(
            guarantee=record.guarantee if record else AmountsView(),
            limit=record.limit if record else LimitView(), used=AmountsView.of(used),
            reserved=AmountsView.of(wanted), consumed=AmountsView.of(wanted))
        return TenantView(
            name=name, has_quota=record is not None, wanted=AmountsView.of(wanted),
            standing=record.standing if record else "none", master=master,
            master_problem=self.away, clusters=[ShareView(
                cluster=cluster, wanted=AmountsView.of(amounts), limit=LimitView.of(
                    record.quota.of(cluster)) if record else LimitView())
                for cluster, amounts in sorted(own.items())], **said)
