"""The OpenAPI document: valid, current, and true of every route."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from asking import ask
from esaas.ui.document import text
from esaas.ui.openapi import document
from esaas.ui.routes import ROUTES
from jsonschema import Draft202012Validator
from live_app import LiveApp
from openapi_spec_validator import validate

KEPT = Path(__file__).parents[2] / "docs" / "api" / "openapi.json"


def test_the_document_is_valid() -> None:
    validate(document(ROUTES))


def test_the_kept_document_is_current() -> None:
    assert KEPT.read_text(encoding="utf-8") == text(), (
        "run: python -m esaas.ui.document docs/api/openapi.json")


def test_every_route_is_in_it() -> None:
    paths = document(ROUTES)["paths"]
    assert {(route.method, route.path) for route in ROUTES} == {
        (method.upper(), path) for path, methods in paths.items() for method in methods}
    names = [route.name for route in ROUTES]
    assert len(names) == len(set(names))


JSON_READS = [route for route in ROUTES if route.method == "GET"
              and "application/json" in {one.media for one in route.answers.values()}]


def begun(live: LiveApp, cluster: str) -> str:
    """The id of a release of a cluster."""
    made = ask(live, "POST", "/v1/releases", {"clusters": [{
        "cluster": cluster, "tenant": live.service.owner(cluster).tenant, "action": "update"}]})
    return str(made.json["release"]["id"])


@pytest.mark.parametrize("route", JSON_READS, ids=lambda route: route.name)
def test_answers_are_as_documented(live: LiveApp, route) -> None:  # type: ignore[no-untyped-def]
    made = document(ROUTES)
    schema = made["paths"][route.path]["get"]["responses"]["200"]["content"][
        "application/json"]["schema"]
    checker = Draft202012Validator({**schema, "components": made["components"]})
    for name, fake in live.service.fakes.items():
        if "{node}" in route.path and not fake.nodes:
            continue                    # nothing of it could be asked for
        path = route.path.replace("{name}", name).replace("{host}", live.service.agents()[0].host)
        path = path.replace("{node}", fake.nodes[0].name if fake.nodes else "")
        if path.endswith("/log/search"):
            path += "?text=started"
        path = path.replace("{template}", "small?name=one&tenant=hotels")
        path = path.replace("{alert}", live.service.alert_list[0].id)
        path = path.replace("{tenant}", live.service.owner(name).tenant)
        if path.endswith("/series"):
            path += "?metric=load_1m" if "/hosts/" in path else "?metric=documents"
        if "{release}" in path:
            path = path.replace("{release}", begun(live, name))
        got = ask(live, "GET", path)
        assert [error.message for error in checker.iter_errors(got.json)] == []


def test_refusals_are_as_documented(live: LiveApp) -> None:
    made = document(ROUTES)
    checker = Draft202012Validator({"$ref": "#/components/schemas/ErrorAnswer",
                                    "components": made["components"]})
    got = ask(live, "POST", "/v1/clusters", {"name": 1})
    assert list(checker.iter_errors(json.loads(got.body))) == []
