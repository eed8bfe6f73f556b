"""How far the cluster is from its spec: phases and steps, derived from facts each time.

Nothing of it is stored: after a restart the same facts give the same plan.
"""
from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .config import outdated
from .facts import ALIVE, Bootstrap, ClusterState, Identity, NodeRecord, NodeState
from .gates import (
    Answer,
    held_by,
    restart_gates,
    start_gates,
    stop_gates,
    wanted_minimum_master_nodes,
)
from .spec import ClusterSpec, NodeGroup

S = NodeState


class Status(StrEnum):
    """Of a step, a phase, a plan."""

    PENDING = "pending"
    HELD = "held"
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Step:
    """What is to happen with one node."""

    id: str
    title: str
    node: str | None
    status: Status
    detail: str = ""
    gates: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Phase:
    """Steps that belong together."""

    name: str
    steps: tuple[Step, ...]

    @property
    def status(self) -> Status:
        """Done when all are; else what most calls for attention."""
        return _joined([step.status for step in self.steps])


@dataclass(frozen=True, slots=True)
class Plan:
    """All phases, in order."""

    phases: tuple[Phase, ...]

    @property
    def steps(self) -> list[Step]:
        """All steps, in order."""
        return [step for phase in self.phases for step in phase.steps]

    @property
    def status(self) -> Status:
        """Of the whole."""
        return _joined([phase.status for phase in self.phases])

    @property
    def done(self) -> int:
        """How many steps are done."""
        return sum(step.status is Status.DONE for step in self.steps)


def _joined(statuses: list[Status]) -> Status:
    for status in (Status.RUNNING, Status.HELD, Status.PENDING):
        if status in statuses:
            return status
    return Status.DONE


def node_names(group: NodeGroup) -> list[str]:
    """The names of a group's nodes; they never change hands."""
    return [f"{group.name}-{index}" for index in range(1, group.count + 1)]


def wanted_nodes(state: ClusterState) -> dict[str, NodeGroup]:
    """Every node that the spec wants, by name; none when the cluster is to go."""
    if state.deleting:
        return {}
    return {name: group for group in state.spec.groups for name in node_names(group)}


def diff(state: ClusterState, now: float) -> Plan:
    """The plan from the facts as they are."""
    if state.deleting:
        return _deletion(state)
    phases = []
    wanted = wanted_nodes(state)
    for title, masters in (("masters", True), ("nodes", False)):
        steps = tuple(_start_step(state, state.nodes.get(name) or NodeRecord(
            name, group.name, S.PLANNED, since=now), now)
            for name, group in wanted.items() if ("master" in group.roles) is masters)
        if steps:
            phases.append(Phase(title, steps))
    restarts = tuple(_restart_step(state, record, now) for record in restarting(state))
    if restarts:
        phases.append(Phase("restart", restarts))
    leaving = tuple(_leave_step(state, record, now) for record in state.nodes.values()
                    if record.leaving or record.retire)
    if leaving:
        phases.append(Phase("scale in", leaving))
    return Plan((*phases, Phase("settings", tuple(_settings_steps(state, now)))))


def _start_step(state: ClusterState, record: NodeRecord, now: float) -> Step:
    gates: tuple[Answer, ...] = ()
    status, detail = Status.RUNNING, record.message
    if state.is_ready(record):
        status, detail = Status.DONE, "member of the cluster"
    elif record.state is S.RUNNING:
        detail = "Elasticsearch answers; waiting until the cluster lists it as a member"
    elif record.state is S.UNREACHABLE:
        status = Status.HELD
        gates = (Answer("agent_reachable", False, record.message),)
    elif record.state in (S.PLANNED, S.DOWN):
        gates = tuple(start_gates(state, record, now))
        holds = held_by(list(gates))
        status = Status.HELD if holds else Status.PENDING
        detail = f"held by {holds.name}: {holds.reason}" if holds else (
            "waiting for an offer that fits" if record.state is S.PLANNED
            else f"waiting for its own resources on {record.seat.host if record.seat else '?'}")
    again = record.launch > 1 or record.state is S.DOWN
    return Step(f"start-{record.name}", f"{'restart' if again else 'start'} {record.name}",
                record.name, status, detail, gates)


