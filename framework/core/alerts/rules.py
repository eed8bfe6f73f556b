"""The rules: a table, one function each; what is wrong with a cluster or the platform.

A rule gives what it finds wrong now, or None when it cannot know. It looks for one thing, and its
name is what people read, silence and look up (docs/runbooks.md). A figure that was above its limit
is wrong until it is clearly below (``STICKY``).
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from ..gates import view_is_fresh
from .look import Look, PlatformLook
from .machine import Condition, Key, Severity
from .policy import NO_POLICY, AlertPolicy

STICKY = 0.95                           # of the limit: below that it is over
STARTUP_S = 300.0                       # a new cluster is not seen at first
WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts for one rule: the spec's limits over the platform's over the rule's own."""

    above: float
    critical: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A rule in one evaluation: its limits, and what fires already."""

    rule: Rule
    limits: Limits
    firing: Collection[Key]

    def wrong(self, subject: str, text: str, severity: Severity | None = None,
              value: float | None = None, hosts: tuple[str, ...] = ()) -> Condition:
        """A finding of this rule."""
        return Condition(self.rule.name, subject, text, severity or self.rule.severity,
                         self.limits.for_s, self.rule.clear_s, value, hosts)

    def exceeds(self, subject: str, value: float) -> Severity | None:
        """How bad a figure is; the limit of one that fires already is a little lower."""
        share = STICKY if (self.rule.name, subject) in self.firing else 1.0
        if value > self.limits.critical * share:
            return CRITICAL
        return WARNING if value > self.limits.above * share else None


Found = Iterable[Condition] | None
ClusterRule = Callable[[Look, Asked], Found]
PlatformRule = Callable[[PlatformLook, Asked], Found]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; ``unit`` is that of its limits."""

    name: str
    title: str
    severity: Severity
    for_s: float
    clear_s: float
    above: float = 0.0
    critical: float = float("inf")
    unit: str = ""
    cluster: ClusterRule | None = None
    platform: PlatformRule | None = None

    def limits(self, policies: Iterable[AlertPolicy]) -> Limits:
        """What counts; the first policy that sets a limit wins.

        Above alone may be raised past the rule's own critical: then all above it is critical.
        """
        set_ = [policy.limit(self.name) for policy in policies]

        def first(field: str, own: float) -> float:
            return next((value for one in set_ if (value := getattr(one, field)) is not None), own)

        above = first("above", self.above)
        return Limits(above, max(first("critical", self.critical), above),
                      first("for_s", self.for_s))

    def off(self, policies: Iterable[AlertPolicy]) -> bool:
        """Whether people have switched it off."""
        return any(self.name in policy.disabled for policy in policies)


# ------------------------------------------------------------------ health of a cluster

def cluster_red(look: Look, asked: Asked) -> Found:
    """A primary shard is on no node."""
    return _health(look, asked, "red", "some primary shards are on no node: their data cannot be "
                   "read or written")


def cluster_yellow(look: Look, asked: Asked) -> Found:
    """A replica is on no node."""
    return _health(look, asked, "yellow", "some replicas are on no node")


def _health(look: Look, asked: Asked, health: str, meaning: str) -> Found:
    view = look.state.es
    if view is None or not view_is_fresh(look.state, look.now):
        return None
    if view.health != health:
        return []
    return [asked.wrong("", f"{health}: {meaning} ({view.unassigned_shards} shards unassigned)",
                        value=view.unassigned_shards, hosts=look.hosts_of_missing())]


def cluster_unseen(look: Look, asked: Asked) -> Found:
    """No node of the cluster answers."""
    state = look.state
    if state.deleting or state.bootstrap.cluster_uuid is None and (
            look.now - state.identity.created_at < STARTUP_S):
        return []
    if view_is_fresh(state, look.now):
        return []
    seen = "since this process runs it" if state.es is None else (
        f"for {look.now - state.es.at:.0f} s")
    return [asked.wrong("", f"no node of the cluster has answered {seen}")]


