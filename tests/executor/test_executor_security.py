"""What secures a node: settings by version, files, users, and the probe over TLS."""
from __future__ import annotations

import base64
import hashlib
import http.server
import json
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from esaas.executor import config, payload, preparation, probe, security, sidecar
from esaas.executor.config import ConfigError
from esaas.framework.proto import esaas_pb2
from esaas.framework.service.certificates import issue, make_authority
from executor_helpers import launch_of

URL, SHA256 = "file:///es.zip", "0" * 64
AUTHORITY = make_authority("tests", "uid1", time.time())
NAME = "tests-data-0"


def tls_of(*names: str) -> esaas_pb2.Tls:
    """What the service gives to a node that is reached by these names."""
    made = issue(AUTHORITY, NAME, names or ("127.0.0.1", NAME), 30, time.time())
    return esaas_pb2.Tls(
        ca=AUTHORITY.certificate.encode(), certificate=made.certificate, key=made.key,
        password=AUTHORITY.password, service_password=AUTHORITY.service_password)


def secured_launch(version: str = "6.8.23", **settings: str) -> esaas_pb2.NodeLaunch:
    launch = launch_of(URL, SHA256, version, **settings)
    launch.tls.CopyFrom(tls_of())
    return launch


OURS = {
    "xpack.security.enabled": True,
    "xpack.security.transport.ssl.enabled": True,
    "xpack.security.transport.ssl.verification_mode": "certificate",
    "xpack.security.transport.ssl.key": "node.key",
    "xpack.security.transport.ssl.certificate": "node.crt",
    "xpack.security.transport.ssl.certificate_authorities": ["ca.crt"],
    "xpack.security.http.ssl.enabled": True,
    "xpack.security.http.ssl.key": "node.key",
    "xpack.security.http.ssl.certificate": "node.crt",
    "xpack.security.http.ssl.certificate_authorities": ["ca.crt"]}
SINCE_8 = {"xpack.security.autoconfiguration.enabled": False,
           "xpack.security.enrollment.enabled": False}


@pytest.mark.parametrize(("version", "wanted"), [
    ("6.8.23", OURS), ("7.1.0", OURS), ("7.17.29", OURS), ("8.19.1", OURS | SINCE_8),
    ("9.5.3", OURS | SINCE_8)])
def test_each_version_is_secured_in_its_own_words(
        tmp_path: Path, version: str, wanted: dict[str, object]) -> None:
    written = config.node_settings(secured_launch(version), tmp_path, tmp_path, ["x-pack-core"])
    assert {key: value for key, value in written.items()
            if key.startswith("xpack.security")} == wanted


def test_a_distribution_that_cannot_be_secured_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="6.8.23 has no x-pack"):
        config.node_settings(secured_launch(), tmp_path, tmp_path, ["transport-netty4"])


def test_files_and_the_service_user_are_for_the_node_alone(tmp_path: Path) -> None:
    tls = tls_of()
    for _ in range(2):                  # a second start writes them anew
        security.write(tls, tmp_path)
    found = {path.name: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
             for path in tmp_path.iterdir()}
    assert found["ca.crt"] == (tls.ca, 0o640) and found["node.crt"] == (tls.certificate, 0o640)
    assert found["node.key"] == (tls.key, 0o600)
    assert found["users_roles"] == (b"superuser:esaas\n", 0o600)
    content, mode = found["users"]
    user, _, password = content.decode().strip().partition(":")
    assert (user, mode) == ("esaas", 0o600) and tls.service_password not in content.decode()
    rounds, salt, key = password.removeprefix("{PBKDF2}").split("$")
    assert base64.b64decode(key) == hashlib.pbkdf2_hmac(
        "sha512", tls.service_password.encode(), base64.b64decode(salt), int(rounds), 32)
    assert found.keys() == set(payload.SECURED_FILES)


