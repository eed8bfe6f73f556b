"""All that a store holds as lines of JSON, and back into an empty store of either kind.

A header, a line per record, on request one per line of the journal, and a trailer with the SHA-256
of everything before it: a file that was cut off or changed is refused before anything is written.
Lines of the journal get new numbers when they are restored, cluster by cluster.
"""
from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from .contract import Delete, Entry, Lease, Put, Store, StoreBusy, Stored, StoreError

T = TypeVar("T")
KIND, FORMAT = "esaas-backup", 1
EVERYTHING = 10**9                  # lines
STEADY_TRIES = 20
BATCH_BYTES = 500_000               # of one transaction, well below what ZooKeeper takes
BATCH_ITEMS = 200


@dataclass(frozen=True, slots=True)
class Backup:
    """What a file holds, once its trailer was verified."""

    made_at: float
    records: Mapping[str, bytes]
    lines: Sequence[tuple[str, Entry]]      # of the journal, by cluster

    @property
    def steps(self) -> int:
        """How much a restore has to do, for a progress bar."""
        return len(self.records) + len(self.lines)


def dump(store: Store, at: float, *, journal: bool = False) -> Iterator[bytes]:
    """The lines of a backup made at a time (seconds since 1970); StoreError.

    Services may go on meanwhile: each cluster is of one moment.
    """
    digest, counts = hashlib.sha256(), {"records": 0, "lines": 0}
    for line in _lines(store, at, journal, counts):
        digest.update(line)
        yield line
    yield _line({"sha256": digest.hexdigest(), **counts})


def _lines(store: Store, at: float, journal: bool, counts: dict[str, int]) -> Iterator[bytes]:
    yield _line({"kind": KIND, "format": FORMAT, "made_at": at})
    for folder in sorted({_folder(path) for path in store.read("")}):
        for path, record in sorted(_steady(store, folder).items()):
            counts["records"] += 1
            yield _line({"record": path, "data": base64.b64encode(record.data).decode()})
    for name, entry in store.journal(None, limit=EVERYTHING) if journal else ():
        counts["lines"] += 1
        yield _line({"line": name, "at": entry.at, "stream": entry.stream, "kind": entry.kind,
                     "body": entry.body.decode()})


def _line(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value) + b"\n"


def _folder(path: str) -> str:
    """The cluster's folder, or the first part of a path that is no cluster's."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "clusters" else parts[0]


def _steady(store: Store, folder: str) -> Mapping[str, Stored]:
    """A cluster's records as they were at one moment: read until nobody wrote in between."""
    found = store.read(folder)
    for _ in range(STEADY_TRIES):
        before, found = found, store.read(folder)
        if found == before:
            return found
    raise StoreError(f"{folder} changes all the time; try again later")


def load(lines: Iterable[bytes]) -> Backup:
    """A verified backup; StoreError when it is none, is of a newer service, or is damaged."""
    digest, records, entries = hashlib.sha256(), dict[str, bytes](), list[tuple[str, Entry]]()
    header: dict[str, Any] | None = None
    for number, line in enumerate(lines, start=1):
        try:
            item = orjson.loads(line)
            if header is None:
                header = _checked_header(item)
            elif "sha256" in item:
                _check_trailer(item, digest.hexdigest(), len(records), len(entries))
                return Backup(float(header["made_at"]), records, entries)
            elif "record" in item:
                records[item["record"]] = base64.b64decode(item["data"], validate=True)
            else:
                entries.append((item["line"], Entry(item["at"], item["stream"], item["kind"],
                                                    item["body"].encode())))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"line {number} of the backup cannot be read: {error!r}") from error
        digest.update(line)
    raise StoreError("the backup is cut off: it has no trailer")


def _checked_header(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict) or item.get("kind") != KIND:
        raise StoreError("this is no backup of a store")
    if item["format"] > FORMAT:
        raise StoreError(f"the backup has the format {item['format']} of a newer service; "
                         f"this one knows {FORMAT}")
    return item


def _check_trailer(item: Mapping[str, Any], digest: str, records: int, lines: int) -> None:
    if item["sha256"] != digest or (item["records"], item["lines"]) != (records, lines):
        raise StoreError("the backup is damaged: its trailer does not fit what is before it")


def restore(store: Store, backup: Backup, owner: str, *, force: bool = False,
            tell: Callable[[int], None] = lambda done: None) -> None:
    """Write a backup into a store that nobody uses; ``tell`` hears how many steps are done.

    ``force`` replaces all records that are there. Without it StoreError when there are any;
    StoreBusy when processes use the store. A cluster that was not written whole has no meta record,
    so no service takes it up; the same restore with ``force`` finishes it.
    """
    old = store.read("")
    if old and not force:
        raise StoreError(f"the store is not empty: it has {len(old)} records")
    if users := {*store.members(), *store.leases().values()}:
        raise StoreBusy(f"the store is used by {', '.join(sorted(users))}: stop them first")
    folders: dict[str, list[str]] = {name: [] for name, _ in backup.lines}
    for folder in sorted({_folder(path) for path in (*old, *backup.records)}):
        folders.setdefault(folder.removeprefix("clusters/"), []).append(folder)
    lines: dict[str, list[Entry]] = defaultdict(list)
    for name, entry in backup.lines:
        lines[name].append(entry)
    leases: list[Lease] = []
    try:
        # All at first: who holds one of them uses the store.
        for name in folders:
            leases.append(store.acquire(name, owner))
        for lease in leases:
            for folder in folders[lease.name]:
                _restore_folder(store, lease, folder, backup, old, tell)
            _restore_lines(store, lease, lines[lease.name], tell)
    finally:
        for lease in leases:
            store.release(lease)


def _restore_folder(store: Store, lease: Lease, folder: str, backup: Backup,
                    old: Mapping[str, Stored], tell: Callable[[int], None]) -> None:
    """Replace what is in a folder; the meta record goes first and comes last."""
    meta = f"{folder}/meta"
    there = {path: item.version for path, item in old.items() if _folder(path) == folder}
    wanted = {path: data for path, data in backup.records.items() if _folder(path) == folder}
    if meta in there:
        store.write(lease, [Delete(meta, there.pop(meta))])
    changes: list[Put | Delete] = [
        Delete(path, version) for path, version in there.items() if path not in wanted]
    changes += [Put(path, data, there.get(path, 0)) for path, data in wanted.items()
                if path != meta]
    for batch in _batches(changes, lambda change: (
            len(change.data) if isinstance(change, Put) else 0)):
        store.write(lease, batch)
        tell(sum(isinstance(change, Put) for change in batch))
    if meta in wanted:
        store.write(lease, [Put(meta, wanted[meta], 0)])
        tell(1)


def _restore_lines(store: Store, lease: Lease, entries: Sequence[Entry],
                   tell: Callable[[int], None]) -> None:
    for batch in _batches(entries, lambda entry: len(entry.body)):
        store.write(lease, [], batch)
        tell(len(batch))


def _batches(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Pieces that each fit into one transaction."""
    batch: list[T] = []
    room = BATCH_BYTES
    for item in items:
        if batch and (size(item) > room or len(batch) >= BATCH_ITEMS):
            yield batch
            batch, room = [], BATCH_BYTES
        batch.append(item)
        room -= size(item)
    if batch:
        yield batch
