"""How the log stands in the store: segments of lines, each bound to the one before, and a head.

    oplog/head/now                  number and hash of the last line, which segments there are
    oplog/0000000042/lines          up to 64 lines of JSON

A closed segment is never written again. What retention has removed is kept as its last number and
hash (the anchor), so the rest can still be verified.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from ...store.contract import Put, Store, StoreError

FOLDER = "oplog"
LEASE = "service/oplog"             # no cluster has a name with a slash
HEAD = f"{FOLDER}/head/now"
GENESIS = "0" * 64
SEGMENT_LINES, SEGMENT_BYTES, SEGMENT_S = 64, 128 * 1024, 86400.0
Line = dict[str, Any]


class Head(BaseModel):
    """The end of the chain, compared and replaced with every write."""

    model_config = ConfigDict(frozen=True)

    seq: int = 0
    hash: str = GENESIS
    first: int = 1                  # the oldest segment that is kept
    segment: int = 1                # the one that is written
    anchor_seq: int = 0             # the last line that retention has removed
    anchor_hash: str = GENESIS


class Broken(StoreError):
    """A record of the log that is not as it was written."""


@dataclass(slots=True)
class Segment:
    """Lines as they are read, and the version of their record; 0 when there is none."""

    lines: list[Line] = field(default_factory=list)
    version: int = 0
    size: int = 0

    def full(self, now: float) -> bool:
        """Whether the next line begins another segment."""
        return bool(self.lines) and (
            len(self.lines) >= SEGMENT_LINES or self.size >= SEGMENT_BYTES
            or now - float(self.lines[0].get("at", now)) >= SEGMENT_S)


def canonical(line: Mapping[str, Any]) -> bytes:
    """What the hash is about: all of a line but the hashes, with sorted keys."""
    return orjson.dumps({key: value for key, value in line.items() if key not in ("prev", "hash")},
                        option=orjson.OPT_SORT_KEYS)


def hash_of(line: Mapping[str, Any], prev: str) -> str:
    """The hash of a line after another one."""
    return hashlib.sha256(prev.encode() + canonical(line)).hexdigest()


def sealed(draft: Mapping[str, Any], head: Head) -> Line:
    """A line with its place after the head."""
    line = {**draft, "seq": head.seq + 1}
    return {**line, "prev": head.hash, "hash": hash_of(line, head.hash)}


def segment_path(number: int) -> str:
    """The record of a segment."""
    return f"{FOLDER}/{number:010d}/lines"


def read_head(store: Store) -> tuple[Head, int]:
    """The head and its version, 0 for a log that was never written; Broken, StoreError."""
    found = store.read(f"{FOLDER}/head").get(HEAD)
    if found is None:
        return Head(), 0
    try:
        return Head.model_validate_json(found.data), found.version
    except ValidationError as error:
        raise Broken("the head of the operation log cannot be read") from error


def read_segment(store: Store, number: int) -> Segment:
    """A segment; an empty one when there is none. Broken, StoreError."""
    path = segment_path(number)
    found = store.read(path.rsplit("/", 1)[0]).get(path)
    if found is None:
        return Segment()
    try:
        lines = [orjson.loads(line) for line in found.data.splitlines()]
    except ValueError as error:
        raise Broken(f"segment {number} of the operation log cannot be read") from error
    if not all(isinstance(line, dict) for line in lines):
        raise Broken(f"segment {number} of the operation log holds what is no line")
    return Segment(lines, found.version, len(found.data))


def put_segment(number: int, segment: Segment) -> Put:
    """The record to write."""
    return Put(segment_path(number), b"\n".join(orjson.dumps(line) for line in segment.lines),
               segment.version)


def put_head(head: Head, version: int) -> Put:
    """The record to write."""
    return Put(HEAD, head.model_dump_json().encode(), version)


def lines_of(store: Store) -> Iterator[Line]:
    """All lines that are kept, oldest first; one segment is in memory at a time. StoreError."""
    head, _ = read_head(store)
    for number in range(head.first, head.segment + 1):
        yield from read_segment(store, number).lines
