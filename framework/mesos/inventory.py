"""What the leading master knows of agents and frameworks, and how it fares: for people to look at.

Source: Mesos documentation, "Operator HTTP API" (GET_AGENTS, GET_FRAMEWORKS) and "Performance
Profiling / Monitoring" (/metrics/snapshot, /version).
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.facts import LABEL_CLUSTER, LABEL_INCARNATION, LABEL_NODE
from ..core.quota import Amounts
from .operator import SCALARS, OperatorApi
from .translate import resource_in

OURS = "esaas/"                     # what names of our frameworks begin with


@dataclass(frozen=True, slots=True)
class Seat:
    """What is reserved on an agent with the labels of one node of a cluster of ours."""

    cluster: str
    node: str
    incarnation: str
    role: str
    amounts: Amounts
    volumes: tuple[str, ...]            # persistence ids


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent that the master has registered."""

    id: str
    host: str
    active: bool
    version: str
    registered_at: float
    attributes: tuple[tuple[str, str], ...]
    total: Amounts
    allocated: Amounts                  # by tasks and executors of any framework
    reserved: Amounts                   # for any role, in use or not
    pid: str = ""                       # slave(1)@ip:port, where it answers
    seats: tuple[Seat, ...] = ()        # of clusters of this service, known or not


@dataclass(frozen=True, slots=True)
class FrameworkInfo:
    """A framework of this service, whichever process runs it."""

    id: str
    name: str
    connected: bool
    active: bool
    registered_at: float
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class MasterInfo:
    """The leading master."""

    address: str
    version: str
    uptime_s: float
    agents_active: int
    agents_inactive: int
    agents_unreachable: int
    frameworks: int
    tasks_running: int
    event_queue: int                    # messages that wait for it


async def agents(api: OperatorApi) -> list[AgentInfo]:
    """All agents by host; MasterAway, MasterRefuses."""
    answer = await api.call({"type": "GET_AGENTS"})
    found = [_agent(item) for item in (answer.get("get_agents") or {}).get("agents") or ()]
    return sorted(found, key=lambda one: (one.host, one.id))


async def frameworks(api: OperatorApi) -> list[FrameworkInfo]:
    """Ours by name; MasterAway, MasterRefuses."""
    answer = await api.call({"type": "GET_FRAMEWORKS"})
    found = []
    for item in (answer.get("get_frameworks") or {}).get("frameworks") or ():
        info = item.get("framework_info") or {}
        if str(info.get("name", "")).startswith(OURS):
            found.append(FrameworkInfo(
                str((info.get("id") or {}).get("value", "")), str(info["name"]),
                bool(item.get("connected")), bool(item.get("active")),
                _seconds(item.get("reregistered_time") or item.get("registered_time"))))
    return sorted(found, key=lambda one: one.name)


async def master(api: OperatorApi) -> MasterInfo:
    """The leading master itself; MasterAway, MasterRefuses."""
    version = await api.asked("GET", "/version", None)
    snapshot: Mapping[str, Any] = await api.asked("GET", "/metrics/snapshot", None)

    def figure(name: str) -> float:
        return float(snapshot.get(f"master/{name}") or 0.0)
    return MasterInfo(
        await api.leader(), str(version.get("version", "")), figure("uptime_secs"),
        int(figure("slaves_active")), int(figure("slaves_inactive")),
        int(figure("slaves_unreachable")), int(figure("frameworks_active")),
        int(figure("tasks_running")), int(figure("event_queue_messages")))


def _agent(item: Mapping[str, Any]) -> AgentInfo:
    info = item.get("agent_info") or {}
    return AgentInfo(
        str((info.get("id") or {}).get("value", "")), str(info.get("hostname", "")),
        bool(item.get("active")), str(item.get("version", "")),
        _seconds(item.get("reregistered_time") or item.get("registered_time")),
        tuple(sorted((attribute["name"], _attribute(attribute))
                     for attribute in info.get("attributes") or ())),
        _sum(item.get("total_resources")), _sum(item.get("allocated_resources")),
        _sum(resource for resource in item.get("total_resources") or ()
             if resource.get("reservations") or resource.get("reservation")),
        str(item.get("pid", "")), _seats(item.get("total_resources") or ()))


def _seats(resources: Iterable[Mapping[str, Any]]) -> tuple[Seat, ...]:
    """Reserved resources by the labels that they carry."""
    by_labels: dict[tuple[str, str, str, str], list[Mapping[str, Any]]] = {}
    volumes: defaultdict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for raw in resources:
        resource = resource_in(raw)
        labels = resource.labels
        if LABEL_CLUSTER not in labels:
            continue
        key = (labels[LABEL_CLUSTER], labels.get(LABEL_NODE, ""),
               labels.get(LABEL_INCARNATION, ""), resource.reservations[-1].role)
        by_labels.setdefault(key, []).append(raw)
        if resource.disk is not None and resource.disk.persistence_id:
            volumes[key].append(resource.disk.persistence_id)
    return tuple(Seat(*key, _sum(parts), tuple(volumes[key]))
                 for key, parts in sorted(by_labels.items()))


def _attribute(attribute: Mapping[str, Any]) -> str:
    value = attribute.get("text") or attribute.get("scalar") or {}
    return str(value.get("value", ""))


def _seconds(moment: Mapping[str, Any] | None) -> float:
    return float((moment or {}).get("nanoseconds") or 0) / 1e9


def _sum(resources: Any) -> Amounts:
    """Scalars together; what may be taken back at any time does not count."""
    totals: dict[str, float] = {}
    for resource in resources or ():
        if resource.get("type") == "SCALAR" and "revocable" not in resource:
            totals[resource["name"]] = totals.get(resource["name"], 0.0) + (
                resource["scalar"]["value"])
    return Amounts(*(round(totals.get(name, 0.0), 3) for name in SCALARS.values()))
