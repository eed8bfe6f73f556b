"""One suite for every store: fenced, atomic, durable.

The runs on a real ZooKeeper are of the layer ``system``.
"""
from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from contextlib import suppress

import pytest
from esaas.framework.store import sqlite, zookeeper_journal
from esaas.framework.store.contract import (
    MAX_RECORD_BYTES,
    Delete,
    Entry,
    Lease,
    LeaseLost,
    Put,
    RecordTooLarge,
    Store,
    StoreBusy,
    StoreError,
    VersionConflict,
)

from ..zookeepers import until
from .conftest import Open


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


def test_records_are_found_at_every_depth(store: Store) -> None:
    """Whatever a name holds that means something to a file system or to ZooKeeper."""
    lease = store.acquire("demo", "me")
    paths = ["a/1", "a/b/1", "a/b/c/1", "a/b/c/2", "a/b/./..", "a/../x", "a/b c/%2F", "z/\u00fc/1"]
    store.write(lease, [Put(path, path.encode(), 0) for path in paths])
    assert {path: item.data.decode() for path, item in store.read("").items()} == {
        path: path for path in paths}
    assert sorted(store.read("a/b/c")) == ["a/b/c/1", "a/b/c/2"]
    assert sorted(store.read("a/b")) == ["a/b/./..", "a/b/1", "a/b/c/1", "a/b/c/2"]
    assert sorted(store.read("a")) == sorted(paths[:-1])
    store.write(lease, [Delete(path, 1) for path in paths])
    assert store.read("") == {}
    store.write(lease, [Put(paths[1], b"again", 0)])
    assert store.read("a/b")["a/b/1"].version == 1, "a record that was removed begins again"


def test_a_record_is_every_byte(store: Store) -> None:
    lease = store.acquire("demo", "me")
    datas = [b"", b"0", b"z", bytes(range(256)) * 40, os.urandom(5000)]
    store.write(lease, [Put(f"a/{index}", data, 0) for index, data in enumerate(datas)])
    assert [store.read("a")[f"a/{index}"].data for index in range(len(datas))] == datas


def test_a_record_of_noise_at_the_limit_fits(store: Store) -> None:
    lease, noise = store.acquire("demo", "me"), os.urandom(MAX_RECORD_BYTES)
    store.write(lease, [Put("a/noise", noise, 0)], [line("beside")])
    assert store.read("a")["a/noise"].data == noise


def test_names_are_those_of_clusters_with_a_meta_record(store: Store) -> None:
    lease = store.acquire("demo", "me")
    store.write(lease, [Put("clusters/demo/meta", b"x", 0), Put("clusters/half/nodes/a", b"x", 0),
                        Put("other/more/meta", b"x", 0)])
    assert store.names() == {"demo"}
    store.write(lease, [Delete("clusters/demo/meta", 1)])
    assert store.names() == frozenset()


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
    assert open_store().acquire("demo", "later").epoch >= first.epoch + 2


def test_a_lease_that_nobody_took_is_lost(store: Store) -> None:
    lease = store.acquire("demo", "me")
    with pytest.raises(LeaseLost):
        store.write(type(lease)("never", "me", 1), [])


def test_a_lease_is_held_until_another_takes_it_or_it_is_given_back(store: Store) -> None:
    first = store.acquire("demo", "me")
    assert store.held(first) and dict(store.leases()) == {"demo": "me"}
    second = store.acquire("demo", "again")
    assert store.held(second) and not store.held(first)
    assert dict(store.leases()) == {"demo": "again"}
    store.release(first)
    assert store.held(second), "a late release takes nothing away"
    store.release(second)
    assert not store.held(second) and store.leases() == {}
    assert not store.held(Lease("never", "me", 1))


def test_no_lease_is_held_once_the_store_is_closed(store: Store) -> None:
    lease = store.acquire("demo", "me")
    store.close()
    assert not store.held(lease)


def test_who_joined_is_a_member_until_the_end(open_store: Open) -> None:
    store = open_store()
    assert store.members() == {}
    store.join("me:1", b'{"url": "http://me/"}')
    store.on_change(lambda: None)
    assert dict(store.members()) == {"me:1": b'{"url": "http://me/"}'}
    store.close()
    assert open_store().members() == {}


# ----------------------------------------------------------------------- journal

def numbers(found: list[tuple[str, Entry]]) -> list[int]:
    return [entry.seq for _, entry in found]


def test_lines_are_numbered_in_order_over_all_clusters(store: Store) -> None:
    """Those of one transaction follow each other."""
    lease, other = store.acquire("demo", "me"), store.acquire("other", "me")
    last = [store.write(lease, [], [line("a"), line("b", "output")]).last_seq,
            store.write(other, [], [line("c")]).last_seq,
            store.write(lease, [], [line("d")]).last_seq]
    assert last == sorted(set(last))
    found = store.journal(None)
    assert [name for name, _ in found] == ["demo", "demo", "other", "demo"]
    assert numbers(found) == [last[0] - 1, *last]
    assert max(last) < 2**53, "exact in JSON"
    assert kinds(store.journal("demo")) == ["a", "b", "d"]
    assert kinds(store.journal("demo", "input")) == ["a", "d"]
    assert kinds(store.journal(None, after=last[0])) == ["c", "d"]
    assert store.journal("never") == []


