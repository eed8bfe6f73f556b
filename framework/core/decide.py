"""``decide(state, offers, now)``: what to do next. Pure; twice on the same facts changes nothing.

Returns operations with the events that record them, the answers to all offers, and when to look
again at the latest.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import errands, live, maintenance, snapshots, switches, tls
from . import events as ev
from .config import misplaced, outdated
from .draft import AgentAnswer, Draft
from .facts import ALIVE, IN_FLIGHT, ClusterState, NodeState
from .gates import (
    counts_masters,
    hosts_seen,
    view_is_fresh,
    wanted_minimum_master_nodes,
)
from .leaving import depart
from .offers.answer import answer_offers, needs
from .operations import (
    Kill,
    Operation,
    PutSettings,
    PutTemplate,
    Reconcile,
    ReconcileOperations,
    Revive,
    SendSeeds,
    SetMinimumMasterNodes,
    Suppress,
    Teardown,
)
from .plan import diff, summary, wanted_nodes
from .resources import Offer
from .rolling import roll

S = NodeState

KILL_AGAIN_S = 15.0
SEEDS_AGAIN_S = 15.0
ES_ACTION_AGAIN_S = 10.0
LIVE_LANDS_IN_S = 3.0           # settings that we have sent, unless that hangs
REFUSED_AGAIN_S = 60.0          # what Elasticsearch has refused
SILENT_S = 20.0                 # an ACCEPT without an outcome: ask Mesos about its task
RECONCILE_ALL_S = 900.0
RECONCILE_MAX_S = 60.0
ABSENT_S = 60.0                 # between two questions about what is on agents that are away
STABLE_S = 60.0
NEVER_WAS_S = 30.0             # stopped, and nothing of it was ever seen or offered
SWEEP_S = 4.0                   # a few allocation rounds of the master: orphans would be offered
TEARDOWN_AGAIN_S = 10.0
REVIVE_AGAIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What a cycle comes to."""

    operations: tuple[Operation, ...]
    answers: tuple[AgentAnswer, ...]
    state: ClusterState
    wake_at: float
    sentence: str


def decide(state: ClusterState, offers: Sequence[Offer], now: float) -> Decision:
    """The next operations for one cluster; every offer is answered."""
    draft = Draft(state, now)
    if not state.removed:
        _plan_nodes(draft)
        _retire_nodes(draft)
        _forget_failures(draft)
        _aim_logs(draft)
        tls.tend(draft)
    if state.link.connected:
        _reconcile(draft)
        _ask_of_the_absent(draft)
        maintenance.answer(draft)
    depart(draft)
    roll(draft)
    if state.link.connected:
        _kill(draft)
    _tend_elasticsearch(draft)
    if not draft.state.deleting:
        _tend_live_settings(draft)
        switches.tend(draft)
        snapshots.tend(draft)
        errands.run(draft)
        _settle(draft)
    if state.link.connected:        # offers do not outlive a connection: nothing to answer
        answer_offers(draft, offers)
    _finish_releases(draft)
    if state.link.connected:
        _tell_seeds(draft)          # of the nodes that have just been placed, too
        _tell_needs(draft)
        _leave(draft)
    plan = diff(draft.state, now)
    _wake_for_retries(draft)
    return Decision(tuple(draft.operations), tuple(draft.answers), draft.state, draft.wake_at,
                    summary(draft.state, plan))


def _plan_nodes(draft: Draft) -> None:
    """A record for every wanted node."""
    for name, group in wanted_nodes(draft.state).items():
        if name not in draft.state.nodes:
            draft.note(ev.NodePlanned(draft.now, name, group.name))


def _retire_nodes(draft: Draft) -> None:
    """On a deletion, and only then, every node goes with its volume."""
    if not draft.state.deleting:
        return
    for record in list(draft.state.nodes.values()):
        if not record.retire:
            draft.note(ev.RetireIntended(draft.now, record.name, "the cluster is being deleted"))


def _forget_failures(draft: Draft) -> None:
    for record in list(draft.state.nodes.values()):
        if not record.failures or not draft.state.is_ready(record):
            continue
        stable_at = (record.serving_since or draft.now) + STABLE_S
        if stable_at <= draft.now:
            draft.note(ev.NodeStable(draft.now, record.name))
        draft.wake(stable_at)


