"""Two processes of one service: requests passed on, words heard, strangers refused."""
from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest
from asking import ask
from esaas.framework.service.errors import Elsewhere
from esaas.framework.service.foreign import Word
from esaas.ui.peer_key import HEADER, SKEW_S, PeerKey
from esaas.ui.peers import WORDS, Ears, Lines
from live_app import ADMIN_TOKEN, PATIENCE_S, PEER_KEY, LiveApp
from people import ADMIN, Browser, bearer
from standin_service import Fake, StandInService

KEY = PeerKey(PEER_KEY)


class AwayStandIn(StandInService):
    """Some of its clusters run in another process."""

    away: dict[str, str]

    def __init__(self) -> None:
        self.away = {}
        super().__init__()

    def _find(self, name: str) -> Fake:
        if name in self.away:
            raise Elsewhere(f"another process runs {name}", self.away[name])
        return super()._find(name)


@pytest.fixture
def pair() -> Iterator[tuple[LiveApp, LiveApp]]:
    """A process that does not run demo, and the one that does."""
    service = AwayStandIn()
    first, second = LiveApp(service, login=True), LiveApp(login=True)
    service.away = {"demo": second.url}
    yield first, second
    first.close()
    second.close()


def test_what_another_process_runs_is_answered_by_it(pair: tuple[LiveApp, LiveApp]) -> None:
    first, second = pair
    there = ask(second, "GET", "/v1/clusters/demo", headers=ADMIN)
    here = ask(first, "GET", "/v1/clusters/demo", headers=ADMIN)
    assert (here.status, here.json["name"]) == (200, "demo")
    assert here.headers["Content-Security-Policy"] == there.headers["Content-Security-Policy"]
    assert len(here.headers.get_all("Content-Security-Policy") or []) == 1
    assert ask(first, "HEAD", "/v1/clusters/demo", headers=ADMIN).status == 200
    scaled = ask(first, "POST", "/v1/clusters/demo/scale", {"group": "node", "count": 4}, ADMIN)
    assert scaled.status == 202 and scaled.headers["Location"] == "/v1/clusters/demo"
    assert second.service.show("demo").revision == 2
    bad = ask(first, "POST", "/v1/clusters/demo/scale", {"group": "node", "count": -1}, ADMIN)
    assert bad.status == 422 and "count" in bad.faults


def test_what_is_passed_on_is_logged_once_by_whoever_does_it(
        pair: tuple[LiveApp, LiveApp]) -> None:
    first, second = pair
    headers = ADMIN | {"X-Request-Id": "passed-on"}
    for body, status in (({"group": "node", "count": 4}, 202), ({"group": "no", "count": 4}, 422)):
        got = ask(first, "POST", "/v1/clusters/demo/scale", body, headers)
        assert got.status in (status, 404, 409)
    first_lines, second_lines = (
        ask(app, "GET", "/v1/log?request_id=passed-on&every=true", headers=ADMIN).json["entries"]
        for app in pair)
    assert first_lines == []
    assert [one["outcome"] for one in second_lines] == ["refused", "begun", "done", "begun"]
    # That it is believed takes our signature: a stranger cannot choose an address.
    forged = ADMIN | {"X-Esaas-Remote": "10.9.9.9", "X-Request-Id": "forged"}
    assert ask(second, "POST", "/v1/clusters/demo/pause", {}, forged).status in (200, 202)
    [line] = ask(second, "GET", "/v1/log?request_id=forged", headers=ADMIN).json["entries"]
    assert line["remote"] == "127.0.0.1"
    path = "/v1/clusters/demo/continue"
    signed = ADMIN | {HEADER: KEY.sign("POST", path), "X-Esaas-Remote": "10.9.9.9",
                      "X-Request-Id": "signed"}
    assert ask(second, "POST", path, {}, signed).status in (200, 202)
    [line] = ask(second, "GET", "/v1/log?request_id=signed", headers=ADMIN).json["entries"]
    assert line["remote"] == "10.9.9.9"


def test_what_no_process_can_do_is_logged_here(pair: tuple[LiveApp, LiveApp]) -> None:
    first, _ = pair
    assert isinstance(first.service, AwayStandIn)
    first.service.away["demo"] = "http://127.0.0.1:9"
    got = ask(first, "POST", "/v1/clusters/demo/restart", {}, ADMIN)
    assert got.status == 503
    until = time.monotonic() + PATIENCE_S
    while not (lines := ask(first, "GET", "/v1/log?operation=restart_cluster",
                            headers=ADMIN).json["entries"]):
        assert time.monotonic() < until
    assert [(one["outcome"], one["status"]) for one in lines] == [("refused", 503)]


def test_a_large_body_is_passed_on_whole(pair: tuple[LiveApp, LiveApp]) -> None:
    first, second = pair
    spec = ask(second, "GET", "/v1/clusters/demo", headers=ADMIN).json["spec"]
    spec["files"] = [{"path": f"big-{number}.txt", "content": "y" * 90_000} for number in (1, 2)]
    put = ask(first, "PUT", "/v1/clusters/demo", spec, ADMIN)
    assert put.status == 202, put.text
    kept = second.service.show("demo").spec
    assert [len(file["content"]) for file in kept["files"]] == [90_000, 90_000]


