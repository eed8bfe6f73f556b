"""A stand-in for the service: lively clusters in memory, behind the same contract."""
from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from esaas.framework.core.errors import Fault
from esaas.framework.core.facts import EsView as Seen
from esaas.framework.core.gates import FORCIBLE
from esaas.framework.core.spec import ClusterSpec, NodeGroup, SpecFaults, parse_spec
from esaas.framework.core.validate import validate
from esaas.framework.service.change import differences
from esaas.framework.service.endpoints import all_endpoints, reached
from esaas.framework.service.errors import Conflict, Invalid, Malformed, NotFound
from esaas.framework.service.releases import Releases
from esaas.framework.service.views import (
    Accepted,
    AllEndpoints,
    ClusterDetail,
    ClusterSummary,
    EndpointsView,
    EsView,
    EventView,
    GateView,
    NodeEndpoint,
    NodeView,
    OfferView,
    OperationView,
    Owner,
    PhaseView,
    PlanView,
    Preview,
    ProgressView,
    RevisionView,
    SecretView,
    ServiceStatus,
    StepView,
    SwitchView,
)
from esaas.sim.memory import StandInStore
from standin_alerts import AlertsStandIn
from standin_charts import ChartsStandIn
from standin_hosts import HostsStandIn
from standin_hotspots import HotspotStandIn
from standin_housekeeping import HousekeepingStandIn
from standin_logs import LogsStandIn
from standin_operate import OperateStandIn
from standin_platform import PlatformStandIn
from standin_tenants import TenantsStandIn

T0 = 1_780_000_000.0
SHARD_MB = 307
Item = EventView | ClusterSummary


def spec_of(name: str, tenant: str, **more: Any) -> ClusterSpec:
    """A sound spec with one group of three nodes."""
    body: dict[str, Any] = {
        "name": name, "tenant": tenant, "version": "6.8.23",
        "groups": [{"name": "node", "count": 3, "mem_mb": 2048, "disk_mb": 10240}]}
    return parse_spec(body | more)


def node_of(name: str, state: str, index: int, **more: Any) -> NodeView:
    """A node in a state, on host and rack by its index when it has a place."""
    values: dict[str, Any] = {
        "name": name, "group": name.rsplit("-", 1)[0], "state": state, "since": T0 - 600,
        "roles": ["master", "data", "ingest"], "cpus": 1.0, "mem_mb": 2048, "heap_mb": 1024,
        "disk_mb": 10240}
    if state not in ("planned", "placing"):
        port = 31100 + 2 * index
        values |= {"host": f"agent-{index % 4 + 1}.example", "rack": f"r{index % 3 + 1}",
                   "agent_id": f"A{index}", "task_id": f"{name}.1.1", "incarnation": 1,
                   "http_address": f"10.0.0.{index % 4 + 1}:{port}",
                   "transport_address": f"10.0.0.{index % 4 + 1}:{port + 1}"}
    if state == "ready":
        values |= {"es_node_id": f"id-{name}", "pid": 4000 + index, "version": "6.8.23",
                   "shards": 12 + 7 * index, "disk_used_percent": (31.4 + 19.7 * index) % 97,
                   "heap_used_percent": (42.0 + 17.3 * index) % 96}
    return NodeView(**(values | more))


def plan_of(name: str, revision: int, nodes: list[NodeView], *, held: str = "") -> PlanView:
    """A plan that starts what is not ready; ``held`` holds every step that waits."""
    steps = []
    for node in nodes:
        status = {"ready": "done", "planned": "pending"}.get(node.state, "running")
        gates = []
        if held and node.state != "ready":
            status = "held"
            gates = [GateView(name="bootstrap_quorum", ok=True, reason="the cluster has formed"),
                     GateView(name=held, ok=False, reason="another node is still joining",
                              forcible=held in FORCIBLE)]
        steps.append(StepView(id=f"start-{node.name}", title=f"start {node.name}",
                              node=node.name, status=status, detail=node.detail, gates=gates,
                              can_restart=node.state in ("starting", "down")))
    done = sum(step.status == "done" for step in steps)
    whole = ("done" if done == len(steps) else
             "running" if any(step.status == "running" for step in steps) else "held")
    summary = {"done": "everything is as wanted", "running": f"starting node {done + 1} of "
               f"{len(steps)}", "held": f"held by {held}"}[whole]
    phases = [PhaseView(name="nodes", status=whole, steps=steps)] if steps else []
    return PlanView(cluster=name, revision=revision, status=whole, done=done, total=len(steps),
                    summary=summary, phases=phases)