def _reconcile(draft: Draft) -> None:
    """Ask Mesos about tasks: all after a registration, silent ones soon, all now and then."""
    state, now = draft.state, draft.now
    tasks = {state.task_id(record): record for record in state.nodes.values()
             if record.state in ALIVE}
    due = {task_id for task_id in state.link.unreconciled if task_id in tasks}
    if due and now < state.link.reconcile_at:
        draft.wake(state.link.reconcile_at)
        return
    for task_id, record in tasks.items():
        if record.state in (S.PLACING, S.LAUNCHING):
            draft.wake(record.since + SILENT_S)
            if now - record.since >= SILENT_S and now >= state.link.reconcile_at:
                due.add(task_id)
    last = max(state.link.reconciled_at, state.link.since)
    everything = now - last >= RECONCILE_ALL_S
    if everything:
        due = set(tasks)
    if not state.asked.lately("implicit reconciliation", now, RECONCILE_ALL_S):
        draft.do(Reconcile((ev.AskedFor(now, "implicit reconciliation"),), ()))
    if due:
        tries = max(state.link.unreconciled.get(task_id, 0) for task_id in due)
        next_at = now + min(2.0 ** (tries + 1), RECONCILE_MAX_S)
        ordered = tuple(sorted(due))
        draft.do(Reconcile((ev.ReconcileAsked(now, ordered, next_at),), tuple(
            (task_id, seat.agent_id if (seat := tasks[task_id].seat) else None)
            for task_id in ordered)))
        draft.wake(next_at)


def _ask_of_the_absent(draft: Draft) -> None:
    """What waits for an agent: was that declared gone for good, and what became of operations?

    Mesos answers with TASK_GONE_BY_OPERATOR for any task of such an agent, ended or not.
    """
    state, now = draft.state, draft.now
    absent, awaited = [], []
    for record in state.nodes.values():
        if record.state in ALIVE or record.seat is None:
            continue
        if now - record.since < ABSENT_S:
            draft.wake(record.since + ABSENT_S)
            continue
        absent.append((state.task_id(record), record.seat.agent_id))
        if record.state is S.RELEASING:
            awaited += [(item, record.seat.agent_id) for item in record.operations]
    if not absent:
        return
    if not state.asked.lately("the absent", now, ABSENT_S):
        draft.do(Reconcile((ev.AskedFor(now, "the absent"),), tuple(sorted(absent))))
        if awaited:
            draft.do(ReconcileOperations((), tuple(sorted(awaited))))
    draft.wake(now + ABSENT_S)


def _kill(draft: Draft) -> None:
    """Stop what is to go, and what no record knows; again until Mesos says it has ended."""
    state, now = draft.state, draft.now
    for record in state.nodes.values():
        if record.state not in (S.STOPPING, S.RESTARTING):
            continue
        if not state.asked.lately(f"kill {record.name}", now, KILL_AGAIN_S):
            draft.do(Kill((ev.KillIntended(now, record.name),), state.task_id(record),
                          record.seat.agent_id if record.seat else None))
        draft.wake(now + KILL_AGAIN_S)
    for task_id, agent_id in state.link.strangers.items():
        if not state.asked.lately(f"kill task {task_id}", now, KILL_AGAIN_S):
            draft.do(Kill((ev.AskedFor(now, f"kill task {task_id}"),), task_id, agent_id))
        draft.wake(now + KILL_AGAIN_S)


def _aim_logs(draft: Draft) -> None:
    """Let executors know where logs are to go, and when that has changed."""
    urls = log_urls(draft.state)
    if urls is not None and urls != draft.state.seeds.log_urls:
        draft.note(ev.LogsAimed(draft.now, urls))


def log_urls(state: ClusterState) -> tuple[str, ...] | None:
    """Where logs are to be shipped; None when the nodes of that cluster are not known (yet)."""
    target = state.spec.logs
    if target is None:
        return ()
    return target.urls if target.cluster is None else state.log_targets.get(target.cluster)


def _tell_seeds(draft: Draft) -> None:
    """Keep the seeds file of every node up to date while it runs."""
    state, now = draft.state, draft.now
    for record in state.nodes.values():
        behind = record.seeds_generation < state.seeds.generation
        if not behind or record.state not in (S.STARTING, S.RUNNING) or record.seat is None:
            continue
        what = f"seeds {record.name} {state.seeds.generation}"
        if not state.asked.lately(what, now, SEEDS_AGAIN_S):
            draft.do(SendSeeds((ev.AskedFor(now, what),), state.task_id(record),
                               record.seat.agent_id, state.seeds))
        draft.wake(now + SEEDS_AGAIN_S)


def _tend_elasticsearch(draft: Draft) -> None:
    """Settings that we keep in the cluster itself; only on a fresh view."""
    state, now = draft.state, draft.now
    if state.deleting or state.es is None or not view_is_fresh(state, now):
        return
    if (state.es.template_replicas != state.spec.default_replicas
            and not state.asked.lately("template", now, ES_ACTION_AGAIN_S)):
        draft.do(PutTemplate((ev.AskedFor(now, "template"),), state.spec.default_replicas))
    if not counts_masters(state) or state.bootstrap.cluster_uuid is None:
        return
    wanted = wanted_minimum_master_nodes(state, now)
    found = state.es.minimum_master_nodes
    if (found is None or found != wanted) and not state.asked.lately(
            f"minimum_master_nodes {wanted}", now, ES_ACTION_AGAIN_S):
        draft.do(SetMinimumMasterNodes(
            (ev.AskedFor(now, f"minimum_master_nodes {wanted}"),), wanted))


