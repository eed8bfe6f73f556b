"""Secured clusters in the core: what a spec may say, when certificates follow, what they do."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core import tls
from esaas.framework.core.apply import apply
from esaas.framework.core.config import fingerprint, outdated, wanted
from esaas.framework.core.decide import decide
from esaas.framework.core.facts import ClusterState, NodeRecord, Tls
from esaas.framework.core.launch import payload
from esaas.framework.core.spec import Security, SpecFaults, parse_spec

from .builders import NOW, body, formed, group, record, seat, spec, with_nodes

SECURED: dict[str, Any] = {"security": {"enabled": True, "certificate_days": 30}}
LIFE_S = 30 * tls.DAY_S


def secured(**more: Any) -> ClusterState:
    """Three ready nodes with certificates of generation 1, issued now."""
    state = formed(3, spec(group(), **SECURED, **more))
    state = replace(state, tls=tls.first(state.spec.security, NOW))
    return with_nodes(state, *(replace(item, config=wanted(state, item))
                               for item in state.nodes.values()))


@pytest.mark.parametrize(("more", "told"), [
    ({"version": "7.0.1"}, "7.1.0 and later"),
    ({"remotes": [{"name": "r", "seeds": ["10.0.0.1:9300"]}]}, "cannot search others"),
    ({"settings": {"xpack.security.enabled": True}}, "xpack.security.enabled"),
    ({"settings": {"xpack.ssl.key": "k"}}, "xpack.ssl.key"),
    ({"groups": [group(settings={"xpack.security.audit.enabled": True})]}, "audit"),
    ({"files": [{"path": "users", "content": "x"}]}, "files: written by the service itself"),
    ({"files": [{"path": "ca.crt/x", "content": "x"}]}, "ca.crt/x")])
def test_what_a_secured_cluster_cannot_be_is_told(more: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecFaults, match=told):
        parse_spec(body() | SECURED | more)
    assert parse_spec(body() | more), "without security it is nobody's business"


@pytest.mark.parametrize("days", [6, 826, 1.5])
def test_the_life_of_a_certificate_has_bounds(days: float) -> None:
    with pytest.raises(SpecFaults, match="certificate_days"):
        spec(security={"enabled": True, "certificate_days": days})


@pytest.mark.parametrize("version", ["6.8.0", "6.8.23", "7.1.0", "7.17.29", "8.0.0", "9.5.3"])
def test_all_versions_with_free_security_can_be_secured(version: str) -> None:
    assert spec(version=version, **SECURED).scheme == "https"


def test_an_unsecured_cluster_has_no_certificates_and_keeps_its_fingerprints() -> None:
    state = formed()
    assert state.tls is None and tls.due_at(state) is None
    assert apply(state, ev.TlsRotated(NOW)) == state
    assert apply(state, ev.CredentialsShown(NOW)) == state
    wanted_group = state.spec.groups[0]
    assert fingerprint(state.spec, wanted_group) == fingerprint(
        state.spec, wanted_group, state.secrets, state.tls)


def rotations(state: ClusterState, now: float) -> list[ev.Event]:
    return [event for operation in decide(state, (), now).operations
            for event in operation.intents if isinstance(event, ev.TlsRotated)]


def test_certificates_follow_after_two_thirds_of_their_life_and_outdate_every_node() -> None:
    state = secured()
    due = NOW + LIFE_S * 2 / 3
    assert tls.due_at(state) == pytest.approx(due)
    assert rotations(state, due - 1) == []
    assert len(rotations(state, due)) == 1
    after = decide(state, (), due).state
    assert after.tls is not None
    assert (after.tls.generation, after.tls.since) == (2, due)
    assert after.tls.rotate_at == pytest.approx(due + LIFE_S * 2 / 3)
    assert all(outdated(after, item) for item in after.nodes.values())
    assert rotations(after, due) == [], "decided twice, nothing more comes out"


def test_a_shorter_life_counts_from_the_last_generation_on() -> None:
    state = secured()
    shorter = replace(state, spec=state.spec.model_copy(
        update={"security": Security(enabled=True, certificate_days=7)}))
    assert tls.due_at(shorter) == pytest.approx(NOW + 7 * tls.DAY_S * 2 / 3)
    longer = replace(state, spec=state.spec.model_copy(
        update={"security": Security(enabled=True, certificate_days=800)}))
    assert tls.due_at(longer) == tls.due_at(state), "there may be nodes with short ones"
    assert not any(outdated(shorter, item) for item in shorter.nodes.values())


def test_a_cluster_that_is_being_deleted_is_left_alone() -> None:
    assert rotations(replace(secured(), deleting=True), NOW + LIFE_S) == []


def test_that_somebody_was_told_the_password_outdates_nothing() -> None:
    state = apply(secured(), ev.CredentialsShown(NOW + 5))
    assert state.tls == Tls(1, NOW, NOW + LIFE_S * 2 / 3, NOW + 5)
    assert not any(outdated(state, item) for item in state.nodes.values())


@pytest.mark.parametrize(("ip", "host", "names"), [
    ("10.0.0.1", "host-1", ("10.0.0.1", "node-1", "host-1")),
    ("127.0.0.1", "host-1", ("127.0.0.1", "node-1", "host-1", "localhost")),
    ("127.0.0.2", "localhost", ("127.0.0.2", "node-1", "localhost")),
    ("host-1", "host-1", ("host-1", "node-1"))])
def test_a_certificate_is_for_what_a_node_is_reached_by(
        ip: str, host: str, names: tuple[str, ...]) -> None:
    state, node = secured(), record(seat=seat(ip=ip, host=host))
    found = payload(state, node, state.spec.groups[0])
    assert (found.certificate_names, found.certificate_days) == (names, 30)
    plain = formed()
    unsecured = payload(plain, node, plain.spec.groups[0])
    assert (unsecured.certificate_names, unsecured.certificate_days) == ((), 0)


def test_sidecars_hear_of_https_and_are_not_restarted_for_certificates() -> None:
    sidecar = {"name": "kibana", "kind": "sidecar", "count": 1, "command": "run",
               "mem_mb": 1024}
    state = replace(secured(), spec=spec(group(), sidecar, **SECURED))
    node: NodeRecord = record("kibana-1")
    node = replace(node, config=wanted(state, node))
    assert not outdated(apply(state, ev.TlsRotated(NOW + 1)), node)
    seated = apply(state, ev.NodePlanned(NOW, "node-4", "node"))
    placed = apply(seated, ev.PlaceIntended(NOW, "node-4", seat(4)))
    assert placed.seeds.http_urls and all(
        url.startswith("https://") for url in placed.seeds.http_urls)
