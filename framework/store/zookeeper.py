"""The shared store: ZooKeeper, any number of processes.

    ROOT/schema                     version of this layout
    ROOT/records/clusters/NAME/...  one znode per record; deeper paths are one name ("nodes%2Fn-1")
    ROOT/leases/NAME                its version is the epoch of the lease
    ROOT/leases/NAME/last           the mark of the last transaction
    ROOT/holders/NAME               ephemeral: who holds the lease now
    ROOT/members/MEMBER             ephemeral
    ROOT/journal/NAME/t-...         one znode per transaction

Every write is one transaction that checks the lease's version and the holder, so who has lost a
lease or its session writes nothing (docs/adr/0010-zookeeper-store.md).
"""
from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from .contract import (
    Delete,
    Entry,
    Lease,
    LeaseLost,
    OutcomeUnknown,
    Put,
    StoreBusy,
    Stored,
    StoreError,
    TransactionTooLarge,
    VersionConflict,
    Written,
    check_size,
)
from .keeper import (
    MAX_TRANSACTION_BYTES,
    RETRY_S,
    SESSION_TIMEOUT_S,
    Keeper,
    Operation,
    Refused,
    Unknown,
    check,
    make,
    remove,
    replace,
)
from .packing import pack, unpack
from .zookeeper_journal import FOLDER as JOURNAL
from .zookeeper_journal import ZooKeeperJournal, last_seq
from .zookeeper_journal import folder as journal_folder
from .zookeeper_schema import SCHEMA, check_schema

RECORDS, LEASES, HOLDERS, MEMBERS = "records", "leases", "holders", "members"
CLUSTERS = f"{RECORDS}/clusters"
_FOLDERS = (CLUSTERS, LEASES, HOLDERS, MEMBERS, JOURNAL)


@dataclass(frozen=True, slots=True)
class _Part:
    """An operation of a transaction, and what its refusal means."""

    operation: Operation
    refusal: StoreError | None = None       # None: somebody made a folder meanwhile; try again


