"""Proof of who asks: passwords, sessions, tokens; and the first admin of a new service."""
from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from ...core.errors import EsaasError
from ...store.contract import Delete, Put, Store
from ..errors import Conflict, Forbidden, Unauthenticated
from .accounts import Accounts, hash_of, make_token
from .book import ENDED, USERS, Book, Ended, Page
from .passwords import Passwords, check_password, random_password
from .people import EVERY_TENANT, Principal, Rights, Role, Token, User, lesser
from .sessions import IDLE_S, Session
from .throttle import Throttle
from .views import TokenMade

log = structlog.get_logger(__name__)

ADMIN = "admin"
PASSWORD_FILE = "admin-password"
LOGIN_TOKEN_S = 30 * 86400.0            # what `esaas login` gets is good for so long
COARSE_S = 60.0
MAX_KNOWN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
FILE_TOKEN = re.compile(r"[\w.~+/=-]{32,512}", re.ASCII)
WRONG = "the user or the password is wrong"


class BadTokenFile(EsaasError):
    """The file given as --admin-token-file cannot be used."""


def read_token_file(path: Path) -> str:
    """The token in a file that only its owner can read; BadTokenFile."""
    try:
        if path.stat().st_mode & 0o077:
            raise BadTokenFile(f"{path} can be read by others: chmod 600 it")
        value = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII"
        raise BadTokenFile(f"cannot read {path}: {reason}") from None
    if not FILE_TOKEN.fullmatch(value):
        raise BadTokenFile(f"{path} must hold one token of 32 to 512 letters, digits or ._~+/=-")
    return value


