"""pymesos' executor driver, made to lose nothing and to survive what agents do.

What it changes, and why (pymesos 0.3.15, ``pymesos/executor.py`` and ``process.py``):

- updates go through the outbox; pymesos' ``sendStatusUpdate`` raises while disconnected and its
  ``updates`` are never filled, so that SUBSCRIBE carried none;
- no callback raises and nothing asserts: an exception ends pymesos' IO thread for good;
- each call has its own headers and connection: the default ``headers={}`` is one dict for all;
- reconnects come within ``backoff_max_s``; pymesos waits up to 15 s, as long as an agent does;
- no ``_delay_kill``: it kills the process group after the grace period of the environment, 0 s
  when unset; we stop the node and exit ourselves;
- a path for agents other than ``slave(1)``, and the executor's bearer token.
"""
from __future__ import annotations

import base64
import http.client
import json
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from pymesos import Executor, MesosExecutorDriver

from . import log
from .outbox import Outbox
from .settings import Settings

_CALL_TIMEOUT_S = 5.0
_SHORT_CONNECTION_S = 1.0
# Between attempts to send over a connection that seems alive: an agent that has just restarted
# takes subscriptions, but answers 503 to all calls until its recovery is over.
_RETRY_MIN_S, _RETRY_MAX_S = 0.5, 5.0


class CallError(Exception):
    """A call did not reach the agent, or the agent refused it."""


class Callbacks(Executor):  # type: ignore[misc]  # pymesos has no types
    """What the driver reports: each callback may come on the IO thread and must only enqueue."""

    def subscribed(self, framework_info: dict[str, Any], agent_info: dict[str, Any]) -> None:
        """(Re)subscribed with the agent."""

    def connection_lost(self) -> None:
        """The connection ended or could not be made."""

    def launch(self, task: dict[str, Any]) -> None:
        """A ``TaskInfo`` to launch."""

    def kill(self, task_id: str, grace_s: float | None) -> None:
        """Kill a task, with the kill policy's grace period if the scheduler gave one."""

    def message(self, data: str) -> None:
        """A framework message, base64."""

    def acknowledged(self) -> None:
        """An update was acknowledged."""

    def shut_down(self) -> None:
        """The agent asks the executor to end its tasks and exit."""


def grace_of(kill_policy: dict[str, Any] | None) -> float | None:
    """Seconds of a ``KillPolicy`` (JSON); None when it names none."""
    period = (kill_policy or {}).get("grace_period") or {}
    return int(period["nanoseconds"]) / 1e9 if "nanoseconds" in period else None


