"""What the simulator has found, each as small as it gets; the commit of each mending says more."""
from __future__ import annotations

from dataclasses import replace

from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.apply import apply
from esaas.framework.core.config import HELD, fingerprint
from esaas.framework.core.decide import decide
from esaas.framework.core.draft import Draft
from esaas.framework.core.facts import ClusterState, EsNode, NodeState, Switch
from esaas.framework.core.gates import (
    departing_masters,
    held_by,
    lost,
    quorum_kept,
    quorum_raised,
    restart_gates,
    successor_ready,
    votes_excluded,
    wanted_minimum_master_nodes,
)
from esaas.framework.core.offers.answer import LOOK_AGAIN_S, LOOK_AROUND_S, needs
from esaas.framework.core.plan import wanted_nodes
from esaas.framework.core.resources import Resource
from esaas.framework.core.spec import ClusterSpec, parse_spec
from esaas.framework.service.change import refusals

from .builders import (
    NOW,
    connected,
    formed,
    group,
    offer,
    own_resources,
    record,
    scalars,
    spec,
    view,
)

S = NodeState


def intents(state: ClusterState, now: float = NOW) -> list[ev.Event]:
    """All intents of one decision."""
    return [event for operation in decide(state, [], now).operations for event in operation.intents]


def as_configured(state: ClusterState) -> ClusterState:
    """Every node runs with what is wanted, in the wanted size."""
    for node in list(state.nodes.values()):
        state = state.with_node(replace(node, config=fingerprint(
            state.spec, state.spec.groups[0])))
    return state


def larger(wanted: ClusterSpec) -> ClusterSpec:
    """The same with more memory for each node."""
    body = wanted.model_dump(mode="json")
    # The heap stays, so that only the size differs.
    body["groups"][0] |= {"mem_mb": 2048, "heap": {"mb": wanted.groups[0].heap_mb}}
    return parse_spec(body)


def test_the_first_quorum_is_not_set_below_what_the_nodes_were_started_with() -> None:
    """4 masters were started with 3; at the first look, 2 of them were members."""
    state = formed(4, minimum_master_nodes=None)
    state = replace(state, es=replace(view("node-1", "node-2"), minimum_master_nodes=None))
    assert wanted_minimum_master_nodes(state, NOW) == 3


def test_without_a_look_a_node_that_is_no_member_may_restart() -> None:
    """It may be the one that is missing for a master, and so for any look."""
    state = as_configured(formed(3))
    stale = replace(state, es=replace(view("node-1", "node-3"), at=NOW - 60))
    stale = stale.with_node(replace(stale.nodes["node-2"], state=S.STARTING, config="old",
                                    serving_since=None))
    assert ev.RecycleIntended(NOW, "node-2") in intents(stale)


def test_a_restart_that_is_not_safe_any_more_is_not_begun() -> None:
    """Between the choice and the stop another node has gone, and this one has the last copy."""
    state = as_configured(formed(3))
    state = state.with_node(replace(state.nodes["node-2"], recycle=1, config="old"))
    copies = {"node-2": frozenset({"a[0]"})}
    seen = replace(view("node-1", "node-2"), health="yellow", copies=copies,
                   lone=frozenset({"a[0]"}), incomplete=frozenset({"a[0]"}),
                   allocation_settings=(None, "primaries"))
    found = intents(replace(state, es=seen, held_allocation=(None, None), raised_delays=True))
    assert ev.RecycleDone(NOW, "node-2") in found
    assert not any(isinstance(event, ev.RecycleIntended) for event in found)


def test_a_node_is_not_restarted_again_and_again_for_a_size_that_nothing_is_reserved_for() -> None:
    state = as_configured(formed(3))
    bigger = larger(state.spec)
    state = replace(state, spec=bigger)
    for node in list(state.nodes.values()):
        state = state.with_node(replace(node, config=fingerprint(bigger, bigger.groups[0])))
    starting = replace(state.nodes["node-2"], state=S.STARTING, serving_since=None, launch=2,
                       recycle=1)
    state = state.with_node(starting)
    held = held_by(restart_gates(state, starting, NOW))
    assert held is not None and held.name == "room_reserved"
    assert not any(isinstance(event, (ev.RecycleChosen, ev.RecycleIntended))
                   for event in intents(state))


