"""The one-file executor runs real secured nodes; strangers stay outside."""
from __future__ import annotations

import asyncio
import hashlib
import http.client
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from esaas.framework.elastic.client import EsAccess, EsClient, EsUnavailable
from esaas.framework.proto import esaas_pb2
from esaas.framework.service.certificates import (
    PEOPLE_USER,
    SERVICE_USER,
    Authority,
    issue,
    make_authority,
)
from executor_helpers import launch_of, poll, task_of

START_S = 240.0
VERSIONS = [pytest.param("6.8.23", id="6.8"), pytest.param("7.17.29", id="7.17")]


@pytest.fixture
def secured(agent, start_executor, real_zip, real_cache):
    """Launches a real node of a version; gives executor, launch, status and authority."""
    def start(version: str, masters: int = 1):
        path = real_zip(int(version.partition(".")[0]))
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        executor = start_executor(ESAAS_CACHE_DIR=str(real_cache))
        launch = launch_of(path.as_uri(), sha256, version)
        if masters > 1:
            launch.bootstrap.minimum_master_nodes = masters
        authority = make_authority("tests", "uid1", time.time())
        made = issue(authority, launch.node, ["127.0.0.1", launch.node, "localhost"], 30,
                     time.time())
        launch.tls.CopyFrom(esaas_pb2.Tls(
            ca=authority.certificate.encode(), certificate=made.certificate, key=made.key,
            password=authority.password, service_password=authority.service_password))
        agent.launch(task_of(launch))
        agent.wait(lambda: {"TASK_RUNNING", "TASK_FAILED"} & set(agent.states()), START_S)
        assert "TASK_FAILED" not in agent.states(), agent.wait_state("TASK_FAILED")
        status = agent.wait_state("TASK_RUNNING")
        executor.pids.append(status.pid)
        return executor, launch, status, authority

    return start


def asked(launch, access: EsAccess | None, major: int, path: str = "/_cluster/health") -> dict:
    """What the service's own client gets."""
    async def ask() -> dict:
        client = EsClient(major, [f"127.0.0.1:{launch.http_port}"], access)
        try:
            return await client.request("GET", path)
        finally:
            await client.close()

    return asyncio.run(ask())


def status_without_a_user(launch, ca_pem: str) -> int:
    """The HTTP status of a request over TLS that names no user."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1", launch.http_port, timeout=30,
        context=ssl.create_default_context(cadata=ca_pem))
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.filterwarnings("ignore:.*unable to verify that the server.*")  # a wrong password
def test_a_secured_node_lets_in_who_trusts_its_authority_and_knows_a_password(
        secured, agent, version):
    executor, launch, status, authority = secured(version)
    major = int(version[0])
    assert status.es_node_id and status.version == version
    for user, password in ((SERVICE_USER, authority.service_password),
                           (PEOPLE_USER, authority.password)):
        access = EsAccess(authority.certificate, user, password)
        poll(lambda access=access: asked(launch, access, major)["status"] == "green", 120)
    assert status_without_a_user(launch, authority.certificate) == 401
    with pytest.raises(EsUnavailable) as wrong:
        asked(launch, EsAccess(authority.certificate, PEOPLE_USER, "another"), major)
    assert wrong.value.status == 401
    plain_client_is_refused(launch, major)
    other = make_authority("tests", "uid2", time.time())
    with pytest.raises(EsUnavailable, match="(?i)certificate") as refused:
        asked(launch, EsAccess(other.certificate, PEOPLE_USER, authority.password), major)
    assert authority.password not in str(refused.value)
    nothing_is_shown(executor, authority, launch)
    agent.kill("task-1")
    assert agent.wait_state("TASK_KILLED", 120).exit_code in (0, 143)
    assert executor.wait() == 0


def plain_client_is_refused(launch, major: int) -> None:
    """Neither our client without an access nor plain HTTP gets an answer of the node."""
    with pytest.raises(EsUnavailable):
        asked(launch, None, major)
    connection = http.client.HTTPConnection("127.0.0.1", launch.http_port, timeout=30)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.request("GET", "/")
        connection.getresponse()
    connection.close()


def nothing_is_shown(executor, authority: Authority, launch) -> None:
    """Secrets are in files that only the node's user reads, and in no log, argv or environment."""
    config = executor.sandbox / "config"
    assert (config / "node.key").stat().st_mode & 0o777 == 0o600
    assert (config / "users").stat().st_mode & 0o777 == 0o600
    known = [item.encode() for item in (
        authority.password, authority.service_password, authority.key)]
    known.append(bytes(launch.tls.key))
    logs = [executor.sandbox / "stderr", executor.sandbox / "console.log",
            *(executor.sandbox / "logs").iterdir()]
    for path in [*logs, config / "elasticsearch.yml", config / "users"]:
        content = path.read_bytes()
        assert not [item for item in known if item in content], path
    [pid] = executor.pids
    for process in (executor.process.pid, pid):
        for name in ("cmdline", "environ"):
            content = Path(f"/proc/{process}/{name}").read_bytes()
            assert not [item for item in known if item in content], (process, name)


@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_secured_node_without_a_master_is_running_too(secured):
    """The service's own user is in a file of the node, so no index has to be there."""
    _, launch, status, authority = secured("6.8.23", masters=2)
    assert status.es_node_id
    access = EsAccess(authority.certificate, SERVICE_USER, authority.service_password)
    assert asked(launch, access, 6, "/_nodes/_local")["nodes"].keys() == {status.es_node_id}


def test_certificates_are_for_a_node_and_its_authority_alone():
    authority = make_authority("tests", "uid1", time.time())
    made = issue(authority, "node-1", ["10.0.0.1", "node-1", "host-1"], 30, time.time())
    certificate = x509.load_pem_x509_certificate(made.certificate)
    certificate.verify_directly_issued_by(
        x509.load_pem_x509_certificate(authority.certificate.encode()))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["node-1", "host-1"]
    assert [str(item) for item in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life.days == 30 and "PRIVATE" not in repr(authority) + repr(made)
