"""What only the shared store has to stand: several sessions, lost connections, pauses, limits."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from esaas.framework.store import keeper, zookeeper_schema
from esaas.framework.store.contract import (
    Entry,
    Lease,
    LeaseLost,
    OutcomeUnknown,
    Put,
    StoreBusy,
    StoreError,
    TransactionTooLarge,
    VersionConflict,
)
from esaas.framework.store.zookeeper import ZooKeeperStore
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError

from ..zookeepers import (
    RealEnsemble,
    RealZooKeeper,
    StandInNetwork,
    real_zookeeper,
    until,
)

pytestmark = pytest.mark.system

SESSION_S = 4.0                     # servers grant no less than two ticks of a second
SECRET = ("esaas", "open: sesame!")
Open = Callable[..., ZooKeeperStore]


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"/{tmp_path_factory.mktemp('root').name}-{os.getpid()}"


@pytest.fixture
def opened(zookeeper: RealZooKeeper, root: str) -> Iterator[Open]:
    """Opens stores that share one root, each with a session of its own."""
    found: list[ZooKeeperStore] = []

    def make(hosts: str = zookeeper.hosts,
             credentials: tuple[str, str] | None = None) -> ZooKeeperStore:
        found.append(ZooKeeperStore(hosts, root, credentials, SESSION_S))
        return found[-1]

    yield make
    for store in found:
        store.close()


@pytest.fixture
def network(zookeeper: RealZooKeeper) -> Iterator[StandInNetwork]:
    found = StandInNetwork(zookeeper.port)
    yield found
    found.close()


@pytest.fixture
def client(zookeeper: RealZooKeeper) -> Iterator[KazooClient]:
    """Somebody else on the same ZooKeeper."""
    found = KazooClient(zookeeper.hosts)
    found.start()
    yield found
    found.stop()
    found.close()


def line(kind: str) -> Entry:
    return Entry(1.0, "input", kind, b"{}")


def taken(store: ZooKeeperStore, name: str, owner: str = "next") -> Lease:
    """A lease, once its holder's session has ended."""
    found: list[Lease] = []

    def free() -> bool:
        try:
            found.append(store.acquire(name, owner))
        except StoreBusy:
            return False
        return True

    until(free, f"the lease of {name}")
    return found[0]


# ---------------------------------------------------------------- several sessions

def test_a_lease_is_busy_while_another_session_holds_it(opened: Open) -> None:
    one, two = opened(), opened()
    lease = one.acquire("demo", "host-1:17")
    with pytest.raises(StoreBusy, match="host-1:17 holds the lease of demo"):
        two.acquire("demo", "host-2:18")
    assert dict(two.leases()) == {"demo": "host-1:17"}
    one.release(lease)
    assert two.leases() == {}
    assert two.acquire("demo", "host-2:18").epoch > lease.epoch


