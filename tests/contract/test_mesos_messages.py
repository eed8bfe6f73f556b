"""Our JSON against Mesos' own descriptors: every call parses, every event is understood."""
from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from queue import Queue
from typing import Any

import pytest
from esaas.executor import payload
from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.decide import decide
from esaas.framework.core.facts import ClusterState, NodeState, Seeds
from esaas.framework.core.resources import Disk, Resource
from esaas.framework.mesos import translate
from esaas.framework.mesos.link import Acknowledgement, Inbound, MesosLink
from esaas.framework.proto import esaas_pb2
from esaas.local.fetch.mesos import fetch_mesos
from esaas.local.settings import Settings
from google.protobuf import json_format

from ..core.builders import (
    NOW,
    formed,
    group,
    identity,
    new_cluster,
    offer,
    own_resources,
    record,
    scalars,
    spec,
    with_nodes,
)
from .descriptors import MesosMessages
from .standin_master import WAIT_S, StandInMaster

S = NodeState
EXECUTOR = translate.ExecutorFile("http://10.0.0.9:8080/executor-abc.pyz", "executor-abc.pyz",
                                  user="elastic")
SUPPLY = translate.Supply("http://es/6.8.23.zip", "0" * 64,
                          (("analysis-x", "http://es/x.zip", "1" * 64),), {"s3.key": "hush"})
CALL, EVENT = "mesos.v1.scheduler.Call", "mesos.v1.scheduler.Event"


@pytest.fixture(scope="session")
def mesos() -> MesosMessages:
    """Downloads the library once; later runs find it in the cache."""
    return MesosMessages(fetch_mesos(Settings.load().cache))


@pytest.fixture
def master() -> Iterator[StandInMaster]:
    with StandInMaster() as found:
        yield found


@pytest.fixture
def link(master: StandInMaster) -> Iterator[MesosLink]:
    """A real link, subscribed."""
    inbound: Queue[Inbound] = Queue()
    info = translate.framework_info(identity(framework_id=None), 1209600.0, "root",
                                    "http://10.0.0.9:8080/clusters/demo")
    found = MesosLink(identity(), master.address, info, EXECUTOR,
                      lambda payload: SUPPLY, inbound.put,
                      "secret")
    found.start()
    try:
        registered(inbound)
        yield found
    finally:
        found.stop()


def registered(inbound: Queue[Inbound]) -> None:
    """Until the stream is open: a call is refused before."""
    while True:
        item = inbound.get(timeout=WAIT_S)
        if isinstance(item, tuple) and isinstance(item[0], ev.Registered):
            return


def sent(master: StandInMaster, link: MesosLink, *operations: op.Operation) -> list[dict[str, Any]]:
    """The bodies that went out for operations, in order."""
    before = len(master.calls)
    for operation in operations:
        assert link.send(operation).result(WAIT_S)
    return [call.body for call in master.calls[before:]]


def accepts(state: ClusterState, *offers: Any) -> list[op.Operation]:
    found = [item for item in decide(state, offers, NOW).operations if isinstance(item, op.Accept)]
    assert found
    return list(found)


DISK_KINDS = {"ROOT": None, "PATH": "/data1", "MOUNT": "/mnt/disk1"}


def drive(kind: str) -> Resource:
    source = None if kind == "ROOT" else Disk(source_type=kind, source_root=DISK_KINDS[kind])
    return Resource("disk", 9000.0, disk=source)


# -------------------------------------------------------------------- the way out

def test_a_subscription_is_what_mesos_reads(
        mesos: MesosMessages, master: StandInMaster, link: MesosLink) -> None:
    call = mesos.parse(CALL, master.subscriptions[0].body)
    info = call.subscribe.framework_info
    assert list(info.roles) == ["acme/demo"] and info.checkpoint and info.user == "root"
    assert info.failover_timeout == 1209600.0 and info.principal == "acme"
    named = type(info.capabilities[0]).DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number
    assert {named[item.type].name for item in info.capabilities} == {
        "MULTI_ROLE", "RESERVATION_REFINEMENT", "PARTITION_AWARE", "TASK_KILLING_STATE"}
    assert not call.HasField("framework_id")
    assert base64.b64decode(master.subscriptions[0].headers["authorization"].split()[1]) == (
        b"acme:secret")


