#!/usr/bin/env python3
"""A tiny Mesos executor in one file, standard library only; a stand-in for real ones in tests.

Runs a task by doing nothing: reports TASK_RUNNING and waits. KILL gives TASK_KILLED, SHUTDOWN
and SIGTERM end it. It reconnects when its agent comes back, and sends again what the agent did
not acknowledge. The data of TASK_RUNNING tells what it found: pid, uid, working directory, files,
environment (JSON).
"""

import base64
import http.client
import json
import os
import time
import uuid
from typing import Any

RETRY_S = 0.5


def report() -> str:
    """What this process found, for the scheduler."""
    found = {
        "pid": os.getpid(),
        "uid": os.getuid(),
        "files": {name: os.stat(name).st_uid for name in os.listdir(".")},
        "environment": dict(os.environ),
    }
    return base64.b64encode(json.dumps(found).encode()).decode()


class TinyExecutor:
    """One connection to the agent at a time, one thread."""

    def __init__(self) -> None:
        env = os.environ
        self.identity = {
            "framework_id": {"value": env["MESOS_FRAMEWORK_ID"]},
            "executor_id": {"value": env["MESOS_EXECUTOR_ID"]},
        }
        # Several agents may share a port: the process name before the @ tells which.
        name, _, self.endpoint = env["MESOS_SLAVE_PID"].partition("@")
        self.path = f"/{name}/api/v1/executor"
        self.tasks: dict[str, Any] = {}
        self.updates: dict[str, Any] = {}

    def call(self, kind: str, **body: object) -> http.client.HTTPResponse:
        """POST one call; its response, unread."""
        link = http.client.HTTPConnection(self.endpoint)
        data = json.dumps({**self.identity, "type": kind, **body})
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        link.request("POST", self.path, data, headers)
        return link.getresponse()

    def update(self, task_id: dict[str, Any], state: str, data: str = "") -> None:
        """Report a status, kept until it is acknowledged."""
        number = base64.b64encode(uuid.uuid4().bytes).decode()
        status = {
            "task_id": task_id, "state": state, "uuid": number, "source": "SOURCE_EXECUTOR",
            "executor_id": self.identity["executor_id"], "data": data,
        }  # fmt: skip
        self.updates[number] = {"status": status}
        self.call("UPDATE", update={"status": status}).read()

    def subscribe(self) -> http.client.HTTPResponse:
        """Connect, telling the agent what it may have missed."""
        known = {
            "unacknowledged_tasks": list(self.tasks.values()),
            "unacknowledged_updates": list(self.updates.values()),
        }
        return self.call("SUBSCRIBE", subscribe=known)

    def handle(self, event: dict[str, Any]) -> None:
        """Do what one event says."""
        kind = event["type"]
        if kind == "LAUNCH":
            task = event["launch"]["task"]
            self.tasks[task["task_id"]["value"]] = task
            self.update(task["task_id"], "TASK_RUNNING", report())
        elif kind == "ACKNOWLEDGED":
            self.updates.pop(event["acknowledged"]["uuid"], None)
            self.tasks.pop(event["acknowledged"]["task_id"]["value"], None)
        elif kind == "KILL":
            self.update(event["kill"]["task_id"], "TASK_KILLED")
        elif kind == "SHUTDOWN":
            raise SystemExit(0)

    def run(self) -> None:
        """Until SHUTDOWN or a signal."""
        while True:
            try:
                stream = self.subscribe()
                while stream.status == 200 and (line := stream.readline()):
                    self.handle(json.loads(stream.read(int(line))))
            except (OSError, http.client.HTTPException, ValueError):
                pass  # the agent went away; it comes back, or kills us in the end
            time.sleep(RETRY_S)


if __name__ == "__main__":
    TinyExecutor().run()
