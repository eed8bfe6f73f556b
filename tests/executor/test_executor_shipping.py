"""Logs are shipped whole and once, whatever fails in between; over real HTTP at the end."""
from __future__ import annotations

import gzip
import itertools
import json
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from esaas.executor import loglines, shipping
from esaas.executor.bulk import Bulk, NotSent, Sent, outcome
from esaas.executor.loglines import Document, Origin
from esaas.executor.place import FILE_NAME, Place
from esaas.executor.shipping import Sandbox, Shipper, former_sandboxes
from executor_helpers import poll
from hypothesis import given, settings
from hypothesis import strategies as st

ORIGIN = Origin("demo", "acme", "node-1", "agent-1", "1.2", "f-1/demo.node-1.1.2")
LINE = "[2026-11-30T20:35:47,623][WARN ][o.e.n.Node               ] [node-1] "
TRACE = "java.lang.IllegalStateException: no\n\tat org.A.a(A.java:1)\nCaused by: x\n"


# ---------------------------------------------------------------------- lines

@pytest.mark.parametrize(("text", "said"), [
    (LINE + "started", {"level": "WARN", "logger": "o.e.n.Node", "message": "started"}),
    (LINE + "failed\n" + TRACE.rstrip(), {
        "level": "WARN", "logger": "o.e.n.Node", "message": "failed\n" + TRACE.rstrip()}),
    ("[2026-11-30T20:35:47,623][TRACE][index.search.slowlog.query] [node-1] [a][0] took[1ms]", {
        "level": "TRACE", "logger": "index.search.slowlog.query", "message": "[a][0] took[1ms]"}),
    ('{"type": "server", "timestamp": "2026-11-30T20:35:47,623Z", "level": "INFO", "component": '
     '"o.e.n.Node", "message": "m", "stacktrace": ["a", "at b"]}', {
         "@timestamp": "2026-11-30T20:35:47.623Z", "level": "INFO", "logger": "o.e.n.Node",
         "message": "m\na\nat b"}),
    ('{"@timestamp":"2026-11-30T21:35:47.623+01:00","log.level":"WARN","message":"m",'
     '"log.logger":"o.e.X","error.stack_trace":"at c"}', {
         "@timestamp": "2026-11-30T20:35:47.623Z", "level": "WARN", "logger": "o.e.X",
         "message": "m\nat c"}),
    ("{not JSON", {"message": "{not JSON"}), ("\tat org.B", {"message": "\tat org.B"})])
def test_what_a_line_says(text: str, said: dict[str, str]) -> None:
    found = loglines.parsed(text)
    moment = found.pop("@timestamp", "") if "@timestamp" not in said else ""
    assert found == said
    assert not moment or moment == loglines.utc("2026-11-30T20:35:47,623")


def test_moments_are_utc_and_decide_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    import time
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        data = b"[2026-12-01T02:00:00,000][INFO ][a] [n] b\n"
        [made] = loglines.documents(data, 0, "demo", "f", ORIGIN, "")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert made.body["@timestamp"] == "2026-11-30T18:00:00.000Z"
    assert made.index == "esaas-logs-2026.11.30"


def test_which_files_are_logs_of_the_cluster() -> None:
    names = ["demo.log", "demo_deprecation.log", "demo-2026-11-29-1.log.gz", "demo_server.json",
             "demo_index_search_slowlog.json", "demo_deprecation.json", "gc.log", "demon.log",
             "demo_server-2026-11-29-1.json.gz", "demo.log.tmp", "demo_audit-3.json"]
    assert loglines.wanted(names, "demo") == {
        "demo.log": "demo", "demo_deprecation.log": "demo_deprecation",
        "demo-2026-11-29-1.log.gz": "demo", "demo_audit-3.json": "demo_audit",
        "demo_index_search_slowlog.json": "demo_index_search_slowlog"}


@given(st.lists(st.sampled_from([LINE + "a\n", LINE + "b\n" + TRACE, "below\n", "\n", "{}\n"])),
       st.integers(1, 200))
