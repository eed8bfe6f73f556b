"""What Mesos tells others of a node."""
from __future__ import annotations

from dataclasses import replace

from esaas.framework.core.config import fingerprint, parts
from esaas.framework.core.facts import NodeState
from esaas.framework.core.launch import launch
from esaas.framework.mesos.discovery import discovery_info

from .builders import formed, group, record, scalars, spec

KIBANA = group("kibana", 1, kind="sidecar", roles=[], command="kibana", mem_mb=512)


def test_nodes_of_a_cluster_share_its_name() -> None:
    state = formed()
    found = discovery_info(launch(state, state.nodes["node-2"], scalars()).payload)
    labels = {item["key"]: item["value"] for item in found.pop("labels")["labels"]}
    assert labels == {"esaas.cluster": "demo", "esaas.node": "node-2", "esaas.tenant": "acme",
                      "esaas.secured": "false", "esaas.roles": "master,data"}
    assert found == {
        "visibility": "CLUSTER", "name": "demo", "environment": "acme", "version": "6.8.23",
        "location": "rack-2", "ports": {"ports": [
            {"number": 31000, "name": "http", "protocol": "tcp", "visibility": "CLUSTER"},
            {"number": 31001, "name": "transport", "protocol": "tcp", "visibility": "CLUSTER"}]}}


def test_a_sidecar_has_a_name_beside_it_and_a_port_only_where_it_listens() -> None:
    for listens in (True, False):
        state = formed(wanted=spec(group(), KIBANA | {"listens": listens}))
        state = state.with_node(record("kibana-1", NodeState.LAUNCHING))
        found = discovery_info(launch(state, state.nodes["kibana-1"], scalars()).payload)
        assert found["name"] == "kibana-demo" and "version" not in found
        assert [port["name"] for port in found["ports"]["ports"]] == ["http"] * listens


def test_without_a_rack_there_is_no_location() -> None:
    state = formed()
    payload = launch(state, state.nodes["node-1"], scalars()).payload
    assert "location" not in discovery_info(replace(payload, attributes=(), awareness=()))


def test_neither_discovery_nor_virtual_ports_make_a_running_node_outdated() -> None:
    plain, wished = spec(), spec(virtual_port=20000, virtual_roles=["data"])
    assert fingerprint(plain, plain.groups[0]) == fingerprint(wished, wished.groups[0])
    assert not {"virtual_port", "virtual_roles", "discovery"} & parts(
        wished, wished.groups[0]).keys()