def drain_of(node: NodeView, paused: bool) -> StepView:
    """A node that is drained, with how far that is."""
    shards = node.shards or 0
    gates = [GateView(name="connected_to_mesos", ok=True, reason=""), not_paused(paused),
             GateView(name="no_primary_missing", ok=True, reason=""),
             GateView(name="drained", ok=not shards,
                      reason=f"{shards} shards, {shards * SHARD_MB} MB left" if shards else "")]
    total = (shards + 9) * SHARD_MB
    held = next((gate for gate in gates if not gate.ok), None)
    return StepView(id=f"remove-{node.name}", node=node.name, gates=gates,
                    title=f"drain {node.name}, then remove it and its volume",
                    status="held" if paused else "running",
                    progress=ProgressView(
                        done=9 * SHARD_MB, total=total, unit="MB",
                        text=f"{shards} shards and {shards * SHARD_MB} MB of {total} MB left"),
                    detail=f"held by {held.name}: {held.reason}" if held else "drained")


def restart_of(name: str, fake: Fake) -> StepView:
    """A node that waits for its restart, behind the first of them."""
    first = fake.restarting[0]
    gates = [GateView(name="connected_to_mesos", ok=True, reason=""), not_paused(fake.paused),
             GateView(name="canary_approved", ok=not fake.canary, forcible=bool(fake.canary),
                      reason=f"{fake.canary} has it; people decide" if fake.canary else ""),
             GateView(name="change_budget", ok=name == first, forcible=name != first,
                      reason="" if name == first else f"waiting for {first}"),
             GateView(name="cluster_green", ok=True, reason=""),
             GateView(name="nothing_moves", ok=name != first, forcible=name == first,
                      reason="" if name != first else "3 shards are moving or being built")]
    step = f"restart-{name}"
    gates = [gate.model_copy(update={"ok": True, "reason": "forced"})
             if (step, gate.name) in fake.forced else gate for gate in gates]
    held = next((gate for gate in gates if not gate.ok), None)
    return StepView(id=step, title=f"restart {name} with revision {fake.revision}",
                    node=name, status="held" if held else "running", gates=gates,
                    detail=f"held by {held.name}: {held.reason}" if held else "restarts")


def not_paused(paused: bool) -> GateView:
    """The gate that people hold."""
    return GateView(name="not_paused", ok=not paused, forcible=paused,
                    reason="the change is paused" if paused else "")


def shape(spec: ClusterSpec, group: NodeGroup) -> Any:
    """What takes a restart to change."""
    settings = {key: value for key, value in spec.settings.items() if key not in live_keys(spec)}
    return (spec.version, settings, spec.jvm_options, group.settings, group.jvm_options,
            group.heap_mb, spec.plugins, spec.files_of(group))


def live_keys(spec: ClusterSpec) -> list[str]:
    """Settings that change without a restart."""
    return sorted(key for key in spec.settings if key.startswith("cluster.routing."))