class ZooKeeperStore:
    """Fulfils ``contract.Store`` under ``root`` of the servers at ``hosts`` (host:port,...).

    With ``credentials`` (user and password) nobody else can see or change anything. Raises
    StoreError when no server answers, the credentials are refused or come too late for a store
    that was made without, or a newer service has been here.
    """

    def __init__(self, hosts: str, root: str, credentials: tuple[str, str] | None = None,
                 timeout_s: float = SESSION_TIMEOUT_S) -> None:
        self._callback: Callable[[], None] | None = None
        self._mutex = threading.Lock()
        self._holding: dict[str, tuple[int, int]] = {}      # epoch and session, by name
        self._member: tuple[str, bytes] | None = None
        self._joined = -1                                   # the session that it joined with
        self._keeper = Keeper(hosts, root, credentials, self._changed, self._rejoin, timeout_s)
        try:
            self._schema = check_schema(self._keeper, (MEMBERS, HOLDERS))
            if credentials and self._keeper.is_open(SCHEMA):
                raise StoreError(f"the store at {root} was made without credentials and is open "
                                 "to everybody: back it up, and restore it to another path")
            for folder in _FOLDERS:
                self._keeper.ensure(folder)
            self._journal = ZooKeeperJournal(self._keeper)
            self._keeper.contact()
        except BaseException:
            self._keeper.close()
            raise

    # -------------------------------------------------------------------- leases

    def acquire(self, name: str, owner: str) -> Lease:
        """Take a lease that nobody, or this process, holds; StoreBusy names another holder."""
        deadline = time.monotonic() + self._keeper.session_timeout_s
        while True:
            generation = self._keeper.generation
            try:
                epoch = self._take(name, owner)
            except (Refused, Unknown) as error:
                if isinstance(error, Refused) and error.index == 0:
                    raise StoreError("a newer service has migrated the store: "
                                     "this process can take no lease any more") from error
                # Another was quicker, or the connection went: look again what there is now.
                if time.monotonic() >= deadline:
                    raise StoreError(f"the lease of {name} cannot be had now: {error}") from error
                time.sleep(RETRY_S)
                continue
            self._keeper.contact()
            with self._mutex:
                if generation == self._keeper.generation:
                    self._holding[name] = (epoch, generation)
                    return Lease(name, owner, epoch)

    def _take(self, name: str, owner: str) -> int:
        path, holder_path = _lease(name), _holder(name)
        found = self._keeper.get_many([path, holder_path])
        lease, holder = found.get(path), found.get(holder_path)
        if lease is None:
            for folder in (path, _last(name), journal_folder(name)):
                self._keeper.ensure(folder)
            lease = self._keeper.get(path)
            assert lease is not None, "leases are never removed"
        operations = [check(SCHEMA, self._schema), replace(path, owner.encode(), lease.version)]
        if holder is not None:
            if holder.owner != self._keeper.session:
                raise StoreBusy(f"{holder.data.decode()} holds the lease of {name}")
            operations.append(remove(holder_path, holder.version))
        operations.append(make(holder_path, owner.encode(), ephemeral=True))
        return int(self._keeper.transaction(operations)[1].version)

    def release(self, lease: Lease) -> None:
        """Nobody holds it afterwards, unless another did before."""
        with self._mutex:
            if self._holding.get(lease.name, (0, 0))[0] == lease.epoch:
                del self._holding[lease.name]
        deadline = time.monotonic() + self._keeper.session_timeout_s
        while True:
            try:
                self._keeper.transaction([replace(_lease(lease.name), b"", lease.epoch),
                                          remove(_holder(lease.name))])
                return
            except Refused:
                return                          # lost already, or a session that has ended
            except Unknown as error:
                if time.monotonic() >= deadline:
                    raise self._keeper.away() from error
                time.sleep(RETRY_S)

    def held(self, lease: Lease) -> bool:
        """Whether nobody else can have it yet: the session it was taken in was seen just now."""
        return (self._holding.get(lease.name) == (lease.epoch, self._keeper.generation)
                and self._keeper.alive())

    def leases(self) -> Mapping[str, str]:
        """Owners by name."""
        names = self._keeper.children(HOLDERS)
        found = self._keeper.get_many(f"{HOLDERS}/{item}" for item in names)
        return {unquote(path.removeprefix(f"{HOLDERS}/")): node.data.decode()
                for path, node in found.items()}

    # ------------------------------------------------------------------- members

    def names(self) -> frozenset[str]:
        """From the meta records."""
        items = self._keeper.children(CLUSTERS)
        found = self._keeper.exist(f"{CLUSTERS}/{item}/meta" for item in items)
        return frozenset(unquote(path.split("/")[2]) for path in found)

    def join(self, member: str, data: bytes) -> None:
        """Be listed while the session lives; a new session joins again by itself."""
        self._member, self._joined = (member, data), -1
        self._rejoin()

    def _rejoin(self) -> None:
        """After every heartbeat."""
        if self._member is None or self._joined == self._keeper.generation:
            return
        generation = self._keeper.generation
        path, data = f"{MEMBERS}/{_quoted(self._member[0])}", pack(self._member[1])
        if not self._keeper.create(path, data, ephemeral=True):
            found = self._keeper.get(path)
            if found is None or found.owner != self._keeper.session or found.data != data:
                self._keeper.delete(path)       # of a session of ours that has ended
                self._keeper.create(path, data, ephemeral=True)
        self._joined = generation

    def members(self) -> Mapping[str, bytes]:
        """All processes with a session."""
        found = self._keeper.get_many(f"{MEMBERS}/{item}"
                                      for item in self._keeper.children(MEMBERS))
        return {unquote(path.removeprefix(f"{MEMBERS}/")): unpack(node.data)
                for path, node in found.items()}

    def on_change(self, callback: Callable[[], None]) -> None:
        """Called on threads of ZooKeeper's client."""
        self._callback = callback
        for folder in (MEMBERS, HOLDERS, CLUSTERS):
            self._keeper.watch_children(folder, self._changed)

    def _changed(self) -> None:
        if self._callback is not None:
            self._callback()

    # ------------------------------------------------------------------- records

    def read(self, prefix: str) -> Mapping[str, Stored]:
        """All records under ``prefix/``."""
        wanted = f"{prefix.strip('/')}/".lstrip("/")
        segments = wanted.split("/")[:-1]
        paths = self._record_nodes(segments)
        found = self._keeper.get_many(path for path in paths if _record(path).startswith(wanted))
        # A folder holds nothing; a record has its marker at least.
        return {_record(path): Stored(unpack(node.data), node.version + 1)
                for path, node in found.items() if node.data}

    def _record_nodes(self, segments: Sequence[str]) -> list[str]:
        """Nodes that may be records below a folder, or beside what it names."""
        if len(segments) >= 2:
            folder = _node("/".join(segments[:2]))
            return self._below([folder])
        tops = [_node(segments[0])] if segments else self._below([RECORDS])
        return [path for item in self._below(tops) for path in (item, *self._below([item]))]

    def _below(self, folders: Iterable[str]) -> list[str]:
        return [f"{folder}/{child}" for folder, children
                in self._keeper.children_many(folders).items() for child in sorted(children)]

    def write(self, lease: Lease, changes: Sequence[Put | Delete],
              entries: Sequence[Entry] = ()) -> Written:
        """One transaction; see the contract. A lost connection is waited for, while ours."""
        for change in changes:
            check_size(change)
        zxid = self._commit(lease, changes, entries)
        if entries:
            self._journal.wrote(lease.name)
        self._sweep(changes)
        return Written({change.path: change.version + 1 if isinstance(change, Put) else 0
                        for change in changes}, last_seq(zxid, len(entries)))

    def _commit(self, lease: Lease, changes: Sequence[Put | Delete],
                entries: Sequence[Entry]) -> int:
        """The number of the transaction that wrote it."""
        deadline = time.monotonic() + self._keeper.session_timeout_s
        mark, unsure = uuid.uuid4().bytes, False
        while True:
            try:
                parts = self._parts(lease, mark, changes, entries)
                operations = [part.operation for part in parts]
                size = self._keeper.size_of(operations)
                if size > MAX_TRANSACTION_BYTES:
                    raise TransactionTooLarge(f"a transaction of {lease.name} has {size} bytes, "
                                              f"at most {MAX_TRANSACTION_BYTES} can be written")
                return int(self._keeper.transaction(operations)[2].mzxid)
            except Refused as error:
                zxid = self._settled(lease, mark, deadline) if unsure else 0
                refusal = self._refusal(parts[error.index], lease, error)
                if zxid:
                    return zxid
                if refusal is not None:
                    raise refusal from error
            except Unknown:
                unsure = True
                zxid = self._settled(lease, mark, deadline)
                if zxid:
                    return zxid
            if time.monotonic() >= deadline:
                raise self._keeper.away()

    def _refusal(self, part: _Part, lease: Lease, error: Refused) -> StoreError | None:
        if not error.about_a_version:
            return StoreError(f"ZooKeeper refuses a transaction of {lease.name}: {error}")
        if isinstance(part.refusal, LeaseLost):
            self._drop(lease)
        return part.refusal

    def _drop(self, lease: Lease) -> None:
        with self._mutex:
            if self._holding.get(lease.name, (0, 0))[0] == lease.epoch:
                del self._holding[lease.name]

    def _settled(self, lease: Lease, mark: bytes, deadline: float) -> int:
        """After a lost connection: the transaction's number when it was carried out, else 0.

        Raises OutcomeUnknown when no server tells in time; the lease is given up then. A request
        that still waits in the client goes out before this one asks; one that is on its way is
        overtaken by nothing, because the server closes the old connection first.
        """
        while True:
            try:
                self._keeper.sync()
                found = self._keeper.get(_last(lease.name))
                return found.changed_zxid if found is not None and found.data == mark else 0
            except StoreError as error:
                if time.monotonic() >= deadline:
                    self._drop(lease)
                    raise OutcomeUnknown(f"{error}; whether the last transaction of {lease.name} "
                                         "was written is unknown") from error

    def _parts(self, lease: Lease, mark: bytes, changes: Sequence[Put | Delete],
               entries: Sequence[Entry]) -> list[_Part]:
        lost = LeaseLost(f"the lease of {lease.name} with epoch {lease.epoch} is lost")
        parts = [_Part(check(_lease(lease.name), lease.epoch), lost),
                 _Part(check(_holder(lease.name), 0), lost),
                 _Part(replace(_last(lease.name), mark), lost)]
        parts += [_Part(make(folder, b"")) for folder in self._new_folders(changes)]
        for change in changes:
            parts += _change(change)
        if entries:
            parts.append(_Part(self._journal.operation(lease.name, entries), lost))
        return parts

    def _new_folders(self, changes: Sequence[Put | Delete]) -> list[str]:
        """Folders of new records that are not there yet."""
        wanted = sorted({_folder(change.path) for change in changes if change.version == 0})
        if not wanted:
            return []
        there = self._keeper.exist(wanted)
        missing = [folder for folder in wanted if folder not in there]
        tops = [folder for folder in missing if folder.count("/") == 1]
        for folder in {folder.rsplit("/", 1)[0] for folder in missing} | set(tops):
            self._keeper.ensure(folder)
        return [folder for folder in missing if folder not in tops]

    def _sweep(self, changes: Sequence[Put | Delete]) -> None:
        """Folders that are empty now go; one that stays behind does no harm."""
        emptied = {_folder(change.path) for change in changes if isinstance(change, Delete)}
        folders = [folder for folder in emptied if folder.count("/") == 2]
        if not folders:
            return
        try:
            for path, node in self._keeper.get_many(folders).items():
                if not node.children and not node.data:
                    self._keeper.delete(path)
        except StoreError:
            return                              # what was to be written is written

    def journal(self, name: str | None, stream: str | None = None, after: int = 0,
                limit: int = 1000) -> list[tuple[str, Entry]]:
        """Lines of the journal; see the contract."""
        return self._journal.read(name, stream, after, limit)

    def close(self) -> None:
        """End the session: leases and membership end with it."""
        with self._mutex:
            self._holding.clear()
        self._keeper.close()


