"""What happened: the only way that a state changes.

Three kinds: what the world told us, what people asked for, and what we are about to do (an intent,
stored before it is sent). ``at`` is seconds since the epoch.
"""
from __future__ import annotations

from dataclasses import dataclass

from .facts import EsView, HostPlan, Layered, Orphan, Seat
from .spec import ClusterSpec


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a time."""

    at: float


# ---------------------------------------------------------------- from Mesos

@dataclass(frozen=True, slots=True)
class Registered(Event):
    """The master knows this framework, for the first time or again."""

    framework_id: str


@dataclass(frozen=True, slots=True)
class Disconnected(Event):
    """The connection to the master is gone."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class MesosRefused(Event):
    """An ERROR event or a refused subscription: the master will not have us as we are."""

    message: str


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What an executor says of its node (``esaas.NodeStatus``)."""

    es_node_id: str | None = None
    pid: int | None = None
    version: str | None = None
    serving: bool = False
    reason: str = ""
    log_tail: tuple[str, ...] = ()
    paused: bool = False                # prepared, and not started: debugging


@dataclass(frozen=True, slots=True)
class TaskUpdated(Event):
    """A status update; ``status`` is Mesos' TaskState, for instance ``TASK_RUNNING``."""

    task_id: str
    status: str
    agent_id: str | None = None
    reason: str = ""
    message: str = ""
    source: str = ""
    node: NodeFacts | None = None


@dataclass(frozen=True, slots=True)
class OperationUpdated(Event):
    """Feedback on a RESERVE, CREATE, DESTROY or UNRESERVE that carried an id."""

    operation_id: str
    status: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class SeedsWritten(Event):
    """An executor has written this generation of the seeds file."""

    node: str
    generation: int


@dataclass(frozen=True, slots=True)
class SendFailed(Event):
    """A call to the master did not get through; whether it took effect is unknown."""

    what: str


@dataclass(frozen=True, slots=True)
class InverseOffered(Event):
    """The master asks for an agent: a maintenance window is scheduled for it."""

    offer_id: str
    agent_id: str
    begins: float
    ends: float | None = None


@dataclass(frozen=True, slots=True)
class InverseAnswered(Event):
    """Inverse offers are about to be answered, or were taken back."""

    offer_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrphanSeen(Event):
    """Resources with our labels are offered that no record stands for."""

    orphan: Orphan


@dataclass(frozen=True, slots=True)
class OrphanReleased(Event):
    """People want an orphan gone, with the volume that it may be."""

    orphan: str


@dataclass(frozen=True, slots=True)
class HostLeaves(Event):
    """A host goes away as planned: people say so, or Mesos."""

    host: str
    plan: HostPlan


@dataclass(frozen=True, slots=True)
class HostBack(Event):
    """A host stays, or is back."""

    host: str


@dataclass(frozen=True, slots=True)
class ClockJumped(Event):
    """The clock was set: times of before say nothing about how long ago something was."""

    by_s: float


# -------------------------------------------------------- from Elasticsearch

@dataclass(frozen=True, slots=True)
class EsObserved(Event):
    """A look at the cluster succeeded."""

    view: EsView


@dataclass(frozen=True, slots=True)
class EsActed(Event):
    """An action on Elasticsearch has ended."""

    action: str
    ok: bool
    message: str = ""
    subject: str = ""                   # which of its kind: an errand's id, a switch
    refused: bool = False               # Elasticsearch has said no; trying again will not help


@dataclass(frozen=True, slots=True)
class ErrandProgress(Event):
    """How far an errand is."""

    errand: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class RemoteSeen(Event):
    """Where the nodes of another cluster of this service are."""

    cluster: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogTargetSeen(Event):
    """Where the nodes of a cluster of this service answer that logs may be shipped to."""

    cluster: str
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogsAimed(Event):
    """Executors are to ship logs to these URLs from now on; to none when there are none."""

    urls: tuple[str, ...]


# --------------------------------------------------------------- from people

