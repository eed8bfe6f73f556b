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
from weakref import WeakKeyDictionary

import structlog

from .. import __version__
from ..core import events as ev
from ..core.errors import Fault
from ..core.facts import ClusterState, Identity
from ..core.plan import founded
from ..core.spec import ClusterSpec
from ..mesos.link import MesosLink
from ..runtime.chronicle import Told
from ..runtime.cycle import Cycle
from ..runtime.loop import ClusterLoop, Failpoints
from ..settings import Settings
from ..store.contract import Store, StoreBusy, StoreError
from ..store.opening import open_store, parse_address
from ..telemetry.history import SqliteHistory
from ..telemetry.own import Own
from ..telemetry.readings import Board
from . import present
from .access.access import Access, read_token_file
from .addresses import addresses_of
from .alerts.alerts import Alerts
from .autoscaling import Autoscaling
from .balancing import Balancing
from .base import confirmed
from .below import Below
from .certificates import make_authority
from .changing import Changing
from .charting import Charting
from .delivery import build_executor
from .errors import Conflict, Unavailable
from .figures import Starts
from .foreign import Foreign, Member
from .housekeeping import Housekeeping
from .log_reader import LogReader
from .logs import Logs
from .measuring import Measuring
from .oplog.book import Book
from .peering import Peering
from .platform import Platform
from .releases import Releases
from .running import Running
from .securing import Securing
from .sharing import Sharing
from .tenants.records import Register
from .tenants.tenants import Tenants, operator_of
from .vault import Vault, agree_on_key, tls_path
from .views import (
    Accepted,
    ClusterDetail,
    ClusterSummary,
    EventView,
    NodeView,
    OfferView,
    Owner,
    PlanView,
    ServiceStatus,
)

log = structlog.get_logger(__name__)

WATCHER_QUEUE = 1000                # a watcher that is further behind loses the oldest
MAX_CLUSTERS = 1000


