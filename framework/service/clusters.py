"""All clusters of this process: what ``ClusterService`` promises, on the real parts.

Owns the store, the executor's file, and one loop and one link to Mesos per cluster.
"""
from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from .. import __version__
from ..core import events as ev
from ..core.errors import EsaasError, Fault
from ..core.facts import ClusterState, Identity
from ..core.operations import LaunchPayload
from ..core.plan import founded
from ..core.spec import ClusterSpec, Plugin
from ..mesos.link import MesosLink
from ..mesos.translate import ExecutorFile, Supply, framework_info
from ..runtime.chronicle import Told
from ..runtime.cycle import Cycle
from ..runtime.loop import ClusterLoop, Failpoints
from ..settings import Settings
from ..store.codec import CodecError
from ..store.contract import StoreBusy, StoreError
from ..store.sqlite import SqliteStore
from . import present
from .changing import Changing, confirmed
from .delivery import build_executor
from .errors import Conflict, NotFound, Unavailable
from .operating import Operating
from .vault import Vault
from .views import (
    Accepted,
    ClusterDetail,
    ClusterSummary,
    EventView,
    NodeView,
    OfferView,
    PlanView,
    ServiceStatus,
)

log = structlog.get_logger(__name__)

WATCHER_QUEUE = 1000                # a watcher that is further behind loses the oldest
MAX_CLUSTERS = 1000