def test_documents_do_not_depend_on_how_a_file_was_read(parts: list[str], piece: int) -> None:
    data = "".join(parts).encode()
    whole = loglines.documents(data, 0, "demo", "f", ORIGIN, "2026-11-30T00:00:00.000Z")
    made: list[Document] = []
    offset, since = 0, "2026-11-30T00:00:00.000Z"
    reach = piece
    while offset < len(data):
        part = data[offset:offset + reach]
        length = loglines.cut(part, quiet=False, ended=offset + reach >= len(data), full=False)
        if not length:
            reach += piece                      # more was written meanwhile
            continue
        found = loglines.documents(part[:length], offset, "demo", "f", ORIGIN, since)
        since = found[-1].body["@timestamp"] if found else since
        made, offset, reach = made + found, offset + length, piece
    assert made == whole


def test_an_endless_line_is_sent_in_pieces() -> None:
    data = b"x" * 1000
    assert loglines.cut(data, quiet=False, ended=False, full=False) == 0
    assert loglines.cut(data, quiet=False, ended=False, full=True) == 1000
    assert loglines.cut(b"a\n" + data, quiet=False, ended=False, full=True) == 2


# ------------------------------------------------------- whole and once, over all that can fail

class Target:
    """A cluster of logs: creates what is not there. Fails as it is told to, before or after."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], dict[str, str]] = {}
        self.fails: list[str] = []
        self.most = 0

    def bulk(self, urls: Sequence[str]) -> Any:
        target = self

        class Sends:
            def __init__(self) -> None:
                self.urls = tuple(urls)

            def send(self, documents: Sequence[Document]) -> Sent:
                target.most = max(target.most, sum(len(one.body["message"]) for one in documents))
                fails = target.fails.pop() if target.fails else ""
                if fails == "before":
                    raise NotSent("no node answers")
                for one in documents:
                    target.documents.setdefault((one.index, one.id), one.body)
                if fails == "after":
                    raise NotSent("the answer was lost")
                return Sent(len(documents), 0)
        return Sends()

    def said(self) -> Counter[str]:
        return Counter(one["message"] for one in self.documents.values())


class World:
    """One sandbox whose node writes and rolls its log over; executors come and go."""

    def __init__(self, root: Path) -> None:
        self.root, self.now, self.count, self.rolled = root, 1000.0, 0, 0
        self.target, self.written = Target(), Counter[str]()
        (root / "logs").mkdir()
        self.log = root / "logs" / "demo.log"
        self.shipper: Shipper | None = None
        self.restart()

    def restart(self) -> None:
        self.end()
        self.shipper = Shipper([Sandbox(self.root, ORIGIN)], clock=lambda: self.now,
                               bulk=self.target.bulk)
        self.shipper._urls = ("http://a:1",)        # without its thread: a turn is a call

    def end(self) -> None:
        for one in self.shipper._followed if self.shipper else ():
            one.place.let_go()                      # as the end of its process does

    def write(self, traced: bool, torn: bool) -> None:
        self.count += 1
        message = f"event {self.count}" + ("\n" + TRACE.rstrip() if traced else "")
        data = f"{LINE}{message}\n".encode()
        half = len(data) // 2 if torn else len(data)
        with open(self.log, "ab") as file:
            file.write(data[:half])
            file.flush()
            if torn:
                self.turn()
                file.write(data[half:])
        self.written[message] += 1

    def roll(self, packed: bool) -> None:
        if not self.log.exists():
            return
        self.rolled += 1
        to = self.log.with_name(f"demo-2026-11-30-{self.rolled}.log")
        self.log.rename(to)
        if packed:
            with gzip.open(f"{to}.gz", "wb") as file:
                file.write(to.read_bytes())
            to.unlink()

    def turn(self) -> bool:
        """As the thread does it."""
        assert self.shipper is not None
        try:
            moved, problem = self.shipper.turn(), ""
        except NotSent as error:
            moved, problem = True, str(error)
        self.shipper._tell(problem)
        return moved

    def settle(self) -> None:
        self.target.fails = []
        for _ in range(3):                          # twice the same size, then quiet
            while self.turn():
                pass
            self.now += 2


ACTIONS = st.lists(st.one_of(
    st.tuples(st.just("write"), st.booleans(), st.booleans()),
    st.tuples(st.just("roll"), st.booleans()), st.tuples(st.just("turn")),
    st.tuples(st.just("restart")), st.tuples(st.just("wait")),
    st.tuples(st.just("fail"), st.sampled_from(["before", "after"]))), max_size=40)


@settings(max_examples=150, deadline=None)
@given(ACTIONS)
def test_every_event_is_there_once_whatever_failed(actions: list[tuple[Any, ...]]) -> None:
    root = Path(tempfile.mkdtemp(prefix="shipping"))
    try:
        world = World(root)
        for name, *more in actions:
            if name == "wait":
                world.now += 2
            elif name == "fail":
                world.target.fails.append(more[0])
            else:
                getattr(world, name)(*more)
        world.settle()
        assert world.target.said() == world.written
        place = Place.of(root)
        assert (place.behind_bytes, place.refused) == (0, 0)
        world.end()
    finally:
        shutil.rmtree(root)


def test_nothing_grows_while_the_target_takes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    for _ in range(3000):
        world.write(True, False)
    world.target.fails = ["before"] * 5
    for _ in range(5):
        world.turn()
    assert world.target.documents == {}
    assert world.target.most <= shipping.PIECE_BYTES
    world.settle()
    assert world.target.said() == world.written
    assert Place.of(tmp_path).shipped >= 3000
    world.end()


def test_a_lost_place_makes_no_duplicate(tmp_path: Path) -> None:
    world = World(tmp_path)
    for _ in range(20):
        world.write(False, False)
    world.settle()
    (tmp_path / FILE_NAME).write_text("{half")
    world.restart()
    world.settle()
    assert world.target.said() == world.written
    world.end()


# ------------------------------------------------------------------- former starts

def laid_out(root: Path, launch: int, lines: str) -> Path:
    """A sandbox as an agent lays it out."""
    path = root / "executors" / f"demo.node-1.1.{launch}" / "runs" / f"container-{launch}"
    (path / "logs").mkdir(parents=True)
    (path.parent / "latest").symlink_to(path)
    (path / "logs" / "demo.log").write_text(lines)
    return path


def test_what_an_executor_left_the_next_one_ships(tmp_path: Path) -> None:
    old = laid_out(tmp_path, 1, LINE + "old\n" + LINE + "its last word")
    own = Sandbox(laid_out(tmp_path, 2, LINE + "new\n"), ORIGIN)
    laid_out(tmp_path, 3, LINE + "not yet\n")
    [former] = former_sandboxes(own)
    assert (former.path, former.origin.launch, former.former) == (old, "1.1", True)
    target, clock = Target(), itertools.count(1000, 2)
    shipper = Shipper([former, own], clock=lambda: next(clock), bulk=target.bulk)
    shipper._urls = ("http://a:1",)
    theirs = Place.of(old)
    assert theirs.mine()                            # the former executor is at it still
    shipper.turn()
    assert target.said() == {}
    theirs.let_go()
    for _ in range(4):
        shipper.turn()
    assert target.said() == {"old": 1, "its last word": 1, "new": 1}
    assert {one["launch"] for one in target.documents.values()} == {"1.1", "1.2"}
    assert Place.of(old).done and not Place.of(own.path).done


def test_a_sandbox_somewhere_else_has_no_former_ones(tmp_path: Path) -> None:
    assert former_sandboxes(Sandbox(tmp_path, ORIGIN)) == []
    assert former_sandboxes(Sandbox(Path("/a/b"), ORIGIN)) == []


# --------------------------------------------------------------------- over HTTP

class Elasticsearch(ThreadingHTTPServer):
    """Answers as a version of it does; keeps what it was asked."""

    def __init__(self, version: str) -> None:
        self.version, self.statuses, self.asked = version, [201], []
        self.statuses: list[int]
        self.asked: list[tuple[str, str, bytes]]
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.asked.append((self.command, self.path, body))
                status, found = 200, server.said(self.path, body)
                if self.path.startswith("/_template"):
                    status = 400                    # it is there already
                data = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            do_GET = do_PUT = do_POST = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Quiet."""
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def said(self, path: str, body: bytes) -> Any:
        if path == "/":
            return {"version": {"number": self.version}}
        if path != "/_bulk":
            return {"error": "exists"}
        count = body.count(b"\n") // 2
        return {"items": [{"create": {"status": self.statuses[number % len(self.statuses)],
                                      "error": {"type": "es_rejected", "reason": "busy"}}}
                          for number in range(count)]}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture(params=["6.8.23", "7.17.29"])
