"""Finds lines, newest first, without reading more of the log than it must."""
from __future__ import annotations

from dataclasses import dataclass

import orjson
from pydantic import BaseModel, ConfigDict, Field

from ...store.contract import Store
from .chain import Head, Line, read_head, read_segment
from .entry import LogEntry, Outcome

SEGMENTS_A_REQUEST = 200            # read for one answer; the next page goes on from there
CLOCKS_APART_S = 300.0              # processes write times of their own clocks
AHEAD = 2                           # segments in which the end of what was begun is looked for


class LogFilter(BaseModel):
    """Which lines; what is left out does not matter. Times are seconds since the epoch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: float | None = Field(None, ge=0, allow_inf_nan=False, description="not older; seconds "
                                "since the epoch")
    until: float | None = Field(None, ge=0, allow_inf_nan=False, description="older than this")
    user: str | None = Field(None, max_length=200)
    tenant: str | None = Field(None, max_length=200)
    cluster: str | None = Field(None, max_length=200)
    operation: str | None = Field(None, max_length=200, examples=["edit_switch"])
    outcome: Outcome | None = Field(None, description="begun: changes whose end nobody has written")
    request_id: str | None = Field(None, max_length=200)
    search: str | None = Field(None, max_length=200, description="text anywhere in a line, "
                               "whatever its case")
    before: int | None = Field(None, ge=1, description="only lines with a lower number")
    after: int | None = Field(None, ge=0, description="only lines with a higher number")
    limit: int = Field(100, ge=1, le=1000)
    every: bool = Field(False, description="also the lines that were written before a change whose "
                        "end is known")


class LogPage(BaseModel):
    """Lines, newest first."""

    model_config = ConfigDict(frozen=True)

    entries: list[LogEntry]
    next: int | None = Field(None, description="give this as ``before`` to see older ones; a page "
                             "may hold fewer lines than asked for, and there are more all the same")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose lines somebody may see; None: all, those about no tenant, too."""

    tenants: frozenset[str] | None = None
    everybody: bool = True          # whether lines that are about no tenant are shown

    def sees(self, line: Line) -> bool:
        """Whether a line is one of them."""
        tenant = line.get("tenant") or ""
        if not tenant:
            return self.everybody
        return self.tenants is None or tenant in self.tenants


def search(store: Store, wanted: LogFilter, scope: Scope) -> LogPage:
    """Lines that fit, newest first; StoreError."""
    head, _ = read_head(store)
    number = _start(store, head, wanted)
    ended = set() if wanted.every else _ended(store, head, number)
    found: list[LogEntry] = []
    lowest = head.seq + 1
    for step, at in enumerate(range(number, head.first - 1, -1)):
        if step >= SEGMENTS_A_REQUEST:
            return LogPage(entries=found, next=lowest)
        lines = read_segment(store, at).lines
        if _too_old(lines, wanted):
            return LogPage(entries=found)
        for line in reversed(lines):
            if wanted.before is not None and line["seq"] >= wanted.before:
                continue
            lowest = line["seq"]
            if line.get("begun"):
                ended.add(line["begun"])
            folded = line["outcome"] == "begun" and lowest in ended and not wanted.every
            if not folded and scope.sees(line) and fits(line, wanted):
                found.append(LogEntry.model_validate(line))
                if len(found) == wanted.limit:
                    return LogPage(entries=found, next=_older(lowest, head))
    return LogPage(entries=found)


def _older(seq: int, head: Head) -> int | None:
    return seq if seq > head.anchor_seq + 1 else None


def _too_old(lines: list[Line], wanted: LogFilter) -> bool:
    if not lines:
        return False
    if wanted.after is not None and lines[-1]["seq"] <= wanted.after:
        return True
    return wanted.since is not None and lines[-1]["at"] < wanted.since - CLOCKS_APART_S


def _start(store: Store, head: Head, wanted: LogFilter) -> int:
    """The newest segment that may hold a line that fits, by halving."""
    low, high = head.first, head.segment
    while low < high:
        middle = (low + high + 1) // 2
        lines = read_segment(store, middle).lines
        late = bool(lines) and (
            (wanted.before is not None and lines[0]["seq"] >= wanted.before)
            or (wanted.until is not None and lines[0]["at"] >= wanted.until + CLOCKS_APART_S))
        low, high = (low, middle - 1) if late else (middle, high)
    return low


def _ended(store: Store, head: Head, number: int) -> set[int]:
    """What was begun at or before a segment, and has ended soon after it."""
    last = min(head.segment, number + AHEAD)
    return {line["begun"] for at in range(number, last + 1)
            for line in read_segment(store, at).lines if line.get("begun")}


def fits(line: Line, wanted: LogFilter) -> bool:
    """Whether a line is as the filter wants it."""
    for name in ("user", "tenant", "cluster", "operation", "outcome", "request_id"):
        value = getattr(wanted, name)
        if value is not None and line.get(name) != value:
            return False
    if wanted.after is not None and line["seq"] <= wanted.after:
        return False
    if wanted.since is not None and line["at"] < wanted.since:
        return False
    if wanted.until is not None and line["at"] >= wanted.until:
        return False
    return wanted.search is None or wanted.search.casefold() in _text(line)


def _text(line: Line) -> str:
    shown = {key: value for key, value in line.items() if key not in ("prev", "hash")}
    return orjson.dumps(shown).decode().casefold()