def unassigned_shards(look: Look, asked: Asked) -> Found:
    """Shards that find no node."""
    view = look.state.es
    if view is None or not view_is_fresh(look.state, look.now):
        return None
    count = view.unassigned_shards
    bad = asked.exceeds("", count)
    return [asked.wrong("", f"{count} shards are on no node", bad, count,
                        look.hosts_of_missing())] if bad else []


# ------------------------------------------------------------------------------- nodes

def node_count(look: Look, asked: Asked) -> Found:
    """Fewer nodes serve than the spec wants."""
    state = look.state
    if state.deleting:
        return []
    if not any(state.is_sidecar(one) for one in state.nodes.values()) and (
            not view_is_fresh(state, look.now)):
        return None
    wanted = sum(group.count for group in state.spec.groups)
    ready = sum(state.is_ready(record) for record in state.nodes.values())
    bad = asked.exceeds("", wanted - ready)
    names = ", ".join(sorted(record.name for record in look.missing())) or "not placed yet"
    return [asked.wrong("", f"{ready} of {wanted} nodes serve; missing: {names}", bad,
                        wanted - ready, look.hosts_of_missing())] if bad else []


def node_restarting(look: Look, asked: Asked) -> Found:
    """A node starts again and again."""
    found = []
    for name, record in sorted(look.state.nodes.items()):
        value = max(float(record.failures), look.nodes.get(name, {}).get("restarts_per_h", 0.0))
        bad = asked.exceeds(name, value)
        if bad:
            why = f": {record.message}" if record.message else ""
            found.append(asked.wrong(name, f"{name} has failed or started {value:.0f} times{why}",
                                     bad, value, look.host_of(name)))
    return found


def gc_time(look: Look, asked: Asked) -> Found:
    """Collecting garbage takes a large share of the time."""
    totals = {name: {"gc_ms_per_s": figures.get("gc_young_ms_per_s", 0.0)
                     + figures.get("gc_old_ms_per_s", 0.0)}
              for name, figures in look.nodes.items()
              if "gc_young_ms_per_s" in figures or "gc_old_ms_per_s" in figures}
    return _figures(look, asked, "gc_ms_per_s", "{} collects garbage for {:.0f} ms of each second",
                    totals)


def old_generation(look: Look, asked: Asked) -> Found:
    """What survives collections nearly fills the old generation."""
    return _figures(look, asked, "heap_old_percent", "the old generation of {} is {:.0f} % full")


def node_disk(look: Look, asked: Asked) -> Found:
    """The volume of a node is nearly full."""
    return _figures(look, asked, "disk_used_percent", "the disk of {} is {:.0f} % full")


def rejections(look: Look, asked: Asked) -> Found:
    """A node turns requests away."""
    return _figures(look, asked, "rejections_per_s", "{} turns {:.1f} requests a second away")


def _figures(look: Look, asked: Asked, metric: str, words: str,
             source: dict[str, dict[str, float]] | None = None) -> Found:
    """One finding for each node whose figure is too high; None when nobody has that figure."""
    known = {name: figures[metric] for name, figures in (
        look.nodes if source is None else source).items() if metric in figures}
    if not known:
        return None
    return [asked.wrong(name, words.format(name, value), bad, round(value, 2), look.host_of(name))
            for name, value in sorted(known.items()) if (bad := asked.exceeds(name, value))]


def disk_full_soon(look: Look, asked: Asked) -> Found:
    """By its trend a disk is full before long. Its limits are hours: less is worse."""
    if not look.nodes:
        return None
    found = []
    for name, left_s in sorted(look.full_in_s.items()):
        hours = left_s / 3600
        share = 1 / STICKY if (asked.rule.name, name) in asked.firing else 1.0
        if hours < asked.limits.above * share:
            found.append(asked.wrong(
                name, f"at this pace the disk of {name} is full in {hours:.1f} hours",
                value=round(hours, 2), hosts=look.host_of(name)))
    return found


# --------------------------------------------------------------- snapshots, plan, scheduler

