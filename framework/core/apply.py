"""``apply(state, event) -> state``: fold what happened into what is.

Total over events: what is late, repeated or about a stranger leaves the state as it is, because
Mesos sends updates at least once and out of order.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from . import errands, maintenance, snapshots, switches, tls
from . import events as ev
from .facts import (
    ALIVE,
    LABEL_INCARNATION,
    LABEL_NODE,
    Asked,
    Canary,
    ClusterState,
    Link,
    NodeRecord,
    NodeState,
    Scaled,
    Seat,
    Secret,
    Seeds,
)
from .machine import Trigger, move

S = NodeState

# Mesos documentation, "Task State Reasons and high availability frameworks" (PARTITION_AWARE).
TERMINAL = frozenset({"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST",
                      "TASK_DROPPED", "TASK_GONE", "TASK_GONE_BY_OPERATOR"})
# The task did not come about at all: what it would have stood on may not exist either.
NEVER_RAN = frozenset({"TASK_ERROR", "TASK_DROPPED", "TASK_LOST", "TASK_GONE"})
STARTING = frozenset({"TASK_STAGING", "TASK_STARTING"})
OPERATION_FAILED = frozenset({"OPERATION_FAILED", "OPERATION_ERROR", "OPERATION_DROPPED",
                              "OPERATION_GONE_BY_OPERATOR"})

BACKOFF_FIRST_S, BACKOFF_MAX_S = 2.0, 300.0


def backoff_s(failures: int) -> float:
    """Seconds to wait before the next try after so many failures in a row."""
    return min(BACKOFF_FIRST_S * 2 ** max(failures - 1, 0), BACKOFF_MAX_S) if failures else 0.0


def apply(state: ClusterState, event: ev.Event) -> ClusterState:
    """The state after an event; raises KeyError for a kind of event it does not know."""
    return _HANDLERS[type(event)](state, event)


def _moved(record: NodeRecord, trigger: Trigger, at: float, **changes: Any) -> NodeRecord:
    target = move(record, trigger)
    since = record.since if target is record.state else at
    return replace(record, state=target, since=since, **changes)


# ---------------------------------------------------------------- from Mesos

def _registered(state: ClusterState, event: ev.Registered) -> ClusterState:
    link = Link(connected=True, since=event.at, reconcile_at=event.at, unreconciled={
        state.task_id(record): 0 for record in state.nodes.values() if record.state in ALIVE})
    identity = replace(state.identity, framework_id=event.framework_id)
    return replace(state, identity=identity, link=link)


def _disconnected(state: ClusterState, event: ev.Disconnected) -> ClusterState:
    if not state.link.connected:
        return state
    return replace(state, link=Link(connected=False, since=event.at, error=state.link.error))


def _refused(state: ClusterState, event: ev.MesosRefused) -> ClusterState:
    return replace(state, link=Link(connected=False, since=event.at, error=event.message))


def _task_updated(state: ClusterState, event: ev.TaskUpdated) -> ClusterState:
    left = {key: tries for key, tries in state.link.unreconciled.items() if key != event.task_id}
    if len(left) != len(state.link.unreconciled):
        done_at = state.link.reconciled_at if left else event.at
        state = replace(state, link=replace(state.link, unreconciled=left,
                                            reconciled_at=done_at))
    record = state.by_task(event.task_id)
    if record is None:
        return _stranger(state, event)
    if event.status == "TASK_GONE_BY_OPERATOR" and record.seat is not None:
        return _gone_for_good(state, record, event)
    if record.state not in ALIVE:
        return state
    updated = _with_task(record, event)
    if record.seat is not None and updated.seat is None:
        state = _doubting(state, record.seat.host, event.at)
    return state.with_node(updated)


def _doubting(state: ClusterState, host: str, at: float) -> ClusterState:
    """A start that never came about may have left its reservation on an agent that is away now."""
    return replace(state, doubts=MappingProxyType({**state.doubts, host: at}))


def _doubt_ended(state: ClusterState, event: ev.DoubtEnded) -> ClusterState:
    # A framework that is about to go sweeps once more: what was offered just now is being released.
    asked = Asked({what: at for what, at in state.asked.at.items() if what != "sweep"})
    return replace(state, asked=asked, doubts=MappingProxyType(
        {host: since for host, since in state.doubts.items() if host != event.host}))


def _gone_for_good(state: ClusterState, record: NodeRecord, event: ev.TaskUpdated) -> ClusterState:
    """Its agent was declared gone: Mesos never lets it in again, so its volume is gone as well.

    One that is wanted begins anew on another volume. Before the cluster has formed it still is one
    of the founding nodes.
    """
    if state.bootstrap.cluster_uuid is not None or record.retire:
        return _reseeded(state.without_node(record.name))
    where = record.seat.host if record.seat is not None else "its agent"
    return _reseeded(state.with_node(NodeRecord(
        record.name, record.group, S.PLANNED, since=event.at, incarnation=record.incarnation,
        message=f"{where} was declared gone, with the volume")))


def _stranger(state: ClusterState, event: ev.TaskUpdated) -> ClusterState:
    """A task of this framework that no record knows, or an earlier start of a node."""
    others = {key: agent for key, agent in state.link.strangers.items() if key != event.task_id}
    if event.status not in TERMINAL and event.status != "TASK_UNKNOWN":
        others[event.task_id] = event.agent_id
    return replace(state, link=replace(state.link, strangers=others))


def _with_task(record: NodeRecord, event: ev.TaskUpdated) -> NodeRecord:
    told = event.node or ev.NodeFacts()
    message = told.reason or event.message
    # The master's own updates carry no word of the executor: what has served still does.
    serving = told.serving or (event.node is None and record.serving_since is not None)
    if event.status in STARTING or (event.status == "TASK_RUNNING" and not serving
                                    and record.state is not S.RUNNING):
        # STAGING is the master's word alone: nothing may have come to the agent.
        confirmed = record.seat_confirmed or event.status != "TASK_STAGING"
        return _moved(record, Trigger.TASK_STARTING, event.at, seat_confirmed=confirmed,
                      pid=None if told.paused else record.pid,
                      message=message or "Elasticsearch starts")
    if event.status == "TASK_RUNNING":
        return _moved(record, Trigger.TASK_RUNNING, event.at, seat_confirmed=True,
                      message=told.reason or "Elasticsearch answers",
                      es_node_id=told.es_node_id or record.es_node_id,
                      pid=told.pid or record.pid, version=told.version or record.version,
                      serving_since=record.serving_since or event.at)
    if event.status == "TASK_KILLING":
        return replace(record, message=message or "stopping")
    if event.status == "TASK_UNREACHABLE":
        return _moved(record, Trigger.TASK_UNREACHABLE, event.at,
                      message=event.message or "its agent is unreachable")
    if event.status in TERMINAL:
        return _ended(record, event, message)
    # TASK_UNKNOWN: the master does not know the agent (yet). Neither dead nor alive: keep asking.
    return replace(record, message=event.message or f"Mesos says {event.status}")


def _ended(record: NodeRecord, event: ev.TaskUpdated, message: str) -> NodeRecord:
    failures = record.failures + 1
    if record.state is S.STOPPING:
        return _moved(record, Trigger.TASK_ENDED, event.at, message="stopped", pid=None,
                      serving_since=None, operations=())
    if record.state is S.RESTARTING:
        return _moved(record, Trigger.TASK_ENDED, event.at, pid=None, serving_since=None,
                      retry_at=event.at, message="stopped, to start again in place")
    changes: dict[str, Any] = {
        "failures": failures, "retry_at": event.at + backoff_s(failures), "pid": None,
        "serving_since": None,
        "message": f"{event.status.removeprefix('TASK_').lower()}: "
                   f"{message or event.reason or 'no reason given'}"}
    placed = record.state in (S.PLACING, S.STARTING, S.UNREACHABLE)
    if placed and not record.seat_confirmed and event.status in NEVER_RAN:
        return _moved(record, Trigger.NEVER_WAS, event.at, seat=None, operations=(), **changes)
    return _moved(record, Trigger.TASK_ENDED, event.at, **changes)


def _operation_updated(state: ClusterState, event: ev.OperationUpdated) -> ClusterState:
    for record in state.nodes.values():
        if event.operation_id in record.operations:
            return state.with_node(_with_operation(record, event))
    surplus = ".orphan." in event.operation_id or event.operation_id.endswith(".shrink")
    if surplus and event.status in OPERATION_FAILED:
        return _asked_for(state, ev.AskedFor(event.at, "orphans"))      # it is to be offered again
    return state


def _with_operation(record: NodeRecord, event: ev.OperationUpdated) -> NodeRecord:
    left = tuple(item for item in record.operations if item != event.operation_id)
    kind = event.operation_id.rpartition(".")[2]
    if kind == "grow":
        return _with_growth(record, left, event)
    if event.status == "OPERATION_FINISHED":
        confirmed = record.seat_confirmed or (kind == "create" and record.state in ALIVE)
        return replace(record, operations=left, seat_confirmed=confirmed)
    if event.status not in OPERATION_FAILED:
        return record
    message = f"{kind} failed: {event.message or event.status}"
    if record.state is S.RELEASING:
        return _moved(record, Trigger.RELEASE_FAILED, event.at, operations=(), message=message)
    # A failed RESERVE or CREATE fails the LAUNCH after it: its update moves the node.
    return replace(record, operations=left, message=message)


def _with_growth(record: NodeRecord, left: tuple[str, ...],
                 event: ev.OperationUpdated) -> NodeRecord:
    """More was reserved for the node's next start, or was not."""
    if event.status == "OPERATION_FINISHED":
        return replace(record, operations=left, grown=record.growing, growing=(0.0, 0))
    if event.status in OPERATION_FAILED:
        return replace(record, operations=left, growing=(0.0, 0),
                       message=f"more could not be reserved: {event.message or event.status}")
    return record


