"""Self-service on a real cluster under continuous writes, told in order."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.client import Refused
from esaas.local.datacentre import DataCentre
from esaas.local.fetch.plugins import fetch_plugin
from esaas.local.settings import Settings
from esaas.local.testing import temporary_data_centre

from .service import Service, put, spec, wait_for
from .test_real_life import reserved_by_role, volumes

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]
C = "/v1/clusters/demo"
SECRET = "a-value-that-nobody-may-see-8152"
SIDECAR = {"name": "head", "kind": "sidecar", "count": 1, "cpus": 0.2, "mem_mb": 256,
           "disk_mb": 64, "listens": True,
           "command": "echo $ESAAS_ES_URLS > hosts.txt; exec python3 -m http.server "
                      "--bind $ESAAS_HOST $ESAAS_PORT"}


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """Four agents."""
    with temporary_data_centre(4, principals={"demo": "demo"}) as centre:
        yield centre


@pytest.fixture(scope="module")
def service(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a plugin in its catalog, and a green cluster of three nodes."""
    directory: Path = tmp_path_factory.mktemp("service")
    fetch_plugin(Settings.load().cache, "6.7.0")
    with Service(box, directory, ("demo",)).start() as found:
        found.client.post("/v1/clusters", spec("demo", "demo", 3))
        found.green("demo", 3)
        yield found


def body_of(service: Service, **group: Any) -> dict[str, Any]:
    """The spec as it is, with a changed first group."""
    body: dict[str, Any] = service.show("demo")["spec"]
    body["groups"][0] |= group
    return body


def settled(service: Service, nodes: int = 3) -> None:
    """Wait until the newest revision is in force on every node, and green."""
    wait_for("the revision to be settled", lambda: (
        lambda found: found["settled_revision"] == found["revision"])(service.show("demo")), 400)
    service.green("demo", nodes)


def launches(service: Service) -> dict[str, int]:
    return {name: node["launch"] for name, node in service.nodes("demo").items()}


def steps(service: Service) -> dict[str, dict[str, Any]]:
    plan = service.client.get(f"{C}/plan")
    return {step["id"]: step for phase in plan["phases"] for step in phase["steps"]}


def test_a_live_setting_changes_without_a_restart(service: Service, written: None) -> None:
    settled(service)
    before = launches(service)
    key = "indices.recovery.max_bytes_per_sec"
    body = body_of(service) | {"settings": {key: "77mb"}}
    dry = put(service, body, "?dry_run=true")["preview"]
    assert dry["restarts"] == [] and dry["live"] == [f"{key}: (none) -> 77mb"]
    put(service, body)
    wait_for("the setting", lambda: service.es(
        "demo", "/_cluster/settings?flat_settings=true")["persistent"].get(key) == "77mb")
    assert launches(service) == before
    with pytest.raises(Refused) as refused:
        service.client.put(C, body | {"settings": {"indicez.memory.size": "1mb"}})
    assert [fault.rule for fault in refused.value.faults] == ["settings_are_known"]


def test_a_plugin_is_installed_by_name_and_a_bad_one_goes_back(
        service: Service, written: None) -> None:
    before = launches(service)
    service.client.post(f"{C}/plugins", {"name": "minhash"})
    settled(service)
    found = service.es("demo", "/_cat/plugins?format=json&h=name,component")
    assert sorted((item["name"], item["component"]) for item in found) == [
        (name, "minhash") for name in sorted(before)]
    assert all(count == before[name] + 1 for name, count in launches(service).items())
    revision = service.show("demo")["revision"]
    service.client.post(f"{C}/plugins", {
        "name": "other", "url": fetch_plugin(Settings.load().cache, "6.7.0").as_uri(),
        "sha256": "0" * 64})
    wait_for("the bad plugin to be taken back", lambda: service.show("demo")["setback"])
    settled(service)
    detail = service.show("demo")
    assert detail["revision"] == revision + 2
    assert "other" in detail["setback"] and [
        item["name"] for item in detail["spec"]["plugins"]] == ["minhash"]
    after = launches(service)
    assert sum(after[name] > before[name] + 1 for name in before) == 1, "one node was touched"