class Fake:
    """One cluster of the stand-in; every part may be set by a test."""

    def __init__(self, spec: ClusterSpec, nodes: list[NodeView], health: str, *,
                 held: str = "", goal: str = "run", connected: bool = True,
                 offers: list[OfferView] | None = None) -> None:
        self.spec, self.nodes, self.health = spec, nodes, health
        self.held, self.goal, self.connected = held, goal, connected
        self.offers = offers or []
        self.revision = 1
        self.specs = {1: spec}
        self.paused = False
        self.replicas = 1           # of the index with most copies
        self.leaving: list[str] = []
        self.restarting: list[str] = []
        self.settled: int | None = 1
        self.canary = ""
        self.virtual_ports = {"http": 20000 + sum(spec.name.encode()) % 1000}
        self.forced: set[tuple[str, str]] = set()
        self.switches: dict[str, SwitchView] = {}
        self.operations: list[OperationView] = []
        self.secrets: dict[str, SecretView] = {}
        self.kept: dict[str, str] = {}      # what the keystores hold; no view shows it

    def plan(self) -> PlanView:
        """The plan as the nodes stand, with what leaves and what is to be restarted."""
        plan = plan_of(self.spec.name, self.revision, self.nodes, held=self.held)
        leaving = [drain_of(node, self.paused) for node in self.nodes
                   if node.name in self.leaving or node.leaving]
        turning = [restart_of(name, self) for name in self.restarting]
        phases, steps = list(plan.phases), [*turning, *leaving]
        for title, found in (("restart", turning), ("scale in", leaving)):
            if found:
                phases.append(PhaseView(name=title, status=found[0].status, steps=found))
        if not steps:
            return plan
        return plan.model_copy(update={
            "phases": phases, "total": plan.total + len(steps), "status": steps[-1].status,
            "summary": f"{steps[0].title}, {steps[0].detail}"})

    def wanted(self) -> list[str]:
        """The names of the nodes that stay; groups count from where their first node began."""
        return [node.name for node in self.nodes if node.name not in self.leaving]

    def preview(self, new: ClusterSpec) -> Preview:
        """What another spec would do."""
        starts, removes, restarts, replaces = [], [], [], []
        for group in new.groups:
            there = [name for name in self.wanted() if name.rsplit("-", 1)[0] == group.name]
            old = self.spec.group(group.name)
            starts += [f"{group.name}-{i}" for i in range(len(there), group.count)]
            removes += there[group.count:]
            if old is not None and old.disk_mb != group.disk_mb:
                replaces += there[:group.count]
            elif old is not None and shape(self.spec, old) != shape(new, group):
                restarts += there[:group.count]
        live = [key for key in live_keys(new)
                if new.settings[key] != self.spec.settings.get(key)]
        reasons = dict.fromkeys(restarts, "its settings change")
        reasons |= dict.fromkeys(replaces, "its volume changes")
        return Preview(changes=differences(self.spec, new), starts=starts, restarts=restarts,
                       replaces=replaces, removes=removes, live=live, reasons=reasons)

    def want(self, new: ClusterSpec, preview: Preview) -> None:
        """Another spec is wanted from now on."""
        self.nodes = self.nodes + [node_of(name, "planned", int(name.rsplit("-", 1)[1]))
                                   for name in preview.starts]
        self.leaving = self.leaving + preview.removes
        self.restarting = list(dict.fromkeys([*self.restarting, *preview.restarts]))
        self.spec, self.revision = new, self.revision + 1
        self.specs[self.revision] = new

    def endpoints(self) -> dict[str, list[str]]:
        """The addresses of ready nodes."""
        urls = [f"{self.spec.scheme}://{node.http_address}" for node in self.nodes
                if node.state == "ready"]
        return {"http": urls, "master": urls, "data": urls, "ingest": []}

    def discover(self) -> EndpointsView:
        """Where it is reached."""
        return reached(self.spec.name, self.spec.tenant, [
            NodeEndpoint(name=node.name, address=node.http_address or "", roles=node.roles)
            for node in self.nodes if node.state == "ready" and node.kind == "elasticsearch"],
            secured=self.spec.security.enabled, virtual_ports=self.virtual_ports)

    def detail(self) -> ClusterDetail:
        """Everything."""
        plan, spec = self.plan(), self.spec
        ready = [node for node in self.nodes if node.state == "ready"]
        return ClusterDetail(
            name=spec.name, tenant=spec.tenant, version=spec.version, goal=self.goal,
            health=self.health, health_age_s=1.4 if ready else None, nodes_ready=len(ready),
            nodes_wanted=sum(group.count for group in spec.groups),
            paused=self.paused, canary=self.canary, plan_status=plan.status,
            plan_done=plan.done, plan_total=plan.total,
            summary=f"{len(ready)} of {len(self.nodes)} nodes ready, health {self.health}; "
            + plan.summary, revision=self.revision, connected=self.connected,
            created_at=T0 - 86400 * 3, description=spec.description,
            framework_id="F-0001" if self.connected else None,
            role=f"{spec.tenant}/{spec.name}", mesos_master="10.0.0.1:5050",
            es=EsView(health=self.health, age_s=1.4 if ready else None, nodes=len(ready),
                      active_primary_shards=19 * len(ready), active_shards=38 * len(ready),
                      relocating_shards=int(plan.status == "running"),
                      unassigned_shards=4 if ready and self.health != "green" else 0,
                      documents=1_234_567 * len(ready) if ready else None,
                      store_mb=7_321.0 * len(ready) if ready else None,
                      cluster_uuid="uuid-1" if ready else None,
                      elected_master=ready[0].name if ready else None),
            nodes=self.nodes, plan=plan, endpoints=self.endpoints(),
            virtual_ports=self.virtual_ports,
            documents=1_234_567 * len(ready) if ready else None,
            store_mb=7_321.0 * len(ready) if ready else None,
            disk_used_percent=61.5 if ready else None,
            spec=spec.model_dump(mode="json"), switches=list(self.switches.values()),
            operations=self.operations, settled_revision=self.settled,
            secrets=[one for _, one in sorted(self.secrets.items())],
            secured=spec.security.enabled,
            certificates_rotate_at=T0 + 86400 * 200 if spec.security.enabled else None)

    def summary(self) -> ClusterSummary:
        """One line."""
        return ClusterSummary.model_validate(
            {key: value for key, value in self.detail().model_dump().items()
             if key in ClusterSummary.model_fields})