def _seeds_written(state: ClusterState, event: ev.SeedsWritten) -> ClusterState:
    record = state.nodes.get(event.node)
    if record is None or record.seeds_generation >= event.generation:
        return state
    return state.with_node(replace(record, seeds_generation=event.generation))


# -------------------------------------------------------- from Elasticsearch

def _clock_jumped(state: ClusterState, event: ev.ClockJumped) -> ClusterState:
    """Back-offs and what was asked begin anew; an unknown look holds what is disruptive."""
    nodes = {name: replace(record, retry_at=min(record.retry_at, event.at + BACKOFF_MAX_S))
             for name, record in state.nodes.items()}
    return replace(state, nodes=MappingProxyType(nodes), es=None, asked=Asked())


def _es_observed(state: ClusterState, event: ev.EsObserved) -> ClusterState:
    if state.bootstrap.cluster_uuid is None and event.view.cluster_uuid:
        formed = replace(state.bootstrap, cluster_uuid=event.view.cluster_uuid)
        state = replace(state, bootstrap=formed)
    return replace(state, es=event.view)


def _es_acted(state: ClusterState, event: ev.EsActed) -> ClusterState:
    if event.action == "Flush":
        state = replace(state, flushed_at=event.at)
    if event.action == "RaiseDelays" and event.ok:
        state = replace(state, delays_raised_at=event.at)
    if event.action == "SetAllocation" and event.subject == "hold" and event.ok:
        state = replace(state, allocation_held_at=event.at)
    if event.action == "RunErrand":
        return errands.ended(state, event)
    # The next view shows its effect; until then ``asked`` holds it back.
    what = f"{event.action} {event.subject}".strip()
    refused = {key: why for key, why in state.refused.items() if key != what}
    if event.refused:
        refused[what] = event.message
    return state if refused == state.refused else replace(state, refused=refused)


