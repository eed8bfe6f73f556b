"""The service as one person may see it: only clusters of his tenants, and only as long."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from esaas.framework.service.access.people import Principal
from esaas.framework.service.api import ClusterService
from esaas.framework.service.endpoints import all_endpoints
from esaas.framework.service.errors import NotFound
from esaas.framework.service.tenants.views import TenantView
from esaas.framework.service.views import (
    AllEndpoints,
    ClusterSummary,
    EventView,
    ServiceStatus,
)

from .context import Context

PAGE = 200


class Visible:
    """What goes over all clusters, without those of other tenants.

    A single cluster by name was checked before (``gate.check_cluster``).
    """

    def __init__(self, service: ClusterService, principal: Principal) -> None:
        self._service, self._principal = service, principal

    def status(self) -> ServiceStatus:
        """The service itself; the names of clusters that cannot be read only to whom all belong."""
        found = self._service.status()
        return found if self._principal.tenants is None else found.model_copy(
            update={"unreadable": {}, "owners": {}})

    def list_clusters(self, tenant: str | None = None) -> list[ClusterSummary]:
        """All that he sees, or those of one tenant, by name."""
        tenants = self._principal.tenants
        if tenants is None:
            return self._service.list_clusters(tenant)
        wanted = tenants if tenant is None else tenants & {tenant}
        return sorted((one for each in wanted for one in self._service.list_clusters(each)),
                      key=lambda one: one.name)

    def discover_all(self) -> AllEndpoints:
        """Where the clusters that he sees are reached; Unavailable while the service starts."""
        found = self._service.discover_all()
        if self._principal.tenants is None:
            return found
        return all_endpoints([view for view in found.clusters
                              if self._principal.sees(view.tenant)], found.complete)

    async def tenants(self) -> list[TenantView]:
        """Those that he sees, by name; Unavailable."""
        return [one for one in await self._service.tenants() if self._principal.sees(one.name)]

    def endpoints(self, name: str) -> dict[str, list[str]]:
        """As the service; NotFound."""
        return self._service.endpoints(name)

    async def events(self, name: str | None, after: int = 0,
                     limit: int = 200) -> list[EventView]:
        """As the service, of the clusters that he sees; NotFound."""
        if self._principal.tenants is None:
            return await self._service.events(name, after, limit)
        if name is not None:
            since = self._service.owner(name).created_at
            return [event async for event in self._events_of(name, since, after, limit)]
        found = [event for one in self._service.owners() if self._principal.sees(one.tenant)
                 async for event in self._events_of(one.name, one.created_at, after, limit)]
        found.sort(key=lambda event: event.seq)
        return found[:limit] if after else found[-limit:]

    async def _events_of(self, name: str, since: float, after: int,
                         limit: int) -> AsyncIterator[EventView]:
        """Of one cluster; another one that had its name before may have been somebody else's."""
        while batch := await self._service.events(name, after, limit):
            mine = [event for event in batch if event.at >= since]
            for event in mine:
                yield event
            if mine or not after:
                return
            after = batch[-1].seq

    async def watch(self, name: str | None) -> AsyncIterator[EventView | ClusterSummary]:
        """As the service, of the clusters that he sees, until the consumer closes it."""
        items = self._service.watch(name)
        try:
            async for item in items:
                if self._sees(item):
                    yield item
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

    def _sees(self, item: EventView | ClusterSummary) -> bool:
        if self._principal.tenants is None:
            return True
        if isinstance(item, ClusterSummary):
            return self._principal.sees(item.tenant)
        try:
            return self._principal.sees(self._service.owner(item.cluster).tenant)
        except NotFound:
            return False        # gone already; nobody can say whose it was


async def while_allowed(context: Context, principal: Principal,
                        work: Coroutine[Any, Any, None]) -> None:
    """Do long work, as a stream is, until its end or until its principal may not see it any more.

    A failure of the work is raised.
    """
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=context.heartbeat_s)
            if context.login and not task.done():
                await context.access.fresh()
                if not context.access.still(principal):
                    return
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
