"""Change rules: each has a name, and a change is refused with every reason at once."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from esaas.framework.core.facts import EsNode, EsView
from esaas.framework.core.spec import ClusterSpec
from esaas.framework.core.validate import NEVER_OVERRIDDEN, RULES, validate

from .builders import group, spec, view

OLD = spec(group(), group("data", 2, roles=["data"]))


def changed(**more: Any) -> ClusterSpec:
    return spec(group(), group("data", 2, roles=["data"]), **more)


def seen(**more: Any) -> EsView:
    known = frozenset({"indices.memory.index_buffer_size", "a.b"})
    found = view("node-1", max_replicas=1, store_mb=100.0, known_settings=known, **more)
    return replace(found, nodes={"node-1": EsNode("es-node-1", "node-1", version="6.8.23")})


@pytest.mark.parametrize(("new", "path", "rule"), [
    (changed(name="other"), "name", "identity_is_fixed"),
    (changed(tenant="other"), "tenant", "identity_is_fixed"),
    (spec(group()), "groups[1]", "groups_are_emptied_first"),
    (spec(group(disk_mb=1000), group("data", 2, roles=["data"])), "groups[0].disk_mb",
     "volumes_never_shrink"),
    (spec(group(), group("data", 2, roles=["data", "ingest"])), "groups[1].roles",
     "groups_keep_their_roles"),
    (changed(settings={"indices.memory.index_bufer_size": "20%"}),
     "settings.indices.memory.index_bufer_size", "settings_are_known"),
    (spec(group(settings={"no.such": 1}), group("data", 2, roles=["data"])),
     "groups[0].settings.no.such", "settings_are_known"),
    (changed(version="6.8.22"), "version", "no_downgrade"),
    (changed(version="8.19.0"), "version", "upgrade_is_supported"),
])
def test_an_unsafe_change_is_refused_by_the_name_of_its_rule(
        new: ClusterSpec, path: str, rule: str) -> None:
    found = validate(OLD, new, seen())
    assert [(fault.path, fault.rule) for fault in found] == [(path, rule)]
    assert found[0].message


LARGE = spec(group(count=5), group("data", 4, roles=["data"]))


@pytest.mark.parametrize(("old", "new", "look", "rule"), [
    (OLD, OLD.with_count("data", 1), None, "shrink_sees_the_data"),
    (OLD, OLD.with_count("data", 1), seen(), None),
    (OLD, OLD.with_count("data", 1), replace(seen(), max_replicas=4),
     "shrink_leaves_room_for_copies"),
    (OLD, OLD.with_count("data", 1), replace(seen(), store_mb=6801.0),
     "shrink_leaves_room_on_disk"),
    (OLD, OLD.with_count("data", 1), replace(seen(), store_mb=6800.0), None),
    (LARGE, LARGE.with_count("node", 2), seen(), "quorum_stays"),
    (LARGE, LARGE.with_count("node", 3), seen(), None),
])
def test_a_shrink_is_judged_by_what_the_cluster_holds(
        old: ClusterSpec, new: ClusterSpec, look: EsView | None, rule: str | None) -> None:
    assert [fault.rule for fault in validate(old, new, look)] == ([rule] if rule else [])


@pytest.mark.parametrize(("old", "new", "allowed"), [
    ("6.8.0", "6.8.23", True), ("6.8.23", "7.17.28", True), ("7.17.0", "8.0.0", True),
    ("8.19.1", "9.1.0", True), ("7.16.3", "8.0.0", False), ("8.18.0", "9.0.0", False),
    ("6.8.23", "8.0.0", False), ("7.17.1", "7.17.0", False)])
def test_versions_go_up_by_ways_that_elasticsearch_knows(
        old: str, new: str, allowed: bool) -> None:
    look = replace(seen(), nodes={"node-1": EsNode("es-node-1", "node-1", version=old)})
    assert (validate(changed(version=old), changed(version=new), look) == []) is allowed


@pytest.mark.parametrize("new", [
    OLD, OLD.with_count("data", 5), OLD.with_count("node", 5), changed(description="x"),
    changed(settings={"a.b": 1}), changed(jvm_options=["-Da=b"]), changed(default_replicas=2),
    spec(group(cpus=2.0, mem_mb=2048, disk_mb=9000), group("data", 2, roles=["data"])),
    spec(group(mem_mb=512), group("data", 2, roles=["data"])),
    changed(settings={"logger.org.elasticsearch.discovery": "DEBUG"}),
    changed(plugins=[{"name": "analysis-icu"}], settings={"icu.own": 1}),
    spec(group(), group("data", 2, roles=["data"]), group("more", 1, roles=["ingest"]))])
def test_growth_words_and_what_a_rolling_restart_can_change_are_safe(new: ClusterSpec) -> None:
    assert validate(OLD, new, seen()) == []
    assert validate(OLD, new, None) == [], "nothing shrinks, so nothing has to be seen"


def test_every_reason_is_told_at_once() -> None:
    new = spec(group(count=2, disk_mb=1000), tenant="other", version="6.8.1")
    assert {fault.rule for fault in validate(OLD, new, None)} == {
        "identity_is_fixed", "shrink_sees_the_data", "groups_are_emptied_first",
        "volumes_never_shrink", "no_downgrade"}


@pytest.mark.parametrize(("replicas", "extra", "refused"), [(4, 0, True), (4, 1, False),
                                                            (3, 0, False)])
def test_without_an_extra_node_the_others_must_have_room_for_a_move(
        replicas: int, extra: int, refused: bool) -> None:
    larger = spec(group(), group("data", 2, roles=["data"], disk_mb=4000),
                  change={"max_extra": extra})
    found = validate(OLD, larger, replace(seen(), max_replicas=replicas))
    assert [(fault.path, fault.rule) for fault in found] == (
        [("groups[1]", "moves_can_end")] if refused else [])


def test_a_plugin_of_the_old_version_is_no_plugin_of_the_new_one() -> None:
    plugins = [{"name": "p", "url": "http://x/p.zip", "sha256": "0" * 64}, {"name": "by-name"}]
    found = validate(changed(plugins=plugins), changed(plugins=plugins, version="7.17.29"), seen())
    assert [(fault.path, fault.rule) for fault in found] == [
        ("plugins[0]", "plugins_follow_the_version")]


def test_back_from_an_upgrade_that_no_node_has_run_is_no_downgrade() -> None:
    assert validate(changed(version="7.17.29"), changed(version="6.8.23"), seen()) == []
    assert [fault.rule for fault in validate(
        changed(version="7.17.29"), changed(version="6.8.23"), None)] == ["no_downgrade"]


SECURED = {"security": {"enabled": True}}


@pytest.mark.parametrize(("old", "new"), [(OLD, changed(**SECURED)), (changed(**SECURED), OLD)])
def test_security_is_neither_switched_on_nor_off(old: ClusterSpec, new: ClusterSpec) -> None:
    found = validate(old, new, seen())
    assert [(fault.path, fault.rule) for fault in found] == [
        ("security.enabled", "security_is_for_life")]
    assert "security_is_for_life" in NEVER_OVERRIDDEN


def test_the_life_of_certificates_may_change() -> None:
    shorter = changed(security={"enabled": True, "certificate_days": 30})
    assert validate(changed(**SECURED), shorter, seen()) == []


def test_every_rule_is_seen_to_refuse_by_a_test_above() -> None:
    assert {rule.__name__ for rule in RULES} == {
        "identity_is_fixed", "security_is_for_life", "shrink_sees_the_data",
        "shrink_leaves_room_for_copies",
        "shrink_leaves_room_on_disk", "quorum_stays", "groups_are_emptied_first",
        "groups_keep_their_roles", "volumes_never_shrink", "moves_can_end",
        "settings_are_known", "plugins_follow_the_version", "no_downgrade",
        "upgrade_is_supported"}
