"""Changes of a real cluster under continuous writes, told in order."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from esaas.framework.client import Refused
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre

from .service import Service, allocation, put, spec, url, wait_for
from .test_real_life import reserved_by_role, volumes
from .writer import writer

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """Four agents."""
    with temporary_data_centre(4, principals={"demo": "demo"}) as centre:
        yield centre


@pytest.fixture(scope="module")
def service(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that knows two versions, with a green cluster of four nodes."""
    directory: Path = tmp_path_factory.mktemp("service")
    with Service(box, directory, ("demo",), ("6.8.23", "7.17.29")).start() as found:
        found.client.post("/v1/clusters", spec("demo", "demo", 4))
        found.green("demo", 4)
        yield found


def test_a_setting_rolls_through_without_losing_a_document(service: Service) -> None:
    before = service.nodes("demo")
    body = service.show("demo")["spec"] | {
        "settings": {"indices.memory.index_buffer_size": "15%"}}
    dry = put(service, body, "?dry_run=true")
    assert sorted(dry["preview"]["restarts"]) == sorted(before)
    assert service.show("demo")["revision"] == 1
    with writer(service) as writing:
        put(service, body)
        wait_for("every node to have restarted", lambda: all(
            node["launch"] == 2 for node in service.nodes("demo").values()))
        service.green("demo", 4)
    writing.check(url(service))
    assert allocation(service) == {}
    after = service.nodes("demo")
    for same in ("http_address", "es_node_id", "host"):
        assert [node[same] for node in after.values()] == [
            node[same] for node in before.values()], same
    info = service.es("demo", "/_nodes/settings?flat_settings=true")["nodes"].values()
    assert {node["settings"]["indices.memory.index_buffer_size"] for node in info} == {"15%"}


def test_a_node_is_drained_before_it_goes(box: DataCentre, service: Service) -> None:
    with pytest.raises(Refused) as refused:
        service.client.post("/v1/clusters/demo/scale", {"group": "node", "count": 1})
    assert refused.value.status == 422
    with writer(service) as writing:
        service.client.post("/v1/clusters/demo/scale", {"group": "node", "count": 3})
        service.green("demo", 3)
    writing.check(url(service))
    assert sorted(service.nodes("demo")) == ["node-1", "node-2", "node-3"]
    assert allocation(service) == {}
    assert len(volumes(box, "demo/demo")) == 3
    settings = service.es("demo", "/_cluster/settings?flat_settings=true")
    assert settings["persistent"]["discovery.zen.minimum_master_nodes"] == "2"


def test_an_upgrade_rolls_from_6_to_7_under_writes(service: Service) -> None:
    body = service.show("demo")["spec"] | {"version": "7.17.29"}
    with writer(service) as writing:
        put(service, body)
        wait_for("every node to run the new version", lambda: all(
            node["version"] == "7.17.29" for node in service.nodes("demo").values()))
        service.green("demo", 3)
    writing.check(url(service))
    assert allocation(service) == {}


def test_masters_of_version_7_leave_the_voting_configuration_first(
        box: DataCentre, service: Service) -> None:
    with writer(service) as writing:
        service.client.post("/v1/clusters/demo/scale", {"group": "node", "count": 2})
        service.green("demo", 2)
    writing.check(url(service))
    found = service.es("demo", "/_cluster/state/metadata?filter_path="
                               "metadata.cluster_coordination")["metadata"]["cluster_coordination"]
    assert found.get("voting_config_exclusions", []) == []
    assert len(volumes(box, "demo/demo")) == 2
    service.client.delete("/v1/clusters/demo", confirm="demo")
    wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
    assert reserved_by_role(box) == {}