def test_the_volume_of_a_node_that_is_told_to_stop_is_looked_for() -> None:
    """Its agent came back as a new one: no update will ever come, and suppressed no offer."""
    for told_to in (S.STOPPING, S.RESTARTING):
        state = formed(3).with_node(record("node-3", told_to, since=NOW - 31))
        needs = next(event for event in intents(state) if isinstance(event, ev.NeedsTold))
        assert "seat node-3" in needs.needs


def test_a_revive_is_repeated_while_something_is_wanted() -> None:
    state = connected(formed(3).with_node(record("node-3", S.DOWN)), needs=("launch node-3 1",))
    asked = replace(state.asked, at={"revive": NOW, "implicit reconciliation": NOW})
    state = replace(state, asked=asked)
    assert not _revives(state, NOW + 1)
    assert _revives(state, NOW + 600)


def _revives(state: ClusterState, now: float) -> bool:
    return op.Revive in map(type, decide(state, [], now).operations)


def test_of_two_nodes_that_drain_the_first_may_go() -> None:
    """With one extra node there is room for one successor only; both waited for two."""
    state = formed(4, spec(group(count=3)))
    for name in ("node-1", "node-2"):
        state = state.with_node(replace(state.nodes[name], leaving="moves", moving=True,
                                        draining=True))
    state = state.with_node(record("node-5", S.PLANNED))
    assert successor_ready(state, state.nodes["node-1"], NOW).ok
    assert not successor_ready(state, state.nodes["node-2"], NOW).ok


def test_every_try_to_release_has_ids_of_its_own() -> None:
    """A late word on the first try was taken for one on the second: its node stayed for ever."""
    state = formed(3).with_node(record("node-3", S.STOPPED))
    own = offer(3, own_resources(state, state.nodes["node-3"]))
    ids = []
    for now in (NOW, NOW + 20):
        accept = next(item for item in decide(state, [own], now).operations
                      if isinstance(item, op.Accept))
        ids += [step.operation_id for step in accept.steps]
    assert len(set(ids)) == len(ids) == 4


def test_in_the_middle_of_an_upgrade_minimum_master_nodes_is_kept() -> None:
    """As long as one member runs 6.x, it counts: lowered when a master has gone."""
    state = formed(3, spec(group(count=3), version="7.17.29"))
    nodes = {name: EsNode(f"es-{name}", name, version=version) for name, version in (
        ("node-1", "6.8.23"), ("node-2", "7.17.29"), ("node-3", "7.17.29"))}
    state = replace(state, es=replace(view("node-1", "node-2", "node-3"), nodes=nodes,
                                      minimum_master_nodes=3))
    told = [item.count for item in decide(state, [], NOW).operations
            if isinstance(item, op.SetMinimumMasterNodes)]
    assert told == [2]


def test_a_master_whose_agent_is_away_from_mesos_counts_for_the_quorum() -> None:
    """It is replaced, and runs on: with it the new one makes four."""
    state = formed(3, minimum_master_nodes=2)
    state = state.with_node(replace(state.nodes["node-3"], state=S.UNREACHABLE, moving=True,
                                    leaving="gone", elsewhere=True))
    state = state.with_node(record("node-4", S.PLANNED))
    assert wanted_minimum_master_nodes(state, NOW) == 3


def test_the_quorum_is_lowered_no_further_than_a_leaving_master_needs() -> None:
    """Two of six had gone: 4 became 2 at once, with four masters there."""
    state = formed(4, spec(group(count=3)), minimum_master_nodes=4)
    state = state.with_node(replace(state.nodes["node-4"], leaving="scale-in", draining=True))
    seen = replace(state.es, exclude_settings=(None, "node-4"), loads={}, max_replicas=1)
    assert wanted_minimum_master_nodes(replace(state, es=seen), NOW) == 3


