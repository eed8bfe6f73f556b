"""Users, tokens and roles as records, and the person or machine that a request comes from."""
from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictStr,
    ValidationInfo,
    field_validator,
)

MIN_PASSWORD_CHARS, MAX_PASSWORD_CHARS = 8, 256
EVERY_TENANT = "*"


class Role(StrEnum):
    """What somebody may do; each role may do what the ones before it may."""

    VIEWER = "viewer"           # sees
    OPERATOR = "operator"       # changes clusters
    ADMIN = "admin"             # everything, users and tokens, too

    def covers(self, wanted: Role) -> bool:
        """Whether this role may do what ``wanted`` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(wanted)


def lesser(one: Role, other: Role) -> Role:
    """The weaker of two roles."""
    return other if one.covers(other) else one


def _plain_text(text: str) -> str:
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in text):
        raise ValueError("must be plain text")
    return text


UserName = Annotated[StrictStr, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="lower "
                                      "case letters, digits, dots, dashes, underscores")]
TokenName = Annotated[StrictStr, Field(min_length=1, max_length=100),
                      AfterValidator(_plain_text)]
Tenant = Annotated[StrictStr, Field(pattern=r"^(\*|[a-z]([a-z0-9-]{0,38}[a-z0-9])?)$")]
Tenants = Annotated[list[Tenant], Field(
    max_length=1000, description='names of tenants; "*" alone: all of them')]


class Rights(BaseModel):
    """A role, and the tenants whose clusters it is about; an admin has all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role
    tenants: Tenants = Field([], validate_default=True)

    @field_validator("tenants")
    @classmethod
    def _fit_the_role(cls, tenants: list[str], info: ValidationInfo) -> list[str]:
        role = info.data.get("role")
        if role is Role.ADMIN:
            if tenants not in ([], [EVERY_TENANT]):
                raise ValueError('an admin has all tenants: leave them out, or give "*"')
            return [EVERY_TENANT]
        if EVERY_TENANT in tenants and len(tenants) > 1:
            raise ValueError('"*" stands alone')
        if role is not None and not tenants:
            raise ValueError('name at least one tenant, or give "*"')
        return sorted(set(tenants))

    @property
    def scope(self) -> frozenset[str] | None:
        """The tenants; None for all of them."""
        return None if EVERY_TENANT in self.tenants else frozenset(self.tenants)


class User(Rights):
    """A person's record. ``generation`` rises when everything he logged in with must end.

    It begins by chance: what a person of this name, who is gone, logged in with stays ended.
    """

    name: UserName
    password_hash: str = Field(repr=False)
    generation: int = Field(default_factory=lambda: secrets.randbits(48))
    disabled: bool = False
    created_at: float
    password_set_at: float


class Token(Rights):
    """A token's record; of the token itself only the SHA-256 is kept.

    ``user`` is the person it belongs to; empty for a machine's. A person's token may never do more
    than the person, and ends with the generation it was made in.
    """

    id: str
    name: TokenName
    sha256: str = Field(repr=False)
    user: str = ""
    generation: int = 0
    created_at: float
    created_by: str = ""
    expires_at: float | None = None

    def alive(self, now: float) -> bool:
        """Whether its time is not up."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request; ``tenants`` None means all of them."""

    name: str
    tenants: frozenset[str] | None = None
    role: Role = Role.ADMIN
    kind: Literal["user", "token", "anybody", "nobody"] = "anybody"
    user: str = ""              # the person behind it; empty for a machine
    token: str = ""             # the id of the token it came with
    session: str = ""           # the id of the session it came with
    generation: int = 0         # the person's, when it was let in
    expires_at: float | None = None

    def sees(self, tenant: str) -> bool:
        """Whether clusters of a tenant are its business."""
        return self.tenants is None or tenant in self.tenants


ANYBODY = Principal("anonymous")
NOBODY = Principal("nobody", frozenset(), Role.VIEWER, "nobody")
