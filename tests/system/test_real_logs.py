"""A real cluster ships its logs into another one: whole, and every line once."""
from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from esaas.framework.client import Refused
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre

from ..telemetry.log_dashboard import search, targets
from .service import Service, spec, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
BEGIN = re.compile(r"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3}\]", re.MULTILINE)
Key = tuple[str, str, str]              # node, launch, log


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """Two agents."""
    with temporary_data_centre(2, principals={"demo": "demo"}) as centre:
        yield centre


@pytest.fixture(scope="module")
def service(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A cluster of logs with 7.17, and one with 6.8 that ships into it."""
    directory: Path = tmp_path_factory.mktemp("service")
    with Service(box, directory, ("demo",), ("6.8.23", "7.17.29")).start() as found:
        found.client.post("/v1/clusters", spec("logs", "demo", 2, version="7.17.29"))
        found.client.post("/v1/clusters", spec("demo", "demo", 2, logs={"cluster": "logs"}))
        found.green("logs", 2)
        found.green("demo", 2)
        yield found


def written(service: Service) -> Counter[Key]:
    """Events in every log of Elasticsearch that is on an agent."""
    found: Counter[Key] = Counter()
    for node in service.client.get("/v1/clusters/demo/logs")["nodes"]:
        for launch in node["launches"]:
            for file in launch["files"] or ():
                if file["name"].startswith("demo") and file["size"]:
                    text = whole(service, node["node"], launch["launch"], file["name"])
                    found[node["node"], launch["launch"], file["name"].removesuffix(".log")] = (
                        len(BEGIN.findall(text)))
    return found


def whole(service: Service, node: str, launch: str, file: str) -> str:
    text, offset = "", 0
    while True:
        part = service.client.get(f"/v1/clusters/demo/nodes/{node}/log", launch=launch, file=file,
                                  offset=str(offset))
        if not part["text"]:
            return text
        text, offset = text + part["text"], part["next_offset"]


def shipped(service: Service) -> Counter[Key]:
    """Documents by where they come from."""
    service.es("logs", "/esaas-logs-*/_refresh", "POST")
    answer = service.es("logs", "/esaas-logs-*/_search", "POST", {"size": 0, "aggs": {"all": {
        "composite": {"size": 1000, "sources": [
            {name: {"terms": {"field": name}}} for name in ("node", "launch", "log")]}}}})
    return Counter({(one["key"]["node"], one["key"]["launch"], one["key"]["log"]):
                    one["doc_count"] for one in answer["aggregations"]["all"]["buckets"]})


def all_is_there(service: Service) -> None:
    """As many documents as events; so none is lost, and none is there twice."""
    last: list[Any] = []

    def same() -> bool:
        last[:] = [written(service), shipped(service)]
        return last[0] == last[1]
    try:
        wait_for("every line to be shipped", same, 120)
    except AssertionError as error:
        raise AssertionError(f"{error}: {last[0] - last[1]} lost, {last[1] - last[0]} twice") from (
            error)


def found(service: Service, text: str) -> list[dict[str, Any]]:
    """Documents with these words in their message."""
    service.es("logs", "/esaas-logs-*/_refresh", "POST")
    answer = service.es("logs", "/esaas-logs-*/_search", "POST", {
        "query": {"match_phrase": {"message": text}}})
    return [hit["_source"] for hit in answer["hits"]["hits"]]


def log_a_line(service: Service, index: str) -> None:
    """Make an index, which the elected master logs."""
    service.es("demo", f"/{index}", "PUT", {"settings": {"number_of_shards": 1}})


def test_a_line_is_found_in_the_cluster_of_logs(service: Service) -> None:
    log_a_line(service, "kittens")
    [line] = wait_for("the line", lambda: found(service, "[kittens] creating index"))
    assert line["cluster"] == "demo" and line["tenant"] == "demo" and line["level"] == "INFO"
    assert line["node"] == service.show("demo")["es"]["elected_master"]
    assert line["host"] == service.nodes("demo")[line["node"]]["host"]
    assert line["log"] == "demo" and line["@timestamp"].endswith("Z") and line["logger"]
    mapping = service.es("logs", "/esaas-logs-*/_mapping")
    assert all(one["mappings"]["properties"]["@timestamp"]["type"] == "date"
               for one in mapping.values())
    for target in targets():
        answer = service.es("logs", "/esaas-logs-*/_search", "POST", search(target))
        assert "slowlog" in target["query"] or "ERROR" in target["query"] or (
            answer["hits"]["total"]["value"] > 0), target["query"]
    all_is_there(service)
    launch = service.client.get("/v1/clusters/demo/logs", node=line["node"])["nodes"][0][
        "launches"][0]
    assert launch["shipping"]["shipped"] > 0 and launch["shipping"]["error"] == ""


def test_nothing_is_lost_or_doubled_while_the_target_and_an_executor_die(
        service: Service) -> None:
    master = service.show("demo")["es"]["elected_master"]      # it logs what follows
    victim = service.nodes("demo")[master]
    for node in service.nodes("logs").values():
        os.kill(node["pid"], signal.SIGKILL)
    wait_for("the target to be away", lambda: not service.show("logs")["endpoints"]["http"])
    log_a_line(service, "while-it-is-away")
    executor = next(parent for parent in psutil.Process(victim["pid"]).parents()
                    if any("esaas-executor" in word for word in parent.cmdline()))
    executor.kill()                     # what it had not sent yet, the next one sends
    wait_for("the node to start again", lambda: service.nodes("demo")[master]["launch"] > 1)
    service.green("logs", 2)
    service.green("demo", 2)
    [line] = wait_for("the line", lambda: found(service, "[while-it-is-away] creating index"))
    assert (line["node"], line["launch"]) == (master, "1.1")
    all_is_there(service)
    assert {key[1] for key in shipped(service)} == {"1.1", "1.2"}


def test_the_target_can_be_taken_away_and_must_be_ours(service: Service) -> None:
    body = service.show("demo")["spec"]
    for wrong, rule in (("demo", "log_target_is_ours"), ("nowhere", "log_target_is_ours")):
        with pytest.raises(Refused) as refused:
            service.client.put("/v1/clusters/demo", body | {"logs": {"cluster": wrong}})
        assert [fault.rule for fault in refused.value.faults] == [rule]
    launches = {name: f"{node['incarnation']}.{node['launch']}"
                for name, node in service.nodes("demo").items()}
    service.client.put("/v1/clusters/demo", body | {"logs": None})
    service.green("demo", 2)
    wait_for("executors to be told", lambda: "Logs are shipped no more" in whole(
        service, "node-2", launches["node-2"], "stderr"))
    assert {name: f"{node['incarnation']}.{node['launch']}"
            for name, node in service.nodes("demo").items()} == launches, "nothing was restarted"
