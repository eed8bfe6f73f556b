"""What the service shows of its clusters: read-only models for API, CLI and UI.

The OpenAPI document is made from these. Times are seconds since the epoch, sizes MB.
"""
from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Health = Literal["green", "yellow", "red", "unknown"]
StepStatus = Literal["pending", "held", "running", "done"]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class GateView(_View):
    """A named rule that allows or holds a step, with its reason in words."""

    name: str = Field(examples=["one_master_at_a_time"])
    ok: bool
    reason: str
    forcible: bool = Field(False, description="whether people may go past it; they are recorded")


class ProgressView(_View):
    """How far long work is: a drain in MB and shards, a force merge in indices."""

    done: float
    total: float
    unit: str = Field(examples=["MB"])
    text: str = Field(examples=["3 shards and 120 MB of 400 MB left"])


class StepView(_View):
    """One step of a plan: what happens to one node."""

    id: str
    title: str = Field(examples=["start node-3"])
    node: str | None = None
    status: StepStatus
    detail: str = ""
    gates: list[GateView] = []
    progress: ProgressView | None = None
    can_restart: bool = Field(False, description="whether it can be begun anew")


class PhaseView(_View):
    """Steps that belong together."""

    name: str
    status: StepStatus
    steps: list[StepView]


class PlanView(_View):
    """How far the cluster is from what is wanted."""

    cluster: str
    revision: int
    status: StepStatus
    done: int
    total: int
    summary: str = Field(description="one sentence: what goes on, or what holds it")
    phases: list[PhaseView]


class NodeView(_View):
    """One Elasticsearch node."""

    name: str
    group: str
    kind: Literal["elasticsearch", "sidecar"] = "elasticsearch"
    roles: list[str]
    state: str = Field(examples=["planned", "placing", "starting", "running", "ready", "down",
                                 "unreachable", "stopping", "stopped", "releasing"])
    detail: str = Field("", description="the last message about it, for people")
    paused: bool = Field(False, description="held for debugging: Elasticsearch is not started")
    leaving: str = Field("", description="why it is to go once it is drained")
    moving: bool = Field(False, description="another node takes its place; it may be kept")
    host: str | None = None
    rack: str | None = None
    agent_id: str | None = None
    task_id: str | None = None
    incarnation: int = 0
    launch: int = 0
    http_address: str | None = None
    transport_address: str | None = None
    es_node_id: str | None = None
    pid: int | None = None
    version: str | None = None
    cpus: float
    mem_mb: int
    heap_mb: int
    disk_mb: int
    shards: int | None = None
    disk_used_percent: float | None = None
    heap_used_percent: float | None = None
    since: float = Field(description="when the state began")


class OrphanView(_View):
    """What is reserved with a cluster's labels, and belongs to no node of it."""

    id: str
    node: str
    host: str
    volume: bool
    disk_mb: int
    seen_at: float
    released: bool = Field(description="whether people have released it")


class ClusterSummary(_View):
    """One line of the list of clusters."""

    name: str
    tenant: str
    version: str
    goal: Literal["run", "delete"]
    health: Health
    health_age_s: float | None = None
    nodes_ready: int
    nodes_wanted: int
    paused: bool = Field(False, description="whether people hold all further steps of a change")
    canary: str = Field("", description="the first node of a change, while it waits for people "
                        "to let the change go on")
    setback: str = Field("", description="why the last change went back by itself")
    plan_status: StepStatus
    plan_done: int
    plan_total: int
    summary: str
    revision: int
    connected: bool = Field(description="whether the scheduler is registered with a Mesos master")
    created_at: float
    secured: bool = Field(False, description="whether nodes speak TLS only and ask for a password")
    documents: int | None = Field(None, description="in primary shards")
    store_mb: float | None = Field(None, description="of all shards")
    disk_used_percent: float | None = Field(None, description="of its fullest node")


class Owner(_View):
    """Whose a cluster is, and since when."""

    name: str
    tenant: str
    created_at: float


class EsView(_View):
    """What Elasticsearch says of itself, and how old that is."""

    health: Health
    age_s: float | None = None
    nodes: int = 0
    active_primary_shards: int = 0
    active_shards: int = 0
    relocating_shards: int = 0
    initializing_shards: int = 0
    unassigned_shards: int = 0
    documents: int | None = None
    store_mb: float | None = None
    cluster_uuid: str | None = None
    elected_master: str | None = None


