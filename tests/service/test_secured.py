"""Secured clusters in the service: what is stored, who learns what, and what is refused."""
from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from esaas.framework.core.launch import payload as payload_of
from esaas.framework.runtime.cycle import Cycle
from esaas.framework.service import certificates
from esaas.framework.service.clusters import Clusters
from esaas.framework.service.errors import Conflict, Invalid, NotFound, Unavailable
from esaas.framework.service.vault import VaultError
from esaas.framework.settings import Settings
from esaas.framework.store.contract import StoreError
from esaas.framework.store.sqlite import SqliteStore

from ..core.builders import record
from .test_clusters import SPEC, settings

__all__ = ["settings"]

SECURED: dict[str, Any] = SPEC | {"security": {"enabled": True, "certificate_days": 30}}


@pytest.fixture
async def clusters(settings: Settings) -> AsyncIterator[Clusters]:
    """A started service with one secured cluster."""
    found = Clusters(settings)
    await found.start()
    await found.create(SECURED)
    yield found
    await found.stop()


def contents(directory: Path) -> bytes:
    """Everything that is stored."""
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


async def test_a_password_is_told_to_who_asks_and_the_asking_is_recorded(
        clusters: Clusters) -> None:
    found = await clusters.credentials("demo")
    assert (found.user, len(found.password)) == ("elastic", 32)
    assert found.password not in repr(found)
    ca = x509.load_pem_x509_certificate(found.ca_certificate.encode())
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (await clusters.credentials("demo")).password == found.password
    events = await clusters.events("demo")
    assert "credentials_shown" in {event.kind for event in events}
    told = "".join(event.model_dump_json() for event in events) + (
        clusters.show("demo").model_dump_json())
    assert found.password not in told and "PRIVATE KEY" not in told


async def test_nothing_is_stored_in_the_clear(clusters: Clusters) -> None:
    loop = clusters._loops["demo"]
    authority = clusters._vault.authority(loop.cycle)
    await clusters.rotate_certificates("demo")
    stored = contents(clusters.settings.state_dir)
    assert b'"generation":' in stored, "the facts are there"
    for hidden in (authority.password, authority.service_password, authority.key[40:100],
                   authority.key.splitlines()[1]):
        assert hidden.encode() not in stored


async def test_authority_and_passwords_are_those_of_before_after_a_restart(
        settings: Settings) -> None:
    first = Clusters(settings)
    await first.start()
    await first.create(SECURED)
    told = await first.credentials("demo")
    await first.stop()
    second = Clusters(settings)
    await second.start()
    assert await second.credentials("demo") == told
    assert second.show("demo").secured and second.list_clusters()[0].secured
    await second.stop()


async def test_a_store_that_refuses_leaves_no_half_of_a_cluster(
        clusters: Clusters, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[set[str]] = []
    write = SqliteStore.write

    def refusing(self: SqliteStore, lease: Any, changes: Any, entries: Any = ()) -> Any:
        writes.append({change.path for change in changes})
        raise StoreError("no")

    monkeypatch.setattr(SqliteStore, "write", refusing)
    with pytest.raises(Unavailable):
        await clusters.create(SECURED | {"name": "other"})
    monkeypatch.setattr(SqliteStore, "write", write)
    wanted = {"clusters/other/meta", "clusters/other/tls"}
    assert wanted <= next(paths for paths in writes if "clusters/other/meta" in paths), (
        "both are in one transaction")
    assert clusters._store.read("clusters/other") == {}
    assert (await clusters.create(SECURED | {"name": "other"})).changed


async def test_each_launch_gets_a_certificate_of_its_own(clusters: Clusters) -> None:
    cycle = clusters._loops["demo"].cycle
    node = record("node-1")
    wanted = payload_of(cycle.state, node, cycle.state.spec.groups[0])
    one, two = (clusters._supply(cycle, wanted).tls for _ in range(2))
    assert one is not None and two is not None and one.key != two.key
    ca = x509.load_pem_x509_certificate(one.ca)
    made = x509.load_pem_x509_certificate(one.certificate)
    made.verify_directly_issued_by(ca)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(item.value) for item in names] == ["10.0.0.1", "node-1", "host-1"]
    life = made.not_valid_after_utc.timestamp() - time.time()
    assert 29.9 * 86400 < life <= 30 * 86400
    shown = await clusters.credentials("demo")
    assert one.password == shown.password and one.ca.decode() == shown.ca_certificate


