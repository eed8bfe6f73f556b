"""Indices as real Elasticsearch tells them, and housekeeping as it is asked for it."""
from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core.apply import apply
from esaas.framework.core.facts import Errand
from esaas.framework.core.housekeeping import policies
from esaas.framework.core.indices import Alias, Quiet, remembered
from esaas.framework.elastic import errands, indices
from esaas.framework.elastic.client import EsUnavailable
from esaas.framework.elastic.errors import ErrandFailed

from ..core.builders import formed, group, spec
from .standin_indices import IndexStandIn

KEPT = Path(__file__).parent / "answers"
LONG_AGO = 5.0


@pytest.mark.parametrize("version", ["6.8.23", "7.17.29"])
async def test_what_a_real_node_answers_is_understood(version: str) -> None:
    """Recorded from a node with these indices, five documents each, one deleted again."""
    answers = json.loads((KEPT / f"indices-{version}.json").read_text())
    asked: list[str] = []

    class Recorded:
        async def request(self, method: str, path: str, *more: Any, **named: Any) -> Any:
            asked.append(f"{method} {path}")
            return answers[asked[-1]]

    client: Any = Recorded()
    look = await indices.look(client, 1.0)
    assert sorted(asked) == sorted(answers), "not asked for anything else than was recorded"
    assert set(look.indices) == {"logs-000001", "old-1", ".hidden", "gone"}
    logs, old, gone = (look.indices[name] for name in ("logs-000001", "old-1", "gone"))
    assert (logs.shards, logs.replicas, logs.documents, logs.written) == (2, 0, 5, 5)
    assert logs.limits == {"index.max_result_window": 50_000} and not logs.full_disk
    assert (old.documents, old.written, old.blocks) == (4, 6, ("write",)), "a deletion is a write"
    assert old.full_disk and old.auto_expand and old.locked and (old.segments or 0) > 1
    assert 0 < (old.primary_mb or 0) < 1 and old.created_at > 1.7e9 and len(old.uuid) == 22
    assert (gone.documents, gone.written, gone.segments, gone.store_mb) == (None,) * 4, "closed"
    assert look.aliases == {"logs": Alias("logs", ("logs-000001",), "logs-000001"),
                            "all": Alias("all", ("logs-000001", "old-1"))}
    assert look.clock_off_s is not None and look.clock_off_s > 1e9, "it is not 1970 there"
    assert look.high_watermark == "90%" and 0 < (look.disks["node-1"].used_percent or 0) < 100
    assert [one.name for one in look.subjects("*")] == ["gone", "logs-000001", "old-1"]


def test_shards_that_have_not_started_leave_an_index_unknown() -> None:
    settings = {"a": {"settings": {"index.uuid": "u", "index.number_of_shards": "2"}}}
    stats: dict[str, Any] = {"indices": {"a": {"shards": {
        "0": [{"routing": {"state": "STARTED", "primary": True}, "seq_no": {"max_seq_no": 3}}],
        "1": [{"routing": {"state": "INITIALIZING", "primary": True}}]}}}}
    seen = indices.look_of(1.0, settings, {}, stats, {}, {})
    assert seen.indices["a"].written is None and seen.high_watermark == ""
    stats["indices"]["a"]["shards"]["1"] = [
        {"routing": {"state": "RELOCATING", "primary": True}, "seq_no": {"max_seq_no": 4}},
        {"routing": {"state": "STARTED", "primary": False}, "segments": {"count": 7}}]
    whole = indices.look_of(1.0, settings, {}, stats, {}, {}).indices["a"]
    assert (whole.written, whole.segments) == (9, 7), "the worst copy counts"


# --------------------------------------------------------------------------- errands

async def asked(client: IndexStandIn, **wish: Any) -> Errand:
    """The errand of the only policy of a wish, decided on what there is, quiet since long ago."""
    state = formed(3, spec(group(count=3), housekeeping=wish))
    there: Any = client
    look = await indices.look(there, time.time())
    memory = {name: Quiet(one.uuid, one.written, LONG_AGO)
              for name, one in remembered({}, look).items()}
    [found] = policies.plans(state, look, memory, [] if policies.wants_snapshots(state) else None)
    [item] = apply(state, policies.asked(found, "e1", 1.0)).errands
    assert isinstance(policies.asked(found, "e1", 1.0), ev.ErrandAsked)
    return item


async def run(client: IndexStandIn, item: Errand) -> str:
    there: Any = client
    return await errands.run(there, item, 6, lambda done, total: None)


DELETING = {"delete": [{"pattern": "logs-*", "older_than_s": 60, "dry_run": False}]}


@pytest.fixture
def client() -> IndexStandIn:
    made = IndexStandIn()
    for name in ("logs-1", "logs-2", ".logs", "pets"):
        made.add(name)
    return made


async def test_old_indices_are_deleted_by_their_whole_names(client: IndexStandIn) -> None:
    item = await asked(client, **DELETING)
    assert await run(client, item) == "deleted logs-1, logs-2"
    assert client.done == ["DELETE /logs-1", "DELETE /logs-2"]
    assert await run(client, item) == "deleted none", "begun again after a crash"
    assert set(client.indices) == {".logs", "pets"}


