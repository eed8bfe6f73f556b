"""pymesos' scheduler driver with an edge that a service can live with.

What differs from pymesos 0.3.15, and why (docs/adr/0005-edge-to-mesos.md):

- events are read in linear time and decoded by orjson;
- no error ends the process or tears the framework down: the stream is opened again with backoff,
  and a refusal is reported, not raised on the main thread;
- a watchdog: a stream without a heartbeat for some intervals is closed and opened again;
- every call has its own headers: pymesos shares one dict between all drivers of a process, so with
  several frameworks one's calls could carry another's stream id;
- a call while disconnected raises ``NotConnected`` instead of vanishing.
"""
from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any, Protocol
from urllib.parse import urlparse

import orjson
import structlog
from pymesos import MesosSchedulerDriver

from ..core.errors import EsaasError
from .recordio import FramingError, RecordReader

log = structlog.get_logger(__name__)

READ_BYTES = 1 << 20
CONNECT_TIMEOUT_S = 10.0
HEARTBEAT_S = 15.0                  # Mesos' default until the master says its own
MISSED_HEARTBEATS = 5
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.5, 15.0


class NotConnected(EsaasError):
    """There is no subscribed connection to a master: the call was not sent."""


class Refused(EsaasError):
    """The master answered a subscription with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message.strip() or 'no reason given'}")
        self.status = status


class _Redirected(Exception):
    """Another master leads."""


class Sink(Protocol):
    """Where events go; called on the driver's thread, must not raise."""

    def event(self, kind: str, body: Mapping[str, Any]) -> None:
        """One event of the scheduler API, decoded."""

    def disconnected(self, why: str) -> None:
        """The stream has ended."""

    def refused(self, message: str) -> None:
        """The master will not have this framework as it is."""


