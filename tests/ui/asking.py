"""Plain HTTP for tests: what a stranger could send, with nothing added."""
from __future__ import annotations

import http.client
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from live_app import PATIENCE_S, LiveApp


@dataclass
class Got:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def faults(self) -> dict[str, str]:
        """The faults of a refusal, message by path."""
        return {fault["path"]: fault["message"] for fault in self.json["error"]["faults"]}


def ask(app: LiveApp, method: str, path: str, body: Any = None,
        headers: dict[str, str] | None = None) -> Got:
    """One request; a body that is no bytes is sent as JSON."""
    sent = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/json")
    line = http.client.HTTPConnection("127.0.0.1", app.port, timeout=PATIENCE_S)
    try:
        line.request(method, path, body, sent)
        answer = line.getresponse()
        return Got(answer.status, answer.headers, answer.read())
    finally:
        line.close()


def post_form(app: LiveApp, page: str, path: str, fields: dict[str, str], **headers: str) -> Got:
    """Post a form as a browser does: with the cookie and the token of the page it stands on."""
    shown = ask(app, "GET", page)
    token = re.search(r'name="_xsrf" value="([^"]+)"', shown.text)
    cookie = (shown.headers["Set-Cookie"] or "").split(";")[0]
    assert token, f"{page} has no form with a token"
    return ask(app, "POST", path, urlencode({"_xsrf": token[1], **fields}).encode(), {
        "Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie,
        "Origin": app.url, "Sec-Fetch-Site": "same-origin", **headers})