def test_a_subscription_with_a_known_id_is_a_registration_again(
        mesos: MesosMessages, master: StandInMaster, link: MesosLink) -> None:
    master.drop()
    master.wait(lambda: len(master.subscriptions) == 2)
    call = mesos.parse(CALL, master.subscriptions[1].body)
    assert call.framework_id.value == call.subscribe.framework_info.id.value == "framework-1"


@pytest.mark.parametrize("kind", list(DISK_KINDS))
def test_placing_a_node_is_what_mesos_reads(
        kind: str, mesos: MesosMessages, master: StandInMaster, link: MesosLink) -> None:
    state = new_cluster(spec(group(disk_type=kind, settings={"indices.x": [1, "a", None]},
                                   jvm_options=["-Da=b"])))
    free = [*(item for item in scalars() if item.name != "disk"), drive(kind)]
    body, = sent(master, link, *accepts(state, offer(1, free)))
    call = mesos.parse(CALL, body)
    assert call.framework_id.value == "framework-1"
    reserve, create, launch = call.accept.operations
    assert reserve.id.value == "uid1.node-1.1.reserve" and create.id.value.endswith(".create")
    for item in reserve.reserve.resources:
        assert [part.role for part in item.reservations] == ["acme/demo"]
        assert item.reservations[0].principal == "acme"
        assert {label.key for label in item.reservations[0].labels.labels} >= {
            "esaas.uid", "esaas.node"}
    volume, = create.create.volumes
    assert volume.disk.persistence.id == "uid1.node-1.1"
    assert volume.disk.volume.container_path == "data"
    source = volume.disk.source
    assert (source.path.root or source.mount.root or None) == DISK_KINDS[kind]
    task, = launch.launch.task_infos
    assert task.executor.executor_id.value == task.task_id.value == "demo.node-1.1.1"
    assert task.executor.command.uris[0].value == EXECUTOR.url
    told = payload.read_launch({"data": base64.b64encode(task.data).decode()})
    assert told.node == "node-1" and told.distribution.url == "http://es/6.8.23.zip"
    assert [plugin.name for plugin in told.plugins] == ["analysis-x"]
    assert dict(told.secure_settings) == {"s3.key": "hush"} and "hush" not in repr(SUPPLY)
    discovery = task.discovery
    assert (discovery.name, discovery.environment, discovery.version) == ("demo", "acme", "6.8.23")
    assert {(port.name, port.number, port.protocol) for port in discovery.ports.ports} == {
        ("http", told.http_port, "tcp"), ("transport", told.transport_port, "tcp")}
    held = [*task.resources, *task.executor.resources]
    assert sum(item.scalar.value for item in held if item.name == "cpus") == pytest.approx(1.1)
    assert sum(item.scalar.value for item in held if item.name == "mem") == 1088


@pytest.mark.parametrize("kind", list(DISK_KINDS))
def test_releasing_a_node_is_what_mesos_reads(
        kind: str, mesos: MesosMessages, master: StandInMaster, link: MesosLink) -> None:
    node = record("node-1", S.STOPPED)
    state = replace(with_nodes(formed(), node), deleting=True)
    base = drive(kind).disk or Disk()
    own = [replace(item, disk=replace(item.disk, source_type=base.source_type,
                                      source_root=base.source_root)) if item.disk else item
           for item in own_resources(state, node)]
    body, = sent(master, link, *accepts(state, offer(1, own)))
    destroy, unreserve = mesos.parse(CALL, body).accept.operations
    assert destroy.destroy.volumes[0].disk.persistence.id == "uid1.node-1.1"
    bare, = (item for item in unreserve.unreserve.resources if item.name == "disk")
    assert not bare.disk.HasField("persistence")
    assert bare.HasField("disk") is (kind != "ROOT")
    assert destroy.id.value .startswith("uid1.node-1.1.") and destroy.id.value.endswith(".destroy")


def test_starting_a_node_in_place_is_what_mesos_reads(
        mesos: MesosMessages, master: StandInMaster, link: MesosLink) -> None:
    state = formed().with_node(record("node-1", S.DOWN))
    body, = sent(master, link, *accepts(state, offer(1, own_resources(
        state, state.nodes["node-1"]))))
    launch, = mesos.parse(CALL, body).accept.operations
    assert launch.launch.task_infos[0].task_id.value == "demo.node-1.1.2"


