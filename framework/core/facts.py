"""What is: frozen values that the events of the world fold into.

Records (identity, spec, nodes) are durable; ``Link``, ``EsView`` and what is offered are not: they
are unknown after a restart and are learned again. Times are seconds since the epoch, sizes MB.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from .spec import ClusterSpec, NodeGroup

# Labels on every reservation of ours: they, and the persistence id, are a node's identity. The
# agent id is not: it changes when an agent comes back as a new one (Mesos documentation,
# "Agent recovery"; docs/adr/0004-identity.md).
LABEL_CLUSTER = "esaas.cluster"
LABEL_UID = "esaas.uid"
LABEL_NODE = "esaas.node"
LABEL_INCARNATION = "esaas.incarnation"


class NodeState(StrEnum):
    """Where a node is in its life; ``machine.py`` has the legal ways between them."""

    PLANNED = "planned"            # wanted; nothing of it is on Mesos
    PLACING = "placing"            # stored and sent: RESERVE, CREATE, LAUNCH; outcome unknown
    LAUNCHING = "launching"        # stored and sent: LAUNCH on its own volume; outcome unknown
    STARTING = "starting"          # its executor prepares or Elasticsearch starts
    RUNNING = "running"            # Elasticsearch answers under its own name
    UNREACHABLE = "unreachable"    # its agent is away; it may well be alive
    DOWN = "down"                  # its task has ended; its reservation and volume remain
    RESTARTING = "restarting"      # told to stop, to start again in place
    STOPPING = "stopping"          # told to stop, on the way out
    STOPPED = "stopped"            # ended for good; its resources wait to be released
    RELEASING = "releasing"        # stored and sent: DESTROY, UNRESERVE; outcome unknown


# States in which a process of the node may exist.
ALIVE = frozenset({NodeState.PLACING, NodeState.LAUNCHING, NodeState.STARTING, NodeState.RUNNING,
                   NodeState.UNREACHABLE, NodeState.RESTARTING, NodeState.STOPPING})
# States in which an ACCEPT of ours has an outcome that we do not know yet.
IN_FLIGHT = frozenset({NodeState.PLACING, NodeState.LAUNCHING, NodeState.RELEASING})


@dataclass(frozen=True, slots=True)
class NodeResources:
    """What a node holds on its agent, the executor's share included."""

    cpus: float
    mem_mb: int
    disk_mb: int
    disk_type: str = "ROOT"
    disk_root: str | None = None       # path of a PATH or MOUNT disk on the agent


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a node sits: an agent, its ports and its volume."""

    agent_id: str
    host: str
    ip: str
    attributes: tuple[tuple[str, str], ...]
    http_port: int
    transport_port: int
    resources: NodeResources

    @property
    def transport_address(self) -> str:
        """``host:port`` for other nodes."""
        return f"{self.ip}:{self.transport_port}"

    @property
    def http_address(self) -> str:
        """``host:port`` for clients."""
        return f"{self.ip}:{self.http_port}"

    def attribute(self, name: str | None) -> str | None:
        """The value of an agent attribute."""
        return dict(self.attributes).get(name) if name else None


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """All we know of one node; one record in the store."""

    name: str
    group: str
    state: NodeState
    since: float
    incarnation: int = 0               # counts its volumes
    launch: int = 0                    # counts the starts on this volume
    seat: Seat | None = None
    seat_confirmed: bool = False       # the reservation and the volume are known to exist
    leaving: str = ""                  # why it is to go once it is drained; it may still stay
    moving: bool = False               # another node takes its place; beside leaving
    elsewhere: bool = False            # that other node is to be on another host
    draining: bool = False             # to be under an allocation exclusion of ours
    drain_shards: int = 0              # what it held when its drain began
    drain_mb: int = 0
    retire: bool = False               # it is to go, with its volume: an explicit decommission
    config: str = ""                   # fingerprint of what it was started with
    recycle: int = 0                   # the launch that a restart of ours is to replace; 0: none
    held: bool = False                 # people want Elasticsearch not started: debugging
    forced: tuple[str, ...] = ()       # gates that people go past with it
    growing: tuple[float, int] = (0.0, 0)      # cpus, mem_mb: asked to be reserved beyond the seat
    grown: tuple[float, int] = (0.0, 0)        # reserved beyond the seat, for its next start
    owed: tuple[float, int] = (0.0, 0)         # reserved anew while Mesos may still hold its like
    operations: tuple[str, ...] = ()   # ids of operations whose outcome we wait for
    es_node_id: str | None = None
    pid: int | None = None
    version: str | None = None
    serving_since: float | None = None
    failures: int = 0                  # in a row; a stable node has none
    retry_at: float = 0.0
    seeds_generation: int = 0          # the last one its executor is known to have
    message: str = ""                  # the last word about it, for people

    @property
    def task_id_suffix(self) -> str:
        """Tells one start of a node from another."""
        return f"{self.name}.{self.incarnation}.{self.launch}"

    def staying(self) -> NodeRecord:
        """The node as one that does not leave after all."""
        return replace(self, leaving="", moving=False, elsewhere=False, draining=False,
                       drain_shards=0, drain_mb=0, forced=())


@dataclass(frozen=True, slots=True)
class Seeds:
    """Transport addresses that nodes find each other by; the generation grows with changes."""

    addresses: tuple[str, ...] = ()
    generation: int = 0
    http_urls: tuple[str, ...] = ()     # of the same nodes, for sidecars
    log_urls: tuple[str, ...] = ()      # of another cluster, which logs are shipped to


@dataclass(frozen=True, slots=True)
class Identity:
    """What a cluster is called and how Mesos knows it; never changes but for the framework id."""

    name: str
    tenant: str
    uid: str                            # unique over all clusters that ever were
    created_at: float
    principal: str | None = None
    framework_id: str | None = None

    @property
    def role(self) -> str:
        """The Mesos role: the cluster's own, below its tenant's (docs/adr/0003-roles.md)."""
        return f"{self.tenant}/{self.name}"

    @property
    def framework_name(self) -> str:
        """What operators see in Mesos."""
        return f"esaas/{self.tenant}/{self.name}"


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The first forming of a cluster, which happens once.

    ``masters`` are the nodes of the first quorum; once ``cluster_uuid`` is known, no node is ever
    told ``cluster.initial_master_nodes`` again (trap: a second bootstrap makes a second cluster).
    """

    masters: tuple[str, ...]
    nodes: tuple[str, ...]
    cluster_uuid: str | None = None


