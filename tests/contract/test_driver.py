"""The driver against a stand-in master: it follows, comes back, and never tears down."""
from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from queue import Queue
from typing import Any

import pytest
from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.errors import EsaasError
from esaas.framework.mesos import driver as driver_module
from esaas.framework.mesos import translate
from esaas.framework.mesos.driver import EdgeDriver, NotConnected
from esaas.framework.mesos.link import Inbound, MesosLink

from ..core.builders import identity
from .standin_master import WAIT_S, StandInMaster

INFO: dict[str, Any] = {"user": "root", "name": "demo", "roles": ["acme/demo"],
                        "capabilities": [{"type": "MULTI_ROLE"}], "failover_timeout": 60.0}


class Sink:
    """Keeps what the driver hands on, in order."""

    def __init__(self) -> None:
        self.told: Queue[tuple[str, Any]] = Queue()

    def event(self, kind: str, body: Mapping[str, Any]) -> None:
        self.told.put((kind, body))

    def disconnected(self, why: str) -> None:
        self.told.put(("disconnected", why))

    def refused(self, message: str) -> None:
        self.told.put(("refused", message))

    def until(self, kind: str) -> Any:
        """The next of a kind; what comes before it is passed over."""
        while True:
            found, body = self.told.get(timeout=WAIT_S)
            if found == kind:
                return body


class StandInDetector:
    """Has said all that it has to say."""

    def stop(self) -> None:
        """Nothing to do."""


Start = Callable[..., tuple[EdgeDriver, Sink]]


@pytest.fixture
def master() -> Iterator[StandInMaster]:
    with StandInMaster() as found:
        yield found


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, master: StandInMaster) -> Iterator[Start]:
    """Starts drivers that try again at once; all are stopped at the end."""
    monkeypatch.setattr(driver_module, "BACKOFF_FIRST_S", 0.001)
    monkeypatch.setattr(driver_module, "BACKOFF_MAX_S", 0.01)
    started: list[EdgeDriver] = []

    def make(address: str = "", **more: Any) -> tuple[EdgeDriver, Sink]:
        sink = Sink()
        found = EdgeDriver(sink, {**INFO, **more}, address or master.address)
        started.append(found)
        found.start()
        return found, sink

    yield make
    for found in started:
        found.stop()
        found.join()


def test_events_come_in_order_and_the_id_is_kept(master: StandInMaster, start: Start) -> None:
    driver, sink = start()
    assert sink.until("subscribed")["framework_id"] == {"value": "framework-1"}
    assert driver.framework_id == "framework-1" and driver.connected
    for number in range(20):
        master.push({"type": "ERROR", "error": {"message": str(number)}})
    assert [sink.until("error")["message"] for _ in range(20)] == list(map(str, range(20)))


def test_a_call_carries_the_stream_and_the_framework(master: StandInMaster, start: Start) -> None:
    driver, sink = start()
    sink.until("subscribed")
    driver.call("REVIVE")
    call, = master.calls
    assert call.headers["mesos-stream-id"] == "stream-1"
    assert call.body == {"type": "REVIVE", "framework_id": {"value": "framework-1"}}


