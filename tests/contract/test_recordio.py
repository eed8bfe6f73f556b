"""RecordIO: the same records however the stream is cut, in linear time."""
from __future__ import annotations

import pytest
from esaas.framework.mesos.recordio import MAX_RECORD_BYTES, FramingError, RecordReader
from hypothesis import given
from hypothesis import strategies as st

RECORDS = st.lists(st.binary(min_size=1, max_size=60), max_size=8)


def framed(records: list[bytes]) -> bytes:
    return b"".join(b"%d\n%s" % (len(record), record) for record in records)


def read(pieces: list[bytes]) -> list[bytes]:
    reader = RecordReader()
    return [record for piece in pieces for record in reader.feed(piece)]


@given(RECORDS, st.data())
def test_records_are_the_same_however_the_stream_is_cut(
        records: list[bytes], data: st.DataObject) -> None:
    stream = framed(records)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[low:high] for low, high in zip(edges, edges[1:], strict=False)]
    assert read(pieces) == records
    assert read([bytes([byte]) for byte in stream]) == records


@given(RECORDS)
def test_a_record_is_not_given_before_it_is_whole(records: list[bytes]) -> None:
    assert read([framed([*records, b"last"])[:-1]]) == records


@pytest.mark.parametrize("junk", [
    b"<html>", b"\n", b"12x\n", b"-1\n", b"0\n", b"1" * 21, b"+5\nhello", b" 5\nhello",
    b"%d\n" % (MAX_RECORD_BYTES + 1), b"3\nabcdef\n", "\u0665\nhello".encode()])
def test_junk_is_told_as_such(junk: bytes) -> None:
    with pytest.raises(FramingError):
        read([junk])
    with pytest.raises(FramingError):
        read([bytes([byte]) for byte in junk])


@given(st.binary(max_size=60))
def test_any_bytes_give_records_or_a_framing_error(data: bytes) -> None:
    try:
        found = read([data])
    except FramingError:
        return
    assert sum(map(len, found)) <= len(data)


def test_every_byte_of_an_event_is_joined_once() -> None:
    """No piece is copied before its record is whole, and each goes into one record."""
    piece, pieces = b"x" * 1000, 2000
    reader = RecordReader()
    assert list(reader.feed(b"%d\n" % (len(piece) * pieces))) == []
    for _ in range(pieces - 1):
        assert list(reader.feed(piece)) == []
    kept = [view for view in reader._pieces if len(view)]
    assert len(kept) == pieces - 1
    assert all(view.obj is piece for view in kept), "views of what came, not copies"
    record, = reader.feed(piece)
    assert len(record) == len(piece) * pieces and reader._pieces == []
