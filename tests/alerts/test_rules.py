"""The rules, each by a table: what is wrong, what is not, and what cannot be known."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from esaas.framework.core.alerts.look import (
    Held,
    Look,
    PlatformLook,
    SnapshotFacts,
    Use,
    held_steps,
)
from esaas.framework.core.alerts.machine import Severity
from esaas.framework.core.alerts.policy import AlertPolicy, Limit
from esaas.framework.core.alerts.rules import BY_NAME, RULES, evaluate
from esaas.framework.core.alerts.trend import zero_in_s
from esaas.framework.core.facts import ClusterState, Link, NodeState
from esaas.framework.core.plan import diff
from esaas.framework.core.spec import SpecFaults, parse_spec

from ..core.builders import NOW, formed, record, view

CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING


def state(**more: Any) -> ClusterState:
    """A settled cluster of three nodes that was just looked at, connected."""
    found = formed(3)
    return replace(found, es=view("node-1", "node-2", "node-3"),
                   link=Link(connected=True), **more)


def seen(**more: Any) -> ClusterState:
    """The same, with another view."""
    return replace(state(), es=view("node-1", "node-2", "node-3", **more))


def look(of: ClusterState | None = None, **more: Any) -> Look:
    return Look(of or state(), NOW, **more)


def figures(**values: float) -> Look:
    return look(nodes={"node-1": values, "node-2": dict.fromkeys(values, 0.0)})


DOWN = replace(state(), nodes={**state().nodes, "node-2": record("node-2", NodeState.DOWN)})
FLAPPING = replace(state(), nodes={
    **state().nodes, "node-2": record("node-2", failures=4, message="exit 137")})
STALE = seen(at=NOW - 300)

WRONG: tuple[tuple[str, Look, tuple[tuple[str, Severity], ...]], ...] = (
    ("cluster_red", look(seen(health="red", unassigned_shards=3)), (("", CRITICAL),)),
    ("cluster_yellow", look(seen(health="yellow")), (("", WARNING),)),
    ("cluster_unseen", look(STALE), (("", CRITICAL),)),
    ("unassigned_shards", look(seen(unassigned_shards=2)), (("", WARNING),)),
    ("node_count", look(DOWN), (("", WARNING),)),
    ("node_restarting", look(FLAPPING), (("node-2", WARNING),)),
    ("node_restarting", figures(restarts_per_h=12), (("node-1", CRITICAL),)),
    ("gc_time", figures(gc_young_ms_per_s=150, gc_old_ms_per_s=100), (("node-1", WARNING),)),
    ("gc_time", figures(gc_old_ms_per_s=600), (("node-1", CRITICAL),)),
    ("old_generation", figures(heap_old_percent=90), (("node-1", WARNING),)),
    ("node_disk", figures(disk_used_percent=92), (("node-1", CRITICAL),)),
    ("disk_full_soon", look(nodes={"node-1": {}}, full_in_s={"node-1": 7200.0}),
     (("node-1", WARNING),)),
    ("rejections", figures(rejections_per_s=4), (("node-1", WARNING),)),
    ("snapshot_late", look(snapshots=SnapshotFacts(due_since=NOW - 60)), (("", WARNING),)),
    ("snapshot_failed", look(snapshots=SnapshotFacts(failed="no space")), (("", WARNING),)),
    ("snapshot_drill_failed", look(snapshots=SnapshotFacts(drill_failed="no such index")),
     (("", CRITICAL),)),
    ("plan_stuck", look(held=(Held("restart node-1", "cluster_green", "is yellow"),
                              Held("restart node-2", "cluster_green", "is yellow"))),
     (("cluster_green", WARNING),)),
    ("scheduler_without_master", look(replace(state(), link=Link())), (("", CRITICAL),)),
)
PLATFORM_WRONG = (
    ("host_disk", PlatformLook(NOW, hosts={"h1": {"disk_used_percent": 90}}), (("h1", WARNING),)),
    ("host_load", PlatformLook(NOW, hosts={"h1": {"load_per_core": 6}}), (("h1", CRITICAL),)),
    ("agent_lost", PlatformLook(NOW, lost={"h1": ("a/n-1", "b/n-1")}), (("h1", CRITICAL),)),
    ("mesos_away", PlatformLook(NOW, connected={"a": False, "b": False, "c": True}),
     (("mesos", CRITICAL),)),
    ("quota_nearly_used", PlatformLook(NOW, uses=(
        Use("acme", "cpus", 9.5, 10), Use("acme", "mem_mb", 1, 10), Use("zero", "cpus", 1, 0))),
     (("acme/cpus", WARNING), ("zero/cpus", WARNING))),
)
FINE: tuple[tuple[str, Look | PlatformLook], ...] = (
    ("cluster_red", look(seen(health="yellow"))),
    ("cluster_yellow", look(seen(health="red"))),
    ("cluster_unseen", look()),
    ("cluster_unseen", look(replace(STALE, deleting=True))),
    ("unassigned_shards", look()),
    ("node_count", look()),
    ("node_restarting", look()),
    ("gc_time", figures(gc_young_ms_per_s=20)),
    ("old_generation", figures(heap_old_percent=60)),
    ("node_disk", figures(disk_used_percent=79)),
    ("disk_full_soon", look(nodes={"node-1": {}}, full_in_s={"node-1": 200_000.0})),
    ("rejections", figures(rejections_per_s=0.5)),
    ("snapshot_late", look(snapshots=SnapshotFacts(due_since=NOW + 60))),
    ("snapshot_failed", look(snapshots=SnapshotFacts())),
    ("plan_stuck", look()),
    ("plan_stuck", look(state(paused=True), held=(Held("s", "g", "r"),))),
    ("scheduler_without_master", look()),
    ("mesos_away", PlatformLook(NOW, connected={"a": False, "b": True})),
    ("agent_lost", PlatformLook(NOW)),
    ("quota_nearly_used", PlatformLook(NOW, uses=(Use("a", "cpus", 1, 10),))),
)
UNKNOWN: tuple[tuple[str, Look | PlatformLook], ...] = (
    ("cluster_red", look(STALE)), ("cluster_yellow", look(STALE)),
    ("unassigned_shards", look(STALE)), ("node_count", look(STALE)),
    ("gc_time", look()), ("old_generation", look()), ("node_disk", look()),
    ("disk_full_soon", look()), ("rejections", look()), ("snapshot_late", look()),
    ("snapshot_failed", look()), ("snapshot_drill_failed", look()),
    ("host_disk", PlatformLook(NOW)), ("host_load", PlatformLook(NOW)),
    ("quota_nearly_used", PlatformLook(NOW)),
)


def found_by(rule: str, what: Look | PlatformLook, **more: Any) -> Any:
    evaluation = evaluate(what, more.pop("firing", ()), **more)
    return None if rule in evaluation.unknown else [
        one for one in evaluation.found if one.rule == rule]


@pytest.mark.parametrize(("rule", "what", "expected"), (*WRONG, *PLATFORM_WRONG))
def test_what_is_wrong(rule: str, what: Look | PlatformLook, expected: Any) -> None:
    found = found_by(rule, what)
    # A limit of quota at 100 % is a warning; only what is beyond it is critical.
    assert [(one.subject, one.severity) for one in found] == list(expected)
    assert all(one.text and one.for_s == BY_NAME[rule].for_s for one in found)


@pytest.mark.parametrize(("rule", "what"), FINE)
def test_what_is_not(rule: str, what: Look | PlatformLook) -> None:
    assert found_by(rule, what) == []


@pytest.mark.parametrize(("rule", "what"), UNKNOWN)
def test_what_cannot_be_known_is_neither(rule: str, what: Look | PlatformLook) -> None:
    assert found_by(rule, what) is None


def test_every_rule_has_its_lines_in_these_tables() -> None:
    shown = {line[0] for line in (*WRONG, *PLATFORM_WRONG)}
    # The store's own trouble is found by who cannot read it (test_engine.py).
    assert shown == {rule.name for rule in RULES} - {"store_trouble"}
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert {rule.name for rule in RULES} == AlertPolicy.model_fields.keys() - {"disabled"}


def test_the_spec_goes_before_the_platform_and_that_before_the_rule() -> None:
    hot = figures(disk_used_percent=50)
    platform = AlertPolicy(node_disk=Limit(above=40, for_s=5))
    own = AlertPolicy(node_disk=Limit(above=60))
    assert len(found_by("node_disk", hot, policies=(AlertPolicy(), platform))) == 1
    assert found_by("node_disk", hot, policies=(own, platform)) == []
    off = AlertPolicy(disabled=("node_disk",))
    assert found_by("node_disk", figures(disk_used_percent=99), policies=(off, platform)) == []
    assert BY_NAME["node_disk"].limits((own, platform)).for_s == 5
    high = BY_NAME["node_disk"].limits((AlertPolicy(node_disk=Limit(above=95)),))
    assert (high.above, high.critical) == (95, 95)


def test_a_figure_that_fires_is_wrong_until_it_is_clearly_below() -> None:
    near = figures(disk_used_percent=78)
    assert found_by("node_disk", near) == []
    assert len(found_by("node_disk", near, firing={("node_disk", "node-1")})) == 1
    assert found_by("node_disk", figures(disk_used_percent=70),
                    firing={("node_disk", "node-1")}) == []


def test_held_steps_come_from_the_plan_with_their_gate() -> None:
    waiting = replace(formed(3), link=Link(connected=False), es=None, nodes={
        **formed(3).nodes, "node-3": record("node-3", NodeState.PLANNED)})
    held = held_steps(diff(waiting, NOW))
    assert [one.gate for one in held] == ["connected_to_mesos"]


def test_the_time_to_full_is_a_line_through_what_was_seen() -> None:
    falling = [(at * 60.0, 10_000 - 10.0 * at) for at in range(11)]
    assert zero_in_s(falling) == pytest.approx(9_900 / (10 / 60))
    assert zero_in_s(falling[:4]) is None, "too little is known"
    assert zero_in_s([(at, 5.0) for at, _ in falling]) is None
    assert zero_in_s([(at, 5.0 + at) for at, _ in falling]) is None


def test_limits_in_a_spec_are_checked_with_every_fault() -> None:
    body = {"name": "a", "tenant": "t", "version": "6.8.23", "alerts": {
        "node_disc": {}, "node_disk": {"abov": 1}, "gc_time": {"above": 9, "critical": 3},
        "disabled": ["nothing"]},
        "groups": [{"name": "node", "count": 3, "mem_mb": 2048, "disk_mb": 10240}]}
    with pytest.raises(SpecFaults) as refused:
        parse_spec(body)
    assert {fault.path for fault in refused.value.faults} == {
        "alerts.node_disc", "alerts.node_disk.abov", "alerts.gc_time", "alerts.disabled"}
    sound = parse_spec(body | {"alerts": {"node_disk": {"above": 70}, "disabled": ["gc_time"]}})
    assert parse_spec(sound.model_dump()) == sound
    assert sound.model_dump(mode="json")["alerts"] == {
        "node_disk": {"above": 70.0}, "disabled": ["gc_time"]}
