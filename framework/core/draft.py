"""What a cycle has decided so far: operations, and the state as it will be once they are stored."""
from __future__ import annotations

from dataclasses import dataclass, field

from .apply import apply
from .events import Event
from .facts import ClusterState
from .offers.outcome import Outcome
from .offers.pool import Pool
from .operations import Operation, Remember


@dataclass(frozen=True, slots=True)
class AgentAnswer:
    """What an agent's offers were answered with, and why."""

    pool: Pool
    accepted: bool
    reason: str
    refuse_s: float
    outcomes: tuple[Outcome, ...] = ()


@dataclass(slots=True)
class Draft:
    """Grows while a cycle decides; every intent is applied at once."""

    state: ClusterState
    now: float
    operations: list[Operation] = field(default_factory=list)
    answers: list[AgentAnswer] = field(default_factory=list)
    wake_at: float = float("inf")

    def note(self, *events: Event) -> None:
        """Apply events that need nothing sent."""
        self.foresee(*events)
        self.operations.append(Remember(events))

    def foresee(self, *events: Event) -> None:
        """Apply events whose operation follows by ``do``."""
        for event in events:
            self.state = apply(self.state, event)

    def do(self, operation: Operation, *, foreseen: bool = False) -> None:
        """Add an operation; its events are applied unless they have been."""
        if not foreseen:
            self.foresee(*operation.intents)
        self.operations.append(operation)

    def wake(self, at: float) -> None:
        """Decide again at this time at the latest."""
        if at > self.now:
            self.wake_at = min(self.wake_at, at)
