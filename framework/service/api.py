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
    OperationView,
    PlanView,
    RevisionView,
    SecretView,
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

    async def abandon(self, name: str, *, dry_run: bool = False,
                      override: str | None = None) -> Accepted:
        """Give up the change under way: want the last settled revision again, as a new one.

        NotFound; Conflict when no revision before it was settled.
        """

    async def pause(self, name: str, paused: bool) -> Accepted:
        """Begin no further step of a change, or go on; what has begun is finished.

        To go on also approves a canary that waits.
        """

    async def force_step(self, name: str, step: str, gate: str, confirm: str) -> Accepted:
        """Go past one gate that holds a step; recorded, and forgotten when the step is done.

        ``step`` is its id in the plan. ``confirm`` must be the gate's name again: Invalid
        otherwise. NotFound for a step that is not in the plan; Conflict for a gate that does not
        hold it, or that nobody may go past.
        """

    async def restart_step(self, name: str, step: str) -> Accepted:
        """Begin a step anew: at once, whatever back-off; a node that hangs is started again.

        NotFound; Conflict for a step that cannot be begun anew.
        """

    async def replace(self, name: str, node: str, confirm: str, *,
                      dry_run: bool = False) -> Accepted:
        """Another node elsewhere takes a node's place.

        Then it is drained, and its volume destroyed. ``confirm`` must be the node's name again:
        Invalid otherwise. NotFound, Conflict.
        """

    async def keep(self, name: str, node: str) -> Accepted:
        """Take a replacement back, while the node has not been stopped; NotFound, Conflict."""

    async def hold_node(self, name: str, node: str, held: bool) -> Accepted:
        """Stop Elasticsearch on a node, gated, and keep sandbox and volume for debugging.

        Or start it again. NotFound, Conflict.
        """

    async def set_switch(self, name: str, switch: str, value: str,
                         timeout_s: float | None = None) -> Accepted:
        """Set ``allocation``, ``rebalance`` or ``read_only``; after the time-out it goes back.

        NotFound; Invalid for an unknown switch or value.
        """

    async def restore_switch(self, name: str, switch: str) -> Accepted:
        """Let a switch go back to what it was, now; NotFound; unchanged when it is not set."""

    async def run(self, name: str, kind: str, parameters: Any) -> OperationView:
        """Do something once: ``flush`` {index}, ``clear_cache`` {index, kinds: [query, request,
        fielddata]}, ``force_merge`` {index, max_segments}, ``reroute_retry`` {}.

        Recorded with what came of it. NotFound, Malformed, Invalid, Conflict (cluster not formed).
        """

    def operations(self, name: str) -> list[OperationView]:
        """What was done once, newest first; NotFound."""

    def secrets(self, name: str) -> list[SecretView]:
        """Secure settings, without their values; NotFound."""

    async def set_secrets(self, name: str, body: Any) -> Accepted:
        """Set secure settings (key to text) or take them out (key to null), node by node.

        Values go into the nodes' keystores and are never shown again. NotFound, Malformed,
        Invalid with every fault (which never quotes a value).
        """

    async def install_plugin(self, name: str, body: Any, *, dry_run: bool = False) -> Accepted:
        """Want one more plugin {name, url, sha256}, or another source of it; as ``update``."""

    async def remove_plugin(self, name: str, plugin: str, *, dry_run: bool = False) -> Accepted:
        """Want a plugin no more; NotFound when it is not wanted; as ``update``."""

    async def restart(self, name: str, node: str | None = None) -> Accepted:
        """Restart a node in place, or all, one by one and gated; NotFound, Conflict."""

    async def delete(self, name: str, confirm: str) -> Accepted:
        """Stop all nodes, destroy their volumes, free everything, deregister.

        ``confirm`` must be the name again: Invalid otherwise. Again is fine.
        """
