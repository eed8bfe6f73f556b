"""Properties of ``decide`` over random clusters, agents, failures and restarts."""
from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core import invariants
from esaas.framework.core import operations as op
from esaas.framework.core.apply import apply
from esaas.framework.core.checks import check_operations
from esaas.framework.core.decide import ABSENT_S, decide
from esaas.framework.core.facts import Asked, ClusterState, Link, NodeState
from esaas.framework.core.plan import founded
from esaas.framework.core.spec import ClusterSpec
from esaas.framework.store.codec import from_records, to_records
from esaas.framework.store.contract import Stored
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..stories.standin_mesos import StandInMesos
from .builders import (
    NOW,
    connected,
    formed,
    group,
    identity,
    new_cluster,
    offer,
    record,
    spec,
    view,
    with_nodes,
)

S = NodeState
MESOS = (op.Accept, op.Decline, op.Kill, op.Reconcile, op.Revive, op.SendSeeds, op.Suppress,
         op.Teardown)


class Life:
    """A cluster on a stand-in Mesos, a second at a time; every cycle is checked."""

    def __init__(self, wanted: ClusterSpec, agents: list[dict[str, Any]]) -> None:
        self.now = NOW
        self.lost: list[op.Operation] = []
        self.mesos = StandInMesos()
        self.numbers = count(1)
        for agent in agents:
            self.add_agent(**agent)
        self.state = founded(identity(), wanted)
        self.mesos.register(self.now)

    def add_agent(self, **more: Any) -> None:
        self.mesos.add_agent(next(self.numbers), **more)

    def tick(self, *events: ev.Event) -> None:
        """Events, offers and the view go in; what is decided is checked and sent."""
        self.now += 1
        offers = self.mesos.make_offers(self.now)
        seen = self.mesos.look(self.now)
        inbound, self.mesos.outbox = [*self.mesos.outbox, *events], []
        for event in [*inbound, *([ev.EsObserved(self.now, seen)] if seen else [])]:
            self.state = apply(self.state, event)
        invariants.check(self.state)
        decision = decide(self.state, offers, self.now)
        self._check(decision.operations, decision.state, offers)
        assert decision.sentence
        assert {answer.pool.agent_id for answer in decision.answers} <= {
            item.agent_id for item in offers}
        assert all(answer.reason and answer.refuse_s > 0 for answer in decision.answers)
        again = decide(decision.state, [], self.now)
        assert again.operations == (), "decided twice, done twice"
        assert again.state == decision.state
        self.state = decision.state
        self.lost.clear()
        for operation in decision.operations:
            self.mesos.send(operation, self.now)
        for operation in self.lost:
            self.state = apply(self.state, ev.SendFailed(self.now, type(operation).__name__))
        if any(isinstance(operation, (op.Accept, op.Decline)) for operation in self.lost):
            # The link opens its stream again: offers are taken back.
            self.state = apply(self.state, ev.Disconnected(self.now))
            self.register_again()

    def delete(self) -> None:
        """The cluster is to go, shards and all."""
        self.mesos.graveyard = True
        self.tick(ev.DeleteAccepted(self.now))

    def lose_next(self, how_many: int) -> None:
        """The next calls to the master do not get through."""
        left = [how_many]

        def lose(operation: op.Operation) -> bool:
            if not isinstance(operation, MESOS) or not left[0]:
                return False
            left[0] -= 1
            self.lost.append(operation)
            return True
        self.mesos.lose = lose

    def register_again(self) -> None:
        """What was told before and not yet read is told again."""
        kept = [event for event in self.mesos.outbox if isinstance(
            event, (ev.TaskUpdated, ev.OperationUpdated))]
        if not self.mesos.torn_down:
            self.mesos.register(self.now)
            self.mesos.outbox += kept

    def _check(self, operations: tuple[op.Operation, ...], after: ClusterState,
               offers: list[Any]) -> None:
        invariants.check(after)
        check_operations(self.state, operations)
        sent = [item for item in operations if isinstance(item, MESOS)]
        if not self.state.link.connected:
            assert sent == [], "nothing is sent on a link that is not there"
            return
        answered = [item for operation in sent if isinstance(operation, (op.Accept, op.Decline))
                    for item in operation.offer_ids]
        assert sorted(answered) == sorted(item.id for item in offers)
        for accept in (item for item in sent if isinstance(item, op.Accept)):
            for step in accept.steps:
                if isinstance(step, op.Destroy):
                    assert after.deleting, "a volume is destroyed on an explicit deletion only"
        settled = after.link.needs == () and all(
            record.state is S.RUNNING for record in after.nodes.values())
        if settled and self.state.link.needs == () and not offers:
            assert [item for item in sent if isinstance(item, (op.Revive, op.Suppress))] == []

    def restart(self) -> None:
        """Only what is durable is left."""
        records = {path: Stored(data, 1) for path, data in to_records(self.state).items()}
        loaded = from_records(records, "demo")
        assert replace(self.state, link=Link(), es=None, asked=Asked()) == loaded
        self.state = loaded
        self.register_again()

    def alive(self) -> list[str]:
        return sorted(self.mesos.tasks)


