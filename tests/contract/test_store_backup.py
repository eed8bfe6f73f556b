"""Backups: everything there is, into either kind of store, and nothing from a damaged file.

The runs with a real ZooKeeper are of the layer ``system``.
"""
from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from esaas.framework.cli import main
from esaas.framework.service.oplog.chain import lines_of
from esaas.framework.service.oplog.verifying import verify
from esaas.framework.store import backup as backups
from esaas.framework.store.contract import Entry, Put, Store, StoreBusy, StoreError
from esaas.framework.store.opening import open_store
from esaas.framework.store.sqlite import SqliteStore

from ..zookeepers import RealZooKeeper

KINDS = ["sqlite", pytest.param("zookeeper", marks=pytest.mark.system)]
RECORDS = {
    "clusters/demo/meta": b"meta", "clusters/demo/nodes/node-1": bytes(range(256)),
    "clusters/demo/nodes/node-2": b"", "clusters/more/meta": os.urandom(300_000),
    "clusters/more/specs/1": os.urandom(400_000), "service/key": b"print",
    **{f"clusters/many/nodes/node-{number}": b"x" * number for number in range(450)},
    "clusters/many/meta": b"many"}


def fill(store: Store, records: dict[str, bytes] = RECORDS) -> None:
    for name in ("demo", "more", "many", "service"):
        lease = store.acquire(name, "filler")
        folder = "service/" if name == "service" else f"clusters/{name}/"
        store.write(lease, [Put(path, data, 0) for path, data in records.items()
                            if path.startswith(folder)],
                    [Entry(1.5, "told", f"{name}-{number}", b'{"a": 1}') for number in range(3)])
        store.release(lease)


def datas(store: Store) -> dict[str, bytes]:
    return {path: item.data for path, item in store.read("").items()}


