"""Autoscaling of a real cluster: advice changes nothing; then a node more, and one less again."""
from __future__ import annotations

from typing import Any

import pytest

from .service import Service, count_documents, index_documents, put, spec, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
C = "/v1/clusters/demo"
# Any disk is fuller than that, and no host has such a load: each limit is reached at once.
OUT = {"min": 2, "max": 3, "window_s": 30, "cool_down_s": 60, "disk_out_percent": 1,
       "disk_in_percent": None}
IN = OUT | {"disk_out_percent": None, "load_out": 100, "load_in": 50}


def want(service: Service, **policy: Any) -> None:
    """Another policy for the only group."""
    body = service.show("demo")["spec"]
    body["groups"][0]["autoscale"] = policy
    put(service, body)


def report(service: Service) -> dict[str, Any]:
    [found] = service.client.get(f"{C}/autoscale")["groups"]
    return dict(found)


def events(service: Service) -> list[dict[str, Any]]:
    return [one for one in service.client.get(f"{C}/events", limit=1000)
            if one["kind"] == "autoscaled"]


def test_it_advises_then_grows_then_shrinks_and_loses_nothing(service: Service) -> None:
    service.client.post("/v1/clusters", spec("demo", "demo", 2))
    service.green("demo", 2)
    index_documents(service, "demo", 50)
    launches = {name: node["launch"] for name, node in service.nodes("demo").items()}
    want(service, **OUT)
    told = wait_for("advice", lambda: (lambda found: found if found["advice"] == "out" else None)(
        report(service)), 120)
    assert told["why"].endswith(": 2 nodes become 3") and "above 1" in told["why"]
    assert told["acts_not_because"] == "autoscale.mode is advise" and told["last"] is None
    assert service.show("demo")["revision"] == 2 and len(service.nodes("demo")) == 2
    want(service, **OUT, mode="act")
    service.green("demo", 3)
    grown = report(service)
    assert (grown["count"], grown["last"]["by"]) == (3, "autoscale: act")
    [event] = events(service)
    assert event["message"].startswith("node: 2 nodes become 3, by autoscale: act: disk ")
    full = wait_for("a window of three nodes", lambda: (
        lambda found: found if "at most 3" in found["why"] else None)(report(service)), 120)
    assert full["advice"] == "stay" and service.show("demo")["spec"]["groups"][0]["count"] == 3
    want(service, **IN, mode="act")
    wait_for("the second revision", lambda: len(events(service)) == 2)
    service.green("demo", 2)
    assert report(service)["last"]["count"] == 2 and "load " in events(service)[-1]["message"]
    assert count_documents(service, "demo") == 50
    assert {name: node["launch"] for name, node in service.nodes("demo").items()} == launches, (
        "a policy restarts no node")
