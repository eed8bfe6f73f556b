"""Housekeeping: what each policy finds on a look, what holds it, and what must never happen."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from esaas.framework.core import config, errands, hours
from esaas.framework.core import events as ev
from esaas.framework.core.apply import apply
from esaas.framework.core.draft import Draft
from esaas.framework.core.facts import ClusterState, EsNode, Switch
from esaas.framework.core.housekeeping import (
    deletion,
    limits,
    merging,
    policies,
    replicas,
    rollover,
    unblocking,
)
from esaas.framework.core.housekeeping.findings import Act, planned, rule_of, still
from esaas.framework.core.housekeeping_spec import (
    Deletion,
    Guards,
    Merge,
    Replicas,
    Rollover,
    Unblock,
)
from esaas.framework.core.indices import (
    REMEMBERED,
    Alias,
    Disk,
    Index,
    IndexLook,
    Quiet,
    quiet_since,
    remembered,
    worth_keeping,
)
from esaas.framework.core.operations import RunErrand
from esaas.framework.core.snapshots import Taken
from esaas.framework.core.spec import SpecFaults, parse_spec
from esaas.framework.service.present import operation_view
from hypothesis import given
from hypothesis import strategies as st

from .builders import NOW, body, formed, group, spec, view

T = 1_000_000.0
DAY_S = 86400.0
ROOM = {"node-1": Disk(100_000, 60_000), "node-2": Disk(100_000, 60_000)}


def index(name: str = "logs-1", **more: Any) -> Index:
    """An index of ten days ago that nobody writes to: 8 segments, 100 MB."""
    found = Index(name, f"uuid-{name}", T - 10 * DAY_S, shards=1, replicas=1, documents=1000,
                  primary_mb=100.0, written=1000, store_mb=200.0, segments=8)
    return replace(found, **more)


def look(*indices: Index, aliases: tuple[Alias, ...] = (), at: float = T,
         disks: Mapping[str, Disk] = ROOM, **more: Any) -> IndexLook:
    return IndexLook(at, {one.name: one for one in indices}, {one.name: one for one in aliases},
                     disks, **({"high_watermark": "90%", "clock_off_s": 1.0} | more))


def quiet(*indices: Index, since: float = T - 5 * DAY_S) -> dict[str, Quiet]:
    """Nobody has written to these since then."""
    return {one.name: Quiet(one.uuid, one.written or 0, since) for one in indices}


def targets(found: Any) -> list[str]:
    return [act.target for act in found.acts]


# -------------------------------------------------------------------------- the spec

def test_nothing_is_on_unless_it_is_named() -> None:
    wish = spec().housekeeping
    assert not wish.acts and wish.settings == {} and spec().cluster_settings() == {}
    assert config.parts(spec(), spec().groups[0]) == config.parts(
        spec(housekeeping={"merge": {}, "delete": [{"pattern": "logs-*", "older_than_s": 60}]}),
        spec().groups[0]), "a policy restarts no node"


@pytest.mark.parametrize("pattern", ["", "*", "**", "l*", "*-logs", ".kibana", ".*", "-logs",
                                     "_all", "logs-*,other", "Logs-*", "logs ", "lo[g]*", "l"])
def test_what_may_be_deleted_is_named(pattern: str) -> None:
    with pytest.raises(SpecFaults) as caught:
        spec(housekeeping={"delete": [{"pattern": pattern, "older_than_s": 60}]})
    assert [fault.path for fault in caught.value.faults] == ["housekeeping.delete[0].pattern"]


def test_every_fault_of_a_wish_at_once() -> None:
    with pytest.raises(SpecFaults) as caught:
        spec(housekeeping={
            "every_s": 1, "merge": {"hours": "25-3", "idle_s": 0},
            "delete": [{"pattern": "logs-*"}],
            "rollover": [{"alias": "logs"}], "caches": {"fielddata_size": "0%"},
            "guards": {"request_mb": 5000}, "replicas": {"at_least": 0},
            "unblock": {"margin_percent": 0}, "sweep": True})
    assert {fault.path for fault in caught.value.faults} == {
        "housekeeping.every_s", "housekeeping.merge.hours", "housekeeping.merge.idle_s",
        "housekeeping.delete[0]", "housekeeping.rollover[0]",
        "housekeeping.caches.fielddata_size", "housekeeping.guards.request_mb",
        "housekeeping.replicas.at_least", "housekeeping.unblock.margin_percent",
        "housekeeping.sweep"}
    for wrong in ({"rollover": [{"alias": "a", "max_age_s": 60}] * 2},
                  {"delete": [{"pattern": "ab", "older_than_s": 60}] * 2}):
        with pytest.raises(SpecFaults, match="named twice"):
            spec(housekeeping=wrong)


def test_caches_and_guards_are_settings_of_all_nodes_and_are_set_once() -> None:
    wish = {"caches": {"fielddata_size": "20%", "fielddata_breaker": "40%"},
            "guards": {"request_mb": 50}}
    wanted = spec(housekeeping=wish, settings={"a.b": 1})
    assert wanted.cluster_settings() == {
        "a.b": 1, "indices.fielddata.cache.size": "20%", "indices.breaker.fielddata.limit": "40%",
        "http.max_content_length": "50mb"}
    parts = config.parts(wanted, wanted.groups[0])["settings"]
    assert "indices.fielddata.cache.size" in parts, "read when a node starts: nodes restart"
    assert "indices.breaker.fielddata.limit" not in parts, "live: they do not"
    with pytest.raises(SpecFaults, match="http.max_content_length"):
        spec(housekeeping=wish, settings={"http.max_content_length": "1gb"})
    with pytest.raises(SpecFaults, match="below fielddata_breaker"):
        spec(housekeeping={"caches": {"fielddata_size": "40%", "fielddata_breaker": "40%"}})


def test_deletion_only_tells_unless_people_say_so() -> None:
    rule = Deletion(pattern="logs-*", older_than_s=60)
    assert rule.dry_run
    assert deletion.find(rule, look(index()), quiet(index())).advises


# -------------------------------------------------------------------- what was written

def test_an_index_is_quiet_since_its_sequence_number_was_seen_first() -> None:
    one = index(written=5)
    memory = remembered({}, look(one, at=T))
    assert quiet_since(memory, one) == T
    memory = remembered(memory, look(one, at=T + 60))
    assert quiet_since(memory, one) == T, "the same as before"
    assert quiet_since(memory, replace(one, written=6)) is None, "it was written to since"
    memory = remembered(memory, look(replace(one, written=6), at=T + 90))
    assert quiet_since(memory, replace(one, written=6)) == T + 90
    away = remembered(memory, look(replace(one, written=None), at=T + 99))
    assert away == memory and quiet_since(away, replace(one, written=None)) is None
    again = remembered(memory, look(replace(one, uuid="other", written=6), at=T + 120))
    assert again["logs-1"].since == T + 120, "another one of the same name"
    assert remembered(memory, look(at=T + 150)) == {}, "one that is gone is forgotten"


def test_so_many_are_remembered_the_idlest_first() -> None:
    memory = {f"i-{number}": Quiet("u", 1, float(number)) for number in range(REMEMBERED + 5)}
    kept = worth_keeping(memory)
    assert len(kept) == REMEMBERED and "i-0" in kept and f"i-{REMEMBERED + 4}" not in kept


@pytest.mark.parametrize(("span", "hour", "inside", "ends_in_h"), [
    ("0-24", 12, True, None), ("1-5", 3, True, 2), ("1-5", 5, False, 0), ("22-6", 23, True, 7),
    ("22-6", 5, True, 1), ("1-3,12-14", 12, True, 2), ("1-3,12-14", 4, False, 0),
    ("6-6", 6, True, None)])
def test_hours(span: str, hour: int, inside: bool, ends_in_h: int | None) -> None:
    now = 50 * DAY_S + hour * 3600
    assert hours.within_at(span, now) is inside
    expected = float("inf") if ends_in_h is None else now + ends_in_h * 3600
    assert hours.ends_at(span, now) == expected


# --------------------------------------------------------------------------- merging

@pytest.mark.parametrize(("why", "changed", "more"), [
    ("closed", {"written": None, "segments": None}, {}),
    ("read-only", {"full_disk": True}, {}), ("read-only", {"blocks": ("read_only",)}, {}),
    ("life cycle", {"managed": True}, {}),
    ("no room", {"primary_mb": 55_000.0}, {}),
    ("no room", {}, {"disks": {"node-1": Disk(100_000, None)}}),
    ("writes into it", {}, {"aliases": (Alias("logs", ("logs-1",), "logs-1"),)}),
    ("written to within", {"written": 1001}, {})])
def test_an_index_is_not_merged(why: str, changed: dict[str, Any], more: dict[str, Any]) -> None:
    one = index(**changed)
    known = remembered(quiet(index()), look(one))
    found = merging.find(Merge(), look(one, **more), known)
    assert found.acts == () and why in found.leaves[0].why


def test_the_most_segments_come_first_and_those_that_are_merged_not_at_all() -> None:
    some = [index("a", segments=3), index("b", segments=9), index("c", segments=1),
            index(".kibana"), index("esaas-drill-x")]
    found = merging.find(Merge(), look(*some), quiet(*some))
    assert targets(found) == ["b", "a"] and "1 indices have at most 1 segments" in found.sees
    assert merging.find(Merge(indices="a*"), look(*some), quiet(*some)).acts[0].target == "a"


# -------------------------------------------------------------------------- rollover

@pytest.mark.parametrize(("rule", "due"), [
    ({"max_age_s": 86400 * 9}, True), ({"max_age_s": 86400 * 11}, False),
    ({"max_size_mb": 100}, True), ({"max_size_mb": 101}, False),
    ({"max_documents": 1000}, True), ({"max_documents": 1001, "max_size_mb": 101}, False)])
def test_it_is_time_by_age_size_or_documents(rule: dict[str, int], due: bool) -> None:
    found = rollover.find(Rollover(alias="logs", **rule), look(
        index(), aliases=(Alias("logs", ("logs-1",), "logs-1"),)))
    assert (targets(found) == ["logs-1"]) is due


@pytest.mark.parametrize(("why", "one", "alias"), [
    ("is not there", index(), None), ("says of none", index(), Alias("logs", ("logs-1",))),
    ("empty", index(documents=0), Alias("logs", ("logs-1",), "logs-1")),
    ("does not end in", index("logs-a"), Alias("logs", ("logs-a",), "logs-a")),
    ("life cycle", index(managed=True), Alias("logs", ("logs-1",), "logs-1")),
    ("closed", index(documents=None), Alias("logs", ("logs-1",), "logs-1"))])
def test_it_is_not_rolled_over(why: str, one: Index, alias: Alias | None) -> None:
    found = rollover.find(Rollover(alias="logs", max_age_s=60), look(
        one, aliases=(alias,) if alias else ()))
    assert found.acts == () and why in found.sees + "".join(item.why for item in found.leaves)


def test_elasticsearch_is_given_the_same_limits() -> None:
    rule = Rollover(alias="logs", max_age_s=3600, max_size_mb=5, max_documents=7)
    assert rollover.conditions(rule) == {"max_age": "3600s", "max_size": "5mb", "max_docs": 7}


# -------------------------------------------------------------------------- deletion

RULE = Deletion(pattern="logs-*", older_than_s=86400, dry_run=False)


@pytest.mark.parametrize(("why", "changed", "more"), [
    ("closed", {"written": None, "store_mb": None}, {}),
    ("life cycle", {"managed": True}, {}),
    ("people have made it read-only", {"blocks": ("read_only",)}, {}),
    ("writes into it", {}, {"aliases": (Alias("logs", ("logs-0", "logs-1"), "logs-1"),)}),
    ("the only index of logs", {}, {"aliases": (Alias("logs", ("logs-1",)),)}),
    ("no data node has told its clock", {}, {"clock_off_s": None}),
    ("5.17 min apart", {}, {"clock_off_s": 310.0}),
    ("written to within", {"written": 1001}, {})])
def test_an_old_index_stays(why: str, changed: dict[str, Any], more: dict[str, Any]) -> None:
    one = index(**changed)
    found = deletion.find(RULE, look(one, **more), remembered(quiet(index()), look(one)))
    assert found.acts == () and why in found.leaves[0].why


def test_old_ones_go_the_oldest_first_whatever_blocks_a_full_disk_has_set() -> None:
    some = [index("logs-2", created_at=T - 3 * DAY_S), index("logs-1", full_disk=True),
            index("logs-3", created_at=T - 100), index("metrics-1")]
    found = deletion.find(RULE, look(*some), quiet(*some))
    assert targets(found) == ["logs-1", "logs-2"] and not found.advises
    assert "10 d old, kept for 1 d" in found.acts[0].why


def test_beyond_the_size_the_oldest_go_and_one_that_stays_is_not_made_up_for() -> None:
    rule = Deletion(pattern="logs-*", max_total_mb=450, dry_run=False)
    some = [index(f"logs-{number}", created_at=T - (10 - number) * DAY_S) for number in range(4)]
    assert targets(deletion.find(rule, look(*some), quiet(*some))) == ["logs-0", "logs-1"]
    some[0] = replace(some[0], managed=True)
    found = deletion.find(rule, look(*some), quiet(*some))
    assert targets(found) == ["logs-1"] and found.leaves[0].target == "logs-0"
    tight = Deletion(pattern="logs-*", max_total_mb=1, dry_run=False)
    assert "logs-3" not in targets(deletion.find(tight, look(*some), quiet(*some))), "the newest"


@pytest.mark.parametrize(("taken", "goes"), [
    (None, False), ([], False),
    ([Taken("s", "SUCCESS", T - 4 * DAY_S, indices=("logs-1",))], True),
    ([Taken("s", "SUCCESS", T - 6 * DAY_S, indices=("logs-1",))], False),
    ([Taken("s", "SUCCESS", T - 4 * DAY_S, indices=("logs-2",))], False),
    ([Taken("s", "PARTIAL", T - 4 * DAY_S, indices=("logs-1",))], False),
    ([Taken("s", "IN_PROGRESS", T - 4 * DAY_S, indices=("logs-1",))], False)])
def test_only_what_a_snapshot_has_from_after_the_last_write(taken: Any, goes: bool) -> None:
    rule = RULE.model_copy(update={"require_snapshot": True})
    found = deletion.find(rule, look(index()), quiet(index()), taken)
    assert bool(found.acts) is goes
    assert goes or "snapshot" in found.leaves[0].why


NAMES = st.sampled_from(["logs-1", "logs-2", "logs-3", "lags-1", ".logs-1", "metrics", "log"])
INDICES = st.builds(
    Index, NAMES, st.just("u"), st.floats(0, T), st.just(1), st.integers(0, 2), st.booleans(),
    st.booleans(), st.booleans(),
    st.sampled_from([(), ("read_only",), ("write",)]), st.just({}),
    st.none() | st.integers(0, 9), st.none() | st.floats(0, 1e5), st.none() | st.integers(0, 3),
    st.none() | st.floats(0, 1e5), st.none() | st.integers(0, 9))
LOOKED = st.lists(INDICES, unique_by=lambda one: one.name, max_size=7)
MEMORIES = st.dictionaries(NAMES, st.builds(Quiet, st.just("u"), st.integers(0, 3),
                                            st.floats(0, T)))
RULES = st.builds(Deletion, pattern=st.sampled_from(["logs-*", "lo*", "logs-1", "la*-1"]),
                  older_than_s=st.integers(60, 1_000_000), max_total_mb=st.none() | st.integers(
                      1, 10**5), require_snapshot=st.booleans(), dry_run=st.booleans())
SNAPSHOTS = st.none() | st.lists(st.builds(
    Taken, st.just("s"), st.sampled_from(["SUCCESS", "PARTIAL"]), st.floats(0, T), st.none(),
    st.lists(NAMES).map(tuple)), max_size=3)
WRITERS = st.none() | NAMES


@given(RULES, LOOKED, MEMORIES, SNAPSHOTS, WRITERS)
def test_deletion_never_takes_what_it_must_not(
        rule: Deletion, some: list[Index], memory: dict[str, Quiet], taken: Any,
        writer: str | None) -> None:
    seen = look(*some, aliases=(Alias("all", tuple(one.name for one in some), writer),))
    found = deletion.find(rule, seen, memory, taken)
    head, _, _ = rule.pattern.partition("*")
    for name in targets(found):
        one, known = seen.indices[name], memory[name]
        assert name.startswith(head), "never what does not match"
        assert not name.startswith("."), "never an index of the system"
        assert name != writer, "never what is written to by an alias"
        assert (known.uuid, known.written) == (one.uuid, one.written), "never written to unseen"
        assert T - known.since >= rule.idle_s, "never what was written to lately"
        assert not one.managed and "read_only" not in one.blocks
        assert T - one.created_at > (rule.older_than_s or 0) or rule.max_total_mb is not None
        if rule.require_snapshot:
            assert any(name in shot.indices and shot.status == "SUCCESS"
                       and shot.started_at > known.since for shot in taken or ())
    assert found.advises is rule.dry_run


@given(LOOKED, MEMORIES, st.integers(10, 100_000), st.integers(1, 5), WRITERS)
def test_merging_never_takes_a_hot_index(some: list[Index], memory: dict[str, Quiet],
                                         idle_s: int, most: int, writer: str | None) -> None:
    seen = look(*some, aliases=(Alias("all", tuple(one.name for one in some), writer),))
    for name in targets(merging.find(Merge(idle_s=idle_s, max_segments=most), seen, memory)):
        one, known = seen.indices[name], memory[name]
        assert (known.uuid, known.written) == (one.uuid, one.written) and name != writer
        assert T - known.since >= idle_s and (one.segments or 0) > most
        assert not one.locked and not one.managed and not name.startswith(".")


@given(LOOKED, st.integers(0, 5), st.integers(1, 20))
def test_replicas_never_get_fewer_nor_more_than_nodes_can_hold(some: list[Index], nodes: int,
                                                               least: int) -> None:
    rule = Replicas(at_least=least)
    wanted = replicas.target(rule, nodes)
    assert wanted <= max(nodes - 1, 0) and wanted <= least
    for name in targets(replicas.find(rule, look(*some), nodes)):
        assert look(*some).indices[name].replicas < wanted
        assert not look(*some).indices[name].auto_expand


# ------------------------------------------------------------- replicas, blocks, guards

def test_replicas_are_raised_as_far_as_there_are_nodes_and_room() -> None:
    some = [index("a", replicas=0), index("b", replicas=2), index("c", replicas=0, managed=True),
            index("d", replicas=0, auto_expand=True), index(".e", replicas=0)]
    found = replicas.find(Replicas(at_least=2), look(*some), 2)
    assert targets(found) == ["a"] and "0 replicas become 1" in found.acts[0].why
    assert "(2 are wanted, and there are 2 data nodes)" in found.sees
    assert replicas.find(Replicas(), look(*some), 1).acts == ()
    large = index("a", replicas=0, primary_mb=91_000.0)
    full = replicas.find(Replicas(), look(large), 2)
    assert full.acts == () and "no room below the watermark" in full.leaves[0].why


@pytest.mark.parametrize(("disks", "watermark", "released"), [
    ({"a": Disk(1000, 200), "b": Disk(1000, 500)}, "90%", True),
    ({"a": Disk(1000, 110), "b": Disk(1000, 500)}, "90%", False),
    ({"a": Disk(1000, 200)}, "0.9", True), ({"a": Disk(1000, 200)}, "300mb", False),
    ({"a": Disk(1000, 200)}, "100mb", True), ({"a": Disk(1000, 200)}, "", False),
    ({"a": Disk(1000, 200)}, "a lot", False), ({"a": Disk(1000, None)}, "90%", False),
    ({"a": Disk(1000, 900), "b": Disk()}, "90%", False), ({}, "90%", False)])
def test_blocks_go_only_when_every_disk_has_room(disks: dict[str, Disk], watermark: str,
                                                 released: bool) -> None:
    some = [index("a", full_disk=True, blocks=("write",)), index("b", blocks=("read_only",))]
    found = unblocking.find(Unblock(), look(*some, disks=disks, high_watermark=watermark))
    assert (targets(found) == ["a"]) is released and "b" not in targets(found)
    assert bool(found.leaves) is not released


def test_indices_beyond_a_guard_are_listed_and_left_as_they_are() -> None:
    some = [index("a", limits={"index.max_result_window": 50_000}), index("b")]
    found = limits.find_guards(Guards(max_result_window=10_000, request_mb=100), look(*some))
    assert found.acts == () and found.leaves == (
        Act("a", "index.max_result_window is 50000, at most 10000"),)
    assert "at most 100 MB" in found.sees
    tight = limits.find_guards(Guards(max_result_window=9000), look(*some))
    assert [act.target for act in tight.leaves] == ["a", "b"], "what says nothing has the default"


# -------------------------------------------------------------- errands, gates, plans

def calm(**wish: object) -> ClusterState:
    """Three nodes, nothing to do but housekeeping."""
    wanted = spec(group(count=3), housekeeping=wish)
    state = formed(3, wanted)
    return replace(state, nodes=MappingProxyType({
        name: replace(record, config=config.wanted(state, record))
        for name, record in state.nodes.items()}), settled=(1, wanted))


MERGING = {"merge": {"hours": "0-24"}}
DELETING = {"delete": [{"pattern": "logs-*", "older_than_s": 60, "dry_run": False}]}
SEEN = look(index())


def plan(state: ClusterState) -> policies.Planned:
    [found] = policies.plans(state, SEEN, quiet(index()))
    return found


def begun(state: ClusterState) -> list[str]:
    draft = Draft(state, NOW)
    errands.run(draft)
    return [one.subject for one in draft.operations if isinstance(one, RunErrand)]


def test_what_is_found_is_asked_for_once_and_begun() -> None:
    state = calm(**DELETING)
    assert policies.may_act(state, plan(state), NOW) == ""
    state = apply(state, policies.asked(plan(state), "e1", NOW))
    [item] = state.errands
    assert (item.kind, rule_of(item, Deletion).pattern) == (policies.DELETE, "logs-*")
    assert planned(item) == {"logs-1": Quiet("uuid-logs-1", 1000, T - 5 * DAY_S)}
    assert policies.may_act(state, plan(state), NOW) == "it is waiting or under way"
    assert begun(state) == ["e1"]
    assert operation_view(item).parameters == {"by": "housekeeping", "targets": "logs-1"}


def test_on_a_fresh_look_only_what_was_planned_is_left_and_nothing_made_anew() -> None:
    found = deletion.find(RULE, look(index("logs-1"), index("logs-2")),
                          quiet(index("logs-1"), index("logs-2")))
    known = quiet(index("logs-1"), index("logs-9"))
    assert [one.name for one in still(found, known, look(index("logs-1"), index("logs-2")))] == [
        "logs-1"]
    anew = look(index("logs-1", uuid="other"), index("logs-2"))
    assert still(found, known, anew) == []


@pytest.mark.parametrize(("gate", "wish", "changed"), [
    ("es_view_fresh", DELETING, {"es": view("node-1", at=NOW - 31)}),
    ("not_paused", DELETING, {"paused": True}),
    ("no_primary_missing", DELETING, {"es": view("node-1", health="red")}),
    ("cluster_green", MERGING, {"es": view("node-1", "node-2", "node-3", health="yellow")}),
    ("nothing_moves", MERGING, {"es": view("node-1", "node-2", "node-3", relocating_shards=1)}),
    ("no_change_under_way", MERGING, {"paused": False, "revision": 2}),
    ("within_hours", {"merge": {"hours": "5-6"}}, {})])
def test_each_gate_holds_by_its_name(gate: str, wish: dict[str, Any],
                                     changed: dict[str, Any]) -> None:
    state = calm(**wish)
    if gate == "no_change_under_way":
        state = state.with_node(replace(state.nodes["node-2"], recycle=1))
    else:
        state = replace(state, **changed)
    assert policies.may_act(state, plan(state), NOW).startswith(f"held by {gate}: ")
    waiting = apply(state, policies.asked(plan(state), "e1", NOW))
    held = errands.held(waiting, waiting.errands[0], NOW)
    assert held is not None and held.name == gate and begun(waiting) == []


def test_what_was_merged_and_is_as_it_was_is_not_merged_again_and_again() -> None:
    state = calm(**MERGING)
    state = apply(state, policies.asked(plan(state), "e1", NOW))
    state = apply(state, ev.ErrandProgress(NOW, "e1", 1, 2))
    cut_off = apply(state, ev.EsActed(NOW, "RunErrand", True, "merged none", "e1"))
    assert targets(plan(cut_off).found) == ["logs-1"], "the hours were over"
    state = apply(state, ev.ErrandProgress(NOW, "e1", 2, 2))
    state = apply(state, ev.EsActed(NOW, "RunErrand", True, "merged logs-1", "e1"))
    found = plan(state).found
    assert found.acts == () and "it was merged, and has up to 8" in found.leaves[0].why
    written = index(written=1001)
    [again] = policies.plans(state, look(written), quiet(written))
    assert targets(again.found) == ["logs-1"]


def test_deletions_wait_for_a_snapshot_and_rollovers_for_a_switch() -> None:
    state = apply(calm(**DELETING), ev.ErrandAsked(NOW, "s", "snapshot", (("snapshot", "x"),)))
    state = apply(state, ev.ErrandBegun(NOW, "s"))
    assert policies.may_act(state, plan(state), NOW).startswith("held by no_snapshot_runs: ")
    rolling = replace(calm(rollover=[{"alias": "logs", "max_age_s": 60}]),
                      switches={"allocation": Switch("none", None, NOW)})
    held = policies.holding(rolling, policies.ROLL_OVER, NOW)
    assert held is not None and held.name == "no_switch_in_the_way"


def test_an_errand_whose_rule_people_have_taken_back_is_not_begun() -> None:
    state = calm(**DELETING)
    state = apply(state, policies.asked(plan(state), "e1", NOW))
    for wish in ({}, {"delete": [{"pattern": "logs-*", "older_than_s": 60}]}):
        changed = replace(state, spec=parse_spec(body(group(count=3), housekeeping=wish)))
        draft = Draft(changed, NOW)
        errands.run(draft)
        assert not [one for one in draft.operations if isinstance(one, RunErrand)]
        [item] = draft.state.errands
        assert (item.status, item.ended_at) == ("failed", NOW) and "not this rule" in item.message
        again = Draft(draft.state, NOW)
        errands.run(again)
        assert again.operations == []


def test_what_has_failed_waits_and_what_only_tells_never_begins() -> None:
    state = calm(**DELETING)
    state = apply(state, policies.asked(plan(state), "e1", NOW))
    state = apply(state, ev.EsActed(NOW, "RunErrand", False, "no", "e1", False))
    assert policies.may_act(state, plan(state), NOW + 1) == "it has failed: no"
    later = replace(state, es=view("node-1", "node-2", "node-3", at=NOW + policies.AGAIN_S))
    assert policies.may_act(later, plan(later), NOW + policies.AGAIN_S) == ""
    telling = calm(delete=[{"pattern": "logs-*", "older_than_s": 60}])
    assert policies.may_act(telling, plan(telling), NOW) == "dry_run is true"
    guarding = calm(guards={"max_result_window": 1})
    assert policies.may_act(guarding, plan(guarding), NOW) == "it only tells"


def test_every_policy_of_a_spec_has_its_say() -> None:
    state = calm(**MERGING, **DELETING, rollover=[{"alias": "logs", "max_age_s": 60}],
                 caches={"fielddata_size": "20%"}, guards={"max_result_window": 5},
                 replicas={"at_least": 2}, unblock={})
    state = replace(state, es=view(*(f"node-{number}" for number in (1, 2, 3))))
    assert state.es is not None and isinstance(state.es.nodes["node-1"], EsNode)
    found = policies.plans(state, SEEN, quiet(index()))
    assert [(one.found.policy, one.found.subject) for one in found] == [
        ("merge", ""), ("rollover", "logs"), ("delete", "logs-*"), ("replicas", ""),
        ("unblock", ""), ("guards", ""), ("caches", "")]
    assert all(one.found.sees for one in found)
    assert found[3].found.acts[0].why.startswith("1 replicas become 2")