def test_every_other_call_is_what_mesos_reads(
        mesos: MesosMessages, master: StandInMaster, link: MesosLink) -> None:
    bodies = sent(
        master, link, op.Decline((), ("offer-1", "offer-2"), 3600.0),
        op.Kill((), "demo.node-1.1.1", "agent-1"), op.Kill((), "demo.node-1.1.1", None),
        op.Reconcile((), ()), op.Reconcile((), (("t1", "agent-1"), ("t2", None))),
        op.SendSeeds((), "demo.node-1.1.1", "agent-1", Seeds(("10.0.0.1:31001",), 4)),
        op.Revive(()), op.Suppress(()), op.Teardown(()))
    calls = [mesos.parse(CALL, body) for body in bodies]
    decline, kill, kill_anywhere, everything, some, message = calls[:6]
    assert [item.value for item in decline.decline.offer_ids] == ["offer-1", "offer-2"]
    assert decline.decline.filters.refuse_seconds == 3600
    assert kill.kill.agent_id.value == "agent-1" and not kill_anywhere.kill.HasField("agent_id")
    assert len(everything.reconcile.tasks) == 0
    assert [item.agent_id.value for item in some.reconcile.tasks] == ["agent-1", ""]
    told = esaas_pb2.ToExecutor.FromString(message.message.data)
    assert list(told.seeds.addresses) == ["10.0.0.1:31001"] and told.seeds.generation == 4
    assert [body["type"] for body in bodies[6:]] == ["REVIVE", "SUPPRESS", "TEARDOWN"]


def test_acknowledgements_are_what_mesos_reads(mesos: MesosMessages) -> None:
    """Taken from events that are built from the descriptors, and sent by the real link."""
    with StandInMaster() as master:
        inbound: Queue[Inbound] = Queue()
        info = translate.framework_info(identity(), 60.0, None)
        link = MesosLink(identity(), master.address, info, EXECUTOR, lambda _: translate.Supply(),
                         inbound.put)
        link.start()
        try:
            registered(inbound)
            for event in (task_update(mesos), operation_update(mesos)):
                master.push(mesos.as_json(event))
                item = inbound.get(timeout=WAIT_S)
                assert isinstance(item, tuple) and isinstance(item[1], Acknowledgement)
                link.acknowledge(item[1]).result(WAIT_S)
        finally:
            link.stop()
        task, = (mesos.parse(CALL, call.body) for call in master.of_kind("ACKNOWLEDGE"))
        operation, = (mesos.parse(CALL, call.body)
                      for call in master.of_kind("ACKNOWLEDGE_OPERATION_STATUS"))
    assert (task.acknowledge.uuid, task.acknowledge.task_id.value) == (b"\0" * 16, "t1")
    found = operation.acknowledge_operation_status
    assert (found.uuid, found.operation_id.value, found.agent_id.value) == (
        b"\1" * 16, "uid1.node-1.1.create", "agent-1")


# --------------------------------------------------------------------- the way in

def task_update(mesos: MesosMessages) -> Any:
    told = esaas_pb2.NodeStatus(phase=esaas_pb2.NodeStatus.SERVING, es_node_id="es-1", pid=7,
                                version="6.8.23", log_tail=["a", "b"])
    return mesos.parse(EVENT, {"type": "UPDATE", "update": {"status": {
        "task_id": {"value": "t1"}, "state": "TASK_RUNNING", "agent_id": {"value": "agent-1"},
        "source": "SOURCE_EXECUTOR", "reason": "REASON_RECONCILIATION", "message": "hello",
        "uuid": base64.b64encode(b"\0" * 16).decode(),
        "data": base64.b64encode(told.SerializeToString()).decode()}}})


def operation_update(mesos: MesosMessages) -> Any:
    return mesos.parse(EVENT, {"type": "UPDATE_OPERATION_STATUS", "update_operation_status": {
        "status": {"operation_id": {"value": "uid1.node-1.1.create"}, "agent_id": {
            "value": "agent-1"}, "state": "OPERATION_FINISHED", "message": "done",
            "uuid": {"value": base64.b64encode(b"\1" * 16).decode()}}}})


def test_a_task_update_of_mesos_is_understood(mesos: MesosMessages) -> None:
    status = mesos.as_json(task_update(mesos))["update"]["status"]
    assert translate.task_update_in(status, NOW) == ev.TaskUpdated(
        NOW, "t1", "TASK_RUNNING", "agent-1", "REASON_RECONCILIATION", "hello", "SOURCE_EXECUTOR",
        ev.NodeFacts("es-1", 7, "6.8.23", True, "", ("a", "b")))


