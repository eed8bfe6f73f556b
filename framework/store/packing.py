"""Data as a znode holds it: a marker, then the bytes, compressed when that is worth it."""
from __future__ import annotations

import zlib
from collections.abc import Sequence

import orjson

from .contract import Entry, StoreError

PLAIN, ZLIB = b"0", b"z"
COMPRESS_FROM_BYTES = 1024


def pack(data: bytes) -> bytes:
    """With a marker of one byte; never empty."""
    if len(data) >= COMPRESS_FROM_BYTES:
        small = zlib.compress(data, 6)
        if len(small) < len(data):
            return ZLIB + small
    return PLAIN + data


def unpack(data: bytes) -> bytes:
    """The bytes that were packed; StoreError when this is nothing of ours."""
    marker, rest = data[:1], data[1:]
    if marker == PLAIN:
        return rest
    try:
        if marker == ZLIB:
            return zlib.decompress(rest)
    except zlib.error as error:
        raise StoreError(f"a node in ZooKeeper is broken: {error}") from error
    raise StoreError("a node in ZooKeeper was not written by this service, or by a newer one")


def pack_entries(entries: Sequence[Entry]) -> bytes:
    """The lines of one transaction, without their numbers."""
    return pack(orjson.dumps([[entry.at, entry.stream, entry.kind, entry.body.decode()]
                              for entry in entries]))


def unpack_entries(data: bytes, first_seq: int, last_seq: int) -> tuple[Entry, ...]:
    """The lines of one transaction, numbered from ``first_seq``; beyond ``last_seq`` they share it.

    Raises StoreError when they cannot be read.
    """
    try:
        return tuple(Entry(at, stream, kind, body.encode(), min(first_seq + index, last_seq))
                     for index, (at, stream, kind, body) in enumerate(orjson.loads(unpack(data))))
    except (ValueError, TypeError) as error:
        raise StoreError(f"a line of the journal is broken: {error}") from error