class NodeDriver(MesosExecutorDriver):  # type: ignore[misc]  # pymesos has no types
    """The connection to the agent; its public methods never raise."""

    def __init__(self, callbacks: Callbacks, settings: Settings, outbox: Outbox) -> None:
        super().__init__(callbacks)
        self._callbacks = callbacks
        self._settings = settings
        self._outbox = outbox
        self.tasks: dict[str, dict[str, Any]] = {}  # launched, no update acknowledged yet
        self._opened_at = 0.0
        self._retry_at = 0.0
        self._failures = 0               # calls that failed since one went through
        self._closing = threading.Event()
        self._subscribed = threading.Event()

    @property
    def subscribed(self) -> bool:
        """Whether calls can reach the agent now, as far as we know."""
        return self._subscribed.is_set()

    def keep_running(self) -> None:
        """Start the IO thread again if it ended (pymesos ends it at an unexpected answer)."""
        if self.aborted and not self._closing.is_set():
            log.event("Connecting to the agent", endpoint=self._settings.agent_endpoint)
            self.start()

    def close(self) -> None:
        """Disconnect for good."""
        self._closing.set()
        self.stop()

    # -- calls ------------------------------------------------------------------------------

    def sendStatusUpdate(self, status: dict[str, Any]) -> None:
        """Put an update into the outbox and send what can be sent.

        ``status``: a ``TaskStatus`` as JSON; uuid, timestamp and source are added.
        """
        status.setdefault("timestamp", time.time())
        status.setdefault("uuid", base64.b64encode(uuid.uuid4().bytes).decode("ascii"))
        status.setdefault("source", "SOURCE_EXECUTOR")
        self._outbox.add(status)
        self.flush()

    def flush(self) -> None:
        """Send the updates that have not gone over the present connection, oldest first."""
        for status in self._outbox.unsent():
            if not self._call("UPDATE", update={"status": status}):
                return
            self._outbox.mark_sent(status)

    def sendFrameworkMessage(self, data: str) -> bool:
        """Send a message (base64) to the scheduler; False when it did not reach the agent."""
        return self._call("MESSAGE", message={"data": data})

    def _call(self, kind: str, **content: dict[str, Any]) -> bool:
        """Whether a call reached the agent; after failures it is not tried for a while."""
        if not self.subscribed or time.monotonic() < self._retry_at:
            return False
        try:
            self._send({**self._ids(), "type": kind, **content})
        except CallError as error:
            if self._failures == 0:
                log.event("Call failed, will be tried again", level=logging.WARNING, kind=kind,
                          error=error)
            delay_s = min(_RETRY_MAX_S, _RETRY_MIN_S * 2.0 ** min(self._failures, 10))
            self._failures += 1
            self._retry_at = time.monotonic() + delay_s
            return False
        if self._failures:
            log.event("Calls reach the agent again", kind=kind, failed=self._failures)
        self._failures, self._retry_at = 0, 0.0
        return True

    def _ids(self) -> dict[str, Any]:
        return {"executor_id": self.executor_id, "framework_id": self.framework_id}

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._settings.token:
            headers["Authorization"] = f"Bearer {self._settings.token}"
        return headers

    def _send(self, body: dict[str, Any], path: str = "", method: str = "POST",
              headers: dict[str, str] | None = None) -> dict[str, Any]:
        # A connection for each call: there are few, and a kept one may have been closed.
        host, _, port = self._settings.agent_endpoint.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=_CALL_TIMEOUT_S)
        try:
            connection.request(method, path or self._settings.api_path,
                               body=json.dumps(body).encode("utf-8"),
                               headers={**self._headers(), **(headers or {})})
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise CallError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise CallError(f"HTTP status {response.status}: "
                            f"{text[:500].decode('utf-8', 'replace')}")
        return {}

    # -- the subscription -------------------------------------------------------------------

    def gen_request(self) -> bytes:
        """The SUBSCRIBE request, with all that Mesos has not acknowledged."""
        body = json.dumps({
            **self._ids(), "type": "SUBSCRIBE",
            "subscribe": {"unacknowledged_tasks": list(self.tasks.values()),
                          "unacknowledged_updates": self._outbox.for_subscribe()},
        }).encode("utf-8")
        self._opened_at = time.monotonic()
        head = [f"POST {self._settings.api_path} HTTP/1.1",
                f"Host: {self._settings.agent_endpoint}", "Connection: close",
                f"Content-Length: {len(body)}",
                *(f"{name}: {value}" for name, value in self._headers().items())]
        return "\r\n".join([*head, "", ""]).encode("latin-1") + body

    def _backoff(self, num_conn_retry: int) -> float:
        ceiling_s: float = min(self._settings.backoff_max_s, 0.25 * 2.0 ** min(num_conn_retry, 10))
        return ceiling_s * random.uniform(0.5, 1.0)

    def on_close(self) -> None:
        """The connection ended; called by pymesos on the IO thread."""
        self._subscribed.clear()
        self._outbox.connection_lost()
        self._callbacks.connection_lost()
        # An agent that recovers answers 503 at once, and pymesos would ask again at once.
        if time.monotonic() - self._opened_at < _SHORT_CONNECTION_S:
            self._closing.wait(self._backoff(0))

    # -- events -----------------------------------------------------------------------------

    def on_event(self, event: dict[str, Any]) -> None:
        """Hand an event on; a fault in one must not end the connection."""
        try:
            self._take(event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.event("Event not understood", level=logging.ERROR, exc_info=True,
                      kind=event.get("type"), error=error)

    def _take(self, event: dict[str, Any]) -> None:
        kind = str(event.get("type", "")).lower()
        handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "subscribed": self.on_subscribed, "launch": self.on_launch, "kill": self.on_kill,
            "acknowledged": self.on_acknowledged, "message": self.on_message,
            "error": self.on_error,
        }
        if kind == "shutdown":
            self.on_shutdown()
        elif kind in handlers:
            handlers[kind](event[kind])
        elif kind != "heartbeat":
            log.event("Event ignored", kind=kind)

    def on_subscribed(self, info: dict[str, Any]) -> None:
        """SUBSCRIBED: calls can be sent."""
        if info["executor_info"]["executor_id"] != self.executor_id:
            log.event("Subscribed as another executor", level=logging.ERROR,
                      executor_id=info["executor_info"]["executor_id"])
        self._subscribed.set()
        self._callbacks.subscribed(info["framework_info"], info["agent_info"])

    def on_launch(self, event: dict[str, Any]) -> None:
        """LAUNCH; the same task twice counts once."""
        task = event["task"]
        task_id = task["task_id"]["value"]
        if task_id in self.tasks:
            log.event("Task launched twice, ignored", task_id=task_id)
            return
        with self._lock:
            self.tasks = {**self.tasks, task_id: task}
        self._callbacks.launch(task)

    def on_kill(self, event: dict[str, Any]) -> None:
        """KILL, with its kill policy, which pymesos drops."""
        self._callbacks.kill(event["task_id"]["value"], grace_of(event.get("kill_policy")))

    def on_acknowledged(self, event: dict[str, Any]) -> None:
        """ACKNOWLEDGED: the agent has the update on its disk."""
        if not self._outbox.acknowledge(event["uuid"]):
            log.event("Acknowledgement of an unknown update")
        with self._lock:
            self.tasks = {task_id: task for task_id, task in self.tasks.items()
                          if task_id != event["task_id"]["value"]}
        self._callbacks.acknowledged()

    def on_message(self, event: dict[str, Any]) -> None:
        """MESSAGE of the scheduler."""
        self._callbacks.message(event["data"])

    def on_error(self, event: dict[str, Any]) -> None:
        """ERROR: only told; the agent decides what becomes of us."""
        log.event("Agent reports an error", level=logging.ERROR, message=event.get("message"))

    def on_shutdown(self) -> None:
        """SHUTDOWN: stop within the grace period; we end ourselves, so no ``_delay_kill``."""
        self._callbacks.shut_down()
