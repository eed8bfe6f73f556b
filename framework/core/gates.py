"""Named rules that allow or hold a step. The name is what users read.

A gate looks at the state only and answers with its reason in words. ``START_GATES`` is the one
list of what may hold the start of a node; to know why a node does not start, read it from the top.
Sources: Elasticsearch documentation ("Discovery and cluster formation", "Adding and removing
nodes"); docs/operations.md has a runbook for each name.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TypeVar

from . import config, hours, maintenance
from .facts import ClusterState, EsView, NodeRecord, NodeState

T = TypeVar("T")
ES_VIEW_MAX_AGE_S = 30.0
JOINS_IN_S = 30.0                   # a node that answers, unless it is lost
SNAPSHOT_MAX_S = 7200.0           # longer than that a snapshot holds no restart
DOUBT_S = 900.0                     # an agent that is away for longer is not waited for
DISK_SHARE = 0.85                   # Elasticsearch's low watermark


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gate says."""

    name: str
    ok: bool
    reason: str = ""

    def __str__(self) -> str:
        """As people read it where it holds something."""
        return f"{self.name}: {self.reason}"


# Gates that people may go past with one node, by name, on record. Never those that keep two tasks
# off one volume, the quorum together, or the last copy of a shard.
FORCIBLE = frozenset({
    "retry_backoff", "masters_before_data", "change_budget", "cluster_green", "nothing_moves",
    "canary_approved", "successor_ready", "drain_can_end", "copies_rebuilt", "not_paused",
    "no_switch_in_the_way", "snapshot_finished"})

Gate = Callable[[ClusterState, NodeRecord, float], Answer]


def hosts_seen(state: ClusterState, now: float) -> Answer:
    """A framework that goes leaves nothing behind on an agent that is away for a while."""
    waiting = {host: since + DOUBT_S - now for host, since in state.doubts.items()
               if since + DOUBT_S > now}
    return Answer("hosts_seen", not waiting, "something may be reserved on "
                  f"{', '.join(sorted(waiting))}, where Mesos has offered nothing since: waits "
                  f"for {max(waiting.values(), default=0):.0f} s at most")


def once(question: Callable[[ClusterState], T]) -> Callable[[ClusterState], T]:
    """Remember the answer for the last state: gates ask the same of it for every node.

    Without it, asking all gates for all nodes is quadratic in nodes.
    """
    last: list[tuple[ClusterState, T]] = []

    @wraps(question)
    def remembered(state: ClusterState) -> T:
        known = last[0] if last else None
        if known is None or known[0] is not state:
            known = state, question(state)
            last[:] = [known]
        return known[1]

    return remembered


@once
def founders(state: ClusterState) -> frozenset[str]:
    """Names of the first nodes."""
    return frozenset(state.bootstrap.nodes)


def quorum(masters: int) -> int:
    """More than half of the master-eligible nodes."""
    return masters // 2 + 1


def view_is_fresh(state: ClusterState, now: float) -> bool:
    """Whether the last look at Elasticsearch is young enough to act on."""
    return state.es is not None and now - state.es.at <= ES_VIEW_MAX_AGE_S


@once
def counts_masters(state: ClusterState) -> bool:
    """Whether ``minimum_master_nodes`` is in force, and no voting configuration.

    Up to 6.x, and in the middle of an upgrade from there: as long as one node of 6.x is a member.
    """
    members = state.es.nodes.values() if state.es is not None else ()
    return state.spec.major <= 6 or any(
        int((node.version or "7").split(".")[0]) <= 6 for node in members)


def founding(state: ClusterState, record: NodeRecord) -> bool:
    """Whether a node is one of the first, which all start together.

    A later node may get the name of a first one that is gone; it is growth like any other.
    """
    return record.name in founders(state) and record.name not in state.gone


@once
def unready(state: ClusterState) -> frozenset[str]:
    """Nodes of Elasticsearch that are to stay, have been placed, and are no members."""
    return frozenset(record.name for record in state.nodes.values()
                     if not record.retire and record.state is not NodeState.PLANNED
                     and not state.is_ready(record) and not state.is_sidecar(record))


