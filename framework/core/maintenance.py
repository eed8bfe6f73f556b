"""Hosts that go away as planned: nodes are moved before, or stopped in order and brought back.

A plan comes from people, from an inverse offer of Mesos, or from the window that an offer names.
A short one stops the nodes of the host by the gates of a restart, and they start again on their
volumes when it is over; a long one, or one without an end, moves them to other hosts first.
Source: Mesos documentation, "Maintenance Primitives": an inverse offer is a question; who
says yes promises to have nothing left there.
"""
from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from . import events as ev
from .facts import ALIVE, ClusterState, HostPlan, InverseOffer, NodeRecord, NodeState
from .operations import AcceptInverse, DeclineInverse

if TYPE_CHECKING:
    from .draft import Draft

S = NodeState
MOVE, STOP = "move", "stop"
PEOPLE, SCHEDULE = "people", "schedule"
STAY_S = 3600.0                     # a window up to this long is waited for
ASK_AGAIN_S = 15.0                  # an inverse offer that we could not say yes to
REASON = "maintenance of "          # how the reason of a move begins


def mode_for(begins: float, ends: float | None) -> str:
    """Whether nodes wait for a host to come back, or leave it for good."""
    return STOP if ends is not None and ends - begins <= STAY_S else MOVE


def plan_for(state: ClusterState, record: NodeRecord) -> HostPlan | None:
    """The maintenance planned for the host of a node; None when there is none."""
    return state.maintenance.get(record.seat.host) if record.seat is not None else None


def is_to_stop(state: ClusterState, record: NodeRecord) -> bool:
    """Whether a node is to be stopped in order, to start again when its host is back."""
    plan = plan_for(state, record)
    return plan is not None and plan.mode == STOP and not record.leaving and not record.retire


def is_parked(state: ClusterState, record: NodeRecord) -> bool:
    """Whether a node was stopped and waits for its host to come back."""
    return record.state is S.DOWN and is_to_stop(state, record)


def evacuees(state: ClusterState) -> list[NodeRecord]:
    """Nodes that are to be moved away from their hosts, masters last."""
    if not state.maintenance:
        return []
    found = [record for record in state.nodes.values()
             if not record.leaving and not record.retire
             and (plan := plan_for(state, record)) is not None and plan.mode == MOVE]
    return sorted(found, key=lambda record: (state.is_master(record), record.name))


def why(record: NodeRecord) -> str:
    """The reason of a move, for people."""
    return f"{REASON}{record.seat.host if record.seat is not None else ''}"


def answer(draft: Draft) -> None:
    """Say yes to inverse offers where nothing of ours runs any more, not yet to the others."""
    yes: list[str] = []
    no: list[str] = []
    for offer in draft.state.link.inverse.values():
        left = any(record.seat is not None and record.seat.agent_id == offer.agent_id
                   and record.state in ALIVE for record in draft.state.nodes.values())
        (no if left else yes).append(offer.id)
    if yes:
        draft.do(AcceptInverse((ev.InverseAnswered(draft.now, tuple(yes)),), tuple(yes)))
    if no:
        draft.do(DeclineInverse((ev.InverseAnswered(draft.now, tuple(no)),), tuple(no),
                                ASK_AGAIN_S))


def notice(draft: Draft, host: str, unavailable_from: float | None) -> None:
    """What an offer says of its agent: a window that is new to us, or one that is over."""
    plan = draft.state.maintenance.get(host)
    if unavailable_from is None:
        if plan is not None and plan.source == SCHEDULE:
            draft.note(ev.HostBack(draft.now, host))
    elif plan is None and any(record.seat is not None and record.seat.host == host
                              for record in draft.state.nodes.values()):
        draft.note(ev.HostLeaves(draft.now, host, HostPlan(
            draft.now, unavailable_from, None, SCHEDULE, MOVE)))


# ------------------------------------------------------------------------ folding

def leaves(state: ClusterState, event: ev.HostLeaves) -> ClusterState:
    """A host is to go; what people have said of it counts more than a schedule."""
    known = state.maintenance.get(event.host)
    if known is not None and known.source == PEOPLE and event.plan.source != PEOPLE:
        return state
    if known is not None and replace(known, asked_at=event.plan.asked_at) == event.plan:
        return state
    return replace(state, maintenance=MappingProxyType({
        **state.maintenance, event.host: event.plan}))


def back(state: ClusterState, event: ev.HostBack) -> ClusterState:
    """A host stays, or is back: nodes that were to leave it stay, unless they are on their way."""
    if event.host not in state.maintenance:
        return state
    left = {host: plan for host, plan in state.maintenance.items() if host != event.host}
    state = replace(state, maintenance=MappingProxyType(left))
    for record in list(state.nodes.values()):
        if (record.seat is not None and record.seat.host == event.host and not record.retire
                and record.leaving.startswith(REASON)):
            state = state.with_node(record.staying())
    return state


def offered(state: ClusterState, event: ev.InverseOffered) -> ClusterState:
    """Mesos asks for an agent: what is planned is noted under the host of our nodes there."""
    known = {**state.link.inverse, event.offer_id: InverseOffer(event.offer_id, event.agent_id)}
    state = replace(state, link=replace(state.link, inverse=known))
    hosts = {record.seat.host for record in state.nodes.values()
             if record.seat is not None and record.seat.agent_id == event.agent_id}
    for host in sorted(hosts):
        plan = HostPlan(event.at, event.begins, event.ends, SCHEDULE,
                        mode_for(event.begins, event.ends))
        state = leaves(state, ev.HostLeaves(event.at, host, plan))
    return state


def answered(state: ClusterState, event: ev.InverseAnswered) -> ClusterState:
    """Inverse offers that were answered, or taken back."""
    left = {key: offer for key, offer in state.link.inverse.items() if key not in event.offer_ids}
    return replace(state, link=replace(state.link, inverse=left))