def _settings_steps(state: ClusterState, now: float) -> list[Step]:
    seen = state.es is not None
    replicas = state.es.template_replicas if state.es is not None else None
    done = replicas == state.spec.default_replicas
    tidy = []
    stale = sorted(set(state.excluded) - {
        record.name for record in state.nodes.values() if record.leaving})
    if stale:
        tidy.append(Step("clear-exclusions", f"clear the allocation exclusion of "
                         f"{', '.join(stale)}", None, Status.RUNNING))
    if state.excluded_votes and not any(record.leaving for record in state.nodes.values()):
        tidy.append(Step("clear-votes", "clear the voting exclusions", None, Status.RUNNING))
    if state.held_allocation is not None:
        tidy.append(Step("restore-allocation", "restore allocation", None, Status.RUNNING,
                         "held at primaries while a node restarts"))
    if state.spec.major <= 6 and state.bootstrap.cluster_uuid is not None:
        wanted = wanted_minimum_master_nodes(state, now)
        found = state.es.minimum_master_nodes if state.es is not None else None
        tidy.append(Step("quorum", f"minimum_master_nodes is {wanted}", None,
                         Status.DONE if found == wanted else Status.RUNNING if seen
                         else Status.PENDING, f"it is {found or 'not set'}"))
    title = f"default number of replicas is {state.spec.default_replicas}"
    return [*tidy, Step("default-replicas", title, None, Status.DONE if done
                        else Status.RUNNING if seen else Status.PENDING,
                        "index template is in place" if done
                        else "index template is not there yet")]


def _leave_step(state: ClusterState, record: NodeRecord, now: float) -> Step:
    title = f"drain {record.name}, then remove it and its volume"
    if record.retire:
        return Step(f"remove-{record.name}", title, record.name, Status.RUNNING, record.message)
    gates = tuple(stop_gates(state, record, now))
    holds = held_by(list(gates))
    # To be drained is work that goes on, not something that is in the way.
    busy = holds is None or holds.name in ("drained", "votes_excluded")
    return Step(f"remove-{record.name}", title, record.name,
                Status.RUNNING if busy else Status.HELD,
                f"held by {holds.name}: {holds.reason}" if holds else "drained", gates)


def restarting(state: ClusterState) -> list[NodeRecord]:
    """Nodes that are being restarted by us, then those that wait for it."""
    turning = [record for record in state.nodes.values() if record.recycle]
    return turning + [record for record in state.nodes.values()
                      if outdated(state, record) and not record.recycle and not record.leaving]


def _restart_step(state: ClusterState, record: NodeRecord, now: float) -> Step:
    title = f"restart {record.name} with revision {state.revision}"
    if record.recycle:
        return Step(f"restart-{record.name}", title, record.name, Status.RUNNING, record.message)
    gates = tuple(restart_gates(state, record, now))
    holds = held_by(list(gates))
    return Step(f"restart-{record.name}", title, record.name,
                Status.HELD if holds else Status.PENDING,
                f"held by {holds.name}: {holds.reason}" if holds else "its turn comes", gates)


def _deletion(state: ClusterState) -> Plan:
    stop, release = [], []
    for record in state.nodes.values():
        gone = record.state not in ALIVE
        stop.append(Step(f"stop-{record.name}", f"stop {record.name}", record.name,
                         Status.DONE if gone else Status.RUNNING, record.message))
        release.append(Step(f"release-{record.name}", f"destroy the volume of {record.name}",
                            record.name, Status.RUNNING if gone else Status.PENDING,
                            record.message if gone else ""))
    deregister = Step("deregister", "deregister the framework", None,
                      Status.DONE if state.removed else Status.PENDING)
    return Plan((Phase("stop", tuple(stop)), Phase("release", tuple(release)),
                 Phase("deregister", (deregister,))))


def summary(state: ClusterState, plan: Plan) -> str:
    """One sentence: what goes on, or what holds it."""
    if state.removed:
        return "deleted"
    if state.link.error:
        return f"Mesos refuses this cluster's scheduler: {state.link.error}"
    if not state.link.connected:
        return "waiting for the Mesos master"
    done, total = plan.done, len(plan.steps)
    verb = "deleting" if state.deleting else "working"
    held = next((step for step in plan.steps if step.status is Status.HELD), None)
    busy = next((step for step in plan.steps if step.status is Status.RUNNING), None)
    waiting = next((step for step in plan.steps if step.status is Status.PENDING), None)
    for step in (busy, held, waiting):
        if step is not None:
            return f"{verb}, {done} of {total} done: {step.title}" + (
                f", {step.detail}" if step.detail else "")
    health = state.es.health if state.es is not None else "unknown"
    return f"all {len(state.nodes)} nodes are members, health is {health}"




def founded(identity: Identity, spec: ClusterSpec) -> ClusterState:
    """The state of a cluster that has just been asked for: all first nodes are founders."""
    nodes = [(name, group) for group in spec.groups for name in node_names(group)]
    masters = tuple(name for name, group in nodes if "master" in group.roles)
    return ClusterState(identity, spec, 1, Bootstrap(masters, tuple(name for name, _ in nodes)))
