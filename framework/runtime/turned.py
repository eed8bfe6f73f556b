"""What a turn of a loop was, in numbers: for whoever counts. Out of what ``decide`` gave back."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..core.draft import AgentAnswer
from ..core.offers.outcome import Outcome

# Why offers are declined, where no stage refused: nothing is to be placed; the nodes found better
# places, or the agent's offers are awaited again soon.
NOT_WANTED, NOT_NOW = "not_wanted", "not_now"
LONG_S = 60.0                       # an agent that is refused for longer is not waited for


@dataclass(frozen=True, slots=True)
class Turned:
    """One turn."""

    decide_s: float                 # to fold events, decide and check
    commit_s: float                 # to store what it came to
    events: int
    received: int                   # offers
    accepted: int
    declined: Mapping[str, int]     # by the stage that refused, NOT_WANTED or NOT_NOW


Counts = Callable[[Turned], None]


def nobody_counts(turned: Turned) -> None:
    """For loops of whom nothing is counted."""


def turned_of(answers: Sequence[AgentAnswer], events: int, received: int, decide_s: float,
              commit_s: float) -> Turned:
    """A turn by its answers; the number of reasons is bounded by that of stages."""
    accepted, declined = 0, Counter[str]()
    for answer in answers:
        if answer.accepted:
            accepted += len(answer.pool.offer_ids)
        else:
            declined[reason_of(answer)] += len(answer.pool.offer_ids)
    return Turned(decide_s, commit_s, events, received, accepted, declined)


def reason_of(answer: AgentAnswer) -> str:
    """Why an agent was declined, in a word: the stage that refused the last group that asked."""
    for outcome in reversed(answer.outcomes):
        if not outcome.ok:
            return _stage(outcome)
    return NOT_WANTED if answer.refuse_s > LONG_S else NOT_NOW


def _stage(outcome: Outcome) -> str:
    """Of an evaluation, its parts being stages: the one that refused."""
    return next((part.stage for part in outcome.parts if not part.ok), "other")