SwitchName = Literal["allocation", "rebalance", "read_only"]
OperationKind = Literal["flush", "clear_cache", "force_merge", "reroute_retry", "snapshot",
                        "restore", "restore_drill"]
# What the service has done beside: moves of shards that people or it itself have chosen, policies.
RecordedKind = Literal[OperationKind, "move_shards", "put_repository", "expire_snapshots",
                       "merge_idle", "roll_over", "delete_indices", "raise_replicas",
                       "release_blocks"]


class SwitchView(_View):
    """A switch of the cluster that people have set, and when it goes back by itself."""

    switch: SwitchName
    value: str = Field(examples=["none"])
    before: str = Field(examples=["all"], description="what it goes back to")
    until: float | None = Field(None, description="goes back by itself then; nothing: when asked")
    set_at: float
    restoring: bool = Field(False, description="on its way back")


class OperationView(_View):
    """Something that people had done once, and what came of it."""

    id: str
    kind: RecordedKind
    parameters: dict[str, Any] = {}
    status: Literal["waiting", "running", "done", "failed"]
    asked_at: float
    ended_at: float | None = None
    progress: ProgressView | None = None
    message: str = ""


class SecretView(_View):
    """A secure setting: that it is there, never what it is."""

    key: str = Field(examples=["s3.client.default.access_key"])
    set_at: float
    version: int = Field(description="counts how often it was set")


class CredentialsView(_View):
    """How people get into a secured cluster."""

    user: str = Field(examples=["elastic"])
    password: str = Field(repr=False, description="as it was made with the cluster; who has set "
                          "another in Elasticsearch knows it alone")
    ca_certificate: str = Field(description="PEM; trust this to know the cluster's nodes")


class ClusterDetail(ClusterSummary):
    """Everything on one page."""

    description: str = ""
    framework_id: str | None = None
    role: str
    mesos_master: str | None = None
    es: EsView
    nodes: list[NodeView]
    plan: PlanView
    endpoints: dict[str, list[str]] = Field(
        description="URLs by role", examples=[{"http": ["http://127.0.0.1:31100"]}])
    virtual_ports: dict[str, int] = Field({}, examples=[{"http": 20000}])
    spec: dict[str, Any]
    switches: list[SwitchView] = []
    operations: list[OperationView] = Field([], description="the last ones, newest first")
    orphans: list[OrphanView] = []
    secrets: list[SecretView] = []
    certificates_rotate_at: float | None = Field(
        None, description="when the nodes of a secured cluster get new certificates by themselves")
    settled_revision: int | None = Field(
        None, description="the last revision that was in force on every node; abandon goes back "
        "to it")


class NodeFacts(_View):
    """Where a node is, and how large."""

    name: str
    host: str | None = None
    rack: str | None = None
    roles: list[str]
    http: str | None = None
    transport: str | None = None
    cpus: float
    mem_mb: int
    heap_mb: int
    disk_mb: int


class SnippetView(_View):
    """How a client is pointed at the cluster."""

    language: str = Field(examples=["Python"])
    text: str


class DeliveryView(_View):
    """What whoever uses a cluster has to know, on one page."""

    name: str
    tenant: str
    version: str
    health: Health
    description: str
    endpoints: dict[str, list[str]]
    nodes: list[NodeFacts]
    plugins: list[str]
    settings: dict[str, Any]
    default_replicas: int
    secured: bool
    credentials: str = Field(description="who holds them and how to get them; never what they are")
    reserved_cpus: float
    reserved_mb: dict[str, int] = Field(examples=[{"mem": 6144, "disk": 30720}])
    dashboards: list[str] = Field(description="addresses of its sidecars that answer")
    snippets: list[SnippetView]


class NodeEndpoint(_View):
    """A node that takes requests."""

    name: str
    address: str = Field(examples=["10.0.0.1:31100"], description="host:port of its HTTP")
    roles: list[str]


class EndpointsView(_View):
    """Where a cluster is reached; nodes that are about to stop are not among its nodes."""

    cluster: str
    tenant: str
    version: str = Field(description="of this content: another one means another content")
    secured: bool = Field(description="whether nodes speak TLS only")
    virtual_ports: dict[str, int] = Field({}, examples=[{"http": 20000}], description="the ports "
                                          "that HAProxy answers on; they stay when nodes move")
    http: list[str] = Field([], description="URLs of all")
    master: list[str] = []
    data: list[str] = []
    ingest: list[str] = []
    nodes: list[NodeEndpoint] = []


