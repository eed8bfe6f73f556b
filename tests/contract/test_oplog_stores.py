"""The operation log on every store: one chain whoever appends, found, forgotten, verified.

The runs on a real ZooKeeper are of the layer ``system``.
"""
from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from esaas.framework.service.oplog import chain, searching
from esaas.framework.service.oplog.chain import (
    HEAD,
    LEASE,
    SEGMENT_LINES,
    lines_of,
    read_head,
    read_segment,
    segment_path,
)
from esaas.framework.service.oplog.entry import Draft, LogEntry
from esaas.framework.service.oplog.searching import LogFilter, LogPage, Scope
from esaas.framework.service.oplog.searching import search as search_store
from esaas.framework.service.oplog.verifying import verify
from esaas.framework.service.oplog.writing import Writer
from esaas.framework.store.contract import Delete, LeaseLost, OutcomeUnknown, Put, Store

T0 = 1_780_000_000.0
DAY_S = 86400.0
KEEP_S = 30 * DAY_S


def draft(number: int = 0, **more: Any) -> Draft:
    values: dict[str, Any] = {
        "at": T0 + number, "user": "ann", "operation": "edit_switch", "outcome": "done",
        "tenant": "flights", "cluster": "demo", "request_id": f"r{number}", "process": "p"}
    return Draft(**(values | more))


def append(store: Store, *drafts: Draft, now: float = T0) -> list[int]:
    return Writer(store, "p", KEEP_S).append(drafts, now)


def fill(store: Store, count: int) -> None:
    """So many lines, a second apart, in groups that do not fit the segments."""
    made = [draft(number) for number in range(count)]
    for start in range(0, count, 23):
        append(store, *made[start:start + 23])


def overwrite(store: Store, *changes: Put | Delete) -> None:
    """As somebody does who may write the store, and knows nothing of the chain."""
    lease = store.acquire(LEASE, "somebody")
    try:
        store.write(lease, changes)
    finally:
        store.release(lease)