def elasticsearch(request: pytest.FixtureRequest) -> Iterator[Elasticsearch]:
    """A server of either version."""
    server = Elasticsearch(request.param)
    yield server
    server.shutdown()
    server.server_close()


def documents(count: int) -> list[Document]:
    return [Document("esaas-logs-2026.11.30", f"id-{number}", {"message": str(number)})
            for number in range(count)]


def test_types_are_named_only_where_they_are_known(elasticsearch: Elasticsearch) -> None:
    bulk = Bulk(["http://127.0.0.1:1", elasticsearch.url])
    assert bulk.send(documents(2)) == Sent(2, 0)
    assert bulk.send(documents(1)) == Sent(1, 0)
    assert [one[:2] for one in elasticsearch.asked] == [
        ("GET", "/"), ("PUT", "/_template/esaas-logs?create=true"), ("POST", "/_bulk"),
        ("POST", "/_bulk")]
    first = json.loads(elasticsearch.asked[2][2].split(b"\n")[0])
    typed = elasticsearch.version.startswith("6")
    assert first == {"create": {"_index": "esaas-logs-2026.11.30", "_id": "id-0"} | (
        {"_type": "_doc"} if typed else {})}
    template = json.loads(elasticsearch.asked[1][2])["mappings"]
    assert ("_doc" in template) is typed