class Clusters(Changing, Operating):
    """Fulfils ``ClusterService``.

    Raises StoreBusy when another process uses the same state directory, StoreError when it cannot
    be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.executor_file: Path | None = build_executor(settings.state_dir / "executor")
        self._store = SqliteStore(settings.state_dir)
        self._vault = Vault(settings.state_dir)
        self._base_url = settings.advertise_url or ""
        self._instance = f"{socket.gethostname()}:{os.getpid()}"
        self._loops: dict[str, ClusterLoop] = {}
        self._failpoints = Failpoints(settings.failpoint)
        self._watchers: dict[asyncio.Queue[EventView | ClusterSummary], str | None] = {}
        self._creating = asyncio.Lock()
        self._unreadable: dict[str, str] = {}
        self._started_at = time.time()

    def advertise(self, url: str) -> None:
        """The base URL at which agents reach this service, once its port is known."""
        self._base_url = self.settings.advertise_url or url

    async def start(self) -> None:
        """Take up every stored cluster; agents must be able to fetch the executor by now."""
        records = self._store.read("clusters")
        names = sorted({path.split("/")[1] for path in records if path.endswith("/meta")})
        for name in names:
            lease = self._store.acquire(name, self._instance)
            mine = {path: stored for path, stored in records.items()
                    if path.startswith(f"clusters/{name}/")}
            try:
                cycle = Cycle.load(self._store, lease, name, mine)
            except CodecError as error:
                # Its nodes run on; the others must not suffer for it.
                log.critical("cluster cannot be read and is left alone", cluster=name,
                             error=str(error))
                self._unreadable[name] = str(error)
                continue
            self._run(cycle)
        log.info("service started", clusters=len(names), mesos=self.settings.mesos_master)

    async def stop(self) -> None:
        """Disconnect everything; clusters keep running."""
        await asyncio.gather(*(loop.stop() for loop in self._loops.values()))
        self._store.close()

    def _run(self, cycle: Cycle) -> ClusterLoop:
        settings, identity = self.settings, cycle.state.identity
        loop = ClusterLoop(cycle, self._failpoints, settings.observe_busy_s,
                           settings.observe_idle_s, self._told, self._changed, self._removed)
        credentials = settings.credentials_of(identity.tenant)
        framework = framework_info(identity, settings.failover_timeout_s, settings.executor_user,
                                   f"{self._base_url}/clusters/{identity.name}")
        link = MesosLink(identity, settings.mesos_master, framework, self._executor(),
                         partial(self._supply, cycle), loop.deliver,
                         credentials.secret.get_secret_value() if credentials else None)
        self._loops[identity.name] = loop
        loop.start(link)
        return loop

    def _executor(self) -> ExecutorFile:
        assert self.executor_file is not None
        name = self.executor_file.name
        return ExecutorFile(f"{self._base_url}/v1/executor/{name}", name,
                            self.settings.executor_python, self.settings.executor_user)

    def _supply(self, cycle: Cycle, payload: LaunchPayload) -> Supply:
        """Where the parts of a launch come from; EsaasError when one is not to be had."""
        if payload.sidecar is not None:
            return Supply()
        url, sha256 = payload.url, payload.sha256
        if not url or not sha256:
            known = self.settings.distributions.get(payload.version)
            if known is None:
                raise EsaasError(f"no distribution of {payload.version} is known here")
            url, sha256 = known.url, known.sha256
        values = self._vault.read(cycle) if payload.secrets else {}
        missing = sorted(set(payload.secrets) - set(values))
        if missing:
            raise EsaasError(f"secure settings without a value: {', '.join(missing)}")
        return Supply(url, sha256, tuple(self._plugin(item, payload.version)
                                         for item in payload.plugins),
                      {key: values[key] for key in payload.secrets})

    def _plugin(self, plugin: Plugin, version: str) -> tuple[str, str, str]:
        """(name, url, sha256): the spec's own source, the catalog's, or Elastic's by name."""
        if plugin.url and plugin.sha256:
            return plugin.name, plugin.url, plugin.sha256
        known = self.settings.plugins.get(plugin.name, {}).get(version)
        return (plugin.name, known.url, known.sha256) if known else (plugin.name, "", "")

    # ------------------------------------------------------------------ looking

    def status(self) -> ServiceStatus:
        """The service itself."""
        return ServiceStatus(
            version=__version__, instance=self._instance, store="embedded",
            mesos_master=self.settings.mesos_master, clusters=len(self._loops),
            clusters_connected=sum(loop.state.link.connected for loop in self._loops.values()),
            started_at=self._started_at, unreadable=dict(self._unreadable))

    def list_clusters(self, tenant: str | None = None) -> list[ClusterSummary]:
        """All clusters, or a tenant's, by name."""
        return [self._summary(loop) for _, loop in sorted(self._loops.items())
                if tenant is None or loop.state.identity.tenant == tenant]

    @staticmethod
    def _summary(loop: ClusterLoop) -> ClusterSummary:
        return present.summary_view(loop.state, loop.sentence, time.time())

    def show(self, name: str) -> ClusterDetail:
        """One cluster; NotFound."""
        loop = self._loop(name)
        master = loop.link.master if isinstance(loop.link, MesosLink) else None
        return present.detail_view(loop.state, loop.sentence, master, time.time())

    def nodes(self, name: str) -> list[NodeView]:
        """Its nodes; NotFound."""
        state = self._loop(name).state
        return [present.node_view(state, record) for _, record in sorted(state.nodes.items())]

    def plan(self, name: str) -> PlanView:
        """How far it is from its spec; NotFound."""
        return present.plan_view(self._loop(name).state, time.time())

    def endpoints(self, name: str) -> dict[str, list[str]]:
        """HTTP URLs of ready nodes by role; NotFound."""
        return present.endpoints(self._loop(name).state)

    def offers(self, name: str) -> list[OfferView]:
        """The last answer to each agent's offers; NotFound."""
        return list(present.offer_views(self._loop(name).answers))

    def events(self, name: str | None, after: int = 0, limit: int = 200) -> list[EventView]:
        """Lines of history, oldest first; NotFound for a cluster that is not and never was."""
        found = self._store.journal(name, "told", after, limit)
        if name is not None and not found and name not in self._loops:
            raise NotFound(f"no cluster is called {name!r}")
        return [present.event_view(cluster, entry) for cluster, entry in found]

    async def watch(self, name: str | None) -> AsyncIterator[EventView | ClusterSummary]:
        """New events and changed summaries, until the consumer closes it."""
        queue: asyncio.Queue[EventView | ClusterSummary] = asyncio.Queue(WATCHER_QUEUE)
        self._watchers[queue] = name
        try:
            while True:
                yield await queue.get()
        finally:
            del self._watchers[queue]

    def _told(self, name: str, seq: int, at: float, told: Told) -> None:
        write = {"warning": log.warning, "error": log.error}.get(told.level, log.info)
        write("history", cluster=name, kind=told.kind, node=told.node, message=told.message)
        if not self._watchers:
            return
        event = EventView(seq=seq, at=at, cluster=name, kind=told.kind, level=told.level,
                          node=told.node, message=told.message, details=told.details)
        loop = self._loops.get(name)
        self._broadcast(name, event, *([self._summary(loop)] if loop is not None else []))

    def _changed(self, name: str) -> None:
        """A new look at a cluster: open pages show it, clusters that search it learn its nodes."""
        self._tell_remotes(name)
        if self._watchers and name in self._loops:
            self._broadcast(name, self._summary(self._loops[name]))

    def _tell_remotes(self, name: str) -> None:
        """Clusters whose remote clusters follow one another."""
        for loop in self._loops.values():
            for remote in loop.state.spec.remotes:
                other = self._loops.get(remote.cluster or "")
                if other is None or name not in (loop.name, other.name):
                    continue
                seeds = tuple(sorted(record.seat.transport_address for record in
                                     other.state.nodes.values() if record.seat is not None
                                     and not record.retire and other.state.is_ready(record)
                                     and not other.state.is_sidecar(record)))
                if seeds:
                    loop.remote_seen(other.name, seeds)

    def _broadcast(self, name: str, *items: EventView | ClusterSummary) -> None:
        for queue, wanted in self._watchers.items():
            if wanted not in (None, name):
                continue
            for item in items:
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(item)

    # ----------------------------------------------------------------- changing

    async def create(self, body: Any, *, dry_run: bool = False) -> Accepted:
        """Make a cluster; the same spec again changes nothing."""
        spec = self._checked(body)
        async with self._creating:
            existing = self._loops.get(spec.name)
            if existing is not None:
                return self._created_before(existing.state, spec)
            if spec.name in self._unreadable:
                raise Conflict(f"{spec.name} exists, but its records cannot be read: "
                               f"{self._unreadable[spec.name]}")
            if len(self._loops) >= MAX_CLUSTERS:
                raise Conflict(f"this service already runs {len(self._loops)} clusters")
            if dry_run:
                return Accepted(cluster=spec.name, revision=1, changed=True,
                                message="this spec can be carried out; nothing was changed")
            credentials = self.settings.credentials_of(spec.tenant)
            uid = uuid.uuid4().hex[:12]
            # Chosen and stored before Mesos hears of it: a crash between registering and storing
            # would leave a framework behind (docs/adr/0006-framework-id.md).
            identity = Identity(spec.name, spec.tenant, uid, time.time(),
                                credentials.principal if credentials else None,
                                f"esaas-{spec.name}-{uid}")
            try:
                lease = self._store.acquire(spec.name, self._instance)
                cycle = Cycle.create(self._store, lease, founded(identity, spec), time.time())
            except (StoreBusy, StoreError) as error:
                raise Unavailable(f"the cluster could not be stored: {error}") from error
            self._run(cycle)
        return Accepted(cluster=spec.name, revision=1,
                        message=f"{spec.name} is being made; follow its plan")

    @staticmethod
    def _created_before(state: ClusterState, spec: ClusterSpec) -> Accepted:
        name = spec.name
        if state.deleting:
            raise Conflict(f"{name} is being deleted; wait until it is gone", [
                Fault("name", "a cluster of this name is being deleted", "name_is_free")])
        if state.spec != spec:
            raise Conflict(f"{name} exists with another spec", [
                Fault("name", "a cluster of this name exists with another spec", "name_is_free")])
        return Accepted(cluster=name, revision=state.revision, changed=False,
                        message=f"{name} exists with this spec already")

    async def delete(self, name: str, confirm: str) -> Accepted:
        """Stop all nodes, destroy their volumes, free everything, deregister."""
        loop = self._loop(name)
        async with loop.changing:
            return await self._delete(loop, confirm)

    async def _delete(self, loop: ClusterLoop, confirm: str) -> Accepted:
        name = loop.name
        confirmed(confirm, name, "a deletion")
        if loop.state.deleting:
            return Accepted(cluster=name, revision=loop.state.revision, changed=False,
                            message=f"{name} is being deleted already")
        await self._command(loop, ev.DeleteAccepted(time.time()))
        return Accepted(cluster=name, revision=loop.state.revision,
                        message=f"{name} is being deleted, with all its volumes")

    def _removed(self, name: str) -> None:
        loop = self._loops.pop(name)
        self._store.release(loop.cycle.lease)
        log.info("cluster removed", cluster=name)
