"""What goes wrong, how often, and how much of it has: by kind, each with a rate in a profile."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

# Kind -> (rate in the profile "heavy", what it is and per what).
KINDS: Mapping[str, tuple[float, str]] = {
    "agent_lost": (0.0025, "an agent is cut off, rebooted or gone, per agent and tick"),
    "task_died": (0.0015, "a node's process dies, per task and tick"),
    "start_failed": (0.05, "a node ends while it starts, per start"),
    "update_late": (0.10, "a status update comes ticks later, after others, per update"),
    "update_doubled": (0.10, "a status update comes twice, per update"),
    "update_lost": (0.05, "a status update is lost once, per update"),
    "offer_rescinded": (0.05, "an offer is taken back, per offer"),
    "accept_lost": (0.05, "an ACCEPT is lost without a word, per call"),
    "call_lost": (0.05, "any other call is lost without a word, per call"),
    "operation_failed": (0.05, "a RESERVE, CREATE, DESTROY or UNRESERVE fails, per operation"),
    "master_failover": (0.002, "the master fails over: all frameworks are cut off, per tick"),
    "store_error": (0.02, "the store refuses a transaction, per write"),
    "crash": (0.004, "the service dies between two steps of a turn, per step"),
    "second_scheduler": (0.0008, "a second process takes the lease, the first goes on, per tick"),
    "view_absent": (0.05, "a look at Elasticsearch fails, per look"),
    "view_late": (0.05, "a look arrives when it is old, per look"),
    "view_red": (0.02, "a look shows red for a moment, per look"),
    "recovery_slow": (0.15, "a shard takes long to recover, per recovery"),
    "recovery_stuck": (0.05, "a shard does not recover until faults stop, per recovery"),
    "action_failed": (0.10, "an action on Elasticsearch fails, per action"),
    "action_unanswered": (0.05, "an action works and its answer is lost, per action"),
}


@dataclass(frozen=True)
class Profile:
    """How often what goes wrong."""

    name: str
    rates: Mapping[str, float]


def _scaled(factor: float) -> dict[str, float]:
    return {kind: rate * factor for kind, (rate, _) in KINDS.items()}


# Kinds that belong together make profiles of one fault.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "agents": ("agent_lost",),
    "tasks": ("task_died", "start_failed"),
    "updates": ("update_late", "update_doubled", "update_lost"),
    "calls": ("offer_rescinded", "accept_lost", "call_lost"),
    "operations": ("operation_failed",),
    "masters": ("master_failover",),
    "store": ("store_error",),
    "crashes": ("crash",),
    "leases": ("second_scheduler",),
    "views": ("view_absent", "view_late", "view_red"),
    "recovery": ("recovery_slow", "recovery_stuck"),
    "actions": ("action_failed", "action_unanswered"),
}

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (
    Profile("none", {}), Profile("light", _scaled(0.2)), Profile("heavy", _scaled(1.0)),
    *(Profile(name, {kind: 2 * KINDS[kind][0] for kind in kinds})
      for name, kinds in GROUPS.items()))}


class Faults:
    """Decides by chance, and counts; after ``stop`` nothing goes wrong any more."""

    def __init__(self, profile: Profile, rng: Random) -> None:
        self.rates, self.rng = profile.rates, rng
        self.counts: Counter[str] = Counter()
        self.stopped = False

    def strikes(self, kind: str) -> bool:
        """Whether this kind of fault happens now."""
        rate = self.rates.get(kind, 0.0)
        if not rate or self.stopped or self.rng.random() >= rate:
            return False
        self.counts[kind] += 1
        return True

    def stop(self) -> None:
        """No further fault."""
        self.stopped = True