def history(store: Store) -> list[tuple[str, str]]:
    return sorted((name, entry.kind) for name, entry in store.journal(None))


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Makes the address of an empty store of a kind."""
    def made(kind: str, name: str) -> str:
        if kind == "sqlite":
            return str(tmp_path / name)
        server: RealZooKeeper = request.getfixturevalue("zookeeper")
        return f"zk://{server.hosts}/{tmp_path.name}/{name}"

    return made


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_what_was_backed_up_is_restored(source: str, target: str, places: Any) -> None:
    one, two = open_store(places(source, "one")), open_store(places(target, "two"))
    fill(one)
    backup = backups.load(backups.dump(one, 12.5, journal=True))
    done: list[int] = []
    backups.restore(two, backup, "restore", tell=done.append)
    assert datas(two) == datas(one) == RECORDS
    assert two.names() == one.names() == {"demo", "more", "many"}
    assert history(two) == history(one) and len(history(two)) == 12
    assert backup.made_at == 12.5 and sum(done) == backup.steps == len(RECORDS) + 12
    assert two.leases() == {}
    one.close()
    two.close()


def test_the_journal_is_left_out_unless_it_is_asked_for(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    fill(store)
    assert backups.load(backups.dump(store, 1.0)).lines == []
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_holds_something_is_replaced_only_by_force(kind: str, places: Any) -> None:
    store, other = open_store(places(kind, "one")), open_store(places(kind, "two"))
    fill(store)
    backup = backups.load(backups.dump(store, 1.0))
    lease = other.acquire("demo", "filler")
    other.write(lease, [Put("clusters/demo/meta", b"other", 0), Put("clusters/demo/more", b"x", 0),
                        Put("clusters/gone/meta", b"x", 0)])
    with pytest.raises(StoreBusy, match="used by filler: stop them first"):
        backups.restore(other, backup, "restore", force=True)
    other.release(lease)
    with pytest.raises(StoreError, match="not empty: it has 3 records"):
        backups.restore(other, backup, "restore")
    assert len(datas(other)) == 3
    backups.restore(other, backup, "restore", force=True)
    assert datas(other) == RECORDS
    backups.restore(other, backup, "restore", force=True)
    assert datas(other) == RECORDS and other.leases() == {}
    store.close()
    other.close()


def test_a_restore_that_was_interrupted_leaves_no_half_cluster(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = SqliteStore(tmp_path / "one"), SqliteStore(tmp_path / "two")
    fill(one)
    fill(two, dict.fromkeys(RECORDS, b"older"))
    backup = backups.load(backups.dump(one, 1.0))
    write, left = SqliteStore.write, 3
    while True:
        calls = iter(range(left))

        def failing(*arguments: Any, calls: Iterator[int] = calls) -> Any:
            if next(calls, None) is None:
                raise StoreError("full")
            return write(*arguments)

        monkeypatch.setattr(SqliteStore, "write", failing)
        try:
            backups.restore(two, backup, "restore", force=True)
            break
        except StoreError:
            left += 1
        for name in two.names():
            found = {two.read(f"clusters/{name}")[path].data == RECORDS[path]
                     for path in two.read(f"clusters/{name}")}
            assert len(found) == 1, "all old or all new"
        assert two.leases() == {}
    assert datas(two) == RECORDS and left > 5
    one.close()
    two.close()


def test_damaged_files_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    fill(store)
    lines = list(backups.dump(store, 1.0, journal=True))
    store.close()
    backups.load(lines)
    flipped = lines[2].replace(b'"data":"', b'"data":"AAAA')
    for broken, words in (
            (lines[:-1], "cut off"), (lines[:2] + lines[3:], "damaged"), ([], "cut off"),
            ([*lines[:2], flipped, *lines[3:]], "damaged"), (lines[1:], "no backup"),
            ([*lines[:2], b"{", *lines[2:]], "line 3 of the backup cannot be read"),
            ([lines[0], b'{"record": "a"}', *lines[1:]], "line 2"), ([b"[]\n"], "no backup"),
            ([lines[0], b'"text"\n'], "line 2"),
            ([orjson.dumps({"kind": "esaas-backup", "format": 9, "made_at": 1})], "newer service")):
        with pytest.raises(StoreError, match=words):
            backups.load(broken)


# ------------------------------------------------------------------- command line

def esaas(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def options(place: str) -> tuple[str, str]:
    return ("--store" if place.startswith("zk://") else "--state-dir", place)


@pytest.mark.parametrize("kind", KINDS)
def test_commands(kind: str, places: Any, tmp_path: Path) -> None:
    one, two, file = places("sqlite", "one"), places(kind, "two"), tmp_path / "backup"
    with_state, into = options(one), options(two)
    refused = esaas("backup", str(file), *with_state)
    assert refused.exit_code == 1 and "there is no store in" in refused.output
    store = open_store(one)
    fill(store)
    busy = esaas("backup", str(file), *with_state)
    assert busy.exit_code == 1 and "another esaas serve uses" in busy.output
    assert not file.exists()
    store.close()
    done = esaas("backup", str(file), "--journal", *with_state, "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["clusters"] == 3
    assert file.stat().st_mode & 0o777 == 0o600
    again = esaas("backup", str(file), *with_state)
    assert again.exit_code == 1 and "is there already" in again.output
    restored = esaas("restore", str(file), *into)
    assert restored.exit_code == 0
    assert restored.stdout == (f"restored: 3 clusters, {len(RECORDS)} records, "
                               "12 lines of history\n")
    refused = esaas("restore", str(file), *into)
    assert refused.exit_code == 1 and "not empty" in refused.output
    assert esaas("restore", str(file), *into, "--force").exit_code == 0
    target = open_store(two)
    found = datas(target)
    assert {path: data for path, data in found.items() if not path.startswith("oplog/")} == RECORDS
    [line] = lines_of(target)
    assert (line["operation"], line["door"], line["seq"]) == ("restore_backup", "offline", 1)
    assert line["user"].startswith("offline:")
    assert line["before"]["log.last_seq"] == 1, "the log of the first restore was replaced, too"
    assert verify(target).ok
    target.close()


def test_wrong_use_of_the_commands(tmp_path: Path) -> None:
    file, secret = tmp_path / "backup", tmp_path / "credentials"
    secret.write_text("{user: u, pasword: TOP-SECRET}")
    for more, words in (
            (("--store", "zk://nowhere"), "must be zk://host:port"),
            (("--store", "zk://a/b", "--store-credentials", str(secret)), "chmod 600"),
            (("--store", "zk://a/b", "--store-credentials", "none"), "cannot read none")):
        found = esaas("backup", str(file), *more)
        assert found.exit_code == 2 and words in found.output
    secret.chmod(0o600)
    found = esaas("backup", str(file), "--store", "zk://a/b", "--store-credentials", str(secret))
    assert found.exit_code == 2 and "--store-credentials password: Field required" in found.output
    assert "TOP-SECRET" not in found.output
    file.write_text("x")
    found = esaas("restore", str(file), "--state-dir", str(tmp_path / "state"))
    assert found.exit_code == 1 and "line 1 of the backup cannot be read" in found.output
    assert not (tmp_path / "state").exists(), "nothing was made for a file that is none"
