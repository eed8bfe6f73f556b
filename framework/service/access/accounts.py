"""Users and tokens as admins keep them. Everything here is stored before it is answered."""
from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any

import structlog
from pydantic import ValidationError

from ...core.errors import Fault
from ...core.spec import faults_of
from ...store.contract import Delete, Put
from ..errors import Conflict, Invalid, NotFound
from .book import TOKENS, USERS, Book, Page
from .passwords import Passwords, check_password
from .people import EVERY_TENANT, Principal, Rights, Role, Token, User
from .requests import NewToken, NewUser, UserChange
from .views import TokenMade, TokenView, UserView, token_view, user_view

log = structlog.get_logger(__name__)

MAX_USERS, MAX_TOKENS = 10_000, 10_000
PREFIX = "esaas_"               # so that people and scanners know a leaked one


def hash_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def admin_stays(page: Page, changed: User | None, name: str) -> None:
    """Conflict when nobody could manage users any more; ``changed`` None: ``name`` is removed."""
    after = {**page.users, name: changed}
    if not any(user is not None and user.role is Role.ADMIN and not user.disabled
               for user in after.values()):
        raise Conflict("nobody would be left who may manage users", [
            Fault("", f"{name} is the last admin who can log in", "an_admin_stays")])


def tokens_of(page: Page, user: str, keep: str = "") -> list[Put | Delete]:
    """Deletions of a person's tokens, but of the one to keep."""
    return [page.delete(f"{TOKENS}/{token.id}") for token in page.tokens.values()
            if token.user == user and token.id != keep]


def make_token(rights: Rights, name: str, **more: Any) -> tuple[Token, str]:
    """The record of a new token of 256 random bits, and the token itself."""
    value = PREFIX + secrets.token_urlsafe(32)
    return Token(role=rights.role, tenants=rights.tenants, id=secrets.token_hex(6), name=name,
                 sha256=hash_of(value), **more), value


