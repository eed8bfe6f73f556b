"""Errands about snapshots whose Elasticsearch does not answer for a while; it stands in here."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest
from esaas.framework.core.facts import Errand
from esaas.framework.elastic import snapshots
from esaas.framework.elastic.client import EsClient, EsUnavailable

NAME = "esaas-uid1-1"
TAKE = Errand("e-1", "snapshot", (("indices", "*"), ("repository", "esaas"), ("snapshot", NAME)),
              asked_at=0.0)


class StandInClient:
    """Fails as often as it is told, then makes the snapshot."""

    def __init__(self, failures: list[EsUnavailable]) -> None:
        self.failures, self.begun, self.looks = failures, False, 0

    async def request(self, method: str, path: str, params: Mapping[str, str] | None = None,
                      body: Any = None, *, missing_ok: bool = False,
                      timeout_s: float = 1.0) -> Any:
        """As ``EsClient``."""
        if method == "PUT":
            self.begun = True
            return {"accepted": True}
        if not self.begun:
            return None
        if self.failures:
            raise self.failures.pop(0)
        if path.endswith("_status"):
            return {"snapshots": [{"shards_stats": {"done": 1, "total": 2}}]}
        self.looks += 1
        return {"snapshots": [{"snapshot": NAME, "indices": ["a"], "shards": {"total": 2},
                               "state": "SUCCESS" if self.looks > 1 else "IN_PROGRESS"}]}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other at once."""
    monkeypatch.setattr(snapshots, "LOOK_S", 0.0)
    for look in (snapshots._one, snapshots._tell_progress):
        monkeypatch.setattr(cast(Any, look).retry, "wait", lambda _: 0.0)


async def taken(client: StandInClient) -> tuple[str, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    done = await snapshots.take(cast(EsClient, client), TAKE, 6,
                                lambda done, total: told.append((done, total)))
    return done, told


async def test_a_node_that_is_away_for_a_while_does_not_end_it() -> None:
    away = [EsUnavailable("refused"), EsUnavailable("busy", 503), EsUnavailable("many", 429)]
    assert await taken(StandInClient(away)) == (f"{NAME}: 2 shards of 1 indices", [(1, 2)])


async def test_what_will_not_change_ends_it_at_once() -> None:
    client = StandInClient([EsUnavailable("no such repository", 400)])
    with pytest.raises(EsUnavailable, match="no such repository"):
        await taken(client)
    assert client.looks == 0
