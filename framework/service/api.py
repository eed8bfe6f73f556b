"""What people can do with clusters: the one door for API, CLI and UI.

``ClusterService`` is the contract; ``service.clusters.Clusters`` fulfils it. All methods run on
the event loop of the process and either change nothing and raise a ``ServiceError``, or have
stored what they answer.
"""
from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from .views import (
    Accepted,
    ClusterDetail,
    ClusterSummary,
    EventView,
    NodeView,
    OfferView,
    PlanView,
    RevisionView,
    ServiceStatus,
)


class ClusterService(Protocol):
    """The clusters of this service."""

    def status(self) -> ServiceStatus:
        """The service itself."""

    def list_clusters(self, tenant: str | None = None) -> list[ClusterSummary]:
        """All clusters, or a tenant's, by name."""

    def show(self, name: str) -> ClusterDetail:
        """One cluster; NotFound."""

    def nodes(self, name: str) -> list[NodeView]:
        """Its nodes; NotFound."""

    def plan(self, name: str) -> PlanView:
        """How far it is from its spec; NotFound."""

    def endpoints(self, name: str) -> dict[str, list[str]]:
        """HTTP URLs of ready nodes by role: ``http`` (all), ``master``, ``data``, ``ingest``."""

    def offers(self, name: str) -> list[OfferView]:
        """The last answer to each agent's offers; NotFound."""

    def events(self, name: str | None, after: int = 0, limit: int = 200) -> list[EventView]:
        """Events with a sequence number above ``after``, oldest first; all clusters for None.

        With ``after=0`` the newest ``limit``.
        """

    def watch(self, name: str | None) -> AsyncIterator[EventView | ClusterSummary]:
        """New events and changed summaries as they come, until the consumer closes it."""

    async def create(self, body: Any, *, dry_run: bool = False) -> Accepted:
        """Make a cluster from a decoded spec.

        The same spec again is accepted with ``changed=False``. Malformed, Invalid with every
        fault; Conflict when the name is taken by another spec.
        """

    async def update(self, name: str, body: Any, *, dry_run: bool = False,
                     override: str | None = None) -> Accepted:
        """Want another spec: nodes start, are drained, or restart one by one, as it takes.

        ``override`` names one change rule that is not to refuse it; that is recorded. NotFound,
        Malformed, Invalid, Conflict naming every rule that refuses.
        """

    async def scale(self, name: str, group: str, count: int, *, dry_run: bool = False,
                    override: str | None = None) -> Accepted:
        """Change the number of nodes of a group; NotFound, Invalid, Conflict naming the rule."""

    def revisions(self, name: str) -> list[RevisionView]:
        """Every spec that was wanted, newest first; NotFound."""

    async def rollback(self, name: str, revision: int, *, dry_run: bool = False,
                       override: str | None = None) -> Accepted:
        """Want the spec of an earlier revision again, as a new revision; also midway."""

    async def pause(self, name: str, paused: bool) -> Accepted:
        """Begin no further step of a change, or go on; what has begun is finished."""

    async def restart(self, name: str, node: str | None = None) -> Accepted:
        """Restart a node in place, or all, one by one and gated; NotFound, Conflict."""

    async def delete(self, name: str, confirm: str) -> Accepted:
        """Stop all nodes, destroy their volumes, free everything, deregister.

        ``confirm`` must be the name again: Invalid otherwise. Again is fine.
        """
