"""What the rules look at: facts of one cluster or of the platform, and figures of whoever."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..facts import ClusterState, NodeRecord, NodeState
from ..plan import Plan

Figures = Mapping[str, float]           # by the name of a metric


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What alerts need to know of a cluster's snapshots; times in seconds since the epoch."""

    due_since: float | None = None      # one should have been made by then
    failed: str = ""                    # why the last one failed; empty: it did not
    drill_failed: str = ""              # why the last restore drill failed


@dataclass(frozen=True, slots=True)
class Held:
    """A step of the plan that a gate holds."""

    step: str
    gate: str
    reason: str


@dataclass(frozen=True, slots=True)
class Look:
    """One cluster at one moment. ``full_in_s``: when disks are full by trend, by node."""

    state: ClusterState
    now: float
    held: tuple[Held, ...] = ()
    nodes: Mapping[str, Figures] = field(default_factory=dict)      # fresh ones only
    full_in_s: Mapping[str, float] = field(default_factory=dict)
    snapshots: SnapshotFacts | None = None

    def host_of(self, node: str) -> tuple[str, ...]:
        """Where a node is; empty when that is not known."""
        record = self.state.nodes.get(node)
        return (record.seat.host,) if record is not None and record.seat is not None else ()

    def missing(self) -> list[NodeRecord]:
        """Nodes that are there by the records and do not serve."""
        return [record for record in self.state.nodes.values()
                if not record.retire and record.state is not NodeState.PLANNED
                and not self.state.is_ready(record)]

    def hosts_of_missing(self) -> tuple[str, ...]:
        """Where those are."""
        return tuple(sorted({record.seat.host for record in self.missing()
                             if record.seat is not None}))


@dataclass(frozen=True, slots=True)
class Use:
    """What a tenant uses of one resource that is limited."""

    tenant: str
    resource: str
    used: float
    limit: float

    @property
    def percent(self) -> float:
        """Of the limit; of one that is zero all is used by anything at all."""
        return 100 * self.used / self.limit if self.limit else 100.0 if self.used else 0.0


@dataclass(frozen=True, slots=True)
class PlatformLook:
    """What lies below all clusters, at one moment."""

    now: float
    hosts: Mapping[str, Figures] = field(default_factory=dict)
    lost: Mapping[str, tuple[str, ...]] = field(default_factory=dict)   # cluster/node by host
    connected: Mapping[str, bool] = field(default_factory=dict)         # scheduler by cluster
    uses: tuple[Use, ...] | None = None                                 # None: not known


def held_steps(plan: Plan) -> tuple[Held, ...]:
    """The steps that gates hold, each with the first gate that does."""
    found = []
    for step in plan.steps:
        gate = next((gate for gate in step.gates if not gate.ok), None)
        if step.status.value == "held" and gate is not None:
            found.append(Held(step.id, gate.name, gate.reason))
    return tuple(found)