AGENTS = st.lists(st.fixed_dictionaries({
    "rack": st.sampled_from(["rack-1", "rack-2", "rack-3"]),
    "cpus": st.sampled_from([0.5, 1.2, 4.0, 16.0]), "mem": st.sampled_from([1000.0, 4096.0, 2e4]),
    "disk": st.sampled_from([1000.0, 9000.0])}), min_size=0, max_size=6)
PLACEMENT = st.fixed_dictionaries({}, optional={
    "max_per_host": st.integers(1, 3), "spread_by": st.sampled_from(["rack", "zone", None]),
    "constraints": st.sampled_from(["hostname UNIQUE", "rack GROUP_BY 3", "rack MAX_PER 2",
                                    "rack LIKE rack-[12]", "not rack IS rack-3"])})
SPECS = st.builds(
    lambda masters, data, placement, version: spec(
        group(count=masters, placement=placement),
        group("data", data, roles=["data"], placement=placement), version=version),
    st.integers(2, 4), st.integers(0, 3), PLACEMENT, st.sampled_from(["6.8.23", "7.17.0"]))
STEPS = st.lists(st.tuples(st.sampled_from(
    ["tick", "tick", "tick", "progress", "fail", "unreachable", "return", "lose", "restart",
     "disconnect", "agent", "grow", "delete", "late", "wait"]), st.integers(0, 9)), max_size=40)


def act(life: Life, step: str, number: int) -> None:
    """One thing that may happen to a cluster."""
    mesos = life.mesos
    task = mesos.tasks[life.alive()[number % len(life.alive())]] if mesos.tasks else None
    if step == "progress":
        mesos.progress(life.now)
    elif step == "fail" and task is not None:
        mesos.end(task.task_id, ["TASK_FAILED", "TASK_LOST", "TASK_GONE"][number % 3], life.now)
    elif step == "unreachable" and task is not None:
        mesos.outbox.append(ev.TaskUpdated(life.now, task.task_id, "TASK_UNREACHABLE"))
    elif step == "return" and task is not None:
        mesos.outbox.append(ev.TaskUpdated(life.now, task.task_id, task.state))
    elif step == "late" and task is not None:
        mesos.outbox.insert(0, ev.TaskUpdated(life.now, task.task_id, "TASK_STARTING"))
    elif step == "lose":
        life.lose_next(number % 3 + 1)
    elif step == "restart":
        life.restart()
    elif step == "disconnect" and not mesos.torn_down:
        life.tick(ev.Disconnected(life.now, "gone"))
        mesos.outbox.clear()
        life.restart()
    elif step == "agent":
        life.add_agent()
    elif step == "grow" and life.state.revision == 1:
        wanted = life.state.spec.groups[0]
        life.tick(ev.SpecAccepted(life.now, 2, life.state.spec.with_count(
            wanted.name, wanted.count + number % 3)))
        return
    elif step == "delete" and number > 6:
        life.delete()
        return
    elif step == "wait":
        life.now += 10 * number
    life.tick()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(wanted=SPECS, agents=AGENTS, steps=STEPS)
def test_whatever_happens_nothing_is_done_twice_lost_or_left_behind(
        wanted: ClusterSpec, agents: list[dict[str, Any]], steps: list[tuple[str, int]]) -> None:
    life = Life(wanted, agents)
    for step, number in steps:
        act(life, step, number)
    life.mesos.lose = lambda operation: False
    if not life.state.removed:
        life.delete()
    for _ in range(200):
        if life.mesos.torn_down:
            break
        life.tick()
    assert life.mesos.torn_down, [item.state for item in life.state.nodes.values()]
    assert life.mesos.reserved() == [] and not life.mesos.tasks


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(wanted=SPECS, steps=STEPS.map(lambda steps: [
    step for step in steps if step[0] not in ("delete", "unreachable")]))
