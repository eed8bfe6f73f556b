"""Slows down whoever guesses passwords: so many tries for a user, so many from an address."""
from __future__ import annotations

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from ..errors import TooManyTries

PER_USER = RateLimitItemPerMinute(10)
PER_ADDRESS = RateLimitItemPerMinute(30)


class Throttle:
    """Counts tries in the memory of this process; a success forgives those of its user."""

    def __init__(self, per_user: RateLimitItemPerMinute = PER_USER,
                 per_address: RateLimitItemPerMinute = PER_ADDRESS) -> None:
        self._per_user, self._per_address = per_user, per_address
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    def take(self, user: str, address: str) -> None:
        """Count a try before it is made; TooManyTries with the time to wait.

        A refused address does not count against the user whose name it gives.
        """
        for limit, key in ((self._per_address, ("address", address)),
                           (self._per_user, ("user", user))):
            if not self._windows.hit(limit, *key):
                again_at, _ = self._windows.get_window_stats(limit, *key)
                raise TooManyTries("too many tries to log in; wait a moment",
                                   max(1, math.ceil(again_at - time.time())))

    def forgive(self, user: str) -> None:
        """Forget the tries of a user who has shown the right password."""
        self._windows.clear(self._per_user, "user", user)