def test_two_that_want_a_lease_at_once_never_both_have_it(opened: Open) -> None:
    stores = [opened() for _ in range(3)]
    for number in range(10):
        won: list[int] = []
        start = threading.Barrier(len(stores))

        def run(index: int, name: str, start: threading.Barrier = start,
                won: list[int] = won) -> None:
            start.wait()
            try:
                stores[index].acquire(name, str(index))
            except StoreBusy:
                return
            won.append(index)

        threads = [threading.Thread(target=run, args=(index, f"demo-{number}"))
                   for index in range(len(stores))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert stores[0].leases()[f"demo-{number}"] == str(won[0])


def test_what_was_closed_is_free_at_once_and_its_old_lease_writes_nothing(opened: Open) -> None:
    one, two = opened(), opened()
    old = one.acquire("demo", "one")
    one.write(old, [Put("clusters/demo/meta", b"1", 0)])
    one.close()
    new = two.acquire("demo", "two")
    with pytest.raises(LeaseLost):
        two.write(old, [Put("clusters/demo/meta", b"2", 1)])
    two.write(new, [Put("clusters/demo/meta", b"3", 1)])
    assert two.read("clusters/demo")["clusters/demo/meta"].data == b"3"


def test_changes_are_told_to_the_others(opened: Open) -> None:
    one, two = opened(), opened()
    told = threading.Semaphore(0)
    two.on_change(told.release)

    def after(act: Callable[[], object]) -> None:
        while told.acquire(blocking=False):
            pass
        act()
        assert told.acquire(timeout=30), "nothing was told"

    while told.acquire(timeout=1):              # the first calls, when the watches are set
        pass
    after(lambda: one.join("one", b""))
    lease = one.acquire("demo", "one")
    after(lambda: one.write(lease, [Put("clusters/demo/meta", b"1", 0)]))
    assert two.names() == {"demo"}, "the name is there when it is told"
    after(lambda: one.release(lease))
    after(one.close)
    until(lambda: two.members() == {}, "no members")


def test_the_journal_is_one_over_all_processes(opened: Open) -> None:
    one, two = opened(), opened()
    first, second = one.acquire("demo", "one"), two.acquire("other", "two")
    for number in range(5):
        one.write(first, [], [line(f"one-{number}")])
        two.write(second, [], [line(f"two-{number}")])
    found = two.journal(None)
    assert [entry.kind for _, entry in found] == [
        f"{who}-{number}" for number in range(5) for who in ("one", "two")]
    assert one.journal(None) == found
    assert one.journal(None, after=found[6][1].seq) == found[7:]


# ----------------------------------------------------------------- lost connections

def test_a_short_cut_is_not_noticed_by_who_writes(
        opened: Open, network: StandInNetwork) -> None:
    store = opened(network.hosts)
    lease = store.acquire("demo", "me")
    for number in range(20):
        network.cut()
        store.write(lease, [Put("a/1", b"x", number)], [line(str(number))])
    assert store.held(lease)
    assert [entry.kind for _, entry in store.journal("demo")] == [str(n) for n in range(20)]


def test_a_transaction_whose_answer_was_lost_is_found_to_be_written(
        opened: Open, network: StandInNetwork) -> None:
    """Its versions are right, and it was written once."""
    store, other = opened(network.hosts), opened()
    lease = store.acquire("demo", "me")
    store.write(lease, [Put("a/1", b"w", 0)])
    network.lose_answers = True
    done: list[object] = []
    writer = threading.Thread(target=lambda: done.append(
        store.write(lease, [Put("a/1", b"x", 1)], [line("once")])))
    writer.start()
    until(lambda: other.read("a")["a/1"].data == b"x", "the write at the server")
    assert not done
    network.lose_answers = False
    network.cut()
    writer.join(60)
    assert done, "the write came back"
    assert [entry.kind for _, entry in other.journal("demo")] == ["once"]
    assert other.journal("demo")[0][1].seq == done[0].last_seq      # type: ignore[attr-defined]
    store.write(lease, [Put("a/1", b"y", 2)])
    assert other.read("a")["a/1"].version == 3


def test_a_transaction_that_never_arrived_is_written_when_the_server_is_back_in_time(
        opened: Open, network: StandInNetwork) -> None:
    store = opened(network.hosts)
    lease = store.acquire("demo", "me")
    network.open = False
    network.cut()
    back = threading.Timer(1.0, lambda: setattr(network, "open", True))
    back.start()
    try:
        until(lambda: _written(store, lease), "a write after the cut")
    finally:
        back.join()
    assert store.held(lease)


def _written(store: ZooKeeperStore, lease: Lease) -> bool:
    try:
        store.write(lease, [Put("a/1", b"x", 0)])
    except (LeaseLost, VersionConflict):
        raise
    except StoreError:
        return False
    return True


def test_without_a_server_a_lease_is_not_held_and_what_is_unknown_is_said(
        opened: Open, network: StandInNetwork) -> None:
    store, other = opened(network.hosts), opened()
    lease = store.acquire("demo", "me")
    store.write(lease, [Put("a/1", b"w", 0)])
    assert store.held(lease)
    network.lose_answers = True
    caught: list[BaseException] = []

    def write() -> None:
        try:
            store.write(lease, [Put("a/1", b"x", 1)])
        except StoreError as error:
            caught.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    until(lambda: other.read("a")["a/1"].data == b"x", "the write at the server")
    network.open = False
    network.cut()
    until(lambda: not store.held(lease), "a lease that is not held")
    writer.join(60)
    assert [type(error) for error in caught] == [OutcomeUnknown]
    with pytest.raises(StoreError):
        store.read("a")
    # Nobody else was told that it is free before this one had stopped believing in it.
    new = taken(other, "demo")
    network.lose_answers, network.open = False, True
    until(lambda: _reads(store), "a session again")
    assert not store.held(lease)
    with pytest.raises(LeaseLost):
        store.write(lease, [Put("a/1", b"old", 2)])
    other.write(new, [Put("a/1", b"new", 2)])
    assert store.read("a")["a/1"].data == b"new"


def _reads(store: ZooKeeperStore) -> bool:
    try:
        store.read("")
    except StoreError:
        return False
    return True


def test_a_lease_ends_here_before_it_ends_there(opened: Open, network: StandInNetwork) -> None:
    store, other = opened(network.hosts), opened()
    lease = store.acquire("demo", "me")
    network.open = False
    network.cut()
    held_last = 0.0
    while True:
        now = time.monotonic()
        if store.held(lease):
            held_last = now
        try:
            other.acquire("demo", "other")
        except StoreBusy:
            time.sleep(0.02)
            continue
        break
    assert not store.held(lease)
    assert held_last < now, "never two at once"


def test_after_a_lost_session_it_is_a_member_again_and_gets_new_leases(
        opened: Open, network: StandInNetwork) -> None:
    store, other = opened(network.hosts), opened()
    store.join("me", b"data")
    old = store.acquire("demo", "me")
    network.open = False
    network.cut()
    until(lambda: other.members() == {}, "the end of the session")
    network.open = True
    until(lambda: dict(other.members()) == {"me": b"data"}, "the member again")
    assert not store.held(old)
    with pytest.raises(LeaseLost):
        store.write(old, [])
    new = taken(store, "demo", "me")
    assert new.epoch > old.epoch and store.held(new)
    store.write(new, [Put("a/1", b"x", 0)])


def test_a_paused_process_finds_that_its_lease_is_gone(
        zookeeper: RealZooKeeper, root: str, opened: Open) -> None:
    """Stopped as by a virtual machine that is moved; it must not even think that it holds it."""
    code = f"""
        import sys
        from esaas.framework.store.contract import LeaseLost, Put
        from esaas.framework.store.zookeeper import ZooKeeperStore
        store = ZooKeeperStore({zookeeper.hosts!r}, {root!r}, None, {SESSION_S})
        lease = store.acquire("demo", "child")
        store.write(lease, [Put("a/1", b"child", 0)])
        print(store.held(lease), flush=True)
        sys.stdin.readline()
        print(store.held(lease), flush=True)
        try:
            store.write(lease, [Put("a/1", b"late", 1)])
        except LeaseLost as error:
            print("lost", flush=True)
        print(store.held(lease), flush=True)
        """
    store = opened()
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], text=True, bufsize=1,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        try:
            assert child.stdout.readline() == "True\n"
            child.send_signal(signal.SIGSTOP)
            lease = taken(store, "demo")
            store.write(lease, [Put("a/1", b"new", 1)])
            child.stdin.write("\n")
            child.send_signal(signal.SIGCONT)
            assert child.stdout.read() == "False\nlost\nFalse\n"
        finally:
            child.kill()
    assert store.read("a")["a/1"].data == b"new"