def _declined(agent: str, reason: str) -> OfferView:
    return OfferView(
        agent=agent, agent_id=f"id-{agent}", at=T0 - 42, answer="declined", reason=reason,
        refuse_s=3600, resources="cpus 0.5, mem 900 MB, disk 18000 MB, 98 ports",
        tree=["FAIL place node-1", "  pass right volume", f"  FAIL resources: {reason}",
              "    pass disk", "    FAIL mem: 2048 MB wanted"])


def _turning() -> Fake:
    """A cluster amid a change: one node is drained, the others wait for their restart."""
    nodes = [node_of(f"node-{i}", "ready", i) for i in range(5)]
    fake = Fake(spec_of("turning", "flights", groups=[
        {"name": "node", "count": 5, "mem_mb": 2048, "disk_mb": 10240}]), nodes, "green")
    for more in ({"settings": {"indices.memory.index_buffer_size": "20%"}},
                 {"groups": [{"name": "node", "count": 4, "mem_mb": 2048, "disk_mb": 10240}]}):
        new = parse_spec(fake.spec.model_dump(mode="json") | more)
        fake.want(new, fake.preview(new))
    fake.restarting = fake.restarting[:4]
    return fake


def _trial() -> Fake:
    """A cluster whose canary waits for people."""
    nodes = [node_of(f"node-{i}", "ready", i) for i in range(3)]
    fake = Fake(spec_of("trial", "flights", change={"strategy": "canary"}), nodes, "green")
    new = parse_spec(fake.spec.model_dump(mode="json") | {"jvm_options": ["-Xss2m"]})
    fake.want(new, fake.preview(new))
    fake.restarting, fake.canary = ["node-1", "node-2"], "node-0"
    return fake


