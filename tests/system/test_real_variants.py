"""The other dialect, and the other kinds of disks, on real parts."""
from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from esaas.local import java
from esaas.local.datacentre import DataCentre
from esaas.local.fetch.elasticsearch import catalog, fetch_elasticsearch
from esaas.local.settings import Settings
from esaas.local.spec import AgentSpec, Disk, default_agents
from esaas.local.testing import FIRST_TASK_PORT, temporary_data_centre

from .service import Service, count_documents, index_documents, operations, run, spec, wait_for
from .test_real_life import volumes

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """Two agents, each with a PATH and a MOUNT disk beside its work directory."""
    agents = [AgentSpec(hostname=agent.hostname, ports=agent.ports, attributes=agent.attributes,
                        disks=(Disk(type="PATH", size_mb=8000), Disk(type="MOUNT", size_mb=3000)))
              for agent in default_agents(2, first_port=FIRST_TASK_PORT)]
    with temporary_data_centre(agents, principals={"demo": "demo"}) as centre:
        yield centre


@pytest.fixture(scope="module")
def service(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that knows both versions."""
    directory: Path = tmp_path_factory.mktemp("service")
    with Service(box, directory, ("demo",), ("6.8.23", "7.17.29")).start() as found:
        yield found


def test_version_7_forms_once_on_path_and_mount_disks(
        box: DataCentre, service: Service, shared: Path) -> None:
    shape = {"cpus": 0.5, "mem_mb": 768, "heap": {"mb": 256}, "roles": ["master", "data"]}
    repository = {"type": "fs", "settings": {"location": f"{shared}/{{cluster}}"}}
    body = spec("seven", "demo", snapshots={"repository": repository}) | {
        "version": "7.17.29", "groups": [
        shape | {"name": "path", "count": 1, "disk_type": "PATH", "disk_mb": 2000},
        shape | {"name": "mount", "count": 1, "disk_type": "MOUNT", "disk_mb": 2000}]}
    service.client.post("/v1/clusters", body)
    detail = service.green("seven", 2)
    sizes = {node["name"]: node["disk_mb"] for node in detail["nodes"]}
    assert sizes == {"path-1": 2000, "mount-1": 3000}, "a MOUNT disk is taken whole"
    assert len(volumes(box, "demo/seven")) == 2
    info = service.es("seven", "/_nodes/settings?flat_settings=true")["nodes"].values()
    for node in info:
        assert sorted(node["settings"]["node.roles"]) == ["data", "master"]
        founders = node["settings"]["cluster.initial_master_nodes"]
        assert sorted(founders) == ["mount-1", "path-1"]
        assert "discovery.zen.minimum_master_nodes" not in node["settings"]
    index_documents(service, "seven", 200)
    settings = service.es("seven", "/notes/_settings?flat_settings=true")["notes"]["settings"]
    assert settings["index.number_of_replicas"] == "1"


def test_a_restarted_node_of_version_7_never_founds_again(service: Service) -> None:
    before = service.nodes("seven")["path-1"]
    uuid = service.show("seven")["es"]["cluster_uuid"]
    os.kill(before["pid"], signal.SIGKILL)
    wait_for("another start of path-1", lambda: service.nodes("seven")["path-1"]["launch"] == 2)
    service.green("seven", 2)
    detail = service.show("seven")
    assert detail["es"]["cluster_uuid"] == uuid
    info = service.es("seven", "/_nodes/path-1/settings?flat_settings=true")["nodes"].values()
    assert all("cluster.initial_master_nodes" not in node["settings"] for node in info)
    assert count_documents(service, "seven") == 200


def test_snapshots_of_version_7_are_made_drilled_and_restored(service: Service) -> None:
    wait_for("its own first snapshot", lambda: any(
        one["status"] == "done" for one in operations(service, "expire_snapshots", "seven")), 300)
    made = run(service, "snapshot", "seven")
    assert made["status"] == "done", made["message"]
    drilled = run(service, "restore_drill", "seven")
    assert drilled["status"] == "done" and "200 documents" in drilled["message"]
    restored = run(service, "restore", "seven", snapshot=made["parameters"]["snapshot"],
                   index="notes")
    assert restored["status"] == "done", restored["message"]
    assert count_documents(service, "seven", "restored-notes") == 200


def test_its_disks_are_free_again_after_a_deletion(box: DataCentre, service: Service) -> None:
    service.client.delete("/v1/clusters/seven", confirm="seven")
    wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
    assert volumes(box, "demo/seven") == []


@pytest.mark.skipif(java.at_least(21) is None, reason="Elasticsearch 9 needs a JDK of 21 or later")
def test_version_9_forms_and_restarts_where_a_jdk_21_is_found(
        service: Service, box: DataCentre) -> None:
    fetch_elasticsearch(Settings.load().cache, "9.5.3")
    service.distributions.write_text(json.dumps(catalog(Settings.load().cache)))
    assert service.stop() == 0
    service.start()
    body = spec("nine", "demo", 2) | {"version": "9.5.3"}
    body["groups"][0] |= {"mem_mb": 1024}
    service.client.post("/v1/clusters", body)
    service.green("nine", 2)
    service.client.post("/v1/clusters/nine/nodes/node-2/restart")
    wait_for("node-2 to have restarted", lambda: service.nodes("nine")["node-2"]["launch"] == 2)
    detail = service.green("nine", 2)
    assert {node["version"] for node in detail["nodes"]} == {"9.5.3"}
    service.client.delete("/v1/clusters/nine", confirm="nine")
    wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
