"""Server-sent events: nothing lost, nothing twice, nothing left behind."""
from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from esaas.framework.client import Message, messages
from esaas.framework.service.errors import Unavailable
from esaas.ui.stream import Streams, feed
from live_app import PATIENCE_S, LiveApp
from standin_service import StandInService

DEMO = "/v1/clusters/demo/events/stream"


class Listening:
    """An open stream."""

    def __init__(self, app: LiveApp, path: str, headers: dict[str, str]) -> None:
        self.line = http.client.HTTPConnection("127.0.0.1", app.port, timeout=PATIENCE_S)
        self.line.request("GET", path, headers=headers)
        self.answer = self.line.getresponse()
        self.seen: list[str] = []
        self.messages = messages(self._lines())

    def _lines(self) -> Iterator[str]:
        for raw in self.answer:
            line = raw.decode().rstrip("\n")
            self.seen.append(line)
            yield line

    def events(self, count: int) -> list[Message]:
        """The next messages of kind ``event``."""
        found: list[Message] = []
        while len(found) < count:
            message = next(self.messages)
            if message.kind == "event":
                found.append(message)
        return found


@contextmanager
def listening(app: LiveApp, path: str, **headers: str) -> Iterator[Listening]:
    """An open stream, closed at the end; ``_`` in header names stands for a dash."""
    stream = Listening(app, path, {name.replace("_", "-"): value
                                   for name, value in headers.items()})
    try:
        yield stream
    finally:
        stream.answer.close()
        stream.line.close()


def test_events_come_as_they_happen_with_ids(live: LiveApp) -> None:
    with listening(live, DEMO) as stream:
        assert stream.answer.headers["Content-Type"].startswith("text/event-stream")
        sent = live.call(lambda: live.service.emit("demo", "hello", "one"))
        live.call(lambda: live.service.emit("logs", "hello", "of another cluster"))
        then = live.call(lambda: live.service.emit("demo", "hello", "two"))
        got = stream.events(2)
        assert [one.ident for one in got] == [str(sent.seq), str(then.seq)]
        assert [one.data["message"] for one in got] == ["one", "two"]


def test_by_accept_header_and_for_all_clusters(live: LiveApp) -> None:
    with listening(live, "/v1/events", Accept="text/event-stream") as stream:
        live.call(lambda: live.service.emit("logs", "hello", "anybody"))
        assert stream.events(1)[0].data["cluster"] == "logs"


def test_summaries_follow_events(live: LiveApp) -> None:
    with listening(live, DEMO) as stream:
        live.call(lambda: live.service.settle("demo"))
        kinds = [next(stream.messages).kind for _ in range(2)]
        assert kinds == ["event", "summary"]


def test_resume_replays_exactly_what_was_missed(live: LiveApp) -> None:
    last = live.service.log[-1].seq
    for number in range(450):
        live.call(lambda number=number: live.service.emit("demo", "n", str(number)))
    with listening(live, DEMO, Last_Event_ID=str(last)) as stream:
        got = stream.events(450)
        assert [one.data["message"] for one in got] == [str(n) for n in range(450)]
        live.call(lambda: live.service.emit("demo", "n", "after"))
        assert stream.events(1)[0].data["message"] == "after"
    with listening(live, f"{DEMO}?after={last + 449}") as stream:
        assert [one.data["message"] for one in stream.events(2)] == ["449", "after"]


def test_a_wrong_id_is_refused(live: LiveApp) -> None:
    for wrong in ("x", "²", "9" * 5000):
        with listening(live, DEMO, Last_Event_ID=wrong) as stream:
            assert stream.answer.status == 422


def test_heartbeats(live: LiveApp) -> None:
    with listening(live, DEMO) as stream:
        while ": heartbeat" not in stream.seen:
            stream.seen.append(stream.answer.readline().decode().rstrip("\n"))
        assert any(line.startswith("retry:") for line in stream.seen)


def test_gone_ends_the_stream(live: LiveApp) -> None:
    with listening(live, DEMO) as stream:
        live.call(lambda: live.service.vanish("demo"))
        assert "gone" in [message.kind for message in stream.messages]


def _settled(live: LiveApp, count: int) -> None:
    async def until() -> None:
        while len(live.streams) != count or len(live.service.watchers) != count:
            await asyncio.sleep(0.01)
    asyncio.run_coroutine_threadsafe(until(), live.loop).result(PATIENCE_S)


def test_a_client_that_leaves_leaves_nothing(live: LiveApp) -> None:
    with listening(live, DEMO), listening(live, "/v1/events/stream"):
        _settled(live, 2)
    _settled(live, 0)


def test_too_many_streams_are_refused() -> None:
    app = LiveApp(stream_limit=1)
    try:
        with listening(app, DEMO), listening(app, DEMO) as second:
            assert second.answer.status == 503
    finally:
        app.close()


def test_closing_the_service_closes_streams() -> None:
    app = LiveApp()
    with listening(app, DEMO) as stream:
        _settled(app, 1)
        app.close()
        assert list(stream.messages) == []
    assert len(app.streams) == 0


async def test_a_slow_client_costs_no_more_than_a_cursor() -> None:
    service, written, gate = StandInService(), [], asyncio.Event()

    async def write(data: bytes) -> None:
        await gate.wait()
        written.append(data)

    reading = asyncio.create_task(feed(service, "demo", None, write, heartbeat_s=60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for number in range(1000):
        service.emit("demo", "n", str(number))
    gate.set()
    while sum(data.startswith(b"id:") for data in written) < 1000:
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    # All events once, and the many changes of the summary as few.
    assert sum(b"event: summary" in data for data in written) < 5
    assert not service.watchers


async def test_a_failing_feed_is_not_hidden() -> None:
    class Broken(StandInService):
        async def watch(self, name: str | None):  # type: ignore[no-untyped-def]
            raise RuntimeError("the service broke")
            yield

    async def write(_: bytes) -> None:
        return

    with pytest.raises(RuntimeError, match="broke"):
        await feed(Broken(), "demo", None, write, heartbeat_s=60)


async def test_streams_are_bounded() -> None:
    streams = Streams(limit=1)
    streams.start(asyncio.Event().wait)
    with pytest.raises(Unavailable):
        streams.start(asyncio.Event().wait)
    await streams.close()
    assert len(streams) == 0
