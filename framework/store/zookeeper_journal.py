"""The journal in ZooKeeper: one znode per transaction, numbered by the transaction's zxid.

A znode of the journal never changes, so it is read once and kept.
"""
from __future__ import annotations

import heapq
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from urllib.parse import quote, unquote

from .contract import Entry, StoreError
from .keeper import Keeper, Operation, make
from .packing import pack_entries, unpack_entries

JOURNAL_KEEP_TRANSACTIONS = 500     # per cluster
_TRIM_EVERY = 100                   # transactions
_CACHED = 10_000                    # transactions, of all clusters
_BATCH = 32                         # transactions that are read at once, newest first
# A zxid is 32 bits of the leader's epoch and 32 of a counter. With 10 more a number stays exact
# in JSON (53 bits) for 2,048 elections of a leader.
_SEQ_BITS = 10
_LAST = (1 << _SEQ_BITS) - 1

FOLDER = "journal"
Line = tuple[str, Entry]


def first_seq(zxid: int) -> int:
    """The number of a transaction's first line."""
    return zxid << _SEQ_BITS


def last_seq(zxid: int, entries: int) -> int:
    """The number of its last one."""
    return first_seq(zxid) + min(max(entries - 1, 0), _LAST)


def folder(name: str) -> str:
    """Where the journal of a cluster is."""
    return f"{FOLDER}/{quote(name, safe='')}"


class ZooKeeperJournal:
    """Reads, writes and trims."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._mutex = threading.Lock()
        self._cache: OrderedDict[str, tuple[Entry, ...]] = OrderedDict()
        # The first transaction of a process is due for a trim, too.
        self._since_trim: Counter[str] = Counter()

    def operation(self, name: str, entries: Sequence[Entry]) -> Operation:
        """The part of a transaction that writes lines."""
        return make(f"{folder(name)}/t-", pack_entries(entries), numbered=True)

    def wrote(self, name: str) -> None:
        """A transaction was written: now and then the oldest ones go, on a thread of its own."""
        with self._mutex:
            self._since_trim[name] += 1
            due = self._since_trim[name] % _TRIM_EVERY == 1 or _TRIM_EVERY == 1
        if due:
            threading.Thread(target=self._trim_quietly, args=(name,), daemon=True,
                             name=f"trim-{name}").start()

    def _trim_quietly(self, name: str) -> None:
        try:
            self.trim(name)
        except StoreError:
            with self._mutex:                   # away, or closed: the next transaction is due
                self._since_trim[name] = 0

    def trim(self, name: str) -> None:
        """Leave the newest transactions of a cluster; StoreError."""
        nodes = sorted(self._keeper.children(folder(name)))
        self._keeper.delete_many(f"{folder(name)}/{node}"
                                 for node in nodes[:-JOURNAL_KEEP_TRANSACTIONS])

    def read(self, name: str | None, stream: str | None, after: int, limit: int) -> list[Line]:
        """Lines; see ``contract.Store.journal``."""
        names = ([name] if name is not None
                 else [unquote(item) for item in self._keeper.children(FOLDER)])
        nodes = self._keeper.children_many(folder(item) for item in names)
        found: list[Line] = []
        floor = after
        for item in names:
            newest = sorted(nodes.get(folder(item), []), reverse=True)
            found += self._newest(item, newest, stream, floor, 0 if after else limit)
            if not after and len(found) >= limit:
                found = heapq.nlargest(limit, found, key=_number)
                floor = found[-1][1].seq        # what is older is of no use from here on
        found.reverse()                         # lines that share a number stay in their order
        found.sort(key=_number)
        return found[:limit] if after else found[-limit:]

    def _newest(self, name: str, nodes: Sequence[str], stream: str | None, floor: int,
                enough: int) -> list[Line]:
        """Lines above a number, newest transactions first; stops at ``enough`` (0: never)."""
        found: list[Line] = []
        for start in range(0, len(nodes), _BATCH):
            for entries in self._load(name, nodes[start:start + _BATCH]):
                if entries[-1].seq <= floor or (enough and len(found) >= enough):
                    return found
                found += [(name, entry) for entry in reversed(entries)
                          if entry.seq > floor and stream in (None, entry.stream)]
        return found

    def _load(self, name: str, nodes: Sequence[str]) -> list[tuple[Entry, ...]]:
        """Transactions in the order of ``nodes``; one that was trimmed meanwhile is left out."""
        paths = [f"{folder(name)}/{node}" for node in nodes]
        with self._mutex:
            known = {path: self._cache[path] for path in paths if path in self._cache}
            for path in known:
                self._cache.move_to_end(path)
        for path, node in self._keeper.get_many(path for path in paths
                                                if path not in known).items():
            first = first_seq(node.created_zxid)
            known[path] = unpack_entries(node.data, first, first + _LAST)
            with self._mutex:
                self._cache[path] = known[path]
                while len(self._cache) > _CACHED:
                    self._cache.popitem(last=False)
        return [known[path] for path in paths if path in known]


def _number(line: Line) -> int:
    return line[1].seq
