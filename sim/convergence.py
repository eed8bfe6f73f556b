"""When the faults have stopped: what is not as it is wanted, and whether that may stay so.

A cluster has converged when nothing is left in ``unsettled``. What may hold it for good is a named
gate, and the world must bear the gate out: nothing that fits on any agent, an agent that never
came back. docs/invariants.md lists these holds.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from esaas.framework.core.config import lacking
from esaas.framework.core.facts import LABEL_INCARNATION, LABEL_NODE, LABEL_UID, ClusterState
from esaas.framework.core.gates import held_by, start_gates
from esaas.framework.core.offers.placement import Search
from esaas.framework.core.offers.pool import build
from esaas.framework.core.plan import Status, diff
from esaas.framework.core.resources import EPSILON, Offer
from esaas.framework.elastic import observer

from .books import volume_of
from .elastic import EsCluster
from .master import Master
from .process import Process


@dataclass(frozen=True)
class Lookout:
    """One cluster, and the world around it."""

    process: Process
    es: EsCluster
    master: Master
    before: Mapping[str, tuple[str | None, str | None]]     # operators' own settings
    away: bool                                              # an agent never comes back

    @property
    def state(self) -> ClusterState:
        """The facts."""
        return self.process.state


def unsettled(look: Lookout, now: float) -> list[str]:
    """Everything that is not as it is wanted; ``rule: sentence``."""
    if look.process.gone:
        return list(_left_behind(look))
    if not look.process.sentence.startswith("all "):    # cheap, and true most of the time
        return [f"plan_done: {look.process.sentence}"]
    found = list(_plan(look, now)) + list(_elasticsearch(look)) + list(_leaks(look))
    return found + list(_settings_restored(look))


def _plan(look: Lookout, now: float) -> Iterator[str]:
    state = look.state
    for step in diff(state, now).steps:
        if step.status is not Status.DONE:
            yield f"plan_done: {step.title}, {step.detail}"
    if state.settled is None or state.settled[0] != state.revision:
        yield f"revision_settled: {state.revision} is wanted, {state.settled and state.settled[0]}"
    for record in state.nodes.values():
        if not state.is_ready(record):
            yield f"every_node_ready: {record.name} is {record.state}"
    for task in look.master.tasks():
        if task.framework_id == look.process.framework_id and (
                task.seeds < state.seeds.generation):
            yield f"seeds_current: {task.id} has generation {task.seeds}"


def _elasticsearch(look: Lookout) -> Iterator[str]:
    health = look.es.health()
    if not look.es.master or health != "green":
        yield f"health_green: {health}, master {look.es.master or 'none'}"


def _settings_restored(look: Lookout) -> Iterator[str]:
    """Allocation, exclusions, votes, time-outs and switches are the operators' own again."""
    state, es = look.state, look.es
    for key, layers in look.before.items():
        found = es.transient.get(key), es.persistent.get(key)
        if found != layers:
            yield f"settings_restored: {key} is {found}, it was {layers}"
    if es.raised or state.raised_delays:
        yield "settings_restored: the time-out for missing nodes is still raised"
    if es.excluded_votes.keys() - {"operators-own"} and not state.deleting:
        yield f"settings_restored: voting exclusions {sorted(es.excluded_votes)}"
    for what, there in (("excluded", state.excluded), ("switches", state.switches),
                        ("held_allocation", state.held_allocation),
                        ("excluded_votes", state.excluded_votes)):
        if there:
            yield f"settings_restored: {what} has {there}"


