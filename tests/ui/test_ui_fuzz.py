"""Whatever fits, or nearly fits, the OpenAPI document is answered: never with a failure of ours.

Bounded and derandomised: the same requests each time, by an admin, a viewer and nobody.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import schemathesis
from esaas.framework.service.access.throttle import Throttle
from esaas.ui.openapi import document
from esaas.ui.routes import ROUTES
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from limits import RateLimitItemPerMinute
from live_app import PATIENCE_S, LiveApp
from people import ADMIN, add_user, bearer
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)
from test_ui_access import OPEN_ROUTES

# What is there: with names by chance alone everything would end at a 404.
KNOWN = {"name": ["demo", "turning", "trial", "stack", "logs", "leaving"], "node": ["node-0"],
         "user": ["admin", "vera"], "switch": ["allocation", "read_only"], "plugin": ["p"],
         "tenant": ["flights", "hotels"]}


def described() -> dict[str, Any]:
    """The document, which is told what there is."""
    made = document(ROUTES)
    for methods in made["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if parameter["in"] == "path" and parameter["name"] in KNOWN:
                    parameter["schema"] = {"type": "string", "enum": KNOWN[parameter["name"]]}
    return made


# Streams do not end by themselves; tests/ui/test_ui_stream.py is about them.
schema = schemathesis.openapi.from_dict(described()).exclude(path_regex=r"/events/stream$")
OPERATIONS = pytest.mark.parametrize(
    "operation", [found.ok() for found in schema.get_all_operations()],
    ids=lambda operation: f"{operation.method} {operation.path}")
EXAMPLES = {"admin": 12, "viewer": 4, "nobody": 3}
MANY = RateLimitItemPerMinute(1_000_000)
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[LiveApp]:
    """An application that nobody else needs afterwards."""
    app = LiveApp(login=True, throttle=Throttle(MANY, MANY))
    add_user(app, "vera", "viewer", "flights")
    yield app
    app.close()


@pytest.fixture(scope="module")
def viewer(fuzzed: LiveApp) -> dict[str, str]:
    """What a viewer asks with."""
    return bearer(fuzzed, "viewer", "flights")


def bounded(who: str) -> settings:
    """So many examples of each operation, the same each time."""
    return settings(max_examples=EXAMPLES[who], derandomize=True, deadline=None, database=None,
                    suppress_health_check=list(HealthCheck))


def fuzz(operation: APIOperation, who: str, check: Callable[[schemathesis.Case], None]) -> None:
    """Send what the document allows for an operation, and what it does not."""
    for mode in GenerationMode:
        try:
            cases = operation.as_strategy(generation_mode=mode)
            bounded(who)(given(case=cases)(check))()
        except Unsatisfiable:
            # Without parameters and body there is nothing that does not fit.
            assert mode is GenerationMode.NEGATIVE


def tried(case: schemathesis.Case, app: LiveApp, headers: dict[str, str]) -> requests.Response:
    """The answer to a case, which is as the document says."""
    answer = case.call(base_url=app.url, headers=headers, timeout=PATIENCE_S)
    case.validate_response(answer, checks=CHECKS)
    return answer


@OPERATIONS
def test_as_admin(operation: APIOperation, fuzzed: LiveApp) -> None:
    def check(case: schemathesis.Case) -> None:
        answer = tried(case, fuzzed, ADMIN)
        assert answer.status_code != 401 or case.path == "/v1/login"

    fuzz(operation, "admin", check)


@OPERATIONS
def test_as_viewer(operation: APIOperation, fuzzed: LiveApp, viewer: dict[str, str]) -> None:
    def check(case: schemathesis.Case) -> None:
        answer = tried(case, fuzzed, viewer)
        assert answer.status_code not in (201, 202), "a viewer changes nothing"

    fuzz(operation, "viewer", check)


@OPERATIONS
def test_as_nobody(operation: APIOperation, fuzzed: LiveApp) -> None:
    def check(case: schemathesis.Case) -> None:
        answer = tried(case, fuzzed, {})
        if (operation.method.upper(), operation.path) not in OPEN_ROUTES:
            assert answer.status_code >= 400, answer.text

    fuzz(operation, "nobody", check)