def test_secure_settings_files_and_memory_roll_together(
        box: DataCentre, service: Service, written: None) -> None:
    before = service.nodes("demo")
    taken = service.client.put(f"{C}/secrets", {
        "xpack.notification.slack.account.monitoring.secure_url": SECRET})
    assert SECRET not in str(taken)
    body = body_of(service, mem_mb=896) | {"files": [
        {"path": "analysis/synonyms.txt", "content": "kitten, kitty => cat\n"}]}
    put(service, body)
    settled(service)
    after = service.nodes("demo")
    for name, node in after.items():
        assert node["mem_mb"] == 896
        assert [node[key] for key in ("host", "http_address", "es_node_id")] == [
            before[name][key] for key in ("host", "http_address", "es_node_id")]
    service.es("demo", "/pets", "PUT", {"settings": {"number_of_shards": 1, "analysis": {
        "filter": {"own": {"type": "synonym", "synonyms_path": "analysis/synonyms.txt"}},
        "analyzer": {"own": {"tokenizer": "standard", "filter": ["own"]}}}}})
    tokens = service.es("demo", "/pets/_analyze", "POST", {"analyzer": "own", "text": "kitty"})
    assert [token["token"] for token in tokens["tokens"]] == ["cat"]
    assert [item["key"] for item in service.client.get(f"{C}/secrets")] == [
        "xpack.notification.slack.account.monitoring.secure_url"]
    assert SECRET not in str(service.show("demo")) and SECRET not in service.log.read_text()
    for path in service.directory.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_switches_and_operations_are_done_once_and_recorded(service: Service) -> None:
    service.client.post(f"{C}/switches/rebalance", {"value": "none", "timeout_s": 15})
    settings = "/_cluster/settings?flat_settings=true"
    key = "cluster.routing.rebalance.enable"
    wait_for("the switch", lambda: service.es("demo", settings)["persistent"].get(key) == "none")
    for kind, more in (("flush", {}), ("clear_cache", {"kinds": ["query"]}),
                       ("force_merge", {"index": "notes"}), ("reroute_retry", {})):
        service.client.post(f"{C}/operations", {"kind": kind} | more)
    wait_for("the operations", lambda: [item["status"] for item in service.client.get(
        f"{C}/operations")[:4]] == ["done"] * 4)
    wait_for("the switch to go back", lambda: key not in service.es("demo", settings)[
        "persistent"])
    assert wait_for("nothing to be switched", lambda: service.show("demo")["switches"] == [])


def test_a_node_is_held_for_debugging(service: Service) -> None:
    service.client.post(f"{C}/nodes/node-2/pause")
    wait_for("node-2 to be held", lambda: (lambda node: node["state"] == "starting" and
                                           node["pid"] is None and "debugging" in node["detail"])(
        service.nodes("demo")["node-2"]))
    assert steps(service)["start-node-2"]["gates"][0]["name"] == "not_held"
    service.client.post(f"{C}/nodes/node-2/continue")
    settled(service)


