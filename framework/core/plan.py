"""How far the cluster is from its spec: phases and steps, derived from facts each time.

Nothing of it is stored: after a restart the same facts give the same plan.
"""
from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from . import live, maintenance, tls
from .config import misplaced, to_restart
from .facts import ALIVE, Bootstrap, ClusterState, Identity, NodeRecord, NodeState
from .gates import (
    Answer,
    counts_masters,
    held_by,
    hosts_seen,
    move_gates,
    once,
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
class Progress:
    """How far a step is, in a unit that people know."""

    done: float
    total: float
    unit: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """What is to happen with one node."""

    id: str
    title: str
    node: str | None
    status: Status
    detail: str = ""
    gates: tuple[Answer, ...] = ()
    progress: Progress | None = None
    can_restart: bool = False


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
    """The names of a new group's nodes; they never change hands."""
    return [f"{group.name}-{index}" for index in range(1, group.count + 1)]


def number_of(name: str) -> int:
    """The number in a node's name."""
    return int(name.rpartition("-")[2])


@once
def wanted_nodes(state: ClusterState) -> dict[str, NodeGroup]:
    """Every node that the spec wants, by name; none when the cluster is to go.

    The nodes that are there come first, the lowest numbers before others; then the lowest numbers
    that are free. A node whose place another takes does not count, and its number is not free.
    """
    if state.deleting:
        return {}
    by_group: dict[str, list[NodeRecord]] = defaultdict(list)
    for record in state.nodes.values():
        by_group[record.group].append(record)
    return {f"{group.name}-{index}": group for group in state.spec.groups
            for index in _numbers(group, by_group[group.name])}


def _numbers(group: NodeGroup, records: list[NodeRecord]) -> list[int]:
    """The numbers of a group's wanted nodes, in order."""
    numbers = {number_of(record.name): record for record in records}
    # One that has no place yet is dropped before any that holds data.
    there = sorted((record.state is S.PLANNED, number) for number, record in numbers.items()
                   if not record.retire and not record.moving)
    kept = [number for _, number in there[:group.count]]
    free = (number for number in itertools.count(1) if number not in numbers
            or (numbers[number].retire and not numbers[number].moving))
    return sorted([*kept, *itertools.islice(free, group.count - len(kept))])


def diff(state: ClusterState, now: float) -> Plan:
    """The plan from the facts as they are."""
    if state.deleting:
        return _deletion(state, now)
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
    away = {record.name: maintenance.why(record) for record in maintenance.evacuees(state)}
    to_move = tuple(_move_step(state, record, away.get(name) or misplaced(state, record), now)
                    for name, record in state.nodes.items()
                    if not record.leaving and not record.retire
                    and (name in away or misplaced(state, record)))
    moving = tuple(_leave_step(state, record, now) for record in state.nodes.values()
                   if record.moving)
    if moving or to_move:
        phases.append(Phase("replace", (*moving, *to_move)))
    leaving = tuple(_leave_step(state, record, now) for record in state.nodes.values()
                    if (record.leaving or record.retire) and not record.moving)
    if leaving:
        phases.append(Phase("scale in", leaving))
    return Plan((*phases, Phase("settings", tuple(_settings_steps(state, now)))))


def _start_step(state: ClusterState, record: NodeRecord, now: float) -> Step:
    gates: tuple[Answer, ...] = ()
    status, detail = Status.RUNNING, record.message
    if state.is_ready(record):
        status = Status.DONE
        detail = "runs" if state.is_sidecar(record) else "member of the cluster"
    elif record.held and record.state is S.STARTING:
        status = Status.HELD
        gates = (Answer("not_held", False, "held for debugging"),)
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
                record.name, status, detail, gates, can_restart=status is not Status.DONE)


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
    if state.raised_delays:
        tidy.append(Step("restore-delays", "restore the time-out for missing nodes", None,
                         Status.RUNNING, "raised while nodes restart"))
    tidy += _switch_steps(state)
    tidy += _live_steps(state)
    if counts_masters(state) and state.bootstrap.cluster_uuid is not None:
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


def _switch_steps(state: ClusterState) -> list[Step]:
    """Switches that are on their way; one that is set and waits for its time is done."""
    found = []
    for name, switch in state.switches.items():
        why = state.refused.get(f"SetSwitch {name}", "")
        if switch.restoring or switch.before is None or why:
            title = f"{name} goes back" if switch.restoring else f"{name} is {switch.value}"
            found.append(Step(f"switch-{name}", title, None, Status.HELD if why else Status.RUNNING,
                              f"held by elasticsearch_accepts: {why}" if why else ""))
    return found


def _live_steps(state: ClusterState) -> list[Step]:
    """Settings that change without a restart."""
    why = state.refused.get("PutSettings", "")
    return [Step(f"live-{key}", f"{key} is {'not set' if value is None else value}", None,
                 Status.HELD if why else Status.RUNNING,
                 f"held by elasticsearch_accepts: {why}" if why else "changes without a restart")
            for key, value in sorted(live.changes(state).items())]


