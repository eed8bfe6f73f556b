"""Files in sandboxes, and where they are: tasks as the master knows them, files by their agents.

Agents are asked by the v1 operator API, whose bytes come as they are. Source: Mesos documentation,
"Operator HTTP API" (LIST_FILES, READ_FILE), "Sandbox", and "/tasks" of the master. An executor's
sandbox has a path without any id of a container, which stays until the agent removes the sandbox,
also over restarts of the agent and after the end of the executor.
"""
from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from .figures import TIMEOUT_S, AgentAway, Login
from .operator import OperatorApi, OperatorError

MAX_TASKS = 1000                    # a master keeps no more ended tasks of a framework


class NoSuchFile(OperatorError):
    """The agent knows no file or sandbox at that path (any more)."""


class AgentRefuses(OperatorError):
    """An agent wants to know who asks, or does not give this file to him."""


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task of a framework, running or ended."""

    id: str
    agent_id: str
    state: str
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file or directory in a sandbox."""

    name: str
    size: int
    modified_at: float
    is_directory: bool


async def tasks(api: OperatorApi, framework_id: str) -> list[TaskInfo]:
    """Tasks of one framework that the master knows; MasterAway, MasterRefuses."""
    answer = await api.asked("GET", f"/tasks?framework_id={quote(framework_id, safe='')}"
                             f"&limit={MAX_TASKS}", None)
    # Asked for one framework; looked at again, since another one's logs are another tenant's.
    return [_task(one) for one in answer.get("tasks") or ()
            if one.get("framework_id") == framework_id]


def sandbox(framework_id: str, executor_id: str) -> str:
    """The path of an executor's sandbox, the last one when it had several."""
    return f"/frameworks/{framework_id}/executors/{executor_id}/runs/latest"


async def listed(pid: str, path: str, login: Login | None) -> list[FileInfo]:
    """What is in a directory; AgentAway, AgentRefuses, NoSuchFile.

    ``pid`` is the agent's, as ``slave(1)@host:port``.
    """
    answer = await _call(pid, {"type": "LIST_FILES", "list_files": {"path": path}}, login)
    return [_file(one) for one in (answer.get("list_files") or {}).get("file_infos") or ()]


async def read(pid: str, path: str, offset: int, length: int,
               login: Login | None) -> tuple[bytes, int]:
    """Bytes of a file from ``offset`` on, and its size; AgentAway, AgentRefuses, NoSuchFile.

    Fewer than ``length`` come at the end of the file, and when an agent gives no more at once.
    """
    answer = await _call(pid, {"type": "READ_FILE", "read_file": {
        "path": path, "offset": offset, "length": length}}, login)
    found = answer.get("read_file") or {}
    try:
        return base64.b64decode(found.get("data") or "", validate=True), int(found["size"])
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise AgentAway(f"the agent answers with no file: {error!r}") from error


async def _call(pid: str, body: Mapping[str, Any], login: Login | None) -> dict[str, Any]:
    name, _, address = pid.partition("@")
    user, secret = login or (None, None)
    request = HTTPRequest(
        f"http://{address}/{name}/api/v1", "POST", {
            "Accept": "application/json", "Content-Type": "application/json"},
        body=orjson.dumps(body), follow_redirects=False, connect_timeout=TIMEOUT_S,
        request_timeout=TIMEOUT_S, auth_username=user, auth_password=secret)
    try:
        response = await AsyncHTTPClient().fetch(request, raise_error=False)
    except (HTTPClientError, OSError) as error:
        raise AgentAway(f"the agent at {address} does not answer: {error}") from error
    if response.code == 404:
        raise NoSuchFile(f"the agent at {address} has no such file (any more)")
    if response.code in (401, 403):
        raise AgentRefuses(f"the agent at {address} does not give its files to this service "
                           f"(HTTP {response.code}; see --agent-credentials)")
    if response.code != 200:
        raise AgentAway(f"the agent at {address} answers HTTP {response.code}: "
                        f"{response.body[:200].decode('utf-8', 'replace').strip()}")
    try:
        answer = orjson.loads(response.body)
    except ValueError as error:
        raise AgentAway(f"what answers at {address} is no agent: {error}") from error
    if not isinstance(answer, dict):
        raise AgentAway(f"what answers at {address} is no agent")
    return answer


def _task(item: Mapping[str, Any]) -> TaskInfo:
    state, told = str(item.get("state", "")), [
        (str(one.get("state", "")), float(one.get("timestamp") or 0.0))
        for one in item.get("statuses") or ()]
    ended = [at for was, at in told if was == state] if state in ENDED else []
    return TaskInfo(str(item.get("id", "")), str(item.get("slave_id", "")), state,
                    min((at for _, at in told), default=None), max(ended, default=None))


ENDED = frozenset({"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST",
                   "TASK_DROPPED", "TASK_GONE", "TASK_GONE_BY_OPERATOR"})


def _file(item: Mapping[str, Any]) -> FileInfo:
    at = (item.get("mtime") or {}).get("nanoseconds") or 0
    return FileInfo(str(item.get("path", "")).rpartition("/")[2], int(item.get("size") or 0),
                    float(at) / 1e9, int(item.get("mode") or 0) & 0o170000 == 0o040000)
