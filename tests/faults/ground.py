"""Where faults happen: a box, two service processes, a cluster that somebody writes to."""
from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
from esaas.framework.client import ClientError
from esaas.local.datacentre import DaemonHandle, DataCentre

from ..system.service import Service, es_request, wait_for
from ..system.test_real_life import reserved_by_role, volumes
from ..system.writer import Writer
from .rows import Row, worst

NAME, NODES = "demo", 3
PATIENCE_S = 400.0
LASTS_S = 8.0
LONG_S = 15.0                       # longer than a session with ZooKeeper lasts


@dataclass
class Ground:
    """Everything that a fault can hit, and what must hold afterwards."""

    box: DataCentre
    pair: list[Service]
    faults: int = 0
    client_timeout_s: float = 60

    # ------------------------------------------------------------------- looking

    @property
    def service(self) -> Service:
        """A process that answers."""
        return next(service for service in self.pair if not service.dead())

    def show(self) -> dict[str, Any]:
        """The cluster, by whichever process answers."""
        error: Exception | None = None
        for service in self.pair:
            try:
                return service.show(NAME)
            except Exception as problem:  # noqa: BLE001 - whatever is wrong with one process
                error = problem
        raise OSError(f"no process answers for {NAME}: {error}")

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Its nodes by name."""
        return {node["name"]: node for node in self.show()["nodes"]}

    def tasks(self) -> dict[str, str]:
        """Task id by node."""
        return {name: node["task_id"] for name, node in self.nodes().items()}

    def calm(self, nodes: int = NODES) -> bool:
        """Green, settled, nothing to do, and every process answers."""
        self.start_masters()
        for service in self.pair:
            detail = service.show(NAME)
            ready = sum(node["state"] == "ready" for node in detail["nodes"])
            if not (detail["health"] == "green" and detail["plan_status"] == "done"
                    and ready == nodes == len(detail["nodes"]) and detail["connected"]):
                return False
        return True

    def leaks(self) -> int:
        """Volumes, tasks and settings that belong to nobody."""
        kept = {f"{item['node']}" for item in self.show()["orphans"]}
        extra = max(len(volumes(self.box, f"demo/{NAME}")) - len(self.nodes()), 0)
        tasks = sum(task["state"] in ("TASK_RUNNING", "TASK_STAGING", "TASK_STARTING")
                    for framework in self.box.master_state()["frameworks"]
                    for task in framework["tasks"] if framework["name"] == f"esaas/demo/{NAME}")
        url = self.show()["endpoints"]["http"][0]
        found = es_request(url, "/_cluster/settings?flat_settings=true")
        settings = [key for layer in ("transient", "persistent") for key in found[layer]
                    if "allocation" in key]
        return len(kept) + extra + max(tasks - len(self.nodes()), 0) + len(settings)

    # ------------------------------------------------------------------- hitting

    def owner(self) -> Service:
        """The process that runs the cluster."""
        def found() -> Service | None:
            for service in self.pair:
                if not service.dead():
                    status = service.client.get("/v1/status")
                    if status["owners"].get(NAME) == status["instance"]:
                        return service
            return None
        owner: Service = wait_for("an owner", found)
        return owner

    def agent(self, node: str) -> DaemonHandle:
        """The agent that a node is on."""
        return self.box.agent(int(self.nodes()[node]["host"].rpartition("-")[2]))

    def executor(self, node: str) -> psutil.Process:
        """The executor of a node: the process above Elasticsearch that the agent has started."""
        process = psutil.Process(self.nodes()[node]["pid"])
        return next(parent for parent in process.parents()
                    if any("esaas-executor" in word for word in parent.cmdline()))

    def leader(self) -> DaemonHandle:
        """The master that leads."""
        address = self.box.leader()
        for number in range(1, 4):
            handle = self.box.master(number)
            if address and handle.running and handle.port == int(address.rpartition(":")[2]):
                return handle
        raise OSError("no master leads")

    def start_masters(self) -> None:
        """Masters that have ended themselves are started again, as a supervisor does."""
        for number in range(1, 4):
            if not self.box.master(number).running:
                self.box.master(number).start()

    # ----------------------------------------------------------------- measuring

    def measure(self, fault: str, hit: Callable[[Ground], None], before: int = NODES) -> Row:
        """Hit a calm cluster, wait until it is calm again, and say what that has cost."""
        wait_for(f"calm before {fault}", lambda: self.calm(before), PATIENCE_S)
        urls = [f"http://{node['http_address']}" for node in self.nodes().values()]
        tasks = self.tasks()
        self.faults += 1
        with Writer(lambda: urls, index=f"notes-{self.faults}",
                    timeout_s=self.client_timeout_s) as writing:
            # Else the first document may have its only copy where the fault hits.
            wait_for("its index to have all copies", lambda: green(urls[0], writing.index))
            began = time.monotonic()
            hit(self)
            calm = Lasting(self.calm)
            wait_for(f"calm after {fault}", calm, PATIENCE_S)
            mended_s = calm.since - began
        url = self.show()["endpoints"]["http"][0]
        found = documents(url, writing)
        after = self.tasks()
        again = sum(after.get(name) != task for name, task in tasks.items())
        return Row(fault, len(writing.acknowledged), found, writing.longest_outage_s,
                   worst(writing.healths), again, self.leaks(), mended_s)


class Lasting:
    """Whether something holds for a while: what was hit may not have been noticed yet."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        self._holds, self.since = holds, 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        try:
            held = self._holds()
        except (ClientError, OSError):
            held = False
        if not held:
            self.since = 0.0
        elif not self.since:
            self.since = now
        return bool(self.since) and now - self.since >= LASTS_S


def green(url: str, index: str) -> bool:
    """Whether every copy of an index is there."""
    return bool(es_request(url, f"/_cluster/health/{index}")["status"] == "green")


def documents(url: str, writing: Writer) -> int:
    """How many of the acknowledged documents are there."""
    found = writing.found(url)
    es_request(url, f"/{writing.index}", "DELETE")
    return found


def sleep_process(pid: int, seconds: float) -> None:
    """SIGSTOP for a while, then SIGCONT: as if its machine hung."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


def reserved(box: DataCentre) -> dict[str, list[dict[str, Any]]]:
    """All that is reserved on the agents."""
    return reserved_by_role(box)
