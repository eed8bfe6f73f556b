"""Records: what is written is read alike, what is newer or broken is refused."""
from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest
from esaas.framework.core import events as ev
from esaas.framework.core.facts import Bootstrap, ClusterState, Identity, NodeRecord, Seeds
from esaas.framework.core.spec import ClusterSpec
from esaas.framework.store import codec
from esaas.framework.store.codec import (
    EVENTS,
    CodecError,
    Meta,
    RecordBook,
    decode,
    decode_event,
    encode,
    encode_event,
    from_records,
    to_records,
)
from esaas.framework.store.contract import Delete, Put, Stored
from hypothesis import given, settings
from hypothesis import strategies as st

from ..core.builders import NOW, formed, record
from ..core.strategies import COUNTS, RECORDS, SPECS, events_of, made

IDENTITIES = made(Identity)
METAS = made(Meta, identity=IDENTITIES, bootstrap=made(Bootstrap), seeds=made(Seeds),
             gone=st.dictionaries(st.text(max_size=5), COUNTS, max_size=3))


@given(st.one_of(RECORDS, SPECS, METAS))
def test_a_record_is_read_as_it_was_written(value: Any) -> None:
    data = encode(value)
    assert decode(data, type(value)) == value
    assert encode(decode(data, type(value))) == data, "equal values give equal bytes"


@pytest.mark.parametrize("kind", EVENTS.values(), ids=list(EVENTS))
@settings(max_examples=20)
@given(data=st.data())
def test_every_event_is_read_as_it_was_written(
        kind: type[ev.Event], data: st.DataObject) -> None:
    event = data.draw(events_of(kind))
    assert decode_event(*encode_event(event)) == event


def test_a_record_says_its_kind_and_version() -> None:
    envelope = orjson.loads(encode(record()))
    assert (envelope["kind"], envelope["v"]) == ("NodeRecord", codec.VERSION)


def test_a_newer_record_is_refused_by_name() -> None:
    newer = orjson.dumps(orjson.loads(encode(record())) | {"v": codec.VERSION + 1})
    with pytest.raises(CodecError, match="NodeRecord of version 2 was written by a newer"):
        decode(newer, NodeRecord)


def test_an_older_record_is_migrated_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "VERSION", 3)
    monkeypatch.setattr(codec, "MIGRATIONS", {
        ("NodeRecord", 1): lambda body: {**body, "msg": body["message"] + " one"},
        ("NodeRecord", 2): lambda body: {**body, "message": body["msg"] + " two"}})
    old = orjson.dumps(orjson.loads(encode(record(message="zero"))) | {"v": 1})
    assert decode(old, NodeRecord).message == "zero one two"
    with pytest.raises(CodecError):             # there is no way for this kind
        decode(orjson.dumps(orjson.loads(encode(formed().spec)) | {"v": 1}), ClusterSpec)


def test_a_record_of_another_kind_is_refused() -> None:
    with pytest.raises(CodecError, match="a record of kind NodeRecord, not Meta"):
        decode(encode(record()), Meta)


@given(st.binary(max_size=40) | st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["kind", "v", "body", "x"]), inner, max_size=4),
    max_leaves=6).map(orjson.dumps))
def test_broken_bytes_are_told_as_such(data: bytes) -> None:
    for kind in (NodeRecord, ClusterSpec, Meta):
        with pytest.raises(CodecError):
            decode(data, kind)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_flipped_byte_is_refused_or_read_but_never_raises_anything_else(
        at: int, byte: int) -> None:
    data = bytearray(encode(record()))
    data[at % len(data)] = byte
    with suppress(CodecError):
        decode(bytes(data), NodeRecord)


@pytest.mark.parametrize(("kind", "body"), [
    ("Nothing", b"{}"), ("TaskUpdated", b"{}"), ("TaskUpdated", b"{"), ("Registered", b"[]")])
def test_a_broken_line_of_the_journal_is_told_as_such(kind: str, body: bytes) -> None:
    with pytest.raises(CodecError):
        decode_event(kind, body)


# ------------------------------------------------------------- records of a state

def stored(state: ClusterState) -> dict[str, Stored]:
    return {path: Stored(data, 1) for path, data in to_records(state).items()}


def durable(state: ClusterState) -> ClusterState:
    fresh = ClusterState(state.identity, state.spec, state.revision, state.bootstrap)
    return replace(state, link=fresh.link, es=None, asked=fresh.asked)


def test_a_state_is_read_back_without_what_has_to_be_learned_again() -> None:
    state = replace(formed(), gone={"node-9": 3})
    assert from_records(stored(state), "demo") == durable(state)


@pytest.mark.parametrize("missing", ["clusters/demo/meta", "clusters/demo/specs/00000001"])
def test_a_missing_record_is_told_by_what_it_is(missing: str) -> None:
    records = stored(formed())
    del records[missing]
    with pytest.raises(CodecError, match="cluster demo has no"):
        from_records(records, "demo")


def written(book: RecordBook, state: ClusterState) -> list[Put | Delete]:
    """What a book has to write, taken note of as written."""
    changes = book.changes(state)
    book.stored(state, changes, {change.path: change.version + 1 for change in changes
                                 if isinstance(change, Put)})
    return changes


def test_only_what_differs_is_written() -> None:
    state = formed()
    book = RecordBook("demo", {})
    assert {change.path.removeprefix("clusters/demo/") for change in written(book, state)} == {
        "meta", "specs/00000001", "nodes/node-1", "nodes/node-2", "nodes/node-3"}
    assert written(book, state) == []
    changed = state.with_node(replace(state.nodes["node-2"], message="x"))
    change, = written(book, changed)
    assert isinstance(change, Put) and change.path.endswith("nodes/node-2")
    assert change.version == 1
    equal = changed.with_node(replace(changed.nodes["node-1"]))       # another object, alike
    assert written(book, equal) == []
    volatile = replace(equal, es=None)
    assert written(book, volatile) == []


def test_a_revision_is_a_record_of_its_own_and_the_old_one_stays() -> None:
    book = RecordBook("demo", {})
    written(book, formed())
    newer = replace(formed(), revision=2, spec=formed().spec.with_count("node", 4))
    assert {change.path for change in written(book, newer)} >= {
        "clusters/demo/meta", "clusters/demo/specs/00000002"}
    assert "clusters/demo/specs/00000001" in {change.path for change in book.removal()}


def test_a_node_that_is_gone_is_removed_at_its_version() -> None:
    book = RecordBook("demo", {})
    written(book, formed())
    found = {type(change): change for change in written(book, formed().without_node("node-3"))}
    assert found[Delete] == Delete("clusters/demo/nodes/node-3", 1)


def test_a_write_that_failed_is_tried_again_as_it_was() -> None:
    book = RecordBook("demo", {})
    assert book.changes(formed()) == book.changes(formed()) != []


def test_a_book_of_what_is_stored_already_writes_nothing() -> None:
    assert RecordBook("demo", stored(formed())).changes(formed()) == []


def test_times_survive_to_the_microsecond() -> None:
    at = NOW + 0.123456
    assert decode(encode(record(since=at)), NodeRecord).since == at