def _remote_seen(state: ClusterState, event: ev.RemoteSeen) -> ClusterState:
    if state.remotes.get(event.cluster) == event.addresses:
        return state
    return replace(state, remotes={**state.remotes, event.cluster: event.addresses})


def _log_target_seen(state: ClusterState, event: ev.LogTargetSeen) -> ClusterState:
    if state.log_targets.get(event.cluster) == event.urls:
        return state
    return replace(state, log_targets={**state.log_targets, event.cluster: event.urls})


def _logs_aimed(state: ClusterState, event: ev.LogsAimed) -> ClusterState:
    if state.seeds.log_urls == event.urls:
        return state
    return replace(state, seeds=replace(state.seeds, generation=state.seeds.generation + 1,
                                        log_urls=event.urls))


# --------------------------------------------------------------- from people

def _spec_accepted(state: ClusterState, event: ev.SpecAccepted) -> ClusterState:
    if event.revision <= state.revision:
        return state
    return replace(state, spec=event.spec, revision=event.revision, canary=None,
                   setback=event.why, scaled=_scaled(state, event))


def _scaled(state: ClusterState, event: ev.SpecAccepted) -> Mapping[str, Scaled]:
    """When the number of nodes of each wanted group was changed last."""
    found = {}
    for group in event.spec.groups:
        before = state.spec.group(group.name)
        if before is not None and before.count != group.count:
            found[group.name] = Scaled(event.at, before.count, group.count,
                                       event.by or event.why, event.because)
        elif group.name in state.scaled:
            found[group.name] = state.scaled[group.name]
    return MappingProxyType(found)


