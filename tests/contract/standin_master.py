"""StandInMaster: speaks the master's side of the v1 scheduler API on the loopback interface."""
from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

WAIT_S = 20.0


@dataclass
class Received:
    """One request, as it came."""

    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.body["type"])


@dataclass
class _Stream:
    id: str
    framework: str
    pieces: queue.SimpleQueue[bytes | None] = field(default_factory=queue.SimpleQueue)


class StandInMaster:
    """Takes SUBSCRIBE and other calls, sends events; keeps all it was sent.

    ``answers`` are given to the next subscriptions instead of a stream: (status, Location).
    ``call_status`` is given to other calls. A context manager: nothing of it is left after.
    """

    def __init__(self, heartbeat_s: float = 15.0) -> None:
        self.heartbeat_s = heartbeat_s
        self.answers: list[tuple[int, str]] = []
        self.call_status = 202
        self.subscriptions: list[Received] = []
        self.calls: list[Received] = []
        self.versions_asked = 0
        self._changed = threading.Condition()
        self._streams: list[_Stream] = []
        self._numbers = count(1)
        master = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                received = Received({key.lower(): value for key, value in self.headers.items()},
                                    body)
                if body["type"] == "SUBSCRIBE":
                    master._subscribe(self, received)
                else:
                    with master._changed:
                        master.calls.append(received)
                        master._changed.notify_all()
                        status = master.call_status
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,),
                                        name="stand-in-master")
        self._thread.start()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> StandInMaster:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()         # waits for every handler

    # ------------------------------------------------------------------ subscribed

    def _subscribe(self, handler: BaseHTTPRequestHandler, received: Received) -> None:
        with self._changed:
            self.subscriptions.append(received)
            answer = self.answers.pop(0) if self.answers else None
            number = next(self._numbers)
            info = received.body["subscribe"]["framework_info"]
            framework = info.get("id", {}).get("value") or f"framework-{number}"
            stream = _Stream(f"stream-{number}", framework)
            if answer is None:
                self._streams.append(stream)
            self._changed.notify_all()
        handler.close_connection = True
        if answer is not None:
            handler.send_response(answer[0])
            if answer[1]:
                handler.send_header("Location", answer[1])
            body = b"not so"
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
            return
        handler.send_response(200)
        handler.send_header("Mesos-Stream-Id", stream.id)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        self._put(stream, {"type": "SUBSCRIBED", "subscribed": {
            "framework_id": {"value": framework},
            "heartbeat_interval_seconds": self.heartbeat_s}})
        try:
            while (piece := stream.pieces.get()) is not None:
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            handler.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass                            # the scheduler has gone away

    @staticmethod
    def _put(stream: _Stream, event: Mapping[str, Any]) -> None:
        data = json.dumps(event).encode()
        stream.pieces.put(b"%d\n%s" % (len(data), data))

    def push(self, event: Mapping[str, Any], framework: str | None = None) -> None:
        """Send an event to one framework, or to all."""
        with self._changed:
            for stream in self._streams:
                if framework in (None, stream.framework):
                    self._put(stream, event)

    def push_bytes(self, data: bytes) -> None:
        """Send bytes that may be no event."""
        with self._changed:
            for stream in self._streams:
                stream.pieces.put(data)

    def drop(self) -> None:
        """End every stream."""
        with self._changed:
            for stream in self._streams:
                stream.pieces.put(None)
            self._streams.clear()

    # --------------------------------------------------------------------- waiting

    def wait(self, until: Callable[[], bool]) -> None:
        """Until something holds that depends on what was received."""
        with self._changed:
            assert self._changed.wait_for(until, WAIT_S), "the scheduler did not do it"

    def of_kind(self, kind: str) -> list[Received]:
        """Calls of a kind."""
        return [call for call in self.calls if call.kind == kind]
