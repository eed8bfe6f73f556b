"""Whether the log is as it was written."""
from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ...store.contract import Store
from .chain import FOLDER, Broken, Head, Line, hash_of, read_head, read_segment


class LogFault(BaseModel):
    """The first line that does not fit."""

    model_config = ConfigDict(frozen=True)

    seq: int = Field(description="its number, or the one that should be there")
    segment: int
    what: str = Field(examples=["changed", "missing", "out of order"])
    message: str


class Verdict(BaseModel):
    """What came of verifying; note ``last_seq`` and ``last_hash`` elsewhere to compare later."""

    model_config = ConfigDict(frozen=True)

    ok: bool
    entries: int = Field(description="lines that fit")
    first_seq: int | None = None
    last_seq: int = 0
    last_hash: str = ""
    removed_up_to: int = Field(0, description="lines up to this number are older than is kept")
    fault: LogFault | None = None


class _Wrong(Exception):
    def __init__(self, seq: int, segment: int, what: str, message: str) -> None:
        super().__init__(message)
        self.fault = LogFault(seq=seq, segment=segment, what=what, message=message)


class _Walk:
    """Goes along the chain."""

    def __init__(self, head: Head) -> None:
        self.head, self.number = head, head.first
        self.seq, self.hash = head.anchor_seq, head.anchor_hash
        self.entries = 0

    def wrong(self, what: str, message: str, seq: int | None = None) -> _Wrong:
        """What does not fit, at the next line unless another is given."""
        return _Wrong(self.seq + 1 if seq is None else seq, self.number, what, message)

    def step(self, line: Line, expect: tuple[int, str] | None) -> None:
        """Take the next line; _Wrong."""
        seq, wanted = line.get("seq"), self.seq + 1
        if seq != wanted:
            if isinstance(seq, int) and seq > wanted:
                raise self.wrong("missing", f"line {wanted} is missing: {seq} stands in its place")
            raise self.wrong("out of order", f"line {seq} stands where {wanted} belongs")
        if line.get("hash") != hash_of(line, self.hash):
            what = "changed" if line.get("prev") == self.hash else "out of order"
            raise self.wrong(what, f"line {seq} is not as it was written")
        if line.get("prev") != self.hash:
            raise self.wrong("changed", f"line {seq} names another line before it")
        self.seq, self.hash = wanted, str(line["hash"])
        self.entries += 1
        if expect is not None and expect[0] == self.seq and expect[1] != self.hash:
            raise self.wrong("changed", f"line {seq} has not the hash that was noted for it",
                             self.seq)


def verify(store: Store, expect: tuple[int, str] | None = None) -> Verdict:
    """Go along the whole chain, from the oldest line that is kept to the head.

    ``expect``: number and hash that somebody has noted. Lines that are written meanwhile are not
    looked at. StoreError when the store cannot be read.
    """
    try:
        head, version = read_head(store)
    except Broken as error:
        return _verdict(Head(), 0, LogFault(seq=0, segment=0, what="changed", message=str(error)))
    if not version and store.read(FOLDER):
        return _verdict(head, 0, LogFault(seq=0, segment=0, what="missing",
                                          message="the head of the log is missing"))
    walk = _Walk(head)
    try:
        _go(store, walk, expect)
    except _Wrong as error:
        # What retention has removed while this went on is not missing.
        now, _ = read_head(store)
        if now.first > walk.number:
            return verify(store, expect)
        return _verdict(head, walk.entries, error.fault)
    return _verdict(head, walk.entries, None)


def _go(store: Store, walk: _Walk, expect: tuple[int, str] | None) -> None:
    head = walk.head
    while walk.number <= head.segment:
        try:
            lines = read_segment(store, walk.number).lines
        except Broken as error:
            raise walk.wrong("changed", str(error)) from error
        if not lines and walk.seq < head.seq:
            raise walk.wrong("missing", f"segment {walk.number} is missing, with line "
                             f"{walk.seq + 1}")
        for line in lines:
            if walk.seq == head.seq:
                _beyond(store, walk, head, line)
                break
            walk.step(line, expect)
        walk.number += 1
    if walk.seq != head.seq:
        raise walk.wrong("missing", f"the last lines are missing: the head is at {head.seq}")
    if walk.hash != head.hash:
        raise walk.wrong("changed", "the head has another hash than the last line", walk.seq)
    if expect is not None and expect[0] > head.seq:
        raise walk.wrong("missing", f"the log ends at {head.seq}, before the noted line "
                         f"{expect[0]}")


def _beyond(store: Store, walk: _Walk, head: Head, line: Line) -> None:
    """A line after the last one is fine when it was written since."""
    if read_head(store)[0].seq <= head.seq:
        raise walk.wrong("changed", f"line {line.get('seq')} stands behind the end of the log")


def _verdict(head: Head, entries: int, fault: LogFault | None) -> Verdict:
    values: dict[str, Any] = {"first_seq": head.anchor_seq + 1} if entries else {}
    return Verdict(ok=fault is None, entries=entries, last_seq=head.seq, last_hash=head.hash,
                   removed_up_to=head.anchor_seq, fault=fault, **values)