def test_who_takes_nothing_is_asked_again(elasticsearch: Elasticsearch) -> None:
    elasticsearch.statuses = [201, 429]
    with pytest.raises(NotSent, match="1 of 2 documents.*busy"):
        Bulk([elasticsearch.url]).send(documents(2))
    with pytest.raises(NotSent, match="ConnectionRefusedError"):
        Bulk(["http://127.0.0.1:1"]).send(documents(1))
    with pytest.raises(NotSent):
        Bulk([]).send(documents(1))


def item(status: int, kind: str = "") -> dict[str, Any]:
    return {"create": {"status": status, "error": {"type": kind, "reason": "why"}}}


def test_what_was_there_counts_and_what_is_hopeless_is_told() -> None:
    assert outcome({"items": [item(201), item(409), item(400, "mapper_parsing_exception")]}) == (
        Sent(2, 1, "mapper_parsing_exception: why"))
    for again in (item(400, "validation_exception"), item(403), item(503), item(404)):
        with pytest.raises(NotSent):
            outcome({"items": [item(201), again]})
    with pytest.raises(NotSent, match="no Elasticsearch"):
        outcome({"acknowledged": True})


def test_the_thread_ships_and_ends(elasticsearch: Elasticsearch, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "demo.log"
    log.write_text(LINE + "one\n" + LINE + "two\n")
    shipper = Shipper([Sandbox(tmp_path, ORIGIN)])
    shipper.follow(())
    shipper.finish(0.1)                             # it never began
    shipper.follow((elasticsearch.url,))
    poll(lambda: Place.of(tmp_path).shipped == 2)
    with open(log, "a") as file:
        file.write(LINE + "three, without an end")
    shipper.finish(30)
    assert Place.of(tmp_path).shipped == 3
    assert b"without an end" in elasticsearch.asked[-1][2]


def test_a_target_that_is_away_is_told_and_tried_again(
        elasticsearch: Elasticsearch, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "demo.log").write_text(LINE + "one\n")
    shipper = Shipper([Sandbox(tmp_path, ORIGIN)])
    shipper.follow(("http://127.0.0.1:1",))
    poll(lambda: "ConnectionRefused" in Place.of(tmp_path).error)
    shipper.follow((elasticsearch.url,))
    poll(lambda: (lambda place: place.shipped == 1 and place.error == "")(
        Place.of(tmp_path)))
    shipper.finish(1)
