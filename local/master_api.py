"""Questions to the masters over HTTP."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from email.message import Message
from typing import IO, Any
from urllib.parse import urlsplit

from .ports import LOOPBACK

TIMEOUT_S = 5


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        return None


# No proxy: these go to this machine, or to one beside it.
_DIRECT = urllib.request.ProxyHandler({})
_FOLLOWING = urllib.request.build_opener(_DIRECT)
_STAYING = urllib.request.build_opener(_DIRECT, _NoRedirect)


def leader(ports: Iterable[int], address: str = LOOPBACK) -> str | None:
    """``host:port`` of the leading master, as the masters on these ports say; None without one."""
    for port in ports:
        try:
            _STAYING.open(f"http://{address}:{port}/redirect", timeout=TIMEOUT_S)
        except urllib.error.HTTPError as answer:
            location = _location(answer.headers)
            if answer.code == 307 and location:
                return location
        except OSError:
            continue  # that one does not run; the next may
    return None


def _location(headers: Message) -> str | None:
    return urlsplit(headers.get("Location") or "").netloc or None


def get(url: str) -> Any:
    """The JSON behind a URL of this machine. Raises OSError."""
    with _FOLLOWING.open(url, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def call(
    master: str, body: dict[str, Any], principal: str | None = None, secret: str | None = None
) -> Any:
    """One call of the operator API to ``host:port``; its answer, or None. Raises OSError."""
    request = urllib.request.Request(
        f"http://{master}/api/v1",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    if principal is not None:
        pair = base64.b64encode(f"{principal}:{secret}".encode()).decode()
        request.add_header("Authorization", f"Basic {pair}")
    with _FOLLOWING.open(request, timeout=TIMEOUT_S) as answer:
        data = answer.read()
    return json.loads(data) if data else None


def agents(master: str) -> dict[str, dict[str, Any]]:
    """The agents that a master knows, by process address (``slave(1)@127.0.0.1:5100``).

    Empty when it does not answer.
    """
    try:
        answer = get(f"http://{master}/slaves")
    except (OSError, ValueError):
        return {}
    return {agent["pid"]: agent for agent in answer["slaves"]}