class AllEndpoints(_View):
    """Where all clusters are reached that somebody may see."""

    version: str
    complete: bool = Field(description="false while a cluster is taken over, and nobody has told "
                           "of its nodes yet: one that is not listed may be there")
    clusters: list[EndpointsView]


class OfferView(_View):
    """The last answer to an agent's offer, and why."""

    agent: str
    agent_id: str
    at: float
    answer: Literal["accepted", "declined"]
    reason: str
    refuse_s: float | None = None
    resources: str = Field(examples=["cpus 3.5, mem 3072 MB, disk 18000 MB, 98 ports"])
    tree: list[str] = Field([], description="the outcome of every stage, indented lines")


class EventView(_View):
    """Something that happened to a cluster."""

    seq: int
    at: float
    cluster: str
    kind: str = Field(examples=["node_running", "scale_accepted"])
    level: Literal["info", "warning", "error"] = "info"
    node: str | None = None
    message: str
    details: dict[str, Any] = {}


class Preview(_View):
    """What a change would do, before anything happens."""

    changes: list[str] = Field(description="what differs, one a line: path: old -> new")
    starts: list[str] = Field([], description="nodes that would be started")
    restarts: list[str] = Field([], description="nodes that would be restarted, in order")
    replaces: list[str] = Field([], description="nodes that would move to a new volume: another "
                                "is started, then they are drained and removed")
    removes: list[str] = Field([], description="nodes that would be drained and removed")
    live: list[str] = Field([], description="settings that would change without a restart")
    reasons: dict[str, str] = Field({}, description="why, by node")


class TemplateView(_View):
    """A kind of cluster to start from."""

    name: str = Field(examples=["log-analytics"])
    title: str
    text: str


class ReasonView(_View):
    """One thing that was chosen for a spec, and why."""

    what: str = Field(examples=["heap of a node"])
    value: str = Field(examples=["8 GB"])
    why: str


class MadeView(_View):
    """A spec from a template, and why it is as it is."""

    spec: dict[str, Any]
    reasons: list[ReasonView]


class RevisionView(_View):
    """A spec that was wanted at some time."""

    revision: int
    at: float | None = None
    current: bool
    changes: list[str] = Field([], description="what it changed from the one before")
    spec: dict[str, Any]


class Accepted(_View):
    """A request that was taken; the work goes on in the background."""

    cluster: str
    revision: int
    message: str
    changed: bool = Field(True, description="false when it was so already")
    preview: Preview | None = None


class SeatView(_View):
    """A node on a host."""

    host: str
    rack: str | None = None
    cluster: str
    tenant: str
    node: str
    state: str
    alive: bool = Field(description="whether a process of it may run")


class MaintenanceView(_View):
    """A host that is to go, or is away."""

    mode: Literal["move", "stop"] = Field(description="move: its nodes go to other hosts first; "
                                          "stop: they are stopped in order, and come back with it")
    source: str = Field(examples=["people", "schedule"])
    asked_at: float
    begins: float
    ends: float | None = None


class AgentView(_View):
    """A host with nodes of this service."""

    host: str
    rack: str | None = None
    nodes: list[SeatView]
    empty: bool = Field(description="whether nothing of this service runs there: it may go")
    maintenance: MaintenanceView | None = None


class MemberView(_View):
    """A process that shares the store with the others."""

    instance: str
    url: str
    started_at: float
    clusters: int = Field(description="how many clusters it runs")
    me: bool = Field(description="whether it is the one that answers")


class HealthView(_View):
    """The process answers."""

    ok: bool
    version: str


class ServiceStatus(_View):
    """The service itself, for ``/v1/status`` and health checks."""

    version: str
    instance: str
    store: str
    mesos_master: str
    clusters: int
    clusters_connected: int
    started_at: float
    unreadable: dict[str, str] = Field(
        {}, description="clusters whose records this version cannot read, and why")
    members: list[MemberView] = Field([], description="all processes that share the store")
    owners: dict[str, str] = Field({}, description="which process runs each cluster")


class PointView(_View):
    """A piece of a series: its begin, and the lowest, mean and highest figure in it."""

    at: float
    low: float
    mean: float
    high: float


class LineView(_View):
    """The points of one node or host, oldest first, gaps left out; no name: the cluster's."""

    name: str
    points: list[PointView]


class SeriesView(_View):
    """A metric over a time, in seconds since the epoch."""

    metric: str
    help: str
    since: float
    until: float
    lines: list[LineView]


class HostLoadView(_View):
    """The newest figures of a host, by metric."""

    host: str
    at: float
    values: dict[str, float]