def _tend_live_settings(draft: Draft) -> None:
    """Settings that need no restart; what Elasticsearch refuses is not repeated at once."""
    state, now = draft.state, draft.now
    if state.paused or state.es is None or not view_is_fresh(state, now):
        return
    changes = live.changes(state)
    if not changes:
        if state.live_keys != live.settled_keys(state):
            _settle_live_keys(draft)
        return
    what = f"live settings {sorted(changes.items(), key=str)}"
    patience_s = REFUSED_AGAIN_S if "PutSettings" in state.refused else ES_ACTION_AGAIN_S
    if not state.asked.lately(what, now, patience_s):
        draft.do(PutSettings(live.intents(state, now, what), tuple(sorted(changes.items()))))
    draft.wake(now + patience_s)


def _settle_live_keys(draft: Draft) -> None:
    """Forget what is not ours any more, by a look from after the last settings of ours landed.

    A look from before does not show what was set just then; forgotten, nobody would take it out.
    """
    asked_at = max((at for what, at in draft.state.asked.at.items()
                    if what.startswith("live settings ")), default=float("-inf"))
    if draft.state.es is not None and draft.state.es.settings_at > asked_at + LIVE_LANDS_IN_S:
        draft.note(ev.LiveKeysSettled(draft.now, live.settled_keys(draft.state)))
    else:
        draft.wake(max(asked_at + LIVE_LANDS_IN_S, draft.now) + 1)


def _settle(draft: Draft) -> None:
    """Note when a revision is in force on every node: what a failing change goes back to."""
    state = draft.state
    if state.settled is not None and state.settled[0] == state.revision:
        return
    wanted = wanted_nodes(state)
    if state.nodes.keys() == wanted.keys() and all(
            state.is_ready(record) and not outdated(state, record)
            and not misplaced(state, record) and not record.leaving
            for record in state.nodes.values()):
        draft.note(ev.RevisionSettled(draft.now))


def _finish_releases(draft: Draft) -> None:
    """A node is gone when Mesos has confirmed that its volume and reservation are.

    Of one whose ACCEPT never came about there is nothing to be offered again; should there be
    after all, the sweep before the framework goes finds it as an orphan, which waits for its host.
    """
    for record in list(draft.state.nodes.values()):
        if record.state is S.STOPPED and not record.seat_confirmed:
            if draft.now - record.since >= NEVER_WAS_S and draft.state.link.connected:
                draft.note(ev.NodeReleased(draft.now, record.name))
            else:
                draft.wake(record.since + NEVER_WAS_S)
        elif record.state is S.RELEASING:
            if not record.operations:
                draft.note(ev.NodeReleased(draft.now, record.name))
            else:
                draft.wake(record.since + SILENT_S)


def _tell_needs(draft: Draft) -> None:
    """REVIVE when something new is wanted, SUPPRESS when nothing is.

    What is wanted for long is asked for again: a call that was sent may never have arrived.
    """
    wanted, told, now = needs(draft), draft.state.link.needs, draft.now
    asked_at = draft.state.asked.at.get("revive", now)
    again = bool(wanted) and now - asked_at >= REVIVE_AGAIN_S
    if wanted:
        draft.wake(asked_at + REVIVE_AGAIN_S)
    if wanted == told and not again:
        return
    intent = ev.NeedsTold(now, wanted)
    if not wanted:
        draft.do(Suppress((intent,)))
    elif told is None or set(wanted) - set(told) or again:
        draft.do(Revive((intent, ev.AskedFor(now, "revive"))))
    else:
        draft.note(intent)


def _leave(draft: Draft) -> None:
    """Deregister when nothing is left, after a sweep for orphans."""
    state, now = draft.state, draft.now
    if not state.deleting or state.nodes:
        return
    if state.removed:
        if not state.asked.lately("teardown", now, TEARDOWN_AGAIN_S):
            draft.do(Teardown((ev.AskedFor(now, "teardown"),)))
        draft.wake(now + TEARDOWN_AGAIN_S)
        return
    swept = state.asked.at.get("sweep")
    if swept is None:
        draft.note(ev.AskedFor(now, "sweep"))
        draft.wake(now + SWEEP_S)
    elif not hosts_seen(state, now).ok:
        draft.wake(now + SWEEP_S)
    elif now - swept >= SWEEP_S:
        draft.do(Teardown((ev.TeardownIntended(now), ev.AskedFor(now, "teardown"))))
        draft.wake(now + TEARDOWN_AGAIN_S)
    else:
        draft.wake(swept + SWEEP_S)


def _wake_for_retries(draft: Draft) -> None:
    for record in draft.state.nodes.values():
        if record.state in (S.PLANNED, S.DOWN):
            draft.wake(record.retry_at)
        if record.state in IN_FLIGHT or record.state in (S.STOPPING, S.RESTARTING):
            draft.wake(record.since + 30.5)      # then its seat becomes a need of its own
