"""Housekeeping and autoscaling of a real cluster: policies do their work, and nothing beside it."""
from __future__ import annotations

from typing import Any

import pytest

from .service import Service, count_documents, index_documents, put, spec, wait_for

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
# Any disk is fuller than that, and no host has such a load: each limit is reached at once.
OUT = {"min": 2, "max": 3, "window_s": 30, "cool_down_s": 60, "disk_out_percent": 1,
       "disk_in_percent": None}
IN = OUT | {"disk_out_percent": None, "load_out": 100, "load_in": 50}


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


def want(service: Service, **policy: Any) -> None:
    """Another policy for the only group."""
    body = service.show("demo")["spec"] | {"housekeeping": {}}
    body["groups"][0]["autoscale"] = policy
    put(service, body)


def advice(service: Service) -> dict[str, Any]:
    [found] = service.client.get(f"{C}/autoscale")["groups"]
    return dict(found)


def events(service: Service) -> list[dict[str, Any]]:
    return [one for one in service.client.get(f"{C}/events", limit=1000)
            if one["kind"] == "autoscaled"]


def test_it_advises_then_grows_then_shrinks_and_loses_nothing(service: Service) -> None:
    index_documents(service, "demo", 50)
    launches = {name: node["launch"] for name, node in service.nodes("demo").items()}
    want(service, **OUT)
    revision = service.show("demo")["revision"]
    told = wait_for("advice", lambda: (lambda found: found if found["advice"] == "out" else None)(
        advice(service)), 120)
    assert told["why"].endswith(": 2 nodes become 3") and "above 1" in told["why"]
    assert told["acts_not_because"] == "autoscale.mode is advise" and told["last"] is None
    assert service.show("demo")["revision"] == revision and len(service.nodes("demo")) == 2
    want(service, **OUT, mode="act")
    service.green("demo", 3)
    grown = advice(service)
    assert (grown["count"], grown["last"]["by"]) == (3, "autoscale: act")
    [event] = events(service)
    assert event["message"].startswith("node: 2 nodes become 3, by autoscale: act: disk ")
    full = wait_for("a window of three nodes", lambda: (
        lambda found: found if "at most 3" in found["why"] else None)(advice(service)), 120)
    assert full["advice"] == "stay" and service.show("demo")["spec"]["groups"][0]["count"] == 3
    want(service, **IN, mode="act")
    wait_for("the second revision", lambda: len(events(service)) == 2)
    service.green("demo", 2)
    assert advice(service)["last"]["count"] == 2 and "load " in events(service)[-1]["message"]
    assert count_documents(service, "demo") == 50
    assert {name: node["launch"] for name, node in service.nodes("demo").items()} == launches, (
        "a policy restarts no node")