@dataclass(frozen=True, slots=True)
class EsNode:
    """A member, as the cluster itself lists it."""

    id: str
    name: str
    http_address: str | None = None
    version: str | None = None
    shards: int | None = None
    heap_used_percent: float | None = None
    disk_used_percent: float | None = None
    disk_total_mb: float | None = None


@dataclass(frozen=True, slots=True)
class ShardLoad:
    """What a node holds: started or leaving shards, those on their way to it, and their size."""

    shards: int = 0
    incoming: int = 0
    store_mb: int = 0


# (transient, persistent) values of a setting of the cluster; a transient one masks a persistent.
Layered = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class EsView:
    """What Elasticsearch says of itself at one moment."""

    at: float
    health: str                         # green, yellow, red
    cluster_uuid: str | None
    nodes: Mapping[str, EsNode]         # by node name
    master: str | None = None           # name of the elected master
    active_primary_shards: int = 0
    active_shards: int = 0
    relocating_shards: int = 0
    initializing_shards: int = 0
    unassigned_shards: int = 0
    documents: int | None = None
    store_mb: float | None = None
    minimum_master_nodes: int | None = None    # the persistent setting, up to 6.x
    template_replicas: int | None = None       # of our index template; None: no template
    loads: Mapping[str, ShardLoad] | None = None       # by node name; None: not looked at
    max_replicas: int | None = None            # of any index; None: not looked at
    allocation_settings: Layered = (None, None)        # cluster.routing.allocation.enable
    exclude_settings: Layered = (None, None)           # ...allocation.exclude._name
    voting_exclusions: tuple[str, ...] = ()
    # Of a full look only. A shard's id is index[number].
    copies: Mapping[str, frozenset[str]] | None = None     # active copies by node name
    incomplete: frozenset[str] = frozenset()   # shards with a copy unassigned or being built
    lone: frozenset[str] = frozenset()         # shards with one active copy
    delayed_indices: int = 0                   # with our raised time-out for missing nodes
    transient: Mapping[str, str] = field(default_factory=dict)     # settings, flat, as text
    persistent: Mapping[str, str] = field(default_factory=dict)
    known_settings: frozenset[str] | None = None   # asked for when a spec brings new ones
    carried_from: float | None = None          # when settings were looked at; None: at this look

    @property
    def settings_at(self) -> float:
        """When settings were looked at: earlier than the rest, but for a full look."""
        return self.at if self.carried_from is None else self.carried_from

    def setting(self, key: str) -> Layered:
        """(transient, persistent) value of a setting of the cluster."""
        return self.transient.get(key), self.persistent.get(key)

    @property
    def allocation(self) -> str:
        """The value of ``cluster.routing.allocation.enable`` in force."""
        return self.allocation_settings[0] or self.allocation_settings[1] or "all"

    @property
    def excluded(self) -> tuple[str, ...]:
        """Node names that get no shards, by the setting in force."""
        text = self.exclude_settings[0] or self.exclude_settings[1] or ""
        return tuple(name for name in text.split(",") if name)

    def lists(self, record: NodeRecord) -> bool:
        """Whether the node is a member under its own name and id."""
        member = self.nodes.get(record.name)
        return member is not None and member.id == record.es_node_id


