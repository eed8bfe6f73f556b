"""What this process counts of its own work: turns of loops, offers, gates. For Prometheus.

Figures of others are on the ``Board``; these are counters and histograms, which a board of newest
figures cannot keep. Labels are bounded: reasons are the names of offer stages and a few words,
gates those of the plan. Source: Prometheus documentation, "Histograms and summaries".
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

# From a turn with nothing to do to one with thousands of offers.
BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PREFIX = "esaas_service"

# Seconds of the creation of each series: of no use to people, and a series more for each.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Totals(NamedTuple):
    """What was counted up to now."""

    turns: int = 0
    decide_s: float = 0.0
    received: int = 0
    declined: int = 0


class Own:
    """The instruments of one process; for the event loop only."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry(auto_describe=False)
        self._decide = Histogram(
            f"{PREFIX}_decide_seconds", "time of a turn to fold events, decide and check",
            registry=registry, buckets=BUCKETS_S)
        self._commit = Histogram(
            f"{PREFIX}_commit_seconds", "time of a turn to store what it came to",
            registry=registry, buckets=BUCKETS_S)
        self._events = Counter(
            f"{PREFIX}_events", "events that loops have folded", registry=registry)
        self._received = Counter(
            f"{PREFIX}_offers_received", "offers that came to a turn", registry=registry)
        self._accepted = Counter(
            f"{PREFIX}_offers_accepted", "offers that were accepted", registry=registry)
        self._declined = Counter(
            f"{PREFIX}_offers_declined", "offers that were declined, by the stage that refused",
            ["reason"], registry=registry)
        self._gates = Gauge(
            f"{PREFIX}_gate_steps_held", "steps that a gate holds, by gate", ["gate"],
            registry=registry)
        self._quota = Gauge(
            f"{PREFIX}_quota_used_percent", "of a tenant's limit, by what its specs reserve; told "
            "by the process that evaluates alerts of the platform", ["tenant", "resource"],
            registry=registry)
        self.totals = Totals()

    def turned(self, decide_s: float, commit_s: float, events: int, received: int, accepted: int,
               declined: Mapping[str, int]) -> None:
        """A turn of a loop; offers by number, declined ones by reason."""
        self._decide.observe(decide_s)
        self._commit.observe(commit_s)
        self._events.inc(events)
        self._received.inc(received)
        self._accepted.inc(accepted)
        for reason, count in declined.items():
            self._declined.labels(reason).inc(count)
        was = self.totals
        self.totals = Totals(was.turns + 1, was.decide_s + decide_s, was.received + received,
                             was.declined + sum(declined.values()))

    def held(self, by_gate: Mapping[str, int]) -> None:
        """How many steps each gate holds now; those that hold nothing are left out."""
        self._gates.clear()
        for gate, count in by_gate.items():
            self._gates.labels(gate).set(count)

    def quota(self, percent: Mapping[tuple[str, str], float]) -> None:
        """How much of its limits each tenant uses, by tenant and resource; nobody else does."""
        self._quota.clear()
        for (tenant, resource), value in percent.items():
            self._quota.labels(tenant, resource).set(value)

    def described(self) -> list[tuple[str, str, tuple[str, ...], str]]:
        """Name, kind, labels and meaning of each instrument."""
        return [(family.name + ("_total" if family.type == "counter" else ""), family.type,
                 SERIES.get(family.name, SERIES.get(f"{family.name}_total", ())),
                 family.documentation) for family in self._registry.collect()]

    def text(self) -> bytes:
        """All of it in the text format of Prometheus."""
        return generate_latest(self._registry)


# Names of series as Prometheus sees them, with their labels; a test holds them against ``text``.
SERIES: Mapping[str, tuple[str, ...]] = {
    **{f"{PREFIX}_{name}_seconds_{end}": (("le",) if end == "bucket" else ())
       for name in ("decide", "commit") for end in ("bucket", "sum", "count")},
    **{f"{PREFIX}_{name}_total": () for name in ("events", "offers_received", "offers_accepted")},
    f"{PREFIX}_offers_declined_total": ("reason",), f"{PREFIX}_gate_steps_held": ("gate",),
    f"{PREFIX}_quota_used_percent": ("tenant", "resource")}
