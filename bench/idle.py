"""What an idle cluster costs the service: CPU and memory, real Elasticsearch behind it.

    python -m bench.idle [CLUSTERS] [SECONDS]
"""
from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil
from esaas.local.testing import temporary_data_centre

from bench import report
from tests.system.service import Service, spec, wait_for


def cost(service: Service, seconds: float) -> tuple[float, float, int]:
    """(percent of a core, resident MiB, threads) of the service over some seconds."""
    assert service.process is not None
    process = psutil.Process(service.process.pid)
    before, begin = process.cpu_times(), time.monotonic()
    time.sleep(seconds)             # the measurement itself
    after, passed_s = process.cpu_times(), time.monotonic() - begin
    used_s = after.user + after.system - before.user - before.system
    share = max(0.0, 100 * used_s / passed_s)
    return share, process.memory_info().rss / 2**20, process.num_threads()


def main(clusters: int = 3, seconds: int = 60) -> None:
    """Measure and keep."""
    rows = []
    with temporary_data_centre(3, principals={"demo": "demo"}) as box:
        directory = Path(tempfile.mkdtemp(prefix="esaas-bench-"))
        service = Service(box, directory, ("demo",)).start()
        try:
            names = [f"idle-{number}" for number in range(1, clusters + 1)]
            none = cost(service, seconds)
            for name in names:
                service.client.post("/v1/clusters", spec(name, "demo", 2))
            for name in names:
                service.green(name, 2)
            some = cost(service, seconds)
            for label, found in (("no cluster", none), (f"{clusters} idle clusters", some)):
                rows.append({"service with": label, "CPU (% of a core)": found[0],
                             "resident (MiB)": found[1], "threads": found[2]})
            rows.append({"service with": "each idle cluster",
                         "CPU (% of a core)": (some[0] - none[0]) / clusters,
                         "resident (MiB)": (some[1] - none[1]) / clusters,
                         "threads": (some[2] - none[2]) / clusters})
            for name in names:
                service.client.delete(f"/v1/clusters/{name}", confirm=name)
            wait_for("all to be gone", lambda: service.client.get("/v1/clusters") == [])
        finally:
            service.stop()
            shutil.rmtree(directory)
    report.keep("idle", "Cost of an idle cluster",
                f"Real clusters of two nodes, looked at every 5 s; over {seconds} s.", rows)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