def _leaks(look: Lookout) -> Iterator[str]:
    """Reservations, volumes and tasks that no record knows; amounts that are not the nodes'."""
    state, uid = look.state, look.state.identity.uid
    amounts: defaultdict[tuple[str, str], float] = defaultdict(float)
    for _, item in look.master.held():
        labels = item.labels
        if labels.get(LABEL_UID) != uid:
            continue
        node = labels.get(LABEL_NODE, "")
        record = state.nodes.get(node)
        if record is None or str(record.incarnation) != labels.get(LABEL_INCARNATION):
            # A volume without a record is kept on purpose until the cluster goes (ADR 4).
            if volume_of(item) is None and not _orphan_volume(look, labels):
                yield f"nothing_leaked: {item.name} of {node}.{labels.get(LABEL_INCARNATION)}"
            continue
        amounts[node, item.name] += item.amount if item.name != "ports" else 0.0
    for record in state.nodes.values():
        if record.seat is None:
            continue
        wanted = {"cpus": record.seat.resources.cpus + record.grown[0],
                  "mem": record.seat.resources.mem_mb + record.grown[1]}
        for name, amount in wanted.items():
            if abs(amounts[record.name, name] - amount) > 10 * EPSILON:
                yield (f"nothing_leaked: {record.name} has {name} {amounts[record.name, name]:g}, "
                       f"its record says {amount:g}")
    for task in look.master.tasks():
        if task.framework_id == look.process.framework_id and state.by_task(task.id) is None:
            yield f"nothing_leaked: task {task.id}"


def _orphan_volume(look: Lookout, labels: Mapping[str, str]) -> bool:
    uid = look.state.identity.uid
    volume = f"{uid}.{labels.get(LABEL_NODE)}.{labels.get(LABEL_INCARNATION)}"
    return any(volume_of(item) == volume for _, item in look.master.held())


def _left_behind(look: Lookout) -> Iterator[str]:
    """After a deletion: nothing at all, but on agents that never came back."""
    uid = look.state.identity.uid
    for agent, item in look.master.held():
        if item.labels.get(LABEL_UID) == uid and agent.registered:
            yield f"deleted_leaves_nothing: {item.name} of {item.labels.get(LABEL_NODE)}"
    for task in look.master.tasks():
        if task.framework_id == look.process.framework_id:
            yield f"deleted_leaves_nothing: task {task.id}"


# ----------------------------------------------------------------- legitimate holds

# What an agent that never comes back may hold for good.
BY_AWAY = frozenset({
    "agent_reachable", "no_primary_missing", "copies_rebuilt", "cluster_green", "cluster_formed",
    "es_view_fresh", "masters_are_ready", "one_master_at_a_time", "masters_before_data",
    "change_budget", "one_master_restarts_at_a_time", "one_master_leaves_at_a_time",
    "nothing_moves", "drain_can_end", "drained", "successor_ready", "quorum_raised",
    "no_last_copy", "one_sidecar_at_a_time", "extra_nodes_allowed"})
# What the lack of room for one node may hold.
BY_ROOM = frozenset({
    "extra_nodes_allowed", "drain_can_end", "drained", "masters_before_data", "successor_ready",
    "masters_are_ready", "one_master_at_a_time", "change_budget", "cluster_formed",
    "es_view_fresh", "copies_rebuilt", "cluster_green", "one_master_restarts_at_a_time",
    "one_master_leaves_at_a_time", "quorum_survives", "quorum_kept"})
# What too few data nodes for the copies of an index may hold.
BY_FEW = frozenset({"drain_can_end", "drained", "one_master_leaves_at_a_time"})


def held_for_good(look: Lookout, now: float) -> str:
    """The names that hold a cluster and that the world bears out; empty when it must go on."""
    state = look.state
    reasons = set(_reasons(look, now))
    if not reasons or "?" in reasons:
        return ""
    roots = reasons & {"no_room", "room_reserved", "agent_away", "too_few_data_nodes",
                       "versions_differ"}
    if not roots:
        return ""
    allowed = roots | (BY_AWAY if "agent_away" in roots else set()) | (
        BY_ROOM if roots & {"no_room", "room_reserved"} else set()) | (
        BY_FEW if roots & {"too_few_data_nodes", "versions_differ"} else set())
    # Without a master nobody can restore anything.
    forgotten = state.held_allocation is not None and bool(look.es.master)
    if forgotten or not reasons <= allowed:
        return ""
    return ",".join(sorted(reasons))


