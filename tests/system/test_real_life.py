"""The life of a real cluster, told in order: each test goes on where the one before ended."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from esaas.framework.client import Refused
from esaas.framework.store.contract import Delete, Put
from esaas.framework.store.opening import open_store
from esaas.local import master_api
from esaas.local.datacentre import DataCentre
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from ..first_release import as_first_release
from ..telemetry.prometheus_files import DASHBOARDS, alerts, filled_in, rules, series_in
from ..ui.browser import log_in, resize, shoot, start_chromium
from .prometheus import Prometheus
from .service import PATIENCE_S, Service, count_documents, index_documents, spec, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

DOCUMENTS = 1000
# Series that need what is not there: work meanwhile, a gate that holds, agents that measure disks,
# a disk that fills for half an hour, a store in ZooKeeper, snapshots.
MAY_BE_SILENT = {
    "esaas_node_container_disk_mb", "esaas_node_container_disk_limit_mb", "esaas_node_indexing_ms",
    "esaas_node_search_ms", "esaas_service_gate_steps_held", "ALERTS",
    "esaas_service_quota_used_percent",
    "tenant_cluster_node:esaas_node_disk_full_in_s:min",
    *(f"esaas_zookeeper_{name}" for name in ("up", "leader", "latency_ms", "outstanding",
                                             "connections")),
    *(f"esaas_cluster_snapshot_{name}" for name in ("age_s", "late_s", "failed", "drill_failed"))}

def silent(prometheus: Prometheus) -> set[str]:
    """Series of the dashboards that have never had a value; each query is asked without error."""
    asked = {query: prometheus.ask(query) for path in DASHBOARDS for query in filled_in(path)}
    named = {name for query, found in asked.items() if not found for name in series_in(query)}
    return {name for name in named if not prometheus.ask(f"count_over_time({name}[5m])")}


def framework_of(box: DataCentre, name: str) -> dict[str, Any]:
    """What the master says of a cluster's framework."""
    [found] = [item for item in box.master_state()["frameworks"] if item["name"] == name]
    return found


def reserved_by_role(box: DataCentre) -> dict[str, list[dict[str, Any]]]:
    """All reserved resources of all agents, by role."""
    found: dict[str, list[dict[str, Any]]] = {}
    for agent in master_api.get(f"{box.master_url}/slaves")["slaves"]:
        for role, items in (agent.get("reserved_resources_full") or {}).items():
            found.setdefault(role, []).extend(items)
    return found


def volumes(box: DataCentre, role: str) -> list[str]:
    """Ids of all persistent volumes of a role."""
    return sorted(item["disk"]["persistence"]["id"]
                  for item in reserved_by_role(box).get(role, ())
                  if "persistence" in item.get("disk", {}))


def test_a_spec_becomes_a_green_cluster(box: DataCentre, service: Service) -> None:
    accepted = service.client.post("/v1/clusters", spec("demo", "demo"))
    assert accepted["revision"] == 1 and accepted["changed"]
    detail = service.green("demo", 3)
    assert len({node["host"] for node in detail["nodes"]}) == 3
    assert len({node["rack"] for node in detail["nodes"]}) == 3
    again = service.client.post("/v1/clusters", spec("demo", "demo"))
    assert not again["changed"]


def test_the_master_knows_the_framework_as_it_should(box: DataCentre, service: Service) -> None:
    framework = framework_of(box, "esaas/demo/demo")
    assert framework["roles"] == ["demo/demo"]
    assert framework["principal"] == "demo"
    assert framework["checkpoint"] is True
    assert framework["failover_timeout"] >= 7 * 86400
    assert {"MULTI_ROLE", "RESERVATION_REFINEMENT", "PARTITION_AWARE"} <= set(
        framework["capabilities"])
    assert "GPU_RESOURCES" not in framework["capabilities"]
    assert framework["id"] == service.show("demo")["framework_id"]
    assert len(framework["tasks"]) == 3
    assert list(reserved_by_role(box)) == ["demo/demo"]
    for item in reserved_by_role(box)["demo/demo"]:
        labels = {label["key"]: label["value"]
                  for label in item["reservations"][-1]["labels"]["labels"]}
        assert labels["esaas.cluster"] == "demo" and labels["esaas.node"].startswith("node-")
        assert labels["esaas.incarnation"] == "1"
    assert len(volumes(box, "demo/demo")) == 3


def test_elasticsearch_is_set_up_as_wanted(service: Service) -> None:
    settings = service.es("demo", "/_cluster/settings?flat_settings=true&include_defaults=true")
    assert settings["persistent"]["discovery.zen.minimum_master_nodes"] == "2"
    info = service.es("demo", "/_nodes/settings,jvm,process?flat_settings=true")
    for node in info["nodes"].values():
        given = node["settings"]
        assert given["node.attr.rack"].startswith("rack-")
        assert given["cluster.routing.allocation.awareness.attributes"] == ["rack"]
        assert given["discovery.zen.minimum_master_nodes"] == "2"
        assert node["jvm"]["mem"]["heap_init_in_bytes"] == 256 * 2**20
        owner = psutil.Process(node["process"]["id"]).username()
        assert owner != "root", "Elasticsearch must never run as root"
    index_documents(service, "demo", DOCUMENTS)
    index = service.es("demo", "/notes/_settings?flat_settings=true")["notes"]["settings"]
    assert index["index.number_of_replicas"] == "1", "the index template gives the default"
    service.green("demo", 3)