def test_two_drivers_of_a_process_never_mix_their_streams(
        master: StandInMaster, start: Start) -> None:
    """pymesos shares one dict of headers between all drivers of a process."""
    pairs = [start() for _ in range(2)]
    for _, sink in pairs:
        sink.until("subscribed")
    threads = [threading.Thread(target=lambda d=driver: [d.call("REVIVE") for _ in range(20)])
               for driver, _ in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = {(call.body["framework_id"]["value"], call.headers["mesos-stream-id"])
            for call in master.calls}
    assert len(master.calls) == 40
    assert seen == {("framework-1", "stream-1"), ("framework-2", "stream-2")}


def test_a_lost_stream_is_opened_again_under_the_same_id(
        master: StandInMaster, start: Start) -> None:
    driver, sink = start()
    sink.until("subscribed")
    master.drop()
    assert "ended the stream" in sink.until("disconnected")
    sink.until("subscribed")
    again = master.subscriptions[1].body
    assert again["framework_id"] == {"value": "framework-1"}
    assert again["subscribe"]["framework_info"]["id"] == {"value": "framework-1"}
    driver.call("REVIVE")
    assert master.calls[0].headers["mesos-stream-id"] == "stream-2"


def test_a_redirect_is_followed_to_the_leading_master(
        master: StandInMaster, start: Start) -> None:
    with StandInMaster() as leader:
        master.answers = [(307, f"//{leader.address}/api/v1/scheduler")]
        driver, sink = start()
        sink.until("subscribed")
        assert len(leader.subscriptions) == 1 and driver.master == leader.address
        driver.stop()
        driver.join()


def test_a_leader_that_has_died_is_not_waited_for(master: StandInMaster, start: Start) -> None:
    """Without a detector the configured master is asked again who leads."""
    with StandInMaster() as leader:
        master.answers = [(307, f"http://{leader.address}")]
        driver, sink = start()
        sink.until("subscribed")
    master.wait(lambda: len(master.subscriptions) == 2)
    sink.until("subscribed")
    assert driver.master == master.address


def test_a_leader_that_sends_us_on_to_a_dead_one_is_asked_again(
        master: StandInMaster, start: Start) -> None:
    """A detector has named a new leader, which does not know yet that it leads."""
    with StandInMaster() as before:
        dead = before.address
    with StandInMaster() as leader:
        driver, sink = start()
        sink.until("subscribed")
        leader.answers = [(307, f"//{dead}/api/v1/scheduler")]
        driver.detector = StandInDetector()
        driver.change_master(leader.address)
        sink.until("subscribed")
        assert driver.master == leader.address and len(leader.subscriptions) == 2
        driver.stop()
        driver.join()


def test_a_master_that_is_not_ready_is_asked_again(master: StandInMaster, start: Start) -> None:
    master.answers = [(503, ""), (503, "")]
    driver, sink = start()
    assert "503" in sink.until("disconnected")
    sink.until("subscribed")
    assert len(master.subscriptions) == 3 and driver.connected


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_is_told_and_the_process_lives_on(
        status: int, master: StandInMaster, start: Start) -> None:
    """pymesos raises KeyboardInterrupt on the main thread."""
    master.answers = [(status, "")]
    _, sink = start()
    assert sink.until("refused") == f"HTTP {status}: not so"
    sink.until("subscribed")            # and asks again, in case somebody mends it


@pytest.mark.parametrize("junk", [
    b"<html>\n", b"5\nhello", b"2\n[]", b"4\nnull",
    b'37\n{"type":"SUBSCRIBED","subscribed":{}}', b"1\n{"])
def test_a_stream_of_junk_is_opened_again(
        junk: bytes, master: StandInMaster, start: Start) -> None:
    _, sink = start()
    sink.until("subscribed")
    master.push_bytes(junk)
    sink.until("disconnected")
    sink.until("subscribed")


def test_a_stream_without_heartbeats_is_given_up(start: Start) -> None:
    """The connection stays open and silent; only the missing heartbeats tell."""
    with StandInMaster(heartbeat_s=0.01) as silent:
        driver, sink = start(silent.address)
        sink.until("subscribed")
        assert "no heartbeat" in sink.until("disconnected")
        sink.until("subscribed")
        assert len(silent.subscriptions) >= 2
        driver.stop()
        driver.join()


def test_a_call_while_disconnected_raises_and_is_not_sent(
        master: StandInMaster, start: Start) -> None:
    driver = EdgeDriver(Sink(), dict(INFO), master.address)
    with pytest.raises(NotConnected):
        driver.call("REVIVE")
    driver, sink = start()
    sink.until("subscribed")
    driver.stop()
    driver.join()
    with pytest.raises(NotConnected):
        driver.call("REVIVE")
    assert master.calls == []


def test_a_call_that_the_master_refuses_raises(master: StandInMaster, start: Start) -> None:
    driver, sink = start()
    sink.until("subscribed")
    master.call_status = 403
    with pytest.raises(EsaasError, match="403"):
        driver.call("REVIVE")
    master.call_status = 202
    driver.call("REVIVE")


def test_no_gpus_are_asked_for(start: Start, master: StandInMaster) -> None:
    start()[1].until("subscribed")
    info = master.subscriptions[0].body["subscribe"]["framework_info"]
    assert info["capabilities"] == [{"type": "MULTI_ROLE"}]
    assert info["failover_timeout"] == 60.0


@pytest.mark.parametrize("failover", [True, False])
def test_stopping_never_tears_the_framework_down(
        failover: bool, master: StandInMaster, start: Start) -> None:
    driver, sink = start()
    sink.until("subscribed")
    driver.stop(failover)
    driver.join()
    assert master.calls == []


def test_teardown_is_sent_only_when_it_is_asked_for(master: StandInMaster, start: Start) -> None:
    driver, sink = start()
    sink.until("subscribed")
    driver.teardown()
    assert [call.kind for call in master.calls] == ["TEARDOWN"]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_nothing_is_left_after_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "BACKOFF_FIRST_S", 0.001)
    before, threads = open_files(), set(threading.enumerate())
    with StandInMaster() as master:
        for _ in range(5):
            sink = Sink()
            driver = EdgeDriver(sink, dict(INFO), master.address)
            driver.start()
            sink.until("subscribed")
            driver.call("REVIVE")
            master.drop()
            sink.until("disconnected")
            sink.until("subscribed")
            driver.call("REVIVE")
            driver.stop()
            driver.join()
    assert open_files() == before
    assert set(threading.enumerate()) == threads


