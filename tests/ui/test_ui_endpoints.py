"""Where clusters are reached: at once, or when that changes."""
from __future__ import annotations

import asyncio
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from asking import Got, ask
from click.testing import CliRunner
from esaas.framework.cli import main
from esaas.framework.service.errors import Elsewhere
from esaas.framework.service.views import EndpointsView
from live_app import ADMIN_TOKEN, PATIENCE_S, LiveApp
from standin_service import StandInService, node_of

DEMO, ALL = "/v1/clusters/demo/endpoints", "/v1/endpoints"


@contextmanager
def waiting(app: LiveApp, path: str, **headers: str) -> Any:
    """A request that waits for news; what it is answered is in the future."""
    version = ask(app, "GET", path, headers=headers).json["version"]
    with ThreadPoolExecutor(1) as pool:
        got: Future[Got] = pool.submit(
            ask, app, "GET", f"{path}?wait_s=20&since={version}", headers=headers)
        settled(app, 1)
        yield got


def settled(app: LiveApp, count: int) -> None:
    """Wait until so many requests wait."""
    async def until() -> None:
        while len(app.streams) != count:
            await asyncio.sleep(0.01)
    asyncio.run_coroutine_threadsafe(until(), app.loop).result(PATIENCE_S)


def lose(app: LiveApp, name: str) -> None:
    """A node of a cluster is ready no more."""
    def work() -> None:
        fake = app.service.fakes[name]
        fake.nodes = [node_of("node-0", "restarting", 0), *fake.nodes[1:]]
        app.service.emit(name, "node_restarting", "node-0 restarts")
    app.call(work)


def test_what_is_told(live: LiveApp) -> None:
    found = ask(live, "GET", DEMO).json
    assert found["cluster"] == "demo" and found["tenant"] == "flights"
    assert found["http"] == ["http://10.0.0.1:31100", "http://10.0.0.2:31102",
                             "http://10.0.0.3:31104"]
    assert found["nodes"][0] == {"name": "node-0", "address": "10.0.0.1:31100",
                                 "roles": ["master", "data", "ingest"]}
    assert 20000 <= found["virtual_ports"]["http"] < 21000
    everything = ask(live, "GET", ALL).json
    assert [one["cluster"] for one in everything["clusters"]] == sorted(live.service.fakes)
    assert found in everything["clusters"] and everything["complete"]


@pytest.mark.parametrize("path", [DEMO, ALL])
def test_news_are_told_at_once(live: LiveApp, path: str) -> None:
    with waiting(live, path) as got:
        lose(live, "demo")
        assert "10.0.0.1:31100" not in str([
            one for one in got.result(PATIENCE_S).json.get("clusters", [got.result().json])
            if one["cluster"] == "demo"])
    assert len(live.streams) == 0


def test_who_knows_another_version_is_answered_at_once(live: LiveApp) -> None:
    for query in ("?wait_s=60", "?wait_s=60&since=another"):
        assert ask(live, "GET", DEMO + query).status == 200


def test_without_news_the_same_comes_after_the_wait(live: LiveApp) -> None:
    before = ask(live, "GET", DEMO).json
    live.call(live.service.ring)
    again = ask(live, "GET", f"{DEMO}?wait_s=0.2&since={before['version']}")
    assert (again.status, again.json) == (200, before)
    known = {"If-None-Match": again.headers["ETag"]}
    assert ask(live, "GET", DEMO, headers=known).status == 304


def test_news_of_other_clusters_end_no_wait(live: LiveApp) -> None:
    with waiting(live, DEMO) as got:
        lose(live, "logs")
        live.call(lambda: live.service.emit("demo", "hello", "nothing of addresses"))
        settled(live, 1)
        assert not got.done()
        lose(live, "demo")
        assert got.result(PATIENCE_S).status == 200


