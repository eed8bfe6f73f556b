"""Between Mesos' JSON and the values of the core. Nothing else knows field names of Mesos.

Tolerant on the way in (an unknown field is ignored, a missing one has Mesos' own default), exact
on the way out; ``tests/contract`` checks the output against Mesos' own descriptors.
Source: Mesos 1.11 ``include/mesos/v1/mesos.proto`` and ``scheduler/scheduler.proto``.
"""
from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from addict import Dict
from google.protobuf.message import DecodeError

from ..core import events as ev
from ..core.facts import Identity, Seeds
from ..core.operations import (
    Accept,
    Create,
    Destroy,
    Launch,
    LaunchPayload,
    OfferStep,
    Reserve,
    Unreserve,
)
from ..core.resources import Disk, Offer, Reservation, Resource
from ..core.spec import NodeGroup
from ..proto import esaas_pb2
from .discovery import discovery_info

CAPABILITIES = ("MULTI_ROLE", "RESERVATION_REFINEMENT", "PARTITION_AWARE", "TASK_KILLING_STATE")


@dataclass(frozen=True, slots=True)
class TlsSupply:
    """What a node of a secured cluster starts with, as PEM; a sidecar has the authority alone."""

    ca: bytes
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    password: str = field(default="", repr=False)
    service_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Supply:
    """What a launch needs beside its payload: where things come from, and secret values.

    Values of secure settings, keys and passwords are here alone, on their way to the executor;
    never in the core, in the journal or in a log.
    """

    url: str = ""
    sha256: str = ""
    plugins: tuple[tuple[str, str, str], ...] = ()      # name, url, sha256
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: TlsSupply | None = None


@dataclass(frozen=True, slots=True)
class ExecutorFile:
    """The executor as agents fetch it: its address, and the file name that has its hash."""

    url: str
    name: str
    python: str = "python3"
    user: str | None = None


# ------------------------------------------------------------------ the way in

