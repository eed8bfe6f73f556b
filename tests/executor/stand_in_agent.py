"""StandInAgent: speaks the agent's side of the v1 executor API on the loopback interface."""
from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from esaas.executor import payload
from esaas.framework.proto import esaas_pb2

WAIT_S = 60.0


class StandInAgent:
    """Takes SUBSCRIBE, UPDATE and MESSAGE calls, sends events; keeps all it was sent.

    ``go_away`` and ``come_back`` are an agent that dies and returns on the same port.
    """

    def __init__(self, capabilities: tuple[str, ...] = ("TASK_KILLING_STATE",)) -> None:
        self.capabilities = capabilities
        self.acknowledges = True
        self.recovering = False           # answers 503, as an agent does while it recovers
        self.refuses_calls = False        # 503 to all but SUBSCRIBE, the next stage of recovery
        self.statuses: list[dict[str, Any]] = []      # as received, repetitions too
        self.messages: list[esaas_pb2.FromExecutor] = []
        self.subscriptions: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.refused = 0
        self._changed = threading.Condition()
        self._stream: queue.SimpleQueue[dict[str, Any] | None] | None = None
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.come_back()

    @property
    def endpoint(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._port}"

    def come_back(self) -> None:
        """Listen (again)."""
        agent = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                agent._answer(self, json.loads(self.rfile.read(length)))

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05},
                         daemon=True).start()

    def go_away(self) -> None:
        """Stop listening and end the event stream, as a killed agent does."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        self.drop()

    def drop(self) -> None:
        """End the event stream only."""
        with self._changed:
            if self._stream is not None:
                self._stream.put(None)
                self._stream = None

    def send(self, event: dict[str, Any]) -> None:
        """Send an event; waits for an executor to be subscribed."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._stream is not None, WAIT_S)
            assert self._stream is not None
            self._stream.put(event)

    def launch(self, task: dict[str, Any]) -> None:
        """LAUNCH."""
        self.send({"type": "LAUNCH", "launch": {"task": task}})

    def kill(self, task_id: str, grace_s: float | None = None) -> None:
        """KILL, with a kill policy when a grace period is given."""
        kill: dict[str, Any] = {"task_id": {"value": task_id}}
        if grace_s is not None:
            kill["kill_policy"] = {"grace_period": {"nanoseconds": int(grace_s * 1e9)}}
        self.send({"type": "KILL", "kill": kill})

    def message(self, message: esaas_pb2.ToExecutor) -> None:
        """MESSAGE."""
        self.send({"type": "MESSAGE", "message": {"data": payload.encode(message)}})

    def wait(self, condition: Callable[[], object], timeout_s: float = WAIT_S) -> None:
        """Wait until something received makes ``condition`` true; AssertionError if never."""
        with self._changed:
            assert self._changed.wait_for(lambda: bool(condition()), timeout_s), self.states()

    def states(self) -> list[str]:
        """The states of all updates, without repetitions."""
        return [status["state"] for status in self.updates()]

    def updates(self) -> list[dict[str, Any]]:
        """All updates without repetitions, in order of arrival."""
        return list({status["uuid"]: status for status in reversed(self.statuses)}.values())[::-1]

    def wait_state(self, state: str, timeout_s: float = WAIT_S) -> esaas_pb2.NodeStatus:
        """Wait for an update of this state; the data of the latest one."""
        self.wait(lambda: state in self.states(), timeout_s)
        found = [status for status in self.updates() if status["state"] == state]
        return payload.decode(esaas_pb2.NodeStatus, found[-1]["data"])

    def _answer(self, handler: BaseHTTPRequestHandler, call: dict[str, Any]) -> None:
        with self._changed:
            self.headers.append(dict(handler.headers))
            self.paths.append(handler.path)
            refuses = self.recovering or (self.refuses_calls and call["type"] != "SUBSCRIBE")
            if refuses:
                self.refused += 1
                self._changed.notify_all()
        if refuses:
            handler.send_error(503)
        elif call["type"] == "SUBSCRIBE":
            self._stream_events(handler, call)
        else:
            self._take(call)
            handler.send_response(202)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

    def _take(self, call: dict[str, Any]) -> None:
        with self._changed:
            if call["type"] == "UPDATE":
                self._take_status(call["update"]["status"])
            else:
                self.messages.append(
                    payload.decode(esaas_pb2.FromExecutor, call["message"]["data"]))
            self._changed.notify_all()

    def _take_status(self, status: dict[str, Any]) -> None:
        self.statuses.append(status)
        if self.acknowledges and self._stream is not None:
            self._stream.put({"type": "ACKNOWLEDGED", "acknowledged": {
                "task_id": status["task_id"], "uuid": status["uuid"]}})

    def _stream_events(self, handler: BaseHTTPRequestHandler, call: dict[str, Any]) -> None:
        stream: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        stream.put({"type": "SUBSCRIBED", "subscribed": {
            "executor_info": {"executor_id": call["executor_id"]},
            "framework_info": {"id": call["framework_id"], "name": "test", "user": "",
                               "capabilities": [{"type": c} for c in self.capabilities]},
            "agent_info": {"hostname": "localhost", "id": {"value": "agent"}}}})
        with self._changed:
            self._stream = stream
            self.subscriptions.append(call["subscribe"])
            for update in call["subscribe"]["unacknowledged_updates"]:
                self._take_status(update["status"])
            self._changed.notify_all()
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.close_connection = True
        while (event := stream.get()) is not None:
            record = json.dumps(event).encode()
            record = b"%d\n%s" % (len(record), record)
            try:
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(record), record))
                handler.wfile.flush()
            except OSError:
                return  # the executor has gone