def test_what_its_agent_never_heard_of_is_placed_again() -> None:
    """The master had it as staging, then as unreachable, then dropped it: nothing is there."""
    state = formed(3).with_node(record("node-3", S.PLACING))
    for status in ("TASK_STAGING", "TASK_UNREACHABLE", "TASK_DROPPED"):
        state = apply(state, ev.TaskUpdated(NOW, "demo.node-3.1.1", status, "agent-3"))
    assert state.nodes["node-3"].state is S.PLANNED and state.nodes["node-3"].seat is None


def test_a_switch_is_back_only_when_it_was_asked_back() -> None:
    """To set it was still on its way, and landed after everybody had forgotten it."""
    switch = Switch("true", (None, None), NOW, restoring=True)
    state = replace(formed(3), switches={"read_only": switch})
    sent = [item for item in decide(state, [], NOW).operations if isinstance(item, op.SetSwitch)]
    assert [item.value for item in sent] == [None]
    assert ev.SwitchRestored(NOW, "read_only") not in intents(state)


def test_an_exclusion_is_forgotten_only_by_a_look_from_after_it_was_asked_for() -> None:
    asked = {"exclude node-3": NOW - 1}
    state = replace(formed(3), excluded=("node-3",))
    on_its_way = replace(state, asked=replace(state.asked, at=asked))
    assert ev.ExclusionsSettled(NOW, ()) in intents(state)
    assert ev.ExclusionsSettled(NOW, ()) not in intents(on_its_way)


def test_voting_exclusions_are_cleared_while_other_nodes_leave() -> None:
    """At most ten may be, and a name comes back: a node of that name would have kept its vote."""
    state = formed(3, spec(group(count=3), version="7.17.29"), voting_exclusions=("node-9",))
    state = replace(state, excluded_votes=("node-9",))
    state = state.with_node(replace(state.nodes["node-3"], leaving="replaced", moving=True,
                                    elsewhere=True))
    assert op.ClearVotingExclusions in map(type, decide(state, [], NOW).operations)


def test_two_nodes_are_not_stopped_at_once_when_they_share_a_shard_that_is_new() -> None:
    """Both were chosen, then people created an index."""
    state = as_configured(formed(3))
    change = state.spec.change.model_copy(update={"strategy": "parallel", "max_down": 2})
    state = replace(state, spec=state.spec.model_copy(update={"change": change}))
    for name in ("node-1", "node-2"):
        state = state.with_node(replace(state.nodes[name], recycle=1, config="old",
                                        group="node"))
    copies = {"node-1": frozenset({"a[0]"}), "node-2": frozenset({"a[0]"})}
    seen = replace(view("node-1", "node-2", "node-3"), copies=copies,
                   allocation_settings=(None, "primaries"))
    found = intents(replace(state, es=seen, held_allocation=(None, None), raised_delays=True))
    assert ev.RecycleDone(NOW, "node-1") in found


def test_allocation_is_not_held_for_a_node_whose_agent_went_during_its_restart() -> None:
    for state_of_it in (S.UNREACHABLE, S.DOWN):
        state = as_configured(formed(3))
        state = state.with_node(replace(state.nodes["node-2"], state=state_of_it, recycle=1,
                                        since=NOW - 61, config="old"))
        assert ev.RecycleDone(NOW, "node-2") in intents(state)


def test_a_node_that_is_no_member_is_mended_while_another_is_being_restarted() -> None:
    """That one waited for a master, and the only master waited for it."""
    state = as_configured(formed(3))
    for name, changes in (("node-1", {"config": "old"}), ("node-2", {"recycle": 1, "launch": 2})):
        state = state.with_node(replace(state.nodes[name], state=S.STARTING, serving_since=None,
                                        **changes))
    found = intents(replace(state, es=replace(view("node-3"), at=NOW - 60)))
    assert ev.RecycleIntended(NOW, "node-1") in found


def test_a_node_that_was_held_before_the_cluster_formed_starts_when_people_let_it() -> None:
    """Without it there was no quorum, and before there was a cluster nothing was restarted."""
    state = as_configured(formed(2))
    held = replace(state.nodes["node-2"], state=S.STARTING, serving_since=None, config=HELD)
    state = replace(state.with_node(held), es=None,
                    bootstrap=replace(state.bootstrap, cluster_uuid=None))
    assert ev.RecycleIntended(NOW, "node-2") in intents(state)


