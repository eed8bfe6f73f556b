"""Data as a znode holds it."""
from __future__ import annotations

import pytest
from esaas.framework.store.contract import Entry, StoreError
from esaas.framework.store.packing import pack, pack_entries, unpack, unpack_entries
from hypothesis import given
from hypothesis import strategies as st


@given(st.binary(max_size=3000))
def test_what_was_packed_is_unpacked_and_never_empty(data: bytes) -> None:
    packed = pack(data)
    assert unpack(packed) == data and 0 < len(packed) <= len(data) + 1


def test_what_repeats_itself_takes_little() -> None:
    assert len(pack(b"x" * 100_000)) < 1000


@pytest.mark.parametrize("data", [b"", b"x", b"zbroken", b"\x00abc"])
def test_what_is_none_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(StoreError):
        unpack(data)


@given(st.lists(st.tuples(st.floats(0, 2e9), st.sampled_from(["input", "told"]), st.text(),
                          st.text().map(str.encode)), min_size=1, max_size=5))
def test_lines_come_back_numbered(items: list[tuple[float, str, str, bytes]]) -> None:
    entries = [Entry(*item) for item in items]
    found = unpack_entries(pack_entries(entries), 70, 72)
    assert [(one.at, one.stream, one.kind, one.body) for one in found] == items
    assert [one.seq for one in found] == [70, 71, 72, 72, 72][:len(items)]


@pytest.mark.parametrize("body", [b"nonsense", b"[1]", b"[[1, 2]]"])
def test_broken_lines_are_refused(body: bytes) -> None:
    with pytest.raises(StoreError, match="a line of the journal is broken"):
        unpack_entries(pack(body), 0, 9)
