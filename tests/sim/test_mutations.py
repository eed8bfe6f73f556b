"""The rules bite: each planted mistake is caught, by name, within few seeds.

A mistake that no rule catches would be a hole in the simulator, not a safe mistake.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from esaas.framework.core import apply as applying
from esaas.framework.core import (
    checks,
    config,
    decide,
    gates,
    invariants,
    launch,
    leaving,
    live,
    rolling,
)
from esaas.framework.core import events as ev
from esaas.framework.core.draft import Draft
from esaas.framework.core.facts import ClusterState, NodeRecord
from esaas.framework.core.offers import answer, stages
from esaas.framework.core.offers.outcome import passed
from esaas.framework.runtime import cycle
from esaas.framework.store.codec import RecordBook
from esaas.sim import wishes
from esaas.sim.memory import StandInStore
from esaas.sim.run import run_seed

Patch = pytest.MonkeyPatch
SEEDS = 40


def always(patch: Patch, *names: str) -> None:
    """Gates that never hold."""
    for name in names:
        def ok(state: ClusterState, record: NodeRecord, now: float,
               name: str = name) -> gates.Answer:
            return gates.Answer(name, True)

        ok.__name__ = name
        for module in (gates, rolling, leaving):
            if hasattr(module, name):
                patch.setattr(module, name, ok)
        for lists in ("ALWAYS", "GROWTH", "START_GATES", "STOP_GATES", "RESTART_GATES",
                      "MOVE_GATES"):
            patch.setattr(gates, lists, tuple(
                ok if gate.__name__ == name else gate for gate in getattr(gates, lists)))
    patch.setattr(rolling, "NEVER_PAST", tuple(
        gate for gate in rolling.NEVER_PAST if gate.__name__ not in names))


def drained_at_once(patch: Patch) -> None:
    """A drain is over before it has begun."""
    always(patch, "drained")


def drained_when_copies_are_elsewhere(patch: Patch) -> None:
    """ "A copy exists elsewhere" instead of "nothing is here"."""
    def drained(state: ClusterState, record: NodeRecord, now: float) -> gates.Answer:
        lone = state.es.lone if state.es is not None else frozenset()
        mine = (state.es.copies or {}).get(record.name, frozenset()) if state.es else frozenset()
        return gates.Answer("drained", not mine & lone)

    always(patch, "drained")
    patch.setattr(gates, "STOP_GATES", tuple(
        drained if gate.__name__ in ("drained", "ok") else gate for gate in gates.STOP_GATES))


def two_restarts_at_once(patch: Patch) -> None:
    """No budget, no look at shards."""
    always(patch, "change_budget", "shares_no_shard", "one_master_restarts_at_a_time",
           "cluster_green", "nothing_moves", "no_last_copy", "quorum_survives")


def restarts_without_a_look_at_copies(patch: Patch) -> None:
    """Nodes restart whatever is missing, and people who ask for it all the time."""
    patch.setattr(wishes, "WISHES", {**wishes.WISHES, wishes.restart: 30.0})
    always(patch, "cluster_green", "no_last_copy", "nothing_moves", "change_budget")


def masters_leave_together(patch: Patch) -> None:
    """Nobody counts masters, and people have nodes replaced, nothing else."""
    patch.setattr(wishes, "WISHES", {wishes.replace_node: 1.0})
    always(patch, "one_master_leaves_at_a_time", "masters_are_ready", "quorum_kept",
           "votes_excluded")


def quorum_is_not_raised(patch: Patch) -> None:
    """Masters join before minimum_master_nodes is raised, and it never is."""
    always(patch, "quorum_raised")
    patch.setattr(decide, "wanted_minimum_master_nodes", lambda state, now: 1)


def destroys_without_a_decommission(patch: Patch) -> None:
    """A node that is down is released, volume and all; the last check before sending is off."""
    def release(draft: Draft, pool: Any, seat: Any, record: NodeRecord, found: Any) -> None:
        labels = tuple(sorted(seat.resources[0].labels.items()))
        found.intents.append(ev.Released(draft.now, labels))
        found.steps += answer.release_steps(f"{draft.state.identity.uid}.{seat.node}.0.orphan",
                                            seat)

    patch.setattr(answer, "_answer_staying", release)
    patch.setattr(cycle, "check_operations", lambda state, operations: None)


def last_check_alone_sees_it(patch: Patch) -> None:
    """The same, with the last check on: it holds before anything is sent."""
    destroys_without_a_decommission(patch)
    patch.setattr(cycle, "check_operations", checks.check_operations)


def intents_are_not_stored(patch: Patch) -> None:
    """Nodes' records are written a turn late."""
    real = RecordBook.changes

    def changes(self: RecordBook, state: ClusterState) -> Any:
        return [item for item in real(self, state) if "/nodes/" not in item.path]

    patch.setattr(RecordBook, "changes", changes)