@dataclass(frozen=True, slots=True)
class HostPlan:
    """A host that is to go: from the begin of its window to its end, if that is known."""

    asked_at: float
    begins: float
    ends: float | None
    source: str                         # people, schedule
    mode: str                           # move, stop


@dataclass(frozen=True, slots=True)
class Orphan:
    """What is reserved with this cluster's labels, and no record stands for."""

    node: str
    incarnation: int
    host: str
    seen_at: float
    volume: bool
    disk_mb: int = 0
    released: bool = False              # people want it gone, its volume included

    @property
    def id(self) -> str:
        """Tells it from the others of the cluster."""
        return f"{self.node}.{self.incarnation}"


@dataclass(frozen=True, slots=True)
class InverseOffer:
    """A question of Mesos that waits for an answer: may the agent go?"""

    id: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class Link:
    """The connection to the Mesos master, and what we asked of it lately. Not durable."""

    connected: bool = False
    since: float = 0.0
    needs: tuple[str, ...] | None = None       # what offers were last asked for; () suppressed
    unreconciled: Mapping[str, int] = field(default_factory=dict)   # task id -> tries
    reconcile_at: float = 0.0
    reconciled_at: float = 0.0                 # the last time that every task was answered for
    strangers: Mapping[str, str | None] = field(default_factory=dict)  # task id -> agent id
    error: str = ""                            # an ERROR event: Mesos will not have us
    inverse: Mapping[str, InverseOffer] = field(default_factory=dict)      # by offer id


@dataclass(frozen=True, slots=True)
class Switch:
    """A setting of the cluster that people have set for a while."""

    value: str
    before: Layered | None              # what to go back to; None: not set yet
    set_at: float
    until: float | None = None          # goes back by itself then
    restoring: bool = False


@dataclass(frozen=True, slots=True)
class Errand:
    """Something that people have done once: flush, clear_cache, force_merge, reroute_retry."""

    id: str
    kind: str
    parameters: tuple[tuple[str, str], ...]
    asked_at: float
    status: str = "waiting"             # running, done, failed
    ended_at: float | None = None
    done: int = 0                       # of total indices
    total: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotMemory:
    """What is remembered of a cluster's snapshots; the repository itself has the list."""

    since: float                        # when snapshots began to be wanted
    repository: str = ""                # fingerprint of the one that every node has reached
    newest: str = ""                    # the name of the last complete one
    taken_at: float | None = None       # when that was asked for
    expired: str = ""                   # the newest one when old ones were last deleted
    failed: str = ""                    # why the last one, or the check of the repository, failed
    drilled_at: float | None = None
    drill_failed: str = ""


@dataclass(frozen=True, slots=True)
class Scaled:
    """The last change of the number of nodes of a group."""

    at: float
    count_before: int
    count: int
    by: str = ""                        # empty: people
    why: str = ""


@dataclass(frozen=True, slots=True)
class Secret:
    """That a secure setting is there; its value is never among the facts."""

    version: int
    set_at: float


@dataclass(frozen=True, slots=True)
class Tls:
    """The certificates that the nodes of a secured cluster are to have; never a key.

    A node gets one of its own at each start, so those of a generation are as old as it at most.
    """

    generation: int
    since: float
    rotate_at: float                    # the next generation follows by itself then
    shown_at: float | None = None       # when people last asked for the password