def test_a_scale_in_drops_what_has_no_place_before_what_holds_data() -> None:
    state = formed(3, spec(group(count=2)))
    state = state.with_node(record("node-2", S.PLANNED))
    assert sorted(wanted_nodes(state)) == ["node-1", "node-3"]


def test_masters_that_are_lost_are_no_quorum() -> None:
    """The one that left was needed: another that stood was away, and no longer waited for."""
    state = formed(4, spec(group(count=2)), minimum_master_nodes=3)
    for name, changes in (("node-1", {"draining": True}), ("node-2", {"state": S.UNREACHABLE})):
        state = state.with_node(replace(state.nodes[name], moving=True, leaving="moves",
                                        **changes))
    seen = replace(view("node-1", "node-3", "node-4"), minimum_master_nodes=3)
    state = replace(state, es=seen)
    assert not quorum_kept(state, state.nodes["node-1"], NOW).ok
    assert departing_masters(state)[0].name == "node-2"


def test_what_could_not_be_given_back_is_to_be_offered_again() -> None:
    for operation in ("uid1.node-9.1.990.orphan.unreserve", "uid1.node-1.1.2.shrink"):
        state = apply(formed(3), ev.OperationUpdated(NOW, operation, "OPERATION_FAILED"))
        needs = next(event for event in intents(state) if isinstance(event, ev.NeedsTold))
        assert needs.needs == ("orphans",)


def test_a_master_does_not_join_while_the_quorum_is_being_lowered() -> None:
    """The look still showed 3, and 2 was on its way."""
    state = formed(3, spec(group(count=4)), minimum_master_nodes=3)
    state = state.with_node(record("node-4", S.PLANNED, incarnation=1))
    assert quorum_raised(state, state.nodes["node-4"], NOW).ok
    asked = replace(state.asked, at={"minimum_master_nodes 2": NOW})
    assert not quorum_raised(replace(state, asked=asked), state.nodes["node-4"], NOW).ok


def test_what_an_idle_look_carries_over_is_no_news() -> None:
    """Settings of an earlier full look were taken for those of now: allocation stayed held."""
    asked = {"allocation primaries": NOW - 20}
    state = replace(as_configured(formed(3)), held_allocation=(None, None))
    state = replace(state, asked=replace(state.asked, at=asked))
    idle = replace(view("node-1", "node-2", "node-3"), carried_from=NOW - 30)
    assert ev.AllocationRestored(NOW) in intents(state)
    assert ev.AllocationRestored(NOW) not in intents(replace(state, es=idle))


def test_a_node_that_never_was_is_not_replaced() -> None:
    """Mesos dropped its first start after its successor had come: nobody could retire it."""
    state = formed(3).with_node(record("node-4", S.PLANNED, leaving="replaced on request",
                                       moving=True, elsewhere=True, draining=True))
    found = decide(state, [], NOW).state
    assert not found.nodes["node-4"].moving
    assert "node-4" not in decide(found, [], NOW).state.nodes


def test_a_held_node_that_is_replaced_starts_when_people_let_it() -> None:
    """It was one of two masters: without it nobody was elected, and nothing could be replaced."""
    state = as_configured(formed(2))
    held = replace(state.nodes["node-2"], state=S.STARTING, serving_since=None, config=HELD,
                   leaving="replaced on request", moving=True, elsewhere=True)
    state = replace(state.with_node(held), es=replace(view("node-1"), at=NOW - 60))
    assert ev.RecycleIntended(NOW, "node-2") in intents(state)
    assert ev.RecycleIntended(NOW, "node-2") not in intents(
        state.with_node(replace(held, held=True)))