def test_a_real_prometheus_takes_the_figures_the_rules_and_every_query_of_the_dashboards(
        service: Service, tmp_path: Path) -> None:
    made = service.client.post("/v1/tokens", {"name": "prometheus", "role": "viewer",
                                              "tenants": ["*"]})
    prometheus = Prometheus(tmp_path / "prometheus", service.url.partition("//")[2].rstrip("/"),
                            made["token"])
    try:
        wait_for("the target to be up", lambda: [one["health"] for one in prometheus.get(
            "targets")["activeTargets"]] == ["up"])
        # Rates come with the second measurement, CPU of containers with the second answer.
        wait_for("figures of every node", lambda: len(prometheus.ask(
            'esaas_node_container_cpu_percent{cluster="demo"}')) == 3 and len(prometheus.ask(
                'esaas_node_indexing_per_s{cluster="demo"}')) == 3)
        [(labels, status)] = prometheus.ask("tenant_cluster:esaas_cluster_status:max")
        assert (labels["tenant"], labels["cluster"], status) == ("demo", "demo", 0)
        for name, low, high in (("container_mem_mb", 100, 2000), ("container_cpus", 0.5, 0.7),
                                ("heap_used_percent", 1, 100), ("up", 1, 1)):
            found = prometheus.ask(f"esaas_node_{name}")
            assert len(found) == 3, name
            assert all(low <= value <= high for _, value in found), (name, found)
            assert {one["host"] for one, _ in found} == {
                node["host"] for node in service.nodes("demo").values()}
        assert len(prometheus.ask("esaas_host_load_per_core")) == 3
        assert prometheus.ask("esaas_mesos_agents_active")[0][1] == 3
        accepted = prometheus.ask("esaas_service_offers_accepted_total")[0][1]
        assert 3 <= accepted <= prometheus.ask("esaas_service_offers_received_total")[0][1]
        told = wait_for("all rules to be evaluated", lambda: (lambda found: found if all(
            one["health"] == "ok" for one in found) else None)([
                one for group in prometheus.get("rules")["groups"] for one in group["rules"]]))
        assert len(told) == len(rules())
        assert {one["name"] for one in told if one["type"] == "alerting"} == {
            one["alert"] for one in alerts()}
        # A rule may have been evaluated before the figures that it is made of had come.
        wait_for("every other series to have a value", lambda: silent(prometheus) <= MAY_BE_SILENT)
    finally:
        prometheus.close()


def test_a_killed_node_comes_back_in_place(box: DataCentre, service: Service) -> None:
    before = service.nodes("demo")["node-2"]
    held = volumes(box, "demo/demo")
    os.kill(before["pid"], signal.SIGKILL)
    wait_for("another start of node-2", lambda: service.nodes("demo")["node-2"]["launch"] == 2)
    service.green("demo", 3)
    after = service.nodes("demo")["node-2"]
    for same in ("host", "http_address", "transport_address", "es_node_id", "incarnation"):
        assert after[same] == before[same], same
    assert after["pid"] != before["pid"]
    assert volumes(box, "demo/demo") == held
    assert count_documents(service, "demo") == DOCUMENTS


def test_nodes_outlive_their_agent(box: DataCentre, service: Service) -> None:
    before = service.nodes("demo")
    box.agent(1).kill()
    box.agent(1).start()
    wait_for("the agent to be registered again", lambda: all(
        agent.active for agent in box.status().agents))
    service.green("demo", 3)
    after = service.nodes("demo")
    assert {name: node["pid"] for name, node in after.items()} == {
        name: node["pid"] for name, node in before.items()}
    assert {node["task_id"] for node in after.values()} == {
        node["task_id"] for node in before.values()}


def test_nodes_outlive_the_service(box: DataCentre, service: Service) -> None:
    before, framework_id = service.nodes("demo"), service.show("demo")["framework_id"]
    service.kill()
    assert len(framework_of(box, "esaas/demo/demo")["tasks"]) == 3
    service.start()
    service.green("demo", 3)
    after = service.nodes("demo")
    for same in ("pid", "task_id", "http_address", "es_node_id"):
        assert [node[same] for node in after.values()] == [
            node[same] for node in before.values()], same
    assert service.show("demo")["framework_id"] == framework_id
    assert count_documents(service, "demo") == DOCUMENTS