# ---------------------------------------------------------------- the server's own life

def test_leases_and_records_outlive_a_kill_of_the_server() -> None:
    with real_zookeeper() as server:
        store = ZooKeeperStore(server.hosts, "/esaas")
        try:
            lease = store.acquire("demo", "me")
            store.write(lease, [Put("a/1", b"x", 0)])
            server.kill()
            with pytest.raises(StoreError, match="does not answer"):
                store.read("a")
            server.start()
            until(lambda: _reads(store), "the server's answer")
            assert store.held(lease)
            store.write(lease, [Put("a/1", b"y", 1)])
            assert store.read("a")["a/1"].data == b"y"
        finally:
            store.close()


def test_a_server_that_hangs_is_no_reason_to_believe_in_a_lease() -> None:
    with real_zookeeper() as server:
        store = ZooKeeperStore(server.hosts, "/esaas", None, SESSION_S)
        try:
            lease = store.acquire("demo", "me")
            store.write(lease, [Put("a/1", b"w", 0)])
            server.signal(signal.SIGSTOP)
            with pytest.raises(OutcomeUnknown):
                store.write(lease, [Put("a/1", b"x", 1)])
            assert not store.held(lease)
            server.signal(signal.SIGCONT)
            until(lambda: _reads(store), "the server's answer")
            again = taken(store, "demo", "me")
            store.write(again, [Put("a/1", b"y", store.read("a")["a/1"].version)])
        finally:
            server.signal(signal.SIGCONT)
            store.close()