def test_whatever_happens_a_cluster_with_room_ends_up_whole(
        wanted: ClusterSpec, steps: list[tuple[str, int]]) -> None:
    """Agents on three racks, as many as are ever asked for."""
    life = Life(wanted, [{"rack": f"rack-{index % 3 + 1}", "cpus": 16.0, "mem": 2e4, "disk": 2e4}
                         for index in range(18)])
    for step, number in steps:
        act(life, step, number)
    life.mesos.lose = lambda operation: False

    def whole() -> bool:
        names = sum(item.count for item in life.state.spec.groups)
        return len(life.state.nodes) == names and all(
            map(life.state.is_ready, life.state.nodes.values()))
    limited = "MAX_PER" in (wanted.groups[0].placement.constraints or "")
    for _ in range(400):
        if whole() or limited:
            break
        life.mesos.progress(life.now)
        life.tick()
    assert whole() or limited, [(item.name, item.state, item.message)
                                for item in life.state.nodes.values()]
    assert life.mesos.volumes_destroyed == []
    volumes = [item.disk.persistence_id for item in life.mesos.reserved()
               if item.disk and item.disk.persistence_id]
    assert len(volumes) == len(set(volumes))


# ------------------------------------------------------------------ single rules

def test_an_idle_cluster_sends_nothing_for_as_long_as_nothing_happens() -> None:
    state = connected(formed(), needs=())
    decision = decide(state, [], NOW)
    state = decision.state
    for later in range(1, 30):
        decision = decide(replace(state, es=view(*state.nodes, at=NOW + later)), [], NOW + later)
        assert decision.operations == ()


def test_a_settled_cluster_is_suppressed_once() -> None:
    decision = decide(connected(formed(), needs=("place node x1",)), [], NOW)
    assert op.Suppress in map(type, decision.operations)
    assert decide(decision.state, [], NOW).operations == ()


def test_new_needs_revive_and_fewer_do_not() -> None:
    state = connected(new_cluster(), needs=())
    assert op.Revive in map(type, decide(state, [], NOW).operations)
    one = formed().with_node(record("node-1", S.DOWN))
    told = connected(one, needs=("launch node-1 1", "launch node-2 1"))
    assert not {op.Revive, op.Suppress} & set(map(type, decide(told, [], NOW).operations))


@pytest.mark.parametrize("state", [new_cluster(), formed(), replace(formed(), deleting=True)])
def test_without_a_connection_nothing_is_sent_to_mesos(state: ClusterState) -> None:
    decision = decide(connected(state, connected=False), [offer(1)], NOW)
    assert not [item for item in decision.operations if isinstance(item, MESOS)]


def test_a_silent_launch_is_asked_about_with_truncated_backoff() -> None:
    state = formed().with_node(record("node-1", S.LAUNCHING, since=NOW))
    asked: list[float] = []
    for second in range(200):
        decision = decide(state, [], NOW + second)
        asked += [second for item in decision.operations if isinstance(item, op.Reconcile)
                  and item.tasks == (("demo.node-1.1.1", "agent-1"),)]
        state = decision.state
    assert asked[0] == 20
    gaps = [later - earlier for earlier, later in zip(asked, asked[1:], strict=False)]
    assert gaps == sorted(gaps) and max(gaps) <= 60


def test_after_a_registration_mesos_is_asked_about_every_task_once() -> None:
    state = apply(formed(), ev.Registered(NOW, "framework-1"))
    asked = [item.tasks for item in decide(state, [], NOW).operations
             if isinstance(item, op.Reconcile)]
    assert () in asked and any(len(tasks) == 3 for tasks in asked) and len(asked) == 2


def test_kills_are_repeated_but_not_at_once() -> None:
    state = replace(formed(), deleting=True)
    first = decide(state, [], NOW)
    assert sum(isinstance(item, op.Kill) for item in first.operations) == 3
    for later, kills in ((14, 0), (15, 3)):
        again = decide(first.state, [], NOW + later)
        assert sum(isinstance(item, op.Kill) for item in again.operations) == kills


