"""Following a branch: again and again what stands there is compared with what runs, and applied.

What differs is told to the service, which shows it. A git server may knock (a signed webhook), so
that nobody has to wait for the next look.
"""
from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog

from ..client import Client, ClientError
from ..core.errors import EsaasError
from .applying import Planned, about, carry_out, plan
from .git import Commit, Repository
from .layout import specs_of

log = structlog.get_logger(__name__)

MAX_HOOK_BYTES = 5_000_000
HOOK_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Followed:
    """What is followed, and whether differences are applied."""

    name: str
    repository: Repository
    environment: str
    apply: bool
    every_s: float


def look(client: Client, what: Followed) -> bool:
    """One look: compared, told, applied when that is wanted; whether all is as on the branch.

    Whatever goes wrong is told to the service and to the log, and tried again at the next look.
    """
    commit, planned, problem = None, None, ""
    try:
        commit = what.repository.commit()
        specs = specs_of(what.repository.files(commit), what.environment)
        planned = plan(client, specs, (), about(commit, what.environment, ()))
        problem = "; ".join(planned.refused)
        if what.apply and planned.changes and not planned.refused:
            problem = "; ".join(_applied(client, commit, planned))
            planned = plan(client, specs)
    except (EsaasError, ClientError) as error:
        problem = str(error)
        log.warning("branch cannot be followed", repository=what.repository.address, why=problem)
    try:
        client.put(f"/v1/followers/{what.name}", _seen(what, commit, planned, problem))
    except ClientError as error:
        log.warning("service was not told what was seen", why=str(error))
        return False
    return planned is not None and not planned.changes and not problem


def _applied(client: Client, commit: Commit, planned: Planned) -> list[str]:
    """Release it; what was refused."""
    log.info("branch is released", commit=commit.sha, subject=commit.subject,
             drift={name: list(lines) for name, lines in planned.drift().items()})
    refused = []
    for came in carry_out(client, planned):
        log.info("cluster released", cluster=came.step.cluster, outcome=came.outcome,
                 message=came.message)
        if came.outcome in ("refused", "skipped"):
            refused.append(f"{came.step.cluster}: {came.message}")
    return refused


def _seen(what: Followed, commit: Commit | None, planned: Planned | None,
          problem: str) -> dict[str, object]:
    return {
        "repository": commit.repository if commit else "", "ref": what.repository.ref,
        "environment": what.environment, "mode": "apply" if what.apply else "report",
        "commit": commit.sha if commit else "", "every_s": what.every_s,
        "tenants": sorted({step.tenant for step in planned.steps}) if planned else [],
        "drift": {name: list(lines) for name, lines in planned.drift().items()} if planned else {},
        "problem": problem[:5000]}


def follow(client: Client, what: Followed, stop: threading.Event, knock: threading.Event) -> None:
    """Look until ``stop``; at once when somebody knocks."""
    while not stop.is_set():
        knock.clear()
        look(client, what)
        knock.wait(what.every_s)            # whoever stops us knocks, too


def is_signed(secret: bytes, body: bytes, headers: Callable[[str], str | None]) -> bool:
    """Whether a call proves that it knows the secret.

    ``X-Hub-Signature-256: sha256=HMAC`` as GitHub and Gitea send it, or GitLab's
    ``X-Gitlab-Token``.
    """
    wanted = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    signature, token = headers("X-Hub-Signature-256") or "", headers("X-Gitlab-Token") or ""
    return hmac.compare_digest(signature.encode(), wanted.encode()) or (
        bool(token) and hmac.compare_digest(token.encode(), secret))


class Hook:
    """Listens for git servers that tell of a push; every signed call is a knock."""

    def __init__(self, address: tuple[str, int], secret: bytes, knock: threading.Event) -> None:
        class Handler(BaseHTTPRequestHandler):
            """Nothing but POST is answered."""

            timeout = HOOK_TIMEOUT_S

            def do_POST(self) -> None:
                """204 when it was signed; 403 otherwise, 413 when it is too long."""
                length = self.headers.get("Content-Length", "")
                if not length.isdecimal() or int(length) > MAX_HOOK_BYTES:
                    self.send_error(413)
                    return
                body = self.rfile.read(int(length))
                if not is_signed(secret, body, self.headers.get):
                    self.send_error(403)
                    return
                knock.set()
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                log.info("webhook", remote=self.client_address[0], said=format % args)

        self._server = ThreadingHTTPServer(address, Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="hook",
                                        daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Hook:
        self._thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._server.shutdown()
        self._server.server_close()