def test_without_a_quorum_nothing_is_written_and_with_one_again_it_is() -> None:
    ensemble = RealEnsemble()
    try:
        store = ZooKeeperStore(ensemble.hosts, "/esaas", None, SESSION_S)
        lease = store.acquire("demo", "me")
        store.write(lease, [Put("a/1", b"x", 0)], [line("first")])
        for server in ensemble.servers[:2]:
            server.kill()
        with pytest.raises(StoreError):
            while True:
                store.write(lease, [], [line("while it still can")])
        until(lambda: not store.held(lease), "a lease that is not held")
        ensemble.servers[0].start()
        until(lambda: _reads(store), "a quorum")
        again = taken(store, "demo", "me")
        store.write(again, [Put("a/1", b"y", 1)], [line("last")])
        assert store.held(again)
        seq = [entry.seq for _, entry in store.journal("demo")]
        assert seq == sorted(set(seq)), "ascending over elections, too"
        assert store.journal("demo")[-1][1].kind == "last"
        store.close()
    finally:
        ensemble.close()


def test_where_no_server_answers_it_cannot_be_opened(
        network: StandInNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "OPEN_TIMEOUT_S", 1.0)
    network.open = False
    with pytest.raises(StoreError, match="no ZooKeeper that can write answers at 127.0.0.1"):
        ZooKeeperStore(network.hosts, "/esaas")


# ------------------------------------------------------------------------- limits

def test_a_transaction_above_the_servers_limit_is_refused_before_it_is_sent(
        opened: Open) -> None:
    """Sent, it would end the connection, and nobody would know why."""
    store = opened()
    lease = store.acquire("demo", "me")
    store.write(lease, [Put(f"a/{number}", os.urandom(340_000), 0) for number in range(3)])
    with pytest.raises(TransactionTooLarge, match="a transaction of demo has 1[0-9]+ bytes"):
        store.write(lease, [Put(f"b/{number}", os.urandom(350_000), 0) for number in range(3)],
                    [line("never")])
    assert store.read("b") == {} and store.journal("demo") == [] and store.held(lease)


def test_more_lines_than_numbers_in_a_transaction_are_all_there(opened: Open) -> None:
    store = opened()
    lease = store.acquire("demo", "me")
    last = store.write(lease, [], [line(str(number)) for number in range(3000)]).last_seq
    store.write(lease, [], [line("next")])
    found = store.journal("demo", limit=5000)
    assert [entry.kind for _, entry in found] == [*map(str, range(3000)), "next"]
    assert [entry.kind for _, entry in store.journal("demo", after=last)] == ["next"]


