"""From facts to views: what people see of a cluster."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import orjson

from ..core import errands, tls
from ..core.draft import AgentAnswer
from ..core.facts import ClusterState, Errand, NodeRecord, NodeState
from ..core.gates import FORCIBLE
from ..core.housekeeping import policies
from ..core.launch import heap_mb
from ..core.plan import Plan, Progress, diff, summary, wanted_nodes
from ..core.resources import describe
from ..core.spec import EXECUTOR_CPUS, EXECUTOR_MEM_MB, ClusterSpec
from ..core.switches import in_force
from ..store.contract import Entry
from .change import differences
from .views import (
    ClusterDetail,
    ClusterSummary,
    EsView,
    EventView,
    GateView,
    NodeView,
    OfferView,
    OperationView,
    OrphanView,
    PhaseView,
    PlanView,
    ProgressView,
    RevisionView,
    SecretView,
    StepView,
    SwitchView,
)

ES_STALE_S = 30.0


def plan_view(state: ClusterState, now: float) -> PlanView:
    """The plan with its gates."""
    plan = diff(state, now)
    return PlanView(
        cluster=state.identity.name, revision=state.revision, status=plan.status.value,
        done=plan.done, total=len(plan.steps), summary=summary(state, plan),
        phases=[PhaseView(name=phase.name, status=phase.status.value, steps=[
            StepView(id=step.id, title=step.title, node=step.node, status=step.status.value,
                     detail=step.detail, gates=[
                         GateView(name=gate.name, ok=gate.ok,
                                  reason=gate.reason if not gate.ok or "forced" in gate.reason
                                  else "", forcible=gate.name in FORCIBLE and not gate.ok)
                         for gate in step.gates],
                     progress=progress_view(step.progress), can_restart=step.can_restart)
            for step in phase.steps]) for phase in plan.phases])


def progress_view(progress: Progress | None) -> ProgressView | None:
    """How far long work is."""
    return None if progress is None else ProgressView(
        done=progress.done, total=progress.total, unit=progress.unit, text=progress.text)


def es_view(state: ClusterState, now: float) -> EsView:
    """What Elasticsearch said last; unknown when that is too long ago."""
    view = state.es
    if view is None:
        return EsView(health="unknown")
    age_s = max(now - view.at, 0.0)
    known = age_s <= ES_STALE_S and view.health in ("green", "yellow", "red")
    return EsView(
        health=view.health if known else "unknown", age_s=round(age_s, 1),
        nodes=len(view.nodes), active_primary_shards=view.active_primary_shards,
        active_shards=view.active_shards, relocating_shards=view.relocating_shards,
        initializing_shards=view.initializing_shards, unassigned_shards=view.unassigned_shards,
        documents=view.documents, store_mb=view.store_mb, cluster_uuid=view.cluster_uuid,
        elected_master=view.master)


def node_view(state: ClusterState, record: NodeRecord) -> NodeView:
    """One node, with what Elasticsearch says of it."""
    group = state.group_of(record)
    seat = record.seat
    member = state.es.nodes.get(record.name) if state.es is not None else None
    member = member if member is not None and member.id == record.es_node_id else None
    started = record.state is not NodeState.PLANNED
    return NodeView(
        name=record.name, group=record.group, kind=group.kind if group else "elasticsearch",
        paused=record.held, leaving=record.leaving, moving=record.moving,
        roles=list(group.roles) if group else [],
        state="ready" if state.is_ready(record) else record.state.value, detail=record.message,
        host=seat.host if seat else None, rack=seat.attribute("rack") if seat else None,
        agent_id=seat.agent_id if seat else None,
        task_id=state.task_id(record) if started else None,
        incarnation=record.incarnation, launch=record.launch,
        http_address=seat.http_address if seat else None,
        transport_address=seat.transport_address if seat else None,
        es_node_id=record.es_node_id, pid=record.pid, version=record.version,
        cpus=round(seat.resources.cpus - EXECUTOR_CPUS, 3) if seat else group.cpus if group else 0,
        mem_mb=seat.resources.mem_mb - EXECUTOR_MEM_MB if seat else group.mem_mb if group else 0,
        heap_mb=0 if group is None or group.is_sidecar else heap_mb(group, record) if seat
        else group.heap_mb,
        disk_mb=seat.resources.disk_mb if seat else group.disk_mb if group else 0,
        shards=member.shards if member else None,
        disk_used_percent=member.disk_used_percent if member else None,
        heap_used_percent=member.heap_used_percent if member else None, since=record.since)


def endpoints(state: ClusterState) -> dict[str, list[str]]:
    """URLs of ready nodes, all and by role."""
    found: dict[str, list[str]] = {"http": [], "master": [], "data": [], "ingest": []}
    for record in sorted(state.nodes.values(), key=lambda item: item.name):
        if record.seat is None or not state.is_ready(record) or state.is_sidecar(record):
            continue
        url = f"{state.spec.scheme}://{record.seat.http_address}"
        group = state.group_of(record)
        for name in ("http", *(group.roles if group else ())):
            found[name].append(url)
    return found


def seeds(state: ClusterState) -> tuple[str, ...]:
    """Transport addresses of ready nodes, for clusters that search this one.

    Of a secured one there are none: its nodes talk to those with its own certificates only.
    """
    if state.tls is not None:
        return ()
    return tuple(sorted(record.seat.transport_address for record in state.nodes.values()
                        if record.seat is not None and not record.retire
                        and state.is_ready(record) and not state.is_sidecar(record)))


def summary_view(state: ClusterState, sentence: str, now: float) -> ClusterSummary:
    """One line of the list."""
    plan: Plan = diff(state, now)
    es = es_view(state, now)
    wanted = wanted_nodes(state)
    return ClusterSummary(
        name=state.identity.name, tenant=state.identity.tenant, version=state.spec.version,
        goal="delete" if state.deleting else "run", health=es.health, health_age_s=es.age_s,
        nodes_ready=sum(state.is_ready(record) for name, record in state.nodes.items()
                        if name in wanted),
        nodes_wanted=len(wanted), paused=state.paused, canary=waiting_canary(state),
        setback=state.setback,
        plan_status=plan.status.value,
        plan_done=plan.done, plan_total=len(plan.steps),
        summary=sentence if sentence.startswith("held") else summary(state, plan),
        revision=state.revision, connected=state.link.connected,
        created_at=state.identity.created_at, secured=state.tls is not None,
        documents=es.documents, store_mb=es.store_mb, disk_used_percent=fullest_disk(state))


def fullest_disk(state: ClusterState) -> float | None:
    """How full the fullest disk of a member is, in percent; None when it is not known."""
    members = state.es.nodes.values() if state.es is not None else ()
    return max((one.disk_used_percent for one in members if one.disk_used_percent is not None),
               default=None)


def detail_view(state: ClusterState, sentence: str, master: str | None, now: float,
                virtual_ports: Mapping[str, int] | None = None) -> ClusterDetail:
    """Everything on one page."""
    return ClusterDetail(
        **summary_view(state, sentence, now).model_dump(),
        description=state.spec.description, framework_id=state.identity.framework_id,
        role=state.identity.role, mesos_master=master, es=es_view(state, now),
        nodes=[node_view(state, record) for _, record in sorted(state.nodes.items())],
        plan=plan_view(state, now), endpoints=endpoints(state),
        virtual_ports=dict(virtual_ports or {}),
        switches=switch_views(state), operations=operation_views(state, now),
        secrets=secret_views(state), orphans=orphan_views(state),
        certificates_rotate_at=tls.due_at(state),
        settled_revision=state.settled[0] if state.settled else None,
        spec=state.spec.model_dump(mode="json"))


def waiting_canary(state: ClusterState) -> str:
    """The first node of a change, while people are to look at it."""
    canary = state.waiting_canary
    record = state.nodes.get(canary.node) if canary is not None else None
    return record.name if record is not None and state.is_ready(record) else ""


def orphan_views(state: ClusterState) -> list[OrphanView]:
    """What is reserved for the cluster, and belongs to no node of it."""
    return [OrphanView(id=orphan.id, node=orphan.node, host=orphan.host, volume=orphan.volume,
                       disk_mb=orphan.disk_mb, seen_at=orphan.seen_at, released=orphan.released)
            for _, orphan in sorted(state.orphans.items())]


def switch_views(state: ClusterState) -> list[SwitchView]:
    """Switches that people have set."""
    return [SwitchView(
        switch=cast(Any, name), value=switch.value, set_at=switch.set_at, until=switch.until,
        before=in_force(switch.before, name) if switch.before else "",
        restoring=switch.restoring) for name, switch in sorted(state.switches.items())]


def operation_views(state: ClusterState, now: float) -> list[OperationView]:
    """What people had done once, newest first; what waits says for which gate."""
    return [_held(state, item, now) or operation_view(item) for item in reversed(state.errands)]


def _held(state: ClusterState, item: Errand, now: float) -> OperationView | None:
    answer = errands.held(state, item, now) if item.status == "waiting" else None
    if answer is None:
        return None
    return operation_view(replace(item, message=f"held by {answer}"))


UNITS = {"move_shards": "shards", "snapshot": "shards", "restore": "shards",
         "restore_drill": "shards", "expire_snapshots": "snapshots"}


def operation_view(item: Errand) -> OperationView:
    """One of them, with how far it is."""
    unit = UNITS.get(item.kind, "indices")
    progress = ProgressView(
        done=item.done, total=item.total, unit=unit,
        text=f"{item.done} of {item.total} {unit}") if item.total else None
    return OperationView(
        id=item.id, kind=cast(Any, item.kind), parameters=_parameters(item),
        status=cast(Any, item.status), asked_at=item.asked_at, ended_at=item.ended_at,
        progress=progress, message=item.message)


def _parameters(item: Errand) -> dict[str, str]:
    """What people are to read of it: of policies what they are about, not the rule they follow."""
    found = dict(item.parameters)
    return found if item.kind not in policies.KINDS else {
        key: found[key] for key in ("by", "targets") if found.get(key)}


def secret_views(state: ClusterState) -> list[SecretView]:
    """That secure settings are there, never what they are."""
    return [SecretView(key=key, set_at=item.set_at, version=item.version)
            for key, item in sorted(state.secrets.items())]


def offer_views(answers: Mapping[str, tuple[float, AgentAnswer]]) -> Iterable[OfferView]:
    """The last answer to each agent, newest first."""
    for at, answer in reversed(list(answers.values())):
        pool = answer.pool
        everything = (*pool.free, *(item for seat in pool.seats for item in seat.resources))
        yield OfferView(
            agent=pool.host, agent_id=pool.agent_id, at=at,
            answer="accepted" if answer.accepted else "declined", reason=answer.reason,
            refuse_s=answer.refuse_s, resources=describe(everything),
            tree=[line for outcome in answer.outcomes for line in outcome.lines()])


def revision_views(specs: Mapping[int, ClusterSpec], wanted_at: Mapping[int, float],
                   current: int) -> list[RevisionView]:
    """All revisions, newest first, each with what it changed."""
    return [RevisionView(
        revision=number, at=wanted_at.get(number), current=number == current,
        changes=differences(specs[number - 1], spec) if number - 1 in specs else [],
        spec=spec.model_dump(mode="json")) for number, spec in sorted(specs.items(), reverse=True)]


def event_view(cluster: str, entry: Entry) -> EventView:
    """A line of the journal for people."""
    return EventView(seq=entry.seq, at=entry.at, cluster=cluster, kind=entry.kind,
                     **orjson.loads(entry.body))
