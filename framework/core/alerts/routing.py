"""Who is told of which alert: silences, inhibition, acknowledgement, repetition, grouping."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from .machine import Alert, Key, Phase, Severity

PLATFORM = "_platform"                  # where alerts about hosts, master and store are kept
# An alert keeps quiet while one of these holds in the same cluster.
INHIBITED_BY: Mapping[str, frozenset[str]] = {
    "cluster_yellow": frozenset({"cluster_red"}),
    "unassigned_shards": frozenset({"cluster_red"}),
    "plan_stuck": frozenset({"scheduler_without_master"}),
    "node_count": frozenset({"scheduler_without_master"}),
    "node_restarting": frozenset({"scheduler_without_master"}),
    "disk_full_soon": frozenset({"node_disk"}),
}
# ... while this one holds for all hosts that it is about.
OF_LOST_HOSTS = frozenset({
    "cluster_yellow", "unassigned_shards", "node_count", "node_restarting", "gc_time",
    "old_generation", "node_disk", "disk_full_soon", "rejections", "plan_stuck", "host_disk",
    "host_load"})
# ... while this platform alert holds, whatever the cluster.
BY_PLATFORM: Mapping[str, frozenset[str]] = {
    "mesos_away": frozenset({"scheduler_without_master", "plan_stuck", "node_count",
                             "agent_lost", "quota_nearly_used"}),
}


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that match keep quiet until then. Patterns are as of a shell; empty fits all."""

    id: str
    until: float
    by: str
    why: str
    at: float
    rule: str = ""
    cluster: str = ""
    subject: str = ""
    severity: str = ""

    def fits(self, cluster: str, alert: Alert, now: float) -> bool:
        """Whether it keeps an alert quiet now."""
        return now < self.until and all(
            not pattern or fnmatchcase(value, pattern) for pattern, value in (
                (self.rule, alert.rule), (self.cluster, cluster), (self.subject, alert.subject),
                (self.severity, alert.severity.value)))


@dataclass(frozen=True, slots=True)
class Quiet:
    """Why nobody is told of an alert."""

    silenced_by: str = ""               # id of a silence
    inhibited_by: str = ""              # rule, and the host when it is about one


def quiet(cluster: str, alert: Alert, mine: Iterable[Alert], platform: Iterable[Alert],
          silences: Iterable[Silence], now: float) -> Quiet:
    """What keeps an alert quiet; ``mine`` are the alerts of its cluster."""
    silence = next((one.id for one in silences if one.fits(cluster, alert, now)), "")
    return Quiet(silence, _inhibitor(alert, list(mine), list(platform)))


def _inhibitor(alert: Alert, mine: Sequence[Alert], platform: Sequence[Alert]) -> str:
    above = INHIBITED_BY.get(alert.rule, frozenset())
    for other in mine:
        if other.rule in above and (other.subject in ("", alert.subject)):
            return other.rule
    for other in platform:
        if alert.rule in BY_PLATFORM.get(other.rule, frozenset()):
            return other.rule
    if alert.rule in OF_LOST_HOSTS and alert.hosts:
        # Pending counts: a lost host is sure soon, and its nodes' alerts must not be first.
        lost = {other.subject for other in platform if other.rule == "agent_lost"}
        if set(alert.hosts) <= lost:
            return f"agent_lost {', '.join(sorted(alert.hosts))}"
    return ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people: alerts of one group that fire or are over."""

    group: str                          # name of the cluster, or of the platform
    firing: tuple[Alert, ...]
    resolved: tuple[Alert, ...]

    @property
    def severity(self) -> Severity:
        """The worst of its alerts."""
        return max((one.severity for one in (*self.firing, *self.resolved)),
                   key=lambda one: one is Severity.CRITICAL)


def notify(group: str, alerts: Mapping[Key, Alert], over: Iterable[Alert],
           quiets: Mapping[Key, Quiet], repeat_s: float, now: float,
           ) -> tuple[Mapping[Key, Alert], Notice | None]:
    """The alerts with what was told noted, and the message that is due; one for all of a group.

    Whoever was told that an alert fires is told that it is over, whatever keeps it quiet by then.
    """
    after, firing = dict(alerts), []
    for key, alert in alerts.items():
        if alert.phase is Phase.FIRING and _due(alert, quiets.get(key, Quiet()), repeat_s, now):
            after[key] = replace(alert, told_at=now, told_severity=alert.severity)
            firing.append(after[key])
    ended = tuple(one for one in over if one.phase is Phase.RESOLVED and one.told_at is not None)
    if not firing and not ended:
        return after, None
    return after, Notice(group, tuple(firing), ended)


def _due(alert: Alert, keeps: Quiet, repeat_s: float, now: float) -> bool:
    if keeps.silenced_by or keeps.inhibited_by or alert.ack is not None:
        return False
    if alert.told_at is None or now - alert.told_at >= repeat_s:
        return True
    # It got worse: a warning of this morning is not the news that it is critical now.
    return alert.severity is Severity.CRITICAL and alert.told_severity is Severity.WARNING
