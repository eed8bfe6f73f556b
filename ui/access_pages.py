"""Pages about people: log in and out, one's own account, and for admins users and tokens."""
from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, ClassVar
from urllib.parse import urlsplit

from esaas.framework.core.errors import Fault
from esaas.framework.service.access.people import Role
from esaas.framework.service.access.requests import NewToken, NewUser, UserChange
from esaas.framework.service.access.views import TokenMade
from esaas.framework.service.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ServiceError,
    TooManyTries,
    Unauthenticated,
)
from esaas.framework.words import seconds_of
from tornado.routing import URLSpec

from .bodies import checked
from .gate import SESSION_COOKIE, keep_session, principal_of
from .pages import Page

ACCESS_NOTICES = {
    "added": "The user was added.", "changed": "The user was changed.",
    "removed": "The user was removed, with all tokens of his.",
    "password": "The password was set. Whoever was logged in with the old one is logged out.",
    "own": "Your password was changed. You are logged out everywhere else.",
    "revoked": "The token was revoked: it is good for nothing any more.",
}
NOT_AFTER_LOGIN = ("/login", "/logout")


def safe_next(text: str) -> str:
    """Where to go after a login: a path of this site, else the list of clusters."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    fits = (text.startswith("/") and not text.startswith("//") and "\\" not in text
            and text.isprintable() and not parts.scheme and not parts.netloc
            and parts.path not in NOT_AFTER_LOGIN and not parts.path.startswith("/v1"))
    return text if fits else "/"


class Login(Page):
    """``/login``: the only page that is open to everybody."""

    hushed = True
    sees: ClassVar[Role | None] = None
    acts: ClassVar[Role | None] = None

    async def get(self) -> None:  # type: ignore[override]
        """The form; whoever is logged in goes on at once."""
        target = safe_next(self.get_query_argument("next", "/"))
        try:
            await principal_of(self, self.context)
        except Unauthenticated:
            self.show(target)
            return
        self.redirect(target)

    def show(self, target: str, user: str = "", problem: ServiceError | None = None) -> None:
        """The form, with what was typed but never the password, and why it was refused."""
        if problem is not None:
            self.set_status(problem.status)
            self.set_challenge(problem)
        self.render("login.html", next=target, user=user, problem=problem)

    async def post(self) -> None:  # type: ignore[override]
        """Begin a session and go on where one wanted to."""
        self.read_form()
        target, user = safe_next(self.field("next")), self.field("user").strip()
        self.tried_user = user
        if not self.context.login:
            self.see(target)
            return
        try:
            session = await self.context.access.login(user, self.field("password"),
                                                      str(self.request.remote_ip))
        except (Unauthenticated, TooManyTries) as problem:
            self.show(target, user, problem)
            return
        keep_session(self, session, self.context)
        self.redirect(target, status=303)


class Logout(Page):
    """``/logout``: the button in every page's head."""

    acts = Role.VIEWER

    async def get(self) -> None:  # type: ignore[override]
        """Somebody reloaded."""
        self.see("/")

    async def post(self) -> None:  # type: ignore[override]
        """End the session here and in the service."""
        self.read_form()
        if self.principal.session:
            await self.context.access.logout(self.principal)
        self.clear_cookie(SESSION_COOKIE)
        self.see("/login")


class Account(Page):
    """``/account``: who one is, and one's own password."""

    hushed = True
    acts = Role.VIEWER

    async def get(self) -> None:  # type: ignore[override]
        """The page."""
        self.show(ACCESS_NOTICES.get(self.get_query_argument("notice", ""), ""))

    def show(self, notice: str = "", problem: ServiceError | None = None) -> None:
        """The page; with why a password was not taken."""
        if problem is not None:
            self.set_status(problem.status)
            self.set_challenge(problem)
        self.render("account.html", notice=notice, problem=problem)

    async def post(self) -> None:  # type: ignore[override]
        """Change the password."""
        self.read_form()
        new = self.field("new")
        try:
            if new != self.field("again"):
                raise Invalid("the new password was not typed the same twice", [
                    Fault("again", "type it again", "same_twice")])
            session = await self.context.access.change_own_password(
                self.principal, self.field("old"), new, str(self.request.remote_ip))
        except (Invalid, Forbidden, TooManyTries) as problem:
            self.show(problem=problem)
            return
        if session is not None:
            keep_session(self, session, self.context)
        self.see("/account", notice="own")


def typed_tenants(text: str) -> list[str]:
    """Tenants as people type them: with commas or blanks between."""
    return text.replace(",", " ").split()


class AdminPage(Page):
    """A page for admins; its forms come back to it with what was typed."""

    hushed = True
    sees = Role.ADMIN
    acts = Role.ADMIN
    home = ""

    async def show(self, notice: str = "", problem: ServiceError | None = None,
                   typed: dict[str, str] | None = None, **more: Any) -> None:
        """Render it; a refused form keeps what was ``typed``, never a password."""
        raise NotImplementedError

    async def get(self, **path: str) -> None:
        """The page."""
        if self.request.path != self.home:
            self.see(self.home)         # somebody reloaded what a form had answered
            return
        await self.show(ACCESS_NOTICES.get(self.get_query_argument("notice", ""), ""))

    async def act(self, work: Awaitable[Any], notice: str, typed: dict[str, str]) -> None:
        """Do what a form asks for, and come back; or say why not."""
        try:
            await work
        except (Invalid, Conflict) as problem:
            self.set_status(problem.status)
            await self.show(problem=problem, typed=typed)
            return
        self.see(self.home, notice=notice)


