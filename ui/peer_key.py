"""Which process of one service sends a request to another.

A process proves itself by a signature with a key that only processes with the same secret key can
derive.
"""
from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass

from tornado.httputil import HTTPServerRequest

HEADER = "X-Esaas-Peer"
SKEW_S = 120                        # clocks of the processes may be so far apart


@dataclass(frozen=True, slots=True)
class PeerKey:
    """Signs and checks what processes of one service send each other."""

    key: bytes

    def sign(self, method: str, path: str) -> str:
        """The header for one request, good for a short time."""
        at = int(time.time())
        return f"{at}.{self._mark(at, method, path)}"

    def signed(self, request: HTTPServerRequest) -> bool:
        """Whether another process of this service has sent a request."""
        at, _, mark = request.headers.get(HEADER, "").partition(".")
        if not at.isascii() or not at.isdigit() or len(at) > 12:
            return False
        expected = self._mark(int(at), str(request.method), str(request.uri))
        return abs(time.time() - int(at)) <= SKEW_S and hmac.compare_digest(
            expected.encode(), mark.encode("utf-8", "replace"))

    def _mark(self, at: int, method: str, path: str) -> str:
        return hmac.new(self.key, f"{at} {method} {path}".encode(), hashlib.sha256).hexdigest()
