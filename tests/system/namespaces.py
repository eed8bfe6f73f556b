"""Network namespaces as hosts, made ready by the script of vagrant/; for tests as root."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from esaas.local.hosts.netns import Namespaces, refusal

from .service import Service, es_request, spec, wait_for
from .writer import Writer

SCRIPT = Path(__file__).resolve().parents[2] / "vagrant" / "provision.sh"
# Elasticsearch of 6.x notices a host that is silent after 90 s by itself.
NOTICES_SOON = {"discovery.zen.fd.ping_interval": "1s", "discovery.zen.fd.ping_timeout": "2s",
                "discovery.zen.fd.ping_retries": "2"}


class ProvidedService(Service):
    """The service of the control host: the script has started it, the test asks it."""

    def __init__(self, hosts: Namespaces) -> None:
        self.hosts = hosts
        self.url, self.token = hosts.service_url, hosts.token


@contextmanager
def namespaces(agents: int) -> Iterator[Namespaces]:
    """A control host and so many agents; skips the test where they cannot be."""
    if why := refusal():
        pytest.skip(why)
    with Namespaces(SCRIPT, tenants=("demo",)) as hosts:
        for _ in range(agents):
            hosts.add_agent()
        yield hosts


def small(name: str, count: int = 3) -> dict[str, Any]:
    """A small cluster that soon notices a node that is silent."""
    return spec(name, "demo", count, settings=NOTICES_SOON)


@contextmanager
def writing_beside(service: Service, name: str, away: str) -> Iterator[Writer]:
    """A client that knows all nodes of a cluster but one; its index has all its copies."""
    urls = [f"http://{node['http_address']}" for node in service.nodes(name).values()
            if node["name"] != away]
    with Writer(lambda: urls, index=f"notes-beside-{away}") as writing:
        # Else its first document may have its only copy on the node that goes away.
        wait_for("its index to have all copies", lambda: es_request(
            urls[0], f"/_cluster/health/{writing.index}")["status"] == "green")
        yield writing


def tasks(hosts: Namespaces, name: str) -> dict[str, str]:
    """Host by id, of the tasks of a cluster that live by Mesos' account."""
    state = hosts.master_state()
    names = {agent["id"]: agent["hostname"] for agent in state["slaves"]}
    return {task["id"]: names.get(task["slave_id"], "?")
            for framework in state["frameworks"] if framework["name"] == f"esaas/demo/{name}"
            for task in framework["tasks"]
            if task["state"] in ("TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING")}
