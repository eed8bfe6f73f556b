"""Records as the first release wrote them (its own code made the file): an upgrade reads them.

What a newer service adds has a default that means "as before", and nothing restarts for it.
"""
from __future__ import annotations

from dataclasses import replace

import orjson
from esaas.framework.core.config import misplaced, outdated
from esaas.framework.core.plan import Status, diff
from esaas.framework.store.codec import cluster_path, from_records
from esaas.framework.store.contract import Stored

from ..core.builders import NOW, connected, view
from ..first_release import RECORDS, as_first_release


def test_a_cluster_of_the_first_release_is_taken_up_as_it_was() -> None:
    stored = {path: Stored(orjson.dumps(record), 1) for path, record in RECORDS.items()}
    state = from_records(stored, "demo")
    assert (state.spec.description, state.revision) == ("by the first release", 1)
    assert state.bootstrap.cluster_uuid == "uuid-1" and state.settled is None
    assert state.identity.framework_id == "framework-1"
    assert {record.seat.host for record in state.nodes.values() if record.seat} == {
        "host-1", "host-2", "host-3"}


def test_nothing_restarts_or_moves_for_an_upgrade() -> None:
    stored = {path: Stored(orjson.dumps(record), 1) for path, record in RECORDS.items()}
    state = connected(from_records(stored, "demo"))
    for record in state.nodes.values():
        assert record.config, "the first release noted what a node was started with"
        assert not outdated(state, record) and not misplaced(state, record)
    seen = replace(state, es=view(*state.nodes))
    assert diff(seen, NOW).status is Status.DONE


def test_what_is_newer_is_taken_out_of_a_record() -> None:
    path = f"{cluster_path('demo')}/nodes/node-1"
    newer = {**RECORDS[path], "body": RECORDS[path]["body"] | {"forced": ["x"], "held": True}}
    assert orjson.loads(as_first_release(path, orjson.dumps(newer))) == RECORDS[path]
    assert as_first_release("tenants/hotels", b"{}") is None, "the first release had none"
