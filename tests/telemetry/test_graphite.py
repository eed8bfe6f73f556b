"""Graphite over a real connection: every line arrives, also after it was away."""
from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from esaas.framework.telemetry import graphite
from esaas.framework.telemetry.graphite import Graphite, lines_of
from esaas.framework.telemetry.readings import OF_SERVICE, Reading, of_cluster, of_host, of_node


def reading(at: float, value: float = 1.5) -> Reading:
    return Reading(at, of_node("demo", "n-0"), {"load_1m": value})


@asynccontextmanager
async def listening(port: int = 0) -> AsyncIterator[tuple[int, list[str]]]:
    """A port that takes lines; its connections end with it."""
    lines: list[str] = []
    writers: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while line := await reader.readline():
            lines.append(line.decode())
    server = await asyncio.start_server(take, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1], lines
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


async def until(lines: list[str], count: int) -> None:
    async with asyncio.timeout(30):
        while len(lines) < count:
            await asyncio.sleep(0.01)       # a poll's pause


def test_a_path_says_whose_figure_it_is() -> None:
    found = [line.split()[0] for one in (
        reading(1), Reading(1, of_cluster("demo"), {"status": 0}),
        Reading(1, of_host("agent-1.example"), {"nodes": 2}),
        Reading(1, OF_SERVICE, {"clusters": 1})) for line in lines_of("esaas", one)]
    assert found == ["esaas.cluster.demo.nodes.n-0.load_1m", "esaas.cluster.demo.status",
                     "esaas.host.agent-1_example.nodes", "esaas.service.clusters"]
    assert list(lines_of("p", reading(1234.9))) == ["p.cluster.demo.nodes.n-0.load_1m 1.5 1234\n"]


async def test_every_line_arrives_also_after_it_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphite, "FIRST_PAUSE_S", 0.01)
    async with listening() as (port, lines):
        sink = Graphite("127.0.0.1", port, "esaas")
        running = asyncio.create_task(sink.run())
        for at in range(5000):
            sink.take([reading(at)])
        await until(lines, 5000)
    sink.take([reading(5000)])              # nobody listens
    await asyncio.sleep(0.1)
    sink.take([reading(at) for at in range(5001, 5010)])
    async with listening(port) as (_, later):
        await until(later, 9)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    numbers = [int(re.split(r"\s", line)[2]) for line in lines]
    assert numbers == list(range(5000))
    assert {int(line.split()[2]) for line in later} >= set(range(5001, 5010)) and sink.lost == 0


async def test_what_waits_is_bounded_and_the_oldest_is_lost() -> None:
    sink = Graphite("127.0.0.1", 1, "esaas", max_lines=10)
    sink.take([reading(at) for at in range(25)])
    assert sink.lost == 15 and len(sink._lines) == 10
    assert sink._lines[0].endswith(" 15\n")
