"""What must never happen, whatever goes wrong: the rules of the simulator, by name.

The core's own invariants are checked by every turn. These rules look at the world beside it: at
what is stored when something is sent, at what Mesos holds, and at what Elasticsearch really has.
An act is judged by what the scheduler could know: by the last look that it acted on. What a fault
does between that look and the act is nobody's fault; what a DESTROY loses is judged as it is.
docs/invariants.md lists all rules for people.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from esaas.framework.core import events as ev
from esaas.framework.core import maintenance
from esaas.framework.core import operations as op
from esaas.framework.core.apply import apply
from esaas.framework.core.decide import decide
from esaas.framework.core.facts import ClusterState, NodeState
from esaas.framework.core.gates import held_by, restart_gates
from esaas.framework.runtime.cycle import Turn

from .agent import Phase, Task
from .elastic import EsCluster
from .master import Master
from .memory import StandInStore
from .process import Process
from .trace import Broken

SNAPSHOTS = 60                      # looks that are kept
SETTLES_IN = 6                      # turns without any news
STOPS_IN_S = 60.0                   # a node whose host is to go, once nothing holds it
RAISED_IN_S = 30.0                  # the quorum, for one that stays after all; tried every 10 s
STABLE_EVERY = 23                   # turns; a turn decided again costs as much as a turn


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What Elasticsearch really was like at a look, by node names."""

    active: Mapping[str, frozenset[str]]        # shard -> nodes with a copy in use
    replicas: Mapping[str, int]
    holders: frozenset[str]                     # nodes with any copy, or one on its way
    members: frozenset[str]
    masters: frozenset[str]
    quorum: int                                 # of the masters, up to 6.x
    votes: frozenset[str] | None                # of the voting configuration, from 7 on


def snapshot(es: EsCluster) -> Snapshot:
    """Elasticsearch as it is now."""
    names = {volume: task.node for volume, task in es.tasks.items()}
    active = {shard.id: frozenset(names[volume] for volume in shard.active() if volume in names)
              for shard in es.shards.values()}
    holders = frozenset(names[volume] for shard in es.shards.values()
                        for volume, copy in shard.copies.items()
                        if copy.state != "idle" and volume in names)
    masters = [task for task in es.masters() if task.joined]
    seven = es.votes is not None and any(task.major >= 7 for task in masters)
    votes = frozenset(names.get(volume, volume) for volume in es.votes or ()) if seven else None
    return Snapshot(active, {shard.id: shard.replicas for shard in es.shards.values()}, holders,
                    frozenset(task.node for task in es.members().values()),
                    frozenset(task.node for task in masters), es.quorum(), votes)


@dataclass(slots=True)
class Watched:
    """What the rules know of one cluster."""

    name: str
    uid: str
    framework_id: str
    es: EsCluster
    snapshots: dict[float, Snapshot] = field(default_factory=dict)
    turning: dict[str, tuple[int, bool]] = field(default_factory=dict)   # node -> launch, ready
    given_up: set[str] = field(default_factory=set)     # of these: no restart of ours any more
    spread_limit: int = 1
    stayed_at: float = float("-inf")    # when a node that was given up was taken back
    # Nodes that are to stop for the maintenance of their hosts, and may: since when.
    overdue: dict[str, float] = field(default_factory=dict)


