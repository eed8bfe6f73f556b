"""``apply(state, event) -> state``: fold what happened into what is.

Total over events: what is late, repeated or about a stranger leaves the state as it is, because
Mesos sends updates at least once and out of order.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from . import events as ev
from .facts import ALIVE, Asked, ClusterState, Link, NodeRecord, NodeState, Seat, Seeds
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
    if record.state not in ALIVE:
        return state
    return state.with_node(_with_task(record, event))


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
        return _moved(record, Trigger.TASK_STARTING, event.at, seat_confirmed=True,
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
    if record.state is S.PLACING and not record.seat_confirmed and event.status in NEVER_RAN:
        return _moved(record, Trigger.NEVER_WAS, event.at, seat=None, operations=(), **changes)
    return _moved(record, Trigger.TASK_ENDED, event.at, **changes)


def _operation_updated(state: ClusterState, event: ev.OperationUpdated) -> ClusterState:
    for record in state.nodes.values():
        if event.operation_id in record.operations:
            return state.with_node(_with_operation(record, event))
    return state


def _with_operation(record: NodeRecord, event: ev.OperationUpdated) -> NodeRecord:
    left = tuple(item for item in record.operations if item != event.operation_id)
    kind = event.operation_id.rpartition(".")[2]
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


def _seeds_written(state: ClusterState, event: ev.SeedsWritten) -> ClusterState:
    record = state.nodes.get(event.node)
    if record is None or record.seeds_generation >= event.generation:
        return state
    return state.with_node(replace(record, seeds_generation=event.generation))


# -------------------------------------------------------- from Elasticsearch

def _es_observed(state: ClusterState, event: ev.EsObserved) -> ClusterState:
    if state.bootstrap.cluster_uuid is None and event.view.cluster_uuid:
        formed = replace(state.bootstrap, cluster_uuid=event.view.cluster_uuid)
        state = replace(state, bootstrap=formed)
    return replace(state, es=event.view)


def _es_acted(state: ClusterState, event: ev.EsActed) -> ClusterState:
    if event.action == "Flush":
        return replace(state, flushed_at=event.at)
    return state          # the next view shows its effect; until then ``asked`` holds it back


# --------------------------------------------------------------- from people

def _spec_accepted(state: ClusterState, event: ev.SpecAccepted) -> ClusterState:
    if event.revision <= state.revision:
        return state
    return replace(state, spec=event.spec, revision=event.revision)


def _delete_accepted(state: ClusterState, event: ev.DeleteAccepted) -> ClusterState:
    return replace(state, deleting=True)


# ------------------------------------------------------------------- intents

def _paused(state: ClusterState, event: ev.Paused) -> ClusterState:
    return replace(state, paused=event.paused)


def _restart_asked(state: ClusterState, event: ev.RestartAsked) -> ClusterState:
    record = state.nodes.get(event.node)
    if record is None or not record.config:
        return state
    return state.with_node(replace(record, config="restart asked"))


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
    launched = _moved(record, Trigger.LAUNCH, event.at, launch=record.launch + 1,
                      seat=event.seat, config=event.config,
                      message=f"starting in place on {event.seat.host}")
    return _launched(_reseeded(state.with_node(launched)), event.node)


def _launched(state: ClusterState, name: str) -> ClusterState:
    """A launch carries the newest seeds, and its task is reconciled until it is heard of."""
    record = replace(state.nodes[name], seeds_generation=state.seeds.generation)
    return state.with_node(record)


def _reseeded(state: ClusterState) -> ClusterState:
    """A new generation of seeds when the addresses of the nodes have changed."""
    addresses = tuple(sorted(
        record.seat.transport_address for record in state.nodes.values()
        if record.seat is not None and not record.retire))
    if addresses == state.seeds.addresses:
        return state
    return replace(state, seeds=Seeds(addresses, state.seeds.generation + 1))


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
    return state.with_node(replace(state.nodes[event.node], leaving=event.why))


def _stay_intended(state: ClusterState, event: ev.StayIntended) -> ClusterState:
    return state.with_node(replace(state.nodes[event.node], leaving=""))


def _exclusions_settled(state: ClusterState, event: ev.ExclusionsSettled) -> ClusterState:
    return replace(state, excluded=event.names)


def _votes_excluded(state: ClusterState, event: ev.VotesExcluded) -> ClusterState:
    return replace(state, excluded_votes=event.names)


def _recycle_chosen(state: ClusterState, event: ev.RecycleChosen) -> ClusterState:
    record = state.nodes[event.node]
    return state.with_node(replace(record, recycle=record.launch))


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
    ev.SendFailed: _send_failed,
    ev.SeedsWritten: _seeds_written, ev.EsObserved: _es_observed, ev.EsActed: _es_acted,
    ev.SpecAccepted: _spec_accepted, ev.DeleteAccepted: _delete_accepted,
    ev.Paused: _paused, ev.RestartAsked: _restart_asked,
    ev.LeaveIntended: _leave_intended, ev.StayIntended: _stay_intended,
    ev.ExclusionsSettled: _exclusions_settled, ev.VotesExcluded: _votes_excluded,
    ev.RecycleChosen: _recycle_chosen, ev.RecycleIntended: _recycle_intended,
    ev.RecycleDone: _recycle_done, ev.AllocationHeld: _allocation_held,
    ev.AllocationRestored: _allocation_restored,
    ev.NodePlanned: _node_planned, ev.PlaceIntended: _place_intended, ev.SeatFound: _seat_found,
    ev.LaunchIntended: _launch_intended, ev.RetireIntended: _retire_intended,
    ev.KillIntended: _kill_intended, ev.ReleaseIntended: _release_intended,
    ev.NodeReleased: _node_released, ev.Released: _nothing,
    ev.NodeStable: _node_stable, ev.AskedFor: _asked_for,
    ev.NeedsTold: _needs_told, ev.ReconcileAsked: _reconcile_asked,
    ev.TeardownIntended: _teardown_intended,
}