def _stack() -> Fake:
    """A cluster with everything beside its nodes: sidecar, plugins, files, switches, secrets."""
    spec = spec_of("stack", "hotels", groups=[
        {"name": "node", "count": 3, "mem_mb": 2048, "disk_mb": 10240,
         "files": [{"path": "analysis/synonyms.txt", "content": "car, automobile\n"}]},
        {"name": "kibana", "kind": "sidecar", "count": 1, "command": "kibana/bin/kibana",
         "listens": True}],
        plugins=[{"name": "analysis-icu"}, {
            "name": "house-plugin", "url": "https://plugins.example/house-1.2.zip",
            "sha256": "ab" * 32}],
        files=[{"path": "hunspell/de/de.dic", "url": "https://files.example/de.dic",
                "sha256": "cd" * 32}])
    nodes = [node_of(f"node-{i}", "ready", i) for i in range(3)]
    nodes[1] = nodes[1].model_copy(update={"leaving": "replaced by node-3"})
    nodes[2] = nodes[2].model_copy(update={
        "state": "down", "paused": True, "detail": "held for debugging", "shards": None})
    nodes += [node_of("node-3", "placing", 3), node_of(
        "kibana-0", "ready", 1, kind="sidecar", roles=[], heap_mb=0, group="kibana",
        es_node_id=None, version=None, shards=None, disk_used_percent=None,
        heap_used_percent=None)]
    fake = Fake(spec, nodes, "yellow")
    fake.switches["allocation"] = SwitchView(
        switch="allocation", value="primaries", before="all", set_at=T0,
        until=time.time() + 1800)
    fake.operations = [
        OperationView(id="m-3", kind="force_merge", parameters={"index": "logs-*"},
                      status="running", asked_at=T0, progress=ProgressView(
                          done=3, total=8, unit="indices", text="3 of 8 indices merged")),
        OperationView(id="c-2", kind="clear_cache", parameters={"kinds": ["query", "request"]},
                      status="failed", asked_at=T0 - 400, ended_at=T0 - 399,
                      message="2 of 3 nodes answered"),
        OperationView(id="f-1", kind="flush", status="done", asked_at=T0 - 900,
                      ended_at=T0 - 898, message="114 shards flushed")]
    for key in ("s3.client.default.access_key", "s3.client.default.secret_key"):
        fake.secrets[key] = SecretView(key=key, set_at=T0 - 86400, version=2)
    return fake


def _examples() -> list[Fake]:
    ready = [node_of(f"node-{i}", "ready", i) for i in range(3)]
    orders = spec_of("orders-search", "flights", groups=[
        {"name": "master", "count": 3, "roles": ["master"], "mem_mb": 1024},
        {"name": "data", "count": 4, "roles": ["data", "ingest"], "mem_mb": 8192,
         "disk_mb": 512_000}], description="Search over the orders of the last five years")
    growing = [node_of(f"master-{i}", "ready", i, roles=["master"], mem_mb=1024, heap_mb=512)
               for i in range(3)]
    growing += [node_of(f"data-{i}", state, 3 + i, roles=["data", "ingest"], mem_mb=8192,
                        heap_mb=4096, disk_mb=512_000, detail=detail)
                for i, (state, detail) in enumerate((
                    ("ready", ""), ("starting", "Elasticsearch is up, joins the cluster"),
                    ("placing", "RESERVE, CREATE and LAUNCH sent to agent-3.example"),
                    ("planned", "")))]
    accepted = OfferView(agent="agent-3.example", agent_id="id-agent-3", at=T0 - 7,
                         answer="accepted", reason="takes data-2",
                         resources="cpus 8, mem 16384 MB, disk 900000 MB, 98 ports",
                         tree=["pass place data-2", "  pass right volume", "  pass resources"])
    # "logs" has an index with two replicas: it cannot do with fewer than three data nodes.
    hurt = [ready[0], node_of("node-1", "down", 1, detail="JVM ended with code 137; restarts in "
                              "20 s on its volume"), ready[2]]
    full = [_declined(f"agent-{i}.example", "mem 900 MB of 2048 MB wanted") for i in range(1, 4)]
    examples = [
        Fake(spec_of("demo", "flights"), ready, "green"),
        _turning(),
        _trial(),
        _stack(),
        Fake(orders, growing, "yellow", offers=[
            accepted, _declined("agent-1.example", "cpus 0.5 of 1 wanted")]),
        Fake(spec_of("logs", "hotels", snapshots={"repository": {
            "type": "fs", "settings": {"location": "/mnt/{cluster}"}}}), hurt, "yellow",
             held="no_restart_while_relocating"),
        Fake(spec_of("archive", "hotels", version="7.17.13"), [
            node_of("node-0", "unreachable", 0, detail="agent is not reachable"),
            node_of("node-1", "ready", 1), node_of("node-2", "down", 2)], "red",
            held="one_master_at_a_time"),
        Fake(spec_of("fresh", "hotels"), [node_of(f"node-{i}", "planned", i) for i in range(3)],
             "unknown", connected=False, offers=full, held="scheduler_is_connected"),
        Fake(spec_of("leaving", "flights"), [
            node_of("node-0", "stopping", 0), node_of("node-1", "releasing", 1),
            node_of("node-2", "stopped", 2)], "unknown", goal="delete"),
    ]
    for fake in examples:
        fake.replicas = 2 if fake.spec.name == "logs" else 1
    return examples


