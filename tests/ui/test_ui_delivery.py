"""Delivery facts: everything in one place, nothing secret, snippets that are real programs."""
from __future__ import annotations

import ast

import pytest
from asking import ask
from esaas.framework.service.facts_sheet import delivery_facts
from live_app import LiveApp


@pytest.mark.parametrize("name", ["demo", "orders-search", "fresh", "archive", "turning"])
def test_the_facts_are_those_of_the_cluster(live: LiveApp, name: str) -> None:
    detail = live.service.show(name)
    got = ask(live, "GET", f"/v1/clusters/{name}/delivery").json
    assert got["endpoints"] == detail.endpoints and got["version"] == detail.version
    assert [node["name"] for node in got["nodes"]] == [node.name for node in detail.nodes]
    page = ask(live, "GET", f"/clusters/{name}/delivery")
    assert page.status == 200
    assert all(node.name in page.text for node in detail.nodes)
    assert bool(got["snippets"]) is bool(detail.endpoints.get("http"))


@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize("version", ["6.8.23", "7.17.29", "9.5.3"])
def test_snippets_fit_version_and_security(live: LiveApp, version: str, secured: bool) -> None:
    detail = live.service.show("demo").model_copy(update={"version": version, "secured": secured})
    found = {one.language: one.text for one in delivery_facts(detail).snippets}
    assert set(found) == {"curl", "Python", "Java", "Logstash"}
    for url in detail.endpoints["http"]:
        assert all(url in found[language] for language in ("Python", "Java", "Logstash"))
    ast.parse(found["Python"])
    assert ("ca.crt" in "".join(found.values())) is secured
    assert ("basic_auth" in found["Python"]) is (secured and version.startswith("9"))


def test_nobody_is_told_a_password(live: LiveApp) -> None:
    detail = live.service.show("demo").model_copy(update={"secured": True})
    said = delivery_facts(detail)
    assert "esaas secret credentials demo" in said.credentials
    assert "PASSWORD" in said.model_dump_json()