def labels_in(labels: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    """Labels as sorted pairs."""
    return tuple(sorted((str(item.get("key", "")), str(item.get("value", "")))
                        for item in (labels or {}).get("labels", ())))


def resource_in(raw: Mapping[str, Any]) -> Resource:
    """A resource of an offer; one that we never use is opaque."""
    disk = raw.get("disk")
    return Resource(
        name=str(raw.get("name", "")),
        amount=float((raw.get("scalar") or {}).get("value", 0.0)),
        ranges=tuple((int(item["begin"]), int(item["end"]))
                     for item in (raw.get("ranges") or {}).get("range", ())),
        reservations=tuple(Reservation(
            str(item.get("role", "")), item.get("type") == "DYNAMIC", item.get("principal"),
            labels_in(item.get("labels"))) for item in raw.get("reservations", ())),
        disk=disk_in(disk) if disk else None,
        provider_id=(raw.get("provider_id") or {}).get("value"),
        opaque="revocable" in raw or "shared" in raw)


def disk_in(raw: Mapping[str, Any]) -> Disk:
    """The disk part of a resource."""
    source = raw.get("source") or {}
    kind = source.get("type")
    persistence = raw.get("persistence") or {}
    return Disk(
        persistence_id=persistence.get("id"), principal=persistence.get("principal"),
        container_path=(raw.get("volume") or {}).get("container_path"), source_type=kind,
        source_root=(source.get(kind.lower()) or {}).get("root") if kind else None,
        source_id=source.get("id"), source_profile=source.get("profile"))


def offer_in(raw: Mapping[str, Any]) -> Offer:
    """An offer; KeyError when it lacks an id."""
    address = (raw.get("url") or {}).get("address") or {}
    start = ((raw.get("unavailability") or {}).get("start") or {}).get("nanoseconds")
    return Offer(
        id=raw["id"]["value"], agent_id=raw["agent_id"]["value"],
        host=str(raw.get("hostname", "")), ip=str(address.get("ip") or raw.get("hostname", "")),
        attributes={item["name"]: attribute_in(item) for item in raw.get("attributes", ())},
        resources=tuple(resource_in(item) for item in raw.get("resources", ())),
        unavailable_from=int(start) / 1e9 if start is not None else None)


def inverse_offer_in(raw: Mapping[str, Any], now: float) -> ev.InverseOffered:
    """A question for an agent, with its window; KeyError when it lacks an id."""
    window = raw.get("unavailability") or {}
    begins = int((window.get("start") or {}).get("nanoseconds", 0)) / 1e9
    lasts = (window.get("duration") or {}).get("nanoseconds")
    return ev.InverseOffered(now, raw["id"]["value"], (raw.get("agent_id") or {}).get("value", ""),
                             begins, begins + int(lasts) / 1e9 if lasts is not None else None)


def attribute_in(raw: Mapping[str, Any]) -> str:
    """An attribute's value as text: ranges as 1-3, sets as a,b."""
    if "text" in raw:
        return str(raw["text"].get("value", ""))
    if "scalar" in raw:
        return f"{raw['scalar'].get('value', 0):.15g}"
    if "ranges" in raw:
        return ",".join(f"{item['begin']}-{item['end']}"
                        for item in raw["ranges"].get("range", ()))
    return ",".join(raw.get("set", {}).get("item", ()))


def node_facts_in(data: str | None) -> ev.NodeFacts | None:
    """The executor's word in a status; None when there is none, or it cannot be read."""
    if not data:
        return None
    status = esaas_pb2.NodeStatus()
    try:
        status.ParseFromString(base64.b64decode(data, validate=True))
    except (DecodeError, ValueError):
        return None
    return ev.NodeFacts(
        es_node_id=status.es_node_id or None, pid=status.pid or None,
        version=status.version or None, serving=status.phase == esaas_pb2.NodeStatus.SERVING,
        paused=status.phase == esaas_pb2.NodeStatus.PAUSED,
        reason=status.reason, log_tail=tuple(status.log_tail))


def task_update_in(status: Mapping[str, Any], now: float) -> ev.TaskUpdated:
    """A status update as an event."""
    return ev.TaskUpdated(
        now, task_id=status["task_id"]["value"], status=str(status.get("state", "")),
        agent_id=(status.get("agent_id") or {}).get("value"),
        reason=str(status.get("reason", "")), message=str(status.get("message", "")),
        source=str(status.get("source", "")), node=node_facts_in(status.get("data")))


def operation_update_in(status: Mapping[str, Any], now: float) -> ev.OperationUpdated:
    """Feedback on an operation as an event."""
    return ev.OperationUpdated(now, (status.get("operation_id") or {}).get("value", ""),
                               str(status.get("state", "")), str(status.get("message", "")))


def message_in(data: str, now: float) -> ev.SeedsWritten | None:
    """A message of an executor; None when it cannot be read."""
    message = esaas_pb2.FromExecutor()
    try:
        message.ParseFromString(base64.b64decode(data, validate=True))
    except (DecodeError, ValueError):
        return None
    return ev.SeedsWritten(now, message.node, message.seeds_generation)


# ----------------------------------------------------------------- the way out

def labels_out(labels: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Labels as Mesos has them."""
    return {"labels": [{"key": key, "value": value} for key, value in labels]}


def resource_out(resource: Resource) -> dict[str, Any]:
    """A resource in the format after reservation refinement."""
    raw = Dict(name=resource.name)
    if resource.ranges:
        raw.type = "RANGES"
        raw.ranges.range = [{"begin": begin, "end": end} for begin, end in resource.ranges]
    else:
        raw.type = "SCALAR"
        raw.scalar.value = resource.amount
    if resource.reservations:
        raw.reservations = [reservation_out(item) for item in resource.reservations]
    if resource.disk is not None:
        raw.disk = disk_out(resource.disk)
    if resource.provider_id:
        raw.provider_id.value = resource.provider_id
    return raw.to_dict()  # type: ignore[no-any-return]  # addict has no types


def reservation_out(reservation: Reservation) -> dict[str, Any]:
    """One refinement."""
    raw: dict[str, Any] = {"type": "DYNAMIC" if reservation.dynamic else "STATIC",
                           "role": reservation.role}
    if reservation.principal:
        raw["principal"] = reservation.principal
    if reservation.labels:
        raw["labels"] = labels_out(reservation.labels)
    return raw


def disk_out(disk: Disk) -> dict[str, Any]:
    """The disk part of a resource."""
    raw = Dict()
    if disk.persistence_id:
        raw.persistence.id = disk.persistence_id
        if disk.principal:
            raw.persistence.principal = disk.principal
        raw.volume.mode = "RW"
        raw.volume.container_path = disk.container_path
    if disk.source_type:
        raw.source.type = disk.source_type
        if disk.source_root:
            raw.source[disk.source_type.lower()].root = disk.source_root
        if disk.source_id:
            raw.source.id = disk.source_id
        if disk.source_profile:
            raw.source.profile = disk.source_profile
    return raw.to_dict()  # type: ignore[no-any-return]


def framework_info(identity: Identity, failover_timeout_s: float, user: str | None,
                   web_url: str | None = None) -> dict[str, Any]:
    """FrameworkInfo of a cluster's scheduler."""
    info: dict[str, Any] = {
        "user": user or "", "name": identity.framework_name, "roles": [identity.role],
        "checkpoint": True, "failover_timeout": failover_timeout_s,
        "capabilities": [{"type": name} for name in CAPABILITIES],
        "labels": labels_out((("esaas.cluster", identity.name), ("esaas.uid", identity.uid)))}
    if identity.principal:
        info["principal"] = identity.principal
    if identity.framework_id:
        info["id"] = {"value": identity.framework_id}
    if web_url:
        info["webui_url"] = web_url
    return info


def launch_data(payload: LaunchPayload, supply: Supply) -> str:
    """TaskInfo.data: the payload as protobuf, in base64."""
    message = esaas_pb2.NodeLaunch(
        cluster=payload.cluster, tenant=payload.tenant, node=payload.node,
        incarnation=payload.incarnation, launch=payload.launch,
        distribution=None if payload.sidecar else esaas_pb2.Distribution(
            version=payload.version, url=supply.url, sha256=supply.sha256),
        roles=payload.roles, heap_mb=payload.heap_mb, jvm_options=payload.jvm_options,
        settings={key: json.dumps(value) for key, value in payload.settings},
        attributes=dict(payload.attributes), awareness=payload.awareness,
        bind_host=payload.bind_host, http_port=payload.http_port,
        transport_port=payload.transport_port, data_path=payload.data_path,
        seeds=seeds_out(payload.seeds), stop_timeout_s=payload.stop_timeout_s,
        plugins=[esaas_pb2.Plugin(name=name, url=url, sha256=sha256)
                 for name, url, sha256 in supply.plugins],
        files=[esaas_pb2.ConfigFile(path=file.path, content=(file.content or "").encode(),
                                    url=file.url or "", sha256=file.sha256 or "")
               for file in payload.files],
        secure_settings=supply.secrets, paused=payload.paused,
        sidecar=sidecar_out(payload.sidecar) if payload.sidecar else None,
        tls=tls_out(supply.tls) if supply.tls else None,
        bootstrap=None if payload.sidecar else esaas_pb2.Bootstrap(
            initial_master_nodes=payload.initial_master_nodes,
            minimum_master_nodes=payload.minimum_master_nodes,
            expected_data_nodes=payload.expected_data_nodes,
            recover_after_data_nodes=payload.recover_after_data_nodes))
    return base64.b64encode(message.SerializeToString(deterministic=True)).decode()


def tls_out(tls: TlsSupply) -> esaas_pb2.Tls:
    """What makes a node a secured one, as protobuf."""
    return esaas_pb2.Tls(ca=tls.ca, certificate=tls.certificate, key=tls.key,
                         password=tls.password, service_password=tls.service_password)


def sidecar_out(group: NodeGroup) -> esaas_pb2.Sidecar:
    """What a sidecar runs, as protobuf."""
    return esaas_pb2.Sidecar(
        command=group.command or "", env=group.env, listens=group.listens,
        uris=[esaas_pb2.Uri(url=uri.url, sha256=uri.sha256 or "", extract=uri.extract,
                            executable=uri.executable) for uri in group.uris])


def seeds_out(seeds: Seeds) -> esaas_pb2.Seeds:
    """Seeds as protobuf."""
    return esaas_pb2.Seeds(addresses=seeds.addresses, generation=seeds.generation,
                           http_urls=seeds.http_urls, log_urls=seeds.log_urls)


def seeds_message(seeds: Seeds) -> str:
    """A framework message with new seeds, in base64."""
    message = esaas_pb2.ToExecutor(seeds=seeds_out(seeds))
    return base64.b64encode(message.SerializeToString()).decode()


def task_info(launch: Launch, agent_id: str, executor: ExecutorFile,
              supply: Supply) -> dict[str, Any]:
    """TaskInfo of a node, with an executor of its own under the same id."""
    payload = launch.payload
    task = Dict()
    task.name = f"{payload.cluster}.{payload.node}"
    task.task_id.value = launch.task_id
    task.agent_id.value = agent_id
    task.resources = [resource_out(item) for item in launch.task_resources]
    task.data = launch_data(payload, supply)
    task.kill_policy.grace_period.nanoseconds = payload.stop_timeout_s * 10**9
    task.labels = labels_out((("esaas.cluster", payload.cluster), ("esaas.node", payload.node),
                              ("esaas.incarnation", str(payload.incarnation))))
    task.executor = executor_info(launch, executor)
    task.discovery = discovery_info(payload)
    return task.to_dict()  # type: ignore[no-any-return]


def executor_info(launch: Launch, executor: ExecutorFile) -> dict[str, Any]:
    """ExecutorInfo: one file, fetched by the agent, run by the agent's own Python."""
    info = Dict()
    info.type = "CUSTOM"
    info.executor_id.value = launch.task_id
    info.name = f"esaas executor of {launch.payload.cluster}.{launch.payload.node}"
    info.source = f"esaas.{launch.payload.cluster}"
    info.resources = [resource_out(item) for item in launch.executor_resources]
    info.shutdown_grace_period.nanoseconds = (launch.payload.stop_timeout_s + 15) * 10**9
    info.command.value = f"exec {executor.python} -u ./{executor.name}"
    info.command.uris = [{"value": executor.url, "extract": False, "executable": False,
                          "cache": True, "output_file": executor.name}]
    if executor.user:
        info.command.user = executor.user
    return info.to_dict()  # type: ignore[no-any-return]


def step_out(step: OfferStep, agent_id: str, executor: ExecutorFile,
             supply: Supply | None) -> dict[str, Any]:
    """One operation of an ACCEPT; a Launch needs its supply."""
    if isinstance(step, Launch):
        assert supply is not None, f"{step.task_id} has no supply"
        return {"type": "LAUNCH", "launch": {
            "task_infos": [task_info(step, agent_id, executor, supply)]}}
    kind, field = _STEPS[type(step)]
    resources: Sequence[Resource] = getattr(step, field)
    return {"type": kind, "id": {"value": step.operation_id},
            kind.lower(): {field: [resource_out(item) for item in resources]}}


_STEPS: dict[type, tuple[str, str]] = {
    Reserve: ("RESERVE", "resources"), Create: ("CREATE", "volumes"),
    Destroy: ("DESTROY", "volumes"), Unreserve: ("UNRESERVE", "resources")}


def accept_out(accept: Accept, executor: ExecutorFile,
               supplies: Mapping[str, Supply]) -> dict[str, Any]:
    """The body of an ACCEPT; ``supplies`` by task id."""
    return {"offer_ids": [{"value": item} for item in accept.offer_ids],
            "operations": [step_out(step, accept.agent_id, executor, supplies.get(
                step.task_id) if isinstance(step, Launch) else None) for step in accept.steps],
            "filters": {"refuse_seconds": accept.refuse_s}}
