"""How the service's own cost grows with its clusters: memory, polling, alerts, API and UI.

As in ``bench.measure`` the nodes, agents and the master stand in, and loops do not turn; measuring,
alerts, history, API and pages are the service's own. The doors are asked by ``wrk``, over four
connections, while the service measures and evaluates alerts at its usual pace.

    python -m bench.growth [CLUSTERS ...]
"""
from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import structlog
from esaas.framework.service.clusters import Clusters

from bench import measure, report

SIZES = (10, 48, 500)
CONNECTIONS, SPAN_S, ROUNDS = 4, 8, 4
EVALUATE_S = 10.0
DOORS = {"list": "/v1/clusters", "one": "/v1/clusters/c00", "plan": "/v1/clusters/c00/plan",
         "overview page": "/", "page of one": "/clusters/c00", "metrics": "/metrics"}
_LATENCY = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)\s*$", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_WRONG = re.compile(r"^\s*(Non-2xx or 3xx responses: .*|Socket errors: .*)$", re.MULTILINE)
IN_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Latency(NamedTuple):
    """What wrk saw of one door."""

    per_s: float
    median_ms: float
    p99_ms: float


async def serve(clusters: int, port: int) -> None:
    """The service with its doors until killed; what it used is told on standard output."""
    from esaas.framework.service.access.access import Access
    from esaas.framework.service.oplog.book import Book
    from esaas.framework.store.sqlite import SqliteStore
    from esaas.ui.app import make_app
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr),
                        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="esaas-bench-") as directory:
        async with measure.service(clusters, port, Path(directory, "service")) as found:
            used = await _used(found)
            store = SqliteStore(Path(directory, "doors"))
            access = Access(store, Path(directory), b"k" * 32, "bench")
            [socket] = bind_sockets(0, "127.0.0.1")
            server = HTTPServer(make_app(found, access=access, book=Book(store, "bench"),
                                         login=False))
            server.add_socket(socket)
            print(json.dumps(used | {"port": socket.getsockname()[1]}), flush=True)
            await _usual_work(found)


async def _used(found: Clusters) -> dict[str, float]:
    """Memory after some rounds, and the CPU of one: everything is measured, every rule asked."""
    rows = await measure.measured(found, ROUNDS)
    [whole] = [row for row in rows if row["part of a round"] == "all of it"]
    begin = time.process_time()
    for _ in range(ROUNDS):
        await found.evaluate_alerts()
    return {"measure_ms": whole["CPU a round (ms)"],
            "alerts_ms": 1000 * (time.process_time() - begin) / ROUNDS,
            "resident_mib": psutil.Process().memory_info().rss / 2**20}


async def _usual_work(found: Clusters) -> None:
    """Measure and evaluate at the service's own pace, so that requests have to wait for it."""
    process, measured_at = psutil.Process(), 0.0
    while True:
        if time.monotonic() - measured_at >= measure.INTERVAL_S:
            measured_at = time.monotonic()
            await measure.measure_clusters(found)
            await measure.measure_below(found)
            found._measure_rest(process)
        await found.evaluate_alerts()
        await asyncio.sleep(EVALUATE_S)


def asked(url: str, script: Path | None = None) -> Latency:
    """One door under ``wrk``; AssertionError when it answered anything but well.

    ``script`` is one for wrk, which says who asks.
    """
    done = subprocess.run(
        ["wrk", "--latency", "-t1", f"-c{CONNECTIONS}", f"-d{SPAN_S}s", "--timeout", "30s",
         *(["-s", str(script)] if script else []), url], capture_output=True, text=True, check=True)
    assert not _WRONG.search(done.stdout), done.stdout
    percent = {int(which): float(value) * IN_MS[unit]
               for which, value, unit in _LATENCY.findall(done.stdout)}
    rate = _RATE.search(done.stdout)
    assert rate is not None, done.stdout
    return Latency(float(rate[1]), percent[50], percent[99])


