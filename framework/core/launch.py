"""What a node is started with: its payload, and its resources parted between task and executor."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from . import live
from .facts import ClusterState, NodeRecord, Seat
from .gates import quorum, standing_masters
from .operations import Launch, LaunchPayload
from .resources import Resource
from .spec import EXECUTOR_CPUS, EXECUTOR_MEM_MB, NodeGroup

CONTAINER_PATH = "data"            # the volume, in the node's sandbox
STOP_TIMEOUT_S = 120


def launch(state: ClusterState, record: NodeRecord, resources: Sequence[Resource]) -> Launch:
    """LAUNCH of a node whose seat and counters the record holds already."""
    group = state.group_of(record)
    assert group is not None and record.seat is not None, f"{record.name} has no group or seat"
    executor, task = part_resources(resources)
    return Launch(state.task_id(record), payload(state, record, group), task, executor)


def payload(state: ClusterState, record: NodeRecord, group: NodeGroup) -> LaunchPayload:
    """What the executor gets."""
    seat = record.seat
    assert seat is not None
    spec, distribution = state.spec, state.spec.distribution
    rack = seat.attribute(group.placement.spread_by)
    formed = state.bootstrap.cluster_uuid is not None
    founders = () if formed or record.name not in state.bootstrap.masters else (
        state.bootstrap.masters)
    settings = {} if group.is_sidecar else {
        **live.static(spec.cluster_settings()), **group.settings}
    return LaunchPayload(
        cluster=spec.name, tenant=spec.tenant, node=record.name, incarnation=record.incarnation,
        launch=record.launch, version=spec.version,
        url=distribution.url if distribution else None,
        sha256=distribution.sha256 if distribution else None,
        roles=group.roles, heap_mb=0 if group.is_sidecar else heap_mb(group, record),
        jvm_options=() if group.is_sidecar else (*spec.jvm_options, *group.jvm_options),
        settings=tuple(sorted(settings.items())),
        # The executor refuses one attribute said twice; what the spec says goes first.
        attributes=tuple(item for item in seat.attributes
                         if f"node.attr.{item[0]}" not in settings),
        awareness=(group.placement.spread_by,) if rack and group.placement.spread_by else (),
        bind_host=seat.ip, http_port=seat.http_port, transport_port=seat.transport_port,
        data_path=CONTAINER_PATH, seeds=state.seeds,
        initial_master_nodes=founders if spec.major >= 7 else (),
        minimum_master_nodes=_minimum_master_nodes(state, record) if spec.major <= 6 else 0,
        expected_data_nodes=spec.data_nodes,
        recover_after_data_nodes=quorum(spec.data_nodes),
        stop_timeout_s=STOP_TIMEOUT_S,
        plugins=() if group.is_sidecar else spec.plugins,
        files=() if group.is_sidecar else spec.files_of(group),
        secrets=() if group.is_sidecar else tuple(sorted(state.secrets)),
        paused=record.held, sidecar=group if group.is_sidecar else None,
        certificate_names=certificate_names(record, seat) if spec.security.enabled else (),
        certificate_days=spec.security.certificate_days if spec.security.enabled else 0)


def certificate_names(record: NodeRecord, seat: Seat) -> tuple[str, ...]:
    """What a node is reached by: its address, its name, its host; localhost where it is there."""
    local = ("localhost",) if seat.ip.startswith("127.") or seat.ip == "::1" else ()
    return tuple(dict.fromkeys((seat.ip, record.name, seat.host, *local)))


def heap_mb(group: NodeGroup, record: NodeRecord) -> int:
    """The heap of a node, within the memory that it really has.

    A node that fails before more is reserved for it starts again in its old size.
    """
    assert record.seat is not None
    mem_mb = record.seat.resources.mem_mb - EXECUTOR_MEM_MB
    if mem_mb >= group.mem_mb or group.heap_mb < mem_mb * group.heap.percent // 100:
        return group.heap_mb
    return mem_mb * group.heap.percent // 100


def _minimum_master_nodes(state: ClusterState, record: NodeRecord) -> int:
    names = {other.name for other in standing_masters(state)}
    return quorum(len(names | {record.name} if state.is_master(record) else names))


def part_resources(resources: Sequence[Resource]) -> tuple[tuple[Resource, ...],
                                                           tuple[Resource, ...]]:
    """(the executor's, the task's): a little CPU and memory, and all the rest."""
    executor: list[Resource] = []
    task: list[Resource] = []
    wanted = {"cpus": EXECUTOR_CPUS, "mem": float(EXECUTOR_MEM_MB)}
    for resource in resources:
        part = min(wanted.get(resource.name, 0.0), resource.amount)
        if part > 0:
            wanted[resource.name] = round(wanted[resource.name] - part, 3)
            executor.append(replace(resource, amount=part))
        left = round(resource.amount - part, 3)
        if resource.ranges or left > 0:
            task.append(replace(resource, amount=left))
    return tuple(executor), tuple(task)