@dataclass(frozen=True, slots=True)
class SpecAccepted(Event):
    """A new revision of what is wanted."""

    revision: int
    spec: ClusterSpec
    override: str = ""                  # a change rule that was overridden for it
    why: str = ""                       # when nobody asked for it: what it mends
    by: str = ""                        # which policy asked for it; empty: people
    because: str = ""                   # what the policy saw


@dataclass(frozen=True, slots=True)
class DeleteAccepted(Event):
    """The cluster is to go, with its volumes: confirmed by name."""


@dataclass(frozen=True, slots=True)
class Paused(Event):
    """No further step of a change is to begin, or it may go on."""

    paused: bool


@dataclass(frozen=True, slots=True)
class ChangeApproved(Event):
    """People have looked at the canary of a revision: the others may follow."""

    revision: int


@dataclass(frozen=True, slots=True)
class ReplaceAsked(Event):
    """People want another node elsewhere in place of this one: its volume is to be destroyed."""

    node: str


@dataclass(frozen=True, slots=True)
class KeepAsked(Event):
    """People take a replacement back."""

    node: str


@dataclass(frozen=True, slots=True)
class NodeHeld(Event):
    """People want Elasticsearch on a node stopped for debugging, or started again."""

    node: str
    held: bool


@dataclass(frozen=True, slots=True)
class GateForced(Event):
    """People go past a gate with a node, this once."""

    node: str
    gate: str


@dataclass(frozen=True, slots=True)
class StepRestarted(Event):
    """People want a node's step begun anew: no back-off, and no waiting for one that hangs."""

    node: str


@dataclass(frozen=True, slots=True)
class SwitchSet(Event):
    """People want a setting of the cluster for a while."""

    switch: str
    value: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class SwitchBack(Event):
    """A switch is to go back: people say so, or its time is over."""

    switch: str


@dataclass(frozen=True, slots=True)
class ErrandAsked(Event):
    """People want something done once."""

    errand: str
    kind: str
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SecretsChanged(Event):
    """Secure settings were stored, or taken out; their values are kept apart."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FrameworkRenewed(Event):
    """People want another framework in the place of one that was removed from Mesos."""

    framework_id: str


@dataclass(frozen=True, slots=True)
class TlsRotated(Event):
    """Every node is to get a new certificate: people say so, or it is time."""


@dataclass(frozen=True, slots=True)
class CredentialsShown(Event):
    """People were told how to get into a secured cluster; never what they were told."""


@dataclass(frozen=True, slots=True)
class RestartAsked(Event):
    """People want a node restarted, whatever it runs with."""

    node: str


# ------------------------------------------------------------------- intents

@dataclass(frozen=True, slots=True)
class NodePlanned(Event):
    """A node is wanted that has no record."""

    node: str
    group: str


@dataclass(frozen=True, slots=True)
class PlaceIntended(Event):
    """RESERVE, CREATE and LAUNCH are about to be sent."""

    node: str
    seat: Seat
    config: str = ""


@dataclass(frozen=True, slots=True)
class SeatFound(Event):
    """The reservation and volume of a node are offered: they exist, and no task uses them.

    ``seat`` and ``incarnation`` are what the offer says: for a node without a record of its own
    it is an adoption.
    """

    node: str
    seat: Seat
    incarnation: int


@dataclass(frozen=True, slots=True)
class LaunchIntended(Event):
    """LAUNCH on the node's own volume is about to be sent."""

    node: str
    seat: Seat
    config: str = ""


@dataclass(frozen=True, slots=True)
class RetireIntended(Event):
    """The node is to go with its volume: the explicit step without which nothing is destroyed."""

    node: str
    why: str


@dataclass(frozen=True, slots=True)
class LeaveIntended(Event):
    """The node is not wanted any more: it is to be drained, and may still stay."""

    node: str
    why: str
    moving: bool = False                # another node takes its place,
    elsewhere: bool = False             # on another host
    automatic: bool = False             # nobody asked: it counts against the hourly rate


@dataclass(frozen=True, slots=True)
class DrainIntended(Event):
    """The node is to get no shard any more; what it holds now is where its progress starts."""

    node: str
    shards: int = 0
    store_mb: int = 0