def exclusions_stay(patch: Patch) -> None:
    """Nobody clears an allocation exclusion."""
    real = leaving.ExcludeNodes
    patch.setattr(leaving, "ExcludeNodes", lambda intents, names, stale: real(intents, names, ()))


def allocation_stays_held(patch: Patch) -> None:
    """What a rolling restart has set is forgotten."""
    def restore(draft: Draft) -> None:
        draft.note(ev.AllocationRestored(draft.now))

    patch.setattr(rolling, "_restore", restore)


def seats_by_agent_id(patch: Patch) -> None:
    """A node is known by its agent's id: one that comes back as another is a stranger."""
    real = answer._answer_seat

    def by_id(draft: Draft, pool: Any, seat: Any, found: Any) -> None:
        record = draft.state.nodes.get(seat.node)
        if record is not None and record.seat is not None and (
                record.seat.agent_id != pool.agent_id):
            return
        real(draft, pool, seat, found)

    patch.setattr(answer, "_answer_seat", by_id)


def hosts_have_no_limit(patch: Patch) -> None:
    """Copies of a shard may share a host; the invariant is off, too."""
    patch.setattr(stages, "STAGES", tuple(
        (lambda demand, pool: passed("max_per_host")) if stage.__name__ == "host_limit" else stage
        for stage in stages.STAGES))
    patch.setattr(invariants, "CHECKS", tuple(
        check for check in invariants.CHECKS if check.__name__ != "host_limit"))


def only_the_invariant_counts_hosts(patch: Patch) -> None:
    """The same with the invariant on."""
    patch.setattr(stages, "STAGES", tuple(
        (lambda demand, pool: passed("max_per_host")) if stage.__name__ == "host_limit" else stage
        for stage in stages.STAGES))


def hosts_under_maintenance_get_nodes(patch: Patch) -> None:
    """Nobody asks whether a host is to go; its nodes leave it all the time."""
    patch.setattr(wishes, "WISHES", {**wishes.WISHES, wishes.drain_host: 20.0})
    always(patch, "host_in_service")
    patch.setattr(stages, "STAGES", tuple(
        (lambda demand, pool: passed("in_service")) if stage.__name__ == "in_service" else stage
        for stage in stages.STAGES))


def nobody_stops_for_maintenance(patch: Patch) -> None:
    """Nodes run on while their hosts are worked on."""
    patch.setattr(wishes, "WISHES", {**wishes.WISHES, wishes.drain_host: 20.0})
    real = rolling.order
    patch.setattr(rolling, "order", lambda state: [
        record for record in real(state) if config.to_restart(state, record)])


def nothing_is_reconciled(patch: Patch) -> None:
    """Mesos is never asked what became of a task."""
    def forgets(state: ClusterState, event: ev.Registered) -> ClusterState:
        after = real(state, event)
        return replace(after, link=replace(after.link, unreconciled={}))

    real = applying._HANDLERS[ev.Registered]
    patch.setitem(applying._HANDLERS, ev.Registered, forgets)
    patch.setattr(decide, "_reconcile", lambda draft: None)


def volumes_get_an_old_id(patch: Patch) -> None:
    """What incarnations there were is forgotten with a node."""
    real = ClusterState.without_node

    def without_node(self: ClusterState, name: str) -> ClusterState:
        return replace(real(self, name), gone=self.gone)

    patch.setattr(ClusterState, "without_node", without_node)


def forms_a_second_time(patch: Patch) -> None:
    """Every master is told the first masters, whether the cluster has formed or not."""
    real = launch.payload

    def payload(state: ClusterState, record: NodeRecord, group: Any) -> Any:
        return replace(real(state, record, group), initial_master_nodes=state.bootstrap.masters)

    patch.setattr(launch, "payload", payload)


