"""Where clusters are reached, and a bell that rings when that changes.

What was known of a cluster is kept while it goes from one process to another: whoever follows the
endpoints must not take it for deleted.
"""
from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection

import orjson

from ..core.facts import ClusterState, NodeRecord
from ..runtime.loop import ClusterLoop
from .base import Base
from .errors import Unavailable
from .ports import Ports
from .sharing import Sharing
from .views import AllEndpoints, EndpointsView, NodeEndpoint

ROLES = ("master", "data", "ingest")


class Endpoints(Ports, Base):
    """The part of ``ClusterService`` that tells where clusters are reached."""

    _sharing: Sharing | None
    _reached: dict[str, EndpointsView]      # as last known, by cluster
    _rung: asyncio.Event
    _told_complete = False

    def discover(self, name: str) -> EndpointsView:
        """Where a cluster is reached; NotFound."""
        return self._endpoints_of(self._loop(name))

    def discover_all(self) -> AllEndpoints:
        """Where all clusters are reached; Unavailable while the service starts."""
        shared = self._sharing.shared if self._sharing is not None else None
        if shared is None or not shared.members:
            raise Unavailable("the service is starting; try again in a moment")
        for name in self._loops.keys() - self._reached.keys():
            self._touch(name)
        self._told_complete = not shared.names - self._reached.keys()
        return all_endpoints([view for _, view in sorted(self._reached.items())],
                             self._told_complete)

    def bell(self) -> asyncio.Event:
        """Is set when any cluster is reached elsewhere than at the time of this call."""
        return self._rung

    def _ring(self) -> None:
        self._rung.set()
        self._rung = asyncio.Event()

    def _endpoints_of(self, loop: ClusterLoop) -> EndpointsView:
        return endpoints_view(loop.state, self._ports_of(loop.state))

    def _touch(self, name: str) -> None:
        """Look where a cluster is reached now, and tell if that is new."""
        loop = self._loops.get(name)
        found = self._endpoints_of(loop) if loop is not None else self._foreign.endpoints(name)
        if found is not None and found != self._reached.get(name):
            self._reached[name] = found
            self._ring()

    def _forget_reached(self, names: Collection[str]) -> None:
        """These clusters are no more."""
        if names & self._reached.keys():
            self._reached = {name: view for name, view in self._reached.items()
                             if name not in names}
            self._ring()

    def _ports_changed(self) -> None:
        """Virtual ports were read anew; clusters may have gone meanwhile."""
        for name in self._loops:
            self._touch(name)
        shared = self._sharing.shared if self._sharing is not None else None
        if shared is not None and shared.members:
            self._forget_reached(self._reached.keys() - shared.names - self._loops.keys()
                                 - self._foreign.words.keys())
            if (not shared.names - self._reached.keys()) is not self._told_complete:
                self._ring()


def takes_requests(state: ClusterState, record: NodeRecord) -> bool:
    """Whether requests should go to a node: a member, and not about to be stopped."""
    turning = bool(record.recycle) and record.launch == record.recycle
    return (record.seat is not None and state.is_ready(record) and not state.is_sidecar(record)
            and not turning and not record.retire)


def endpoints_view(state: ClusterState, virtual_ports: dict[str, int]) -> EndpointsView:
    """Where a cluster is reached.

    Nodes that leave are left out while others are there: they go as soon as they are drained.
    """
    serving = [record for _, record in sorted(state.nodes.items())
               if takes_requests(state, record)]
    nodes = []
    for record in [record for record in serving if not record.leaving] or serving:
        group = state.group_of(record)
        assert record.seat is not None
        nodes.append(NodeEndpoint(name=record.name, address=record.seat.http_address,
                                  roles=list(group.roles) if group else []))
    return reached(state.identity.name, state.identity.tenant, nodes,
                   secured=state.tls is not None, virtual_ports=virtual_ports)


def reached(cluster: str, tenant: str, nodes: list[NodeEndpoint], *, secured: bool,
            virtual_ports: dict[str, int]) -> EndpointsView:
    """A view of these nodes, with its version."""
    scheme = "https" if secured else "http"
    urls = {"http": [f"{scheme}://{node.address}" for node in nodes]} | {
        role: [f"{scheme}://{node.address}" for node in nodes if role in node.roles]
        for role in ROLES}
    found = EndpointsView(cluster=cluster, tenant=tenant, version="", secured=secured,
                          virtual_ports=virtual_ports, nodes=nodes, **urls)
    return found.model_copy(update={"version": _hash(found.model_dump())})


def all_endpoints(clusters: list[EndpointsView], complete: bool) -> AllEndpoints:
    """All of them, with the version of the whole."""
    return AllEndpoints(clusters=clusters, complete=complete, version=_hash(
        [complete, [(view.cluster, view.version) for view in clusters]]))


def _hash(content: object) -> str:
    return hashlib.sha256(orjson.dumps(content)).hexdigest()[:16]