@pytest.mark.parametrize("data", [None, "", "###", base64.b64encode(b"\xff\xff").decode()])
def test_a_status_without_a_readable_word_of_the_executor_has_none(data: str | None) -> None:
    assert translate.node_facts_in(data) is None


def test_an_operation_update_of_mesos_is_understood(mesos: MesosMessages) -> None:
    status = mesos.as_json(operation_update(mesos))["update_operation_status"]["status"]
    assert translate.operation_update_in(status, NOW) == ev.OperationUpdated(
        NOW, "uid1.node-1.1.create", "OPERATION_FINISHED", "done")


def test_an_offer_of_mesos_is_understood(mesos: MesosMessages) -> None:
    state = formed()
    own = own_resources(state, state.nodes["node-1"])
    raw = {"id": {"value": "o1"}, "framework_id": {"value": "f"}, "agent_id": {"value": "agent-1"},
           "hostname": "host-1", "url": {"scheme": "http", "path": "/slave(1)", "address": {
               "hostname": "host-1", "ip": "10.0.0.1", "port": 5051}},
           "attributes": [
               {"name": "rack", "type": "TEXT", "text": {"value": "rack-1"}},
               {"name": "units", "type": "SCALAR", "scalar": {"value": 1234567}},
               {"name": "height", "type": "SCALAR", "scalar": {"value": 1.5}},
               {"name": "span", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 3}]}},
               {"name": "tags", "type": "SET", "set": {"item": ["a", "b"]}}],
           "unavailability": {"start": {"nanoseconds": 5 * 10**9}},
           "resources": [
               *map(translate.resource_out, own),
               {"name": "cpus", "type": "SCALAR", "scalar": {"value": 3.5}, "revocable": {}},
               {"name": "disk", "type": "SCALAR", "scalar": {"value": 1.0}, "shared": {}},
               translate.resource_out(drive("MOUNT")), translate.resource_out(drive("PATH"))]}
    message = json_format.ParseDict(raw, mesos.empty("mesos.v1.Offer"))
    found = translate.offer_in(mesos.as_json(message))
    assert (found.id, found.agent_id, found.host, found.ip) == (
        "o1", "agent-1", "host-1", "10.0.0.1")
    assert found.attributes == {"rack": "rack-1", "units": "1234567", "height": "1.5",
                                "span": "1-3", "tags": "a,b"}
    assert found.unavailable_from == 5.0
    assert list(map(by_labels, found.resources[:4])) == list(map(by_labels, own))
    assert [item.opaque for item in found.resources[4:]] == [True, True, False, False]
    assert [item.source for item in found.resources[6:]] == [
        ("MOUNT", "/mnt/disk1"), ("PATH", "/data1")]


def by_labels(resource: Resource) -> Resource:
    return replace(resource, reservations=tuple(
        replace(item, labels=tuple(sorted(item.labels))) for item in resource.reservations))


def test_a_resource_goes_out_as_it_came_in(mesos: MesosMessages) -> None:
    """Mesos takes back only what it has given: type, source, provider, every refinement."""
    raw = {"name": "disk", "type": "SCALAR", "scalar": {"value": 12.5},
           "provider_id": {"value": "p1"},
           "reservations": [{"type": "STATIC", "role": "acme"},
                            {"type": "DYNAMIC", "role": "acme/demo", "principal": "acme",
                             "labels": {"labels": [{"key": "a", "value": "b"}]}}],
           "disk": {"source": {"type": "MOUNT", "mount": {"root": "/m"}, "id": "i",
                               "profile": "fast"},
                    "persistence": {"id": "v1", "principal": "acme"},
                    "volume": {"mode": "RW", "container_path": "data"}}}
    mesos.parse("mesos.v1.Resource", raw)
    assert translate.resource_out(translate.resource_in(raw)) == raw


def test_what_an_offer_lacks_has_mesos_own_defaults() -> None:
    bare = translate.offer_in({"id": {"value": "o"}, "agent_id": {"value": "a"}})
    assert (bare.host, bare.ip, dict(bare.attributes), bare.resources) == ("", "", {}, ())
    with pytest.raises(KeyError):
        translate.offer_in({"id": {"value": "o"}})


def test_a_message_of_an_executor_is_understood() -> None:
    data = esaas_pb2.FromExecutor(node="node-1", seeds_generation=3).SerializeToString()
    assert translate.message_in(base64.b64encode(data).decode(), NOW) == ev.SeedsWritten(
        NOW, "node-1", 3)
    assert translate.message_in("###", NOW) is None