def rewrite(store: Store, number: int, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change the lines of a segment."""
    segment = read_segment(store, number)
    change(segment.lines)
    overwrite(store, chain.put_segment(number, segment))


def numbers(page: LogPage) -> list[int]:
    return [entry.seq for entry in page.entries]


def search(store: Store, scope: Scope | None = None, **wanted: Any) -> LogPage:
    return search_store(store, LogFilter(**wanted), scope or Scope())


# --------------------------------------------------------------------- the chain

def test_lines_are_numbered_and_bound_to_each_other(store: Store) -> None:
    assert append(store, draft(1), draft(2)) == [1, 2]
    assert append(store, draft(3)) == [3]
    first, second, third = lines_of(store)
    assert first["prev"] == chain.GENESIS
    assert second["prev"] == first["hash"]
    assert third["prev"] == second["hash"]
    assert verify(store).model_dump() == {
        "ok": True, "entries": 3, "first_seq": 1, "last_seq": 3, "last_hash": third["hash"],
        "removed_up_to": 0, "fault": None}


def test_an_empty_log_is_fine(store: Store) -> None:
    assert verify(store).ok
    assert search(store) == LogPage(entries=[])


def test_segments_stay_small(store: Store) -> None:
    fill(store, 2 * SEGMENT_LINES + 5)
    head, _ = read_head(store)
    sizes = [len(read_segment(store, number).lines) for number in range(1, head.segment + 1)]
    assert sizes == [SEGMENT_LINES, SEGMENT_LINES, 5]
    large = draft(1, request={"spec": "x" * 40_000})
    append(store, *[large.model_copy(update={"at": T0 + n}) for n in range(1000, 1005)])
    assert read_head(store)[0].segment == head.segment + 1
    assert verify(store).ok


def test_a_segment_is_closed_after_a_day(store: Store) -> None:
    append(store, draft(0))
    append(store, draft(1), now=T0 + DAY_S)
    assert read_head(store)[0].segment == 2


def test_processes_append_to_one_chain(open_store: Callable[[], Store], place: str) -> None:
    stores = [open_store() for _ in range(3 if place.startswith("zk://") else 1)]

    def work(who: int) -> None:
        for number in range(8):
            append(stores[who], draft(100 * who + number, user=f"user-{who}"))

    with ThreadPoolExecutor() as threads:
        list(threads.map(work, range(len(stores)), timeout=60))
    verdict = verify(stores[0])
    assert (verdict.ok, verdict.entries) == (True, 8 * len(stores))
    assert len({line["request_id"] for line in lines_of(stores[-1])}) == 8 * len(stores)


@pytest.mark.parametrize("written", [True, False])
def test_a_write_whose_outcome_is_unknown_is_there_once(
        store: Store, monkeypatch: pytest.MonkeyPatch, written: bool) -> None:
    real, tries = store.write, []

    def unsure(*args: Any) -> Any:
        tries.append(args)
        if len(tries) > 1:
            return real(*args)
        if written:
            real(*args)
        raise OutcomeUnknown("the connection went away")

    monkeypatch.setattr(store, "write", unsure)
    assert append(store, draft(1), draft(2)) == [1, 2]
    assert [line["seq"] for line in lines_of(store)] == [1, 2]
    assert verify(store).ok


def test_a_lease_that_others_take_away_is_taken_again(
        store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = store.write, []

    def lost(*args: Any) -> Any:
        tries.append(args)
        if len(tries) == 1:
            raise LeaseLost("somebody else has it")
        return real(*args)

    monkeypatch.setattr(store, "write", lost)
    assert append(store, draft(1)) == [1]


# ------------------------------------------------------------------- tampering

def _change(lines: list[dict[str, Any]]) -> None:
    lines[3]["user"] = "somebody else"


def _remove(lines: list[dict[str, Any]]) -> None:
    del lines[3]


def _swap(lines: list[dict[str, Any]]) -> None:
    lines[3], lines[4] = lines[4], lines[3]


def _repeat(lines: list[dict[str, Any]]) -> None:
    lines.insert(4, lines[3])


def _renumber(lines: list[dict[str, Any]]) -> None:
    """Remove one, and close the gap without knowing how hashes are made."""
    del lines[3]
    for line in lines[3:]:
        line["seq"] -= 1


def _rehash(lines: list[dict[str, Any]]) -> None:
    """Change one, and give it the hash that fits: the next line shows it."""
    lines[3]["user"] = "somebody else"
    lines[3]["hash"] = chain.hash_of(lines[3], lines[3]["prev"])


@pytest.mark.parametrize(("tamper", "seq", "what"), [
    (_change, 4, "changed"), (_remove, 4, "missing"), (_swap, 4, "missing"),
    (_repeat, 5, "out of order"), (_renumber, 4, "out of order"), (_rehash, 5, "out of order")])
def test_whatever_is_done_to_a_line_is_found(
        store: Store, tamper: Callable[[list[dict[str, Any]]], None], seq: int,
        what: str) -> None:
    fill(store, SEGMENT_LINES + 10)
    assert verify(store).ok
    rewrite(store, 1, tamper)
    found = verify(store)
    assert found.fault is not None
    assert (found.ok, found.fault.seq, found.fault.segment) == (False, seq, 1)
    assert found.fault.what == what


def test_every_field_is_covered(store: Store) -> None:
    append(store, draft(1, before={"a": 1}, after={"a": 2}, request={"x": [1.5, None, "ü"]}))
    line = next(lines_of(store))
    for name in line:
        changed = line | {name: "something else"}
        rewrite(store, 1, lambda lines, changed=changed: lines.__setitem__(0, changed))
        assert not verify(store).ok, name
    rewrite(store, 1, lambda lines: lines.__setitem__(0, line | {"more": 1}))
    assert not verify(store).ok
    rewrite(store, 1, lambda lines: lines.__setitem__(0, line))
    assert verify(store).ok


def test_the_end_cannot_be_cut_off(store: Store) -> None:
    fill(store, SEGMENT_LINES + 10)
    rewrite(store, 2, lambda lines: lines.pop())
    fault = verify(store).fault
    assert fault is not None
    assert (fault.seq, fault.what) == (SEGMENT_LINES + 10, "missing")


def test_nothing_can_stand_behind_the_end(store: Store) -> None:
    fill(store, 3)
    rewrite(store, 1, lambda lines: lines.append(lines[-1] | {"seq": 4}))
    assert not verify(store).ok


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_segment_cannot_go(store: Store, number: int) -> None:
    fill(store, 2 * SEGMENT_LINES + 5)
    overwrite(store, Delete(segment_path(number), read_segment(store, number).version))
    fault = verify(store).fault
    assert fault is not None
    assert (fault.segment, fault.what) == (number, "missing")


def test_what_cannot_be_read_is_named(store: Store) -> None:
    fill(store, 3)
    overwrite(store, Put(segment_path(1), b"junk", read_segment(store, 1).version))
    fault = verify(store).fault
    assert fault is not None
    assert (fault.seq, fault.what) == (1, "changed")


@pytest.mark.parametrize("data", [b"junk", None])
def test_the_head_cannot_go(store: Store, data: bytes | None) -> None:
    fill(store, 3)
    version = read_head(store)[1]
    overwrite(store, Delete(HEAD, version) if data is None else Put(HEAD, data, version))
    assert not verify(store).ok


def test_a_chain_that_was_made_anew_does_not_fit_what_was_noted(store: Store) -> None:
    fill(store, 5)
    noted = verify(store)
    segment, (_, version) = read_segment(store, 1), read_head(store)
    head = chain.Head()
    lines = []
    for line in segment.lines:
        plain = {key: value for key, value in line.items() if key not in ("prev", "hash")}
        lines.append(chain.sealed(plain | {"user": "somebody else"}, head))
        head = head.model_copy(update={"seq": lines[-1]["seq"], "hash": lines[-1]["hash"]})
    segment.lines[:] = lines
    overwrite(store, chain.put_segment(1, segment), chain.put_head(head, version))
    assert verify(store).ok, "who may write the store can make it anew"
    fault = verify(store, (noted.last_seq, noted.last_hash)).fault
    assert fault is not None
    assert fault.seq == noted.last_seq
    fault = verify(store, (noted.last_seq + 1, noted.last_hash)).fault
    assert fault is not None
    assert fault.what == "missing"


# -------------------------------------------------------------------- retention

def test_the_oldest_go_and_the_rest_still_fits(store: Store) -> None:
    fill(store, SEGMENT_LINES)
    append(store, *[draft(number, at=T0 + KEEP_S) for number in range(5)], now=T0 + KEEP_S)
    writer = Writer(store, "p", KEEP_S)
    assert writer.forget(T0 + KEEP_S / 2) == 0
    assert writer.forget(T0 + KEEP_S + SEGMENT_LINES) == 1
    assert writer.forget(T0 + KEEP_S + SEGMENT_LINES) == 0
    found = verify(store)
    assert (found.ok, found.entries, found.removed_up_to) == (True, 5, SEGMENT_LINES)
    assert found.first_seq == SEGMENT_LINES + 1
    assert numbers(search(store)) == list(range(SEGMENT_LINES + 5, SEGMENT_LINES, -1))
    assert segment_path(1) not in store.read(chain.FOLDER)
    rewrite(store, 2, lambda lines: lines.pop(0))
    fault = verify(store).fault
    assert fault is not None
    assert fault.seq == SEGMENT_LINES + 1


def test_all_of_it_may_be_too_old(store: Store) -> None:
    fill(store, 10)
    assert Writer(store, "p", KEEP_S).forget(T0 + 2 * KEEP_S) == 1
    assert (verify(store).ok, search(store).entries) == (True, [])
    assert append(store, draft(11), now=T0 + 2 * KEEP_S) == [11]
    assert verify(store).ok


# ------------------------------------------------------------------------ search

def test_pages_have_all_lines_once(store: Store) -> None:
    count = 2 * SEGMENT_LINES + 7
    fill(store, count)
    found: list[int] = []
    before: int | None = None
    while True:
        page = search(store, limit=11, before=before)
        found += numbers(page)
        if page.next is None:
            break
        before = page.next
    assert found == list(range(count, 0, -1))


def test_filters(store: Store) -> None:
    append(store, draft(1), draft(2, user="bob"), draft(3, cluster="logs", tenant="rail"),
           draft(4, operation="scale", outcome="refused"),
           draft(5, request={"spec": {"description": "Größe \"x\""}}, tenant=""))
    assert numbers(search(store, user="bob")) == [2]
    assert numbers(search(store, cluster="logs")) == [3]
    assert numbers(search(store, tenant="rail")) == [3]
    assert numbers(search(store, operation="scale")) == [4]
    assert numbers(search(store, outcome="refused", operation="scale")) == [4]
    assert numbers(search(store, request_id="r1")) == [1]
    assert numbers(search(store, search="GRÖSSE")) == [5]
    assert numbers(search(store, search="nowhere")) == []
    assert numbers(search(store, since=T0 + 4)) == [5, 4]
    assert numbers(search(store, until=T0 + 3)) == [2, 1]
    assert numbers(search(store, after=3)) == [5, 4]
    assert numbers(search(store, before=3)) == [2, 1]
    assert numbers(search(store, limit=2)) == [5, 4]


def test_who_sees_what(store: Store) -> None:
    append(store, draft(1), draft(2, tenant="rail"), draft(3, tenant="", operation="login"))
    assert numbers(search(store, Scope())) == [3, 2, 1]
    assert numbers(search(store, Scope(frozenset({"rail"}), everybody=False))) == [2]
    assert numbers(search(store, Scope(None, everybody=False))) == [2, 1]
    assert numbers(search(store, Scope(frozenset(), everybody=False))) == []


def test_what_was_begun_is_folded_into_its_end(store: Store) -> None:
    append(store, draft(1, outcome="begun"), draft(2, outcome="begun"))
    fill_more = [draft(number) for number in range(10, 10 + SEGMENT_LINES)]
    append(store, *fill_more)
    append(store, draft(3, begun=1))
    last = 3 + SEGMENT_LINES
    assert numbers(search(store, outcome="begun")) == [2], "its end was never written"
    assert numbers(search(store, outcome="begun", every=True)) == [2, 1]
    assert numbers(search(store, before=3)) == [2], "its end is in the next segment"
    assert numbers(search(store, since=T0 + 1, limit=1)) == [last]


def test_a_search_reads_no_more_than_it_must(
        store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esaas.framework.service.oplog.chain.SEGMENT_LINES", 2)
    for number in range(64):
        append(store, draft(number, at=T0 + 1000 * number))
    read: list[int] = []
    real = searching.read_segment

    def counted(store: Store, number: int) -> chain.Segment:
        read.append(number)
        return real(store, number)

    monkeypatch.setattr(searching, "read_segment", counted)
    assert len(search(store, limit=2).entries) == 2
    assert len(read) < 12
    read.clear()
    assert numbers(search(store, before=6, limit=2)) == [5, 4]
    assert len(read) < 12
    read.clear()
    found = search(store, since=T0 + 10_000, until=T0 + 14_000)
    assert numbers(found) == [14, 13, 12, 11]
    assert len(read) < 16
    monkeypatch.setattr(searching, "SEGMENTS_A_REQUEST", 5)
    page, seen = search(store, user="nobody"), 0
    while page.next is not None:
        page, seen = search(store, user="nobody", before=page.next), seen + 1
    assert (page.entries, 5 < seen < 10) == ([], True), "a long search goes on in pages"


def test_a_search_finds_what_a_plain_one_would(store: Store) -> None:
    chance = random.Random(7)
    made = [draft(number, user=chance.choice("abc"), cluster=chance.choice("xyz"),
                  at=T0 + 60 * number + chance.uniform(-100, 100)) for number in range(150)]
    append(store, *made[:70])
    append(store, *made[70:])
    entries = [LogEntry.model_validate(line) for line in lines_of(store)]
    for _ in range(30):
        since, until = sorted(T0 + chance.uniform(0, 9000) for _ in range(2))
        user = chance.choice("abc")
        plain = [one.seq for one in reversed(entries)
                 if one.user == user and since <= one.at < until]
        assert numbers(search(store, since=since, until=until, user=user,
                              limit=1000)) == plain


def test_records_are_lines_of_json(store: Store) -> None:
    fill(store, 3)
    data = store.read(chain.FOLDER)[segment_path(1)].data
    assert [orjson.loads(line)["seq"] for line in data.splitlines()] == [1, 2, 3]