def _change_approved(state: ClusterState, event: ev.ChangeApproved) -> ClusterState:
    return replace(state, approved=max(state.approved, event.revision))


def _delete_accepted(state: ClusterState, event: ev.DeleteAccepted) -> ClusterState:
    return replace(state, deleting=True)


# ------------------------------------------------------------------- intents

def _paused(state: ClusterState, event: ev.Paused) -> ClusterState:
    return replace(state, paused=event.paused)


def _framework_renewed(state: ClusterState, event: ev.FrameworkRenewed) -> ClusterState:
    """Volumes and reservations are known by their labels: the new framework finds them."""
    identity = replace(state.identity, framework_id=event.framework_id)
    return replace(state, identity=identity, link=Link(since=event.at))


def _restart_asked(state: ClusterState, event: ev.RestartAsked) -> ClusterState:
    record = state.nodes.get(event.node)
    if record is None or not record.config:
        return state
    return state.with_node(replace(record, config="restart asked"))


def _replace_asked(state: ClusterState, event: ev.ReplaceAsked) -> ClusterState:
    record = state.nodes.get(event.node)
    if record is None or record.retire or record.moving:
        return state
    return _leave_intended(state, ev.LeaveIntended(
        event.at, event.node, "replaced on request", moving=True, elsewhere=True))


def _keep_asked(state: ClusterState, event: ev.KeepAsked) -> ClusterState:
    record = state.nodes.get(event.node)
    if record is None or record.retire or not record.moving:
        return state
    return _stay_intended(state, ev.StayIntended(event.at, event.node))


def _node_held(state: ClusterState, event: ev.NodeHeld) -> ClusterState:
    record = state.nodes.get(event.node)
    return state if record is None else state.with_node(replace(record, held=event.held))


def _gate_forced(state: ClusterState, event: ev.GateForced) -> ClusterState:
    record = state.nodes.get(event.node)
    if record is None or event.gate in record.forced:
        return state
    return state.with_node(replace(record, forced=(*record.forced, event.gate)))


