"""Appends to the chain, and removes what is older than it is to be kept."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from ...store.contract import Delete, Lease, Put, Store
from ...store.leasing import OVERTAKEN, leased
from .chain import (
    LEASE,
    Head,
    Line,
    Segment,
    put_head,
    put_segment,
    read_head,
    read_segment,
    sealed,
    segment_path,
)
from .entry import Draft

log = structlog.get_logger(__name__)

PATIENCE_S = 10.0                   # for the processes that append at the same moment
PAUSE_S = 0.1
REMOVED_AT_ONCE = 20                # segments
# What makes two lines the same: a write whose outcome was unknown is tried again.
_SAME = ("at", "request_id", "operation", "outcome", "count")


@dataclass(slots=True)
class _Open:
    """The end of the log while lines are added to it."""

    head: Head
    segment: Segment
    touched: dict[int, Segment]

    def add(self, draft: Mapping[str, Any], now: float) -> int:
        """The number of the new line."""
        if self.segment.full(now):
            log.info("operation_log_segment_closed", segment=self.head.segment, seq=self.head.seq,
                     hash=self.head.hash)
            self.head = self.head.model_copy(update={"segment": self.head.segment + 1})
            self.segment = Segment()
        line = sealed(draft, self.head)
        self.segment.lines.append(line)
        self.segment.size += len(orjson.dumps(line))
        self.touched[self.head.segment] = self.segment
        self.head = self.head.model_copy(update={"seq": line["seq"], "hash": line["hash"]})
        return int(line["seq"])


class Writer:
    """Writes for one process; blocking, for a thread of its own."""

    def __init__(self, store: Store, process: str, keep_s: float,
                 patience_s: float = PATIENCE_S) -> None:
        self._store, self._process, self._keep_s = store, process, keep_s
        self._patience_s = patience_s

    def append(self, drafts: Sequence[Draft], now: float) -> list[int]:
        """Write lines in one transaction; their numbers. StoreError, and then none is written.

        Other processes that append meanwhile are waited for.
        """
        found: list[int] = []
        for attempt in Retrying(
                retry=retry_if_exception_type(OVERTAKEN),
                stop=stop_after_delay(self._patience_s), wait=wait_random(0, PAUSE_S),
                reraise=True):
            with attempt:
                found = self._append_once(drafts, now)
        return found

    def _append_once(self, drafts: Sequence[Draft], now: float) -> list[int]:
        with leased(self._store, LEASE, self._process) as lease:
            head, version = read_head(self._store)
            segment = read_segment(self._store, head.segment)
            known = self._known(head, segment)
            end = _Open(head, segment, {})
            numbers = [known.get(_mark(line)) or end.add(line, now)
                       for line in (draft.model_dump(mode="json") for draft in drafts)]
            self._write(lease, end, version)
            return numbers

    def _write(self, lease: Lease, end: _Open, version: int) -> None:
        if end.touched:
            self._store.write(lease, [
                *(put_segment(number, one) for number, one in end.touched.items()),
                put_head(end.head, version)])

    def _known(self, head: Head, segment: Segment) -> dict[tuple[Any, ...], int]:
        """The newest lines, by what makes them the same as others."""
        lines = segment.lines
        if len(lines) < 2 and head.segment > head.first:
            lines = [*read_segment(self._store, head.segment - 1).lines, *lines]
        return {_mark(line): line["seq"] for line in lines}

    def forget(self, now: float) -> int:
        """Remove what is older than it is to be kept, some at a time; the number of segments."""
        head, _ = read_head(self._store)
        if not _is_old(read_segment(self._store, head.first), now - self._keep_s):
            return 0
        with leased(self._store, LEASE, self._process) as lease:
            return self._forget(lease, now - self._keep_s)

    def _forget(self, lease: Lease, before: float) -> int:
        head, version = read_head(self._store)
        changes: list[Put | Delete] = []
        number, last = head.first, Line()
        while number <= head.segment and len(changes) < REMOVED_AT_ONCE:
            segment = read_segment(self._store, number)
            if not _is_old(segment, before):
                break
            last = segment.lines[-1]
            changes.append(Delete(segment_path(number), segment.version))
            number += 1
        if changes:
            head = head.model_copy(update={
                "first": number, "segment": max(number, head.segment),
                "anchor_seq": last["seq"], "anchor_hash": last["hash"]})
            self._store.write(lease, [*changes, put_head(head, version)])
            log.info("operation_log_trimmed", segments=len(changes), anchor_seq=head.anchor_seq,
                     anchor_hash=head.anchor_hash)
        return len(changes)


def _is_old(segment: Segment, before: float) -> bool:
    return bool(segment.lines) and float(segment.lines[-1]["at"]) < before


def _mark(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in _SAME)

