"""A tiny Mesos framework for tests: one thread, events read when asked for."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import LocalError

EXECUTOR = Path(__file__).with_name("executor.py")
READ_TIMEOUT_S = 90.0
Event = dict[str, Any]


class TinyFramework:
    """A framework subscribed with ``host:port``.

    Left as a context it ends with TEARDOWN, unless it was closed before.
    ``pair`` is principal and secret. Raises LocalError when the master does not answer 200.
    """

    def __init__(
        self, master: str, *, role: str, user: str, pair: tuple[str, str] | None = None,
        framework_id: str | None = None, name: str = "tiny",
    ) -> None:  # fmt: skip
        self._master = master
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self.info: dict[str, Any] = {
            "name": name, "user": user, "roles": [role], "checkpoint": True,
            "failover_timeout": 3600,
            "capabilities": [
                {"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"},
                {"type": "PARTITION_AWARE"},
            ],
        }  # fmt: skip
        if pair:
            encoded = base64.b64encode(":".join(pair).encode()).decode()
            self._headers["Authorization"] = f"Basic {encoded}"
            self.info["principal"] = pair[0]
        self._closed = False
        # The checkout may be readable by us alone; the executor's user fetches from here.
        self._shared = tempfile.TemporaryDirectory(prefix="esaas-tiny-")
        self._executor = Path(shutil.copy(EXECUTOR, self._shared.name))
        self._executor.chmod(0o644)
        Path(self._shared.name).chmod(0o755)
        self._link = http.client.HTTPConnection(master, timeout=READ_TIMEOUT_S)
        self._stream = self._subscribe(framework_id)
        self.framework_id = ""

    def _subscribe(self, framework_id: str | None) -> http.client.HTTPResponse:
        call: Event = {"type": "SUBSCRIBE", "subscribe": {"framework_info": self.info}}
        if framework_id:
            self.info["id"] = {"value": framework_id}
            call["framework_id"] = {"value": framework_id}
        self._link.request("POST", "/api/v1/scheduler", json.dumps(call), self._headers)
        stream = self._link.getresponse()
        if stream.status != 200:
            text = stream.read().decode(errors="replace")
            raise LocalError(f"the master answered {stream.status}: {text}")
        self._headers["Mesos-Stream-Id"] = stream.headers["Mesos-Stream-Id"] or ""
        return stream

    def events(self) -> Iterator[Event]:
        """Events as they come; task updates are acknowledged. Raises TimeoutError."""
        while line := self._stream.readline():
            event: Event = json.loads(self._stream.read(int(line)))
            if event["type"] == "SUBSCRIBED":
                self.framework_id = event["subscribed"]["framework_id"]["value"]
            if event["type"] == "UPDATE":
                self._acknowledge(event["update"]["status"])
            yield event

    def wait(self, kind: str, condition: Callable[[Event], bool] = lambda _: True) -> Any:
        """The first event of a kind that meets a condition; its body. Raises LocalError."""
        for event in self.events():
            if event["type"] == kind and condition(event):
                return event.get(kind.lower(), event)
            if event["type"] == "ERROR":
                raise LocalError(event["error"]["message"])
        raise LocalError(f"the master closed the stream before {kind}")

    def call(self, kind: str, **body: Any) -> None:
        """One call on a connection of its own. Raises LocalError unless it is accepted."""
        link = http.client.HTTPConnection(self._master, timeout=READ_TIMEOUT_S)
        data = {"framework_id": {"value": self.framework_id}, "type": kind, **body}
        link.request("POST", "/api/v1/scheduler", json.dumps(data), self._headers)
        answer = link.getresponse()
        text = answer.read().decode(errors="replace")
        link.close()
        if answer.status != 202:
            raise LocalError(f"{kind}: the master answered {answer.status}: {text}")

    def offer(self, hostname: str | None = None) -> dict[str, Any]:
        """The next offer, of one host if given."""

        def fits(offer: dict[str, Any]) -> bool:
            return hostname is None or bool(offer["hostname"] == hostname)

        body = self.wait("OFFERS", lambda e: any(map(fits, e["offers"]["offers"])))
        return next(offer for offer in body["offers"] if fits(offer))

    def launch(
        self, offer: dict[str, Any], uris: tuple[dict[str, Any], ...] = (),
        resources: list[dict[str, Any]] | None = None,
    ) -> str:  # fmt: skip
        """Launch a task with the tiny executor, brought by the agent's fetcher; its id."""
        task_id = str(uuid.uuid4())
        role = self.info["roles"][0]
        each = resources or [scalar("cpus", 0.1, role), scalar("mem", 32, role)]
        script = {"value": self._executor.as_uri(), "executable": True, "output_file": "tiny.py"}
        executor = {
            "type": "CUSTOM", "executor_id": {"value": task_id}, "framework_id":
            {"value": self.framework_id}, "resources": [scalar("cpus", 0.1, role)],
            "command": {"value": "exec python3 tiny.py", "uris": [script, *uris]},
        }  # fmt: skip
        task = {
            "name": "tiny", "task_id": {"value": task_id}, "agent_id": offer["agent_id"],
            "resources": each, "executor": executor,
        }  # fmt: skip
        self.accept(offer, {"type": "LAUNCH", "launch": {"task_infos": [task]}})
        return task_id

    def accept(self, offer: dict[str, Any], *operations: dict[str, Any]) -> None:
        """Accept an offer with operations; what is left over is offered again at once."""
        body = {"offer_ids": [offer["id"]], "operations": operations}
        self.call("ACCEPT", accept=body | {"filters": {"refuse_seconds": 0}})

    def running(self, task_id: str) -> dict[str, Any]:
        """What the executor of a task found, once the task runs. Raises LocalError."""
        ended = ("TASK_FAILED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED", "TASK_GONE")

        def ours(event: Event) -> bool:
            status = event["update"]["status"]
            mine = bool(status["task_id"]["value"] == task_id)
            if mine and status["state"] in ended:
                raise LocalError(f"{status['state']}: {status.get('message')}")
            return mine and bool(status["state"] == "TASK_RUNNING")

        body = self.wait("UPDATE", ours)
        found: dict[str, Any] = json.loads(base64.b64decode(body["status"]["data"]))
        return found

    def _acknowledge(self, status: dict[str, Any]) -> None:
        if "uuid" in status:
            wanted = {name: status[name] for name in ("agent_id", "task_id", "uuid")}
            self.call("ACKNOWLEDGE", acknowledge=wanted)

    def close(self) -> None:
        """Hang up, as a scheduler that dies: its tasks live on."""
        self._closed = True
        self._stream.close()
        self._link.close()
        self._shared.cleanup()

    def __enter__(self) -> TinyFramework:
        self.wait("SUBSCRIBED")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if not self._closed:
            if error is None:
                self.call("TEARDOWN")
            self.close()


def scalar(name: str, value: float, role: str) -> dict[str, Any]:
    """An amount of an unreserved resource, as it was allocated to a role."""
    return {
        "name": name, "type": "SCALAR", "scalar": {"value": value},
        "allocation_info": {"role": role},
    }  # fmt: skip