class Users(AdminPage):
    """``/users``: everybody who may log in, and a form for one more."""

    home = "/users"

    async def show(self, notice: str = "", problem: ServiceError | None = None,
                   typed: dict[str, str] | None = None, **more: Any) -> None:
        """The list and the forms."""
        self.render("users.html", users=await self.context.access.users(), notice=notice,
                    problem=problem, typed=typed or {}, roles=list(Role))

    async def post(self) -> None:  # type: ignore[override]
        """Add a user."""
        self.read_form()
        typed = {name: self.field(name).strip() for name in ("name", "role", "tenants")}
        await self.act(self.add(typed), "added", typed | {"form": "add"})

    async def add(self, typed: dict[str, str]) -> None:
        """Make the user; Invalid with every fault."""
        wanted = checked(NewUser, typed | {"tenants": typed_tenants(typed["tenants"]),
                                           "password": self.field("password")}, "form")
        assert isinstance(wanted, NewUser)
        await self.context.access.add_user(wanted)


class OneUser(Users):
    """``/users/USER/...``: what the forms beside a user ask for."""

    async def post(self, user: str, what: str) -> None:  # type: ignore[override]
        """Change, set the password, or remove."""
        self.read_form()
        access, typed = self.context.access, {"form": f"{what}:{user}"}
        if what == "password":
            await self.act(access.set_password(user, self.field("password")), "password", typed)
        elif what == "change":
            typed |= {name: self.field(name).strip() for name in ("role", "tenants")}
            await self.act(self.change(user, typed), "changed", typed)
        elif what in ("disable", "enable"):
            await self.act(access.change_user(user, UserChange(disabled=what == "disable")),
                           "changed", typed)
        elif not self.field("sure"):
            self.render("confirm_access.html", question=f"Remove the user {user}?",
                        says=("He is logged out at once, and his tokens end.",),
                        button="Remove", back=self.home)
        else:
            await self.act(access.remove_user(user), "removed", typed)

    async def change(self, user: str, typed: dict[str, str]) -> None:
        """Another role, other tenants; Invalid with every fault."""
        body: dict[str, Any] = {"role": typed["role"]}
        if typed["role"] != Role.ADMIN:
            body["tenants"] = typed_tenants(typed["tenants"])
        wanted = checked(UserChange, body, "form")
        assert isinstance(wanted, UserChange)
        await self.context.access.change_user(user, wanted)


class Tokens(AdminPage):
    """``/tokens``: what machines prove themselves with."""

    home = "/tokens"

    async def show(self, notice: str = "", problem: ServiceError | None = None,
                   typed: dict[str, str] | None = None, made: TokenMade | None = None,
                   **more: Any) -> None:
        """The list and the form; ``made`` is shown with its value, this once."""
        self.render("tokens.html", tokens=await self.context.access.tokens(), notice=notice,
                    problem=problem, typed=typed or {}, made=made, roles=list(Role))

    async def post(self) -> None:  # type: ignore[override]
        """Make a token and show it."""
        self.read_form()
        typed = {name: self.field(name).strip() for name in ("name", "role", "tenants", "expires")}
        try:
            made = await self.context.access.create_token(wanted_token(typed), self.principal)
        except (Invalid, Conflict) as problem:
            self.set_status(problem.status)
            await self.show(problem=problem, typed=typed)
            return
        self.set_header("Cache-Control", "no-store")
        await self.show(made=made)


def wanted_token(typed: dict[str, str]) -> NewToken:
    """A token as the form asks for it; Invalid with every fault."""
    body: dict[str, Any] = {"name": typed["name"], "role": typed["role"],
                            "tenants": typed_tenants(typed["tenants"])}
    if typed["expires"]:
        try:
            body["expires_in_s"] = seconds_of(typed["expires"])
        except ValueError as error:
            raise Invalid("the time is no time", [
                Fault("expires", f"{error}, or nothing", "type")]) from error
    wanted = checked(NewToken, body, "form")
    assert isinstance(wanted, NewToken)
    return wanted


class Revoke(Tokens):
    """``/tokens/ID/revoke``: a token is good for nothing any more."""

    async def post(self, token: str) -> None:  # type: ignore[override]
        """Revoke it when somebody is sure; ask otherwise."""
        self.read_form()
        if self.field("sure"):
            await self.act(self.context.access.revoke_token(token), "revoked", {})
            return
        names = {one.id: one.name for one in await self.context.access.tokens()}
        if token not in names:
            raise NotFound(f"no token has the id {token!r}")
        self.render("confirm_access.html", question=f"Revoke the token {names[token]}?",
                    says=("Whatever uses it is refused from now on.",), button="Revoke",
                    back=self.home)


def access_rules() -> list[URLSpec]:
    """The addresses of these pages."""
    user = r"/users/(?P<user>[^/]+)/(?P<what>change|password|disable|enable|remove)"
    return [URLSpec(r"/login", Login), URLSpec(r"/logout", Logout), URLSpec(r"/account", Account),
            URLSpec(r"/users", Users), URLSpec(user, OneUser),
            URLSpec(r"/tokens", Tokens), URLSpec(r"/tokens/(?P<token>[^/]+)/revoke", Revoke)]