def test_a_master_stays_while_its_vote_cannot_be_taken_away() -> None:
    """All masters were of 7, and one data node of 6 was left: its minimum_master_nodes counted."""
    masters = group("node", count=2)
    data = group("data", count=1, roles=["data"])
    state = formed(2, spec(masters, data, version="7.17.29"))
    state = state.with_node(replace(state.nodes["node-2"], leaving="scale-in", draining=True))
    nodes = {name: EsNode(f"es-{name}", name, version=version) for name, version in (
        ("node-1", "7.17.29"), ("node-2", "7.17.29"), ("data-1", "6.8.23"))}
    seen = replace(view("node-1", "node-2"), nodes=nodes, master="node-2")
    assert not votes_excluded(replace(state, es=seen), state.nodes["node-2"], NOW).ok
    old = {**nodes, "node-1": replace(nodes["node-1"], version="6.8.23")}
    seen = replace(seen, nodes=old, master="node-1")
    assert votes_excluded(replace(state, es=seen), state.nodes["node-2"], NOW).ok


def test_a_master_that_is_about_to_join_is_not_lost() -> None:
    """It was back in time, and answered; its successor came before it was seen as a member."""
    state = formed(3)
    back = replace(state.nodes["node-3"], leaving="gone for over 60 s", moving=True,
                   elsewhere=True, serving_since=NOW - 1)
    state = replace(state.with_node(back), es=view("node-1", "node-2"))
    assert not lost(state, back)
    assert lost(state, replace(back, serving_since=NOW - 31))


def test_the_last_vote_is_not_taken_away() -> None:
    """It was node-2's turn; then node-1 was to leave as well, and its turn came first."""
    state = formed(2, spec(group(count=2), version="7.17.29"))
    for name in ("node-1", "node-2"):
        state = state.with_node(replace(state.nodes[name], leaving="replaced on request",
                                        moving=True, elsewhere=True, draining=True))
    state = replace(state, excluded_votes=("node-1", "node-2"))
    seen = view("node-1", "node-2", voting_exclusions=("node-1", "node-2"))
    assert not votes_excluded(replace(state, es=seen), state.nodes["node-1"], NOW).ok
    cleared = [item for item in decide(replace(state, es=seen), [], NOW).operations
               if isinstance(item, op.ClearVotingExclusions)]
    assert [item.keep for item in cleared] == [("node-1",)]
    seen = replace(seen, voting_exclusions=("node-1",))
    assert votes_excluded(replace(state, es=seen), state.nodes["node-1"], NOW).ok


def test_several_nodes_are_stopped_at_once_only_by_a_recent_look() -> None:
    """Both were chosen and prepared, and meanwhile people had created the first index."""
    state = as_configured(formed(3))
    change = state.spec.change.model_copy(update={"strategy": "parallel", "max_down": 2})
    state = replace(state, spec=state.spec.model_copy(update={"change": change}))
    for name in ("node-1", "node-2"):
        state = state.with_node(replace(state.nodes[name], recycle=1, config="old",
                                        group="data"))
    asked = {f"flush {name} 1": NOW - 6 for name in ("node-1", "node-2")}
    seen = replace(view("node-1", "node-2", "node-3"), copies={},
                   allocation_settings=(None, "primaries"))
    state = replace(state, held_allocation=(None, None), raised_delays=True,
                    asked=replace(state.asked, at=asked), flushed_at=NOW - 5)
    for age_s, stopped in ((2, True), (11, False)):
        found = intents(replace(state, es=replace(seen, at=NOW - age_s)))
        assert (ev.RecycleIntended(NOW, "node-1") in found) is stopped


def test_a_late_word_on_more_is_not_counted_beside_the_size_it_started_with() -> None:
    """For ever it waited for 1024 MB that it had already."""
    state = formed(3)
    down = replace(state.nodes["node-1"], state=S.DOWN, growing=(0.0, 1024),
                   operations=("uid1.node-1.1.1.990.grow",))
    assert down.seat is not None
    large = replace(down.seat, resources=replace(down.seat.resources, mem_mb=2112))
    state = apply(state.with_node(down), ev.LaunchIntended(NOW, "node-1", large))
    state = apply(state, ev.OperationUpdated(NOW, "uid1.node-1.1.1.990.grow",
                                             "OPERATION_FINISHED"))
    assert state.nodes["node-1"].grown == (0.0, 0)
    assert state.nodes["node-1"].operations == ()