def lost(state: ClusterState, record: NodeRecord) -> bool:
    """Whether a node is no member and another takes its place: nobody waits for it.

    One that starts after all, or is about to join, is not lost: its successor waits, or there
    would be one too many.
    """
    starts = (record.state in (NodeState.LAUNCHING, NodeState.STARTING)
              and not record.config.endswith(config.HELD))
    joins = record.state is NodeState.RUNNING and (
        state.es is None or state.es.at < (record.serving_since or 0.0) + JOINS_IN_S)
    return record.moving and not starts and not joins and not state.is_ready(record)


@once
def unready_masters(state: ClusterState) -> frozenset[str]:
    """Masters that are to stay and are no members, placed or not."""
    return frozenset(record.name for record in state.nodes.values()
                     if state.is_master(record) and not record.retire
                     and not state.is_ready(record) and not lost(state, record))


@once
def standing_masters(state: ClusterState) -> list[NodeRecord]:
    """Master-eligible nodes that count for the quorum: started at least once, and to stay."""
    return [record for record in state.nodes.values()
            if state.is_master(record) and not record.retire
            and (record.state is not NodeState.PLANNED or founding(state, record))]


def connected_to_mesos(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Nothing can be started without a master."""
    return Answer("connected_to_mesos", state.link.connected,
                  state.link.error or "the scheduler is not registered with a Mesos master")


def tasks_reconciled(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """After a (re)registration, first hear from Mesos what became of this node's task."""
    waiting = state.task_id(record) in state.link.unreconciled
    return Answer("tasks_reconciled", not waiting,
                  f"Mesos has not yet said what became of {state.task_id(record)}")


def retry_backoff(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """A node that keeps failing is started ever more slowly."""
    wait_s = record.retry_at - now
    return Answer("retry_backoff", wait_s <= 0,
                  f"failed {record.failures} times in a row, next try in {max(wait_s, 0):.0f} s")


def host_in_service(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Nothing is started on a host that is about to go, or is being worked on."""
    plan = maintenance.plan_for(state, record)
    ok = plan is None or (plan.mode == maintenance.MOVE and now < plan.begins)
    host = record.seat.host if record.seat is not None else ""
    return Answer("host_in_service", ok, f"{host} is under maintenance: it starts again when "
                  "that is over")


def cluster_formed(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """The founding nodes must have formed the cluster before it may grow."""
    return Answer("cluster_formed", state.bootstrap.cluster_uuid is not None,
                  "the founding nodes have not formed a cluster yet")


def es_view_fresh(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """A stale view is unknown, and unknown holds."""
    if state.es is None:
        return Answer("es_view_fresh", False, "Elasticsearch has not been seen yet")
    age_s = now - state.es.at
    return Answer("es_view_fresh", age_s <= ES_VIEW_MAX_AGE_S,
                  f"Elasticsearch was last seen {age_s:.0f} s ago")


def one_master_at_a_time(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """A new master only when all standing masters are members, and none is about to restart."""
    if not state.is_master(record):
        return Answer("one_master_at_a_time", True)
    waiting = sorted(other.name for other in standing_masters(state)
                     if other.name != record.name and not lost(state, other)
                     and (other.recycle or not state.is_ready(other)))
    return Answer("one_master_at_a_time", not waiting,
                  f"waiting for {', '.join(waiting)} to be a member")


def quorum_with(state: ClusterState, record: NodeRecord) -> int:
    """The quorum to have before ``record`` starts as a further master.

    Elasticsearch 6 refuses more than there are master-eligible members at the moment.
    """
    standing = standing_masters(state)
    after = quorum(len({other.name for other in standing} | {record.name}))
    return min(after, members(state, standing))


def members(state: ClusterState, records: Sequence[NodeRecord]) -> int:
    """How many of the nodes Elasticsearch lists, whatever Mesos says of their agents."""
    seen = state.es
    return sum(seen.lists(record) for record in records) if seen is not None else 0


def quorum_raised(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Up to 6.x: ``minimum_master_nodes`` is raised before a further master starts."""
    if not state.is_master(record) or not counts_masters(state):
        return Answer("quorum_raised", True)
    needed = quorum_with(state, record)
    found = state.es.minimum_master_nodes if state.es is not None else None
    if found is not None:
        found = min(found, _lowered_to(state, found))
    return Answer("quorum_raised", found is not None and found >= needed,
                  f"minimum_master_nodes must be {needed} first, it is {found or 'not set'}")


def _lowered_to(state: ClusterState, found: int) -> int:
    """The least ``minimum_master_nodes`` that was asked for since it was looked at."""
    seen_at = state.es.settings_at if state.es is not None else 0.0
    return min((int(key.rpartition(" ")[2]) for key, at in state.asked.at.items()
                if key.startswith("minimum_master_nodes ") and at >= seen_at), default=found)


def masters_before_data(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Growth starts masters first, then the others."""
    if state.is_master(record):
        return Answer("masters_before_data", True)
    waiting = sorted(unready_masters(state))
    return Answer("masters_before_data", not waiting,
                  f"waiting for the masters {', '.join(waiting)}")


def no_primary_missing(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """A red cluster may have its only copy anywhere: nothing goes away from it."""
    red = state.es is None or state.es.health == "red"
    return Answer("no_primary_missing", not red, "the cluster is red: a primary is missing")


def drained(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """No shard on the node and none moving to it.

    With no primary missing (a gate of its own), none that is unassigned has its only copy here.
    """
    if state.es is None or state.es.loads is None:
        return Answer("drained", False, "its shards have not been looked at yet")
    if record.name not in state.es.excluded:
        return Answer("drained", False, "it is not excluded from allocation yet")
    load = state.es.loads.get(record.name)
    left = load.shards + load.incoming if load is not None else 0
    return Answer("drained", not left, f"{left} shards, {load.store_mb if load else 0} MB left")


@once
def departing_masters(state: ClusterState) -> list[NodeRecord]:
    """The master-eligible node whose turn it is to leave, while it may still run."""
    found = [record for record in state.nodes.values()
             if record.leaving and state.was_master(record)
             and record.state not in (NodeState.PLANNED, NodeState.STOPPED, NodeState.RELEASING)]
    # One that is lost already goes before one that still has a vote.
    return sorted(found, key=lambda record: (not record.retire, not lost(state, record),
                                             record.name))[:1]


def one_master_leaves_at_a_time(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """The next master leaves when the one before it is gone."""
    first = departing_masters(state)
    ok = not state.was_master(record) or not first or first[0].name == record.name
    return Answer("one_master_leaves_at_a_time", ok,
                  f"waiting for {first[0].name if first else ''} to be gone")


def masters_are_ready(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """No master leaves while another is missing."""
    if not state.was_master(record):
        return Answer("masters_are_ready", True)
    missing = sorted(other.name for other in standing_masters(state)
                     if other.name != record.name and not lost(state, other)
                     and (other.recycle or not state.is_ready(other)))
    return Answer("masters_are_ready", not missing,
                  f"{', '.join(missing)} is no member, or is about to restart")


def quorum_kept(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Another master must be there; up to 6.x, as many as ``minimum_master_nodes`` says.

    What the last master knows of the cluster is on its volume alone: which indices there are.
    """
    if not state.was_master(record):
        return Answer("quorum_kept", True)
    standing = standing_masters(state)
    left = members(state, [other for other in standing if other.name != record.name])
    if not counts_masters(state):
        return Answer("quorum_kept", left > 0, "it is the only master: allow an extra node")
    needed = state.es.minimum_master_nodes if state.es else None
    if needed is None:                  # not set yet: what the nodes were started with is in force
        needed = quorum(len(standing))
    return Answer("quorum_kept", left >= needed,
                  f"{left} masters would be left, minimum_master_nodes is {needed}")


def votes_excluded(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """7 and later: a master leaves the voting configuration before it stops.

    Another must have a vote: the last one keeps it, whatever is excluded. In the middle of an
    upgrade an elected master of 7 counts votes already, and a node of 6 that is asked knows no way
    to take one away.
    """
    if not state.was_master(record):
        return Answer("votes_excluded", True)
    if counts_masters(state):
        elected = state.es.nodes.get(state.es.master or "") if state.es is not None else None
        votes = elected is not None and int((elected.version or "6").split(".")[0]) > 6
        return Answer("votes_excluded", not votes, "the elected master counts votes already, and "
                      "not all members know of that: waiting for the end of the upgrade")
    without = state.es.voting_exclusions if state.es is not None else ()
    if not members(state, [other for other in standing_masters(state)
                           if other.name != record.name and other.name not in without]):
        return Answer("votes_excluded", False, "no other master has a vote")
    return Answer("votes_excluded", record.name in without,
                  "it is still in the voting configuration")


def extra_nodes_allowed(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Beyond the wanted number, only so many nodes as the change budget says."""
    group = state.group_of(record)
    if group is None:
        return Answer("extra_nodes_allowed", True)
    limit = group.count + state.spec.change.max_extra
    there = seated(state).get(group.name, 0)
    return Answer("extra_nodes_allowed", there < limit,
                  f"{there} nodes of {group.name} are there, at most {limit} may be")


@once
def seated(state: ClusterState) -> Mapping[str, int]:
    """How many nodes of each group have a seat, without those that are lost."""
    return Counter(record.group for record in state.nodes.values()
                   if record.state is not NodeState.PLANNED and not lost(state, record))


def successor_ready(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """The node that takes its place comes first, unless no extra node is allowed."""
    if not record.moving or not state.spec.change.max_extra:
        return Answer("successor_ready", True)
    group = state.group_of(record)
    others = [other for other in state.nodes.values() if other.group == record.group
              and other.name != record.name and not other.retire
              and (other.moving or not other.leaving)
              and (not other.draining or (record.draining and other.name > record.name))]
    # Of several that move, those whose turn has not come yet still make up the wanted number.
    ready = sum(state.is_ready(other) for other in others)
    waiting = sorted(other.name for other in others
                     if not other.moving and not state.is_ready(other))
    return Answer("successor_ready", group is None or ready >= group.count,
                  f"waiting for {', '.join(waiting) or 'another node'} to take its place")


def drain_can_end(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Foresee a drain that would never end: too few nodes, too little disk, allocation off."""
    load = (state.es.loads or {}).get(record.name) if state.es is not None else None
    if state.es is None or load is None or not load.shards:
        return Answer("drain_can_end", True)
    why = _why_no_drain(state, state.es)
    return Answer("drain_can_end", not why, why)


@once
def staying_data_nodes(state: ClusterState) -> list[NodeRecord]:
    """Data nodes that are members and may get shards."""
    return [record for record in state.nodes.values() if state.is_data(record)
            and not record.draining and not record.retire and state.is_ready(record)]


def _why_no_drain(state: ClusterState, seen: EsView) -> str:
    staying = staying_data_nodes(state)
    copies = (seen.max_replicas or 0) + 1
    if len(staying) < copies:
        return (f"an index has {copies} copies of each shard, but only {len(staying)} data nodes "
                "stay: lower its replicas, or let the node stay")
    if seen.allocation != "all" and state.held_allocation is None:
        return (f"cluster.routing.allocation.enable is {seen.allocation}: no shard may move; "
                "set it to all")
    sizes = [(node.disk_total_mb, node.disk_used_percent) for node in (
        seen.nodes[item.name] for item in staying)]
    if all(total is not None and used is not None for total, used in sizes):
        room_mb = sum(max((DISK_SHARE - (used or 0) / 100) * (total or 0), 0)
                      for total, used in sizes)
        needed_mb = sum(load.store_mb for name, load in (seen.loads or {}).items()
                        if name in state.nodes and state.nodes[name].draining)
        if needed_mb > room_mb:
            return (f"{needed_mb} MB have to move, the nodes that stay have room for "
                    f"{room_mb:.0f} MB below the watermark")
    return ""


def copies_rebuilt(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """A node that is no member cannot be drained: its copies must have been built elsewhere."""
    if state.is_ready(record):
        return Answer("copies_rebuilt", True)
    green = state.es is not None and state.es.health == "green"
    return Answer("copies_rebuilt", green, "it is no member, and copies of its shards are not "
                  "complete elsewhere yet")


def not_paused(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """People have paused the change."""
    return Answer("not_paused", not state.paused, "the change is paused")


def canary_approved(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """With the strategy canary, people look at the first node before the others follow."""
    canary = state.waiting_canary
    holds = canary is not None and canary.node != record.name
    return Answer("canary_approved", not holds, f"{canary.node if canary else ''} has revision "
                  f"{state.revision}: look at it, then let the change go on")


@once
def turning(state: ClusterState) -> frozenset[str]:
    """Nodes that are being restarted by us."""
    return frozenset(record.name for record in state.nodes.values() if record.recycle)


def change_budget(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """At most so many nodes are down at once: one, but for the strategy parallel."""
    change = state.spec.change
    budget = change.max_down if change.strategy == "parallel" else 1
    away = sorted((unready(state) | turning(state)) - {record.name})
    return Answer("change_budget", len(away) < budget,
                  f"waiting for {', '.join(away)}: at most {budget} may be down at once")


def one_master_restarts_at_a_time(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Whatever the strategy, never two masters at once."""
    if not state.is_master(record):
        return Answer("one_master_restarts_at_a_time", True)
    # From 7 on a master that drains has no vote any more, so the others cannot spare one.
    going = {other.name for other in departing_masters(state)
             if other.retire or (other.draining and not counts_masters(state))}
    away = sorted(name for name in (unready(state) | turning(state) | going) - {record.name}
                  if state.was_master(state.nodes[name]))
    return Answer("one_master_restarts_at_a_time", not away, f"waiting for {', '.join(away)}")


def quorum_survives(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Up to 6.x: while a master restarts, the others reach ``minimum_master_nodes``.

    They do not when it has been raised for a further master that finds no place. With fewer than
    three masters no restart of one is without an interruption.
    """
    few = len(standing_masters(state)) < 3
    if few or not state.is_master(record) or not counts_masters(state):
        return Answer("quorum_survives", True)
    left = sum(other.name != record.name and state.is_ready(other)
               for other in standing_masters(state))
    # What it is about to be raised to counts already: a look is older than what was sent.
    found = (state.es.minimum_master_nodes if state.es else None) or 1
    needed = max(found, wanted_minimum_master_nodes(state, now))
    return Answer("quorum_survives", left >= needed, f"{left} masters would be left, "
                  f"minimum_master_nodes is {needed}: raised for a master that is still to start")


def shares_no_shard(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Never two nodes at once that hold copies of one shard."""
    others = turning(state) - {record.name}
    if not others:
        return Answer("shares_no_shard", True)
    copies = state.es.copies if state.es is not None else None
    if copies is None:
        return Answer("shares_no_shard", False, "its shards have not been looked at yet")
    mine = copies.get(record.name, frozenset())
    for name in sorted(others):
        shared = mine & copies.get(name, frozenset())
        if shared:
            return Answer("shares_no_shard", False,
                          f"{name}, which is being restarted, holds a copy of {min(shared)} too")
    return Answer("shares_no_shard", True)


def no_last_copy(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """While copies are missing, a node that holds the last one of a shard stays."""
    seen = state.es
    if seen is None or seen.health == "green":
        return Answer("no_last_copy", True)     # what has no replica then is meant to have none
    if seen.copies is None:
        return Answer("no_last_copy", False, "its shards have not been looked at yet")
    last = seen.copies.get(record.name, frozenset()) & seen.lone & seen.incomplete
    return Answer("no_last_copy", not last,
                  f"it holds the last copy of {min(last, default='')}")


@once
def versions_differ(state: ClusterState) -> bool:
    """Whether members run different versions: the middle of an upgrade."""
    return state.es is not None and len({node.version for node in state.es.nodes.values()}) > 1


def cluster_green(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """Green; or yellow in the middle of an upgrade, when all that is missing are replicas.

    Replicas cannot go to nodes of an older version, so an upgrade that waited for green alone
    would never end.
    """
    health = state.es.health if state.es is not None else "unknown"
    ok = health == "green" or (health == "yellow" and versions_differ(state))
    return Answer("cluster_green", ok, f"health is {health}")


def nothing_moves(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """No shard is on its way or being built."""
    moving = (state.es.relocating_shards + state.es.initializing_shards) if state.es else 0
    return Answer("nothing_moves", not moving, f"{moving} shards are moving or being built")


def no_switch_in_the_way(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """With allocation switched off by people, copies would not come back after a restart."""
    return Answer("no_switch_in_the_way", "allocation" not in state.switches,
                  "people have switched allocation; it goes back first")


def snapshot_finished(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """A shard whose node stops in the middle would be missing from a snapshot; not for ever."""
    running = next((item for item in state.errands if item.kind == "snapshot"
                    and item.status == "running" and now - item.asked_at < SNAPSHOT_MAX_S), None)
    return Answer("snapshot_finished", running is None,
                  "a snapshot is being made: "
                  f"{dict(running.parameters)['snapshot'] if running else ''}")


def room_reserved(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """What a larger node needs beyond its seat is reserved before it stops."""
    cpus, mem_mb = config.lacking(state, record)
    host = record.seat.host if record.seat is not None else "its agent"
    return Answer("room_reserved", not cpus and not mem_mb,
                  f"{host} has not offered cpus {cpus:g}, mem {mem_mb} MB more yet; if it has no "
                  "room, replace the node to move it")


def one_sidecar_at_a_time(state: ClusterState, record: NodeRecord, now: float) -> Answer:
    """The other sidecars of the group must run."""
    away = sorted(other.name for other in state.nodes.values()
                  if other.group == record.group and other.name != record.name
                  and not other.retire and (other.recycle or not state.is_ready(other)))
    return Answer("one_sidecar_at_a_time", not away, f"waiting for {', '.join(away)}")


ALWAYS: tuple[Gate, ...] = (connected_to_mesos, tasks_reconciled, retry_backoff, host_in_service)
GROWTH: tuple[Gate, ...] = (cluster_formed, es_view_fresh, extra_nodes_allowed,
                            one_master_at_a_time, quorum_raised, masters_before_data)
START_GATES = ALWAYS + GROWTH


STOP_GATES: tuple[Gate, ...] = (
    connected_to_mesos, not_paused, es_view_fresh, no_primary_missing, successor_ready,
    one_master_leaves_at_a_time, drain_can_end, drained, copies_rebuilt, masters_are_ready,
    quorum_kept, votes_excluded)
RESTART_GATES: tuple[Gate, ...] = (
    connected_to_mesos, not_paused, canary_approved, room_reserved, es_view_fresh, change_budget,
    one_master_restarts_at_a_time, quorum_survives, shares_no_shard, no_switch_in_the_way,
    snapshot_finished, cluster_green, no_last_copy, nothing_moves)
# A node that is no member may be restarted whatever the cluster is like.
MENDING_GATES = RESTART_GATES[:2]
# Before another node takes a healthy one's place because the spec wants it.
MOVE_GATES: tuple[Gate, ...] = (
    connected_to_mesos, not_paused, canary_approved, es_view_fresh, change_budget, cluster_green,
    nothing_moves)
SIDECAR_START_GATES = (*ALWAYS, cluster_formed)
SIDECAR_STOP_GATES = (connected_to_mesos, not_paused)
SIDECAR_RESTART_GATES = (connected_to_mesos, not_paused, room_reserved, one_sidecar_at_a_time)


def _ask(gates: Sequence[Gate], state: ClusterState, record: NodeRecord,
         now: float) -> list[Answer]:
    """All answers; a gate that people go past with this node says so."""
    found = []
    for gate in gates:
        answer = gate(state, record, now)
        if not answer.ok and answer.name in record.forced and answer.name in FORCIBLE:
            answer = Answer(answer.name, True, f"forced: {answer.reason}")
        found.append(answer)
    return found


def stop_gates(state: ClusterState, record: NodeRecord, now: float) -> list[Answer]:
    """What must hold before a leaving node is stopped and its volume destroyed."""
    gates = SIDECAR_STOP_GATES if state.is_sidecar(record) else STOP_GATES
    return _ask(gates, state, record, now)


def restart_gates(state: ClusterState, record: NodeRecord, now: float) -> list[Answer]:
    """What must hold before a node is restarted; one that is no member may always go.

    But not to get a size that nothing is reserved for: it would come back as it was, again and
    again.
    """
    gates = RESTART_GATES if state.is_ready(record) else MENDING_GATES
    if gates is MENDING_GATES and record.config == config.wanted(state, record):
        gates = (*MENDING_GATES, room_reserved)
    if state.is_sidecar(record):
        gates = SIDECAR_RESTART_GATES
    return _ask(gates, state, record, now)


def move_gates(state: ClusterState, record: NodeRecord, now: float) -> list[Answer]:
    """What must hold before another node is to take this one's place, as the spec wants it."""
    return _ask(MOVE_GATES, state, record, now)


def start_gates(state: ClusterState, record: NodeRecord, now: float) -> list[Answer]:
    """The answers that decide whether a node may be started, in order.

    A founding node, and one that has its volume already, are not growth: they may always go, or a
    broken cluster could never be mended.
    """
    mended = record.state is not NodeState.PLANNED or founding(state, record)
    gates = ALWAYS if mended else START_GATES
    if state.is_sidecar(record):
        gates = SIDECAR_START_GATES
    return _ask(gates, state, record, now)


def held_by(answers: list[Answer]) -> Answer | None:
    """The first gate that holds."""
    return next((answer for answer in answers if not answer.ok), None)


def words(answer: Answer | None) -> str:
    """The gate that holds and why, for people; empty when none does."""
    return str(answer) if answer is not None else ""


def within_hours(span: str, now: float) -> Answer:
    """What is done without anybody asking waits for the hours that people have given for it."""
    return Answer("within_hours", hours.within_at(span, now), f"it is for {span} UTC")


def wanted_minimum_master_nodes(state: ClusterState, now: float) -> int:
    """The quorum of the standing masters; already of one more when that is all it waits for.

    Lowered only when a master has gone, or when the last but one is to go.
    """
    standing = standing_masters(state)
    there = members(state, standing)
    wanted = min(quorum(len(standing)), there) or 1
    found = state.es.minimum_master_nodes if state.es is not None else None
    if found is None:
        # What they were started with is in force. Less, because not all are seen as members yet,
        # would let two halves elect; Elasticsearch refuses more until there are enough.
        wanted = quorum(len(standing))
    for record in departing_masters(state):
        held = held_by(stop_gates(state, record, now))
        if held is not None and held.name == "quorum_kept":
            # Not below a majority of those that stand, while that is enough to let it go.
            now_needed = quorum(len(standing))
            return now_needed if (found or 1) > now_needed else quorum(len(standing) - 1)
        wanted = max(wanted, found or 1)        # it may still run: lowered when it is gone
    if there < len(standing):
        wanted = max(wanted, found or 1)        # never lowered because a master is away
    for record in state.nodes.values():
        if record.state is NodeState.PLANNED and state.is_master(record) and record not in standing:
            held = held_by(start_gates(state, record, now))
            if held is not None and held.name == "quorum_raised":
                wanted = max(wanted, quorum_with(state, record))
            wanted = max(wanted, found or 1)    # it has been raised for this one
    return wanted
