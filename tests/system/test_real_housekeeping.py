"""Housekeeping of a real cluster: each policy does its work once, and nothing beside it."""
from __future__ import annotations

from typing import Any

import pytest

from .service import Service, index_documents, put, spec, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
C = "/v1/clusters/demo"
POLICIES = {
    "every_s": 10, "merge": {"indices": "idle*", "idle_s": 15},
    "rollover": [{"alias": "logs", "max_documents": 5}],
    "delete": [{"pattern": "old-*", "older_than_s": 60, "idle_s": 15, "dry_run": False},
               {"pattern": "dry-*", "older_than_s": 60, "idle_s": 15}],
    "replicas": {"at_least": 2}, "unblock": {}, "guards": {"max_result_window": 10_000}}
KINDS = {"merge_idle", "roll_over", "delete_indices", "raise_replicas", "release_blocks"}
PLAIN = {"number_of_shards": 1, "number_of_replicas": 1}


def make(service: Service) -> None:
    """Indices that wait for somebody to look after them, and some that are to be left alone."""
    for name, settings in {
            "idle": {}, "old-1": {}, "dry-1": {}, "older": {}, "thin": {"number_of_replicas": 0},
            "full": {}, "theirs": {}, "wide": {"max_result_window": 50_000}}.items():
        service.es("demo", f"/{name}", "PUT", {"settings": PLAIN | settings})
    service.es("demo", "/logs-000001", "PUT", {
        "settings": PLAIN, "aliases": {"logs": {"is_write_index": True}}})
    for number in range(6):             # a segment each
        service.es("demo", f"/idle/_doc/{number}?refresh=true", "PUT", {"number": number})
    index_documents(service, "demo", 6, "logs")
    index_documents(service, "demo", 3, "full")
    for name, block in (("full", "read_only_allow_delete"), ("theirs", "read_only")):
        service.es("demo", f"/{name}/_settings", "PUT", {f"index.blocks.{block}": True})


def segments(service: Service) -> int:
    """The most of any copy of the idle index."""
    shards = service.es("demo", "/idle/_stats/segments?level=shards")["indices"]["idle"]["shards"]
    return max(copy["segments"]["count"] for copies in shards.values() for copy in copies)


def settings(service: Service) -> dict[str, dict[str, Any]]:
    """Of every index, flat."""
    found = service.es("demo", "/_all/_settings?flat_settings=true")
    return {name: item["settings"] for name, item in found.items()}


def done(service: Service) -> dict[str, dict[str, Any]]:
    """What policies have done, the newest of each kind."""
    listed = service.client.get(f"{C}/operations")
    return {one["kind"]: one for one in reversed(listed)
            if one["kind"] in KINDS and one["status"] == "done"}


def policies(service: Service) -> dict[str, dict[str, Any]]:
    """The report, by policy and subject."""
    return {f"{one['policy']} {one['subject']}".strip(): one
            for one in service.client.get(f"{C}/housekeeping")["policies"]}


def test_each_policy_does_its_work_across_a_crash_and_nothing_beside_it(service: Service) -> None:
    service.client.post("/v1/clusters", spec("demo", "demo", 2))
    service.green("demo", 2)
    make(service)
    launches = {name: node["launch"] for name, node in service.nodes("demo").items()}
    assert policies(service) == {}, "nothing is on by itself"
    put(service, service.show("demo")["spec"] | {"housekeeping": POLICIES})
    wait_for("the first of them", lambda: done(service))
    service.kill()
    service.start()
    wait_for("every policy to have acted", lambda: done(service).keys() == KINDS)
    assert {name: node["launch"] for name, node in service.nodes("demo").items()} == launches, (
        "a policy restarts no node")
    assert done(service)["delete_indices"]["message"] == "deleted old-1"
    assert done(service)["delete_indices"]["parameters"] == {"by": "housekeeping",
                                                             "targets": "old-1"}
    assert segments(service) == 1
    there = settings(service)
    assert set(there) == {"idle", "dry-1", "older", "thin", "full", "theirs", "wide",
                          "logs-000001", "logs-000002"}
    assert service.es("demo", "/_alias/logs")["logs-000002"]["aliases"]["logs"] == {
        "is_write_index": True}
    assert there["thin"]["index.number_of_replicas"] == "1", "two nodes hold no more"
    assert "index.blocks.read_only_allow_delete" not in there["full"]
    assert there["theirs"]["index.blocks.read_only"] == "true", "a person's own block stays"
    service.green("demo", 2)


def test_the_report_tells_what_is_only_advised_and_what_is_beyond_a_guard(
        service: Service) -> None:
    found = policies(service)
    advised = found["delete dry-*"]
    assert [act["target"] for act in advised["acts"]] == ["dry-1"] and advised["advises"]
    assert advised["acts_not_because"] == "dry_run is true" and advised["last"] is None
    assert [act["target"] for act in found["guards"]["leaves"]] == ["wide"]
    assert found["delete old-*"]["last"]["message"] == "deleted old-1"
    assert "1 indices have at most 1 segments" in found["merge"]["sees"]
    service.client.post(f"{C}/pause")
    index_documents(service, "demo", 6, "logs")
    held = wait_for("the gate to be told", lambda: policies(service)["rollover logs"]["held_by"])
    assert held.startswith("not_paused: ")
    service.client.post(f"{C}/continue")
    wait_for("it to go on", lambda: "logs-000003" in settings(service))
