"""A session with ZooKeeper: reads that wait a little, transactions, and how fresh the contact is.

Only this file imports kazoo. Paths here are relative to the root that the store has in ZooKeeper.
"""
from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    ConnectionClosedError,
    ConnectionLoss,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    OperationTimeoutError,
    RolledBackError,
    RuntimeInconsistency,
    SessionExpiredError,
    SessionMovedError,
)
from kazoo.retry import KazooRetry
from kazoo.security import make_digest_acl

from .contract import StoreError

SESSION_TIMEOUT_S = 10.0
OPEN_TIMEOUT_S = 15.0
PATIENCE_S = 3.0                    # how long a read waits for a lost connection to come back
RETRY_S = 0.1
TRUST = 0.8                         # of the session's time-out: then nobody else can have it yet
PIPELINE = 200                      # reads in flight at once
MAX_TRANSACTION_BYTES = 1_040_000   # the server takes 1,048,575 with what goes around

_AWAY = (ConnectionLoss, OperationTimeoutError, SessionExpiredError, SessionMovedError)
_ANSWERS = (NoNodeError, NodeExistsError, NotEmptyError, BadVersionError)
# Requests are logged at DEBUG with all they carry, the password among it: never below INFO.
_log = logging.getLogger("esaas.zookeeper")
_log.setLevel(logging.INFO)


class Refused(Exception):
    """A transaction that was refused whole; ``index`` is the operation that did not fit."""

    def __init__(self, index: int, error: Exception) -> None:
        super().__init__(f"operation {index}: {type(error).__name__}")
        self.index, self.error = index, error

    @property
    def about_a_version(self) -> bool:
        """Whether a node was there, not there, or at another version."""
        return isinstance(self.error, (BadVersionError, NodeExistsError, NoNodeError))


class Unknown(Exception):
    """The connection was lost with a transaction on its way: it was carried out, or not."""


@dataclass(frozen=True, slots=True)
class Node:
    """A znode as it was read."""

    data: bytes
    version: int
    created_zxid: int
    changed_zxid: int
    owner: int                      # the session that it ends with; 0 for one that stays
    children: int

    @classmethod
    def of(cls, data: bytes | None, stat: Any) -> Node:
        """From kazoo's pair."""
        return cls(data or b"", stat.version, stat.czxid, stat.mzxid, stat.ephemeralOwner,
                   stat.numChildren)