def test_folders_of_what_is_gone_are_gone(opened: Open, client: KazooClient, root: str) -> None:
    from esaas.framework.store.contract import Delete

    store = opened()
    lease = store.acquire("demo", "me")
    store.write(lease, [Put("clusters/demo/meta", b"x", 0), Put("clusters/demo/a/b", b"x", 0)])
    assert client.get_children(f"{root}/records/clusters") == ["demo"]
    store.write(lease, [Delete("clusters/demo/meta", 1)])
    assert client.get_children(f"{root}/records/clusters") == ["demo"]
    store.write(lease, [Delete("clusters/demo/a/b", 1)])
    assert client.get_children(f"{root}/records/clusters") == []


# -------------------------------------------------------------------- credentials

def test_with_credentials_nobody_else_sees_or_changes_anything(
        opened: Open, client: KazooClient, root: str) -> None:
    store = opened(credentials=SECRET)
    lease = store.acquire("demo", "me")
    store.join("me", b"data")
    store.write(lease, [Put("clusters/demo/meta", b"x", 0)], [line("a")])
    seen = _all_paths(opened(credentials=SECRET))
    assert len(seen) > 10
    for path in seen:
        # The root itself belongs to whatever is above it.
        for attempt in (client.get, client.get_children, *([client.delete] if path else [])):
            with pytest.raises(NoAuthError):
                attempt(f"{root}{path}")
    for credentials in (None, ("esaas", "wrong"), ("other", SECRET[1])):
        with pytest.raises(StoreError, match="does not let us in"):
            opened(credentials=credentials)


def test_credentials_do_not_pretend_to_protect_what_is_open(opened: Open) -> None:
    opened()
    with pytest.raises(StoreError, match="was made without credentials and is open"):
        opened(credentials=SECRET)


def _all_paths(store: ZooKeeperStore) -> list[str]:
    """Everything below the root, by the store's own client."""
    found, rest = [], [""]
    while rest:
        path = rest.pop()
        found.append(f"/{path}" if path else "")
        rest += [f"{path}/{child}".lstrip("/") for child in store._keeper.children(path)]
    return found


# ------------------------------------------------------------------------- layout

def test_a_layout_of_a_newer_service_is_refused(
        opened: Open, client: KazooClient, root: str) -> None:
    opened().close()
    client.set(f"{root}/schema", b"99")
    with pytest.raises(StoreError, match="layout 99 of a newer service; this one knows 1"):
        opened()
    client.set(f"{root}/schema", b"nonsense")
    with pytest.raises(StoreError, match="not of this service"):
        opened()


def test_an_older_layout_is_migrated_step_by_step_and_only_alone(
        opened: Open, client: KazooClient, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = opened()
    lease = old.acquire("demo", "old-one")
    old.write(lease, [Put("a/1", b"x", 0)])
    steps: list[int] = []
    monkeypatch.setattr(zookeeper_schema, "VERSION", 3)
    monkeypatch.setattr(zookeeper_schema, "MIGRATIONS", {
        1: lambda keeper: steps.append(1), 2: lambda keeper: steps.append(2)})
    with pytest.raises(StoreBusy, match="others use it: stop demo"):
        opened()
    old.release(lease)
    client.create(f"{root}/migrating", ephemeral=True)
    with pytest.raises(StoreBusy, match="another process migrates"):
        opened()
    client.delete(f"{root}/migrating")
    assert steps == [] and client.get(f"{root}/schema")[0] == b"1"
    new = opened()
    assert steps == [1, 2] and client.get(f"{root}/schema")[0] == b"3"
    with pytest.raises(StoreError, match="a newer service has migrated the store"):
        old.acquire("demo", "old-one")          # it knows the old layout only
    new.write(new.acquire("demo", "new"), [Put("a/1", b"y", 1)])
    opened()
    assert steps == [1, 2]
