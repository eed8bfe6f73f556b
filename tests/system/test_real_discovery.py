"""A virtual port: a real HAProxy in front of a real cluster whose nodes restart one by one."""
from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from esaas.local.datacentre import DataCentre

from ..discovery.balancer import Balancer
from .service import Service, es_request, spec, wait_for
from .writer import Writer

pytestmark = [pytest.mark.system, pytest.mark.timeout(600),
              pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy here")]


@pytest.fixture
def balancer(service: Service) -> Iterator[Balancer]:
    """HAProxy on all virtual ports, as a viewer."""
    with tempfile.TemporaryDirectory(prefix="hap-") as made:
        found = Balancer(service.url, Path(made), "--run", "--token-file",
                         str(service.token_file))
        try:
            yield found
        finally:
            assert found.stop() == 0, found.log.read_text()[-3000:]


def discovered(box: DataCentre) -> set[tuple[str, int]]:
    """Name and HTTP port of the tasks that run, as Mesos tells others of them."""
    return {(task["discovery"]["name"], port["number"])
            for framework in box.master_state()["frameworks"] for task in framework["tasks"]
            for port in task["discovery"]["ports"]["ports"] if port["name"] == "http"}


def test_writes_go_on_through_a_port_that_stays(
        box: DataCentre, service: Service, balancer: Balancer,
        record_testsuite_property: Callable[[str, object], None]) -> None:
    service.client.post("/v1/clusters", spec("demo", "demo"))
    service.green("demo", 3)
    told = service.client.get("/v1/clusters/demo/endpoints")
    port = told["virtual_ports"]["http"]
    url = f"http://127.0.0.1:{port}"
    wait_for("the nodes behind the port", lambda: balancer.in_use() == set(service.nodes("demo")))
    assert discovered(box) == {("demo", int(node["address"].rpartition(":")[2]))
                               for node in told["nodes"]}
    before, reloads = service.nodes("demo"), balancer.reloads()
    with Writer(lambda: [url]) as writing:
        service.client.post("/v1/clusters/demo/restart")
        wait_for("every node to have restarted", lambda: all(
            node["launch"] == before[name]["launch"] + 1
            for name, node in service.nodes("demo").items()))
        service.green("demo", 3)
        service.kill()              # HAProxy goes on without the service, and finds the next one
        written = len(writing.acknowledged)
        wait_for("more documents", lambda: len(writing.acknowledged) > written + 10)
        service.start()
        service.green("demo", 3)
        wait_for("all nodes", lambda: balancer.in_use() == set(before))
    writing.check(url)
    record_testsuite_property("documents", len(writing.acknowledged))
    record_testsuite_property("writes tried again", writing.failures)
    record_testsuite_property("longest time without a write in s",
                              round(writing.longest_outage_s, 1))
    assert service.client.get("/v1/clusters/demo/endpoints")["virtual_ports"]["http"] == port
    assert balancer.reloads() == reloads, "nodes that come back in place take no reload"
    assert es_request(url, "/_cluster/health")["number_of_nodes"] == 3