def _quoted(segment: str) -> str:
    """A name as one part of a path; what ZooKeeper takes for a step in a path is no name."""
    return segment.replace(".", "%2E") if segment in (".", "..") else quote(segment, safe="")


def _lease(name: str) -> str:
    return f"{LEASES}/{_quoted(name)}"


def _last(name: str) -> str:
    return f"{_lease(name)}/last"


def _holder(name: str) -> str:
    return f"{HOLDERS}/{_quoted(name)}"


def _node(path: str) -> str:
    """Where a record is: two folders, and the rest as one name."""
    first, *others = path.split("/", 2)
    return "/".join([RECORDS, _quoted(first), *(_quoted(item) for item in others)])


def _folder(path: str) -> str:
    return _node(path).rsplit("/", 1)[0]


def _record(node: str) -> str:
    """The path of the record at a node."""
    return "/".join(unquote(item) for item in node.split("/")[1:])


def _change(change: Put | Delete) -> list[_Part]:
    """The operations of one change; the version of a znode is one less than that of a record."""
    node, known = _node(change.path), change.version - 1
    conflict = VersionConflict(f"{change.path} is not at version {change.version}")
    if isinstance(change, Put):
        data = pack(change.data)
        return [_Part(make(node, data) if known < 0 else replace(node, data, known), conflict)]
    if known < 0:                               # to remove nothing: it must not be there
        return [_Part(make(node, b""), conflict), _Part(remove(node), conflict)]
    return [_Part(remove(node, known), conflict)]