def _step_restarted(state: ClusterState, event: ev.StepRestarted) -> ClusterState:
    record = state.nodes.get(event.node)
    if record is None:
        return state
    record = replace(record, failures=0, retry_at=0.0)
    if record.state is S.STARTING:
        record = _moved(record, Trigger.RESTART, event.at, message="begun anew on request")
    return state.with_node(record)


def _secrets_changed(state: ClusterState, event: ev.SecretsChanged) -> ClusterState:
    kept = {key: known for key, known in state.secrets.items() if key not in event.removed}
    for key in event.added:
        known = state.secrets.get(key)
        kept[key] = Secret(known.version + 1 if known else 1, event.at)
    return replace(state, secrets=MappingProxyType(kept))


def _node_planned(state: ClusterState, event: ev.NodePlanned) -> ClusterState:
    return state.with_node(NodeRecord(event.node, event.group, S.PLANNED, since=event.at,
                                      incarnation=state.gone.get(event.node, 0)))


def _place_intended(state: ClusterState, event: ev.PlaceIntended) -> ClusterState:
    record = state.nodes[event.node]
    incarnation = record.incarnation + 1
    prefix = f"{state.identity.uid}.{record.name}.{incarnation}"
    placed = _moved(record, Trigger.PLACE, event.at, seat=event.seat, seat_confirmed=False,
                    incarnation=incarnation, launch=1, es_node_id=None, version=None,
                    operations=(f"{prefix}.reserve", f"{prefix}.create"), config=event.config,
                    forced=(), growing=(0.0, 0), grown=(0.0, 0), owed=(0.0, 0),
                    message=f"placing on {event.seat.host}")
    return _launched(_reseeded(state.with_node(placed)), event.node)


def _seat_found(state: ClusterState, event: ev.SeatFound) -> ClusterState:
    record = state.nodes[event.node]
    known = record.seat or event.seat
    # A volume outlives its agent's id, name and address: those come from the offer.
    changes: dict[str, Any] = {}
    if record.state is S.PLANNED:
        changes = {"incarnation": event.incarnation,
                   "message": f"found its volume on {event.seat.host}"}
    elif record.state in ALIVE or record.state is S.DOWN:
        changes = {"message": record.message if record.state is S.DOWN else
                   "its volume is offered again, so its task is gone"}
    seat = replace(event.seat, resources=known.resources)
    found = _moved(record, Trigger.SEAT_FOUND, event.at, seat=seat, seat_confirmed=True,
                   operations=(), pid=None, serving_since=None, **changes)
    # The offer is an answer, too: nobody needs to be asked about its task any more.
    left = {key: tries for key, tries in state.link.unreconciled.items()
            if key != state.task_id(record)}
    state = replace(state, link=replace(state.link, unreconciled=left))
    return _reseeded(state.with_node(found))


def _launch_intended(state: ClusterState, event: ev.LaunchIntended) -> ClusterState:
    record = state.nodes[event.node]
    # It starts with all that its seat has: a late word on more would count that twice.
    others = tuple(item for item in record.operations if not item.endswith(".grow"))
    launched = _moved(record, Trigger.LAUNCH, event.at, launch=record.launch + 1,
                      seat=event.seat, config=event.config, forced=(), grown=(0.0, 0),
                      growing=(0.0, 0), operations=others,
                      message=f"starting in place on {event.seat.host}")
    return _launched(_reseeded(state.with_node(launched)), event.node)


def _launched(state: ClusterState, name: str) -> ClusterState:
    """A launch carries the newest seeds, and its task is reconciled until it is heard of."""
    record = replace(state.nodes[name], seeds_generation=state.seeds.generation)
    return state.with_node(record)


def _reseeded(state: ClusterState) -> ClusterState:
    """A new generation of seeds when the addresses of the nodes have changed."""
    seats = [record.seat for record in state.nodes.values()
             if record.seat is not None and not record.retire and not state.is_sidecar(record)]
    addresses = tuple(sorted(seat.transport_address for seat in seats))
    if addresses == state.seeds.addresses:
        return state
    urls = tuple(sorted(f"{state.spec.scheme}://{seat.http_address}" for seat in seats))
    return replace(state, seeds=Seeds(addresses, state.seeds.generation + 1, urls,
                                      state.seeds.log_urls))


