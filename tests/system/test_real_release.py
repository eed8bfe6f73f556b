"""A git repository becomes a real cluster, changes it and takes that back; and the platform."""
from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from esaas.framework.cli import main
from esaas.local import master_api
from esaas.local.datacentre import DataCentre

from ..releases.repository import commit
from .service import QUICK_START, Service, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
KEY = "indices.recovery.max_bytes_per_sec"
CLUSTER: dict[str, Any] = {"tenant": "demo", "version": "6.8.23"}
NODE = {"count": 2, "roles": ["master", "data"], "cpus": 0.5, "mem_mb": 768, "disk_mb": 2000,
        "heap": {"mb": 256}, "jvm_options": [QUICK_START]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tmp_path_factory.mktemp("git") / "es"
    commit(found, {"shop/cluster.yaml": CLUSTER, "shop/node.yaml": NODE | {"count": 3},
                   "environments/small/shop/node.yaml": {"count": 2}}, "the shop begins")
    return found


def esaas(service: Service, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["release", *arguments], env={
        "ESAAS_URL": service.url, "ESAAS_TOKEN_FILE": str(service.token_file), "COLUMNS": "200"})


def setting(service: Service) -> str | None:
    found = service.es("shop", "/_cluster/settings?flat_settings=true")["persistent"].get(KEY)
    return str(found) if found is not None else None


def test_a_commit_becomes_a_green_cluster(service: Service, home: Path) -> None:
    done = esaas(service, f"{home}@main", "--env", "small", "--yes", "--wait")
    assert done.exit_code == 0 and "shop: done" in done.output, done.output
    service.green("shop", 2)
    [one] = service.client.get("/v1/releases")
    assert (one["status"], one["release"]["commit_subject"]) == ("done", "the shop begins")


def test_the_platform_under_it(box: DataCentre, service: Service) -> None:
    found = service.client.get("/v1/platform")
    assert found["master_problem"] == "" and found["master"]["version"] == "1.11.0"
    assert found["master"]["agents_active"] == len(found["agents"]) == 3
    taken = [one for one in found["agents"] if one["nodes"]]
    assert len(taken) == 2
    assert all(0 < one["reserved"]["mem_mb"] <= one["total"]["mem_mb"] for one in taken)
    [scheduler] = found["schedulers"]
    assert (scheduler["cluster"], scheduler["connected"]) == ("shop", True)
    assert scheduler["framework_id"] == service.show("shop")["framework_id"]
    assert scheduler["registered_at"] > 0 and found["store"]["kind"] == "embedded"


def test_what_is_left_of_a_cluster_that_is_gone_is_told(box: DataCentre, service: Service) -> None:
    assert service.client.get("/v1/platform")["leftovers"] == [], "all of the shop has its node"
    labels = [{"key": "esaas.cluster", "value": "bygone"}, {"key": "esaas.node", "value": "node-1"},
              {"key": "esaas.incarnation", "value": "3"}]
    resource = {"name": "mem", "type": "SCALAR", "scalar": {"value": 64}, "reservations": [
        {"type": "DYNAMIC", "role": "demo/bygone", "principal": "demo",
         "labels": {"labels": labels}}]}
    leading = box.master_url.removeprefix("http://")
    agent = next(iter(master_api.agents(leading).values()))["id"]

    def ask(kind: str) -> None:
        master_api.call(leading, {"type": kind, kind.lower(): {
            "agent_id": {"value": agent}, "resources": [resource]}}, "demo", box.secret("demo"))

    ask("RESERVE_RESOURCES")
    [found] = wait_for("it to be told",
                       lambda: service.client.get("/v1/platform")["leftovers"])
    assert (found["cluster"], found["node"], found["incarnation"], found["role"]) == (
        "bygone", "node-1", "3", "demo/bygone")
    assert (found["agent_id"], found["amounts"]["mem_mb"], found["volumes"]) == (agent, 64, [])
    ask("UNRESERVE_RESOURCES")
    wait_for("it to be gone", lambda: not service.client.get("/v1/platform")["leftovers"])


def test_its_figures_are_measured(service: Service) -> None:
    """Rates come with the second measurement; a load and a heap every node has."""
    def scraped() -> str:
        request = urllib.request.Request(f"{service.url}/metrics", headers={
            "Authorization": f"Bearer {service.token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())
    text = wait_for("rates of both nodes", lambda: (lambda found: found if found.count(
        "esaas_node_indexing_per_s{") == 2 else None)(scraped()))
    for name in service.nodes("shop"):
        for metric in ("heap_used_percent", "disk_used_percent", "load_1m", "up", "documents"):
            assert re.search(rf'esaas_node_{metric}\{{cluster="shop",[^}}]*node="{name}"', text)
    assert 'esaas_cluster_status{cluster="shop",tenant="demo"} 0.0' in text
    assert text.count("esaas_host_reserved_mem_mb{") == 2
    assert "esaas_service_clusters 1.0" in text


def test_a_change_is_released_drifts_and_is_taken_back(service: Service, home: Path) -> None:
    launches = {name: node["launch"] for name, node in service.nodes("shop").items()}
    commit(home, {"shop/cluster.yaml": CLUSTER | {"settings": {KEY: "77mb"}}}, "faster recovery")
    drift = esaas(service, "drift", str(home), "--env", "small")
    assert drift.exit_code == 1 and KEY in drift.output, drift.output
    assert esaas(service, str(home), "--env", "small", "--yes").exit_code == 0
    wait_for("the setting", lambda: setting(service) == "77mb")
    assert esaas(service, "drift", str(home), "--env", "small").exit_code == 0
    [newest, _] = service.client.get("/v1/releases")
    back = esaas(service, "rollback", newest["release"]["id"], "--yes")
    assert back.exit_code == 0, back.output
    wait_for("the setting to be gone", lambda: setting(service) is None)
    assert {name: node["launch"] for name, node in service.nodes("shop").items()} == launches
    kinds = [one["release"]["kind"] for one in service.client.get("/v1/releases")]
    assert kinds == ["roll_back", "release", "release"]
    service.client.delete("/v1/clusters/shop", confirm="shop")
    wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
