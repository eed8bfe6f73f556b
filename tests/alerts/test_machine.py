"""The life of alerts and who is told: properties over any story, and single ones by name."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from esaas.framework.core.alerts.machine import (
    Ack,
    Alert,
    Condition,
    Key,
    Phase,
    Severity,
    advance,
)
from esaas.framework.core.alerts.routing import (
    PLATFORM,
    Notice,
    Quiet,
    Silence,
    notify,
    quiet,
)
from hypothesis import given
from hypothesis import strategies as st

REPEAT_S, FOR_S, CLEAR_S = 1000.0, 20.0, 30.0
W, C = Severity.WARNING, Severity.CRITICAL


def condition(rule: str = "node_disk", subject: str = "n", severity: Severity = W) -> Condition:
    return Condition(rule, subject, "text", severity, FOR_S, CLEAR_S)


def alert(rule: str, subject: str = "", hosts: tuple[str, ...] = (),
          phase: Phase = Phase.FIRING, severity: Severity = W) -> Alert:
    return Alert(rule, subject, phase, severity, "text", 0.0, fired_at=0.0, hosts=hosts)


# One evaluation: seconds since the last, who is wrong, whether it could be known, who is quiet.
STEPS = st.lists(st.tuples(
    st.floats(1, 60), st.sets(st.sampled_from("abc")), st.booleans(), st.booleans()),
    min_size=1, max_size=60)


@given(STEPS)
def test_people_are_told_once_that_it_fires_and_always_that_it_is_over(
        steps: list[tuple[float, set[str], bool, bool]]) -> None:
    now, alerts = 0.0, {}
    told: dict[str, float] = {}             # since when people believe that it fires
    wrong_since: dict[str, float] = {}
    for pause_s, wrong, known, hushed in steps:
        now += pause_s
        found = [condition(subject=one) for one in wrong] if known else []
        step = advance(alerts, found, () if known else ("node_disk",), now)
        quiets = {key: Quiet(silenced_by="x") for key in step.alerts} if hushed else {}
        alerts, notice = notify("c", step.alerts, step.moved, quiets, REPEAT_S, now)
        alerts = dict(alerts)
        if known:
            wrong_since = {one: wrong_since.get(one, now) for one in wrong}
        for one in notice.firing if notice else ():
            assert one.subject not in told or now - told[one.subject] >= REPEAT_S, "told twice"
            assert not hushed, "told of what is silenced"
            told[one.subject] = now
        for one in notice.resolved if notice else ():
            assert one.subject in told, "over, and nobody knew of it"
            del told[one.subject]
        for subject in told:
            assert ("node_disk", subject) in alerts, "told, gone, and nobody heard the end"
        for one in alerts.values():
            if one.phase is Phase.FIRING and one.told_at is None:
                assert hushed or not known, "fires, and nobody was told"
    # Long enough fine: everything ends.
    for _ in range(3):
        now += CLEAR_S + 1
        step = advance(alerts, [], (), now)
        alerts, notice = notify("c", step.alerts, step.moved, {}, REPEAT_S, now)
        alerts = dict(alerts)
        for one in notice.resolved if notice else ():
            told.pop(one.subject, None)
    assert not alerts and not told


@given(st.lists(st.tuples(st.floats(1, 60), st.booleans()), max_size=60))
def test_nothing_fires_before_it_has_lasted_nor_ends_before_it_was_gone(
        steps: list[tuple[float, bool]]) -> None:
    now, alerts = 0.0, {}
    since: float | None = None
    gone: float | None = None
    for pause_s, wrong in steps:
        now += pause_s
        step = advance(alerts, [condition()] if wrong else [], (), now)
        fired = alerts.get(("node_disk", "n"))
        firing = fired is not None and fired.phase is Phase.FIRING
        if wrong:
            since, gone = (now if since is None else since), None
        else:
            gone = now if gone is None else gone
            since = since if firing else None
        for one in step.moved:
            if one.phase is Phase.FIRING:
                assert since is not None and now - since >= FOR_S
            if one.phase is Phase.RESOLVED:
                assert gone is not None and now - gone >= CLEAR_S
                since = None
        alerts = dict(step.alerts)


def fires(alerts: Mapping[Key, Alert], quiets: Mapping[Key, Quiet] | None = None,
          now: float = 100.0) -> tuple[Mapping[Key, Alert], Notice | None]:
    return notify("c", alerts, (), quiets or {}, REPEAT_S, now)


def test_all_alerts_of_a_cluster_are_one_message() -> None:
    many = {one.key: one for one in (alert("node_disk", f"n-{i}") for i in range(30))}
    _, notice = fires(many)
    assert notice is not None and len(notice.firing) == 30


def test_an_acknowledged_alert_is_not_told_again_and_its_end_is() -> None:
    one = alert("node_disk", "n")
    told, _ = fires({one.key: one})
    acked = {key: replace(each, ack=Ack("ann", 1.0)) for key, each in told.items()}
    assert fires(acked, now=1e6)[1] is None
    over = replace(acked[one.key], phase=Phase.RESOLVED)
    _, notice = notify("c", {}, [over], {}, REPEAT_S, 2e6)
    assert notice is not None and notice.resolved == (over,)


def test_it_is_repeated_after_its_time_and_told_at_once_when_it_gets_worse() -> None:
    one = alert("node_disk", "n")
    told, _ = fires({one.key: one})
    assert fires(told, now=200.0)[1] is None
    assert fires(told, now=100.0 + REPEAT_S)[1] is not None
    worse = {one.key: replace(told[one.key], severity=C)}
    after, notice = fires(worse, now=200.0)
    assert notice is not None and notice.severity is C
    assert fires(after, now=201.0)[1] is None


@pytest.mark.parametrize(("mine", "platform", "rule", "subject", "hosts", "by"), [
    ((alert("cluster_red"),), (), "cluster_yellow", "", (), "cluster_red"),
    ((alert("cluster_red"),), (), "unassigned_shards", "", (), "cluster_red"),
    ((alert("cluster_yellow"),), (), "cluster_red", "", (), ""),
    ((alert("scheduler_without_master"),), (), "plan_stuck", "quorum", (),
     "scheduler_without_master"),
    ((alert("node_disk", "n-1"),), (), "disk_full_soon", "n-1", (), "node_disk"),
    ((alert("node_disk", "n-2"),), (), "disk_full_soon", "n-1", (), ""),
    ((), (alert("mesos_away", "mesos"),), "scheduler_without_master", "", (), "mesos_away"),
    ((), (alert("agent_lost", "h1", phase=Phase.PENDING),), "node_count", "", ("h1",),
     "agent_lost h1"),
    ((), (alert("agent_lost", "h1"),), "node_count", "", ("h1", "h2"), ""),
    ((), (alert("agent_lost", "h1"),), "cluster_red", "", ("h1",), ""),
])
def test_what_says_more_keeps_the_rest_quiet(
        mine: tuple[Alert, ...], platform: tuple[Alert, ...], rule: str, subject: str,
        hosts: tuple[str, ...], by: str) -> None:
    one = alert(rule, subject, hosts)
    assert quiet("c", one, (*mine, one), platform, (), 0.0).inhibited_by == by


def test_a_lost_host_pages_once() -> None:
    """Thirty nodes of ten clusters were there: one message, of the platform."""
    lost = alert("agent_lost", "h1", ("h1",), severity=C)
    messages = 0
    for cluster in range(10):
        mine = {one.key: one for one in (
            alert("node_count", "", ("h1",)), alert("cluster_yellow", "", ("h1",)),
            *(alert("gc_time", f"n-{index}", ("h1",)) for index in range(3)))}
        quiets = {key: quiet(f"c{cluster}", one, mine.values(), (lost,), (), 100.0)
                  for key, one in mine.items()}
        messages += notify(f"c{cluster}", mine, (), quiets, REPEAT_S, 100.0)[1] is not None
    platform = {lost.key: lost}
    quiets = {lost.key: quiet("", lost, (lost,), (lost,), (), 100.0)}
    messages += notify(PLATFORM, platform, (), quiets, REPEAT_S, 100.0)[1] is not None
    assert messages == 1


@pytest.mark.parametrize(("more", "fits"), [
    ({"rule": "node_*"}, True), ({"rule": "gc_*"}, False), ({"cluster": "lo*"}, True),
    ({"cluster": "other"}, False), ({"subject": "n-1"}, True), ({"severity": "critical"}, False),
    ({"rule": "node_disk", "cluster": "logs", "subject": "n-?", "severity": "warning"}, True)])
def test_a_silence_fits_by_all_that_it_names(more: dict[str, str], fits: bool) -> None:
    silence = Silence("s", 100.0, "ann", "work", 0.0, **more)
    one = alert("node_disk", "n-1")
    assert silence.fits("logs", one, 50.0) is fits
    assert not silence.fits("logs", one, 100.0), "it has ended"