class Clusters(Peering, Running, Autoscaling, Changing, Balancing, Housekeeping, Securing,
               Tenants, Releases, Platform, Logs, Measuring, Charting, Alerts):
    """Fulfils ``ClusterService``.

    Raises StoreBusy when another process uses the same state directory, StoreError when the store
    cannot be opened, VaultError when this process has not the key of a shared store.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.executor_file: Path | None = build_executor(settings.state_dir / "executor")
        self._base_url = settings.advertise_url or ""
        self._instance = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
        token_file = settings.admin_token_file
        file_token = read_token_file(token_file) if token_file else ""
        self._store = self._opened()
        self.access = Access(self._store, settings.state_dir,
                             self._vault.derived("session cookies"), self._instance,
                             file_token=file_token)
        self.book = Book(self._store, self._instance, keep_s=settings.oplog_keep_s)
        self.board = Board()
        self._answers, self._starts, self.own = {}, Starts(), Own()
        self._counted = 0.0, self.own.totals
        self.history = SqliteHistory(settings.state_dir / "history.sqlite")
        self.board.listen(self.history.append)
        self._loops: dict[str, ClusterLoop] = {}
        self._failpoints = Failpoints(settings.failpoint)
        self._watchers: dict[asyncio.Queue[EventView | ClusterSummary], str | None] = {}
        self._creating = asyncio.Lock()
        self._unreadable: dict[str, str] = {}
        self._sharing: Sharing | None = None
        self._foreign, self._lines = Foreign(), WeakKeyDictionary()
        self._host_records = {}
        self._host_task = None
        self._kept, self._watched = {}, {}
        self._register = Register(self._store, self._instance)
        self._operator = operator_of(settings)
        addresses = addresses_of(settings, self._operator)
        self._log_reader = LogReader(self._operator, addresses)
        self._below = Below(self._operator, parse_address(settings.store)[0]
                            if settings.store is not None else None, addresses)
        self._listeners: set[asyncio.Queue[str]] = set()
        self._reached, self._rung = {}, asyncio.Event()
        self._port_records, self._port_task = {}, None
        self._started_at = time.time()
        self._make_alerts()

    def derived_key(self, purpose: str) -> bytes:
        """A key of 32 bytes that only processes with the same secret key have."""
        return self._vault.derived(purpose)

    def _opened(self) -> Store:
        """The store, and the key that goes with it."""
        settings, credentials = self.settings, self.settings.store_credentials
        store = open_store(settings.store or settings.state_dir,
                           credentials.pair() if credentials else None)
        try:
            if settings.store is not None:
                agree_on_key(store, settings.key_path, self._instance)
            self._vault = Vault(settings.key_path)
        except BaseException:
            store.close()
            raise
        if settings.store is not None and credentials is None:
            log.warning("the store in ZooKeeper is open to whoever reaches it; give credentials",
                        store=settings.store)
        return store

    def advertise(self, url: str) -> None:
        """The base URL at which agents reach this service, once its port is known."""
        self._base_url = self.settings.advertise_url or url

    async def start(self) -> None:
        """Take up this process's share; agents must be able to fetch the executor by now."""
        self.book.start()
        await self._read_hosts()
        await self._read_ports()
        self._host_task = asyncio.create_task(self._watch_hosts(), name="hosts")
        self._sharing = Sharing(self._store, self._instance, self)
        await self._sharing.start(Member(url=self._base_url, started_at=self._started_at)
                                  .model_dump_json().encode())
        self._port_task = asyncio.create_task(self._watch_ports(), name="ports")
        self._measure_tasks = self._start_measuring()
        self._balance_task = asyncio.create_task(self.balance_by_itself(), name="balance")
        self._keep_task = asyncio.create_task(self.keep_house(), name="housekeeping")
        self._autoscale_task = asyncio.create_task(self.autoscale_by_itself(), name="autoscale")
        await self._start_tenants()
        self._start_alerts()
        log.info("service started", clusters=len(self._loops), mesos=self.settings.mesos_master)

    async def stop(self) -> None:
        """Disconnect everything; clusters keep running."""
        if self._sharing is not None:
            await self._sharing.stop()
        for task in (self._host_task, self._port_task, self._balance_task,
                     self._keep_task, self._autoscale_task,
                     *self._measure_tasks):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._stop_tenants()
        await self._stop_alerts()
        await asyncio.gather(*(loop.stop() for loop in self._loops.values()))
        await self.book.close()
        await asyncio.to_thread(self.history.close)
        await asyncio.to_thread(self._store.close)

    # ------------------------------------------------------------------ looking

    def status(self) -> ServiceStatus:
        """The service itself."""
        return ServiceStatus(
            version=__version__, instance=self._instance, store=self.settings.store or "embedded",
            mesos_master=self.settings.mesos_master, clusters=len(self._loops),
            members=self._members(), owners=self._owners(),
            clusters_connected=sum(loop.state.link.connected for loop in self._loops.values()),
            started_at=self._started_at, unreadable=dict(self._unreadable))

    def own_metrics(self) -> bytes:
        """What this process counts, with the use of quota as of the last look at it."""
        self.own.quota(self.quota_percents(time.time()))
        return super().own_metrics()

    def list_clusters(self, tenant: str | None = None) -> list[ClusterSummary]:
        """All clusters, or a tenant's, by name; those of other processes as they last told."""
        found = self._foreign.summaries() | {
            name: self._summary(loop) for name, loop in self._loops.items()}
        return [summary for _, summary in sorted(found.items())
                if tenant is None or summary.tenant == tenant]

    def owner(self, name: str) -> Owner:
        """Whose a cluster is, wherever it runs; NotFound, Unavailable."""
        summary = self._foreign.summaries().get(name)
        if name not in self._loops and summary is not None:
            return Owner(name=name, tenant=summary.tenant, created_at=summary.created_at)
        identity = self._loop(name).state.identity
        return Owner(name=name, tenant=identity.tenant, created_at=identity.created_at)

    def owners(self) -> list[Owner]:
        """Whose each cluster is, by name."""
        return [self.owner(name) for name in sorted({*self._loops, *self._foreign.words})]

    # -------------------------------------------------------------------- events


    def show(self, name: str) -> ClusterDetail:
        """One cluster; NotFound."""
        loop = self._loop(name)
        master = loop.link.master if isinstance(loop.link, MesosLink) else None
        return present.detail_view(loop.state, loop.sentence, master, time.time(),
                                   self._ports_of(loop.state))

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

    async def events(self, name: str | None, after: int = 0,
                     limit: int = 200) -> list[EventView]:
        """Lines of history, oldest first; NotFound for a cluster that is not and never was."""
        found = await self._journal(name, after, limit)
        if name is not None and not found:
            self._loop(name)
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
        write("history", cluster=name, seq=seq, kind=told.kind, node=told.node,
              message=told.message)
        self._tell_peers(name)
        self._touch(name)
        if not self._watchers:
            return
        event = EventView(seq=seq, at=at, cluster=name, kind=told.kind, level=told.level,
                          node=told.node, message=told.message, details=told.details)
        loop = self._loops.get(name)
        self._broadcast(name, event, *([self._summary(loop)] if loop is not None else []))

    def _changed(self, name: str) -> None:
        """A new look at a cluster: open pages show it, clusters that search it learn its nodes."""
        self._tell_remotes(name)
        self._tell_peers(name)
        self._touch(name)
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

    def _removed(self, name: str) -> None:
        super()._removed(name)
        self._forget_reached({name})

    # ----------------------------------------------------------------- changing

    async def create(self, body: Any, *, dry_run: bool = False,
                     override: str | None = None) -> Accepted:
        """Make a cluster; the same spec again changes nothing."""
        spec = self._checked(body)
        async with self._creating:
            existing = self._loops.get(spec.name)
            if existing is not None:
                return self._created_before(existing.state, spec)
            if spec.name in self._unreadable:
                raise Conflict(f"{spec.name} exists, but its records cannot be read: "
                               f"{self._unreadable[spec.name]}")
            elsewhere = self._elsewhere(spec.name)
            if elsewhere is not None:
                raise elsewhere
            if len(self.list_clusters()) >= MAX_CLUSTERS:
                raise Conflict(f"this service already runs {MAX_CLUSTERS} clusters")
            async with self._quota_checked(None, spec) as faults:
                self._check_ports(spec)
                self._not_overruled(spec.name, faults, override)
                if dry_run:
                    return Accepted(cluster=spec.name, revision=1, changed=True,
                                    message="this spec can be carried out; nothing was changed")
                await self._claim_ports(spec)
                cycle = await self._founded(spec, override)
            await self._align_hosts(self._run(cycle))
        return Accepted(cluster=spec.name, revision=1,
                        message=f"{spec.name} is being made; follow its plan")

    async def _founded(self, spec: ClusterSpec, override: str | None) -> Cycle:
        """A new cluster on record; Unavailable."""
        credentials = self.settings.credentials_of(spec.tenant)
        uid = uuid.uuid4().hex[:12]
        # Chosen and stored before Mesos hears of it: a crash between registering and storing
        # would leave a framework behind (docs/adr/0006-framework-id.md).
        identity = Identity(spec.name, spec.tenant, uid, time.time(),
                            credentials.principal if credentials else None,
                            f"esaas-{spec.name}-{uid}")
        try:
            return await asyncio.to_thread(self._stored, founded(identity, spec), override)
        except StoreError as error:
            raise Unavailable(f"the cluster could not be stored: {error}") from error

    def _stored(self, state: ClusterState, override: str | None = None) -> Cycle:
        """A new cluster under a lease of this process; StoreError."""
        name = state.identity.name
        beside = {}
        if state.tls is not None:
            # In the transaction of the cluster itself: there is never one without the other.
            authority = make_authority(name, state.identity.uid, state.identity.created_at)
            beside[tls_path(name)] = self._vault.sealed(authority)
        lease = self._store.acquire(name, self._instance)
        try:
            if name in self._store.names():
                raise StoreBusy(f"another process has made {name} in this moment")
            return Cycle.create(self._store, lease, state, state.identity.created_at, beside,
                                override or "")
        except StoreError:
            self._store.release(lease)
            raise

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