@dataclass(frozen=True, slots=True)
class Canary:
    """The first node of a change whose others wait for people."""

    revision: int
    node: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Things asked of Elasticsearch or executors whose effect has not been seen yet."""

    at: Mapping[str, float] = field(default_factory=dict)

    def lately(self, what: str, now: float, patience_s: float) -> bool:
        """Whether it was asked so short ago that asking again would only repeat."""
        return now - self.at.get(what, float("-inf")) < patience_s


@dataclass(frozen=True, slots=True)
class ClusterState:
    """One cluster: durable facts, then what has to be learned again after a restart."""

    identity: Identity
    spec: ClusterSpec
    revision: int
    bootstrap: Bootstrap
    nodes: Mapping[str, NodeRecord] = field(default_factory=lambda: MappingProxyType({}))
    seeds: Seeds = Seeds()
    # The last incarnation of nodes that are gone, so that a volume's id is never used twice.
    gone: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    excluded: tuple[str, ...] = ()      # names that we have put under allocation exclusion
    excluded_votes: tuple[str, ...] = ()
    held_allocation: Layered | None = None     # what was set before a restart of ours held it
    paused: bool = False                # people want no further step of a change
    # The last revision that was in force on every node, and its spec.
    settled: tuple[int, ClusterSpec] | None = None
    setback: str = ""                   # why the last change went back by itself
    canary: Canary | None = None
    approved: int = 0                   # the revision whose canary people have approved
    switches: Mapping[str, Switch] = field(default_factory=lambda: MappingProxyType({}))
    errands: tuple[Errand, ...] = ()    # the newest last
    secrets: Mapping[str, Secret] = field(default_factory=lambda: MappingProxyType({}))
    tls: Tls | None = None              # None: not secured
    live_keys: tuple[str, ...] = ()     # settings that we have set in the running cluster
    raised_delays: bool = False         # the time-out for missing nodes is, or may be, raised
    replaced_at: tuple[float, ...] = ()     # automatic replacements of the last hour
    maintenance: Mapping[str, HostPlan] = field(       # by host
        default_factory=lambda: MappingProxyType({}))
    snapshots: SnapshotMemory | None = None     # None: none were ever wanted
    scaled: Mapping[str, Scaled] = field(default_factory=lambda: MappingProxyType({}))  # by group
    # Hosts on which something may be reserved of a node that was never heard of there, since when.
    doubts: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    deleting: bool = False
    removed: bool = False               # the framework is torn down: nothing is left to do

    link: Link = Link()
    es: EsView | None = None
    asked: Asked = Asked()
    flushed_at: float = 0.0
    delays_raised_at: float = 0.0
    allocation_held_at: float = 0.0
    errands_sent: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)    # by Elasticsearch: what -> why
    orphans: Mapping[str, Orphan] = field(default_factory=dict)     # by id
    # Transport addresses of other clusters of the service; a name that is missing is unknown.
    remotes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # URLs of clusters of the service that logs are shipped to; the same holds.
    log_targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def with_node(self, record: NodeRecord) -> ClusterState:
        """The state with one node replaced or added."""
        return replace(self, nodes=MappingProxyType({**self.nodes, record.name: record}))

    def without_node(self, name: str) -> ClusterState:
        """The state without a node; its last incarnation is remembered."""
        left = {key: record for key, record in self.nodes.items() if key != name}
        gone = {**self.gone, name: self.nodes[name].incarnation}
        return replace(self, nodes=MappingProxyType(left), gone=MappingProxyType(gone))

    def task_id(self, record: NodeRecord) -> str:
        """The Mesos task id of a node's present start."""
        return f"{self.identity.name}.{record.task_id_suffix}"

    def by_task(self, task_id: str) -> NodeRecord | None:
        """The node whose present start has this task id."""
        parts = task_id.split(".")
        record = self.nodes.get(parts[1]) if len(parts) == 4 else None
        return record if record is not None and self.task_id(record) == task_id else None

    def group_of(self, record: NodeRecord) -> NodeGroup | None:
        """The wanted group of a node; None when the spec has it no more."""
        return self.spec.group(record.group)

    def is_master(self, record: NodeRecord) -> bool:
        """Whether a node is eligible as master."""
        group = self.group_of(record)
        return group is not None and "master" in group.roles

    def was_master(self, record: NodeRecord) -> bool:
        """Whether a node is eligible, or belongs to a group that the spec has no more."""
        return self.is_master(record) or self.group_of(record) is None

    def is_data(self, record: NodeRecord) -> bool:
        """Whether a node holds shards."""
        group = self.group_of(record)
        return group is not None and "data" in group.roles

    def is_sidecar(self, record: NodeRecord) -> bool:
        """Whether it runs something else than Elasticsearch."""
        group = self.group_of(record)
        return group is not None and group.is_sidecar

    def is_ready(self, record: NodeRecord) -> bool:
        """Running, and a member by the cluster's own list: an open port is not membership."""
        if record.state is not NodeState.RUNNING:
            return False
        if self.is_sidecar(record):
            return True
        # A look from before this start may list the node as it was then.
        return (self.es is not None and self.es.at >= (record.serving_since or 0.0)
                and self.es.lists(record))

    @property
    def waiting_canary(self) -> Canary | None:
        """The first node of the wanted revision, while people have not let the others follow."""
        canary = self.canary
        waits = canary is not None and canary.revision == self.revision > self.approved
        return canary if waits else None

    def reservation_labels(self, record: NodeRecord) -> tuple[tuple[str, str], ...]:
        """The labels on all resources of a node."""
        return ((LABEL_CLUSTER, self.identity.name), (LABEL_UID, self.identity.uid),
                (LABEL_NODE, record.name), (LABEL_INCARNATION, str(record.incarnation)))

    def persistence_id(self, record: NodeRecord) -> str:
        """The id of a node's volume, unique over all volumes that ever were."""
        return f"{self.identity.uid}.{record.name}.{record.incarnation}"
