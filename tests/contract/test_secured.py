"""What the parts must agree on about secured clusters: reserved names, and what crosses Mesos."""
from __future__ import annotations

import base64
import re
import time

import pytest
from esaas.executor import dialect, payload, security
from esaas.framework.core.launch import payload as payload_of
from esaas.framework.core.spec import SECURED_FILES, SECURED_SETTINGS
from esaas.framework.elastic.client import EsAccess, EsClient, EsUnavailable
from esaas.framework.mesos import translate
from esaas.framework.proto import esaas_pb2
from esaas.framework.service import certificates

from ..core.builders import formed, group, record, spec

SECURED = {"security": {"enabled": True}}


def supply() -> translate.Supply:
    authority = certificates.make_authority("demo", "uid1", time.time())
    made = certificates.issue(authority, "node-1", ["10.0.0.1", "node-1"], 30, time.time())
    return translate.Supply("http://es/x.zip", "0" * 64, tls=translate.TlsSupply(
        authority.certificate.encode(), made.certificate, made.key, authority.password,
        authority.service_password))


@pytest.mark.parametrize("version", ["6.8.23", "7.17.29", "9.5.3"])
def test_what_secures_a_node_is_what_the_executor_takes(version: str) -> None:
    state = formed(wanted=spec(version=version, **SECURED))
    given = supply()
    sent = payload_of(state, record(), state.spec.groups[0])
    data = translate.launch_data(sent, given)
    launch = payload.read_launch({"data": data})
    assert given.tls is not None
    assert (launch.tls.ca, launch.tls.certificate, launch.tls.key) == (
        given.tls.ca, given.tls.certificate, given.tls.key)
    assert (launch.tls.password, launch.tls.service_password) == (
        given.tls.password, given.tls.service_password)
    shown = repr(given)
    for hidden in (given.tls.password, given.tls.service_password, given.tls.key.decode()[40:80]):
        assert hidden not in shown


def test_a_launch_without_security_says_nothing_of_it() -> None:
    state = formed()
    data = translate.launch_data(payload_of(state, record(), state.spec.groups[0]),
                                 translate.Supply("http://es/x.zip", "0" * 64))
    launch = esaas_pb2.NodeLaunch()
    launch.ParseFromString(base64.b64decode(data))
    assert not launch.HasField("tls")


def test_a_sidecar_of_a_secured_cluster_is_taken_with_the_authority_alone() -> None:
    sidecar = {"name": "kibana", "kind": "sidecar", "count": 1, "command": "run"}
    state = formed(wanted=spec(group(), sidecar, **SECURED))
    given = supply()
    assert given.tls is not None
    sent = payload_of(state, record("kibana-1"), state.spec.groups[1])
    launch = payload.read_launch({"data": translate.launch_data(
        sent, translate.Supply(tls=translate.TlsSupply(given.tls.ca)))})
    assert launch.tls.ca == given.tls.ca and not launch.tls.key


@pytest.mark.parametrize("key", [
    "xpack.security.enabled", "xpack.security.http.ssl.key", "xpack.ssl.key", "xpack.ml.enabled",
    "xpack.securityx", "xpack.ssl", "a.xpack.ssl.key"])
def test_service_and_executor_reserve_the_same_settings(key: str) -> None:
    assert bool(re.fullmatch(SECURED_SETTINGS, key)) is dialect.is_reserved(key, secured=True)
    assert not dialect.is_reserved(key)


def test_all_settings_of_a_secured_node_are_reserved() -> None:
    for version in ("6.8.23", "7.17.29", "9.5.3"):
        for key, _ in dialect.dialect_of(version).security:
            assert re.fullmatch(SECURED_SETTINGS, key)


def test_service_and_executor_agree_on_names() -> None:
    assert set(SECURED_FILES) == set(payload.SECURED_FILES)
    assert certificates.SERVICE_USER == security.SERVICE_USER


@pytest.mark.parametrize("major", [6, 9])
async def test_the_client_speaks_tls_as_a_user_and_shows_no_password(
        major: int, unused_tcp_port: int) -> None:
    authority = certificates.make_authority("demo", "uid1", time.time())
    access = EsAccess(authority.certificate, "esaas", "hush-hush")
    assert "hush-hush" not in repr(access)
    client = EsClient(major, [f"127.0.0.1:{unused_tcp_port}"], access)
    try:
        with pytest.raises(EsUnavailable) as refused:
            await client.request("GET", "/")
    finally:
        await client.close()
    assert "hush-hush" not in str(refused.value) + repr(refused.value.__cause__)
    assert "hush-hush" not in repr(client._client)
