"""The life of an alert: pending, firing, resolved; a fold over what rules find.

An alert is one rule about one subject. It is pending until what is wrong has lasted, and resolved
when that was gone for a while: a figure that goes to and fro about its limit tells people once.
Where a rule cannot know, its alerts stay as they are.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is."""

    WARNING = "warning"
    CRITICAL = "critical"


class Phase(StrEnum):
    """Where an alert is; one that is inactive is not there."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a rule finds wrong now."""

    rule: str
    subject: str                        # name of a node, host, step...; empty: the cluster
    text: str                           # one sentence for people
    severity: Severity
    for_s: float                        # must last so long
    clear_s: float                      # must be gone so long
    value: float | None = None
    hosts: tuple[str, ...] = ()         # where what is wrong is, for inhibition


@dataclass(frozen=True, slots=True)
class Ack:
    """Somebody looks after it: nobody is told again until it is over."""

    by: str
    at: float
    comment: str = ""


Key = tuple[str, str]                   # rule, subject


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule about one subject, since it began."""

    rule: str
    subject: str
    phase: Phase
    severity: Severity
    text: str
    since: float                        # when it began: pending
    value: float | None = None
    fired_at: float | None = None
    ended_at: float | None = None
    clear_since: float | None = None    # nothing is wrong since then, while it still fires
    clear_s: float = 0.0
    hosts: tuple[str, ...] = ()
    ack: Ack | None = None
    told_at: float | None = None        # the last notification that it fires
    told_severity: Severity | None = None
    explanation: str = ""               # what Elasticsearch itself says of it

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.rule, self.subject


@dataclass(frozen=True, slots=True)
class Step:
    """What a fold came to; ``moved`` are alerts that entered another phase, resolved ones too."""

    alerts: Mapping[Key, Alert]         # pending and firing
    moved: tuple[Alert, ...] = ()
    dropped: tuple[Alert, ...] = ()     # pending ones that came to nothing


def advance(before: Mapping[Key, Alert], found: Sequence[Condition], unknown: Collection[str],
            now: float) -> Step:
    """Fold what rules found into the alerts; ``unknown`` are rules that could not look."""
    after: dict[Key, Alert] = {}
    moved: list[Alert] = []
    dropped: list[Alert] = []
    wrong = {(one.rule, one.subject): one for one in found}
    for key, condition in wrong.items():
        alert = _worse(before.get(key), condition, now)
        if alert.phase is not (before[key].phase if key in before else None):
            moved.append(alert)
        after[key] = alert
    for key, alert in before.items():
        if key in wrong:
            continue
        if alert.rule in unknown:
            after[key] = alert
            continue
        better = _better(alert, now)
        if better is None:
            dropped.append(alert)
        elif better.phase is Phase.RESOLVED:
            moved.append(better)
        else:
            after[key] = better
    return Step(after, tuple(moved), tuple(dropped))


def _worse(alert: Alert | None, condition: Condition, now: float) -> Alert:
    if alert is None:
        alert = Alert(condition.rule, condition.subject, Phase.PENDING, condition.severity,
                      condition.text, now)
    alert = replace(alert, text=condition.text, value=condition.value, hosts=condition.hosts,
                    severity=condition.severity, clear_since=None, clear_s=condition.clear_s)
    if alert.phase is Phase.PENDING and now - alert.since >= condition.for_s:
        return replace(alert, phase=Phase.FIRING, fired_at=now)
    return alert


def _better(alert: Alert, now: float) -> Alert | None:
    """None: it was pending, and is forgotten."""
    if alert.phase is Phase.PENDING:
        return None
    since = now if alert.clear_since is None else alert.clear_since
    if now - since >= alert.clear_s:
        return replace(alert, phase=Phase.RESOLVED, ended_at=now)
    return replace(alert, clear_since=since)