@contextmanager
def child(*arguments: str) -> Iterator[str]:
    """A process of this module; the first line that it says."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE,
                               cwd=Path(__file__).parents[1], env=dict(os.environ), text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"{arguments} ended without a word"
        yield line
    finally:
        process.kill()
        process.wait()


def grown(clusters: int) -> tuple[dict[str, float], dict[str, Latency]]:
    """What so many clusters cost, and how its doors answer."""
    with (child("bench.measure", "stand-in", str(clusters)) as port,
          child("bench.growth", "serve", str(clusters), port.strip()) as said):
        used = json.loads(said)
        root = f"http://127.0.0.1:{used['port']:.0f}"
        return used, {name: asked(root + path) for name, path in DOORS.items()}


def plot(costs: dict[int, dict[str, float]], doors: dict[int, dict[str, Latency]]) -> None:
    """The two pictures beside the tables: cost and latency over the number of clusters."""
    import pygal

    def draw(name: str, title: str, lines: dict[str, list[tuple[int, float]]]) -> None:
        chart = pygal.XY(title=title, x_title="clusters", logarithmic=True, width=760, height=420,
                         js=(), legend_at_bottom=True, truncate_legend=-1)
        for label, points in lines.items():
            chart.add(label, points)
        (report.RESULTS / f"{name}.svg").write_bytes(chart.render())
    draw("growth_cost", "Cost over clusters (both axes logarithmic)", {
        label: [(size, cost[key]) for size, cost in costs.items()] for label, key in (
            ("a round of measuring (CPU ms)", "measure_ms"),
            ("a round of alerts (CPU ms)", "alerts_ms"), ("resident (MiB)", "resident_mib"))})
    draw("growth_doors", "99th percentile of latency over clusters (ms)", {
        door: [(size, found[door].p99_ms) for size, found in doors.items()] for door in DOORS})


def main(sizes: tuple[int, ...] = SIZES) -> None:
    """Measure and keep."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed (on Debian: apt-get install wrk)")
    found = {size: grown(size) for size in sizes}
    report.keep("growth_cost", "Growth: what more clusters cost the service", (
        f"Clusters of {measure.NODES} stand-in nodes on {measure.AGENTS} agents; CPU of one round "
        "over all of them, which comes every 15 s (measuring) and 10 s (alerts).\n\n"
        "![cost over clusters](results/growth_cost.svg)"), [
        {"clusters": size, "nodes": size * measure.NODES,
         "resident (MiB)": cost["resident_mib"],
         "resident, MiB a cluster": cost["resident_mib"] / size,
         "measuring (CPU ms)": cost["measure_ms"],
         "measuring, ms a cluster": cost["measure_ms"] / size,
         "alerts (CPU ms)": cost["alerts_ms"], "alerts, ms a cluster": cost["alerts_ms"] / size,
         "both (% of a core)": cost["measure_ms"] / 10 / measure.INTERVAL_S
         + cost["alerts_ms"] / 10 / EVALUATE_S} for size, (cost, _) in found.items()])
    report.keep("growth_doors", "Growth: latency of API and pages under load", (
        f"`wrk`, {CONNECTIONS} connections for {SPAN_S} s each, on the same machine; the service "
        "measures and evaluates alerts meanwhile.\n\n"
        "![latency over clusters](results/growth_doors.svg)"), [
        {"clusters": size, "door": name, "path": path, "requests/s": doors[name].per_s,
         "median (ms)": doors[name].median_ms, "99 % (ms)": doors[name].p99_ms}
        for size, (_, doors) in found.items() for name, path in DOORS.items()])
    plot({size: cost for size, (cost, _) in found.items()},
         {size: doors for size, (_, doors) in found.items()})


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(int(sys.argv[2]), int(sys.argv[3])))
    else:
        main(tuple(map(int, sys.argv[1:])) or SIZES)
