"""A service whose alerts go to a hook of the test, and what the test wants to know of them."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..alerts.hooks import Hook
from .service import Service

AT_ONCE = {"for_s": 0}


class Alerting(Service):
    """A service with a file about alerts; a round every half second."""

    more: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        """What it reads when it starts."""
        return self.directory / "alerts.json"

    def options(self) -> list[str]:
        """Where the file is."""
        return ["--alerts", str(self.file), *self.more]

    def told_to(self, hook: Hook, limits: dict[str, Any]) -> None:
        """Who is told, and the limits of the platform; from the next start on."""
        self.file.write_text(json.dumps({
            "sinks": [{"kind": "webhook", "name": "ops", "url": hook.url}],
            "evaluate_s": 0.5, "limits": limits}))


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    """A real HTTP server."""
    found = Hook()
    yield found
    found.close()


def told(hook: Hook, rule: str, status: str, after: int = 0) -> bool:
    """Whether people were told so, in a message after so many."""
    return any(one[:2] == (status, rule) for one in hook.alerts()[after:])


def listed(service: Service, rule: str) -> list[dict[str, Any]]:
    """Alerts of a rule."""
    return [one for one in service.client.get("/v1/alerts") if one["rule"] == rule]