def _leave_step(state: ClusterState, record: NodeRecord, now: float) -> Step:
    what = "replace" if record.moving else "drain"
    title = f"{what} {record.name}, then remove it and its volume"
    why = f" ({record.leaving})" if record.moving else ""
    if record.retire:
        away = record.state is S.STOPPING and not state.is_ready(record) and now - record.since > 60
        waits = Answer("agent_reachable", not away, "its agent does not answer; what it holds is "
                       "released when the agent comes back")
        return Step(f"remove-{record.name}", title + why, record.name,
                    Status.HELD if away else Status.RUNNING, record.message, (waits,))
    gates = tuple(stop_gates(state, record, now))
    holds = held_by(list(gates))
    # To be drained is work that goes on, not something that is in the way.
    busy = holds is None or holds.name in ("drained", "votes_excluded", "successor_ready")
    return Step(f"remove-{record.name}", title + why, record.name,
                Status.RUNNING if busy else Status.HELD,
                f"held by {holds.name}: {holds.reason}" if holds else "drained", gates,
                drain_progress(state, record))


def drain_progress(state: ClusterState, record: NodeRecord) -> Progress | None:
    """Shards and MB that are left, of those that were there when the drain began."""
    if not record.draining or state.es is None or state.es.loads is None:
        return None
    load = state.es.loads.get(record.name)
    shards, left_mb = (load.shards + load.incoming, load.store_mb) if load else (0, 0)
    total_mb, total = max(record.drain_mb, left_mb), max(record.drain_shards, shards)
    text = f"{shards} of {total} shards and {left_mb} of {total_mb} MB left"
    if total_mb:
        return Progress(total_mb - left_mb, total_mb, "MB", text)
    return Progress(total - shards, max(total, 1), "shards", text)


def _move_step(state: ClusterState, record: NodeRecord, why: str, now: float) -> Step:
    gates = tuple(move_gates(state, record, now))
    holds = held_by(list(gates))
    return Step(f"remove-{record.name}", f"replace {record.name} ({why})",
                record.name, Status.HELD if holds else Status.PENDING,
                f"held by {holds.name}: {holds.reason}" if holds else "its turn comes", gates)


def restarting(state: ClusterState) -> list[NodeRecord]:
    """Nodes that are being restarted by us, then those that wait for it."""
    turning = [record for record in state.nodes.values() if record.recycle]
    return turning + [record for record in state.nodes.values()
                      if not record.recycle and (
                          (maintenance.is_to_stop(state, record) and record.state in ALIVE)
                          or to_restart(state, record))]


def _restart_step(state: ClusterState, record: NodeRecord, now: float) -> Step:
    title = f"restart {record.name} with revision {state.revision}"
    if maintenance.is_to_stop(state, record) and record.seat is not None:
        title = f"stop {record.name} for the maintenance of {record.seat.host}"
    if record.held:
        title = f"stop Elasticsearch on {record.name} for debugging"
    if record.recycle:
        return Step(f"restart-{record.name}", title, record.name, Status.RUNNING, record.message,
                    can_restart=True)
    gates = tuple(restart_gates(state, record, now))
    holds = held_by(list(gates))
    return Step(f"restart-{record.name}", title, record.name,
                Status.HELD if holds else Status.PENDING,
                f"held by {holds.name}: {holds.reason}" if holds else "its turn comes", gates)


def _deletion(state: ClusterState, now: float) -> Plan:
    stop, release = [], []
    for record in state.nodes.values():
        gone = record.state not in ALIVE
        stop.append(Step(f"stop-{record.name}", f"stop {record.name}", record.name,
                         Status.DONE if gone else Status.RUNNING, record.message))
        release.append(Step(f"release-{record.name}", f"destroy the volume of {record.name}",
                            record.name, Status.RUNNING if gone else Status.PENDING,
                            record.message if gone else ""))
    seen = hosts_seen(state, now)
    held = not (state.removed or state.nodes or seen.ok)
    deregister = Step("deregister", "deregister the framework", None,
                      Status.DONE if state.removed else Status.HELD if held else Status.PENDING,
                      f"held by {seen}" if held else "", (seen,) if held else ())
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
    if state.waiting_canary is not None:
        return f"{state.waiting_canary.node} waits to be looked at, health is {health}"
    return f"all {len(state.nodes)} nodes are members, health is {health}"



def founded(identity: Identity, spec: ClusterSpec) -> ClusterState:
    """The state of a cluster that has just been asked for: all first nodes are founders."""
    nodes = [(name, group) for group in spec.groups if not group.is_sidecar
             for name in node_names(group)]
    masters = tuple(name for name, group in nodes if "master" in group.roles)
    return ClusterState(identity, spec, 1, Bootstrap(masters, tuple(name for name, _ in nodes)),
                        tls=tls.first(spec.security, identity.created_at))
