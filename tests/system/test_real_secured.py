"""A real secured cluster, told in order: each test goes on where the one before ended."""
from __future__ import annotations

import ssl
import urllib.error
from typing import Any

import pytest
from cryptography import x509
from esaas.framework.client import Refused
from esaas.local.datacentre import DataCentre

from .service import Access, Service, es_request, spec, wait_for
from .test_real_life import reserved_by_role, volumes
from .writer import Writer

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]
C = "/v1/clusters/safe"
NAMES = ("node-1", "node-2", "node-3")


@pytest.fixture(scope="module")
def access(service: Service) -> Access:
    """A secured cluster of three nodes, and how people get into it."""
    service.client.post("/v1/clusters", spec(
        "safe", "demo", 3, security={"enabled": True, "certificate_days": 30}))
    service.green("safe", 3)
    found = service.client.post(f"{C}/credentials")
    return Access(found["ca_certificate"], found["user"], found["password"])


def urls(service: Service) -> list[str]:
    """The addresses of all nodes."""
    return [f"https://{node['http_address']}" for node in service.nodes("safe").values()]


def certificates(service: Service) -> dict[str, x509.Certificate]:
    """What each node shows to a client, by node."""
    found = {}
    for name, node in service.nodes("safe").items():
        host, _, port = node["http_address"].rpartition(":")
        found[name] = x509.load_pem_x509_certificate(
            ssl.get_server_certificate((host, int(port))).encode())
    return found


def test_a_secured_cluster_becomes_green_and_keeps_strangers_out(
        service: Service, access: Access) -> None:
    detail = service.show("safe")
    assert detail["secured"] and all(
        url.startswith("https://") for url in detail["endpoints"]["http"])
    [url, *_] = detail["endpoints"]["http"]
    assert es_request(url, "/_cluster/health", access=access)["number_of_nodes"] == 3
    settings = es_request(url, "/_nodes/settings?flat_settings=true", access=access)
    for node in settings["nodes"].values():
        assert node["settings"]["xpack.security.transport.ssl.enabled"] == "true"
    with pytest.raises(urllib.error.HTTPError) as wrong:
        es_request(url, "/", access=Access(access.ca_certificate, access.user, "another"))
    assert wrong.value.code == 401
    with pytest.raises(urllib.error.URLError, match="(?i)certificate"):
        es_request(url, "/")                    # trusts the authorities of the system
    with pytest.raises((OSError, ValueError)):
        es_request(url.replace("https://", "http://"), "/")


def test_each_node_has_a_certificate_of_its_own_from_the_clusters_authority(
        service: Service, access: Access) -> None:
    authority = x509.load_pem_x509_certificate(access.ca_certificate.encode())
    found = certificates(service)
    assert set(found) == set(NAMES)
    assert len({item.serial_number for item in found.values()}) == 3
    for item in found.values():
        item.verify_directly_issued_by(authority)


def test_the_password_is_nowhere_but_in_the_answer(
        box: DataCentre, service: Service, access: Access) -> None:
    shown = str(service.show("safe")) + str(service.client.get(f"{C}/events"))
    assert access.password not in shown and "credentials_shown" in shown
    assert access.password not in service.log.read_text()
    assert access.password not in str(box.master_state())
    for path in (service.directory / "state").rglob("*"):
        if path.is_file():
            assert access.password.encode() not in path.read_bytes(), path


def test_new_certificates_roll_through_while_documents_are_written(
        box: DataCentre, service: Service, access: Access) -> None:
    before, nodes = certificates(service), service.nodes("safe")
    held = volumes(box, "demo/safe")
    addresses = urls(service)
    with Writer(lambda: addresses, access=access) as writing:
        service.client.post(f"{C}/rotate-certificates")
        wait_for("every node to have started again", lambda: all(
            node["launch"] == nodes[name]["launch"] + 1
            for name, node in service.nodes("safe").items()), 600)
        service.green("safe", 3)
    writing.check(addresses[0])
    after = certificates(service)
    for name in NAMES:
        assert after[name].serial_number != before[name].serial_number, name
        assert service.nodes("safe")[name]["es_node_id"] == nodes[name]["es_node_id"]
    assert volumes(box, "demo/safe") == held


def test_a_killed_service_finds_its_secured_cluster_again(
        service: Service, access: Access) -> None:
    service.kill()
    service.start()
    service.green("safe", 3)
    found: dict[str, Any] = service.client.post(f"{C}/credentials")
    assert found["password"] == access.password
    assert found["ca_certificate"] == access.ca_certificate


def test_security_is_for_life(service: Service, access: Access) -> None:
    with pytest.raises(Refused) as refused:
        service.client.put(C, spec("safe", "demo", 3))
    assert "security_is_for_life" in str(refused.value.body())


def test_deletion_leaves_nothing(box: DataCentre, service: Service, access: Access) -> None:
    service.client.delete(C, confirm="safe")
    wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
    assert reserved_by_role(box) == {}
    with pytest.raises(Refused) as refused:
        service.client.post(f"{C}/credentials")
    assert refused.value.status == 404