def test_on_a_stale_view_elasticsearch_is_left_alone() -> None:
    stale = formed(at=NOW - 60, template_replicas=None, minimum_master_nodes=1)
    kinds = {type(item) for item in decide(stale, [], NOW).operations}
    assert not kinds & {op.PutTemplate, op.SetMinimumMasterNodes}
    fresh = formed(template_replicas=None, minimum_master_nodes=1)
    kinds = {type(item) for item in decide(fresh, [], NOW).operations}
    assert {op.PutTemplate, op.SetMinimumMasterNodes} <= kinds


def test_peers_are_told_of_a_new_seat_in_the_same_cycle() -> None:
    state = formed(3, spec(group(count=4)), minimum_master_nodes=3)
    decision = decide(state, [offer(4)], NOW)
    told = [item for item in decision.operations if isinstance(item, op.SendSeeds)]
    assert len(told) == 3 and all("10.0.0.4:31001" in item.seeds.addresses for item in told)


def test_the_framework_goes_last_after_a_sweep() -> None:
    state = replace(formed(), nodes={}, deleting=True)
    first = decide(state, [], NOW)
    assert not any(isinstance(item, op.Teardown) for item in first.operations)
    assert first.wake_at == NOW + 4
    second = decide(first.state, [], NOW + 4)
    assert any(isinstance(item, op.Teardown) for item in second.operations)
    assert second.state.removed and second.sentence == "deleted"


# -------------------------------------------------------------- what is long unheard of

def test_mesos_is_asked_of_operations_that_nobody_tells_of() -> None:
    """An agent that is away for long: what was there, and what became of a release?"""
    leaving = replace(record("node-1", S.RELEASING, retire=True), since=NOW - ABSENT_S,
                      operations=("uid1.node-1.1.destroy",))
    down = replace(record("node-2", S.DOWN), since=NOW - ABSENT_S)
    state = connected(with_nodes(formed(), leaving, down, record("node-3")))
    asked = decide(state, [], NOW)
    operations = [item for item in asked.operations if isinstance(item, op.ReconcileOperations)]
    assert [item.awaited for item in operations] == [(("uid1.node-1.1.destroy", "agent-1"),)]
    tasks = {task for item in asked.operations if isinstance(item, op.Reconcile)
             for task, _ in item.tasks}
    assert {"demo.node-1.1.1", "demo.node-2.1.1"} <= tasks
    again = decide(asked.state, [], NOW + 1)
    assert not any(isinstance(item, op.ReconcileOperations) for item in again.operations)


def test_what_is_absent_for_a_moment_is_not_asked_for() -> None:
    state = connected(with_nodes(formed(), replace(record("node-2", S.DOWN), since=NOW - 1)))
    assert not any(isinstance(item, op.ReconcileOperations)
                   for item in decide(state, [], NOW).operations)


# ------------------------------------------------------------------- a clock that was set

@given(by_s=st.floats(-1e6, 1e6))
def test_after_a_clock_was_set_no_look_of_before_is_trusted(by_s: float) -> None:
    state = connected(with_nodes(formed(), replace(
        record("node-2", S.DOWN), retry_at=NOW + 5e6, failures=9)))
    state = apply(state, ev.AskedFor(NOW, "flush node-1 1"))
    jumped = apply(state, ev.ClockJumped(NOW + by_s, by_s))
    assert jumped.es is None and jumped.asked.at == {}
    assert jumped.nodes["node-2"].retry_at <= NOW + by_s + 300, "a back-off ends all the same"
    assert not any(isinstance(item, (op.Kill, op.Accept))
                   for item in decide(jumped, [], NOW + by_s).operations)


@pytest.mark.parametrize(("look_after_s", "kept"), [(-1.0, True), (2.0, True), (4.0, False)])
def test_a_live_setting_is_forgotten_only_by_a_look_from_after_it_landed(
        look_after_s: float, kept: bool) -> None:
    """Taken back before it was seen: forgotten then, nobody would ever take it out."""
    key = "indices.recovery.max_bytes_per_sec"
    asked_at = NOW - 10
    state = replace(formed(3), live_keys=(key,), asked=Asked({"live settings x": asked_at}))
    assert state.es is not None
    state = replace(state, es=replace(state.es, at=asked_at + look_after_s))
    decision = decide(state, [], NOW)
    assert decision.state.live_keys == ((key,) if kept else ())
    assert not kept or decision.wake_at <= NOW + 5