def test_what_a_node_has_run_unseen_is_not_gone_back_from() -> None:
    """It had joined with 7, and was stopped before anybody looked."""
    state = formed(3, spec(group(count=3), version="7.17.29"))
    nodes = {name: EsNode(f"es-{name}", name, version="6.8.23") for name in ("node-1", "node-2")}
    state = replace(state, es=replace(view(), nodes=nodes))
    back = spec(group(count=3))
    assert refusals(state, back) == []
    state = state.with_node(replace(state.nodes["node-3"], version="7.17.29"))
    assert [fault.rule for fault in refusals(state, back)] == ["no_downgrade"]


def share_of(state: ClusterState, name: str) -> tuple[Resource, ...]:
    """What Mesos offers of a node's seat when its executor has ended before its task."""
    return tuple(item for item in own_resources(state, state.nodes[name], cpus=0.1, mem=64)
                 if item.name in ("cpus", "mem"))


def unreserved(state: ClusterState, offered: tuple[Resource, ...], now: float) -> bool:
    found = decide(state, [offer(1, (*scalars(), *offered))], now)
    return any(isinstance(step, op.Unreserve) for operation in found.operations
               if isinstance(operation, op.Accept) for step in operation.steps)


def test_an_executors_share_is_not_given_back_before_its_end_is_known() -> None:
    """Found on real Mesos: the word of the task's end came 16 s later; its seat was short then."""
    state = formed(3)
    share = share_of(state, "node-1")
    first = decide(state, [offer(1, (*scalars(), *share))], NOW)
    assert not unreserved(state, share, NOW)
    assert not unreserved(first.state, share, NOW + 30)
    # What stays there all the time while the node runs is no share of an executor.
    assert unreserved(first.state, share, NOW + 91)


def test_a_seat_that_lacks_something_for_long_is_completed() -> None:
    state = formed(3).with_node(record("node-1", S.DOWN, since=NOW - 5))
    short = own_resources(state, state.nodes["node-1"], cpus=1.0, mem=1024)
    offered = offer(1, (*scalars(), *short))
    waiting = decide(state, [offered], NOW)
    assert not [operation for operation in waiting.operations if isinstance(operation, op.Accept)]
    assert not [operation for operation in decide(waiting.state, [offered], NOW + 30).operations
                if isinstance(operation, op.Accept)]
    mended = decide(waiting.state, [offered], NOW + 61)
    [accept] = [operation for operation in mended.operations if isinstance(operation, op.Accept)]
    [step] = accept.steps
    assert isinstance(step, op.Reserve)
    assert {item.name: item.amount for item in step.resources} == {"cpus": 0.1, "mem": 64}
    assert step.resources[0].labels == short[0].labels
    again = decide(mended.state, [offered], NOW + 62)
    assert not [operation for operation in again.operations if isinstance(operation, op.Accept)]
    whole = own_resources(state, state.nodes["node-1"])
    started = decide(mended.state, [offer(1, (*scalars(), *whole))], NOW + 63)
    assert any(isinstance(step, op.Launch) for operation in started.operations
               if isinstance(operation, op.Accept) for step in operation.steps)


def test_what_was_reserved_twice_is_waited_for_before_the_rest_is_released() -> None:
    """A node was deleted while Mesos still held its executor's share: that stayed behind."""
    state = formed(3).with_node(record("node-1", S.DOWN, since=NOW - 5))
    short = own_resources(state, state.nodes["node-1"], cpus=1.0, mem=1024)
    waiting = decide(state, [offer(1, (*scalars(), *short))], NOW)
    mended = decide(waiting.state, [offer(1, (*scalars(), *short))], NOW + 61).state
    deleting = replace(mended, deleting=True)
    whole = own_resources(state, state.nodes["node-1"])
    both = own_resources(state, state.nodes["node-1"], cpus=1.2, mem=1152)

    def released(resources: tuple[Resource, ...], now: float) -> bool:
        operations = decide(replace(stopped, link=replace(stopped.link, since=NOW)),
                            [offer(1, (*scalars(), *resources))], now).operations
        return any(isinstance(step, op.Destroy) for operation in operations
                   if isinstance(operation, op.Accept) for step in operation.steps)

    stopped = decide(deleting, [], NOW + 62).state
    assert stopped.nodes["node-1"].state is S.STOPPED
    assert not released(whole, NOW + 63)
    assert released(both, NOW + 63)
    assert released(whole, NOW + 62 + 601), "it may never have been: not waited for for ever"


