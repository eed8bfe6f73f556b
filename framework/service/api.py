"""What people can do with clusters: the one door for API, CLI and UI.

``ClusterService`` is the contract; ``service.clusters.Clusters`` fulfils it. All methods run on
the event loop of the process and either change nothing and raise a ``ServiceError``, or have
stored what they answer.
"""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from ..telemetry.readings import Board
from .alerts.views import AlertEvent, AlertView, SilenceView, SinkResult
from .autoscaling_views import AutoscaleView
from .hotspot_views import HostSpotsView, HotspotsView
from .housekeeping_views import HousekeepingView
from .log_views import LogAsked, LogHitsView, LogsView, LogTextView
from .platform import PlatformView
from .releases import Follower, FollowerRequest, OutcomeRequest, Release, ReleaseRequest
from .snapshot_views import SnapshotsView
from .tenants.views import TenantView
from .views import (
    Accepted,
    AgentView,
    AllEndpoints,
    ClusterDetail,
    ClusterSummary,
    CredentialsView,
    EndpointsView,
    EventView,
    HostLoadView,
    NodeView,
    OfferView,
    OperationView,
    Owner,
    PlanView,
    RevisionView,
    SecretView,
    SeriesView,
    ServiceStatus,
)


class ClusterService(Protocol):
    """The clusters of this service."""

    board: Board

    def status(self) -> ServiceStatus:
        """The service itself."""

    def list_clusters(self, tenant: str | None = None) -> list[ClusterSummary]:
        """All clusters, or a tenant's, by name."""

    def owner(self, name: str) -> Owner:
        """Whose a cluster is; NotFound."""

    def owners(self) -> list[Owner]:
        """Whose each cluster is, by name; cheap, for whoever must not see all of them."""

    def show(self, name: str) -> ClusterDetail:
        """One cluster; NotFound."""

    def nodes(self, name: str) -> list[NodeView]:
        """Its nodes; NotFound."""

    def plan(self, name: str) -> PlanView:
        """How far it is from its spec; NotFound."""

    def endpoints(self, name: str) -> dict[str, list[str]]:
        """HTTP URLs of ready nodes by role: ``http`` (all), ``master``, ``data``, ``ingest``."""

    def discover(self, name: str) -> EndpointsView:
        """Where a cluster is reached; NotFound."""

    def discover_all(self) -> AllEndpoints:
        """Where all clusters are reached; Unavailable while the service starts."""

    def bell(self) -> asyncio.Event:
        """Is set when any cluster is reached elsewhere than at the time of this call."""

    def offers(self, name: str) -> list[OfferView]:
        """The last answer to each agent's offers; NotFound."""

    async def series(self, name: str, metric: str, node: str | None = None,
                     since: float | None = None, until: float | None = None,
                     points: int = 300) -> SeriesView:
        """A metric of a cluster or (``*``: all) its nodes; NotFound, Invalid."""

    async def host_series(self, host: str, metric: str, since: float | None = None,
                          until: float | None = None, points: int = 300) -> SeriesView:
        """A metric of a host, as far as this process has seen it; Invalid."""

    def own_metrics(self) -> bytes:
        """What this process counts of its own work, in the text format of Prometheus."""

    def hosts_load(self) -> list[HostLoadView]:
        """The newest figures of all hosts that this process has seen."""

    async def events(self, name: str | None, after: int = 0,
                     limit: int = 200) -> list[EventView]:
        """Events with a sequence number above ``after``, oldest first; all clusters for None.

        With ``after=0`` the newest ``limit``.
        """

    def watch(self, name: str | None) -> AsyncIterator[EventView | ClusterSummary]:
        """New events and changed summaries as they come, until the consumer closes it."""

    async def create(self, body: Any, *, dry_run: bool = False,
                     override: str | None = None) -> Accepted:
        """Make a cluster from a decoded spec.

        ``override`` names the one quota that is not to refuse it. The same spec again is accepted
        with ``changed=False``. Malformed, Invalid with every fault; Conflict when the name is
        taken by another spec.
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

    async def revisions(self, name: str) -> list[RevisionView]:
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

    async def reregister(self, name: str, confirm: str) -> Accepted:
        """Register a cluster as a new framework after its own was removed from Mesos.

        Its nodes start again on their volumes. ``confirm`` must be its name again: Invalid
        otherwise. NotFound; Conflict while Mesos does not say that it was removed.
        """

    async def release_orphan(self, name: str, orphan: str, confirm: str) -> Accepted:
        """Destroy what is reserved for a cluster and belongs to no node of it.

        ``confirm`` must be its id again: Invalid otherwise. NotFound.
        """

    def agents(self) -> list[AgentView]:
        """Hosts with nodes of the service, and those under maintenance; by name."""

    def agent(self, host: str) -> AgentView:
        """One host; NotFound."""

    async def drain_agent(self, host: str, mode: str = "auto", begins_in_s: float = 0.0,
                          lasts_s: float | None = None) -> AgentView:
        """Take a host out of service: its nodes are stopped in order, or moved first.

        ``mode`` is auto, stop or move. NotFound, Invalid, Unavailable.
        """

    async def restore_agent(self, host: str) -> AgentView:
        """Put a host back into service; NotFound, Unavailable."""

    async def tenants(self) -> list[TenantView]:
        """Every tenant with a quota or a cluster, by name; Unavailable."""

    async def tenant(self, name: str) -> TenantView:
        """One tenant: its quota, what is used of it, what the master says; NotFound."""

    async def set_tenant(self, name: str, body: Any) -> TenantView:
        """Set who a tenant is and its quota: stored, then brought to the master.

        Malformed, Invalid with every fault and the arithmetic, Unavailable.
        """

    async def remove_tenant(self, name: str) -> TenantView:
        """Remove a tenant's quota here and on the master; its clusters stay. NotFound."""

    async def alerts(self, cluster: str | None = None) -> list[AlertView]:
        """Pending and firing alerts, the worst and newest first; Unavailable."""

    async def alert_history(self, cluster: str | None = None) -> list[AlertEvent]:
        """What fired, was over and was acknowledged, newest first; Unavailable."""

    def alert_counts(self) -> dict[str, tuple[int, int]]:
        """(critical, warning) that fire and that nobody has, by cluster."""

    async def acknowledge(self, ident: str, by: str, comment: str = "") -> AlertView:
        """Say that somebody looks after an alert; NotFound, Conflict, Unavailable."""

    async def silences(self) -> list[SilenceView]:
        """Those that have not ended; Unavailable."""

    async def add_silence(self, body: Any, by: str) -> SilenceView:
        """Keep alerts that match quiet for a while; Malformed, Invalid, Conflict, Unavailable."""

    async def remove_silence(self, ident: str) -> list[SilenceView]:
        """End a silence now, and give those that are left; NotFound, Unavailable."""

    async def test_sinks(self, sink: str | None = None) -> list[SinkResult]:
        """Send a test to one sink or to all and say what came of it; NotFound."""

    async def run(self, name: str, kind: str, parameters: Any) -> OperationView:
        """Do something once: ``flush`` {index}, ``clear_cache`` {index, kinds: [query, request,
        fielddata]}, ``force_merge`` {index, max_segments}, ``reroute_retry`` {}.

        Recorded with what came of it. NotFound, Malformed, Invalid, Conflict (cluster not formed).
        """

    def operations(self, name: str) -> list[OperationView]:
        """What was done once, newest first; NotFound."""

    def node_hosts(self) -> dict[tuple[str, str], str]:
        """Host by cluster and node, of the clusters that run in this process."""

    async def platform(self) -> PlatformView:
        """Agents, schedulers, processes, store and masters, as they were seconds ago at most."""

    async def releases(self) -> list[Release]:
        """Releases on record, newest first, without their specs; Unavailable."""

    async def release(self, ident: str) -> Release:
        """One release, whole; NotFound, Unavailable."""

    async def begin_release(self, wanted: ReleaseRequest, by: str) -> Release:
        """Put a release on record before its clusters are changed; Invalid, Unavailable."""

    async def release_outcome(self, ident: str, outcome: OutcomeRequest) -> Release:
        """Say what came of one of its clusters; NotFound, Conflict, Unavailable."""

    async def followers(self) -> list[Follower]:
        """Who follows which branch, by name; Unavailable."""

    async def follower_seen(self, name: str, seen: FollowerRequest, by: str) -> Follower:
        """Say what a follower has seen; Invalid, Conflict, Unavailable."""

    async def remove_follower(self, name: str) -> None:
        """Forget a follower; NotFound, Unavailable."""

    async def hotspots(self, name: str, dimension: str | None = None) -> HotspotsView:
        """How evenly a cluster's nodes bear their load, and what moving which shard would do.

        NotFound, Invalid for an unknown dimension, Unavailable.
        """

    async def autoscale(self, name: str) -> AutoscaleView:
        """What every group with a policy should do, why, and what holds it; NotFound."""

    async def housekeeping(self, name: str) -> HousekeepingView:
        """What every policy of a cluster sees, would do next, and waits for.

        NotFound, Unavailable.
        """

    async def apply_hotspots(self, name: str, dimension: str | None,
                             proposal: str) -> OperationView:
        """Move what a proposal moves, gated; NotFound, Invalid, Conflict, Unavailable."""

    def host_spots(self) -> HostSpotsView:
        """How evenly hosts bear their load, as far as this process knows them."""

    async def logs(self, name: str, node: str | None = None) -> LogsView:
        """Which logs there are of a cluster's nodes and their former starts, or of one node.

        NotFound, Unavailable.
        """

    async def log_text(self, name: str, node: str, asked: LogAsked) -> LogTextView:
        """The end of a log, or a part of it; NotFound, Unavailable."""

    async def log_hits(self, name: str, node: str, asked: LogAsked, wanted: str,
                       before: int | None = None) -> LogHitsView:
        """Lines of a log with a text, within bounds; NotFound, Unavailable."""

    async def snapshots(self, name: str) -> SnapshotsView:
        """How it stands with a cluster's snapshots, and what its repository holds; NotFound."""

    def secrets(self, name: str) -> list[SecretView]:
        """Secure settings, without their values; NotFound."""

    async def set_secrets(self, name: str, body: Any) -> Accepted:
        """Set secure settings (key to text) or take them out (key to null), node by node.

        Values go into the nodes' keystores and are never shown again. NotFound, Malformed,
        Invalid with every fault (which never quotes a value).
        """

    async def credentials(self, name: str) -> CredentialsView:
        """User, password and authority of a secured cluster, for people; recorded without them.

        NotFound, Conflict for a cluster that is not secured, Unavailable.
        """

    async def rotate_certificates(self, name: str) -> Accepted:
        """Give every node of a secured cluster a new certificate, node by node and gated.

        NotFound, Conflict.
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
