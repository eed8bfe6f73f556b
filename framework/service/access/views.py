"""What API, command line and pages show of users and tokens: never a password, never a hash."""
from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .people import EVERY_TENANT, Principal, Role, Token, User


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class MeView(_View):
    """Who asks, and what he may do."""

    name: str
    role: Role
    tenants: list[str] = Field(description='"*" alone: all of them')
    kind: Literal["user", "token", "anybody"] = Field(
        description="a session or token of a person, a machine's token, or no login at all")
    user: str = Field("", description="the person behind it; empty for a machine")
    expires_at: float | None = None


class UserView(_View):
    """A person who may log in."""

    name: str
    role: Role
    tenants: list[str]
    disabled: bool
    created_at: float
    password_set_at: float


class TokenView(_View):
    """A token, without its value."""

    id: str
    name: str
    role: Role
    tenants: list[str]
    user: str = Field("", description="the person it belongs to; empty for a machine's")
    created_at: float
    created_by: str
    expires_at: float | None = None
    last_used_at: float | None = Field(
        None, description="to the minute, and only since this process started")


class TokenMade(TokenView):
    """A new token with its value, which is never shown again."""

    token: str


def me_view(principal: Principal) -> MeView:
    """Who asks."""
    tenants = [EVERY_TENANT] if principal.tenants is None else sorted(principal.tenants)
    kind = "anybody" if principal.kind == "nobody" else (
        "token" if principal.token and not principal.user else principal.kind)
    return MeView(name=principal.name, role=principal.role, tenants=tenants, kind=kind,
                  user=principal.user, expires_at=principal.expires_at)


def user_view(user: User) -> UserView:
    """A user as it is shown."""
    return UserView(name=user.name, role=user.role, tenants=user.tenants, disabled=user.disabled,
                    created_at=user.created_at, password_set_at=user.password_set_at)


def token_view(token: Token, last_used_at: float | None) -> TokenView:
    """A token as it is shown."""
    return TokenView(id=token.id, name=token.name, role=token.role, tenants=token.tenants,
                     user=token.user, created_at=token.created_at, created_by=token.created_by,
                     expires_at=token.expires_at, last_used_at=last_used_at)
