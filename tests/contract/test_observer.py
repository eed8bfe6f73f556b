"""What the observer makes of Elasticsearch's answers."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from esaas.framework.elastic.client import EsUnavailable
from esaas.framework.elastic.observer import (
    DELAY,
    DELAY_VALUE,
    Observer,
    delayed,
    loads_of,
    view_of,
    with_copies,
)

HEALTH = {"status": "green", "active_shards": 0}
NODES = {"nodes": {"id-1": {"name": "node-1", "version": "6.8.23"},
                   "id-2": {"name": "node-2", "version": "6.8.23"}}}


class StandInClient:
    """Answers by the beginning of the path."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers

    async def request(self, method: str, path: str, *more: Any, **named: Any) -> Any:
        return next((answer for start, answer in self.answers.items()
                     if path.startswith(start)), {})


async def test_a_cluster_that_is_not_recovered_from_disk_is_not_seen_at_all() -> None:
    """It would look green, empty and without settings: drained, restored, done."""
    blocked = {"cluster_uuid": "u", "master_node": "id-1", "blocks": {"global": {"1": {
        "description": "state not recovered / initialized"}}}}
    client: Any = StandInClient({"/_cluster/state": blocked, "/_cluster/health": HEALTH,
                                 "/_nodes": NODES})
    with pytest.raises(EsUnavailable, match="not recovered"):
        await Observer().look(client, 1.0)
    client.answers = {**client.answers, "/_cluster/state": {
        "cluster_uuid": "u", "master_node": "id-1", "blocks": {"global": {"6": {}}}}}
    assert (await Observer().look(client, 1.0)).master == "node-1"


async def test_a_look_over_a_restart_of_the_master_is_none() -> None:
    """What was asked in between may be of a cluster that is not recovered yet."""
    client: Any = StandInClient({"/_cluster/health": HEALTH, "/_nodes": NODES})
    processes = iter(("before", "after"))

    class Restarting(StandInClient):
        async def request(self, method: str, path: str, *more: Any, **named: Any) -> Any:
            if path.startswith("/_cluster/state/master"):
                return {"cluster_uuid": "u", "master_node": "id-1",
                        "nodes": {"id-1": {"ephemeral_id": next(processes)}}}
            return await super().request(method, path, *more, **named)

    client = Restarting(client.answers)
    with pytest.raises(EsUnavailable, match="has changed"):
        await Observer().look(client, 1.0)


def test_copies_and_what_is_missing_are_told_apart() -> None:
    shards = [
        {"index": "a", "shard": "0", "state": "STARTED", "node": "node-1", "store": "1048576"},
        {"index": "a", "shard": "0", "state": "UNASSIGNED", "node": None},
        {"index": "b", "shard": "1", "state": "RELOCATING", "store": "0",
         "node": "node-1 -> 10.0.0.2 xyz node-2"},
        {"index": "b", "shard": "1", "state": "STARTED", "node": "node-2", "store": "0"},
        {"index": "c", "shard": "0", "state": "INITIALIZING", "node": "node-2", "store": "0"}]
    view = with_copies(view_of(1.0, {}, HEALTH, NODES), shards)
    assert view.copies == {"node-1": {"a[0]", "b[1]"}, "node-2": {"b[1]"}}
    assert view.incomplete == {"a[0]", "c[0]"} and view.lone == {"a[0]"}
    loads = loads_of(shards)
    assert (loads["node-1"].shards, loads["node-1"].store_mb) == (2, 1)
    assert (loads["node-2"].shards, loads["node-2"].incoming) == (1, 2)


def test_only_our_own_time_out_counts_as_raised() -> None:
    assert delayed({"a": {"settings": {DELAY: DELAY_VALUE}}, "b": {"settings": {DELAY: "5m"}},
                    "c": {"settings": {}}}) == ["a"]