def _retire_intended(state: ClusterState, event: ev.RetireIntended) -> ClusterState:
    record = state.nodes[event.node]
    if record.state is S.PLANNED:
        return _reseeded(state.without_node(event.node))
    changes: dict[str, Any] = {"retire": True, "message": event.why}
    if record.state in (S.STOPPED, S.RELEASING):
        return state.with_node(replace(record, **changes))
    if record.state is S.DOWN:
        changes["operations"] = ()              # it goes to STOPPED: nothing is on its way
    return _reseeded(state.with_node(_moved(record, Trigger.STOP, event.at, **changes)))


def _leave_intended(state: ClusterState, event: ev.LeaveIntended) -> ClusterState:
    record = state.nodes[event.node]
    state = state.with_node(replace(record, leaving=event.why, moving=event.moving,
                                    elsewhere=event.elsewhere, forced=(), recycle=0))
    if event.automatic:
        recent = tuple(at for at in state.replaced_at if event.at - at < 3600)
        state = replace(state, replaced_at=(*recent, event.at))
    by_change = event.moving and not event.elsewhere
    return _as_canary(state, event.node) if by_change else state


def _drain_intended(state: ClusterState, event: ev.DrainIntended) -> ClusterState:
    return state.with_node(replace(state.nodes[event.node], draining=True,
                                   drain_shards=event.shards, drain_mb=event.store_mb))


def _stay_intended(state: ClusterState, event: ev.StayIntended) -> ClusterState:
    return state.with_node(state.nodes[event.node].staying())


def _as_canary(state: ClusterState, node: str) -> ClusterState:
    """The first node that a change of this revision touches is its canary."""
    if state.spec.change.strategy != "canary" or state.approved >= state.revision or state.canary:
        return state
    return replace(state, canary=Canary(state.revision, node))


def _grow_intended(state: ClusterState, event: ev.GrowIntended) -> ClusterState:
    record = state.nodes[event.node]
    others = tuple(item for item in record.operations if not item.endswith(".grow"))
    state = state.with_node(replace(record, growing=(event.cpus, event.mem_mb),
                                    operations=(*others, event.operation)))
    return _asked_for(state, ev.AskedFor(event.at, f"grow {event.node}"))


def _complete_intended(state: ClusterState, event: ev.CompleteIntended) -> ClusterState:
    record = replace(state.nodes[event.node], owed=(event.cpus, event.mem_mb))
    return _asked_for(state.with_node(record), ev.AskedFor(event.at, f"complete {event.node}"))


def _owed_returned(state: ClusterState, event: ev.OwedReturned) -> ClusterState:
    return state.with_node(replace(state.nodes[event.node], owed=(0.0, 0)))


def _grown_seen(state: ClusterState, event: ev.GrownSeen) -> ClusterState:
    record = state.nodes[event.node]
    left = tuple(item for item in record.operations if not item.endswith(".grow"))
    return state.with_node(replace(record, grown=(event.cpus, event.mem_mb), growing=(0.0, 0),
                                   operations=left))


def _revision_settled(state: ClusterState, event: ev.RevisionSettled) -> ClusterState:
    return replace(state, settled=(state.revision, state.spec))


def _delays_raised(state: ClusterState, event: ev.DelaysRaised) -> ClusterState:
    return replace(state, raised_delays=event.raised)


def _live_keys_settled(state: ClusterState, event: ev.LiveKeysSettled) -> ClusterState:
    return replace(state, live_keys=event.keys)


def _exclusions_settled(state: ClusterState, event: ev.ExclusionsSettled) -> ClusterState:
    return replace(state, excluded=event.names)


def _votes_excluded(state: ClusterState, event: ev.VotesExcluded) -> ClusterState:
    return replace(state, excluded_votes=event.names)