class Safety:
    """All rules; each raises ``Broken`` with its name."""

    def __init__(self, store: StandInStore) -> None:
        self.store = store
        self.master: Master | None = None
        self.clusters: dict[str, Watched] = {}          # by uid
        self.by_framework: dict[str, Watched] = {}

    def watch(self, watched: Watched) -> None:
        """A cluster has been made."""
        self.clusters[watched.uid] = watched
        self.by_framework[watched.framework_id] = watched

    def _of(self, volume: str) -> Watched:
        return self.clusters[volume.partition(".")[0]]

    # --------------------------------------------------------------------- stored

    def _record(self, name: str, path: str) -> Mapping[str, Any]:
        stored = self.store.records.get(f"clusters/{name}/{path}")
        body: Mapping[str, Any] = orjson.loads(stored.data)["body"] if stored is not None else {}
        return body

    def sending(self, process: Process, operation: op.Operation) -> None:
        """``stored_before_sent``: what is about to be sent is on record already."""
        name = process.state.identity.name
        for wrong in self._unstored(name, operation):
            raise Broken("stored_before_sent", f"{process.name} sends what is not stored: {wrong}")

    def _unstored(self, name: str, operation: op.Operation) -> Iterator[str]:
        if isinstance(operation, op.Accept):
            for step in operation.steps:
                yield from self._unstored_step(name, step)
        elif isinstance(operation, op.Kill):
            node = operation.task_id.split(".")[1]
            record = self._record(name, f"nodes/{node}")
            mine = record and operation.task_id == _task_id(name, record)
            # Also of one whose volume was offered in the same turn: its task is gone already.
            if mine and record["state"] not in ("stopping", "restarting", "stopped", "releasing",
                                                "down"):
                yield f"KILL of {operation.task_id}, which is {record['state']}"
        elif isinstance(operation, op.Teardown):
            if not self._record(name, "meta").get("removed"):
                yield "TEARDOWN"
        else:
            yield from self._unstored_action(self._record(name, "meta"), operation)

    def _unstored_step(self, name: str, step: op.OfferStep) -> Iterator[str]:
        if isinstance(step, op.Launch):
            record = self._record(name, f"nodes/{step.payload.node}")
            if not record or step.task_id != _task_id(name, record):
                yield f"LAUNCH of {step.task_id}"
            return
        parts = step.operation_id.split(".")
        record = self._record(name, f"nodes/{parts[1]}")
        recorded = parts[-1] in ("reserve", "create", "destroy", "unreserve", "grow")
        if recorded and parts[-2] != "orphan" and (
                step.operation_id not in record.get("operations", ())):
            yield f"{type(step).__name__} {step.operation_id}"

    def _unstored_action(self, meta: Mapping[str, Any],
                         operation: op.Operation) -> Iterator[str]:
        stored = True
        if isinstance(operation, op.SetAllocation) and operation.value is not None:
            stored = meta.get("held_allocation") is not None
        elif isinstance(operation, op.ExcludeNodes):
            stored = set(operation.names) <= set(meta.get("excluded", ()))
        elif isinstance(operation, op.ExcludeVotes):
            stored = set(operation.names) <= set(meta.get("excluded_votes", ()))
        elif isinstance(operation, op.RaiseDelays):
            stored = bool(meta.get("raised_delays"))
        elif isinstance(operation, op.SetSwitch) and operation.value is not None:
            switch = meta.get("switches", {}).get(operation.subject) or {}
            stored = switch.get("before") is not None
        if not stored:
            yield type(operation).__name__

    # ---------------------------------------------------------------------- Mesos

    def launched(self, task: Task) -> None:
        """A task is about to run: one per volume, not too many on a host, no second forming."""
        assert self.master is not None
        watched = self._of(task.volume)
        others = [other for other in self.master.tasks() if other.framework_id == task.framework_id]
        if any(other.volume == task.volume for other in others):
            raise Broken("one_task_per_volume", f"{task.id} starts on {task.volume}, which another "
                         "task uses")
        if task.payload.sidecar is None:
            here = [other for other in others if other.host == task.host
                    and other.payload.sidecar is None and other.phase is not Phase.STOPPING]
            if len(here) + 1 > watched.spread_limit:
                raise Broken("host_limit_in_mesos", f"{task.id} on {task.host} beside "
                             f"{', '.join(other.id for other in here)}; at most "
                             f"{watched.spread_limit} may share a host")
        formed = self._record(watched.name, "meta").get("bootstrap", {}).get("cluster_uuid")
        if formed and task.payload.initial_master_nodes:
            raise Broken("formed_once", f"{task.id} is told to form a cluster that is {formed}")

    def can_start(self, task: Task) -> str:
        """Whether its volume lets it; the answer is Elasticsearch's."""
        return self._of(task.volume).es.can_start(task)

    def started(self, task: Task) -> None:
        """Its process is up."""
        if task.serves:
            self._of(task.volume).es.start(task)

    def stopped(self, task: Task) -> None:
        """Its process is gone."""
        if task.volume.partition(".")[0] in self.clusters:
            self._of(task.volume).es.stop(task)

    def destroyed(self, volume: str) -> None:
        """``decommission_recorded`` and ``last_copy_kept``."""
        watched = self._of(volume)
        node = volume.split(".")[1]
        record = self._record(watched.name, f"nodes/{node}")
        deleting = self._record(watched.name, "meta").get("deleting")
        if not deleting and not record.get("retire"):
            raise Broken("decommission_recorded", f"DESTROY of {volume}, and nobody has recorded "
                         "that it is to go")
        hurt = watched.es.destroy(volume)
        if hurt and not deleting:
            raise Broken("last_copy_kept", f"DESTROY of {volume} has lost all that {hurt[0]} has "
                         "acknowledged")

    # -------------------------------------------------------------------- intents

    def looked(self, process: Process, at: float) -> None:
        """Keep what was really there at a look."""
        watched = self.by_framework[process.framework_id]
        watched.snapshots[at] = snapshot(watched.es)
        while len(watched.snapshots) > SNAPSHOTS:
            del watched.snapshots[next(iter(watched.snapshots))]

    def turned(self, process: Process, before: ClusterState, events: Sequence[ev.Event],
               turn: Turn) -> None:
        """Judge what was decided in a turn by what was known in it."""
        watched = self.by_framework[process.framework_id]
        watched.spread_limit = max(process.state.spec.max_per_host(group)
                                   for group in process.state.spec.groups if not group.is_sidecar)
        watched.given_up |= {
            node for node in watched.turning
            if node not in process.state.nodes or not process.state.nodes[node].recycle}
        self._forget_returned(watched)
        if any(isinstance(event, ev.StayIntended) for operation in turn.operations
               for event in operation.intents):
            assert self.master is not None
            watched.stayed_at = self.master.now
        grave = [event for operation in turn.operations for event in operation.intents
                 if isinstance(event, (ev.RecycleIntended, ev.RetireIntended, ev.PlaceIntended,
                                       ev.LaunchIntended))]
        if grave:
            known = before
            for event in events:
                known = apply(known, event)
            for event in grave:
                self._judge(watched, known, process.state, event)
        self._stops_for_maintenance(watched, process.state)
        if process.turns % STABLE_EVERY == 0:
            self._settles(process, turn)

    def _judge(self, watched: Watched, known: ClusterState, after: ClusterState,
               event: ev.Event) -> None:
        if isinstance(event, ev.PlaceIntended):
            self._wanted(after, event.node)
        if isinstance(event, (ev.PlaceIntended, ev.LaunchIntended)):
            self._in_service(known, event)
        elif isinstance(event, ev.RecycleIntended):
            self._restart(watched, known, event.node)
        elif isinstance(event, ev.RetireIntended) and not known.deleting:
            self._retire(watched, known, after, event.node)

    def _in_service(self, known: ClusterState,
                    event: ev.PlaceIntended | ev.LaunchIntended) -> None:
        """``none_starts_in_maintenance``: no new node on a host that is to go.

        Nor one on its own volume, unless it is to be drained from there and there is time yet.
        """
        assert self.master is not None
        plan = known.maintenance.get(event.seat.host)
        drains = (plan is not None and plan.mode == maintenance.MOVE
                  and self.master.now < plan.begins and isinstance(event, ev.LaunchIntended))
        if plan is not None and not drains:
            raise Broken("none_starts_in_maintenance", f"{event.node} starts on "
                         f"{event.seat.host}, which is to be taken out")

    def _stops_for_maintenance(self, watched: Watched, state: ClusterState) -> None:
        """``stops_for_maintenance``: a node whose host is to be waited for stops when it may.

        While a cluster forms every node is needed, so none is stopped.
        """
        assert self.master is not None
        now = self.master.now
        if state.bootstrap.cluster_uuid is None:
            return
        due = {name for name, record in state.nodes.items()
               if maintenance.is_to_stop(state, record) and record.state is NodeState.RUNNING
               and not record.recycle and held_by(restart_gates(state, record, now)) is None}
        watched.overdue = {name: watched.overdue.get(name, now) for name in due}
        for name, since in watched.overdue.items():
            if now - since > STOPS_IN_S:
                raise Broken("stops_for_maintenance", f"nothing holds {name}, and it has not been "
                             f"stopped for {now - since:.0f} s")

    def _settles(self, process: Process, turn: Turn) -> None:
        """``decide_settles``: the same facts again and again come to an end, they never flap."""
        assert self.master is not None
        state = process.state
        for _ in range(SETTLES_IN):
            again = decide(state, (), self.master.now)
            if not again.operations:
                return
            state = again.state
        raise Broken("decide_settles", f"{process.name}: decided {SETTLES_IN} times on the same "
                     f"facts: {[type(item).__name__ for item in again.operations]} after "
                     f"{turn.decision.sentence}")

    def _wanted(self, state: ClusterState, node: str) -> None:
        """``no_more_than_wanted``: reservations are for wanted nodes and the extra ones allowed."""
        group = state.group_of(state.nodes[node])
        if group is None:
            return
        there = [record.name for record in state.nodes.values()
                 if record.group == group.name and record.seat is not None
                 and not record.leaving and not record.retire]
        if len(there) > group.count:
            raise Broken("no_more_than_wanted", f"{node} is placed as one of {len(there)} of "
                         f"{group.name}, {group.count} are wanted")

    def _forget_returned(self, watched: Watched) -> None:
        """A restart is over when the node is a member by its next launch, or was never stopped.

        Or when it was given up, and what it held is complete elsewhere.
        """
        rebuilt = watched.es.health() == "green"
        members = {task.node: task.payload.launch for task in watched.es.members().values()}
        for node, (launch, _) in list(watched.turning.items()):
            given_up = node in watched.given_up
            back = node in members and (given_up or members[node] > launch)
            if back or (given_up and rebuilt):
                del watched.turning[node]
        watched.given_up &= watched.turning.keys()

    def _seen(self, watched: Watched, known: ClusterState) -> Snapshot | None:
        return watched.snapshots.get(known.es.at) if known.es is not None else None

    def _restart(self, watched: Watched, known: ClusterState, node: str) -> None:
        record = known.nodes[node]
        ready = known.is_ready(record) and not known.is_sidecar(record)
        self._forget_returned(watched)
        others = {name for name, (_, was_ready) in watched.turning.items() if was_ready}
        watched.turning[node] = record.launch, ready
        watched.given_up.discard(node)
        seen = self._seen(watched, known)
        if not ready or seen is None:
            return                          # one that is no member may always go
        for shard in watched.es.shards.values():
            holders = {volume.split(".")[1] for volume in shard.copies}
            shared = (holders & others) - {node}
            # One that people have created since the look could not be known.
            if node in holders and shared and shard.id in seen.active:
                raise Broken("one_restart_per_shard", f"{node} is restarted while {min(shared)} is "
                             f"away for a restart; both have {shard.id}")
        self._last_copy(seen, node, "restarted")
        leaving = {name for name, other in known.nodes.items() if other.leaving}
        # With fewer than three no master can be spared, and people know that.
        if node in seen.masters and len(seen.masters - leaving) >= 3:
            self._quorum(seen, {node} | others, "restarted")

    def _last_copy(self, seen: Snapshot, node: str, what: str) -> None:
        for shard, holders in seen.active.items():
            if holders == {node} and seen.replicas[shard]:
                raise Broken("last_copy_not_stopped", f"{node} is {what} with the only copy of "
                             f"{shard} in use")

    def _quorum(self, seen: Snapshot, away: set[str], what: str) -> None:
        left = seen.masters - away
        enough = len(left & seen.votes) * 2 > len(seen.votes) if seen.votes is not None else (
            len(left) >= seen.quorum)
        if not enough:
            raise Broken("quorum_kept_by_us", f"{', '.join(sorted(away))} {what}: "
                         f"{len(left)} masters are left, {seen.quorum} or a majority of "
                         f"{sorted(seen.votes or ())} are needed")

    def _retire(self, watched: Watched, known: ClusterState, after: ClusterState,
                node: str) -> None:
        record = known.nodes[node]
        seen = self._seen(watched, known)
        if seen is None or record.seat is None or not known.is_ready(record) or (
                known.is_sidecar(record)):
            return
        if node in seen.holders:
            raise Broken("drained_before_stop", f"{node} is retired with shards on it or on their "
                         "way to it")
        self._last_copy(seen, node, "retired")
        if node in seen.masters:
            turning = {name for name, (_, ready) in watched.turning.items() if ready}
            others = {name for name, other in after.nodes.items() if other.retire}
            self._quorum(seen, {node} | turning | others, "retired")

    # ------------------------------------------------------------------ every tick

    def check(self) -> None:
        """``no_two_majorities``: on 6.x no two halves of the masters can both elect."""
        for watched in self.clusters.values():
            es = watched.es
            master = es.tasks.get(es.master)
            if master is None or master.major > 6:
                continue
            count = sum(task.joined for task in es.masters())
            if count >= 2 * es.quorum() and self._comes_back(watched):
                count -= 1
            if count >= 2 * es.quorum() and not (count == 2 and es.quorum() == 1):
                raise Broken("no_two_majorities", f"{watched.name} has {count} masters and "
                             f"minimum_master_nodes {es.quorum()}")

    def _comes_back(self, watched: Watched) -> bool:
        """Whether a node that was given up may be back: for it the quorum is raised only then.

        Elasticsearch refuses more than there are masters at the moment. Once the node stays after
        all, the raise is on its way.
        """
        assert self.master is not None
        if self.master.now - watched.stayed_at < RAISED_IN_S:
            return True
        name = watched.name
        return any(self._record(name, path.split("/", 2)[2]).get("moving")
                   for path in self.store.records if path.startswith(f"clusters/{name}/nodes/"))


def _task_id(name: str, record: Mapping[str, Any]) -> str:
    return f"{name}.{record['name']}.{record['incarnation']}.{record['launch']}"
