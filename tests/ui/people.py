"""People and machines for tests of a service with login."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from asking import Got, ask
from esaas.framework.service.access.people import Role
from esaas.framework.service.access.requests import NewUser
from live_app import ADMIN_TOKEN, LiveApp

PASSWORD = "correct horse battery"
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


def bearer(app: LiveApp, role: str, *tenants: str, name: str = "") -> dict[str, str]:
    """The header of a new machine's token; all tenants when none is named."""
    body = {"name": name or f"{role} of {'-'.join(tenants) or 'all'}", "role": role,
            "tenants": list(tenants) or ["*"]}
    made = ask(app, "POST", "/v1/tokens", body, ADMIN)
    assert made.status == 201, made.text
    return {"Authorization": f"Bearer {made.json['token']}"}


def add_user(app: LiveApp, name: str, role: str, *tenants: str) -> None:
    """Somebody who logs in with ``PASSWORD``."""
    app.run(app.access.add_user(NewUser.model_validate({
        "name": name, "role": Role(role), "tenants": list(tenants) or ["*"],
        "password": PASSWORD})))


@dataclass
class Browser:
    """Keeps cookies and posts forms with the token of the page they stand on."""

    app: LiveApp
    cookies: dict[str, str] = field(default_factory=dict)

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return ({"Cookie": cookie} if cookie else {}) | more

    def _keep(self, got: Got) -> Got:
        for line in got.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                if morsel.value:
                    self.cookies[name] = morsel.value
                else:
                    self.cookies.pop(name, None)
        return got

    def get(self, path: str, **headers: str) -> Got:
        """A page, or an answer of the API."""
        return self._keep(ask(self.app, "GET", path, headers=self._headers(headers)))

    def send(self, method: str, path: str, body: object, **headers: str) -> Got:
        """A request to the API with the cookies; ``_`` in header names stands for a dash."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._keep(ask(self.app, method, path, body, self._headers(more)))

    def post(self, page: str, path: str, fields: dict[str, str]) -> Got:
        """Post a form that stands on a page."""
        shown = self.get(page)
        token = re.search(r'name="_xsrf" value="([^"]+)"', shown.text)
        assert token, f"{page} has no form with a token: {shown.status}"
        body = urlencode({"_xsrf": token[1], **fields}).encode()
        return self._keep(ask(self.app, "POST", path, body, self._headers({
            "Content-Type": "application/x-www-form-urlencoded", "Origin": self.app.url,
            "Sec-Fetch-Site": "same-origin"})))

    def log_in(self, user: str, password: str = PASSWORD, target: str = "/") -> Got:
        """Through the page."""
        return self.post(f"/login?{urlencode({'next': target})}", "/login",
                         {"user": user, "password": password, "next": target})
