"""Passwords: hashed with Argon2id, compared with the same work whoever asks."""
from __future__ import annotations

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ...core.errors import Fault
from ..errors import Invalid
from .people import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS

AT_ONCE = 2                 # hashes: each takes 64 MiB and a core for a while
RANDOM_BYTES = 18           # 24 characters


def random_password() -> str:
    """A password for somebody who has none yet."""
    return secrets.token_urlsafe(RANDOM_BYTES)


def check_password(password: str, path: str = "password") -> None:
    """Invalid when a password is too short, too long, or no text; it is never quoted."""
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise Invalid("this password cannot be taken", [Fault(
            path, f"{MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters", "password_length")])
    try:
        password.encode()
    except UnicodeEncodeError:
        raise Invalid("this password cannot be taken", [
            Fault(path, "text in UTF-8", "password_text")]) from None


class Passwords:
    """Hashes and verifies in threads, few at once, so that logins cannot fill the machine."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._dummy = ""

    async def hash(self, password: str) -> str:
        """The hash to keep."""
        async with self._room:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password; for None (no such user) the same work, and False."""
        if not self._dummy:
            self._dummy = await self.hash(random_password())
        async with self._room:
            found = await asyncio.to_thread(self._verify, password_hash or self._dummy, password)
        return found and password_hash is not None

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
