"""One suite for every store: fenced, atomic, durable, and one process at a time."""
from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from esaas.framework.store import sqlite
from esaas.framework.store.contract import (
    MAX_RECORD_BYTES,
    Delete,
    Entry,
    LeaseLost,
    Put,
    RecordTooLarge,
    Store,
    StoreBusy,
    StoreError,
    VersionConflict,
)
from esaas.framework.store.sqlite import SqliteStore

Open = Callable[[], Store]


@pytest.fixture(params=[SqliteStore])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store again and again; all are closed at the end."""
    opened: list[Store] = []

    def make() -> Store:
        opened.append(request.param(tmp_path))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()


def line(kind: str, stream: str = "input", at: float = 1.0) -> Entry:
    return Entry(at, stream, kind, b"{}")


def kinds(found: list[tuple[str, Entry]]) -> list[str]:
    return [entry.kind for _, entry in found]


# ----------------------------------------------------------------------- records

def test_what_is_written_is_read_with_its_version(store: Store) -> None:
    lease = store.acquire("demo", "me")
    written = store.write(lease, [Put("clusters/demo/meta", b"1", 0)])
    assert written.versions == {"clusters/demo/meta": 1}
    written = store.write(lease, [Put("clusters/demo/meta", b"2", 1)])
    found = store.read("clusters/demo")
    assert {path: (item.data, item.version) for path, item in found.items()} == {
        "clusters/demo/meta": (b"2", 2)}
    store.write(lease, [Delete("clusters/demo/meta", 2)])
    assert store.read("clusters/demo") == {}


def test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name(store: Store) -> None:
    lease = store.acquire("demo", "me")
    paths = ["clusters/demo/a", "clusters/demo-2/a", "clusters/demo0/a", "clusters/dem/a"]
    store.write(lease, [Put(path, b"x", 0) for path in paths])
    assert list(store.read("clusters/demo")) == ["clusters/demo/a"]
    assert sorted(store.read("clusters/")) == sorted(paths)


@pytest.mark.parametrize("change", [
    Put("a/1", b"x", 0), Put("a/1", b"x", 2), Delete("a/1", 0), Put("a/new", b"x", 1),
    Delete("a/new", 1)])
def test_a_write_at_another_version_is_refused_whole(
        store: Store, change: Put | Delete) -> None:
    lease = store.acquire("demo", "me")
    store.write(lease, [Put("a/1", b"old", 0)])
    before = store.read("a")
    with pytest.raises(VersionConflict):
        store.write(lease, [Put("a/2", b"x", 0), change], [line("never")])
    assert store.read("a") == before and store.journal("demo") == []


def test_a_record_above_the_limit_is_refused_with_everything_beside_it(store: Store) -> None:
    lease = store.acquire("demo", "me")
    store.write(lease, [Put("a/fits", b"x" * MAX_RECORD_BYTES, 0)])
    with pytest.raises(RecordTooLarge, match="a/large has 1000001 bytes"):
        store.write(lease, [Put("a/small", b"x", 0),
                            Put("a/large", b"x" * (MAX_RECORD_BYTES + 1), 0)], [line("never")])
    assert list(store.read("a")) == ["a/fits"] and store.journal(None) == []


# ------------------------------------------------------------------------ leases

def test_who_has_lost_the_lease_writes_nothing(store: Store) -> None:
    old = store.acquire("demo", "old")
    new = store.acquire("demo", "new")
    assert new.epoch > old.epoch
    with pytest.raises(LeaseLost):
        store.write(old, [Put("a/1", b"x", 0)], [line("never")])
    assert store.read("a") == {} and store.journal("demo") == []
    store.write(new, [Put("a/1", b"x", 0)])


def test_a_lease_that_was_given_back_is_of_no_use(store: Store) -> None:
    lease = store.acquire("demo", "me")
    store.release(lease)
    store.release(lease)
    with pytest.raises(LeaseLost):
        store.write(lease, [Put("a/1", b"x", 0)])
    assert store.acquire("demo", "me").epoch > lease.epoch


def test_a_late_release_does_not_take_the_lease_from_its_new_holder(store: Store) -> None:
    old, new = store.acquire("demo", "old"), store.acquire("demo", "new")
    store.release(old)
    store.write(new, [Put("a/1", b"x", 0)])


def test_leases_of_clusters_are_apart_and_epochs_outlive_the_process(open_store: Open) -> None:
    store = open_store()
    first, other = store.acquire("demo", "me"), store.acquire("other", "me")
    store.acquire("demo", "again")
    store.write(other, [Put("a/1", b"x", 0)])
    store.close()
    assert open_store().acquire("demo", "later").epoch == first.epoch + 2


def test_a_lease_that_nobody_took_is_lost(store: Store) -> None:
    lease = store.acquire("demo", "me")
    with pytest.raises(LeaseLost):
        store.write(type(lease)("never", "me", 1), [])


# ----------------------------------------------------------------------- journal

def test_lines_are_numbered_without_gaps_and_read_in_order(store: Store) -> None:
    lease, other = store.acquire("demo", "me"), store.acquire("other", "me")
    assert store.write(lease, [], [line("a"), line("b", "output")]).last_seq == 2
    assert store.write(other, [], [line("c")]).last_seq == 3
    assert store.write(lease, [], [line("d")]).last_seq == 4
    assert [(name, entry.seq) for name, entry in store.journal(None)] == [
        ("demo", 1), ("demo", 2), ("other", 3), ("demo", 4)]
    assert kinds(store.journal("demo")) == ["a", "b", "d"]
    assert kinds(store.journal("demo", "input")) == ["a", "d"]


def test_without_a_start_the_newest_lines_come_and_after_one_the_next(store: Store) -> None:
    lease = store.acquire("demo", "me")
    store.write(lease, [], [line(str(number)) for number in range(1, 10)])
    assert kinds(store.journal("demo", limit=3)) == ["7", "8", "9"]
    assert kinds(store.journal("demo", after=2, limit=3)) == ["3", "4", "5"]
    assert store.journal("demo", after=9) == []


def test_the_journal_of_each_cluster_is_trimmed_to_its_newest_lines(
        store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever cluster writes the line that makes it due: a busy one must not hide a quiet one."""
    monkeypatch.setattr(sqlite, "JOURNAL_KEEP", 20)
    monkeypatch.setattr(sqlite, "_TRIM_EVERY", 10)
    lease, other = store.acquire("demo", "me"), store.acquire("other", "me")
    for number in range(1, 101):
        store.write(lease, [], [line(str(number))])
        if number % 10:
            store.write(other, [], [line(str(number))])
    for name in ("demo", "other"):
        left = kinds(store.journal(name))
        assert 20 <= len(left) <= 31 and left[-1] in ("99", "100")


