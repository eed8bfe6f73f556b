"""Users, tokens and sessions without any door: what is stored, refused, and ended."""
from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from esaas.framework.service.access.access import (
    PASSWORD_FILE,
    Access,
    BadTokenFile,
    read_token_file,
)
from esaas.framework.service.access.book import LEASE, Book, Page, read_page
from esaas.framework.service.access.offline import CannotReset, reset_admin
from esaas.framework.service.access.passwords import Passwords
from esaas.framework.service.access.people import Principal, Role, lesser
from esaas.framework.service.access.requests import NewToken, NewUser, UserChange
from esaas.framework.service.access.sessions import IDLE_S, LONGEST_S, RENEW_S, Session
from esaas.framework.service.access.throttle import PER_USER, Throttle
from esaas.framework.service.clusters import Clusters
from esaas.framework.service.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooManyTries,
    Unauthenticated,
    Unavailable,
)
from esaas.framework.service.vault import Vault
from esaas.framework.settings import Settings
from esaas.framework.store.contract import Lease, StoreBusy, StoreError
from esaas.framework.store.sqlite import SqliteStore
from pydantic import ValidationError
from structlog.testing import capture_logs

SECRET, HERE = "correct horse battery", "192.0.2.1"


def quick() -> Passwords:
    """Real Argon2, with as little work as it takes."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    found = SqliteStore(tmp_path)
    yield found
    found.close()


def made(store: SqliteStore, tmp_path: Path, **more: Any) -> Access:
    return Access(store, tmp_path, b"k" * 32, "me", passwords=quick(), **more)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def access(store: SqliteStore, tmp_path: Path, clock: Clock) -> Access:
    found = made(store, tmp_path, clock=clock)
    await found.start()
    await found.add_user(new_user("ann", Role.OPERATOR, ["flights"]))
    return found


def new_user(name: str, role: Role, tenants: list[str]) -> NewUser:
    return NewUser(name=name, role=role, tenants=tenants, password=SECRET)  # type: ignore[arg-type]


def first_password(tmp_path: Path) -> str:
    return (tmp_path / PASSWORD_FILE).read_text().strip()


# ------------------------------------------------------------------ the first start

async def test_the_first_start_makes_an_admin_once(store: SqliteStore, tmp_path: Path) -> None:
    first = made(store, tmp_path)
    await first.start()
    file = tmp_path / PASSWORD_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = first_password(tmp_path)
    await first.login("admin", before, HERE)
    await made(store, tmp_path).start()
    assert first_password(tmp_path) == before
    assert [(one.name, one.role, one.tenants) for one in await first.users()] == [
        ("admin", Role.ADMIN, ["*"])]


async def test_a_changed_password_ends_the_file(access: Access, tmp_path: Path) -> None:
    before = first_password(tmp_path)
    session = await access.login("admin", before, HERE)
    mine = access.by_session(session)
    again = await access.change_own_password(mine, before, SECRET, HERE)
    assert not (tmp_path / PASSWORD_FILE).exists()
    assert again is not None
    assert access.by_session(again).name == "admin"
    with pytest.raises(Unauthenticated):
        access.by_session(session)


async def test_nothing_secret_is_stored(access: Access, store: SqliteStore, tmp_path: Path) -> None:
    machine = await access.create_token(
        NewToken(name="ci", role=Role.VIEWER, tenants=["*"]), Principal("admin"))
    data = b"".join(one.data for one in store.read(LEASE).values())
    for secret in (SECRET, first_password(tmp_path), machine.token):
        assert secret.encode() not in data


# ------------------------------------------------------------------------- passwords

async def test_wrong_unknown_and_disabled_look_the_same(access: Access) -> None:
    await access.add_user(new_user("off", Role.VIEWER, ["*"]))
    await access.change_user("off", UserChange(disabled=True))
    told = set()
    for name, password in (("ann", "wrong"), ("nobody", SECRET), ("off", SECRET),
                           ("Not A Name", SECRET), ("ann", "\udcff")):
        with pytest.raises(Unauthenticated) as refused:
            await access.login(name, password, HERE)
        told.add(str(refused.value))
    assert len(told) == 1


async def test_what_was_typed_as_an_unknown_user_is_not_logged(access: Access) -> None:
    with capture_logs() as said:
        for name, password in (("hunter2", "x"), ("ann", "hunter3")):
            with pytest.raises(Unauthenticated):
                await access.login(name, password, HERE)
    assert [(one["event"], one["user"]) for one in said] == [
        ("login_refused", "(unknown)"), ("login_refused", "ann")]
    assert "hunter" not in str(said)


async def test_an_unknown_user_costs_as_much_work(access: Access,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    verify = access._passwords._verify
    monkeypatch.setattr(access._passwords, "_verify", lambda kept, password: (
        verified.append(kept), verify(kept, password))[1])
    for name in ("ann", "nobody"):
        with pytest.raises(Unauthenticated):
            await access.login(name, "wrong", HERE)
    assert len(verified) == 2
    assert all(kept.startswith("$argon2id$") for kept in verified)


async def test_tries_are_limited_by_user_and_by_address(store: SqliteStore,
                                                        tmp_path: Path) -> None:
    access = made(store, tmp_path)
    await access.start()
    for _ in range(PER_USER.amount):
        with pytest.raises(Unauthenticated):
            await access.login("admin", "wrong", HERE)
    with pytest.raises(TooManyTries) as refused:
        await access.login("admin", first_password(tmp_path), "192.0.2.2")
    assert 1 <= refused.value.retry_after_s <= 60
    with pytest.raises(TooManyTries):
        for number in range(100):
            with pytest.raises(Unauthenticated):
                await access.login(f"u{number}", "wrong", HERE)


def test_a_success_forgives_the_tries_of_its_user() -> None:
    throttle = Throttle()
    for _ in range(PER_USER.amount):
        throttle.take("ann", HERE)
    throttle.forgive("ann")
    throttle.take("ann", HERE)


@pytest.mark.parametrize("password", ["short", "x" * 257, "\udcff" * 9])
async def test_passwords_have_a_length(access: Access, password: str) -> None:
    with pytest.raises(Invalid):
        await access.set_password("ann", password)


# -------------------------------------------------------------------------- sessions

async def test_a_session_lives_slides_and_ends(access: Access, clock: Clock) -> None:
    session = await access.login("ann", SECRET, HERE)
    assert session.renewed(clock.now) is None
    clock.now += RENEW_S
    later = session.renewed(clock.now)
    assert later is not None
    assert later.id == session.id
    clock.now = session.seen_at + IDLE_S
    assert access.by_session(later).name == "ann"
    with pytest.raises(Unauthenticated):
        access.by_session(session)
    clock.now = session.began_at + LONGEST_S
    with pytest.raises(Unauthenticated):
        access.by_session(Session(session.id, "ann", session.generation, session.began_at,
                                  clock.now - 1))


async def test_logout_ends_every_copy_of_a_session(access: Access, clock: Clock) -> None:
    session = await access.login("ann", SECRET, HERE)
    other = await access.login("ann", SECRET, HERE)
    clock.now += RENEW_S
    copy = session.renewed(clock.now)
    assert copy is not None
    await access.logout(access.by_session(session))
    for ended in (session, copy):
        with pytest.raises(Unauthenticated):
            access.by_session(ended)
    assert access.by_session(other).name == "ann"


async def test_ended_sessions_are_forgotten_when_they_would_be_over(
        access: Access, store: SqliteStore, clock: Clock) -> None:
    first = await access.login("ann", SECRET, HERE)
    await access.logout(access.by_session(first))
    clock.now += IDLE_S + 1
    second = await access.login("ann", SECRET, HERE)
    await access.logout(access.by_session(second))
    assert set(read_page(store).ended) == {second.id}


@pytest.mark.parametrize("what", ["disable", "password", "remove"])
async def test_what_ends_a_persons_sessions_and_tokens(access: Access, what: str) -> None:
    session = await access.login("ann", SECRET, HERE)
    token = (await access.login_for_token("ann", SECRET, HERE, "laptop")).token
    mine = access.by_session(session)
    assert access.by_token(token).user == "ann"
    if what == "disable":
        await access.change_user("ann", UserChange(disabled=True))
        await access.change_user("ann", UserChange(disabled=False))
    elif what == "password":
        await access.set_password("ann", "another " + SECRET)
    else:
        await access.remove_user("ann")
        await access.add_user(new_user("ann", Role.OPERATOR, ["flights"]))
    assert not access.still(mine)
    for refused in (lambda: access.by_session(session), lambda: access.by_token(token)):
        with pytest.raises(Unauthenticated):
            refused()


async def test_rights_hold_from_the_next_request_on(access: Access) -> None:
    session = await access.login("ann", SECRET, HERE)
    before = access.by_session(session)
    await access.change_user("ann", UserChange(role=Role.VIEWER, tenants=["hotels"]))
    now = access.by_session(session)
    assert (now.role, now.tenants) == (Role.VIEWER, frozenset({"hotels"}))
    assert not access.still(before)
    assert access.still(now)


# ---------------------------------------------------------------------------- tokens

async def test_a_persons_token_may_never_do_more_than_the_person(access: Access) -> None:
    token = (await access.login_for_token("ann", SECRET, HERE, "laptop")).token
    await access.change_user("ann", UserChange(role=Role.VIEWER, tenants=["flights", "hotels"]))
    mine = access.by_token(token)
    assert (mine.role, mine.tenants) == (Role.VIEWER, frozenset({"flights"}))
    await access.change_user("ann", UserChange(role=Role.ADMIN))
    assert access.by_token(token).role is Role.OPERATOR
    await access.logout(mine)
    with pytest.raises(Unauthenticated):
        access.by_token(token)


async def test_a_machines_token_expires_and_is_revoked(access: Access, clock: Clock) -> None:
    wanted = NewToken(name="ci", role=Role.OPERATOR, tenants=["flights"], expires_in_s=60)
    one = await access.create_token(wanted, Principal("admin"))
    assert access.by_token(one.token).name == "token:ci"
    listed = next(each for each in await access.tokens() if each.id == one.id)
    assert listed.last_used_at is not None
    assert listed.last_used_at % 60 == 0
    with pytest.raises(Conflict):
        await access.create_token(wanted, Principal("admin"))
    with pytest.raises(Conflict):
        await access.logout(access.by_token(one.token))
    clock.now += 61
    with pytest.raises(Unauthenticated):
        access.by_token(one.token)
    two = await access.create_token(wanted, Principal("admin"))
    await access.revoke_token(two.id)
    with pytest.raises(Unauthenticated):
        access.by_token(two.token)
    with pytest.raises(NotFound):
        await access.revoke_token(two.id)
    assert await access.tokens() == []


async def test_a_token_in_a_file(store: SqliteStore, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("A" * 40 + "\n")
    file.chmod(0o644)
    with pytest.raises(BadTokenFile, match="others"):
        read_token_file(file)
    file.chmod(0o600)
    access = made(store, tmp_path, file_token=read_token_file(file))
    await access.fresh()
    mine = access.by_token("A" * 40)
    assert (mine.role, mine.tenants) == (Role.ADMIN, None)
    with pytest.raises(Forbidden):
        await access.change_own_password(mine, SECRET, SECRET, HERE)
    for wrong in ("short", "with blank " * 8, "ä" * 40):
        file.write_text(wrong)
        with pytest.raises(BadTokenFile) as refused:
            read_token_file(file)
        assert wrong not in str(refused.value)


# ----------------------------------------------------------------------------- users

async def test_an_admin_stays(access: Access) -> None:
    for work in (lambda: access.change_user("admin", UserChange(disabled=True)),
                 lambda: access.change_user("admin", UserChange(role=Role.VIEWER)),
                 lambda: access.remove_user("admin")):
        with pytest.raises(Conflict) as refused:
            await work()
        assert refused.value.faults[0].rule == "an_admin_stays"
    await access.change_user("ann", UserChange(role=Role.ADMIN))
    await access.remove_user("admin")
    with pytest.raises(Conflict):
        await access.remove_user("ann")


async def test_names_are_taken_once_and_unknown_ones_are_told(access: Access) -> None:
    with pytest.raises(Conflict):
        await access.add_user(new_user("ann", Role.VIEWER, ["*"]))
    for work in (lambda: access.set_password("x", SECRET), lambda: access.remove_user("x"),
                 lambda: access.change_user("x", UserChange(disabled=True))):
        with pytest.raises(NotFound):
            await work()


@pytest.mark.parametrize("wrong", [
    {"role": "boss"}, {"role": "admin", "tenants": ["a"]}, {"tenants": []},
    {"tenants": ["*", "a"]}, {"tenants": ["Not A Tenant"]}, {"name": "Ann"}, {"name": "../ann"},
    {"password": "hunt"}, {"more": 1}, {"name": "a" * 65}])
def test_bad_users_are_refused_without_quoting_the_password(wrong: dict[str, Any]) -> None:
    body = {"name": "x", "role": "viewer", "tenants": ["a"], "password": SECRET} | wrong
    with pytest.raises(ValidationError) as refused:
        NewUser.model_validate(body)
    assert str(body["password"]) not in str(refused.value)


def test_roles_are_ordered() -> None:
    assert Role.ADMIN.covers(Role.OPERATOR) and Role.OPERATOR.covers(Role.VIEWER)
    assert not Role.VIEWER.covers(Role.OPERATOR)
    assert lesser(Role.ADMIN, Role.VIEWER) is lesser(Role.VIEWER, Role.ADMIN) is Role.VIEWER


# -------------------------------------------------------------------------- the book

async def test_processes_see_each_others_changes(access: Access, store: SqliteStore) -> None:
    other = Book(store, "other", fresh_s=0)
    assert set((await other.fresh()).users) == {"admin", "ann"}
    await access.remove_user("ann")
    assert set((await other.fresh()).users) == {"admin"}


async def test_records_are_not_read_for_every_request(store: SqliteStore,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    book, reads, read = Book(store, "me", fresh_s=3600), [], store.read
    monkeypatch.setattr(store, "read", lambda prefix: (reads.append(prefix), read(prefix))[1])
    await asyncio.gather(*(book.fresh() for _ in range(50)))
    assert reads == [LEASE]


async def test_while_the_store_cannot_be_read_the_last_look_counts(
        access: Access, store: SqliteStore, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book(store, "other", fresh_s=0)
    await book.fresh()

    def broken(_: str) -> dict[str, Any]:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(store, "read", broken)
    assert set((await book.fresh()).users) == {"admin", "ann"}
    with pytest.raises(Unavailable):
        await Book(store, "new").fresh()


class BusyStore(SqliteStore):
    """A store whose lease somebody else holds for the first tries."""

    busy = 0

    def acquire(self, name: str, owner: str) -> Lease:
        if self.busy > 0:
            self.busy -= 1
            raise StoreBusy("another process holds it")
        return super().acquire(name, owner)


async def test_a_busy_store_is_asked_again_and_then_told(tmp_path: Path) -> None:
    store = BusyStore(tmp_path)
    book, made_of = Book(store, "me", pause_s=0), []

    def make(page: Page) -> list[Any]:
        made_of.append(page)
        return []

    store.busy = 3
    await book.change(make)
    assert len(made_of) == 1
    store.busy = 1000
    with pytest.raises(Unavailable):
        await book.change(make)
    store.close()


async def test_an_unreadable_record_lets_nobody_in_and_keeps_its_name(
        access: Access, store: SqliteStore, tmp_path: Path) -> None:
    from esaas.framework.store.contract import Put

    page = read_page(store)
    lease = store.acquire(LEASE, "test")
    store.write(lease, [Put(f"{LEASE}/users/ann", b"{}", page.versions[f"{LEASE}/users/ann"])])
    fresh = made(store, tmp_path)
    await fresh.fresh()
    with pytest.raises(Unauthenticated):
        await fresh.login("ann", SECRET, HERE)
    with pytest.raises(Conflict):
        await fresh.add_user(new_user("ann", Role.VIEWER, ["*"]))


async def test_no_cluster_takes_the_lease_of_the_users(tmp_path: Path) -> None:
    settings = Settings.model_validate({
        "mesos_master": "127.0.0.1:1", "state_dir": str(tmp_path),
        "distributions": {"6.8.23": {"url": "https://h/es.zip", "sha256": "a" * 64}}})
    clusters = Clusters(settings)
    with pytest.raises(Invalid):
        await clusters.create({"name": LEASE, "tenant": "t", "version": "6.8.23",
                               "groups": [{"name": "n", "count": 3}]})
    await clusters.stop()


# --------------------------------------------------------------------------- offline

async def test_a_lost_password_is_reset_while_the_service_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(CannotReset, match="not the state directory"):
        reset_admin(tmp_path / "elsewhere")
    store = SqliteStore(tmp_path)
    access = made(store, tmp_path)
    await access.start()
    before = first_password(tmp_path)
    session = await access.login("admin", before, HERE)
    with pytest.raises(CannotReset, match="runs on"):
        reset_admin(tmp_path)
    store.close()
    assert reset_admin(tmp_path).name == PASSWORD_FILE
    store = SqliteStore(tmp_path)
    again = made(store, tmp_path)
    await again.fresh()
    with pytest.raises(Unauthenticated):
        again.by_session(session)
    with pytest.raises(Unauthenticated):
        await again.login("admin", before, HERE)
    assert again.by_session(
        await again.login("admin", first_password(tmp_path), HERE)).role is Role.ADMIN
    store.close()


def test_derived_keys_are_stable_and_apart(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "secret.key")
    one = vault.derived("session cookies")
    assert one == Vault(tmp_path / "secret.key").derived("session cookies")
    assert one != vault.derived("something else")
    assert len(one) == 32