class Keeper:
    """One client with one session at a time.

    ``on_state`` is called on threads of kazoo when the session is lost, suspended or back;
    ``on_beat`` on our own one after every answered heartbeat. Raises StoreError when no server
    answers.
    """

    def __init__(self, hosts: str, root: str, credentials: tuple[str, str] | None,
                 on_state: Callable[[], None], on_beat: Callable[[], None],
                 timeout_s: float = SESSION_TIMEOUT_S) -> None:
        self.hosts, self.root = hosts, "" if root == "/" else root
        self.session_timeout_s = timeout_s
        self.generation = 0                     # of the session; a new one has lost everything
        self._seen = float("-inf")
        self._on_state, self._on_beat = on_state, on_beat
        self._closing, self._wake = threading.Event(), threading.Event()
        auth = [("digest", ":".join(credentials))] if credentials else None
        acl = [make_digest_acl(*credentials, all=True)] if credentials else None
        try:
            self._client = KazooClient(
                hosts, timeout=timeout_s, auth_data=auth, default_acl=acl, logger=_log,
                connection_retry=KazooRetry(max_tries=-1, delay=0.05, max_delay=1.0))
        except ValueError as error:
            raise StoreError(f"{hosts} is no list of host:port: {error}") from error
        self._watch_time_out()
        self._client.add_listener(self._state_changed)
        try:
            self._client.start(OPEN_TIMEOUT_S)
        except (self._client.handler.timeout_exception, KazooException) as error:
            raise StoreError(f"no ZooKeeper that can write answers at {hosts}") from error
        self._beats = threading.Thread(target=self._beat_on, name="zookeeper-beat", daemon=True)
        self._beats.start()

    def _watch_time_out(self) -> None:
        """kazoo keeps what it asked for; the server may have granted less."""
        connection = self._client._connection
        connect = connection._connect

        def measured(*args: Any) -> Any:
            read_timeout_ms, connect_timeout_ms = connect(*args)
            self.session_timeout_s = read_timeout_ms * 1.5 / 1000     # it is two thirds
            return read_timeout_ms, connect_timeout_ms

        connection._connect = measured

    # ------------------------------------------------------------------- contact

    @property
    def session(self) -> int:
        """The session's id; 0 while there is no connection."""
        found = self._client.client_id
        return int(found[0] or 0) if found else 0

    def alive(self) -> bool:
        """Whether the session cannot have expired yet, by a clock that nobody sets.

        Counted from when the last answered request was sent: a process that was stopped for long
        learns it here, before it learns it from the server.
        """
        return time.monotonic() - self._seen < self.session_timeout_s * TRUST

    def _state_changed(self, state: str) -> None:
        if state == "LOST":
            self.generation += 1
            self._seen = float("-inf")
        self._wake.set()
        self._on_state()

    def _beat_on(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self.session_timeout_s / 6)
            self._wake.clear()
            if self._client.connected and not self._closing.is_set():
                self._beat()

    def _beat(self) -> None:
        sent, generation = time.monotonic(), self.generation
        try:
            self._client.exists_async(self.root or "/").get(timeout=self.session_timeout_s)
        except (KazooException, self._client.handler.timeout_exception) as error:
            _log.info("heartbeat is not answered: %s", type(error).__name__)
            return
        if generation == self.generation:
            self._seen = max(self._seen, sent)
            try:
                self._on_beat()
            except StoreError as error:
                _log.warning("%s; tried again soon", error)

    def contact(self) -> None:
        """Count a beat now, so that what was just acquired is held at once; StoreError."""
        sent, generation = time.monotonic(), self.generation
        self.exists("")
        if generation == self.generation:
            self._seen = max(self._seen, sent)

    # --------------------------------------------------------------------- reads

    def at(self, path: str) -> str:
        """The whole path of one below the root."""
        return f"{self.root}/{path}".rstrip("/") or "/"

    def _asked(self, start: Callable[[], Any]) -> Any:
        """The answer to one request; a lost connection is waited for; StoreError."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return start().get(timeout=max(deadline - time.monotonic(), RETRY_S))
            except ConnectionClosedError:
                raise StoreError("the store is closed") from None
            except (NoAuthError, AuthFailedError):
                raise StoreError(f"ZooKeeper at {self.hosts} does not let us in: "
                                 "the credentials of the store are missing or wrong") from None
            except self._client.handler.timeout_exception:
                raise self.away() from None
            except _AWAY:
                if time.monotonic() >= deadline or self._closing.is_set():
                    raise self.away() from None
                time.sleep(RETRY_S)
            except _ANSWERS:
                raise
            except KazooException as error:
                raise StoreError(f"ZooKeeper at {self.hosts} refuses: "
                                 f"{type(error).__name__}") from error

    def away(self) -> StoreError:
        """What is told while no server answers."""
        return StoreError("the store is closed" if self._closing.is_set() else
                          f"ZooKeeper at {self.hosts} does not answer")

    def exists(self, path: str) -> bool:
        """Whether a node is there."""
        return self._asked(lambda: self._client.exists_async(self.at(path))) is not None

    def is_open(self, path: str) -> bool:
        """Whether anybody else may do anything with a node that is there."""
        found, _ = self._asked(lambda: self._client.get_acls_async(self.at(path)))
        return any(item.id.scheme == "world" for item in found)

    def get(self, path: str) -> Node | None:
        """One node; None when it is not there."""
        return self.get_many([path]).get(path)

    def get_many(self, paths: Iterable[str]) -> Mapping[str, Node]:
        """Those of many nodes that are there, read in pipelines."""
        return {path: Node.of(*found) for path, found in self._many(
            paths, lambda path: self._client.get_async(path))}

    def exist(self, paths: Iterable[str]) -> frozenset[str]:
        """Those of many paths that are there."""
        return frozenset(path for path, found in self._many(
            paths, lambda path: self._client.exists_async(path)) if found is not None)

    def children(self, path: str) -> list[str]:
        """Names of a node's children; none when it is not there."""
        return self.children_many([path]).get(path, [])

    def children_many(self, paths: Iterable[str]) -> Mapping[str, list[str]]:
        """Children of those nodes that are there."""
        return dict(self._many(paths, lambda path: self._client.get_children_async(path)))

    def _many(self, paths: Iterable[str], ask: Callable[[str], Any]) -> Iterable[tuple[str, Any]]:
        wanted = list(paths)
        for start in range(0, len(wanted), PIPELINE):
            asked = [(path, ask(self.at(path))) for path in wanted[start:start + PIPELINE]]
            for path, answer in asked:
                try:
                    yield path, self._asked(_First(answer, partial(ask, self.at(path))))
                except NoNodeError:
                    continue

    def sync(self) -> None:
        """Wait until the server that we ask has all that was committed before; StoreError."""
        self._asked(lambda: self._client.sync_async(self.root or "/"))

    # -------------------------------------------------------------------- writes

    def ensure(self, path: str) -> None:
        """Make a node that stays, and those above it; fine when they are there."""
        self._asked(lambda: self._client.ensure_path_async(self.at(path)))

    def create(self, path: str, data: bytes = b"", *, ephemeral: bool = False) -> bool:
        """Make a node; whether it was not there. Safe to repeat, so a lost connection is."""
        try:
            self._asked(lambda: self._client.create_async(self.at(path), data,
                                                          ephemeral=ephemeral))
        except NodeExistsError:
            return False
        return True

    def delete(self, path: str, version: int = -1) -> None:
        """Remove a node; fine when it is gone, has children, or is at another version."""
        with contextlib.suppress(NoNodeError, NotEmptyError, BadVersionError):
            self._asked(lambda: self._client.delete_async(self.at(path), version))

    def delete_many(self, paths: Iterable[str]) -> None:
        """Remove nodes in a pipeline; what cannot be removed now stays."""
        for _ in self._many(paths, lambda path: self._client.delete_async(path)):
            pass

    def transaction(self, operations: Sequence[Operation]) -> list[Any]:
        """Carry out all or nothing; what came of each.

        Raises Refused; Unknown when the connection was lost on the way; StoreError when there was
        none for a while, and nothing was sent.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not self._client.connected:
            if time.monotonic() >= deadline or self._closing.is_set():
                raise self.away()
            time.sleep(RETRY_S / 2)
        request = self._client.transaction()
        for operation in operations:
            operation(request, self)
        sent, generation = time.monotonic(), self.generation
        try:
            results: list[Any] = request.commit_async().get(timeout=self.session_timeout_s)
        except ConnectionClosedError:
            raise StoreError("the store is closed") from None
        except (*_AWAY, self._client.handler.timeout_exception) as error:
            raise Unknown(type(error).__name__) from error
        except KazooException as error:
            raise StoreError(f"ZooKeeper refuses a transaction: {type(error).__name__}") from error
        if generation == self.generation:
            self._seen = max(self._seen, sent)
        for index, result in enumerate(results):
            if isinstance(result, Exception) and not isinstance(
                    result, (RolledBackError, RuntimeInconsistency)):
                raise Refused(index, result)
        return results

    def size_of(self, operations: Sequence[Operation]) -> int:
        """Bytes that a transaction has on the wire."""
        request = self._client.transaction()
        for operation in operations:
            operation(request, self)
        return sum(9 + len(item.serialize()) for item in request.operations)

    # ------------------------------------------------------------------- watching

    def watch_children(self, path: str, callback: Callable[[], None]) -> None:
        """Call back now and whenever children of a node that is there come or go."""
        try:
            self._client.ChildrenWatch(self.at(path), lambda children: callback())
        except KazooException as error:
            raise StoreError(f"{path} cannot be watched: {type(error).__name__}") from error

    def close(self) -> None:
        """End the session and all that hangs on it."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.set()
        self._client.stop()
        self._client.close()
        self._beats.join(self.session_timeout_s)


class _First:
    """Gives an answer that is under way the first time, and asks again after that."""

    def __init__(self, answer: Any, again: Callable[[], Any]) -> None:
        self._answer, self._again = answer, again

    def __call__(self) -> Any:
        answer, self._answer = self._answer, None
        return answer if answer is not None else self._again()


# ---------------------------------------------------------------- parts of a transaction

Operation = Callable[[Any, Keeper], None]


def check(path: str, version: int) -> Operation:
    """A node must be at a version."""
    return lambda request, keeper: request.check(keeper.at(path), version)


def make(path: str, data: bytes, *, ephemeral: bool = False,
         numbered: bool = False) -> Operation:
    """A node must not be there, and is made."""
    return lambda request, keeper: request.create(
        keeper.at(path), data, ephemeral=ephemeral, sequence=numbered)


def replace(path: str, data: bytes, version: int = -1) -> Operation:
    """A node must be at a version (-1: any), and gets other data."""
    return lambda request, keeper: request.set_data(keeper.at(path), data, version)


def remove(path: str, version: int = -1) -> Operation:
    """A node must be at a version (-1: any), and goes."""
    return lambda request, keeper: request.delete(keeper.at(path), version)
