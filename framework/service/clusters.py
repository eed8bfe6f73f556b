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
from pathlib import Path
from typing import Any

import structlog

from .. import __version__
from ..core import events as ev
from ..core.errors import EsaasError, Fault
from ..core.facts import ClusterState, Identity
from ..core.plan import founded
from ..core.spec import ClusterSpec, SpecFaults, parse_spec
from ..core.validate import NEVER_OVERRIDDEN
from ..mesos.link import MesosLink
from ..mesos.translate import ExecutorFile, framework_info
from ..runtime.chronicle import Told
from ..runtime.cycle import Cycle
from ..runtime.loop import ClusterLoop, Failpoints
from ..settings import Settings
from ..store.codec import CodecError
from ..store.contract import StoreBusy, StoreError
from ..store.sqlite import SqliteStore
from . import change, present
from .delivery import build_executor
from .errors import Conflict, Invalid, Malformed, NotFound, Unavailable
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

log = structlog.get_logger(__name__)

WATCHER_QUEUE = 1000                # a watcher that is further behind loses the oldest
MAX_CLUSTERS = 1000


class Clusters:
    """Fulfils ``ClusterService``.

    Raises StoreBusy when another process uses the same state directory, StoreError when it cannot
    be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.executor_file: Path | None = build_executor(settings.state_dir / "executor")
        self._store = SqliteStore(settings.state_dir)
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
                         self._distribution, loop.deliver,
                         credentials.secret.get_secret_value() if credentials else None)
        self._loops[identity.name] = loop
        loop.start(link)
        return loop

    def _executor(self) -> ExecutorFile:
        assert self.executor_file is not None
        name = self.executor_file.name
        return ExecutorFile(f"{self._base_url}/v1/executor/{name}", name,
                            self.settings.executor_python, self.settings.executor_user)

    def _distribution(self, version: str) -> tuple[str, str]:
        known = self.settings.distributions.get(version)
        if known is None:
            raise EsaasError(f"no distribution of Elasticsearch {version} is known here")
        return known.url, known.sha256

    # ------------------------------------------------------------------ looking

    def _loop(self, name: str) -> ClusterLoop:
        loop = self._loops.get(name)
        if loop is None:
            raise NotFound(f"no cluster is called {name!r}")
        return loop

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
        """A new look at a cluster: open pages show it."""
        if self._watchers and name in self._loops:
            self._broadcast(name, self._summary(self._loops[name]))

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

    def _checked(self, body: Any) -> ClusterSpec:
        if not isinstance(body, dict):
            raise Malformed("a spec is an object with name, tenant, version and groups")
        try:
            spec = parse_spec(body)
        except SpecFaults as error:
            raise Invalid("the spec cannot be carried out", error.faults) from error
        if spec.distribution is None and spec.version not in self.settings.distributions:
            known = ", ".join(sorted(self.settings.distributions)) or "none"
            raise Invalid("the spec cannot be carried out", [Fault(
                "version", f"no distribution of {spec.version} is known here (known: {known}); "
                "name one in 'distribution' with url and sha256", "distribution_known")])
        return spec

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

    async def update(self, name: str, body: Any, *, dry_run: bool = False,
                     override: str | None = None) -> Accepted:
        """Want another spec."""
        loop = self._loop(name)
        spec = self._checked(body)
        async with loop.changing:
            return await self._change(loop, spec, dry_run, override)

    async def scale(self, name: str, group: str, count: int, *, dry_run: bool = False,
                    override: str | None = None) -> Accepted:
        """Change the number of nodes of a group."""
        loop = self._loop(name)
        async with loop.changing:
            old = loop.state.spec
            if old.group(group) is None:
                raise NotFound(f"{name} has no node group {group!r}; it has "
                               + ", ".join(item.name for item in old.groups))
            try:
                new = old.with_count(group, count)
            except SpecFaults as error:
                raise Invalid(f"{group} cannot have {count} nodes", error.faults) from error
            return await self._change(loop, new, dry_run, override)

    async def rollback(self, name: str, revision: int, *, dry_run: bool = False,
                       override: str | None = None) -> Accepted:
        """Want the spec of an earlier revision again."""
        loop = self._loop(name)
        async with loop.changing:
            found = loop.cycle.book.spec_of(revision)
            if found is None:
                raise NotFound(f"{name} has no revision {revision}; it is at "
                               f"{loop.state.revision}")
            return await self._change(loop, found, dry_run, override)

    async def _change(self, loop: ClusterLoop, new: ClusterSpec, dry_run: bool,
                      override: str | None) -> Accepted:
        """One door for every new spec: checked, previewed, stored."""
        name, state = loop.name, loop.state
        if state.deleting:
            raise Conflict(f"{name} is being deleted", [
                Fault("", "a cluster that is being deleted cannot be changed", "not_deleting")])
        if new == state.spec:
            return Accepted(cluster=name, revision=state.revision, changed=False,
                            message=f"{name} is wanted like that already")
        faults = change.refusals(state, new)
        kept = [fault for fault in faults if fault.rule != override]
        if kept:
            raise Conflict(f"{name} cannot be changed like that", kept)
        if override and len(kept) == len(faults):
            raise Invalid("nothing to override", [Fault(
                "override", f"no rule called {override!r} refuses this change", "override")])
        if override in NEVER_OVERRIDDEN:
            raise Invalid("this rule cannot be overridden", [Fault(
                "override", f"{override} holds whatever anybody says", "override")])
        preview = change.preview(state, new)
        revision = state.revision + 1
        if dry_run:
            return Accepted(cluster=name, revision=revision, preview=preview,
                            message="the change can be made; nothing was changed")
        await self._command(loop, ev.SpecAccepted(time.time(), revision, new, override or ""))
        return Accepted(cluster=name, revision=revision, preview=preview,
                        message="; ".join(preview.changes) or f"revision {revision} is wanted")

    def revisions(self, name: str) -> list[RevisionView]:
        """Every spec that was wanted, newest first; NotFound."""
        loop = self._loop(name)
        wanted_at = {1: loop.state.identity.created_at}
        for _, entry in self._store.journal(name, "told", 0, 10_000):
            if entry.kind == "revision":
                event = present.event_view(name, entry)
                wanted_at[event.details["revision"]] = event.at
        return present.revision_views(loop.cycle.book.specs(), wanted_at, loop.state.revision)

    async def pause(self, name: str, paused: bool) -> Accepted:
        """Begin no further step of a change, or go on."""
        loop = self._loop(name)
        async with loop.changing:
            changed = loop.state.paused != paused
            if changed:
                await self._command(loop, ev.Paused(time.time(), paused))
        return Accepted(cluster=name, revision=loop.state.revision, changed=changed,
                        message=f"changes of {name} {'are paused' if paused else 'go on'}")

    async def restart(self, name: str, node: str | None = None) -> Accepted:
        """Restart a node in place, or all, one by one and gated."""
        loop = self._loop(name)
        async with loop.changing:
            if loop.state.deleting:
                raise Conflict(f"{name} is being deleted", [
                    Fault("", "a cluster that is being deleted cannot be changed",
                          "not_deleting")])
            if node is not None and node not in loop.state.nodes:
                raise NotFound(f"{name} has no node {node!r}; it has "
                               + ", ".join(sorted(loop.state.nodes)))
            for item in [node] if node is not None else sorted(loop.state.nodes):
                await self._command(loop, ev.RestartAsked(time.time(), item))
        return Accepted(cluster=name, revision=loop.state.revision,
                        message=f"{node or 'every node, one by one,'} is to be restarted")

    async def delete(self, name: str, confirm: str) -> Accepted:
        """Stop all nodes, destroy their volumes, free everything, deregister."""
        loop = self._loop(name)
        async with loop.changing:
            return await self._delete(loop, confirm)

    async def _delete(self, loop: ClusterLoop, confirm: str) -> Accepted:
        name = loop.name
        if confirm != name:
            raise Invalid("a deletion must be confirmed by the cluster's name", [
                Fault("confirm", f"must be {name!r}, found {confirm!r}", "confirmed_by_name")])
        if loop.state.deleting:
            return Accepted(cluster=name, revision=loop.state.revision, changed=False,
                            message=f"{name} is being deleted already")
        await self._command(loop, ev.DeleteAccepted(time.time()))
        return Accepted(cluster=name, revision=loop.state.revision,
                        message=f"{name} is being deleted, with all its volumes")

    @staticmethod
    async def _command(loop: ClusterLoop, event: ev.Event) -> None:
        try:
            await loop.command(event)
        except EsaasError as error:
            raise Unavailable(f"the request could not be stored: {error}") from error

    def _removed(self, name: str) -> None:
        loop = self._loops.pop(name)
        self._store.release(loop.cycle.lease)
        log.info("cluster removed", cluster=name)