def test_what_was_reserved_twice_is_not_waited_for_once_it_was_given_back() -> None:
    state = formed(3).with_node(record("node-1", S.DOWN, since=NOW - 5, owed=(0.1, 64)))
    both = own_resources(state, state.nodes["node-1"], cpus=1.2, mem=1152)
    started = decide(state, [offer(1, (*scalars(), *both))], NOW)
    assert started.state.nodes["node-1"].owed == (0.0, 0)
    whole = own_resources(state, state.nodes["node-1"])
    started = decide(state, [offer(1, (*scalars(), *whole))], NOW)
    assert started.state.nodes["node-1"].owed == (0.1, 64)


def test_a_quorum_that_is_not_set_yet_is_what_the_masters_were_started_with() -> None:
    """A new process saw a cluster of two whose settings were empty, and took one of them out."""
    seen = view("node-1", "node-2", minimum_master_nodes=None)
    state = replace(formed(2), es=seen)
    state = state.with_node(replace(state.nodes["node-1"], leaving="maintenance of host-1"))
    answer = quorum_kept(state, state.nodes["node-1"], NOW)
    assert (answer.ok, answer.reason) == (False, "1 masters would be left, minimum_master_nodes "
                                                 "is 2")
    lowered = replace(state, es=replace(seen, minimum_master_nodes=1))
    assert quorum_kept(lowered, state.nodes["node-1"], NOW).ok


def test_what_is_left_behind_is_looked_for_again_now_and_then() -> None:
    """Its agent was away in the first seconds after a registration: it stayed for ever."""
    state = connected(formed(3), since=NOW - 20, needs=())
    assert needs(Draft(state, NOW)) == ()
    later = NOW + LOOK_AGAIN_S
    looking = decide(state, [], later)
    assert "look around" in needs(Draft(looking.state, later + 1))
    assert any(isinstance(operation, op.Revive) for operation in looking.operations)
    over = decide(looking.state, [], later + LOOK_AROUND_S)
    assert any(isinstance(operation, op.Suppress) for operation in over.operations)


def test_a_deletion_waits_for_a_host_where_something_may_be_reserved() -> None:
    """Mesos said that a start never was; its RESERVE had come, and the agent was cut off."""
    state = connected(formed(3).with_node(record("node-4", S.PLACING, seat_confirmed=False)))
    host = state.nodes["node-4"].seat.host
    state = apply(state, ev.TaskUpdated(NOW, "demo.node-4.1.1", "TASK_GONE", "agent-1"))
    assert state.nodes["node-4"].seat is None and state.doubts == {host: NOW}
    state = replace(state, nodes={}, deleting=True)
    state = decide(state, [], NOW).state
    held = decide(state, [], NOW + 60)
    assert not any(isinstance(item, op.Teardown) for item in held.operations)
    assert "deregister the framework, held by hosts_seen: something may be reserved on " in (
        held.sentence) and host in held.sentence
    assert held.wake_at < NOW + 70
    late = decide(held.state, [], NOW + 901)
    assert any(isinstance(item, op.Teardown) for item in late.operations), "not for ever"


def test_an_offer_of_a_host_ends_the_doubt_about_it_and_the_sweep_begins_anew() -> None:
    state = connected(replace(formed(), nodes={}, deleting=True, doubts={"host-1": NOW}))
    state = decide(state, [], NOW).state
    assert decide(state, [offer(1)], NOW + 4).state.doubts, "too soon to tell"
    seen = decide(state, [offer(1)], NOW + 60)
    assert not seen.state.doubts
    assert not any(isinstance(item, op.Teardown) for item in seen.operations)
    assert any(isinstance(item, op.Teardown)
               for item in decide(seen.state, [], NOW + 65).operations)