async def test_a_certificate_never_outlives_its_authority() -> None:
    now = time.time()
    authority = certificates.make_authority("demo", "u", now)
    late = now + (certificates.AUTHORITY_DAYS - 1) * 86400
    made = x509.load_pem_x509_certificate(
        certificates.issue(authority, "node-1", ["10.0.0.1"], 30, late).certificate)
    ca = x509.load_pem_x509_certificate(authority.certificate.encode())
    assert made.not_valid_after_utc == ca.not_valid_after_utc


async def test_the_service_asks_as_its_own_user(clusters: Clusters) -> None:
    cycle = clusters._loops["demo"].cycle
    access = clusters._access(cycle)
    told = await clusters.credentials("demo")
    assert access is not None and access.user == "esaas"
    assert access.password != told.password and access.password not in repr(access)
    await clusters.create(SPEC | {"name": "plain"})
    assert clusters._access(clusters._loops["plain"].cycle) is None


async def test_certificates_are_rotated_on_request(clusters: Clusters) -> None:
    before = clusters.show("demo").certificates_rotate_at
    assert before == pytest.approx(time.time() + 20 * 86400, abs=60)
    assert (await clusters.rotate_certificates("demo")).changed
    tls = clusters._loops["demo"].state.tls
    assert tls is not None and tls.generation == 2
    after = clusters.show("demo").certificates_rotate_at
    assert before is not None and after is not None and after > before


async def test_who_is_not_secured_has_no_credentials(clusters: Clusters) -> None:
    await clusters.create(SPEC | {"name": "plain"})
    for ask in (clusters.credentials, clusters.rotate_certificates):
        with pytest.raises(Conflict) as refused:
            await ask("plain")
        assert [fault.rule for fault in refused.value.faults] == ["cluster_is_secured"]
        with pytest.raises(NotFound):
            await ask("nobody")
    detail = clusters.show("plain")
    assert not detail.secured and detail.certificates_rotate_at is None


async def test_security_is_for_life(clusters: Clusters) -> None:
    await clusters.create(SPEC | {"name": "plain"})
    for name, enabled in (("demo", False), ("plain", True)):
        other = SPEC | {"name": name, "security": {"enabled": enabled}}
        with pytest.raises(Conflict) as refused:
            await clusters.update(name, other)
        assert "security_is_for_life" in {fault.rule for fault in refused.value.faults}
        with pytest.raises(Invalid, match="cannot be overridden"):
            await clusters.update(name, other, override="security_is_for_life")


async def test_a_secured_cluster_is_nobodys_remote_cluster(clusters: Clusters) -> None:
    with pytest.raises(Invalid) as refused:
        await clusters.create(SPEC | {"name": "plain", "remotes": [
            {"name": "there", "cluster": "demo"}]})
    assert [(fault.path, fault.rule) for fault in refused.value.faults] == [
        ("remotes[0].cluster", "remote_is_not_secured")]


@pytest.mark.parametrize("key", ["bootstrap.password", "xpack.security.http.ssl.keystore.password"])
async def test_what_the_service_puts_into_the_keystore_is_not_peoples(
        clusters: Clusters, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        await clusters.set_secrets("demo", {key: "hush-hush"})
    assert [(fault.path, fault.rule) for fault in refused.value.faults] == [(key, "secret_name")]
    assert "hush-hush" not in str(refused.value)
    assert (await clusters.set_secrets("demo", {"s3.client.default.access_key": "k"})).changed


async def test_nothing_of_it_is_left_when_the_cluster_is_forgotten(clusters: Clusters) -> None:
    cycle = clusters._loops["demo"].cycle
    await clusters.hand_over("demo")
    lease = clusters._store.acquire("demo", "test")
    again = Cycle.load(clusters._store, lease, "demo", clusters._store.read("clusters/demo"))
    assert clusters._vault.authority(again) == clusters._vault.authority(cycle)
    again.forget()
    assert clusters._store.read("clusters/demo") == {}


async def test_a_lost_authority_is_told_and_makes_no_new_one(clusters: Clusters) -> None:
    cycle = clusters._loops["demo"].cycle
    lost = Cycle(replace(cycle.state), cycle.store, cycle.lease, type(cycle.book)("demo", {}))
    with pytest.raises(VaultError, match="demo has no certificate authority"):
        clusters._access(lost)
    wanted = payload_of(cycle.state, record("node-1"), cycle.state.spec.groups[0])
    with pytest.raises(VaultError):
        clusters._supply(lost, wanted)
