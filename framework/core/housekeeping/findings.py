"""What a policy finds, for people to read and for an errand to carry out."""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from ..facts import Errand
from ..indices import Index, IndexLook, Quiet

R = TypeVar("R", bound=BaseModel)
AT_ONCE = 20                        # indices of one errand; the next look finds the others
SHOWN = 20                          # of those that are left alone


@dataclass(frozen=True, slots=True)
class Act:
    """An index or alias, and why something would be done to it, or why it is left alone."""

    target: str
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule of a policy comes to."""

    policy: str                         # its name in the spec
    subject: str                        # which of its rules: a pattern, an alias; else empty
    sees: str                           # one sentence with the figures
    acts: tuple[Act, ...] = ()          # what is to be done next, the most urgent first
    leaves: tuple[Act, ...] = ()        # what it fits and is left alone, and why
    beyond: int = 0                     # further acts, for a later errand
    advises: bool = False               # it only tells


def finding(policy: str, subject: str, sees: str, acts: Sequence[Act] = (),
            leaves: Sequence[Act] = (), advises: bool = False) -> Finding:
    """A finding of a bounded size."""
    return Finding(policy, subject, sees, tuple(acts[:AT_ONCE]), tuple(leaves[:SHOWN]),
                   max(len(acts) - AT_ONCE, 0), advises)


def parameters(found: Finding, rule: BaseModel, by: str,
               indices: Iterable[tuple[Index, Quiet | None]] = (),
               **more: str) -> tuple[tuple[str, str], ...]:
    """What an errand is to be carried out by; indices with what was seen written of them."""
    planned = [[index.name, index.uuid, quiet.written if quiet is not None else -1,
                quiet.since if quiet is not None else 0.0] for index, quiet in indices]
    return tuple(sorted({"by": by, "rule": rule.model_dump_json(exclude_none=True),
                         "targets": ", ".join(act.target for act in found.acts),
                         "indices": json.dumps(planned), **more}.items()))


def rule_of(errand: Errand, kind: type[R]) -> R:
    """The rule that an errand was asked for by, as it was then."""
    return kind.model_validate_json(dict(errand.parameters)["rule"])


def planned(errand: Errand) -> dict[str, Quiet]:
    """The indices of an errand, with what was seen written of them when it was asked for."""
    return {name: Quiet(uuid, written, since)
            for name, uuid, written, since in json.loads(dict(errand.parameters)["indices"])}


def still(found: Finding, known: Mapping[str, Quiet], look: IndexLook) -> list[Index]:
    """Of what was found on a fresh look only what was planned, and is the very same index."""
    return [look.indices[act.target] for act in found.acts
            if act.target in known and look.indices[act.target].uuid == known[act.target].uuid]


def span(seconds: float) -> str:
    """A time for people."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{max(seconds, 0):.0f} s"


def amount(megabytes: float) -> str:
    """A size for people."""
    for size, unit in ((2.0**20, "TB"), (1024.0, "GB")):
        if megabytes >= size:
            return f"{megabytes / size:.3g} {unit}"
    return f"{megabytes:.3g} MB"