def test_a_cluster_that_goes_is_not_found(live: LiveApp) -> None:
    with waiting(live, DEMO) as got:
        live.call(lambda: live.service.vanish("demo"))
        assert got.result(PATIENCE_S).status == 404


def test_waiting_is_bounded_and_ends_with_the_service() -> None:
    app = LiveApp(stream_limit=1)
    try:
        with waiting(app, DEMO) as got:
            version = ask(app, "GET", DEMO).json["version"]
            refused = ask(app, "GET", f"{DEMO}?wait_s=9&since={version}")
            assert refused.status == 503
            app.run(app.streams.close())
            assert got.result(PATIENCE_S).status == 503
    finally:
        app.close()


def test_a_client_that_leaves_is_waited_for_no_more(live: LiveApp) -> None:
    version = ask(live, "GET", DEMO).json["version"]
    with socket.create_connection(("127.0.0.1", live.port)) as line:
        line.sendall(f"GET {DEMO}?wait_s=60&since={version} HTTP/1.1\r\n"
                     f"Host: 127.0.0.1\r\n\r\n".encode())
        settled(live, 1)
    settled(live, 0)


@pytest.mark.parametrize("query", ["wait_s=61", "wait_s=-1", "wait_s=nan", "since=" + "x" * 65,
                                   "wait_s=1&wait_s=2", "more=1"])
def test_what_cannot_be_waited_for(live: LiveApp, query: str) -> None:
    assert ask(live, "GET", f"{DEMO}?{query}").status == 422


def test_only_clusters_of_ones_own_tenants() -> None:
    app = LiveApp(login=True)
    try:
        admin = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        made = ask(app, "POST", "/v1/tokens", {
            "name": "lb", "role": "viewer", "tenants": ["hotels"]}, admin)
        own = {"Authorization": f"Bearer {made.json['token']}"}
        found = ask(app, "GET", ALL, headers=own).json
        assert {one["tenant"] for one in found["clusters"]} == {"hotels"}
        assert ask(app, "GET", ALL).status == 401
        assert ask(app, "GET", DEMO, headers=own).status == 403
        with waiting(app, ALL, **own) as got:
            lose(app, "demo")               # of another tenant
            settled(app, 1)
            assert not got.done()
            lose(app, "logs")
            assert got.result(PATIENCE_S).status == 200
        with waiting(app, ALL, **own) as got:
            ask(app, "DELETE", f"/v1/tokens/{made.json['id']}", headers=admin)
            app.call(app.service.ring)
            assert got.result(PATIENCE_S).status == 401
    finally:
        app.close()


def test_people_see_virtual_ports(live: LiveApp) -> None:
    live.call(lambda: live.service.fakes["demo"].virtual_ports.update(http=20777, data=20778))
    page = ask(live, "GET", "/clusters/demo").text
    assert "20777" in page and "20778" in page and "(data)" in page
    for command in ("endpoints", "show"):
        said = CliRunner().invoke(main, ["cluster", command, "demo"],
                                  env={"ESAAS_URL": live.url, "COLUMNS": "200"}).stdout
        assert "20777" in said and "20778" in said
    assert ask(live, "GET", "/v1/clusters/demo").json["virtual_ports"] == {
        "http": 20777, "data": 20778}


def test_a_cluster_of_another_process_is_waited_for_there() -> None:
    class AwayStandIn(StandInService):
        """Demo runs in another process."""

        away = ""

        def discover(self, name: str) -> EndpointsView:
            raise Elsewhere(f"another process runs {name}", self.away)

    service = AwayStandIn()
    here, there = LiveApp(service), LiveApp()
    service.away = there.url
    try:
        version = ask(there, "GET", DEMO).json["version"]
        with ThreadPoolExecutor(1) as pool:
            got = pool.submit(ask, here, "GET", f"{DEMO}?wait_s=20&since={version}")
            settled(there, 1)
            lose(there, "demo")
            assert got.result(PATIENCE_S).json["version"] != version
    finally:
        here.close()
        there.close()
