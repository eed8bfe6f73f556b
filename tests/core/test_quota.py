"""The arithmetic of quota: what counts, what is refused, and how that reads."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from esaas.framework.core.facts import ClusterState, Identity
from esaas.framework.core.plan import founded
from esaas.framework.core.quota import (
    FIELDS,
    Amounts,
    Limit,
    Quota,
    capacity_faults,
    held_by,
    limit_faults,
    number,
    peak,
    quota_faults,
)
from esaas.framework.core.spec import ClusterSpec, parse_spec
from hypothesis import given
from hypothesis import strategies as st


def spec_of(count: int = 3, cpus: float = 1.0, mem_mb: int = 1024, disk_mb: int = 1000,
            max_extra: int = 1, name: str = "logs", **more: Any) -> ClusterSpec:
    """A cluster of one group, and maybe others."""
    group = {"name": "node", "count": count, "cpus": cpus, "mem_mb": mem_mb, "disk_mb": disk_mb}
    return parse_spec({"name": name, "tenant": "acme", "version": "7.17.28",
                       "groups": [group, *more.pop("groups", [])],
                       "change": {"max_extra": max_extra}} | more)


def state_of(spec: ClusterSpec, settled: ClusterSpec | None = None) -> ClusterState:
    """A cluster on the way from one spec to another."""
    state = founded(Identity(spec.name, spec.tenant, "u1", 0.0, None, "f1"), spec)
    return replace(state, settled=(1, settled) if settled is not None else None, revision=2)


SIDE = {"name": "kibana", "kind": "sidecar", "count": 1, "command": "true", "cpus": 4.0,
        "mem_mb": 256, "disk_mb": 64}


@pytest.mark.parametrize(("old", "new", "wanted"), [
    (None, spec_of(3, max_extra=0), Amounts(3.3, 3264, 3000)),
    (None, spec_of(3, max_extra=1), Amounts(4.4, 4352, 4000)),
    (None, spec_of(3, max_extra=50), Amounts(6.6, 6528, 6000)),       # never more than there are
    (None, spec_of(3, max_extra=0, groups=[SIDE]), Amounts(7.4, 3584, 3064)),
    (spec_of(3, max_extra=0), spec_of(5, max_extra=0), Amounts(5.5, 5440, 5000)),
    (spec_of(5, max_extra=0), spec_of(3, max_extra=0), Amounts(5.5, 5440, 5000)),
    (spec_of(3, mem_mb=4096, max_extra=0), spec_of(3, cpus=2, max_extra=0),
     Amounts(6.3, 12480, 3000)),                                # restarts go node by node
    (spec_of(3, max_extra=0, groups=[{**SIDE, "count": 1}]), spec_of(3, max_extra=0),
     Amounts(7.4, 3584, 3064)),                                 # the old one goes last
])
def test_what_is_reserved_at_most(old: ClusterSpec | None, new: ClusterSpec,
                                  wanted: Amounts) -> None:
    assert peak(old, new) == wanted


def test_a_cluster_holds_what_it_comes_from_until_the_change_is_done() -> None:
    small, large = spec_of(3, max_extra=0), spec_of(5, max_extra=0)
    assert held_by(state_of(small)) == peak(None, small)
    assert held_by(state_of(small, settled=large)) == peak(None, large)


def test_a_refusal_has_the_arithmetic() -> None:
    quota = Quota(Limit(cpus=16), Limit(cpus=6, mem_mb=2000))
    others = {"a": Amounts(4), "b": Amounts(4), "c": Amounts(4)}
    new = spec_of(6, cpus=0.9, max_extra=0)
    found = quota_faults(quota, others, None, new)
    assert [(fault.rule, fault.path, fault.message) for fault in found] == [
        ("tenant_quota", "groups",
         "cpus: 12 used by 3 clusters + 6 asked for = 18 > limit 16 of tenant acme"),
        ("cluster_quota", "groups",
         "mem_mb: 0 used by logs + 6528 asked for = 6528 > limit 2000 of cluster logs")]


def test_a_change_counts_what_it_adds() -> None:
    quota, before = Quota(Limit(cpus=5)), state_of(spec_of(3, max_extra=0))
    after = spec_of(5, max_extra=0)
    assert [fault.message for fault in quota_faults(quota, {}, before, after)] == [
        "cpus: 3.3 used by 1 cluster + 2.2 asked for = 5.5 > limit 5 of tenant acme"]
    assert quota_faults(quota, {}, before, spec_of(4, max_extra=0)) == []


def test_who_is_above_a_limit_may_still_shrink_and_change_other_things() -> None:
    quota = Quota(Limit(1, 1, 1), Limit(1, 1, 1))
    before = state_of(spec_of(5))
    assert quota_faults(quota, {}, before, spec_of(3)) == []
    assert quota_faults(quota, {}, before, spec_of(5, description="other")) == []
    assert {fault.rule for fault in quota_faults(quota, {}, before, spec_of(6))} == {
        "tenant_quota", "cluster_quota"}


def test_one_cluster_may_have_a_limit_of_its_own() -> None:
    quota = Quota(per_cluster=Limit(cpus=2, mem_mb=8192), clusters={"logs": Limit(cpus=20)})
    assert quota.of("logs") == Limit(20, 8192, None)
    assert quota.of("other") == Limit(2, 8192, None)
    assert quota_faults(quota, {}, None, spec_of(3)) == []
    assert quota_faults(quota, {}, None, spec_of(3, name="other"))[0].rule == "cluster_quota"


def test_a_limit_is_not_below_its_guarantee_nor_below_what_is_used_unless_forced() -> None:
    limit, used = Limit(cpus=4, mem_mb=1000), Amounts(6, 500, 10**6)
    assert [(fault.path, fault.rule) for fault in limit_faults(
        Amounts(5), limit, used, forced=False)] == [
        ("limit.cpus", "limit_holds_guarantee"), ("limit.cpus", "limit_covers_use")]
    assert [fault.rule for fault in limit_faults(Amounts(5), limit, used, forced=True)] == [
        "limit_holds_guarantee"]
    assert limit_faults(Amounts(4), limit, Amounts(4), forced=False) == []


def test_guarantees_together_fit_into_the_agents() -> None:
    found = capacity_faults("acme", Amounts(4, 100), {"a": Amounts(6), "b": Amounts(3)},
                            Amounts(12, 100))
    assert [(fault.path, fault.message) for fault in found] == [(
        "guarantee.cpus", "cpus: 9 guaranteed to 2 others + 4 for acme = 13 > 12 of all agents")]
    assert capacity_faults("acme", Amounts(), {"a": Amounts(20)}, Amounts(12)) == []


@pytest.mark.parametrize(("value", "text"), [
    (16.0, "16"), (0.1 + 0.2, "0.3"), (0.0, "0"), (1099511627776.0, "1099511627776"),
    (1.2345, "1.234"), (100.0, "100")])
def test_numbers_are_written_for_people(value: float, text: str) -> None:
    assert number(value) == text


SPECS = st.builds(spec_of, st.integers(2, 9), st.integers(1, 400).map(lambda n: n / 100),
                  st.integers(256, 9000), st.integers(64, 9000), st.integers(0, 3))
LIMITS = st.builds(Limit, *(st.none() | st.integers(0, most) for most in (60, 90000, 90000)))


@given(SPECS, SPECS, SPECS, LIMITS, LIMITS)
def test_what_is_accepted_stays_within_the_limits_or_does_not_grow(
        other: ClusterSpec, old: ClusterSpec, new: ClusterSpec, limit: Limit,
        own: Limit) -> None:
    others = {"other": peak(None, other)}
    before, quota = state_of(old), Quota(limit, own)
    faults = quota_faults(quota, others, before, new)
    held, after = held_by(before), held_by(state_of(new, settled=old))
    for field in FIELDS:
        refused = {fault.rule for fault in faults if fault.message.startswith(f"{field}:")}
        grows = getattr(after, field) > getattr(held, field) + 0.001
        whole = getattr(after, field) + getattr(others["other"], field)
        for rule, most, have in (("tenant_quota", getattr(limit, field), whole),
                                 ("cluster_quota", getattr(own, field), getattr(after, field))):
            if rule not in refused and most is not None and grows:
                assert have <= most + 0.001, (field, rule)
            if rule in refused:
                assert most is not None and have > most - 0.001, (field, rule)


@given(SPECS, SPECS)
def test_the_way_between_two_specs_holds_both_ends(old: ClusterSpec, new: ClusterSpec) -> None:
    most = peak(old, new)
    for field in FIELDS:
        # Extra nodes belong to the change that is made: the old spec's budget is not used.
        plain = replace_extra(old, min(old.change.max_extra, new.change.max_extra))
        assert getattr(most, field) >= getattr(peak(None, plain), field) - 0.001
        assert getattr(most, field) >= getattr(peak(None, new), field) - 0.001


def replace_extra(spec: ClusterSpec, max_extra: int) -> ClusterSpec:
    """The same with another budget."""
    return parse_spec(spec.model_dump() | {"change": {"max_extra": max_extra}})