async def test_what_is_written_to_or_made_anew_in_the_meantime_stays(client: IndexStandIn) -> None:
    item = await asked(client, **DELETING)
    client.indices["logs-1"]["written"] += 1
    client.add("logs-2")
    assert await run(client, item) == "deleted none" and client.done == []
    client.add("logs-3")
    client.add("logs-4")
    item = await asked(client, delete=[{"pattern": "logs-*", "older_than_s": 60,
                                        "dry_run": False}])

    def somebody(call: str) -> None:
        client.indices["logs-2"]["written"] += 1
        client.writes["logs"] = "logs-4"

    client.before_each = somebody
    told = await run(client, item)
    assert told.startswith("deleted logs-1, logs-3; left alone") and "logs-2, logs-4" in told


async def test_only_with_a_snapshot_that_is_still_there(client: IndexStandIn) -> None:
    item = await asked(client, **DELETING)
    wish = {"delete": [DELETING["delete"][0] | {"require_snapshot": True}]}
    rule = json.dumps(wish["delete"][0])
    item = Errand(item.id, item.kind, tuple({**dict(item.parameters), "rule": rule}.items()), 1.0)
    assert await run(client, item) == "deleted none"
    shot = {"snapshot": "s", "state": "SUCCESS", "start_time_in_millis": 4000,
            "indices": ["logs-1", "logs-2"]}
    client.snapshots = [shot]
    assert await run(client, item) == "deleted none", "begun before the last write"
    client.snapshots = [shot, shot | {"start_time_in_millis": 6000, "indices": ["logs-2"]}]
    assert await run(client, item) == "deleted logs-2"


async def test_with_a_clock_that_is_wrong_nothing_is_old(client: IndexStandIn) -> None:
    item = await asked(client, **DELETING)
    for off_s in (-400.0, 400.0):
        client.clock_off_s = off_s
        assert await run(client, item) == "deleted none" and client.done == []


async def test_a_rule_that_only_tells_deletes_nothing_even_when_it_is_run(
        client: IndexStandIn) -> None:
    item = await asked(client, delete=[{"pattern": "logs-*", "older_than_s": 60}])
    with pytest.raises(ErrandFailed, match="dry_run"):
        await run(client, item)
    assert client.done == []


async def test_idle_indices_are_merged_as_long_as_nobody_writes(client: IndexStandIn) -> None:
    item = await asked(client, merge={"max_segments": 2, "concurrency": 3})
    client.indices["pets"]["written"] += 1
    assert await run(client, item) == "merged logs-1, logs-2"
    assert sorted(client.done) == ["POST /logs-1/_forcemerge", "POST /logs-2/_forcemerge"]
    assert await run(client, item) == "merged none", "they are merged already"


async def test_outside_of_its_hours_a_merge_that_is_begun_again_does_nothing(
        client: IndexStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    item = await asked(client, merge={"hours": "1-2"})
    monkeypatch.setattr("esaas.framework.elastic.housekeeping.time.time", lambda: 1e9 + 3 * 3600)
    told = await run(client, item)
    assert told.startswith("merged none; left alone") and client.done == []


async def test_what_goes_wrong_with_one_is_told_when_the_others_have_ended(
        client: IndexStandIn) -> None:
    item = await asked(client, merge={"concurrency": 1})
    client.failing = "logs-2"
    with pytest.raises(EsUnavailable):
        await run(client, item)
    assert sorted(client.done) == ["POST /logs-1/_forcemerge", "POST /pets/_forcemerge"]


async def test_an_alias_goes_on_once(client: IndexStandIn) -> None:
    client.writes["logs"] = "logs-2"
    item = await asked(client, rollover=[{"alias": "logs", "max_documents": 10}])
    assert await run(client, item) == "logs goes on from logs-2 to logs-000003"
    assert await run(client, item) == "logs writes into logs-000003 already"
    assert client.done == ["POST /logs/_rollover"]


async def test_elasticsearch_s_own_no_is_told(client: IndexStandIn) -> None:
    client.writes["logs"] = "logs-2"
    item = await asked(client, rollover=[{"alias": "logs", "max_documents": 10}])
    client.indices["logs-2"]["documents"] = 9
    with pytest.raises(ErrandFailed, match="not time any more"):
        await run(client, item)
    by_age = await asked(client, rollover=[{"alias": "logs", "max_age_s": 60}])
    with pytest.raises(ErrandFailed, match="Elasticsearch says"):
        await run(client, by_age)


async def test_replicas_are_raised_and_never_lowered(client: IndexStandIn) -> None:
    item = await asked(client, replicas={"at_least": 2})
    client.indices["pets"]["replicas"] = 5
    assert await run(client, item) == "1 replicas for logs-1, logs-2", "two nodes hold one more"
    assert {name: one["replicas"] for name, one in client.indices.items()} == {
        "logs-1": 1, "logs-2": 1, ".logs": 0, "pets": 5}


async def test_only_the_block_of_a_full_disk_goes_and_only_while_there_is_room(
        client: IndexStandIn) -> None:
    for name in ("logs-1", ".logs"):
        client.indices[name]["blocks"] = {"read_only_allow_delete": True}
    client.indices["pets"]["blocks"] = {"read_only": True}
    client.indices["logs-1"]["blocks"]["write"] = True
    item = await asked(client, unblock={})
    client.free_gb = 5.0
    with pytest.raises(ErrandFailed, match="95.0 % full"):
        await run(client, item)
    client.free_gb = 60.0
    assert await run(client, item) == "writable again: .logs, logs-1"
    assert {name: sorted(one["blocks"]) for name, one in client.indices.items()} == {
        "logs-1": ["write"], "logs-2": [], ".logs": [], "pets": ["read_only"]}