# -------------------------------------------------------------------------- link

@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch,
         master: StandInMaster) -> Iterator[tuple[MesosLink, Queue[Inbound]]]:
    monkeypatch.setattr(driver_module, "BACKOFF_FIRST_S", 0.001)
    inbound: Queue[Inbound] = Queue()
    found = MesosLink(identity(framework_id=None), master.address, dict(INFO),
                      translate.ExecutorFile("http://x/y", "y"), lambda _: translate.Supply(),
                      inbound.put)
    found.start()
    yield found, inbound
    found.stop()


def next_event(inbound: Queue[Inbound], kind: type[ev.Event]) -> Any:
    while True:
        item = inbound.get(timeout=WAIT_S)
        if isinstance(item, tuple) and isinstance(item[0], kind):
            return item[0]


def test_an_event_that_cannot_be_read_is_passed_over(
        master: StandInMaster, link: tuple[MesosLink, Queue[Inbound]]) -> None:
    _, inbound = link
    next_event(inbound, ev.Registered)
    for broken in ({"type": "OFFERS", "offers": {"offers": [{}]}},
                   {"type": "UPDATE", "update": {}}, {"type": "RESCIND", "rescind": {}},
                   {"type": "NEW_IN_2.0"}, {"type": "MESSAGE", "message": {"data": "###"}},
                   {"type": "HEARTBEAT"}):
        master.push(broken)
    master.push({"type": "RESCIND", "rescind": {"offer_id": {"value": "o1"}}})
    assert inbound.get(timeout=WAIT_S) == "o1"
    assert len(master.subscriptions) == 1


def test_what_mesos_says_against_us_is_told(
        master: StandInMaster, link: tuple[MesosLink, Queue[Inbound]]) -> None:
    _, inbound = link
    next_event(inbound, ev.Registered)
    master.push({"type": "ERROR", "error": {"message": "Framework has been removed"}})
    assert next_event(inbound, ev.MesosRefused).message == "Framework has been removed"


@pytest.mark.parametrize("operation", [
    op.Decline((), ("o1",), 5.0), op.Accept((), ("o1",), "agent-1", (), 5.0)])
def test_offers_whose_answer_failed_are_given_back_by_a_new_stream(
        operation: op.Operation, master: StandInMaster,
        link: tuple[MesosLink, Queue[Inbound]]) -> None:
    """The master waits for an answer for ever; it takes offers back when a stream ends."""
    found, inbound = link
    next_event(inbound, ev.Registered)
    master.call_status = 500
    assert found.send(operation).result(WAIT_S) is False
    next_event(inbound, ev.SendFailed)
    next_event(inbound, ev.Registered)
    assert len(master.subscriptions) == 2


def test_another_call_that_failed_leaves_the_stream_alone(
        master: StandInMaster, link: tuple[MesosLink, Queue[Inbound]]) -> None:
    found, inbound = link
    next_event(inbound, ev.Registered)
    master.call_status = 500
    assert found.send(op.Revive(())).result(WAIT_S) is False
    assert next_event(inbound, ev.SendFailed).what == "Revive"
    master.call_status = 202
    assert found.send(op.Revive(())).result(WAIT_S) is True
    assert len(master.subscriptions) == 1