def test_a_line_says_what_it_said(store: Store) -> None:
    lease = store.acquire("demo", "me")
    entry = Entry(12.5, "told", "node_ready", '{"message": "gr\u00fcn"}'.encode())
    store.write(lease, [], [entry])
    assert store.journal("demo") == [("demo", Entry(*entry_fields(entry), seq=1))]


def entry_fields(entry: Entry) -> tuple[float, str, str, bytes]:
    return entry.at, entry.stream, entry.kind, entry.body


# --------------------------------------------------------------------- processes

def python(code: str, directory: Path) -> subprocess.Popen[str]:
    """Another process with this store's directory as its argument."""
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(directory)],
                            stdout=subprocess.PIPE, text=True)


def test_a_second_process_is_refused_until_the_first_has_gone(
        open_store: Open, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from esaas.framework.store.contract import StoreBusy
        from esaas.framework.store.sqlite import SqliteStore
        try:
            SqliteStore(Path(sys.argv[1])).close()
        except StoreBusy as error:
            print("busy", error)
        else:
            print("open")
        """
    store = open_store()
    with python(code, tmp_path) as second:
        assert second.communicate()[0] == f"busy another esaas serve uses {tmp_path}\n"
    store.close()
    with python(code, tmp_path) as third:
        assert third.communicate()[0] == "open\n"


def test_a_second_one_in_the_same_process_is_refused(open_store: Open, store: Store) -> None:
    with pytest.raises(StoreBusy):
        open_store()


def test_all_that_was_committed_survives_a_kill_9_and_nothing_by_halves(
        open_store: Open, tmp_path: Path) -> None:
    code = """
        import sys
        from itertools import count
        from pathlib import Path
        from esaas.framework.store.contract import Entry, Put
        from esaas.framework.store.sqlite import SqliteStore
        store = SqliteStore(Path(sys.argv[1]))
        lease = store.acquire("demo", "child")
        for number in count(1):
            body = str(number).encode()
            store.write(lease, [Put("a/one", body, number - 1), Put("a/two", body, number - 1)],
                        [Entry(1.0, "input", str(number), b"{}")])
            print(number, flush=True)
        """
    with python(code, tmp_path) as child:
        assert child.stdout is not None
        said = [int(next(child.stdout)) for _ in range(50)]
        child.kill()
        said += [int(number) for number in child.stdout if number.endswith("\n")]
    store = open_store()
    found = store.read("a")
    last = found["a/one"].version
    assert last >= said[-1], "what was told as committed is there"
    assert found["a/two"] == found["a/one"] and found["a/one"].data == str(last).encode()
    assert kinds(store.journal("demo"))[-1] == str(last)
    assert store.acquire("demo", "me").epoch == 2


def test_a_closed_store_refuses_and_says_so(store: Store) -> None:
    lease = store.acquire("demo", "me")
    store.close()
    for attempt in (lambda: store.write(lease, [Put("a/1", b"x", 0)]), lambda: store.read("a"),
                    lambda: store.journal("demo"), lambda: store.acquire("demo", "me")):
        with pytest.raises(StoreError):
            attempt()


def test_a_place_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        SqliteStore(tmp_path / "file")
    (tmp_path / "esaas.sqlite3").write_text("this is no database, whatever its name says" * 99)
    with pytest.raises(StoreError, match="cannot open"):
        SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="cannot open"):        # and the lock is free again
        SqliteStore(tmp_path)