def _recycle_chosen(state: ClusterState, event: ev.RecycleChosen) -> ClusterState:
    record = state.nodes[event.node]
    state = state.with_node(replace(record, recycle=record.launch, forced=(), failures=0))
    return _as_canary(state, event.node) if not record.held else state


def _recycle_intended(state: ClusterState, event: ev.RecycleIntended) -> ClusterState:
    record = state.nodes[event.node]
    return state.with_node(_moved(record, Trigger.RESTART, event.at,
                                  message="stopping, to start again in place"))


def _recycle_done(state: ClusterState, event: ev.RecycleDone) -> ClusterState:
    return state.with_node(replace(state.nodes[event.node], recycle=0))


def _allocation_held(state: ClusterState, event: ev.AllocationHeld) -> ClusterState:
    # Asked again, the setting is ours already: what was before stays what was first.
    return state if state.held_allocation is not None else replace(
        state, held_allocation=event.before)


def _allocation_restored(state: ClusterState, event: ev.AllocationRestored) -> ClusterState:
    return replace(state, held_allocation=None)


def _kill_intended(state: ClusterState, event: ev.KillIntended) -> ClusterState:
    return _asked_for(state, ev.AskedFor(event.at, f"kill {event.node}"))


def _release_intended(state: ClusterState, event: ev.ReleaseIntended) -> ClusterState:
    record = state.nodes[event.node]
    return state.with_node(_moved(record, Trigger.RELEASE, event.at, operations=event.operations,
                                  message="releasing its volume and reservation"))


def _node_released(state: ClusterState, event: ev.NodeReleased) -> ClusterState:
    record = state.nodes[event.node]
    if record.seat is not None and not record.seat_confirmed:
        state = _doubting(state, record.seat.host, event.at)
    return _reseeded(state.without_node(event.node))


def _node_stable(state: ClusterState, event: ev.NodeStable) -> ClusterState:
    return state.with_node(replace(state.nodes[event.node], failures=0, retry_at=0.0))


def _asked_for(state: ClusterState, event: ev.AskedFor) -> ClusterState:
    # Forget the old ones, so that the map stays as small as what is going on.
    recent = {what: at for what, at in state.asked.at.items() if event.at - at < 3600}
    return replace(state, asked=Asked({**recent, event.what: event.at}))


def _needs_told(state: ClusterState, event: ev.NeedsTold) -> ClusterState:
    return replace(state, link=replace(state.link, needs=event.needs))


def _reconcile_asked(state: ClusterState, event: ev.ReconcileAsked) -> ClusterState:
    tries: Mapping[str, int] = {task_id: state.link.unreconciled.get(task_id, 0) + 1
                                for task_id in event.task_ids}
    return replace(state, link=replace(state.link, unreconciled=tries,
                                       reconcile_at=event.next_at,
                                       reconciled_at=state.link.reconciled_at or event.at))


def _teardown_intended(state: ClusterState, event: ev.TeardownIntended) -> ClusterState:
    return replace(state, removed=True)


def _released(state: ClusterState, event: ev.Released) -> ClusterState:
    labels = dict(event.labels)
    key = f"{labels.get(LABEL_NODE)}.{labels.get(LABEL_INCARNATION)}"
    return replace(state, orphans={name: orphan for name, orphan in state.orphans.items()
                                   if name != key})


def _orphan_seen(state: ClusterState, event: ev.OrphanSeen) -> ClusterState:
    return replace(state, orphans={**state.orphans, event.orphan.id: event.orphan})


def _orphan_released(state: ClusterState, event: ev.OrphanReleased) -> ClusterState:
    known = state.orphans.get(event.orphan)
    return state if known is None else replace(
        state, orphans={**state.orphans, known.id: replace(known, released=True)})


def _nothing(state: ClusterState, event: ev.Event) -> ClusterState:
    return state