class Accounts:
    """Makes, shows, changes and removes users and tokens."""

    _book: Book
    _passwords: Passwords
    _clock: Callable[[], float] = staticmethod(time.time)
    _used: dict[str, float]

    # ------------------------------------------------------------------- users

    async def users(self) -> list[UserView]:
        """Everybody who may log in, by name."""
        page = await self._book.fresh()
        return [user_view(user) for _, user in sorted(page.users.items())]

    @staticmethod
    def _user(page: Page, name: str) -> User:
        user = page.users.get(name)
        if user is None:
            raise NotFound(f"no user is called {name!r}")
        return user

    async def add_user(self, wanted: NewUser) -> UserView:
        """Make a user; Conflict when the name is taken."""
        now, hashed = self._clock(), await self._hashed(wanted.password.get_secret_value())
        user = User(role=wanted.role, tenants=wanted.tenants, name=wanted.name,
                    password_hash=hashed, created_at=now, password_set_at=now)

        def make(page: Page) -> list[Put | Delete]:
            # A record that cannot be read takes a name, too.
            if f"{USERS}/{user.name}" in page.versions:
                raise Conflict(f"a user is called {user.name} already", [
                    Fault("name", "choose another name", "name_is_free")])
            if len(page.users) >= MAX_USERS:
                raise Conflict(f"there are {len(page.users)} users already")
            return [page.put(f"{USERS}/{user.name}", user)]

        await self._book.change(make)
        log.info("user_added", user=user.name, role=user.role)
        return user_view(user)

    async def _hashed(self, password: str) -> str:
        check_password(password)
        return await self._passwords.hash(password)

    async def change_user(self, name: str, wanted: UserChange) -> UserView:
        """Change role, tenants, or whether somebody may log in.

        It holds from the next request on. NotFound, Invalid, Conflict for the last admin.
        """
        def make(page: Page) -> list[Put | Delete]:
            old = self._user(page, name)
            new = _changed(old, wanted)
            admin_stays(page, new, name)
            ended = tokens_of(page, name) if new.generation != old.generation else []
            return [page.put(f"{USERS}/{name}", new), *ended] if new != old else []

        page = await self._book.change(make)
        log.info("user_changed", user=name, **wanted.model_dump(exclude_none=True, mode="json"))
        return user_view(self._user(page, name))

    async def set_password(self, name: str, password: str) -> UserView:
        """Set somebody's password; he is logged out everywhere. NotFound, Invalid."""
        self._user(await self._book.fresh(), name)
        hashed = await self._hashed(password)
        page = await self._renew(name, hashed)
        log.info("password_set", user=name)
        return user_view(self._user(page, name))

    async def _renew(self, name: str, hashed: str, keep: str = "") -> Page:
        """A new generation with another password; the token to keep comes along."""
        def make(page: Page) -> list[Put | Delete]:
            old = self._user(page, name)
            user = old.model_copy(update={
                "password_hash": hashed, "generation": old.generation + 1,
                "password_set_at": self._clock()})
            changes = [page.put(f"{USERS}/{name}", user), *tokens_of(page, name, keep)]
            if (kept := page.tokens.get(keep)) is not None:
                changes.append(page.put(f"{TOKENS}/{keep}", kept.model_copy(
                    update={"generation": user.generation})))
            return changes

        return await self._book.change(make)

    async def remove_user(self, name: str) -> UserView:
        """Remove a user with his tokens; he is logged out. NotFound, Conflict."""
        gone: list[User] = []

        def make(page: Page) -> list[Put | Delete]:
            gone[:] = [self._user(page, name)]
            admin_stays(page, None, name)
            return [page.delete(f"{USERS}/{name}"), *tokens_of(page, name)]

        await self._book.change(make)
        log.info("user_removed", user=name)
        return user_view(gone[0])

    # ------------------------------------------------------------------ tokens

    async def tokens(self) -> list[TokenView]:
        """All tokens without their values, newest first."""
        page = await self._book.fresh()
        newest = sorted(page.tokens.values(), key=lambda token: (-token.created_at, token.id))
        return [token_view(token, self._used.get(token.id)) for token in newest]

    async def create_token(self, wanted: NewToken, by: Principal) -> TokenMade:
        """A token of a machine, whose value is told this once; Conflict for a name in use."""
        now = self._clock()
        expires = None if wanted.expires_in_s is None else now + wanted.expires_in_s
        token, value = make_token(wanted, wanted.name, created_at=now, created_by=by.name,
                                  expires_at=expires)
        return await self._keep_token(token, value)

    async def _keep_token(self, token: Token, value: str) -> TokenMade:
        def make(page: Page) -> list[Put | Delete]:
            old = [one for one in page.tokens.values() if not one.alive(self._clock())]
            alive = [one for one in page.tokens.values() if one not in old]
            if not token.user and any(one.name == token.name and not one.user for one in alive):
                raise Conflict(f"a token is called {token.name} already", [
                    Fault("name", "revoke it, or choose another name", "name_is_free")])
            if len(alive) >= MAX_TOKENS:
                raise Conflict(f"there are {len(alive)} tokens already")
            return [*(page.delete(f"{TOKENS}/{one.id}") for one in old),
                    page.put(f"{TOKENS}/{token.id}", token)]

        await self._book.change(make)
        log.info("token_created", token=token.id, name=token.name, user=token.user)
        return TokenMade(**token_view(token, None).model_dump(), token=value)

    async def revoke_token(self, ident: str) -> TokenView:
        """A token is good for nothing from now on; NotFound."""
        gone: list[Token] = []

        def make(page: Page) -> list[Put | Delete]:
            token = page.tokens.get(ident)
            if token is None:
                raise NotFound(f"no token has the id {ident!r}")
            gone[:] = [token]
            return [page.delete(f"{TOKENS}/{ident}")]

        await self._book.change(make)
        log.info("token_revoked", token=ident)
        return token_view(gone[0], self._used.pop(ident, None))


def _changed(old: User, wanted: UserChange) -> User:
    """A user with what is wanted of him; Invalid when role and tenants do not fit."""
    more = wanted.model_dump(exclude_none=True)
    if more.get("role") is Role.ADMIN:
        more.setdefault("tenants", [EVERY_TENANT])
    if more.get("disabled") and not old.disabled:
        more["generation"] = old.generation + 1
    try:
        return User.model_validate(old.model_dump() | more)
    except ValidationError as error:
        raise Invalid("this user cannot be like that", faults_of(error)) from None
