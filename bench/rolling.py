"""A rolling restart over the sum of the waits that nobody can avoid.

Unavoidable of each node: to stop (SIGTERM to the end of the task), to start (from the executor's
first word to membership) and to recover (from membership until all copies are there, looked at
five times a second). The rest is ours: choosing,
holding allocation, flushing, relaunching and noticing. All times are from the service's own
history (aim: a ratio of at most 1.1).

    python -m bench.rolling [NODES]
"""
from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from esaas.local.testing import temporary_data_centre

from bench import report
from tests.system.service import Service, es_request, index_documents, spec, wait_for


class Watcher:
    """Looks at the health five times a second, through whatever node answers."""

    def __init__(self, urls: list[str]) -> None:
        self.urls, self.calm_at = urls, list[float]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watcher")

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            for url in self.urls:
                try:
                    found = es_request(url, "/_cluster/health?timeout=1s")
                except OSError:
                    continue
                if found["status"] == "green" and not (
                        found["initializing_shards"] or found["relocating_shards"]):
                    self.calm_at.append(time.time())
                break


def unavoidable_s(events: list[dict[str, Any]],
                  calm_at: list[float]) -> tuple[float, float, float]:
    """(stop, start, recover) seconds, summed over the nodes of one roll."""
    stop = start = recover = 0.0
    began: dict[tuple[str, str], float] = {}
    for event in events:
        node, kind, at = event["node"] or "", event["kind"], event["at"]
        if kind == "node_down":
            stop += at - began["node_restarting", node]
        elif kind == "node_ready":
            start += at - began["node_starting", node]
            recover += next(moment for moment in calm_at if moment >= at) - at
        began[kind, node] = at
    return stop, start, recover


def main(count: int = 3) -> None:
    """Measure and keep."""
    with temporary_data_centre(count, principals={"demo": "demo"}) as box:
        directory = Path(tempfile.mkdtemp(prefix="esaas-bench-"))
        service = Service(box, directory, ("demo",)).start()
        try:
            service.client.post("/v1/clusters", spec("demo", "demo", count))
            service.green("demo", count)
            index_documents(service, "demo", 2000)
            before = service.client.get("/v1/clusters/demo/events", limit=1000)[-1]["seq"]
            urls = service.show("demo")["endpoints"]["http"]
            with Watcher(urls) as watcher:
                service.client.post("/v1/clusters/demo/restart")
                wait_for("every node to have restarted", lambda: all(
                    node["launch"] == 2 for node in service.nodes("demo").values()), 900)
                service.green("demo", count)
            events = service.client.get("/v1/clusters/demo/events", after=before, limit=1000)
            service.client.delete("/v1/clusters/demo", confirm="demo")
            wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
        finally:
            service.stop()
            shutil.rmtree(directory)
    stop, start, recover = unavoidable_s(events, watcher.calm_at)
    last_ready = max(event["at"] for event in events if event["kind"] == "node_ready")
    whole = next(at for at in watcher.calm_at if at >= last_ready) - events[0]["at"]
    report.keep("rolling", "Rolling restart over its unavoidable waits", (
        "Real Mesos and Elasticsearch 6.8.23, heap 256 MB, 2,000 documents; the whole roll over "
        "the sum of stops, starts and recoveries (aim: at most 1.1)."), [{
            "nodes": count, "stop (s)": stop, "start (s)": start, "recover (s)": recover,
            "whole roll (s)": whole, "ratio": whole / (stop + start + recover)}])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
