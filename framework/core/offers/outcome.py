"""Why an offer was taken or refused, as a tree that people can read."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer of one stage, with those it was made of."""

    stage: str
    ok: bool
    reason: str = ""
    parts: tuple[Outcome, ...] = ()

    def why(self) -> str:
        """The reasons of a refusal, in one line; empty when all is well."""
        if self.ok:
            return ""
        inner = "; ".join(filter(None, (part.why() for part in self.parts)))
        return self.reason or inner or self.stage

    def lines(self, depth: int = 0) -> list[str]:
        """The tree as indented lines."""
        mark = "pass" if self.ok else "FAIL"
        text = f"{'  ' * depth}{mark} {self.stage}" + (f": {self.reason}" if self.reason else "")
        return [text] + [line for part in self.parts for line in part.lines(depth + 1)]


def passed(stage: str, reason: str = "") -> Outcome:
    """A stage that allows."""
    return Outcome(stage, True, reason)


def failed(stage: str, reason: str) -> Outcome:
    """A stage that refuses, and why."""
    return Outcome(stage, False, reason)


def all_of(stage: str, parts: Sequence[Outcome]) -> Outcome:
    """Allows when every part does."""
    return Outcome(stage, all(part.ok for part in parts), "", tuple(parts))


def any_of(stage: str, parts: Sequence[Outcome]) -> Outcome:
    """Allows when one part does."""
    return Outcome(stage, any(part.ok for part in parts), "", tuple(parts))


def inverted(stage: str, part: Outcome) -> Outcome:
    """Allows when the part does not."""
    reason = f"{part.stage} holds" if part.ok else ""
    return Outcome(stage, not part.ok, reason, (part,))