@dataclass(frozen=True, slots=True)
class StayIntended(Event):
    """A node that was to leave is wanted again."""

    node: str


@dataclass(frozen=True, slots=True)
class ExclusionsSettled(Event):
    """The names that are, or may be, under an allocation exclusion of ours."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VotesExcluded(Event):
    """The names that are, or may be, under a voting exclusion of ours."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecycleChosen(Event):
    """The node is the next to be restarted in place."""

    node: str


@dataclass(frozen=True, slots=True)
class RecycleIntended(Event):
    """The node is about to be stopped, to start again in place."""

    node: str


@dataclass(frozen=True, slots=True)
class RecycleDone(Event):
    """The node is back as a member."""

    node: str


@dataclass(frozen=True, slots=True)
class GrowIntended(Event):
    """RESERVE of more for a node's next start is about to be sent."""

    node: str
    cpus: float
    mem_mb: int
    operation: str


@dataclass(frozen=True, slots=True)
class GrownSeen(Event):
    """So much is reserved for a node beyond what it runs with."""

    node: str
    cpus: float
    mem_mb: int


@dataclass(frozen=True, slots=True)
class CompleteIntended(Event):
    """RESERVE of what a node's seat has lacked for long is about to be sent."""

    node: str
    cpus: float
    mem_mb: int


@dataclass(frozen=True, slots=True)
class OwedReturned(Event):
    """What was reserved twice for a node has been offered, and is given back."""

    node: str


@dataclass(frozen=True, slots=True)
class DoubtEnded(Event):
    """Whatever is reserved on a host has been offered since it was in doubt."""

    host: str


@dataclass(frozen=True, slots=True)
class RevisionSettled(Event):
    """The wanted revision is in force on every node."""


@dataclass(frozen=True, slots=True)
class DelaysRaised(Event):
    """The time-out for missing nodes is about to be raised, or is as it was before."""

    raised: bool


@dataclass(frozen=True, slots=True)
class LiveKeysSettled(Event):
    """The settings that are, or may be, set by us in the running cluster."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SwitchIntended(Event):
    """A switch is about to be set; this is what was set before."""

    switch: str
    before: Layered


@dataclass(frozen=True, slots=True)
class SwitchRestored(Event):
    """A switch is as it was before."""

    switch: str


@dataclass(frozen=True, slots=True)
class SnapshotsWanted(Event):
    """Snapshots are wanted from now on."""


@dataclass(frozen=True, slots=True)
class ErrandBegun(Event):
    """An errand is about to be run."""

    errand: str


@dataclass(frozen=True, slots=True)
class ErrandDropped(Event):
    """An errand is not to be run any more."""

    errand: str
    why: str


@dataclass(frozen=True, slots=True)
class AllocationHeld(Event):
    """Allocation is about to be held; this is what was set before."""

    before: Layered


@dataclass(frozen=True, slots=True)
class AllocationRestored(Event):
    """Allocation is as it was before."""


@dataclass(frozen=True, slots=True)
class KillIntended(Event):
    """KILL is about to be sent."""

    node: str


@dataclass(frozen=True, slots=True)
class ReleaseIntended(Event):
    """DESTROY and UNRESERVE are about to be sent."""

    node: str
    operations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeReleased(Event):
    """Nothing of the node is left on Mesos."""

    node: str


@dataclass(frozen=True, slots=True)
class Released(Event):
    """An orphaned reservation without a volume is about to be unreserved."""

    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class NodeStable(Event):
    """A node has been ready for long enough to forget its failures."""

    node: str


@dataclass(frozen=True, slots=True)
class AskedFor(Event):
    """Something was asked of Elasticsearch or an executor; do not repeat it at once."""

    what: str


@dataclass(frozen=True, slots=True)
class NeedsTold(Event):
    """REVIVE for these needs, or SUPPRESS when there are none."""

    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReconcileAsked(Event):
    """RECONCILE was sent for these tasks."""

    task_ids: tuple[str, ...]
    next_at: float


@dataclass(frozen=True, slots=True)
class TeardownIntended(Event):
    """TEARDOWN is about to be sent: nothing of the cluster is left on Mesos but its framework."""
