"""Shards as Elasticsearch tells them, and moves as it is asked for them."""
from __future__ import annotations

from typing import Any

import pytest
from esaas.framework.core.balancing import KIND, parameters
from esaas.framework.core.facts import Errand
from esaas.framework.core.hotspots import Move, ShardCopy
from esaas.framework.elastic import errands
from esaas.framework.elastic.errors import ErrandFailed
from esaas.framework.elastic.shards import Copy, Work, copies_of, look, with_shares

ANSWER = {"indices": {"logs": {"shards": {
    "0": [{"routing": {"state": "STARTED", "primary": True, "node": "id-1"},
           "store": {"size_in_bytes": 3 * 2**20},
           "indexing": {"index_total": 30, "index_time_in_millis": 300},
           "search": {"query_total": 5, "query_time_in_millis": 100}},
          {"routing": {"state": "INITIALIZING", "primary": False, "node": "id-2"}}],
    "1": [{"routing": {"state": "RELOCATING", "primary": False, "node": "id-1",
                       "relocating_node": "id-2"},
           "store": {"size_in_bytes": 2**20},
           "indexing": {"index_total": 10, "index_time_in_millis": 100},
           "search": {"query_total": 15, "query_time_in_millis": 0}}]}}}}
MOVES = (Move("logs", 0, "node-1", "node-2"), Move("notes", 1, "node-2", "node-1"))
ERRAND = Errand("e1", KIND, parameters("store_mb", MOVES, "people"), 1.0)


class StandInClient:
    """Shards on nodes; a reroute moves them at the next look but ``slow``."""

    def __init__(self, *shards: tuple[str, int, str], slow: int = 0, deaf: bool = False) -> None:
        self.shards, self.slow, self.deaf = list(shards), slow, deaf
        self.asked: list[Any] = []
        self.moving: dict[tuple[str, int, str], str] = {}

    async def request(self, method: str, path: str, params: Any = None, body: Any = None,
                      **more: Any) -> Any:
        if path == "/_cluster/reroute":
            self.asked.append(body)
            for command in () if self.deaf else body["commands"]:
                move = command["move"]
                self.moving[move["index"], move["shard"], move["from_node"]] = move["to_node"]
            return {"acknowledged": True}
        if path.startswith("/_stats"):
            return ANSWER
        listed = [{"index": index, "shard": str(number), "state": "RELOCATING" if (
            index, number, node) in self.moving else "STARTED", "node": node + (
                f" -> 10.0.0.1 x {self.moving[index, number, node]}" if (
                    index, number, node) in self.moving else "")}
            for index, number, node in self.shards]
        self.slow -= bool(self.moving)
        if self.slow <= 0:
            self.shards = [(index, number, self.moving.pop((index, number, node), node))
                           for index, number, node in self.shards]
        return listed


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "MOVE_LOOK_S", 0.0)


async def told(client: StandInClient) -> tuple[str, list[tuple[int, int]]]:
    progress: list[tuple[int, int]] = []
    asked: Any = client
    done = await errands.run(asked, ERRAND, 6, lambda *far: progress.append(far))
    return done, progress


def test_copies_that_are_being_built_do_not_count() -> None:
    assert copies_of(ANSWER) == [
        Copy("logs", 0, "id-1", True, 3.0, Work(30, 300, 5, 100)),
        Copy("logs", 1, "id-1", False, 1.0, Work(10, 100, 15, 0))]
    assert copies_of({}) == []


async def test_a_node_s_rate_is_divided_as_the_work_was() -> None:
    client: Any = StandInClient()
    found = with_shares(await look(client), {"id-1": "node-1"},
                        {"node-1": {"indexing_per_s": 8.0, "searches_per_s": 4.0}})
    assert found == [
        ShardCopy("logs", 0, "node-1", 3.0, True, {"indexing_per_s": 6.0, "searches_per_s": 1.0}),
        ShardCopy("logs", 1, "node-1", 1.0, False, {"indexing_per_s": 2.0, "searches_per_s": 3.0})]
    assert with_shares(await look(client), {}, {}) == [], "nobody knows that node"


async def test_shards_move_in_one_request_and_are_waited_for() -> None:
    client = StandInClient(("logs", 0, "node-1"), ("notes", 1, "node-2"), slow=2)
    done, progress = await told(client)
    assert done == "moved 2 shards" and progress[0] == (0, 2) and progress[-1] == (2, 2)
    [body] = client.asked
    assert [one["move"]["to_node"] for one in body["commands"]] == ["node-2", "node-1"]


async def test_what_a_crash_has_cut_off_is_not_moved_again() -> None:
    client = StandInClient(("logs", 0, "node-2"), ("notes", 1, "node-2"))
    assert (await told(client))[0] == "moved 2 shards"
    [body] = client.asked
    assert [one["move"]["index"] for one in body["commands"]] == ["notes"]
    assert (await told(client))[0] == "moved 2 shards" and len(client.asked) == 1


async def test_a_shard_that_is_elsewhere_by_now_stops_it_before_anything_moves() -> None:
    client = StandInClient(("logs", 0, "node-1"), ("notes", 1, "node-3"))
    with pytest.raises(ErrandFailed, match="not where they were"):
        await told(client)
    assert client.asked == []


async def test_moves_that_elasticsearch_does_not_make_are_told() -> None:
    client = StandInClient(("logs", 0, "node-1"), ("notes", 1, "node-2"), deaf=True)
    with pytest.raises(ErrandFailed, match="0 of 2 shards have moved"):
        await told(client)