def log_of(service: Service, node: str, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = service.client.get(f"{C}/nodes/{node}/log", **query)
    return found


def test_logs_of_present_and_former_launches_are_read(service: Service) -> None:
    assert "node-1" in log_of(service, "node-1", lines=5)["text"]
    service.es("demo", "/kittens-are-logged", "PUT", {"settings": {"number_of_shards": 1}})
    master = service.show("demo")["es"]["elected_master"]
    found = wait_for("the line", lambda: service.client.get(
        f"{C}/nodes/{master}/log/search", text="KITTENS-are-logged")["hits"])
    assert "creating index" in found[0]["line"]
    service.es("demo", "/kittens-are-logged", "DELETE")
    listed = service.client.get(f"{C}/logs", node="node-2")["nodes"][0]
    now, before = listed["launches"][:2]
    assert now["present"] and not before["present"] and before["state"] == "TASK_KILLED"
    # It was held for debugging, and Elasticsearch not started; the launch before ended in order.
    older = listed["launches"][2]
    assert {"demo.log", "demo_index_search_slowlog.log", "stderr", "console.log"} <= {
        one["name"] for one in older["files"]}
    assert "closed" in log_of(service, "node-2", launch=older["launch"])["text"]
    for file in ("config/elasticsearch.yml", "logs/../config/elasticsearch.yml",
                 "elasticsearch.yml", "none.log", "demo_none.log"):
        with pytest.raises(Refused) as refused:
            log_of(service, "node-1", file=file)
        assert refused.value.status == 404


def test_a_node_is_replaced_elsewhere(
        box: DataCentre, service: Service, written: None) -> None:
    host = service.nodes("demo")["node-3"]["host"]
    with pytest.raises(Refused):
        service.client.post(f"{C}/nodes/node-3/replace", {"confirm": "node-1"})
    service.client.post(f"{C}/nodes/node-3/replace", {"confirm": "node-3"})
    wait_for("node-3 to be gone", lambda: "node-3" not in service.nodes("demo"), 400)
    service.green("demo", 3)
    found = service.nodes("demo")
    assert sorted(found) == ["node-1", "node-2", "node-4"] and found["node-4"]["host"] != host
    assert len(volumes(box, "demo/demo")) == 3
    assert "closed" in log_of(service, "node-3")["text"], "the agent keeps what it has written"


def test_a_larger_disk_moves_every_node_to_a_new_volume(
        box: DataCentre, service: Service, written: None) -> None:
    dry = put(service, body_of(service, disk_mb=2500), "?dry_run=true")["preview"]
    assert sorted(dry["replaces"]) == ["node-1", "node-2", "node-4"] and not dry["restarts"]
    put(service, body_of(service, disk_mb=2500))
    wait_for("every node to have moved", lambda: all(
        node["disk_mb"] == 2500 for node in service.nodes("demo").values()), 600)
    settled(service)
    assert len(volumes(box, "demo/demo")) == 3


def test_a_sidecar_is_kept_alive(service: Service) -> None:
    body = body_of(service)
    put(service, body | {"groups": [*body["groups"], SIDECAR]})
    service.green("demo", 4)
    node = service.nodes("demo")["head-1"]
    assert node["kind"] == "sidecar"

    def hosts() -> Any:
        import urllib.request
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://{node['http_address']}/hosts.txt", timeout=10) as found:
            return found.read().decode()

    assert service.show("demo")["endpoints"]["http"][0] in wait_for("its port", hosts)
    found = body_of(service)
    found["groups"][1]["count"] = 0
    put(service, found)
    service.green("demo", 3)


def test_another_cluster_is_searched_and_followed(box: DataCentre, service: Service) -> None:
    other = spec("other", "demo", 2) | {"remotes": [{"name": "far", "cluster": "demo"}]}
    with pytest.raises(Refused) as refused:
        service.client.post("/v1/clusters", other | {
            "remotes": [{"name": "far", "cluster": "nowhere"}]})
    assert refused.value.faults[0].rule == "remote_is_ours"
    service.client.post("/v1/clusters", other)
    service.green("other", 2)
    wait_for("the seeds", lambda: service.es("other", "/_remote/info").get("far", {}).get(
        "connected"))
    found = service.es("other", "/far:notes/_search?size=0")
    assert found["hits"]["total"] > 0 and found["_clusters"]["successful"] == 1
    for name in ("other", "demo"):
        service.client.delete(f"/v1/clusters/{name}", confirm=name)
    wait_for("the clusters to be gone", lambda: service.client.get("/v1/clusters") == [])
    assert reserved_by_role(box) == {}
