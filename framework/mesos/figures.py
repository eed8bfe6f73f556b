"""Figures of agents, of the containers on them, and of the leading master.

Agents are asked as ``Login`` says: those of the operator are told to masters only. Source: Mesos
documentation, "Monitoring" (/metrics/snapshot) and "/slave/containers" (its statistics).
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from .operator import OperatorApi, OperatorError

TIMEOUT_S = 5.0
SNAPSHOT = "/metrics/snapshot"
MB, PERCENT = 2**20, 0.01
# Names in a snapshot of an agent: ours, theirs, divisor.
OF_AGENT: tuple[tuple[str, str, float], ...] = (
    ("agent_registered", "slave/registered", 1),
    ("agent_uptime_s", "slave/uptime_secs", 1),
    ("agent_cores", "system/cpus_total", 1),
    ("agent_mem_free_mb", "system/mem_free_bytes", MB),
    ("agent_cpus_percent", "slave/cpus_percent", PERCENT),
    ("agent_mem_percent", "slave/mem_percent", PERCENT),
    ("agent_disk_percent", "slave/disk_percent", PERCENT),
    ("agent_tasks", "slave/tasks_running", 1),
    ("agent_launch_errors", "slave/container_launch_errors", 1),
    ("load_1m", "system/load_1min", 1))
OF_MASTER: tuple[tuple[str, str, float], ...] = (
    ("uptime_s", "master/uptime_secs", 1),
    ("agents_active", "master/slaves_active", 1),
    ("agents_inactive", "master/slaves_inactive", 1),
    ("agents_unreachable", "master/slaves_unreachable", 1),
    ("frameworks_active", "master/frameworks_active", 1),
    ("tasks_running", "master/tasks_running", 1),
    ("tasks_unreachable", "master/tasks_unreachable", 1),
    ("offers_outstanding", "master/outstanding_offers", 1),
    ("event_queue", "master/event_queue_messages", 1),
    ("dropped_messages", "master/dropped_messages", 1),
    ("cpus_percent", "master/cpus_percent", PERCENT),
    ("mem_percent", "master/mem_percent", PERCENT),
    ("disk_percent", "master/disk_percent", PERCENT),
    ("load_1m", "system/load_1min", 1))


Login = tuple[str, str]             # principal and secret, for agents that ask who it is


class AgentAway(OperatorError):
    """An agent did not answer in time, or not with what was asked for."""


@dataclass(frozen=True, slots=True)
class Container:
    """What one container has used up to a moment; None: the agent does not measure it."""

    executor_id: str
    framework_id: str
    at: float                           # seconds since the epoch, by the agent's clock
    user_s: float | None = None         # CPU time since its start
    system_s: float | None = None
    cpus: float | None = None           # that it may use
    mem_mb: float | None = None         # resident
    mem_limit_mb: float | None = None
    disk_mb: float | None = None
    disk_limit_mb: float | None = None


async def containers(pid: str, login: Login | None = None) -> list[Container]:
    """All containers of an agent, whose address is ``slave(1)@host:port``; AgentAway."""
    name, _, address = pid.partition("@")
    answer = await _asked(f"http://{address}/{name}/containers", login)
    if not isinstance(answer, list):
        raise AgentAway(f"the agent at {address} answers with no list of containers")
    return [container_of(one) for one in answer if isinstance(one, Mapping)]


async def agent(pid: str, login: Login | None = None) -> dict[str, float]:
    """The chosen figures of an agent by our names; AgentAway."""
    answer = await _asked(f"http://{pid.partition('@')[2]}{SNAPSHOT}", login)
    if not isinstance(answer, Mapping):
        raise AgentAway("the agent answers with no figures")
    figures = dict(_chosen(answer, OF_AGENT))
    if figures.get("agent_cores") and "load_1m" in figures:
        figures["load_per_core"] = figures["load_1m"] / figures["agent_cores"]
    return figures


async def master(api: OperatorApi) -> dict[str, float]:
    """The chosen figures of the leading master by our names; MasterAway, MasterRefuses."""
    return dict(_chosen(await api.asked("GET", SNAPSHOT, None), OF_MASTER))


async def _asked(url: str, login: Login | None) -> Any:
    user, secret = login or (None, None)
    request = HTTPRequest(url, connect_timeout=TIMEOUT_S, request_timeout=TIMEOUT_S,
                          headers={"Accept": "application/json"}, follow_redirects=False,
                          auth_username=user, auth_password=secret)
    try:
        response = await AsyncHTTPClient().fetch(request)
        return orjson.loads(response.body)
    except (HTTPClientError, OSError, ValueError) as error:
        raise AgentAway(f"{url}: {error}") from error


def _chosen(answer: Mapping[str, Any],
            names: tuple[tuple[str, str, float], ...]) -> Iterator[tuple[str, float]]:
    for ours, theirs, divisor in names:
        value = _number(answer, theirs)
        if value is not None:
            yield ours, value / divisor


def container_of(item: Mapping[str, Any]) -> Container:
    """One of an agent's list; what is missing in it is None."""
    found = item.get("statistics") or {}

    def mb(name: str) -> float | None:
        value = _number(found, name)
        return None if value is None else value / MB
    return Container(
        str(item.get("executor_id", "")), str(item.get("framework_id", "")),
        _number(found, "timestamp") or 0.0, _number(found, "cpus_user_time_secs"),
        _number(found, "cpus_system_time_secs"),
        # Hard limits where the agent sets any; without, what was asked for.
        _number(found, "cpus_limit") or _number(found, "cpus_soft_limit"),
        mb("mem_rss_bytes"), mb("mem_limit_bytes") or mb("mem_soft_limit_bytes"),
        mb("disk_used_bytes"), mb("disk_limit_bytes"))


def _number(found: Mapping[str, Any], name: str) -> float | None:
    value = found.get(name)
    return float(value) if isinstance(value, (int, float)) else None
