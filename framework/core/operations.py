"""What to do: values that the runtime carries out, never the core.

Each operation carries the events that say it was intended. They are applied and stored before it
is sent, so a crash between the two loses nothing.
"""
from __future__ import annotations

from dataclasses import dataclass

from .events import Event
from .facts import Errand, Layered, Seeds
from .resources import Resource
from .spec import ConfigFile, NodeGroup, Plugin


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to do, and the events that record it first."""

    intents: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class LaunchPayload:
    """What the executor gets (``esaas.NodeLaunch``); settings are flat keys to plain values."""

    cluster: str
    tenant: str
    node: str
    incarnation: int
    launch: int
    version: str
    url: str | None                     # None: the service knows where the version comes from
    sha256: str | None
    roles: tuple[str, ...]
    heap_mb: int
    jvm_options: tuple[str, ...]
    settings: tuple[tuple[str, object], ...]
    attributes: tuple[tuple[str, str], ...]
    awareness: tuple[str, ...]
    bind_host: str
    http_port: int
    transport_port: int
    data_path: str
    seeds: Seeds
    initial_master_nodes: tuple[str, ...]
    minimum_master_nodes: int
    expected_data_nodes: int
    recover_after_data_nodes: int
    stop_timeout_s: int
    plugins: tuple[Plugin, ...] = ()
    files: tuple[ConfigFile, ...] = ()
    secrets: tuple[str, ...] = ()       # names of secure settings; values never come here
    paused: bool = False
    sidecar: NodeGroup | None = None    # runs its command instead of Elasticsearch
    # Of a secured cluster: names and addresses that the node's certificate is for, and its life.
    certificate_names: tuple[str, ...] = ()
    certificate_days: int = 0           # 0: not secured


@dataclass(frozen=True, slots=True)
class Reserve:
    """RESERVE within an ACCEPT."""

    operation_id: str
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Create:
    """CREATE of volumes within an ACCEPT."""

    operation_id: str
    volumes: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Launch:
    """LAUNCH of one node within an ACCEPT; executor and task share the node's resources."""

    task_id: str
    payload: LaunchPayload
    task_resources: tuple[Resource, ...]
    executor_resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Destroy:
    """DESTROY of volumes within an ACCEPT."""

    operation_id: str
    volumes: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Unreserve:
    """UNRESERVE within an ACCEPT."""

    operation_id: str
    resources: tuple[Resource, ...]


OfferStep = Reserve | Create | Launch | Destroy | Unreserve


@dataclass(frozen=True, slots=True)
class Accept(Operation):
    """One ACCEPT of all offers of one agent; the steps are carried out in order."""

    offer_ids: tuple[str, ...]
    agent_id: str
    steps: tuple[OfferStep, ...]
    refuse_s: float                     # filter on what is left of the offers


@dataclass(frozen=True, slots=True)
class Decline(Operation):
    """DECLINE with a filter."""

    offer_ids: tuple[str, ...]
    refuse_s: float


@dataclass(frozen=True, slots=True)
class AcceptInverse(Operation):
    """ACCEPT_INVERSE_OFFERS: nothing of ours runs on those agents."""

    offer_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeclineInverse(Operation):
    """DECLINE_INVERSE_OFFERS: not yet; Mesos asks again."""

    offer_ids: tuple[str, ...]
    refuse_s: float


@dataclass(frozen=True, slots=True)
class ReconcileOperations(Operation):
    """RECONCILE_OPERATIONS: (operation id, agent id) of each whose outcome is awaited."""

    awaited: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Revive(Operation):
    """Ask for offers again, old filters forgotten."""


@dataclass(frozen=True, slots=True)
class Suppress(Operation):
    """Ask for no offers."""


@dataclass(frozen=True, slots=True)
class Kill(Operation):
    """KILL a task."""

    task_id: str
    agent_id: str | None


@dataclass(frozen=True, slots=True)
class Reconcile(Operation):
    """RECONCILE: (task id, agent id) of each task; empty asks for all the master knows."""

    tasks: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class SendSeeds(Operation):
    """Tell a running node's executor the addresses of its peers."""

    task_id: str
    agent_id: str
    seeds: Seeds


@dataclass(frozen=True, slots=True)
class PutTemplate(Operation):
    """Index template: default number of replicas of new indices."""

    replicas: int


@dataclass(frozen=True, slots=True)
class SetMinimumMasterNodes(Operation):
    """``discovery.zen.minimum_master_nodes``, persistent (up to 6.x)."""

    count: int


@dataclass(frozen=True, slots=True)
class ExcludeNodes(Operation):
    """Allocation exclusion by node name: ours added, stale ones of ours taken out.

    Names that are neither stay: they are the operator's.
    """

    names: tuple[str, ...]
    stale: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExcludeVotes(Operation):
    """7 and later: take masters out of the voting configuration."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClearVotingExclusions(Operation):
    """7 and later: clear the voting exclusions, but those to keep."""

    keep: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetAllocation(Operation):
    """``cluster.routing.allocation.enable``: hold it at a value, or restore what was before."""

    value: str | None
    before: Layered
    subject: str = ""                   # hold: the answer to it is waited for


@dataclass(frozen=True, slots=True)
class Flush(Operation):
    """Flush all indices, so that copies recover without replaying operations."""


@dataclass(frozen=True, slots=True)
class SetSwitch(Operation):
    """A setting of the cluster that people have set for a while, or what was before it."""

    subject: str                        # the switch
    key: str
    value: str | None                   # None: restore
    before: Layered


@dataclass(frozen=True, slots=True)
class PutSettings(Operation):
    """Persistent settings of the running cluster; None takes one out."""

    values: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class RaiseDelays(Operation):
    """Wait longer for missing nodes, on every index that says nothing of its own."""


@dataclass(frozen=True, slots=True)
class RestoreDelays(Operation):
    """Take our time-out for missing nodes out of every index."""


@dataclass(frozen=True, slots=True)
class RunErrand(Operation):
    """Something that people have done once."""

    subject: str                        # the errand's id
    errand: Errand


@dataclass(frozen=True, slots=True)
class Teardown(Operation):
    """TEARDOWN: deregister the framework for good."""


@dataclass(frozen=True, slots=True)
class Remember(Operation):
    """Nothing to send: only the events."""
