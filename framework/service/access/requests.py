"""What is asked for users and tokens: checked by pydantic, all faults at once."""
from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictBool

from .people import (
    MAX_PASSWORD_CHARS,
    MIN_PASSWORD_CHARS,
    Rights,
    Role,
    Tenants,
    TokenName,
    UserName,
)

MAX_EXPIRY_S = 10 * 366 * 86400
Password = Annotated[SecretStr, Field(min_length=MIN_PASSWORD_CHARS,
                                      max_length=MAX_PASSWORD_CHARS)]
# One that was set before, whatever the rules were then.
GivenPassword = Annotated[SecretStr, Field(min_length=1, max_length=MAX_PASSWORD_CHARS)]


class _Asked(BaseModel):
    # The text of an error must not quote what was sent: it may be a password.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LoginRequest(_Asked):
    """A person at a command line, who gets a token for it."""

    user: UserName
    password: GivenPassword
    token_name: TokenName = Field("command line", description="what the token is listed as")


class NewUser(Rights):
    """Somebody who may log in."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: UserName
    password: Password


class UserChange(_Asked):
    """What changes about a user; what is left out stays."""

    role: Role | None = None
    tenants: Tenants | None = None
    disabled: StrictBool | None = Field(None, description="true: he cannot log in any more, and "
                                        "is logged out everywhere")


class NewPassword(_Asked):
    """A password that an admin sets; its user is logged out everywhere."""

    password: Password


class OwnPassword(_Asked):
    """A new password of one's own, and the one until now."""

    old: GivenPassword
    new: Password


class NewToken(Rights):
    """A token of a machine."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: TokenName
    expires_in_s: float | None = Field(
        None, gt=0, le=MAX_EXPIRY_S, allow_inf_nan=False,
        description="it is good for so long; nothing: until it is revoked")