def snapshot_late(look: Look, asked: Asked) -> Found:
    """A snapshot that was due has not been made."""
    facts = look.snapshots
    if facts is None:
        return None
    if facts.due_since is None or facts.due_since >= look.now:
        return []
    late_s = look.now - facts.due_since
    return [asked.wrong("", f"a snapshot is late by {late_s / 60:.0f} minutes", value=late_s)]


def snapshot_failed(look: Look, asked: Asked) -> Found:
    """The last snapshot failed."""
    facts = look.snapshots
    if facts is None:
        return None
    return [asked.wrong("", f"the last snapshot failed: {facts.failed}")] if facts.failed else []


def snapshot_drill_failed(look: Look, asked: Asked) -> Found:
    """The last drill could not restore a snapshot."""
    facts = look.snapshots
    if facts is None:
        return None
    return [asked.wrong("", f"the last restore drill failed: {facts.drill_failed}")] if (
        facts.drill_failed) else []


def plan_stuck(look: Look, asked: Asked) -> Found:
    """A gate holds a step."""
    if look.state.paused or look.state.waiting_canary is not None:
        return []                       # people know: they hold it
    by_gate: dict[str, list[tuple[str, str]]] = {}
    for held in look.held:
        by_gate.setdefault(held.gate, []).append((held.step, held.reason))
    return [asked.wrong(gate, f"{gate} holds {', '.join(step for step, _ in steps[:5])}"
                        f"{' and more' if len(steps) > 5 else ''}: {steps[0][1]}",
                        value=len(steps), hosts=look.hosts_of_missing())
            for gate, steps in sorted(by_gate.items())]


def scheduler_without_master(look: Look, asked: Asked) -> Found:
    """The cluster's framework is registered with no Mesos master."""
    link = look.state.link
    if link.connected or look.state.removed:
        return []
    why = f": {link.error}" if link.error else ""
    return [asked.wrong("", "its scheduler is registered with no Mesos master: nodes run on, and "
                        f"none is started or replaced{why}")]


# ----------------------------------------------------------------------------- platform

def host_disk(look: PlatformLook, asked: Asked) -> Found:
    """A file system that our nodes use is nearly full."""
    return _host_figures(look, asked, "disk_used_percent",
                         "the fullest disk of {} that nodes use is {:.0f} % full")


def host_load(look: PlatformLook, asked: Asked) -> Found:
    """A host has more to do than it has cores."""
    return _host_figures(look, asked, "load_per_core", "the load of {} is {:.1f} for each core")


def _host_figures(look: PlatformLook, asked: Asked, metric: str, words: str) -> Found:
    known = {host: figures[metric] for host, figures in look.hosts.items() if metric in figures}
    if not known:
        return None
    return [asked.wrong(host, words.format(host, value), bad, round(value, 2), (host,))
            for host, value in sorted(known.items()) if (bad := asked.exceeds(host, value))]


def agent_lost(look: PlatformLook, asked: Asked) -> Found:
    """The agent of a host is away, and with it what runs there, as far as anybody knows."""
    return [asked.wrong(host, f"the agent on {host} is not reachable; nodes there: "
                        + ", ".join(nodes[:10]) + (" and more" if len(nodes) > 10 else ""),
                        value=len(nodes), hosts=(host,))
            for host, nodes in sorted(look.lost.items())]


def mesos_away(look: PlatformLook, asked: Asked) -> Found:
    """Several schedulers at once have no master: it is the master."""
    away = sorted(name for name, connected in look.connected.items() if not connected)
    if len(away) < 2 or 2 * len(away) < len(look.connected):
        return []
    return [asked.wrong("mesos", f"{len(away)} of {len(look.connected)} schedulers are registered "
                        f"with no Mesos master: {', '.join(away[:10])}"
                        + (" and more" if len(away) > 10 else ""), value=len(away))]


def quota_nearly_used(look: PlatformLook, asked: Asked) -> Found:
    """A tenant comes near to its limit."""
    if look.uses is None:
        return None
    found = []
    for use in look.uses:
        subject = f"{use.tenant}/{use.resource}"
        percent = use.percent
        bad = asked.exceeds(subject, percent)
        if bad:
            found.append(asked.wrong(subject, f"{use.tenant} uses {use.used:g} of {use.limit:g} "
                                     f"{use.resource} ({percent:.0f} %)", bad, round(percent, 1)))
    return found