def _send_failed(state: ClusterState, event: ev.SendFailed) -> ClusterState:
    return replace(state, link=replace(state.link, needs=None))


def seat_differs(record: NodeRecord, seat: Seat) -> bool:
    """Whether an agent's id, name or address is not what the record says."""
    return record.seat is None or (record.seat.agent_id, record.seat.host, record.seat.ip) != (
        seat.agent_id, seat.host, seat.ip)


_HANDLERS: dict[type[ev.Event], Callable[[ClusterState, Any], ClusterState]] = {
    ev.Registered: _registered, ev.Disconnected: _disconnected, ev.MesosRefused: _refused,
    ev.TaskUpdated: _task_updated, ev.OperationUpdated: _operation_updated,
    ev.SendFailed: _send_failed, ev.ClockJumped: _clock_jumped,
    ev.SeedsWritten: _seeds_written, ev.EsObserved: _es_observed, ev.EsActed: _es_acted,
    ev.SpecAccepted: _spec_accepted, ev.DeleteAccepted: _delete_accepted,
    ev.FrameworkRenewed: _framework_renewed,
    ev.Paused: _paused, ev.RestartAsked: _restart_asked, ev.ChangeApproved: _change_approved,
    ev.ReplaceAsked: _replace_asked, ev.KeepAsked: _keep_asked, ev.NodeHeld: _node_held,
    ev.GateForced: _gate_forced, ev.StepRestarted: _step_restarted,
    ev.SecretsChanged: _secrets_changed, ev.RemoteSeen: _remote_seen,
    ev.LogTargetSeen: _log_target_seen, ev.LogsAimed: _logs_aimed,
    ev.TlsRotated: tls.rotated, ev.CredentialsShown: tls.shown,
    ev.SwitchSet: switches.set_, ev.SwitchBack: switches.back,
    ev.SwitchIntended: switches.intended, ev.SwitchRestored: switches.restored,
    ev.ErrandAsked: errands.asked, ev.ErrandBegun: errands.begun,
    ev.ErrandDropped: errands.dropped, ev.ErrandProgress: errands.progressed,
    ev.SnapshotsWanted: snapshots.wanted,
    ev.DrainIntended: _drain_intended, ev.GrowIntended: _grow_intended,
    ev.CompleteIntended: _complete_intended, ev.OwedReturned: _owed_returned,
    ev.DoubtEnded: _doubt_ended,
    ev.GrownSeen: _grown_seen, ev.RevisionSettled: _revision_settled,
    ev.DelaysRaised: _delays_raised, ev.LiveKeysSettled: _live_keys_settled,
    ev.LeaveIntended: _leave_intended, ev.StayIntended: _stay_intended,
    ev.ExclusionsSettled: _exclusions_settled, ev.VotesExcluded: _votes_excluded,
    ev.RecycleChosen: _recycle_chosen, ev.RecycleIntended: _recycle_intended,
    ev.RecycleDone: _recycle_done, ev.AllocationHeld: _allocation_held,
    ev.AllocationRestored: _allocation_restored,
    ev.NodePlanned: _node_planned, ev.PlaceIntended: _place_intended, ev.SeatFound: _seat_found,
    ev.LaunchIntended: _launch_intended, ev.RetireIntended: _retire_intended,
    ev.KillIntended: _kill_intended, ev.ReleaseIntended: _release_intended,
    ev.NodeReleased: _node_released, ev.Released: _released,
    ev.OrphanSeen: _orphan_seen, ev.OrphanReleased: _orphan_released,
    ev.NodeStable: _node_stable, ev.AskedFor: _asked_for,
    ev.NeedsTold: _needs_told, ev.ReconcileAsked: _reconcile_asked,
    ev.TeardownIntended: _teardown_intended,
    ev.HostLeaves: maintenance.leaves, ev.HostBack: maintenance.back,
    ev.InverseOffered: maintenance.offered, ev.InverseAnswered: maintenance.answered,
}
