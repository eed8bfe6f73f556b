"""A hot spot on a real cluster: relieved by one request, and another by the service itself."""
from __future__ import annotations

import json
import secrets
from typing import Any

import pytest

from .service import Service, spec, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
C = "/v1/clusters/demo"
DOCUMENTS, TEXT_BYTES = 1500, 3000


def make_hot(service: Service, index: str, node: str) -> None:
    """An index with a shard on each node, of which one grows: the one on ``node``."""
    service.es("demo", f"/{index}", "PUT", {"settings": {
        "number_of_shards": 3, "number_of_replicas": 0}})
    wait_for(f"{index} to be green", lambda: service.es(
        "demo", f"/_cluster/health/{index}")["status"] == "green")
    routing = next(number for number in range(200) if holder(service, index, number) == node)
    line = json.dumps({"index": {"_index": index, "_type": "_doc", "routing": str(routing)}})
    body = "".join(f"{line}\n{json.dumps({'text': secrets.token_hex(TEXT_BYTES // 2)})}\n"
                   for _ in range(DOCUMENTS))
    assert not service.es("demo", "/_bulk", "POST", body)["errors"]
    service.es("demo", f"/{index}/_flush", "POST")


def holder(service: Service, index: str, routing: int) -> str:
    """The name of the node that a routing leads to."""
    found = service.es("demo", f"/{index}/_search_shards?routing={routing}")
    return str(found["nodes"][found["shards"][0][0]["node"]]["name"])


def report(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = service.client.get(f"{C}/hotspots")
    return found


def disk(found: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in found["spreads"] if one["dimension"] == "store_mb")


def moved(service: Service, operation: str) -> dict[str, Any] | None:
    """An operation once it has ended."""
    return next((one for one in service.client.get(f"{C}/operations")
                 if one["id"] == operation and one["ended_at"]), None)


def applied(service: Service) -> tuple[dict[str, Any], dict[str, Any]]:
    """The move of the first proposal, and that itself; Refused when it is out of date."""
    proposal = report(service)["proposals"][0]
    return service.client.post(f"{C}/hotspots/apply", {"proposal": proposal["id"]}), proposal


def test_a_hot_spot_is_found_and_relieved(service: Service) -> None:
    service.client.post("/v1/clusters", spec("demo", "demo", 3))
    service.green("demo", 3)
    hot = sorted(service.nodes("demo"))[0]
    for index in ("one", "two"):
        make_hot(service, index, hot)
    before = wait_for("both heavy shards to be seen", lambda: (lambda found: found if any(
        len(one["heaviest"]) == 2 for one in disk(found)["outliers"]) else None)(report(service)))
    assert [one["name"] for one in disk(before)["outliers"]] == [hot]
    wait_for("no gate to hold", lambda: not report(service)["held_by"])
    # Until Elasticsearch has told of all that was written, a proposal may be out of date at once.
    begun, proposal = wait_for("a proposal to be taken", lambda: applied(service))
    assert len(proposal["moves"]) == 2, "a small shard of the same index goes back"
    assert len({move["index"] for move in proposal["moves"]}) == 1
    ended = wait_for("the move", lambda: moved(service, begun["id"]))
    assert (ended["status"], ended["message"]) == ("done", "moved 2 shards")
    # A node that is asked may know of the move a moment later than the one that told of its end.
    after = wait_for("the report to show it", lambda: (
        lambda found: found if found["deviation"] < disk(before)["deviation"] * 0.8
        else None)(disk(report(service))))
    assert after["deviation"] == pytest.approx(proposal["deviation_after"], rel=0.2)
    assert sum(figure["figure"] for figure in after["figures"]) == pytest.approx(
        sum(figure["figure"] for figure in disk(before)["figures"]), rel=0.1), "nothing is lost"


def test_another_is_relieved_by_the_service_itself(service: Service) -> None:
    coolest = disk(report(service))["figures"][-1]["name"]
    for index in ("three", "four", "five"):
        make_hot(service, index, coolest)
    launches = {name: node["launch"] for name, node in service.nodes("demo").items()}
    # Elasticsearch tells of what was written only some seconds later: the worst seen counts.
    worst = [0.0]

    def moved_by_itself() -> dict[str, Any] | None:
        worst[0] = max(worst[0], disk(report(service))["deviation"])
        return next((one for one in service.client.get(f"{C}/operations")
                     if one["parameters"].get("by") == "balance.mode: act" and one["ended_at"]),
                    None)
    body = service.show("demo")["spec"]
    service.client.put(C, body | {"balance": {"mode": "act", "min_gain_percent": 10}})
    found = wait_for("the service to move shards", moved_by_itself)
    assert (found["kind"], found["status"]) == ("move_shards", "done"), found
    wait_for("the report to show it", lambda: disk(report(service))["deviation"] < worst[0])
    assert {name: node["launch"] for name, node in service.nodes("demo").items()} == launches, (
        "a policy restarts no node")
    service.client.delete(C, confirm="demo")
    wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