class StandInService(OperateStandIn, HotspotStandIn, HousekeepingStandIn, HostsStandIn,
                     TenantsStandIn, PlatformStandIn, Releases, AlertsStandIn, ChartsStandIn,
                     LogsStandIn):
    """``ClusterService`` in memory; all methods belong on one event loop."""

    def __init__(self, fakes: list[Fake] | None = None) -> None:
        ChartsStandIn.__init__(self)
        self.fakes = {fake.spec.name: fake
                      for fake in (_examples() if fakes is None else fakes)}
        self.log: list[EventView] = []
        self.watchers: set[asyncio.Queue[Item]] = set()
        self.clock = T0
        self.drained = {}
        self.rung, self.complete = asyncio.Event(), True
        AlertsStandIn.__init__(self)
        for name in list(self.fakes)[:1]:
            self.add_alerts(name)
        self.records = {}
        self._store, self._instance = StandInStore(), "stand-in"
        for name in self.fakes:
            self.emit(name, "scheduler_registered", f"{name} is registered with the master")
            self.emit(name, "node_running", "node-0 runs on agent-1.example", node="node-0")
            self.emit(name, "offer_declined", "no agent has 2048 MB of memory", level="warning")

    def node_hosts(self) -> dict[tuple[str, str], str]:
        return {(name, node.name): node.host or "" for name, fake in self.fakes.items()
                for node in fake.nodes}

    def _tenant_of(self, name: str) -> str | None:
        return self.fakes[name].spec.tenant if name in self.fakes else None

    # ---- what tests do to it ----
    def emit(self, cluster: str, kind: str, message: str, **more: Any) -> EventView:
        """Something happens: logged and told to all who watch."""
        self.clock += 1
        event = EventView(seq=len(self.log) + 1, at=self.clock - 3600, cluster=cluster, kind=kind,
                          message=message, **more)
        self.log.append(event)
        self.ring()
        for queue in self.watchers:
            queue.put_nowait(event)
            if cluster in self.fakes:
                queue.put_nowait(self.fakes[cluster].summary())
        return event

    def settle(self, name: str) -> None:
        """Every node of a cluster gets ready and the health green."""
        fake = self.fakes[name]
        fake.nodes = [node_of(node.name, "ready", i, roles=node.roles)
                      for i, node in enumerate(fake.nodes)]
        fake.nodes = [node for node in fake.nodes if node.name not in fake.leaving]
        fake.health, fake.held, fake.connected = "green", "", True
        fake.leaving, fake.restarting = [], []
        fake.settled = fake.revision
        self.emit(name, "plan_done", "everything is as wanted")

    def vanish(self, name: str) -> None:
        """A delete has come to its end."""
        self.emit(name, "cluster_deleted", "nothing is left of it")
        del self.fakes[name]
        self.ring()

    def _find(self, name: str) -> Fake:
        if name not in self.fakes:
            raise NotFound(f"no cluster is named {name}")
        return self.fakes[name]

    # ---- the contract ----
    def status(self) -> ServiceStatus:
        return ServiceStatus(
            version="0.1.0", instance="stand-in", store="memory", mesos_master="10.0.0.1:5050",
            clusters=len(self.fakes), started_at=T0,
            clusters_connected=sum(fake.connected for fake in self.fakes.values()))

    def list_clusters(self, tenant: str | None = None) -> list[ClusterSummary]:
        return [fake.summary() for name, fake in sorted(self.fakes.items())
                if tenant in (None, fake.spec.tenant)]

    def owner(self, name: str) -> Owner:
        return Owner(name=name, tenant=self._find(name).spec.tenant, created_at=T0 - 86400 * 3)

    def owners(self) -> list[Owner]:
        return [self.owner(name) for name in sorted(self.fakes)]

    def show(self, name: str) -> ClusterDetail:
        return self._find(name).detail()

    def nodes(self, name: str) -> list[NodeView]:
        return self._find(name).nodes

    def plan(self, name: str) -> PlanView:
        return self._find(name).plan()

    def endpoints(self, name: str) -> dict[str, list[str]]:
        return self._find(name).endpoints()

    def discover(self, name: str) -> EndpointsView:
        return self._find(name).discover()

    def discover_all(self) -> AllEndpoints:
        return all_endpoints([fake.discover() for _, fake in sorted(self.fakes.items())],
                             self.complete)

    def bell(self) -> asyncio.Event:
        return self.rung

    def ring(self) -> None:
        """Endpoints may have changed."""
        self.rung.set()
        self.rung = asyncio.Event()

    def offers(self, name: str) -> list[OfferView]:
        return self._find(name).offers

    async def events(self, name: str | None, after: int = 0,
                     limit: int = 200) -> list[EventView]:
        if name is not None and all(event.cluster != name for event in self.log):
            self._find(name)
        found = [event for event in self.log if name in (None, event.cluster)
                 and event.seq > after]
        return found[:limit] if after else found[-limit:]

    async def watch(self, name: str | None) -> AsyncIterator[Item]:
        queue: asyncio.Queue[Item] = asyncio.Queue()
        self.watchers.add(queue)
        try:
            while True:
                item = await queue.get()
                about = item.name if isinstance(item, ClusterSummary) else item.cluster
                if name in (None, about):
                    yield item
        finally:
            self.watchers.discard(queue)

    @staticmethod
    def _checked(body: Any) -> ClusterSpec:
        if not isinstance(body, dict):
            raise Malformed(f"a spec is an object, not {type(body).__name__}")
        try:
            return parse_spec(body)
        except SpecFaults as error:
            raise Invalid(f"the spec has {len(error.faults)} faults", error.faults) from error

    async def create(self, body: Any, *, dry_run: bool = False,
                     override: str | None = None) -> Accepted:
        spec = self._checked(body)
        known = self.fakes.get(spec.name)
        if known is not None and known.spec != spec:
            raise Conflict(f"the name {spec.name} is taken", [
                Fault("name", "another cluster has this name", "name_is_free")])
        if known is None:
            self.check_quota(None, spec, override)
        if known is not None or dry_run:
            return Accepted(cluster=spec.name, revision=1, changed=known is None,
                            message="it is so already" if known else "3 nodes would be started")
        self.fakes[spec.name] = Fake(spec, [
            node_of(f"{group.name}-{i}", "planned", i) for group in spec.groups
            for i in range(group.count)], "unknown")
        self.emit(spec.name, "create_accepted", f"{spec.name} is wanted by {spec.tenant}")
        return Accepted(cluster=spec.name, revision=1, message="the cluster is being made")

    async def update(self, name: str, body: Any, *, dry_run: bool = False,
                     override: str | None = None) -> Accepted:
        return self._change(self._find(name), self._checked(body), dry_run, override)

    async def scale(self, name: str, group: str, count: int, *, dry_run: bool = False,
                    override: str | None = None) -> Accepted:
        fake = self._find(name)
        if fake.spec.group(group) is None:
            raise NotFound(f"{name} has no node group {group!r}")
        try:
            spec = fake.spec.with_count(group, count)
        except SpecFaults as error:
            raise Invalid(f"{group} cannot have {count} nodes", error.faults) from error
        return self._change(fake, spec, dry_run, override)

    async def rollback(self, name: str, revision: int, *, dry_run: bool = False,
                       override: str | None = None) -> Accepted:
        fake = self._find(name)
        if revision not in fake.specs:
            raise NotFound(f"{name} has no revision {revision}; it is at {fake.revision}")
        return self._change(fake, fake.specs[revision], dry_run, override)

    def _change(self, fake: Fake, new: ClusterSpec, dry_run: bool,
                override: str | None) -> Accepted:
        name = fake.spec.name
        self._alive(fake)
        if new == fake.spec:
            return Accepted(cluster=name, revision=fake.revision, changed=False,
                            message=f"{name} is wanted like that already")
        self.check_quota(fake.spec, new, override)
        seen = Seen(at=T0, health=fake.health, cluster_uuid="uuid-1", nodes={},
                    max_replicas=fake.replicas, store_mb=9_000.0)
        faults = validate(fake.spec, new, seen)
        kept = [fault for fault in faults if fault.rule != override]
        if kept:
            raise Conflict(f"{name} cannot be changed like that", kept)
        if override and len(kept) == len(faults):
            raise Invalid("nothing to override", [Fault(
                "override", f"no rule called {override!r} refuses this change", "override")])
        preview = fake.preview(new)
        if dry_run:
            return Accepted(cluster=name, revision=fake.revision + 1, preview=preview,
                            message="the change can be made; nothing was changed")
        fake.want(new, preview)
        over = f", overriding {override}" if override else ""
        self.emit(name, "revision", f"revision {fake.revision} is wanted{over}",
                  details={"revision": fake.revision})
        return Accepted(cluster=name, revision=fake.revision, preview=preview,
                        message="; ".join(preview.changes))

    @staticmethod
    def _alive(fake: Fake) -> None:
        if fake.goal == "delete":
            raise Conflict(f"{fake.spec.name} is being deleted", [
                Fault("", "a cluster that is being deleted cannot be changed", "not_deleting")])

    async def revisions(self, name: str) -> list[RevisionView]:
        fake = self._find(name)
        return [RevisionView(
            revision=number, at=T0 + 100 * number, current=number == fake.revision,
            changes=differences(fake.specs[number - 1], spec) if number > 1 else [],
            spec=spec.model_dump(mode="json"))
            for number, spec in sorted(fake.specs.items(), reverse=True)]

    async def pause(self, name: str, paused: bool) -> Accepted:
        fake = self._find(name)
        changed = fake.paused != paused or (not paused and bool(fake.canary))
        fake.paused = paused
        fake.canary = fake.canary if paused else ""     # to go on approves a canary
        if changed:
            self.emit(name, "paused" if paused else "continued", "the change is paused"
                      if paused else "the change goes on")
        return Accepted(cluster=name, revision=fake.revision, changed=changed,
                        message=f"changes of {name} {'are paused' if paused else 'go on'}")

    async def restart(self, name: str, node: str | None = None) -> Accepted:
        fake = self._find(name)
        self._alive(fake)
        names = [one.name for one in fake.nodes]
        if node is not None and node not in names:
            raise NotFound(f"{name} has no node {node!r}; it has {', '.join(names)}")
        fake.restarting = list(dict.fromkeys([*fake.restarting, *([node] if node else names)]))
        what = node or "every node, one by one,"
        self.emit(name, "restart_asked", f"{what} is to be restarted")
        return Accepted(cluster=name, revision=fake.revision,
                        message=f"{what} is to be restarted")

    async def delete(self, name: str, confirm: str) -> Accepted:
        fake = self._find(name)
        if confirm != name:
            raise Invalid("the confirmation is not the name of the cluster", [
                Fault("confirm", f"must be {name!r}, found {confirm!r}", "confirm_by_name")])
        changed = fake.goal == "run"
        fake.goal = "delete"
        if changed:
            self.emit(name, "delete_accepted", f"{name} is being deleted")
        return Accepted(cluster=name, revision=fake.revision, changed=changed,
                        message=f"{name} is being deleted")