def the_lease_is_ignored(patch: Patch) -> None:
    """The store lets anybody write."""
    real = StandInStore.write

    def write(self: StandInStore, lease: Any, changes: Any, entries: Any = ()) -> Any:
        current = replace(lease, epoch=self._epochs[lease.name])
        return real(self, current, changes, entries)

    patch.setattr(StandInStore, "write", write)


def kills_are_sent_once(patch: Patch) -> None:
    """A KILL that is lost is never repeated."""
    patch.setattr(decide, "KILL_AGAIN_S", 1e9)


def revives_are_sent_once(patch: Patch) -> None:
    """A REVIVE that is lost is never repeated, not even by a look around."""
    patch.setattr(decide, "REVIVE_AGAIN_S", 1e9)
    patch.setattr(answer, "LOOK_AGAIN_S", 1e9)


def more_than_wanted(patch: Patch) -> None:
    """One node too many of each group is placed."""
    from esaas.framework.core import plan

    real = plan._numbers
    patch.setattr(plan, "_numbers", lambda group, records: [
        *(numbers := real(group, records)), max(numbers, default=0) + 1])


def live_settings_flap(patch: Patch) -> None:
    """Live settings are never what they should be."""
    real = live.changes
    patch.setattr(live, "changes", lambda state: real(state) | (
        {"indices.recovery.max_bytes_per_sec": "1mb"} if state.es is not None else {}))


@dataclass(frozen=True)
class Mistake:
    """A planted mistake, the faults that bring it out, and the rules that may catch it."""

    plant: Callable[[Patch], None]
    profile: str
    rules: Sequence[str]


MISTAKES = [
    Mistake(drained_at_once, "none", ["drained_before_stop"]),
    Mistake(drained_when_copies_are_elsewhere, "none", ["drained_before_stop"]),
    Mistake(two_restarts_at_once, "light", ["one_restart_per_shard", "quorum_kept_by_us",
                                            "last_copy_not_stopped"]),
    Mistake(restarts_without_a_look_at_copies, "recovery", ["last_copy_not_stopped",
                                                            "one_restart_per_shard"]),
    Mistake(masters_leave_together, "none", ["quorum_kept_by_us"]),
    Mistake(quorum_is_not_raised, "none", ["no_two_majorities"]),
    Mistake(destroys_without_a_decommission, "tasks", ["decommission_recorded"]),
    Mistake(last_check_alone_sees_it, "tasks", ["checks_before_sending"]),
    Mistake(intents_are_not_stored, "none", ["stored_before_sent"]),
    Mistake(exclusions_stay, "none", ["plan_done", "settings_restored"]),
    Mistake(allocation_stays_held, "none", ["settings_restored", "plan_done", "health_green"]),
    Mistake(seats_by_agent_id, "agents", ["plan_done", "every_node_ready"]),
    Mistake(hosts_have_no_limit, "none", ["host_limit_in_mesos"]),
    Mistake(only_the_invariant_counts_hosts, "none", ["host_limit"]),
    Mistake(hosts_under_maintenance_get_nodes, "none", ["none_starts_in_maintenance"]),
    Mistake(nobody_stops_for_maintenance, "none", ["stops_for_maintenance"]),
    Mistake(nothing_is_reconciled, "heavy", ["plan_done", "every_node_ready"]),
    Mistake(volumes_get_an_old_id, "none", ["volume_id_used_once", "task_id_used_once"]),
    Mistake(forms_a_second_time, "none", ["formed_once"]),
    Mistake(the_lease_is_ignored, "leases", ["lease_fences", "never_held"]),
    Mistake(kills_are_sent_once, "calls", ["plan_done", "deleted_leaves_nothing"]),
    Mistake(revives_are_sent_once, "calls", ["plan_done"]),
    Mistake(more_than_wanted, "none", ["no_more_than_wanted"]),
    Mistake(live_settings_flap, "none", ["plan_done", "decide_settles"]),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda item: item.plant.__name__)
def test_a_planted_mistake_is_caught_by_a_named_rule(mistake: Mistake, monkeypatch: Patch) -> None:
    mistake.plant(monkeypatch)
    for seed in range(SEEDS):
        failure = run_seed(seed, mistake.profile).failure
        if failure is not None:
            assert failure.rule in mistake.rules, f"seed {seed}: {failure.rule}: {failure.message}"
            return
    raise AssertionError(f"not caught in {SEEDS} seeds")


