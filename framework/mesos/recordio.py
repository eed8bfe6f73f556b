"""Mesos' event framing, read in linear time: a decimal length, a newline, then so many bytes.

pymesos 0.3.15 appends 4 KiB at a time to one bytes object, which is quadratic in the size of an
event (docs/adr/0005-edge-to-mesos.md). Here pieces are kept in a list and joined once.
Source: Mesos documentation, "Scheduler HTTP API", RecordIO response format.
"""
from __future__ import annotations

from collections.abc import Iterator

from ..core.errors import EsaasError

MAX_HEADER_BYTES = 20               # digits of a length below 2**64
MAX_RECORD_BYTES = 1 << 30


class FramingError(EsaasError):
    """The stream is no RecordIO: the connection is of no use any more."""


class RecordReader:
    """Takes the stream in pieces of any size and gives whole records."""

    def __init__(self) -> None:
        self._header = b""
        self._missing = -1              # bytes still to come of the record; -1 in a header
        self._pieces: list[memoryview] = []

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The records that ``data`` completes; FramingError when there is no length."""
        rest = memoryview(data)
        while rest:
            if self._missing < 0:
                rest = self._read_header(rest)
                if self._missing < 0:
                    return
            piece, rest = rest[:self._missing], rest[self._missing:]
            self._pieces.append(piece)
            self._missing -= len(piece)
            if self._missing == 0:
                record, self._pieces, self._missing = b"".join(self._pieces), [], -1
                yield record

    def _read_header(self, rest: memoryview) -> memoryview:
        start = bytes(rest[:MAX_HEADER_BYTES + 1])
        end = start.find(b"\n")
        self._header += start if end < 0 else start[:end]
        if len(self._header) > MAX_HEADER_BYTES or (self._header and not self._header.isdigit()):
            raise FramingError(f"no length of a record: {self._header[:40]!r}")
        if end < 0:
            return rest[len(start):]
        if not self._header:
            raise FramingError("an empty length of a record")
        self._missing, self._header = int(self._header), b""
        if not 0 < self._missing <= MAX_RECORD_BYTES:
            raise FramingError(f"a record of {self._missing} bytes")
        return rest[end + 1:]
