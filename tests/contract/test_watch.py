"""When the watch looks: soon after an action, and when missing copies are back."""
from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from esaas.framework.core.facts import EsView
from esaas.framework.core.operations import SetAllocation
from esaas.framework.elastic.client import EsClient
from esaas.framework.elastic.watch import Watch
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

FAR_OFF_S = 600.0                   # a look that nothing but news can bring within a test
PATIENCE_S = 30.0
STATE = {"cluster_uuid": "u", "master_node": "id-1"}
NODES = {"nodes": {"id-1": {"name": "node-1", "version": "6.8.23"}}}


class StandInElasticsearch:
    """Answers what a look asks; a health that is waited for is answered when it is green."""

    def __init__(self) -> None:
        self.status, self.green = "green", asyncio.Event()
        self.waits = 0

    async def answer(self, request: HTTPServerRequest) -> tuple[int, Any]:
        """Status and body."""
        if request.path.startswith("/_cluster/state"):
            return 200, STATE
        if request.path == "/_nodes/http":
            return 200, NODES
        if request.path == "/_cat/shards":
            return 200, []
        if request.path != "/_cluster/health":
            return 200, {}
        patience = request.query_arguments.get("timeout")
        if patience is None:
            return 200, self.health()
        self.waits += 1
        try:
            async with asyncio.timeout(float(patience[0].removesuffix(b"ms")) / 1000):
                await self.green.wait()
        except TimeoutError:
            return 408, self.health() | {"timed_out": True}
        return 200, self.health() | {"timed_out": False}

    def health(self) -> dict[str, Any]:
        """As of now."""
        return {"status": self.status, "initializing_shards": int(self.status != "green")}

    def mend(self) -> None:
        """The last copy is there."""
        self.status = "green"
        self.green.set()


class Handler(RequestHandler):
    """Hands every request to the stand-in."""

    def initialize(self, standin: StandInElasticsearch) -> None:
        """Whom to ask."""
        self.standin = standin

    async def answer(self) -> None:
        """Any method is answered alike."""
        status, body = await self.standin.answer(self.request)
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.set_header("X-Elastic-Product", "Elasticsearch")
        self.finish(json.dumps(body))

    get = put = answer


@pytest.fixture
async def standin() -> AsyncIterator[tuple[StandInElasticsearch, str]]:
    """The stand-in and its address."""
    made = StandInElasticsearch()
    listening, port = bind_unused_port()
    server = HTTPServer(Application([("/.*", Handler, {"standin": made})]))
    server.add_socket(listening)
    yield made, f"127.0.0.1:{port}"
    server.stop()
    await server.close_all_connections()


@contextlib.asynccontextmanager
async def watching(address: str, busy_s: float) -> AsyncIterator[tuple[
        Watch, asyncio.Queue[EsView]]]:
    """A watch of a cluster that is busy, and what it sees."""
    views: asyncio.Queue[EsView] = asyncio.Queue()
    watch = Watch("demo", lambda: 6, lambda: [address], lambda: True, views.put_nowait,
                  busy_s, FAR_OFF_S)
    running = asyncio.create_task(watch.run())
    try:
        yield watch, views
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def next_of(views: asyncio.Queue[EsView]) -> EsView:
    """The next look; TimeoutError when none comes."""
    async with asyncio.timeout(PATIENCE_S):
        return await views.get()


async def test_the_effect_of_an_action_is_looked_at_at_once(
        standin: tuple[StandInElasticsearch, str]) -> None:
    _, address = standin
    async with watching(address, FAR_OFF_S) as (watch, views):
        await next_of(views)
        acted = await watch.act(SetAllocation((), "primaries", (None, None), "hold"))
        assert acted.ok, acted.message
        await next_of(views)


async def test_missing_copies_that_are_back_are_looked_at_at_once(
        standin: tuple[StandInElasticsearch, str]) -> None:
    made, address = standin
    made.status = "yellow"
    async with watching(address, FAR_OFF_S) as (_, views):
        assert (await next_of(views)).health == "yellow"
        assert views.empty()
        made.mend()
        assert (await next_of(views)).health == "green"
        assert made.waits == 1


async def test_looks_go_on_while_copies_are_missing_one_each_busy_interval(
        standin: tuple[StandInElasticsearch, str], caplog: pytest.LogCaptureFixture) -> None:
    made, address = standin
    made.status = "yellow"
    caplog.set_level(logging.WARNING)
    async with watching(address, 0.2) as (_, views):
        for _ in range(3):
            assert (await next_of(views)).health == "yellow"
        assert made.waits == 2
    warned = [record.getMessage() for record in caplog.records
              if not record.name.startswith("tornado")]
    assert warned == [], "to have waited in vain is nothing to warn of"


async def test_a_client_is_closed_when_its_last_request_is_answered(
        standin: tuple[StandInElasticsearch, str]) -> None:
    """Closed under a request, it would open a connection that nobody closes."""
    made, address = standin
    made.status = "yellow"
    client = EsClient(6, [address])
    waiting = asyncio.create_task(client.wait_for_green(FAR_OFF_S))
    while not made.waits:
        await asyncio.sleep(0.01)
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    made.mend()
    assert await waiting is True
    await closing


@pytest.mark.parametrize("major", [6, 9])
async def test_to_wait_in_vain_is_an_answer(
        standin: tuple[StandInElasticsearch, str], major: int) -> None:
    made, address = standin
    made.status = "yellow"
    client = EsClient(major, [address])
    try:
        assert await client.wait_for_green(0.05) is False
        made.mend()
        assert await client.wait_for_green(0.05) is True
    finally:
        await client.close()
