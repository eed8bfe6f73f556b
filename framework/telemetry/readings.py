"""Readings: what was measured of whom and when; the vocabulary that all of telemetry shares.

Whoever collects puts readings onto the ``Board``; charts, alerts, reports and exporters take them
from there. Counters of Elasticsearch and Mesos are rates here already, so every figure stands for
itself. A figure that could not be had is missing, never zero.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class Scope(StrEnum):
    """What kind of thing a figure is about."""

    CLUSTER = "cluster"
    NODE = "node"
    HOST = "host"
    SERVICE = "service"                 # one process of the service
    MESOS = "mesos"                     # the leading master
    ZOOKEEPER = "zookeeper"             # a server of the ZooKeeper that keeps the records


class Subject(NamedTuple):
    """Whom a figure is about. ``cluster`` is empty for all but clusters and nodes."""

    scope: Scope
    cluster: str
    name: str                           # of the node, host or server; else empty


def of_cluster(cluster: str) -> Subject:
    """A cluster as a whole."""
    return Subject(Scope.CLUSTER, cluster, "")


def of_node(cluster: str, node: str) -> Subject:
    """One node of a cluster."""
    return Subject(Scope.NODE, cluster, node)


def of_host(host: str) -> Subject:
    """A host, whatever runs there."""
    return Subject(Scope.HOST, "", host)


def of_zookeeper(server: str) -> Subject:
    """One server of ZooKeeper."""
    return Subject(Scope.ZOOKEEPER, "", server)


OF_SERVICE = Subject(Scope.SERVICE, "", "")
OF_MESOS = Subject(Scope.MESOS, "", "")


@dataclass(frozen=True, slots=True)
class Metric:
    """What a figure means. Its unit is the end of its name; without one it is a plain number."""

    name: str
    scope: Scope
    help: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Figures of one subject at one moment, by the name of their metric."""

    at: float                           # seconds since the epoch
    subject: Subject
    values: Mapping[str, float]


class Point(NamedTuple):
    """A piece of a series: its begin, and the lowest, mean and highest figure in it."""

    at: float
    low: float
    mean: float
    high: float


class History(Protocol):
    """Readings of the last hours and days, in a fixed space; survives restarts."""

    def append(self, readings: Sequence[Reading]) -> None:
        """Keep them; older than what is kept of their subject already is dropped."""

    def series(self, subject: Subject, metric: str, since: float, until: float,
               points: int = 300) -> list[Point]:
        """At most so many points, oldest first; gaps are left out."""

    def subjects(self, scope: Scope, since: float) -> list[Subject]:
        """Whom there is something of, by name."""

    def close(self) -> None:
        """Write what waits."""


class Board:
    """The newest reading of every subject that this process knows of; for the event loop only."""

    def __init__(self) -> None:
        # By cluster, so that whoever asks of one does not go through all; hosts are under "".
        self._newest: dict[str, dict[Subject, Reading]] = {}
        self._listeners: list[Callable[[Sequence[Reading]], None]] = []

    def listen(self, listener: Callable[[Sequence[Reading]], None]) -> None:
        """Have every batch from now on; a listener must be quick and must not raise."""
        self._listeners.append(listener)

    def put(self, readings: Iterable[Reading]) -> None:
        """A batch that was measured together."""
        batch = tuple(readings)
        for reading in batch:
            self._newest.setdefault(reading.subject.cluster, {})[reading.subject] = reading
        for listener in self._listeners:
            listener(batch)

    def newest(self, subject: Subject) -> Reading | None:
        """The last reading of a subject, however old."""
        return self._newest.get(subject.cluster, {}).get(subject)

    def nodes(self, cluster: str) -> list[Reading]:
        """The last reading of each node of a cluster, by node name."""
        return sorted((reading for subject, reading in self._newest.get(cluster, {}).items()
                       if subject.scope is Scope.NODE), key=lambda reading: reading.subject.name)

    def all(self, scope: Scope) -> list[Reading]:
        """The last reading of everybody of a scope, by cluster and name."""
        return sorted((reading for of_one in self._newest.values()
                       for subject, reading in of_one.items() if subject.scope is scope),
                      key=lambda reading: reading.subject)

    def frozen(self) -> Board:
        """What is known now, for a thread: it does not change, and nobody listens."""
        found = Board()
        found._newest = {cluster: dict(of_one) for cluster, of_one in self._newest.items()}
        return found

    def forget(self, cluster: str) -> None:
        """A cluster that is not run here any more, and its nodes."""
        if cluster:
            self._newest.pop(cluster, None)

    def keep_only(self, scope: Scope, subjects: Iterable[Subject]) -> None:
        """Forget everybody else of a scope: nodes that are gone, hosts without a node."""
        kept = set(subjects)
        for of_one in self._newest.values():
            for subject in [one for one in of_one if one.scope is scope and one not in kept]:
                del of_one[subject]