def _reasons(look: Lookout, now: float) -> Iterator[str]:
    """Why each step that is not done waits; ``?`` for one that nothing explains."""
    state = look.state
    away = look.away or _never_was(look)
    if away:
        yield "agent_away"
    for step in diff(state, now).steps:
        if step.status is Status.DONE:
            continue
        record = state.nodes.get(step.node or "")
        holds = held_by(list(step.gates))
        if holds is not None and holds.name == "room_reserved":
            yield "room_reserved" if record is not None and _no_room(look, record.name) else "?"
        elif holds is not None:
            yield holds.name
            if holds.name == "drained" and len({task.major for task in look.es.tasks.values()}) > 1:
                yield "versions_differ"
            if holds.name == "drain_can_end" and "data nodes stay" in holds.reason:
                yield "too_few_data_nodes"
        elif record is not None and step.id.startswith("start-"):
            yield from _why_not_started(look, record.name, now, away)
        elif away or not look.es.master:
            continue                        # what goes on there can end only there
        elif step.id.startswith(("restart-", "remove-")) and (
                not step.gates or step.status is Status.PENDING):
            continue                        # follows the node's own start, or others before it
        elif step.id in ("quorum", "clear-votes", "restore-delays", "clear-exclusions"):
            continue                        # follows the nodes
        else:
            yield "?"


def _never_was(look: Lookout) -> bool:
    """Whether a node was sent to an agent that came back under another id, without it.

    Mesos calls its task unreachable for weeks, and nobody can know that it never was.
    """
    volumes = {volume_of(item) for _, item in look.master.held()}
    return any(record.seat is not None and record.seat.agent_id in look.master.gone
               and look.state.persistence_id(record) not in volumes
               for record in look.state.nodes.values())


def _why_not_started(look: Lookout, name: str, now: float, away: bool) -> Iterator[str]:
    state = look.state
    record = state.nodes[name]
    if record.seat is not None and (away or not look.es.master):
        return                              # what others wait for, it waits for, too
    held = held_by(start_gates(state, record, now))
    if record.seat is not None or held is not None or _fits_anywhere(look, name):
        yield "?"
    else:
        yield "no_room"


def _idle_offers(look: Lookout) -> list[Offer]:
    """What every agent has idle, as if all of it were offered."""
    role = look.state.identity.role
    return [Offer(agent.id, agent.id, agent.host, agent.ip, agent.attributes,
                  tuple(agent.idle.part(role, free=True)))
            for agent in look.master.agents.values() if agent.registered]


def _fits_anywhere(look: Lookout, name: str) -> bool:
    identity = look.state.identity
    group = look.state.group_of(look.state.nodes[name])
    if group is None:
        return False
    pools = {pool.agent_id: pool for pool in build(_idle_offers(look), identity.role,
                                                   identity.uid)}
    return bool(Search(look.state, pools).place(group, [name]))


def _no_room(look: Lookout, name: str) -> bool:
    """Whether a node's own agent lacks what it is to grow by."""
    record = look.state.nodes[name]
    cpus, mem_mb = lacking(look.state, record)
    for offer in _idle_offers(look):
        if record.seat is not None and offer.agent_id == record.seat.agent_id:
            free: defaultdict[str, float] = defaultdict(float)
            for item in offer.resources:
                free[item.name] += item.amount if not item.reservations else 0.0
            return free["cpus"] + EPSILON < cpus or free["mem"] + EPSILON < mem_mb
    return True


def operators_settings(es: EsCluster) -> dict[str, tuple[str | None, str | None]]:
    """Settings that are ours for a while only, as operators have them in the beginning."""
    keys = (observer.ALLOCATION, observer.EXCLUDE, "cluster.routing.rebalance.enable",
            "cluster.blocks.read_only")
    return {key: (es.transient.get(key), es.persistent.get(key)) for key in keys}