FAULTS = [
    (lambda n: n.tls.ClearField("ca"), "tls.ca: is not a PEM text"),
    (lambda n: n.tls.ClearField("certificate"), "tls.certificate: is not a PEM text"),
    (lambda n: setattr(n.tls, "key", b"s3cret"), "tls.key: is not a PEM text"),
    (lambda n: setattr(n.tls, "password", "s3cret\n"), "tls.password: is not"),
    (lambda n: n.tls.ClearField("service_password"), "tls.service_password: is not"),
    (lambda n: n.settings.update({"xpack.security.enabled": "false"}),
     "settings: xpack.security.enabled is set by the service"),
    (lambda n: n.settings.update({"xpack.ssl.key": '"k"'}), "settings: xpack.ssl.key is set"),
    (lambda n: n.secure_settings.update({"bootstrap.password": "s3cret"}),
     "secure_settings: bootstrap.password is set"),
    (lambda n: n.files.add(path="node.key"), "files: node.key is written"),
    (lambda n: n.files.add(path="users/x"), "files: users/x is written")]


@pytest.mark.parametrize(("change", "told"), FAULTS)
def test_each_fault_is_told_without_values(change, told: str) -> None:
    launch = secured_launch()
    assert payload.launch_faults(launch) == []
    change(launch)
    [fault] = payload.launch_faults(launch)
    assert fault.startswith(told) and "s3cret" not in fault


@pytest.mark.parametrize("change", [change for change, told in FAULTS[5:]])
def test_without_security_that_is_peoples_own(change) -> None:
    launch = launch_of(URL, SHA256)
    change(launch)
    assert payload.launch_faults(launch) == []


# -- the probe --------------------------------------------------------------------------------

class StandInNode(http.server.BaseHTTPRequestHandler):
    """Answers as a node to who knows the service's password."""

    def do_GET(self) -> None:
        pair = base64.b64encode(f"esaas:{AUTHORITY.service_password}".encode()).decode()
        known = self.headers.get("Authorization") == f"Basic {pair}"
        body = json.dumps({"nodes": {"id-1": {"name": NAME, "version": "6.8.23"}}}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[int]:
    """The port of a stand-in that speaks TLS with a certificate for 127.0.0.1."""
    security.write(tls_of(), tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "node.crt", tmp_path / "node.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StandInNode)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    serving.join(60)


def test_the_probe_knows_its_node(node: int) -> None:
    found = probe.ask("127.0.0.1", node, NAME, access=security.access_of(tls_of()))
    assert found.identity is not None and found.identity.es_node_id == "id-1", found.problem


def test_a_probe_that_is_not_let_in_has_seen_no_node(node: int) -> None:
    tls = tls_of()
    tls.service_password = "another"
    found = probe.ask("127.0.0.1", node, NAME, access=security.access_of(tls))
    assert (found.identity, found.problem) == (None, "HTTP status 401")


def test_a_node_of_another_authority_is_not_told_the_password(node: int) -> None:
    tls = tls_of()
    tls.ca = make_authority("tests", "uid2", time.time()).certificate.encode()
    found = probe.ask("127.0.0.1", node, NAME, access=security.access_of(tls))
    assert found.identity is None and "CERTIFICATE_VERIFY_FAILED" in found.problem
    assert tls.service_password not in found.problem + repr(security.access_of(tls))


def test_plain_http_finds_nobody(node: int) -> None:
    assert probe.ask("127.0.0.1", node, NAME).identity is None


# -- sidecars ---------------------------------------------------------------------------------

def sidecar_launch() -> esaas_pb2.NodeLaunch:
    return esaas_pb2.NodeLaunch(
        cluster="tests", node="tests-side-0", bind_host="127.0.0.1", http_port=1,
        transport_port=2, data_path="data", sidecar=esaas_pb2.Sidecar(command="run"),
        tls=esaas_pb2.Tls(ca=AUTHORITY.certificate.encode()))


def test_a_sidecar_learns_whom_to_trust_and_nothing_else(tmp_path: Path) -> None:
    launch = sidecar_launch()
    assert payload.launch_faults(launch) == []
    launch.tls.password = "s3cret"
    assert payload.launch_faults(launch) == ["tls.password: a sidecar has none"]
    launch = sidecar_launch()
    (tmp_path / "data").mkdir()
    prepared = preparation._sidecar(launch, tmp_path, {})
    path = Path(prepared.environment["ESAAS_ES_CA_FILE"])
    assert path.read_bytes() == launch.tls.ca
    launch.ClearField("tls")
    assert "ESAAS_ES_CA_FILE" not in sidecar.environment(launch, {}, tmp_path, tmp_path)
