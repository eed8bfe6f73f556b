"""What the session cookie says. Tornado signs it; nothing in it is secret."""
from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, replace

IDLE_S = 12 * 3600.0            # a session that is not used for so long is over
LONGEST_S = 7 * 86400.0         # and so is one that was used all the time
RENEW_S = 10 * 60.0             # the cookie is written anew when it is so old


@dataclass(frozen=True, slots=True)
class Session:
    """Who logged in, in which generation of his, and when; times in seconds since the epoch."""

    id: str
    user: str
    generation: int
    began_at: float
    seen_at: float

    @classmethod
    def begin(cls, user: str, generation: int, now: float) -> Session:
        """A new one."""
        return cls(secrets.token_urlsafe(16), user, generation, now, now)

    @classmethod
    def parse(cls, text: bytes) -> Session | None:
        """What a cookie of ours holds; None for one of another version of this service."""
        try:
            found = json.loads(text)
            return cls(str(found["id"]), str(found["user"]), int(found["generation"]),
                       float(found["began_at"]), float(found["seen_at"]))
        except (ValueError, KeyError, TypeError):
            return None

    def text(self) -> str:
        """As it stands in the cookie, before it is signed."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @property
    def ends_at(self) -> float:
        """When it is over if nobody uses it."""
        return min(self.seen_at + IDLE_S, self.began_at + LONGEST_S)

    def renewed(self, now: float) -> Session | None:
        """The same session as it is used now; None while its cookie is new enough."""
        return replace(self, seen_at=now) if now - self.seen_at >= RENEW_S else None