def write_secret(path: Path, text: str) -> None:
    """Write a file that only this user can read, in the place of an older one."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


class Access(Accounts):
    """The users and tokens of one service; ``start`` before anything else.

    ``cookie_key`` signs sessions. ``file_token`` is a token of admin role that is good as long as
    this process runs.
    """

    def __init__(self, store: Store, state_dir: Path, cookie_key: bytes, owner: str, *,
                 passwords: Passwords | None = None, throttle: Throttle | None = None,
                 file_token: str = "", clock: Callable[[], float] = time.time) -> None:
        self.cookie_key = cookie_key
        self._book = Book(store, owner)
        self._passwords = passwords or Passwords()
        self._throttle = throttle or Throttle()
        self._password_file = state_dir / PASSWORD_FILE
        self._clock = clock
        self._used = {}
        self._file_hash = hash_of(file_token) if file_token else ""

    async def start(self) -> None:
        """Make the first admin when there is no user at all; Unavailable."""
        page = await self._book.fresh()
        if not any(path.startswith(f"{USERS}/") for path in page.versions):
            await self._make_first_admin()

    async def _make_first_admin(self) -> None:
        password = random_password()
        hashed, made = await self._passwords.hash(password), False

        def make(page: Page) -> list[Put | Delete]:
            nonlocal made
            made = not any(path.startswith(f"{USERS}/") for path in page.versions)
            if not made:
                return []
            # Before the record: a password that nobody knows would be worse than a file too many.
            write_secret(self._password_file, password)
            return [page.put(f"{USERS}/{ADMIN}", first_admin(hashed, self._clock()))]

        await self._book.change(make)
        if made:
            log.warning("first_admin_made", user=ADMIN, password_file=str(self._password_file))

    def now(self) -> float:
        """The time by which sessions and tokens are measured; seconds since the epoch."""
        return self._clock()

    async def fresh(self) -> None:
        """See what other processes have changed, now and then; Unavailable."""
        await self._book.fresh()

    # ---------------------------------------------------------- who sends this

    def by_token(self, value: str) -> Principal:
        """The principal of a token; Unauthenticated."""
        hashed, page, now = hash_of(value), self._book.page, self._clock()
        if self._file_hash and hashed == self._file_hash:
            return Principal("token:admin-token-file", None, Role.ADMIN, "token")
        token = page.by_hash.get(hashed)
        if token is None or not token.alive(now):
            raise Unauthenticated("this token is unknown, revoked or expired")
        rights = _rights_of_token(page, token)
        if now - self._used.get(token.id, 0.0) >= COARSE_S:
            self._used[token.id] = now // COARSE_S * COARSE_S
        name = token.user or f"token:{token.name}"
        return Principal(name, rights[1], rights[0], "token", user=token.user, token=token.id,
                         generation=token.generation, expires_at=token.expires_at)

    def by_session(self, session: Session) -> Principal:
        """The principal of a session; Unauthenticated when it is over."""
        page, now = self._book.page, self._clock()
        user = page.users.get(session.user)
        if (user is None or user.disabled or user.generation != session.generation
                or session.id in page.ended or now >= session.ends_at):
            raise Unauthenticated("this session is over; log in again")
        return Principal(user.name, user.scope, user.role, "user", user=user.name,
                         session=session.id, generation=user.generation,
                         expires_at=session.ends_at)

    def still(self, principal: Principal) -> bool:
        """Whether somebody who was let in would be let in again, with no less than then."""
        page = self._book.page
        if principal.expires_at is not None and self._clock() >= principal.expires_at:
            return False
        if principal.token:
            token = page.tokens.get(principal.token)
            if token is None or token.generation != principal.generation:
                return False
            try:
                role, tenants = _rights_of_token(page, token)
            except Unauthenticated:
                return False
        elif principal.session:
            user = page.users.get(principal.user)
            if (user is None or user.disabled or user.generation != principal.generation
                    or principal.session in page.ended):
                return False
            role, tenants = user.role, user.scope
        else:
            return True
        return role is principal.role and tenants == principal.tenants

    def knows(self, name: str) -> bool:
        """Whether somebody is called so; of what nobody is called nothing is ever logged."""
        return name in self._book.page.users

    # ------------------------------------------------------------ in and out

    async def login(self, name: str, password: str, address: str) -> Session:
        """A session for the right password; Unauthenticated, TooManyTries."""
        user = await self._proven(name, password, address)
        log.info("login", user=user.name, remote=address)
        return Session.begin(user.name, user.generation, self._clock())

    async def login_for_token(self, name: str, password: str, address: str,
                              token_name: str) -> TokenMade:
        """A token of one's own for the right password; as ``login``."""
        user = await self._proven(name, password, address)
        now = self._clock()
        token, value = make_token(user, token_name, user=user.name, generation=user.generation,
                                  created_at=now, created_by=user.name,
                                  expires_at=now + LOGIN_TOKEN_S)
        log.info("login", user=user.name, remote=address, token=token.id)
        return await self._keep_token(token, value)

    async def _proven(self, name: str, password: str, address: str) -> User:
        known = name if MAX_KNOWN_NAME.fullmatch(name) else "(no name)"
        self._throttle.take(known, address)
        user = (await self._book.fresh()).users.get(known)
        allowed = user is not None and not user.disabled
        right = await self._passwords.matches(user.password_hash if user else None, password)
        if user is None or not (right and allowed):
            # What nobody is called may be a password in the wrong field.
            log.warning("login_refused", user=user.name if user else "(unknown)", remote=address)
            raise Unauthenticated(WRONG)
        self._throttle.forgive(known)
        return user

    async def logout(self, principal: Principal) -> None:
        """End the session, or the person's token, that a request came with; Conflict."""
        if principal.session:
            await self._end(principal.session)
        elif principal.token and principal.user:
            await self.revoke_token(principal.token)
        else:
            raise Conflict("there is nothing to log out of: a machine's token is revoked by an "
                           "admin")

    async def _end(self, session: str) -> None:
        now = self._clock()

        def make(page: Page) -> list[Put | Delete]:
            path = f"{ENDED}/{session}"
            over = [page.delete(f"{ENDED}/{one.id}") for one in page.ended.values()
                    if one.until <= now]
            if path in page.versions:
                return []
            return [*over, page.put(path, Ended(id=session, until=now + IDLE_S))]

        await self._book.change(make)

    async def change_own_password(self, principal: Principal, old: str, new: str,
                                  address: str) -> Session | None:
        """Set one's own password; a new session in the place of the one that asked.

        Everything else one was logged in with has ended. Forbidden for a machine or a wrong old
        password, Invalid, TooManyTries.
        """
        if not principal.user:
            raise Forbidden("only a person has a password")
        check_password(new, "new")
        try:
            await self._proven(principal.user, old, address)
        except Unauthenticated as error:
            raise Forbidden("the old password is wrong") from error
        page = await self._renew(principal.user, await self._passwords.hash(new), principal.token)
        log.info("password_changed", user=principal.user)
        user = self._user(page, principal.user)
        if not principal.session:
            return None
        return Session.begin(user.name, user.generation, self._clock())

    async def _renew(self, name: str, hashed: str, keep: str = "") -> Page:
        page = await super()._renew(name, hashed, keep)
        self._forget_first_password(name)
        return page

    def _forget_first_password(self, name: str) -> None:
        """The file with the first password says nothing that is true any more."""
        if name == ADMIN:
            try:
                self._password_file.unlink(missing_ok=True)
            except OSError as error:
                log.warning("password_file_stays", reason=error.strerror)


def first_admin(hashed: str, now: float) -> User:
    """The admin that a new service, or one whose password was lost, begins with."""
    return User(role=Role.ADMIN, tenants=[EVERY_TENANT], name=ADMIN, password_hash=hashed,
                created_at=now, password_set_at=now)


def _rights_of_token(page: Page, token: Token) -> tuple[Role, frozenset[str] | None]:
    """What a token may do now: a person's never more than the person. Unauthenticated."""
    if not token.user:
        return token.role, token.scope
    user = page.users.get(token.user)
    if user is None or user.disabled or user.generation != token.generation:
        raise Unauthenticated("this token has ended; log in again")
    mine: Rights = user
    if token.scope is None or mine.scope is None:
        tenants = mine.scope if token.scope is None else token.scope
    else:
        tenants = token.scope & mine.scope
    return lesser(token.role, user.role), tenants
