"""From the offers of a cycle to ACCEPTs and declines.

In order: what carries our labels is released, adopted or started in place; then new nodes are
placed on what is free; what is left is declined, with the reason kept for people.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .. import events as ev
from .. import maintenance
from ..apply import seat_differs
from ..config import lacking, wanted, wanted_size
from ..draft import AgentAnswer, Draft
from ..facts import IN_FLIGHT, NodeRecord, NodeState, Orphan, Seat
from ..gates import held_by, start_gates
from ..launch import CONTAINER_PATH, launch
from ..operations import (
    Accept,
    Create,
    Decline,
    Destroy,
    OfferStep,
    Reserve,
    Unreserve,
)
from ..plan import wanted_nodes
from ..resources import EPSILON, Disk, Offer, Reservation, Resource
from .placement import Search, Taken, offered_seat
from .pool import Pool, SeatResources, build, subtract, take_scalar

S = NodeState
LONG_S, SHORT_S = 3600.0, 5.0       # how long an agent's offers are refused
ORPHAN_GRACE_S = 60.0
LOOK_AROUND_S = 10.0                # after a registration: is something of ours left behind?
LOOK_AGAIN_S = 1800.0               # an agent may have been away for that time
ORPHANS_S = 60.0                    # to wait for offers of what could not be released
LOOKS = "look around"
GROW_AGAIN_S = 30.0                 # a RESERVE without an outcome
SURPLUS_GRACE_S = 90.0              # Mesos frees an executor's share before the word of its end
REST_S = 60.0                       # to wait for the rest of a seat before it is reserved anew
OFFERED_WITHIN_S = 5.0              # what is reserved on an agent that is there
OWED_S = 600.0                      # to wait, on a release, for what was reserved twice


@dataclass(slots=True)
class _Answer:
    """What one agent's offers are to be accepted for."""

    steps: list[OfferStep] = field(default_factory=list)
    intents: list[ev.Event] = field(default_factory=list)
    launches: list[tuple[str, tuple[Resource, ...]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def answer_offers(draft: Draft, offers: Sequence[Offer]) -> None:
    """Answer every offer of the cycle; none is held."""
    if not offers:
        return
    identity = draft.state.identity
    held: dict[str, list[int]] = defaultdict(list)
    for record in draft.state.nodes.values():
        if record.seat is not None:
            held[record.seat.agent_id] += record.seat.http_port, record.seat.transport_port
    pools = {pool.agent_id: pool.keeping(held[pool.agent_id])
             for pool in build(offers, identity.role, identity.uid)}
    answers: dict[str, _Answer] = defaultdict(_Answer)
    for pool in pools.values():
        maintenance.notice(draft, pool.host, pool.unavailable_from)
    for pool in pools.values():
        _end_doubt(draft, pool)
        for seat in pool.seats:
            _answer_seat(draft, pool, seat, answers[pool.agent_id])
    _complete(draft, pools, answers)
    _grow(draft, pools, answers)
    search = Search(draft.state, pools)
    _place(draft, search, answers)
    _send(draft, search, answers)


def _end_doubt(draft: Draft, pool: Pool) -> None:
    """What was reserved on a host is in its offers soon afterwards, or was never reserved."""
    if draft.now - draft.state.doubts.get(pool.host, draft.now) >= OFFERED_WITHIN_S:
        draft.note(ev.DoubtEnded(draft.now, pool.host))


# ------------------------------------------------------- what is ours already

def _answer_seat(draft: Draft, pool: Pool, seat: SeatResources, answer: _Answer) -> None:
    record = draft.state.nodes.get(seat.node)
    if record is None or record.incarnation != seat.incarnation:
        _answer_orphan(draft, pool, seat, answer)
    elif record.state in (S.STOPPING, S.STOPPED, S.RELEASING):
        _answer_leaving(draft, pool, seat, record, answer)
    elif not seat.volumes and record.state in (S.STARTING, S.RUNNING, S.RESTARTING):
        _answer_growth(draft, seat, record, answer)
    else:
        _answer_staying(draft, pool, seat, record, answer)


def _answer_orphan(draft: Draft, pool: Pool, seat: SeatResources, answer: _Answer) -> None:
    """Resources with our labels that no record stands for.

    A bare reservation goes after a grace: an update about it may still be on its way. A volume is
    shown, and goes only when people say so, or with the cluster.
    """
    key = f"{seat.node}.{seat.incarnation}"
    known = draft.state.orphans.get(key)
    if known is None or known.host != pool.host:
        known = Orphan(seat.node, seat.incarnation, pool.host, draft.now,
                       volume=bool(seat.volumes), disk_mb=round(seat.amount("disk")))
        draft.note(ev.OrphanSeen(draft.now, known))
    if draft.state.deleting or known.released:
        _release_orphan(draft, seat, answer)
    elif seat.volumes:
        answer.notes.append(f"keeps the orphaned volume of {seat.node}, incarnation "
                            f"{seat.incarnation}: destroyed only when people release it")
    elif draft.now - known.seen_at >= ORPHAN_GRACE_S:
        _release_orphan(draft, seat, answer)
    else:
        draft.wake(known.seen_at + ORPHAN_GRACE_S)
        answer.notes.append(f"keeps the orphaned reservation of {seat.node} for a while")


def _release_orphan(draft: Draft, seat: SeatResources, answer: _Answer) -> None:
    prefix = f"{draft.state.identity.uid}.{seat.node}.{seat.incarnation}.{draft.now:.0f}.orphan"
    labels = tuple(sorted(seat.resources[0].labels.items()))
    intent = ev.Released(draft.now, labels)
    draft.foresee(intent)
    answer.intents.append(intent)
    answer.steps += release_steps(prefix, seat)
    answer.notes.append(f"released the orphaned reservation of {seat.node}")


def release_steps(prefix: str, seat: SeatResources) -> list[OfferStep]:
    """DESTROY of the volumes if there are any, then UNRESERVE of everything."""
    steps: list[OfferStep] = []
    if seat.volumes:
        steps.append(Destroy(f"{prefix}.destroy", seat.volumes))
    bare = tuple(replace(item, disk=_bare(item.disk)) for item in seat.resources)
    return [*steps, Unreserve(f"{prefix}.unreserve", bare)]


def _bare(disk: Disk | None) -> Disk | None:
    """A disk after DESTROY: without its volume, on the same source."""
    if disk is None or disk.source_type is None:
        return None
    return replace(disk, persistence_id=None, principal=None, container_path=None)


def _answer_leaving(draft: Draft, pool: Pool, seat: SeatResources, record: NodeRecord,
                    answer: _Answer) -> None:
    held = record.seat.resources if record.seat else None
    owed = record.owed if draft.now - record.since < OWED_S else (0.0, 0)
    if held and (seat.amount("cpus") + EPSILON < held.cpus + owed[0]
                 or seat.amount("mem") + EPSILON < held.mem_mb + owed[1]
                 or seat.amount("disk") + EPSILON < held.disk_mb):
        answer.notes.append(f"waiting for the rest of {record.name}'s resources")
        draft.wake(draft.now + SHORT_S)
        return
    found = offered_seat(pool, record, seat.resources) or record.seat
    if record.state is not S.STOPPED and found is not None:
        draft.note(ev.SeatFound(draft.now, record.name, found, seat.incarnation))
    # With the time: a late word on an earlier try must not be taken for one on this.
    prefix = f"{draft.state.identity.uid}.{seat.node}.{seat.incarnation}.{draft.now:.0f}"
    steps = release_steps(prefix, seat)
    ids = tuple(step.operation_id for step in steps if isinstance(step, (Destroy, Unreserve)))
    intent = ev.ReleaseIntended(draft.now, record.name, ids)
    draft.foresee(intent)
    answer.intents.append(intent)
    answer.steps += steps
    answer.notes.append(f"released the volume and reservation of {record.name}")


def _answer_growth(draft: Draft, seat: SeatResources, record: NodeRecord,
                   answer: _Answer) -> None:
    """More that is reserved for a node which runs: for its next start, or not wanted any more.

    Or the executor's own share, when it has ended and Mesos has not said so of the task yet. So
    nothing is given back before it was there for a while: the node would lack it.
    """
    found = seat.amount("cpus"), round(seat.amount("mem"))
    short = lacking(draft.state, replace(record, grown=(0.0, 0)))
    if found[0] > short[0] + EPSILON or found[1] > short[1]:
        if not _waited(draft, f"surplus {record.name} {record.incarnation}.{record.launch}",
                       SURPLUS_GRACE_S):
            answer.notes.append(f"keeps what {record.name} does not use for a while")
            return
        draft.note(ev.GrownSeen(draft.now, record.name, 0.0, 0))
        if _is_returned(record, found):
            draft.note(ev.OwedReturned(draft.now, record.name))
        _release_orphan(draft, seat, answer)
        return
    if record.grown != found:
        draft.note(ev.GrownSeen(draft.now, record.name, *found))
    answer.notes.append(f"keeps what is reserved for the next start of {record.name}")


def _is_returned(record: NodeRecord, beyond: tuple[float, int]) -> bool:
    """Whether what was reserved twice for a node is among (cpus, MB) beyond its seat."""
    cpus, mem_mb = record.owed
    return record.owed != (0.0, 0) and beyond[0] + EPSILON >= cpus and beyond[1] >= mem_mb


def _waited(draft: Draft, what: str, patience_s: float) -> bool:
    """Whether something has been so for long enough; the first time it is noted."""
    since = draft.state.asked.at.get(what)
    if since is None:
        draft.note(ev.AskedFor(draft.now, what))
        since = draft.now
    if draft.now - since >= patience_s:
        return True
    draft.wake(since + patience_s)
    return False


def _rest_of(record: NodeRecord) -> str:
    return f"rest {record.name} {record.incarnation}.{record.launch}"


def _complete(draft: Draft, pools: dict[str, Pool], answers: dict[str, _Answer]) -> None:
    """RESERVE anew what a seat has lacked for long: with its volume alone a node waits for ever.

    Should the rest be offered after all, the next start gives back what is too much, and a release
    waits for it: what is held by nobody's record is never offered again once the framework is gone.
    """
    state, now = draft.state, draft.now
    for pool in list(pools.values()):
        for seat in pool.seats:
            record = state.nodes.get(seat.node)
            since = state.asked.at.get(_rest_of(record), now) if record is not None else now
            if (record is None or record.incarnation != seat.incarnation or record.seat is None
                    or record.state is not S.DOWN or now - since < REST_S
                    or state.asked.lately(f"complete {record.name}", now, GROW_AGAIN_S)):
                continue
            held = record.seat.resources
            lack = (max(round(held.cpus - seat.amount("cpus"), 3), 0.0),
                    max(held.mem_mb - round(seat.amount("mem")), 0))
            if lack != (0.0, 0):
                intent = ev.CompleteIntended(now, record.name, *lack)
                pools[pool.agent_id] = _reserve_more(draft, pools[pool.agent_id], record, lack,
                                                     intent, "complete",
                                                     answers[pool.agent_id])


def _grow(draft: Draft, pools: dict[str, Pool], answers: dict[str, _Answer]) -> None:
    """RESERVE what larger nodes lack, on their own agents, while they run as they are."""
    for record in growing(draft):
        seat = record.seat
        pool = pools.get(seat.agent_id) if seat is not None else None
        if pool is None:
            continue
        lack = lacking(draft.state, record)
        intent = ev.GrowIntended(draft.now, record.name, *lack, _operation(draft, record, "grow"))
        pools[pool.agent_id] = _reserve_more(draft, pool, record, lack, intent, "grow",
                                             answers[pool.agent_id])


def _operation(draft: Draft, record: NodeRecord, kind: str) -> str:
    """With the time: a late word on an earlier try must not be taken for one on this."""
    return (f"{draft.state.identity.uid}.{record.name}.{record.incarnation}."
            f"{record.launch}.{draft.now:.0f}.{kind}")


def _reserve_more(draft: Draft, pool: Pool, record: NodeRecord, lack: tuple[float, int],
                  intent: ev.Event, kind: str, answer: _Answer) -> Pool:
    """RESERVE (cpus, MB) more for a node on its agent, where there is room; what is left then."""
    cpus, mem_mb = lack
    taken = [*take_scalar(pool.free, "cpus", cpus), *take_scalar(pool.free, "mem", mem_mb)]
    if (cpus and not any(item.name == "cpus" for item in taken)) or (
            mem_mb and not any(item.name == "mem" for item in taken)):
        answer.notes.append(f"has no room for {record.name}, which needs cpus {cpus:g} and "
                            f"mem {mem_mb} MB more")
        return pool
    draft.foresee(intent)
    answer.intents.append(intent)
    reservation = Reservation(draft.state.identity.role, True, draft.state.identity.principal,
                              draft.state.reservation_labels(record))
    answer.steps.append(Reserve(_operation(draft, record, kind),
                                tuple(item.reserved(reservation) for item in taken)))
    answer.notes.append(f"reserved more for {record.name}")
    return pool.without(taken)


def growing(draft: Draft) -> list[NodeRecord]:
    """Nodes that run, are to be larger, and have nothing under way for it.

    An ACCEPT whose outcome nobody has told for long is sent again: should both have come about,
    there is more than is wanted, and that is given back when it is offered.
    """
    state, now = draft.state, draft.now
    silent = now - state.link.since > GROW_AGAIN_S
    found = []
    for record in state.nodes.values():
        if record.state is not S.RUNNING or record.leaving or lacking(state, record) == (0.0, 0):
            continue
        asked = state.asked.lately(f"grow {record.name}", now, GROW_AGAIN_S)
        if not record.operations or (silent and not asked):
            found.append(record)
        else:
            draft.wake(now + GROW_AGAIN_S)
    return found


def _answer_staying(draft: Draft, pool: Pool, seat: SeatResources, record: NodeRecord,
                    answer: _Answer) -> None:
    found = offered_seat(pool, record, seat.resources)
    if record.state is S.PLANNED and found is not None and _host_is_full(draft, record, found):
        answer.notes.append(f"keeps the volume of {record.name}: {found.host} is full meanwhile")
        return
    if found is None:
        if record.state is S.PLANNED and not seat.volumes:
            # RESERVE came about and CREATE did not: nothing is on it, so give it back.
            _release_orphan(draft, seat, answer)
            return
        answer.notes.append(f"waiting for the rest of {record.name}'s resources")
        draft.wake(draft.now + SHORT_S)
        _waited(draft, _rest_of(record), REST_S)
        return
    if record.state is not S.DOWN or seat_differs(record, found) or not record.seat_confirmed:
        draft.note(ev.SeatFound(draft.now, record.name, found, seat.incarnation))
    record = draft.state.nodes[record.name]
    held = held_by(start_gates(draft.state, record, draft.now))
    if held is not None:
        answer.notes.append(f"{record.name} is held by {held}")
        draft.wake(record.retry_at)
        return
    assert record.seat is not None
    size = sized(draft, record, seat)
    if size is None:
        answer.notes.append(f"waiting for the rest of {record.name}'s resources")
        draft.wake(draft.now + SHORT_S)
        _waited(draft, _rest_of(record), REST_S)
        return
    cpus, mem_mb, kept, surplus = size
    placed = replace(record.seat, resources=replace(record.seat.resources, cpus=cpus,
                                                    mem_mb=mem_mb))
    intent = ev.LaunchIntended(draft.now, record.name, placed, wanted(draft.state, record))
    draft.foresee(intent)
    answer.intents.append(intent)
    if _is_returned(record, (seat.amount("cpus") - cpus, round(seat.amount("mem")) - mem_mb)):
        draft.note(ev.OwedReturned(draft.now, record.name))
    if surplus:
        launch_no = draft.state.nodes[record.name].launch
        answer.steps.append(Unreserve(f"{draft.state.identity.uid}.{record.name}."
                                      f"{record.incarnation}.{launch_no}.shrink", surplus))
    answer.launches.append((record.name, kept))
    answer.notes.append(f"started {record.name} in place")


def sized(draft: Draft, record: NodeRecord, seat: SeatResources) -> tuple[
        float, int, tuple[Resource, ...], tuple[Resource, ...]] | None:
    """(cpus, MB, what to start with, what to give back) out of all that a node's seat holds.

    A node gets the size that is wanted when its seat has it, and keeps its size otherwise. None
    while a part of what is reserved for it has not been offered.
    """
    assert record.seat is not None
    held, group = record.seat.resources, draft.state.group_of(record)
    there = seat.amount("cpus"), round(seat.amount("mem"))
    if (there[0] + EPSILON < held.cpus + record.grown[0]
            or there[1] < held.mem_mb + record.grown[1]):
        return None
    goal = wanted_size(group) if group is not None else (held.cpus, held.mem_mb)
    fits = goal[0] <= there[0] + EPSILON and goal[1] <= there[1]
    cpus, mem_mb = goal if fits else (held.cpus, held.mem_mb)
    kept, surplus = list(seat.resources), []
    for name, over in (("cpus", there[0] - cpus), ("mem", float(there[1] - mem_mb))):
        if over > EPSILON:
            taken = take_scalar(kept, name, round(over, 3))
            surplus += taken
            kept = list(subtract(kept, taken))
    return cpus, mem_mb, tuple(kept), tuple(surplus)


def _host_is_full(draft: Draft, record: NodeRecord, seat: Seat) -> bool:
    """Whether another node has come to a host since this one's ACCEPT was given up."""
    group = draft.state.group_of(record)
    if group is None or group.is_sidecar:
        return group is None
    others = sum(other.seat is not None and other.seat.host == seat.host and not other.retire
                 and not draft.state.is_sidecar(other) for other in draft.state.nodes.values())
    return others >= draft.state.spec.max_per_host(group)


# ------------------------------------------------------------------ new nodes

def placeable(draft: Draft) -> dict[str, list[str]]:
    """Names of nodes to place now, by group, in the order of the spec.

    Growth is one master at a time: each is looked at on the state that the one before left.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for name, group in wanted_nodes(draft.state).items():
        record = draft.state.nodes.get(name)
        if record is not None and record.state is S.PLANNED and held_by(
                start_gates(draft.state, record, draft.now)) is None:
            found[group.name].append(name)
    return found


def _place(draft: Draft, search: Search, answers: dict[str, _Answer]) -> None:
    for group_name, names in placeable(draft).items():
        group = draft.state.spec.group(group_name)
        assert group is not None
        search.state = draft.state
        for name, (agent_id, taken) in search.place(group, names).items():
            record = draft.state.nodes[name]
            if "master" in group.roles and held_by(
                    start_gates(draft.state, record, draft.now)) is not None:
                continue                # the one before it has closed the gate
            _place_one(draft, name, taken, answers[agent_id])


def _place_one(draft: Draft, name: str, taken: Taken, answer: _Answer) -> None:
    intent = ev.PlaceIntended(draft.now, name, taken.seat,
                              wanted(draft.state, draft.state.nodes[name]))
    draft.foresee(intent)
    answer.intents.append(intent)
    state = draft.state
    record = state.nodes[name]
    reservation = Reservation(state.identity.role, True, state.identity.principal,
                              state.reservation_labels(record))
    reserved = tuple(item.reserved(reservation) for item in taken.resources)
    volume = with_volume(taken.disk.reserved(reservation), state.persistence_id(record),
                         state.identity.principal)
    reserve_id, create_id = record.operations
    answer.steps += [Reserve(reserve_id, reserved), Create(create_id, (volume,))]
    answer.launches.append((name, tuple(
        volume if item.name == "disk" else item for item in reserved)))
    answer.notes.append(f"placed {name}")


def with_volume(disk: Resource, persistence_id: str, principal: str | None) -> Resource:
    """A reserved disk as a persistent volume."""
    return replace(disk, disk=replace(disk.disk or Disk(), persistence_id=persistence_id,
                                      principal=principal, container_path=CONTAINER_PATH))


# -------------------------------------------------------------------- sending

def needs(draft: Draft) -> tuple[str, ...]:
    """What offers are wanted for now; nothing means that none are wanted."""
    state = draft.state
    found = [f"place {group} x{len(names)}" for group, names in placeable(draft).items()]
    for record in state.nodes.values():
        if record.state is S.DOWN and held_by(start_gates(state, record, draft.now)) is None:
            found.append(f"launch {record.name} {record.launch}")
        elif record.state is S.STOPPED:
            found.append(f"release {record.name}")
        elif record.state is S.UNREACHABLE or _silent(record, draft.now):
            found.append(f"seat {record.name}")
    found += [f"orphan {key}" for key, orphan in state.orphans.items()
              if orphan.released or not orphan.volume]
    if _looks_around(draft):
        found.append("look around")
    # Only an offer tells that a scheduled window is over.
    found += [f"window of {host}" for host, plan in state.maintenance.items()
              if plan.source == maintenance.SCHEDULE]
    found += [f"grow {record.name} {record.launch}" for record in growing(draft)]
    # What may be too much is given back only when it is offered once more, after its grace.
    for what, since in state.asked.at.items():
        if what.startswith("surplus ") and draft.now - since < 2 * SURPLUS_GRACE_S:
            found.append(what)
            draft.wake(since + 2 * SURPLUS_GRACE_S)
    if state.deleting and not state.nodes:
        found.append("sweep")
    if state.asked.lately("orphans", draft.now, ORPHANS_S):
        found.append("orphans")
        draft.wake(draft.now + ORPHANS_S)
    return tuple(sorted(found))


def _looks_around(draft: Draft) -> bool:
    """Whether offers are wanted just to see what of ours is left behind; now and then."""
    state, now = draft.state, draft.now
    since = max(state.link.since, state.asked.at.get(LOOKS, float("-inf")))
    if now - since >= LOOK_AGAIN_S:
        draft.note(ev.AskedFor(now, LOOKS))
        since = now
    if now - since >= LOOK_AROUND_S:
        return False
    draft.wake(since + LOOK_AROUND_S)
    return True


def _silent(record: NodeRecord, now: float) -> bool:
    """Whether its volume is to be looked for, because nobody says what became of its task.

    One that is told to stop may be on an agent that came back as a new one: then no update will
    ever come, and its volume is the only word.
    """
    waits = record.state in IN_FLIGHT or record.state in (S.STOPPING, S.RESTARTING)
    return waits and now - record.since > 30


def _send(draft: Draft, search: Search, answers: dict[str, _Answer]) -> None:
    wanted = bool(needs(draft))
    declined: dict[float, list[str]] = defaultdict(list)
    for agent_id, pool in search.pools.items():
        answer = answers.get(agent_id) or _Answer()
        outcomes = tuple(search.refusals.get(agent_id, ()))
        refused = "; ".join(filter(None, (outcome.why() for outcome in outcomes)))
        if answer.intents:
            launches = [launch(draft.state, draft.state.nodes[name], resources)
                        for name, resources in answer.launches]
            refuse_s = SHORT_S if wanted else LONG_S
            draft.do(Accept(tuple(answer.intents), pool.offer_ids, agent_id,
                            (*answer.steps, *launches), refuse_s), foreseen=True)
            draft.answers.append(AgentAnswer(pool, True, "; ".join(answer.notes), refuse_s,
                                             outcomes))
            continue
        waiting = (bool(answer.notes) or (wanted and not refused)
                   or pool.host in draft.state.maintenance)
        refuse_s = SHORT_S if waiting else LONG_S
        reason = "; ".join(answer.notes) or refused or (
            "not needed: the nodes found better places" if wanted else "nothing is wanted")
        declined[refuse_s].extend(pool.offer_ids)
        draft.answers.append(AgentAnswer(pool, False, reason, refuse_s, outcomes))
    for refuse_s, offer_ids in declined.items():
        draft.do(Decline((), tuple(offer_ids), refuse_s))