def test_who_asks_is_decided_by_the_one_that_answers(pair: tuple[LiveApp, LiveApp]) -> None:
    first, second = pair
    assert ask(first, "GET", "/v1/clusters/demo").status == 401
    # A token that only the first knows: the second has a store of its own in this test.
    only_here = bearer(first, "viewer")
    assert ask(first, "GET", "/v1/clusters/demo", headers=only_here).status == 401
    tenant = second.service.owner("demo").tenant
    other = bearer(second, "viewer", "somebody-else")
    assert tenant != "somebody-else"
    assert ask(first, "GET", "/v1/clusters/demo", headers=other).status == 401


def test_a_stream_is_passed_on_as_it_comes(pair: tuple[LiveApp, LiveApp]) -> None:
    first, second = pair
    line = http.client.HTTPConnection("127.0.0.1", first.port, timeout=PATIENCE_S)
    line.request("GET", "/v1/clusters/demo/events/stream", headers=ADMIN)
    answer = line.getresponse()
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream"
    second.call(lambda: second.service.emit("demo", "something", "passed on"))
    seen = b""
    while b"passed on" not in seen:
        seen += answer.readline()
    line.close()
    until = time.monotonic() + PATIENCE_S
    while len(second.streams):              # the other side notices that nobody listens
        assert time.monotonic() < until
        second.call(lambda: second.service.emit("demo", "again", "is anybody there?"))
        time.sleep(0.05)


def test_a_process_that_does_not_answer_is_said(pair: tuple[LiveApp, LiveApp]) -> None:
    first, _ = pair
    service = first.service
    assert isinstance(service, AwayStandIn)
    service.away["demo"] = "http://127.0.0.1:9"
    got = ask(first, "GET", "/v1/clusters/demo", headers=ADMIN)
    assert got.status == 503 and "does not answer" in got.json["error"]["message"]


def test_nothing_is_passed_on_twice(pair: tuple[LiveApp, LiveApp]) -> None:
    first, _ = pair
    path = "/v1/clusters/demo"
    got = ask(first, "GET", path, headers=ADMIN | {HEADER: KEY.sign("GET", path)})
    assert got.status == 503 and "another process runs" in got.json["error"]["message"]


@pytest.mark.parametrize("mark", [
    "", "x", "1.x", f"{int(time.time())}.", "9" * 40 + ".x", "٣.x",
    PeerKey(b"q" * 32).sign("GET", WORDS), KEY.sign("POST", WORDS), KEY.sign("GET", "/v1/peers"),
    f"{int(time.time()) - SKEW_S - 5}.{KEY._mark(int(time.time()) - SKEW_S - 5, 'GET', WORDS)}"],
    ids=["empty", "word", "unsigned", "no-mark", "far", "digit", "other-key", "other-method",
         "other-path", "late"])
def test_strangers_hear_nothing(mark: str) -> None:
    app = LiveApp(login=True, peers=TellingStandIn())
    try:
        got = ask(app, "GET", WORDS, headers={HEADER: mark.encode("utf-8").decode("latin-1")})
        assert got.status == 401
        assert ask(app, "GET", WORDS, headers={
            "Authorization": f"Bearer {ADMIN_TOKEN}"}).status == 401
    finally:
        app.close()


class TellingStandIn:
    """A service that tells two words, and remembers what it hears."""

    def __init__(self, others: Mapping[str, str] | None = None) -> None:
        self.others, self.heard = dict(others or {}), list[tuple[str, str]]()

    def peers(self) -> Mapping[str, str]:
        return self.others

    def hear(self, member: str, word: Word) -> None:
        self.heard.append((member, word.name))

    async def listen(self) -> AsyncIterator[Word]:
        yield Word(name="one")
        yield Word(name="two")
        await asyncio.Event().wait()


async def test_words_are_heard_and_heard_again_after_a_break() -> None:
    app = LiveApp(peers=TellingStandIn())
    listener = TellingStandIn({"other": app.url, "dead": "http://127.0.0.1:9"})
    ears = asyncio.create_task(Ears(listener, KEY).run())

    async def until(count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(listener.heard) < count:
                await asyncio.sleep(0.02)

    await until(2)
    assert listener.heard == [("other", "one"), ("other", "two")]
    app.run(app.streams.close())
    await until(4)
    ears.cancel()
    await asyncio.gather(ears, return_exceptions=True)
    await asyncio.to_thread(app.close)


def test_lines_are_whole() -> None:
    found: list[bytes] = []
    lines = Lines(found.append)
    for piece in (b"ab", b"c\n\nde", b"\nf"):
        lines.feed(piece)
    assert found == [b"abc", b"de"]


def test_a_browser_is_passed_on_with_its_session(pair: tuple[LiveApp, LiveApp]) -> None:
    """Its cookie is good in every process: here both sign with one key, and know one user."""
    first, second = pair
    browser = Browser(second)
    password = (second.state / "admin-password").read_text().strip()
    assert browser.post("/login", "/login", {
        "user": "admin", "password": password, "next": "/"}).status in (302, 303)
    assert browser.get("/clusters/demo").status == 200
