"""The embedded store: one process, one file."""
from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from esaas.framework.store import sqlite
from esaas.framework.store.contract import Entry, Put, StoreBusy, StoreError
from esaas.framework.store.sqlite import SqliteStore


def python(code: str, directory: Path) -> subprocess.Popen[str]:
    """Another process with this store's directory as its argument."""
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(directory)],
                            stdout=subprocess.PIPE, text=True)


def test_a_second_process_is_refused_until_the_first_has_gone(tmp_path: Path) -> None:
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
    store = SqliteStore(tmp_path)
    with python(code, tmp_path) as second:
        assert second.communicate()[0] == f"busy another esaas serve uses {tmp_path}\n"
    store.close()
    with python(code, tmp_path) as third:
        assert third.communicate()[0] == "open\n"


def test_a_second_one_in_the_same_process_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreBusy):
        SqliteStore(tmp_path)
    store.close()


def test_a_place_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        SqliteStore(tmp_path / "file")
    (tmp_path / "esaas.sqlite3").write_text("this is no database, whatever its name says" * 99)
    with pytest.raises(StoreError, match="cannot open"):
        SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="cannot open"):        # and the lock is free again
        SqliteStore(tmp_path)


# --------------------------------------------------------------------- a full disk

def test_a_full_disk_loses_nothing_and_is_over_when_there_is_room(tmp_path: Path) -> None:
    """SQLite's own limit of pages stands in for the disk; what it raises is the same."""
    store = SqliteStore(tmp_path)
    lease = store.acquire("demo", "me")
    store.write(lease, [Put("a/1", b"first", 0)], [Entry(1.0, "input", "first", b"{}")])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 20}")
    last = 1
    with pytest.raises(StoreError, match="full"):
        while True:
            store.write(lease, [Put("a/1", os.urandom(20_000), last), Put("b/1", b"x" * last,
                                                                          last - 1)],
                        [Entry(1.0, "input", str(last), b'"' + b"x" * 9000 + b'"')])
            last += 1
    assert last > 1, "some fitted"
    found = store.read("")
    assert {path: item.version for path, item in found.items()} == {"a/1": last, "b/1": last - 1}
    assert store.journal("demo")[-1][1].kind == str(last - 1)
    assert store.held(lease)
    with pytest.raises(StoreError, match="full"):
        store.write(lease, [Put("c/1", os.urandom(200_000), 0)])
    store._db.execute("PRAGMA max_page_count = 1073741823")
    store.write(lease, [Put("c/1", os.urandom(200_000), 0)])
    store.close()
    again = SqliteStore(tmp_path)
    assert again.read("a") == {"a/1": found["a/1"]}
    assert again._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    again.close()


# ------------------------------------------------------------------------- layout

def test_a_layout_of_a_newer_service_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    with sqlite3.connect(tmp_path / "esaas.sqlite3") as file:
        file.execute("PRAGMA user_version = 9")
    file.close()
    for _ in range(2):                          # and the lock is free again
        with pytest.raises(StoreError, match="layout 9 of a newer service; this one knows 1"):
            SqliteStore(tmp_path)


def test_an_older_layout_is_migrated_step_by_step(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = SqliteStore(tmp_path)
    old.write(old.acquire("demo", "me"), [Put("a/1", b"x", 0)])
    old._db.execute("PRAGMA user_version = 0")  # as files were before versions were written
    old.close()
    steps = {**sqlite.MIGRATIONS, 1: "CREATE TABLE more (x); INSERT INTO more VALUES (1)",
             2: "INSERT INTO more VALUES (2); INSERT INTO nowhere VALUES (3)"}
    monkeypatch.setattr(sqlite, "MIGRATIONS", steps)
    with pytest.raises(StoreError, match="nowhere"):
        SqliteStore(tmp_path)
    steps[2] = "INSERT INTO more VALUES (3)"
    new = SqliteStore(tmp_path)
    assert new._db.execute("SELECT x FROM more").fetchall() == [(1,), (3,)], "each step once"
    assert new.read("a")["a/1"].data == b"x"
    new.close()
    monkeypatch.undo()
    with pytest.raises(StoreError, match="layout 3"):
        SqliteStore(tmp_path)