# What there is. Exporters put their own prefix before the names.
METRICS: tuple[Metric, ...] = (
    *(Metric(name, Scope.CLUSTER, text) for name, text in (
        ("status", "health: 0 green, 1 yellow, 2 red"),
        ("nodes", "members of the cluster"),
        ("nodes_wanted", "nodes that the spec asks for; 0 while it is deleted"),
        ("nodes_ready", "nodes that serve, sidecars included"),
        ("documents", "documents in primary shards"),
        ("store_mb", "size of all shards"),
        ("shards", "active shards"),
        ("unassigned_shards", "shards without a node"),
        ("initializing_shards", "shards that are being built"),
        ("relocating_shards", "shards that move"),
        ("view_age_s", "how old the last look at the cluster is"),
        ("seen", "1 when that look counts, 0 when nobody has answered lately; none in its start"),
        ("connected", "1 when its scheduler is registered with a Mesos master, else 0"),
        ("steps_held", "steps of the plan that a gate holds"),
        ("waits_for_people", "1 when people have paused it or are to look at a canary, else 0"),
        ("inbox", "events that wait for its loop"),
        ("snapshot_age_s", "since the last complete snapshot was asked for; none before it"),
        ("snapshot_late_s", "since one was due; 0 while none is; none where none are wanted"),
        ("snapshot_failed", "1 when the last one, or the check of the repository, failed, else 0"),
        ("snapshot_drill_failed", "1 when the last restore drill failed, else 0"),
    )),
    *(Metric(name, Scope.NODE, text) for name, text in (
        ("up", "1 when the node answered, 0 when it did not"),
        ("heap_used_percent", "of the heap"),
        ("heap_used_mb", "used heap"),
        ("heap_old_percent", "of the old generation's limit"),
        ("heap_young_mb", "used young generation"),
        ("gc_young_ms_per_s", "time in young collections"),
        ("gc_old_ms_per_s", "time in old collections"),
        ("gc_old_per_s", "old collections"),
        ("disk_used_percent", "of the file system of the node's volume"),
        ("disk_free_mb", "free for Elasticsearch there"),
        ("disk_total_mb", "size of that file system"),
        ("disk_read_per_s", "read operations of the node's devices"),
        ("disk_write_per_s", "write operations of the node's devices"),
        ("store_mb", "size of its shards"),
        ("cpu_percent", "of all cores of the host, by the process"),
        ("load_1m", "load of the host, as the node sees it"),
        ("shards", "shards on it"),
        ("documents", "documents in its shards"),
        ("segments", "segments of its shards"),
        ("segments_mb", "memory of segments"),
        ("fielddata_mb", "field data in memory"),
        ("query_cache_mb", "query cache"),
        ("request_cache_mb", "request cache"),
        ("index_buffer_mb", "index buffer"),
        ("indexing_per_s", "documents indexed"),
        ("indexing_ms", "mean time to index one"),
        ("searches_per_s", "queries on its shards"),
        ("search_ms", "mean time of one"),
        ("merges", "merges that run"),
        ("merge_mb_per_s", "merged"),
        ("rejections_per_s", "requests that full queues turned away"),
        ("breaker_trips_per_s", "requests that a breaker stopped"),
        ("container_cpu_percent", "of one core, by the node's container, executor included"),
        ("container_cpu_user_percent", "of that, in programs"),
        ("container_cpu_system_percent", "of that, in the kernel"),
        ("container_cpus", "cores that the container may use"),
        ("container_mem_mb", "resident memory of the container"),
        ("container_mem_limit_mb", "memory that the container may use"),
        ("container_mem_percent", "of the memory that the container may use"),
        ("container_disk_mb", "disk used by the container, where the agent measures it"),
        ("container_disk_limit_mb", "disk that the container may use, likewise"),
        ("restarts_per_h", "starts in the last hour that this process has seen"),
        ("failures", "starts that failed, in a row"),
    )),
    *(Metric(name, Scope.HOST, text) for name, text in (
        ("nodes", "nodes of ours on it"),
        ("nodes_unreachable", "of those whose agent is away"),
        ("load_1m", "load"),
        ("load_per_core", "load over the number of cores"),
        ("cpu_percent", "of all cores, by nodes of ours"),
        ("disk_used_percent", "of the fullest file system that nodes of ours use"),
        ("disk_free_mb", "free on it"),
        ("disk_read_per_s", "read operations"),
        ("disk_write_per_s", "write operations"),
        ("indexing_per_s", "documents indexed by nodes of ours"),
        ("searches_per_s", "queries on shards of ours"),
        ("reserved_cpus", "CPUs reserved for nodes of ours"),
        ("reserved_mem_mb", "memory reserved for nodes of ours"),
        ("agent_up", "1 when its agent answered, 0 when it did not"),
        ("agent_registered", "1 when the agent is registered with a master"),
        ("agent_uptime_s", "since the agent was started"),
        ("agent_cores", "cores of the host, as the agent counts them"),
        ("agent_mem_free_mb", "free memory of the host"),
        ("agent_cpus_percent", "of the agent's CPUs that tasks of anybody have"),
        ("agent_mem_percent", "of the agent's memory that tasks of anybody have"),
        ("agent_disk_percent", "of the agent's disk that tasks of anybody have"),
        ("agent_tasks", "tasks of anybody that run on it"),
        ("agent_launch_errors", "containers that the agent could not launch, since its start"),
    )),
    *(Metric(name, Scope.SERVICE, text) for name, text in (
        ("clusters", "clusters that this process runs"),
        ("leases_owned", "clusters whose lease is known to be held by this process"),
        ("loops_stopped", "clusters whose loop is held, and does not turn any more"),
        ("store_up", "1 when the store could be read at the last try, else 0"),
        ("cpu_percent", "of one core"),
        ("mem_mb", "resident memory"),
        ("inbox", "longest queue of events of a cluster"),
        ("decide_ms", "mean time to fold events and decide"),
        ("offers_per_s", "offers received"),
        ("declines_per_s", "offers declined"),
        ("gates_held", "steps that a gate holds"),
        ("masters_away", "clusters whose scheduler is not registered"),
    )),
    *(Metric(name, Scope.MESOS, text) for name, text in (
        ("master_up", "1 when the leading master answered, 0 when it did not"),
        ("uptime_s", "since it was started"),
        ("agents_active", "agents that are registered and connected"),
        ("agents_inactive", "agents that are registered and not active"),
        ("agents_unreachable", "agents that the master has given up"),
        ("frameworks_active", "schedulers of anybody"),
        ("tasks_running", "tasks of anybody"),
        ("tasks_unreachable", "tasks on agents that are away"),
        ("offers_outstanding", "offers that are not answered"),
        ("event_queue", "messages that wait for it"),
        ("dropped_messages", "messages dropped since its start"),
        ("cpus_percent", "of all CPUs that tasks have"),
        ("mem_percent", "of all memory that tasks have"),
        ("disk_percent", "of all disk that tasks have"),
        ("load_1m", "load of its host"),
    )),
    *(Metric(name, Scope.ZOOKEEPER, text) for name, text in (
        ("up", "1 when the server answered, 0 when it did not"),
        ("leader", "1 when it leads, or is alone"),
        ("latency_ms", "mean time of a request"),
        ("outstanding", "requests that wait"),
        ("connections", "clients"),
        ("znodes", "records of anybody"),
    )),
)
BY_NAME: Mapping[tuple[Scope, str], Metric] = {
    (metric.scope, metric.name): metric for metric in METRICS}
