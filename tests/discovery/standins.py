"""Stand-ins for a load balancer's tests: nodes, the service's endpoints, and clients in a hurry."""
from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PATIENCE_S = 30.0
QUIET_S = 0.3                       # what was on its way has come, whatever the machine is at


def until(what: str, found: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Poll until something true is found."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        last = found()
        if last:
            return last
        time.sleep(0.02)
    raise AssertionError(f"waited {patience_s:.0f} s for {what}")


class StandInNode:
    """Answers every request with its name, as a node of Elasticsearch answers ``GET /``."""

    def __init__(self, name: str, port: int = 0) -> None:
        self.name, self.busy, self.lock = name, 0, threading.Lock()
        self.asked_at = 0.0
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with node.lock:
                    node.busy += 1
                    node.asked_at = time.monotonic()
                try:
                    self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    body = node.name.encode()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                finally:
                    with node.lock:
                        node.busy -= 1

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads, allow_reuse_address, request_queue_size = True, True, 128
            lines: set[Any] = set()

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A line that the other side has closed is no failure."""

            def process_request(self, request: Any, client_address: Any) -> None:
                self.lines.add(request)
                super().process_request(request, client_address)

        self._server = Server(("127.0.0.1", port), Handler)
        self._server.lines = set()
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Once no request has come for a while, as a node is drained before it is stopped."""
        until(f"{self.name} to get no more requests",
              lambda: not self.busy and time.monotonic() - self.asked_at > QUIET_S)
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()
        for line in self._server.lines:
            line.close()


class StandInEndpoints:
    """``GET /v1/endpoints`` with a long poll, as the service answers it."""

    def __init__(self) -> None:
        self.clusters: list[dict[str, Any]] = []
        self.complete, self.version, self.asked = True, 0, 0
        self.refuses: int | None = None
        self._changed = threading.Condition()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                status, body = service.answer(query.get("since", [""])[0],
                                              float(query.get("wait_s", ["0"])[0]))
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, since: str, wait_s: float) -> tuple[int, Any]:
        """Status and body, as soon as there is another version."""
        with self._changed:
            self.asked += 1
            if self.refuses:
                return self.refuses, {"error": {"code": "x", "message": "refused", "faults": [],
                                                "request_id": "1"}}
            self._changed.wait_for(lambda: str(self.version) != since, wait_s)
            return 200, {"version": str(self.version), "complete": self.complete,
                         "clusters": self.clusters}

    def tell(self, *clusters: dict[str, Any], complete: bool = True) -> None:
        """Something has changed."""
        with self._changed:
            self.clusters, self.complete = list(clusters), complete
            self.version += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def cluster(name: str, port: int, *nodes: StandInNode | tuple[str, str], secured: bool = False,
            **ports: int) -> dict[str, Any]:
    """What the service says of a cluster."""
    told = [(node.name, f"127.0.0.1:{node.port}") if isinstance(node, StandInNode) else node
            for node in nodes]
    return {"cluster": name, "tenant": "t", "version": "v", "secured": secured,
            "virtual_ports": {"http": port} | ports,
            "nodes": [{"name": one, "address": address, "roles": ["data"]}
                      for one, address in told]}


class Clients:
    """Clients that ask without a pause; half of them keep their connection."""

    def __init__(self, port: int, count: int = 20) -> None:
        self.port, self.answers, self.failures = port, 0, list[str]()
        self.by_node: dict[str, int] = {}
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(number,))
                         for number in range(count)]

    def _ask(self, number: int) -> None:
        keeps = number % 2 == 0
        method, body = (("GET", None), ("POST", b"x" * 50))[number // 2 % 2]
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        while not self._ended.is_set():
            try:
                line.request(method, "/things", body)
                answer = line.getresponse()
                said, status = answer.read().decode(), answer.status
                ends = answer.will_close
                wrong = "" if status == 200 else f"{method} {status} {said[:80]}"
            except (OSError, http.client.HTTPException) as error:
                wrong, said, ends = f"{method} {error!r} keeps={keeps}", "", True
            with self._lock:
                self.answers += 1
                self.by_node[said] = self.by_node.get(said, 0) + 1
                if wrong:
                    self.failures.append(wrong)
            if ends or not keeps:
                line.close()
            self._ended.wait(0.005)
        line.close()

    @contextmanager
    def asking(self) -> Iterator[Clients]:
        """All of them ask, until the end."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join(PATIENCE_S)