class EdgeDriver(MesosSchedulerDriver):  # type: ignore[misc]  # pymesos has no types
    """One framework's connection to the leading master.

    ``framework`` is a FrameworkInfo as a dict; its ``id`` makes it a re-registration. The
    framework is never torn down but by ``teardown``. ``allowed`` is asked before each subscription.
    """

    # Attributes of pymesos, which has no types.
    stream_id: str | None
    _wakeup_fds: tuple[int, int] | None

    def __init__(self, sink: Sink, framework: dict[str, Any], master: str,
                 principal: str | None = None, secret: str | None = None,
                 allowed: Callable[[], bool] = lambda: True) -> None:
        super().__init__(None, framework, master, use_addict=False,
                         implicit_acknowledgements=False, principal=principal, secret=secret,
                         failover=True)
        self._sink = sink
        self._allowed = allowed
        self._wake = threading.Condition()
        self._known: str | None = None          # by settings, or by the detector's last word
        self._target: str | None = None         # where a redirect may have sent us on to
        self._socket: socket.socket | None = None
        self._stopping = False
        self._subscribed = False
        self._heartbeat_s = HEARTBEAT_S

    # ------------------------------------------------ what pymesos' own loop did

    def change_master(self, master: str | None) -> None:
        """Called by the detector, or once with the configured address: follow that master."""
        with self._wake:
            self._known = master
        self._turn_to(master)

    def _turn_to(self, master: str | None) -> None:
        with self._wake:
            changed, self._target = master != self._target, master
            self._wake.notify_all()
        if changed:
            self._interrupt()

    def stop(self, failover: bool = True) -> None:
        """Close the stream; the framework and its tasks stay whatever is asked for."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._interrupt()
        super().stop(failover=True)

    def reconnect(self) -> None:
        """Open the stream again: the master then takes back every offer it has made."""
        self._interrupt()

    def _close(self) -> None:
        """Under the lock of the calls: closed below a call, a connection fails in odd ways."""
        with self._lock:
            super()._close()

    def _interrupt(self) -> None:
        found = self._socket
        if found is not None:
            try:
                found.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("stream was closed already")

    def _run(self) -> None:
        """The thread's life: subscribe, read until it ends, again."""
        try:
            self._follow()
        finally:
            with self._lock:
                for descriptor in self._wakeup_fds or ():
                    os.close(descriptor)
                self._wakeup_fds = None

    def _follow(self) -> None:
        failures = 0
        while (master := self._await_master()) is not None:
            self._master = master
            self._subscribed = False
            # To subscribe would take the framework from the process that owns it now.
            why = self._stream_once(master) if self._allowed() else "the lease is not held"
            self.stream_id = None
            self._close()
            if self._subscribed:
                failures = 0
            if self._stopping:
                return
            self._sink.disconnected(why)
            failures += 1
            self._pause(failures)

    def _stream_once(self, master: str) -> str:
        """Subscribe and read; the reason why it ended."""
        try:
            self._stream(master)
        except _Redirected:
            return "another master leads"
        except Refused as error:
            log.error("master refuses the framework", master=master, error=str(error))
            self._sink.refused(str(error))
            return str(error)
        except TimeoutError:
            return f"no heartbeat from {master} for {self._watchdog_s:.0f} s"
        except (OSError, HTTPException, FramingError, ValueError) as error:
            self._fall_back(master)
            return f"{master}: {error or type(error).__name__}"
        except (AttributeError, KeyError, TypeError) as error:      # valid JSON, but no event
            log.exception("stream cannot be read", master=master)
            return f"{master}: {error!r}"
        return f"{master} ended the stream"

    def _fall_back(self, master: str) -> None:
        """A master that we were sent to and that is away leads no more: ask where we came from.

        A new leader may send us on to the one before it, which is dead, while it does not know
        yet that it leads itself; and a detector says nothing twice.
        """
        with self._wake:
            if not self._subscribed and self._target == master:
                self._target = self._known or master

    def _await_master(self) -> str | None:
        with self._wake:
            while not self._stopping and self._target is None:
                self._wake.wait()
            return None if self._stopping else self._target

    def _pause(self, failures: int) -> None:
        longest = min(BACKOFF_FIRST_S * 2 ** (failures - 1), BACKOFF_MAX_S)
        until = time.monotonic() + random.uniform(longest / 2, longest)
        with self._wake:
            before = self._target
            while not self._stopping and self._target == before:
                left = until - time.monotonic()
                if left <= 0 or not self._wake.wait(left):
                    return

    @property
    def _watchdog_s(self) -> float:
        return self._heartbeat_s * MISSED_HEARTBEATS

    def _stream(self, master: str) -> None:
        host, _, port = master.rpartition(":")
        with socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S) as connection:
            self._socket = connection
            try:
                connection.settimeout(self._watchdog_s)
                connection.sendall(self.gen_request())
                with HTTPResponse(connection, method="POST") as response:
                    response.begin()
                    self._check(response)
                    self._read(connection, response)
            finally:
                self._socket = None

    def _check(self, response: HTTPResponse) -> None:
        if response.status == 307:
            where = response.headers.get("Location", "")
            self._turn_to(urlparse(where).netloc or where.strip("/"))
            raise _Redirected
        if response.status == 503:
            raise OSError("the master is not ready (HTTP 503)")
        if response.status != 200:
            raise Refused(response.status, response.read(4096).decode("utf-8", "replace"))
        self.stream_id = response.headers.get("Mesos-Stream-Id", "")

    def _read(self, connection: socket.socket, response: HTTPResponse) -> None:
        reader = RecordReader()
        while data := response.read1(READ_BYTES):
            for record in reader.feed(data):
                self.on_event(orjson.loads(record))
            connection.settimeout(self._watchdog_s)

    # ------------------------------------------------------------------- events

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Hand one event on; what belongs to the connection is handled here."""
        kind = str(event.get("type", "")).lower()
        body = event.get(kind) or {}
        if kind == "subscribed":
            self._subscribed = True
            self._heartbeat_s = float(body.get("heartbeat_interval_seconds") or HEARTBEAT_S)
            self.framework_id = body["framework_id"]["value"]
        self._sink.event(kind, body)

    @property
    def framework(self) -> dict[str, Any]:
        """FrameworkInfo as it is sent: without pymesos' GPU_RESOURCES capability."""
        return dict(self._framework)

    # -------------------------------------------------------------------- calls

    @property
    def connected(self) -> bool:
        """Whether calls can be sent."""
        return self._subscribed and self.stream_id is not None

    def _send(self, body: Any, path: str = "/api/v1/scheduler", method: str = "POST",
              headers: dict[str, str] | None = None) -> Any:
        if not self.connected:
            raise NotConnected("not subscribed to a Mesos master")
        try:
            return super()._send(body, path, method, dict(headers or {}))
        except RuntimeError as error:           # pymesos: any status but 2xx
            raise EsaasError(str(error)) from error

    def call(self, kind: str, body: Mapping[str, Any] | None = None) -> None:
        """Send one call of the scheduler API.

        Raises NotConnected when it was not sent, OSError or EsaasError when it may not have
        arrived. That it returns does not mean that it took effect.
        """
        message: dict[str, Any] = {"type": kind,
                                   "framework_id": {"value": self.framework_id}}
        if body is not None:
            message[kind.lower()] = body
        try:
            self._send(message)
        except HTTPException as error:
            raise OSError(f"{kind}: {error!r}") from error

    def teardown(self) -> None:
        """Deregister for good: the master kills every task of this framework."""
        self.call("TEARDOWN")