def store_trouble(look: PlatformLook, asked: Asked) -> Found:
    """Never by a look: who finds it cannot store it (``service/alerts/engine.py``)."""
    return []


RULES: tuple[Rule, ...] = (
    Rule("cluster_red", "Cluster red", CRITICAL, 60, 60, cluster=cluster_red),
    Rule("cluster_yellow", "Cluster yellow", WARNING, 600, 60, cluster=cluster_yellow),
    Rule("cluster_unseen", "Cluster does not answer", CRITICAL, 120, 30, cluster=cluster_unseen),
    Rule("unassigned_shards", "Shards without a node", WARNING, 600, 60, unit="shards",
         cluster=unassigned_shards),
    Rule("node_count", "Fewer nodes than wanted", WARNING, 600, 30, unit="missing nodes",
         cluster=node_count),
    Rule("node_restarting", "Node starts again and again", WARNING, 0, 300, 3, 10, "restarts",
         cluster=node_restarting),
    Rule("gc_time", "Garbage collection", WARNING, 300, 120, 200, 500, "ms/s", cluster=gc_time),
    Rule("old_generation", "Old generation nearly full", WARNING, 900, 300, 85, 95, "%",
         cluster=old_generation),
    Rule("node_disk", "Disk of a node", WARNING, 120, 60, 80, 90, "%", cluster=node_disk),
    Rule("disk_full_soon", "Disk full by trend", WARNING, 900, 900, 24, unit="hours",
         cluster=disk_full_soon),
    Rule("rejections", "Rejected requests", WARNING, 120, 300, 1, 50, "1/s", cluster=rejections),
    Rule("snapshot_late", "Snapshot late", WARNING, 900, 0, cluster=snapshot_late),
    Rule("snapshot_failed", "Snapshot failed", WARNING, 0, 0, cluster=snapshot_failed),
    Rule("snapshot_drill_failed", "Restore drill failed", CRITICAL, 0, 0,
         cluster=snapshot_drill_failed),
    Rule("plan_stuck", "Plan stuck at a gate", WARNING, 1800, 30, cluster=plan_stuck),
    Rule("scheduler_without_master", "Scheduler without master", CRITICAL, 120, 15,
         cluster=scheduler_without_master),
    Rule("host_disk", "Disk of a host", WARNING, 120, 60, 85, 95, "%", platform=host_disk),
    Rule("host_load", "Load of a host", WARNING, 600, 300, 2, 5, "per core", platform=host_load),
    Rule("agent_lost", "Agent lost", CRITICAL, 60, 30, platform=agent_lost),
    Rule("mesos_away", "Mesos master away", CRITICAL, 60, 15, platform=mesos_away),
    Rule("store_trouble", "Store does not answer", CRITICAL, 30, 0, platform=store_trouble),
    Rule("quota_nearly_used", "Quota nearly used", WARNING, 300, 300, 90, 100, "%",
         platform=quota_nearly_used),
)
BY_NAME = {rule.name: rule for rule in RULES}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the rules found, and which could not look."""

    found: tuple[Condition, ...]
    unknown: frozenset[str]


def evaluate(look: Look | PlatformLook, firing: Collection[Key],
             policies: Iterable[AlertPolicy] = (NO_POLICY,)) -> Evaluation:
    """Ask every rule that fits the look; ``policies`` the most special first."""
    chosen = tuple(policies)
    found: list[Condition] = []
    unknown: set[str] = set()
    for rule in RULES:
        if rule.off(chosen):
            continue
        asked = Asked(rule, rule.limits(chosen), firing)
        if isinstance(look, Look):
            answer = rule.cluster(look, asked) if rule.cluster is not None else ()
        else:
            answer = rule.platform(look, asked) if rule.platform is not None else ()
        if answer is None:
            unknown.add(rule.name)
        else:
            found += answer
    return Evaluation(tuple(found), frozenset(unknown))