def test_an_upgrade_of_the_service_touches_no_node(box: DataCentre, service: Service) -> None:
    """What is stored is what the first release would have stored of this very cluster."""
    before, framework_id = service.nodes("demo"), service.show("demo")["framework_id"]
    assert service.stop() == 0
    store = open_store(service.directory / "state")
    lease = store.acquire("demo", "the test")
    try:
        changes: list[Put | Delete] = []
        for path, stored in store.read("").items():
            old = as_first_release(path, stored.data)
            changes.append(Delete(path, stored.version) if old is None
                           else Put(path, old, stored.version))
        store.write(lease, changes)
        store.release(lease)
    finally:
        store.close()
    service.start()
    service.green("demo", 3)
    wait_for("the revision to be settled", lambda: service.show("demo")["settled_revision"] == 1)
    for same in ("pid", "task_id", "http_address", "launch"):
        assert [node[same] for node in service.nodes("demo").values()] == [
            node[same] for node in before.values()], same
    assert service.show("demo")["framework_id"] == framework_id
    assert len(framework_of(box, "esaas/demo/demo")["tasks"]) == 3
    assert count_documents(service, "demo") == DOCUMENTS


def test_growth_by_a_click(box: DataCentre, service: Service, tmp_path: Path) -> None:
    browser = start_chromium(tmp_path / "profile")
    try:
        resize(browser, 1280)
        log_in(browser, f"{service.url}/clusters/demo", "admin", service.password)
        wait = WebDriverWait(browser, PATIENCE_S)
        wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".link.on"))
        count = browser.find_element(By.ID, "count-node")
        count.send_keys(Keys.CONTROL, "a")
        count.send_keys("4", Keys.ENTER)
        wait.until(lambda _: "node-4" in browser.page_source)
        held = wait_for("node-4 to wait for an agent of its own", lambda: [
            offer for offer in service.client.get("/v1/clusters/demo/offers")
            if "of at most 1 nodes of this cluster" in offer["reason"]])
        assert {offer["agent"] for offer in held} <= {"agent-1", "agent-2", "agent-3"}
        box.add_agent()
        # From here on everything comes by server-sent events.
        wait.until(lambda _: "ready" in browser.execute_script(
            "return document.querySelector('#node-node-4')?.textContent ?? ''"))
        shoot(browser, "real-cluster")
    finally:
        browser.quit()
    detail = service.green("demo", 4)
    assert len({node["host"] for node in detail["nodes"]}) == 4
    assert detail["revision"] == 2
    settings = service.es("demo", "/_cluster/settings?flat_settings=true")
    assert settings["persistent"]["discovery.zen.minimum_master_nodes"] == "3"
    assert count_documents(service, "demo") == DOCUMENTS
    again = service.client.post("/v1/clusters/demo/scale", {"group": "node", "count": 4})
    assert not again["changed"]


def test_an_unsafe_shrink_is_refused_by_name(service: Service) -> None:
    with pytest.raises(Refused) as refused:
        service.client.post("/v1/clusters/demo/scale", {"group": "node", "count": 2})
    assert refused.value.status == 409
    assert [fault.rule for fault in refused.value.faults] == ["quorum_stays"]
    assert service.show("demo")["revision"] == 2


def test_two_tenants_share_hosts_on_their_own_ports(box: DataCentre, service: Service) -> None:
    service.client.post("/v1/clusters", spec("notes", "acme", 2))
    service.green("notes", 2)
    assert framework_of(box, "esaas/acme/notes")["roles"] == ["acme/notes"]
    addresses = [node["http_address"] for name in ("demo", "notes")
                 for node in service.nodes(name).values()]
    assert len(set(addresses)) == 6
    hosts = {node["host"] for node in service.nodes("notes").values()}
    assert hosts <= {node["host"] for node in service.nodes("demo").values()}
    listed = service.client.get("/v1/clusters")
    assert {item["name"]: item["tenant"] for item in listed} == {"demo": "demo", "notes": "acme"}


def test_growth_by_the_command_line(service: Service) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from esaas.framework.cli import main; main()", "--url",
         service.url, "cluster", "scale", "notes", "node", "3", "--wait"],
        capture_output=True, text=True, timeout=600, check=False,
        env=dict(os.environ) | {"ESAAS_TOKEN_FILE": str(service.token_file)})
    assert done.returncode == 0, done.stdout + done.stderr
    service.green("notes", 3)


def test_a_deletion_leaves_nothing(box: DataCentre, service: Service) -> None:
    with pytest.raises(Refused) as refused:
        service.client.delete("/v1/clusters/demo", confirm="wrong")
    assert refused.value.status == 422
    pids = [node["pid"] for name in ("demo", "notes") for node in service.nodes(name).values()]
    for name in ("demo", "notes"):
        service.client.delete(f"/v1/clusters/{name}", confirm=name)
    wait_for("both clusters to be gone", lambda: service.client.get("/v1/clusters") == [])
    assert reserved_by_role(box) == {}
    assert box.master_state()["frameworks"] == []
    assert len(box.master_state()["completed_frameworks"]) == 2
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
