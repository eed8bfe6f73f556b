"""A real HTTP server that takes notifications, refuses them, or hangs."""
from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Got:
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """Its body, decoded."""
        return json.loads(self.body)


class Hook:
    """Listens on loopback; ``status`` is what it answers, and may change."""

    def __init__(self, status: int = 200, port: int = 0) -> None:
        self.status = status
        self.got: list[Got] = []            # what was answered with 200
        self.seen: list[Got] = []           # whatever came
        self._go = threading.Event()
        self._go.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802 (the library's name)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                one = Got(dict(self.headers.items()), body)
                hook.seen.append(one)
                hook._go.wait(30)
                if hook.status == 200:
                    hook.got.append(one)
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def hold(self) -> None:
        """Take requests and answer none."""
        self._go.clear()

    def go_on(self) -> None:
        """Answer again."""
        self._go.set()

    def alerts(self, status: str | None = None) -> list[tuple[str, str, str]]:
        """(status, rule, subject) of all that was taken, in order."""
        return [(one["status"], one["labels"]["alertname"], one["labels"]["subject"])
                for got in list(self.got) for one in got.value["alerts"]
                if status in (None, one["status"])]

    def close(self) -> None:
        """Nobody listens afterwards."""
        self._go.set()
        self._server.shutdown()
        self._server.server_close()