def test_without_a_start_the_newest_lines_come_and_after_one_the_next(store: Store) -> None:
    lease = store.acquire("demo", "me")
    store.write(lease, [], [line(str(number)) for number in range(1, 5)])
    store.write(lease, [], [line(str(number)) for number in range(5, 10)])
    seq = numbers(store.journal("demo"))
    assert kinds(store.journal("demo", limit=3)) == ["7", "8", "9"]
    assert kinds(store.journal("demo", limit=7)) == ["3", "4", "5", "6", "7", "8", "9"]
    assert kinds(store.journal("demo", after=seq[1], limit=3)) == ["3", "4", "5"]
    assert store.journal("demo", after=seq[-1]) == []


def test_the_newest_lines_of_all_clusters_come_together(store: Store) -> None:
    leases = [store.acquire(f"demo-{number}", "me") for number in range(4)]
    for number in range(120):
        store.write(leases[number % 4 if number < 100 else 2], [], [line(str(number))])
    assert kinds(store.journal(None, limit=50)) == [str(number) for number in range(70, 120)]
    assert kinds(store.journal(None, limit=500)) == [str(number) for number in range(120)]


def test_the_journal_of_each_cluster_is_trimmed_to_its_newest_lines(
        store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever cluster writes the line that makes it due: a busy one must not hide a quiet one."""
    monkeypatch.setattr(sqlite, "JOURNAL_KEEP", 20)
    monkeypatch.setattr(zookeeper_journal, "JOURNAL_KEEP_TRANSACTIONS", 20)
    for module in (sqlite, zookeeper_journal):
        monkeypatch.setattr(module, "_TRIM_EVERY", 10)
    lease, other = store.acquire("demo", "me"), store.acquire("other", "me")
    for number in range(1, 102):
        store.write(lease, [], [line(str(number))])
        if number % 10:
            store.write(other, [], [line(str(number))])
    for name in ("demo", "other"):
        until(lambda name=name: 20 <= len(store.journal(name)) <= 31, "a trimmed journal")
        assert kinds(store.journal(name))[-1] == "101"


def test_a_line_says_what_it_said(store: Store) -> None:
    lease = store.acquire("demo", "me")
    entry = Entry(12.5, "told", "node_ready", '{"message": "gr\u00fcn"}'.encode())
    large = Entry(0.0, "input", "many", b'"' + b"x" * 5000 + b'"')
    last = store.write(lease, [], [entry, large]).last_seq
    assert store.journal("demo") == [("demo", Entry(*entry_fields(entry), seq=last - 1)),
                                     ("demo", Entry(*entry_fields(large), seq=last))]


def entry_fields(entry: Entry) -> tuple[float, str, str, bytes]:
    return entry.at, entry.stream, entry.kind, entry.body


# --------------------------------------------------------------------- processes

def python(code: str, place: str) -> subprocess.Popen[str]:
    """Another process with this store as its argument."""
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), place],
                            stdout=subprocess.PIPE, text=True)


def test_all_that_was_committed_survives_a_kill_9_and_nothing_by_halves(
        open_store: Open, place: str) -> None:
    code = """
        import sys
        from itertools import count
        from esaas.framework.store.contract import Entry, Put
        from esaas.framework.store.opening import open_store
        store = open_store(sys.argv[1])
        lease = store.acquire("demo", "child")
        for number in count(1):
            body = str(number).encode()
            store.write(lease, [Put("a/one", body, number - 1), Put("a/two", body, number - 1)],
                        [Entry(1.0, "input", str(number), b"{}")])
            print(number, flush=True)
        """
    with python(code, place) as child:
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
    assert retaken(store, "demo").epoch > 1


def retaken(store: Store, name: str) -> Lease:
    """A lease whose holder has died: with ZooKeeper its session ends first."""
    found: list[Lease] = []

    def free() -> bool:
        with suppress(StoreBusy):
            found.append(store.acquire(name, "me"))
        return bool(found)

    until(free, f"the lease of {name}")
    return found[0]


def test_a_closed_store_refuses_and_says_so(store: Store) -> None:
    lease = store.acquire("demo", "me")
    store.close()
    for attempt in (lambda: store.write(lease, [Put("a/1", b"x", 0)]), lambda: store.read("a"),
                    lambda: store.journal("demo"), lambda: store.acquire("demo", "me"),
                    lambda: store.read(""), store.names):
        with pytest.raises(StoreError):
            attempt()


