"""From facts to views: what people see of a cluster."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from ..core.draft import AgentAnswer
from ..core.facts import ClusterState, NodeRecord, NodeState
from ..core.plan import Plan, diff, summary, wanted_nodes
from ..core.resources import describe
from ..core.spec import ClusterSpec
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
    PhaseView,
    PlanView,
    RevisionView,
    StepView,
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
                                  reason="" if gate.ok else gate.reason)
                         for gate in step.gates])
            for step in phase.steps]) for phase in plan.phases])


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
        name=record.name, group=record.group, roles=list(group.roles) if group else [],
        state="ready" if state.is_ready(record) else record.state.value, detail=record.message,
        host=seat.host if seat else None, rack=seat.attribute("rack") if seat else None,
        agent_id=seat.agent_id if seat else None,
        task_id=state.task_id(record) if started else None,
        incarnation=record.incarnation, launch=record.launch,
        http_address=seat.http_address if seat else None,
        transport_address=seat.transport_address if seat else None,
        es_node_id=record.es_node_id, pid=record.pid, version=record.version,
        cpus=group.cpus if group else 0.0, mem_mb=group.mem_mb if group else 0,
        heap_mb=group.heap_mb if group else 0,
        disk_mb=seat.resources.disk_mb if seat else group.disk_mb if group else 0,
        shards=member.shards if member else None,
        disk_used_percent=member.disk_used_percent if member else None,
        heap_used_percent=member.heap_used_percent if member else None, since=record.since)


def endpoints(state: ClusterState) -> dict[str, list[str]]:
    """URLs of ready nodes, all and by role."""
    found: dict[str, list[str]] = {"http": [], "master": [], "data": [], "ingest": []}
    for record in sorted(state.nodes.values(), key=lambda item: item.name):
        if record.seat is None or not state.is_ready(record):
            continue
        url = f"http://{record.seat.http_address}"
        group = state.group_of(record)
        for name in ("http", *(group.roles if group else ())):
            found[name].append(url)
    return found


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
        nodes_wanted=len(wanted), paused=state.paused, plan_status=plan.status.value,
        plan_done=plan.done, plan_total=len(plan.steps),
        summary=sentence if sentence.startswith("held") else summary(state, plan),
        revision=state.revision, connected=state.link.connected,
        created_at=state.identity.created_at)


def detail_view(state: ClusterState, sentence: str, master: str | None,
                now: float) -> ClusterDetail:
    """Everything on one page."""
    return ClusterDetail(
        **summary_view(state, sentence, now).model_dump(),
        description=state.spec.description, framework_id=state.identity.framework_id,
        role=state.identity.role, mesos_master=master, es=es_view(state, now),
        nodes=[node_view(state, record) for _, record in sorted(state.nodes.items())],
        plan=plan_view(state, now), endpoints=endpoints(state),
        spec=state.spec.model_dump(mode="json"))


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
