"""Many small clusters of stand-in nodes on real Mesos: for measurements of the service itself."""
from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from esaas.local.daemons import marked
from esaas.local.datacentre import DataCentre
from esaas.local.spec import AgentSize, default_agents
from esaas.local.testing import temporary_data_centre

from bench import standin_elasticsearch
from tests.system.service import Service, es_request, wait_for

# Below the ports of outgoing connections (32768), and apart from tests and demos.
FIRST_TASK_PORT = 10_000
SIZE = AgentSize(cpus=32, mem_mb=32_768, disk_mb=200_000)
ASKED_AT_ONCE = 8
PATIENCE_S = 900.0


@contextlib.contextmanager
def fleet(agents: int, first_port: int = FIRST_TASK_PORT, **options: Any
          ) -> Iterator[tuple[DataCentre, Path]]:
    """A box whose agents share one process, and a directory for services; both vanish."""
    directory = Path(tempfile.mkdtemp(prefix="esaas-bench-"))
    directory.chmod(0o755)              # executors of another user fetch from it
    try:
        with temporary_data_centre(
                default_agents(agents, SIZE, first_port=first_port), many_in_one=True,
                principals={"demo": "demo"}, **options) as box:
            yield box, directory
    finally:
        shutil.rmtree(directory)


def service(box: DataCentre, directory: Path, beside: Service | None = None) -> Service:
    """A service that knows the stand-in as version 6.8.23; not started."""
    store = f"zk://{box.zookeeper_address}/esaas" if box.zookeeper_address else None
    found = Service(box, directory, ("demo",), (), store, beside)
    found.distributions.write_text(json.dumps({
        standin_elasticsearch.VERSION: standin_elasticsearch.build(directory.parent)}))
    return found


def spec(name: str, count: int) -> dict[str, Any]:
    """A cluster of stand-ins: small to Mesos, and they need no more."""
    group = {"name": "node", "count": count, "roles": ["master", "data"], "cpus": 0.1,
             "mem_mb": 256, "disk_mb": 100, "heap": {"mb": 128}}
    return {"name": name, "tenant": "demo", "version": standin_elasticsearch.VERSION,
            "groups": [group]}


def sizes(clusters: int, nodes: int) -> dict[str, int]:
    """Nodes by cluster: as even as they can be."""
    return {f"c{number:02}": nodes // clusters + (number < nodes % clusters)
            for number in range(clusters)}


def create(door: Service, wanted: dict[str, int]) -> None:
    """Ask for all clusters, several at a time."""
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        for _ in pool.map(lambda item: door.client.post("/v1/clusters", spec(*item)),
                          wanted.items()):
            pass


def details(door: Service, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Each cluster's detail."""
    return {name: door.show(name) for name in names}


def calm(detail: dict[str, Any], count: int) -> bool:
    """Whether a cluster is green with all of its nodes and nothing is to be done."""
    ready = [node for node in detail["nodes"] if node["state"] == "ready"]
    return (len(ready) == count and detail["health"] == "green"
            and detail["plan"]["status"] == "done")


def until_calm(door: Service, wanted: dict[str, int], patience_s: float = PATIENCE_S) -> None:
    """Wait for all clusters; those that are calm already are not asked again."""
    waiting = dict(wanted)

    def look() -> bool:
        for name, count in list(waiting.items()):
            if not calm(door.show(name), count):
                return False
            del waiting[name]
        return True

    try:
        wait_for("all clusters to be calm", look, patience_s)
    except AssertionError as error:
        raise AssertionError(f"{error}: {len(waiting)} wait: {door.show(next(iter(waiting)))}"
                             ) from error


def index_everywhere(door: Service, names: Sequence[str], shards: int) -> None:
    """An index of so many primaries with a replica each, in every cluster."""
    for name in names:
        es_request(door.show(name)["endpoints"]["http"][0], "/notes", "PUT", {
            "settings": {"number_of_shards": shards, "number_of_replicas": 1}})


def remove(door: Service, names: Sequence[str]) -> None:
    """Delete all clusters and wait until they are gone."""
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        for _ in pool.map(lambda name: door.client.delete(f"/v1/clusters/{name}", confirm=name),
                          names):
            pass
    wait_for("all clusters to be gone", lambda: door.client.get("/v1/clusters") == [], PATIENCE_S)


class Cost:
    """What a service process has used since this was made: CPU seconds, and memory at its peak."""

    def __init__(self, door: Service) -> None:
        assert door.process is not None
        self._process = psutil.Process(door.process.pid)
        self._begin, self._used_s = time.monotonic(), self._cpu_s()

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of the process."""
        return self._cpu_s() - self._used_s

    @property
    def passed_s(self) -> float:
        """Seconds of the clock."""
        return time.monotonic() - self._begin

    @property
    def peak_mib(self) -> float:
        """The most memory that the process ever had, resident, in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        text = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(text.split()[1]) / 1024


KINDS = (("guard", " guard "), ("executor", "esaas-executor"), ("stand-in", "/../lib/start.py"),
         ("container of Mesos", "mesos-containerizer"), ("agents", "embedded agents"))


def memory_mib(box: DataCentre) -> dict[str, tuple[int, float]]:
    """(processes, MiB) of what a box runs, by kind; shared pages count their share."""
    found: dict[str, tuple[int, float]] = {}
    for process in marked(box.state().id):
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            kind = next((name for name, mark in KINDS if mark in command), None)
            if kind:
                count, size = found.get(kind, (0, 0.0))
                found[kind] = count + 1, size + process.memory_full_info().pss / 2**20
    return found
