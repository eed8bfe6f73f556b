"""Following the service and keeping HAProxy, which is a stand-in here."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from esaas.framework.cli import main
from esaas.framework.client import Client
from esaas.framework.discovery.follow import LONGEST_PAUSE_S, Follower
from esaas.framework.discovery.haproxy import Files, HaproxyError
from esaas.framework.discovery.supervise import Keeper

from .standins import StandInEndpoints, cluster, until

NODE = ("node-0", "10.0.0.1:31100")


@pytest.fixture
def stand_in_haproxy(tmp_path: Path) -> str:
    """Takes any configuration that does not say so."""
    program = tmp_path / "stand-in-haproxy"
    program.write_text('#!/bin/sh\n! grep -q "bind 127.0.0.1:20666" "$3"\n')
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def files(tmp_path: Path, stand_in_haproxy: str) -> Files:
    return Files(tmp_path / "out", "127.0.0.1", stand_in_haproxy)


class Reloads:
    """Counts, and fails when told to."""

    def __init__(self) -> None:
        self.count, self.fails = 0, False

    def __call__(self) -> None:
        if self.fails:
            raise HaproxyError("it will not")
        self.count += 1


def answer(*clusters: dict[str, Any], complete: bool = True) -> dict[str, Any]:
    """Of the service."""
    return {"version": "1", "complete": complete, "clusters": list(clusters)}


def test_the_same_answer_reloads_once(files: Files) -> None:
    reload = Reloads()
    keeper = Keeper(files, reload, None)
    keeper.begin()
    for _ in range(3):
        keeper.take(answer(cluster("demo", 20000, NODE)))
    assert reload.count == 1
    assert "server node-0 10.0.0.1:31100" in files.config.read_text()
    keeper.take(answer())
    assert reload.count == 2 and "node-0" not in files.config.read_text()


def test_what_haproxy_refuses_leaves_it_as_it_is_and_is_tried_again(files: Files) -> None:
    reload, now = Reloads(), [0.0]
    keeper = Keeper(files, reload, None, lambda: now[0])
    keeper.begin()
    keeper.take(answer(cluster("demo", 20000, NODE)))
    before = files.config.read_text()
    keeper.take(answer(cluster("demo", 20666, NODE)))
    keeper.take(answer(cluster("demo", 20000, NODE), cluster("other", 20000, NODE)))
    keeper.take({"unknown": 1})
    assert files.config.read_text() == before and reload.count == 1
    assert "20666" in (files.directory / "haproxy.cfg.refused").read_text()
    reload.fails = True
    keeper.take(answer(cluster("demo", 20001, NODE)))
    reload.fails = False
    keeper.look()
    assert reload.count == 1, "not at once"
    now[0] = 60.0
    keeper.look()
    keeper.look()
    assert reload.count == 2 and "20001" in files.config.read_text()


def test_the_next_start_knows_what_the_last_one_knew(files: Files) -> None:
    first = Keeper(files, Reloads(), None)
    first.begin()
    first.take(answer(cluster("demo", 20000, NODE)))
    second = Keeper(files, Reloads(), None)
    second.begin()
    second.take(answer(cluster("demo", 20000), complete=True))
    assert "server node-0" in files.config.read_text()
    (files.directory / "known.json").write_text("junk")
    assert files.known() == ()


def follower(service: StandInEndpoints) -> Follower:
    """One that asks already."""
    found = Follower(Client(service.url), lambda: 0.0)
    found.start()
    return found


def test_news_are_followed_and_the_newest_counts(service: StandInEndpoints) -> None:
    asks = follower(service)
    assert asks.answers.get(timeout=30)["clusters"] == []
    for port in (20000, 20001, 20002):
        service.tell(cluster("demo", port, NODE))
        asked = service.asked
        until("the next question", lambda asked=asked: service.asked > asked)
    assert asks.answers.get(timeout=30)["version"] == "3"
    assert asks.answers.empty()
    asks.stop()


def test_refusals_are_waited_out(service: StandInEndpoints) -> None:
    service.refuses = 503
    asks = follower(service)
    until("questions", lambda: service.asked >= 2)
    assert asks.answers.empty()
    service.refuses = None
    assert asks.answers.get(timeout=30)["version"] == "0"
    asks.stop()


@pytest.mark.parametrize("chance", [lambda: 0.0, lambda: 1.0])
def test_pauses_grow_and_are_bounded(
        service: StandInEndpoints, chance: Callable[[], float]) -> None:
    asks = Follower(Client(service.url), chance)
    pauses = [asks.pause_s(number) for number in range(1, 3000)]
    assert pauses == sorted(pauses) and pauses[0] >= 0.25 and pauses[-1] <= LONGEST_PAUSE_S


@pytest.mark.parametrize("more", [
    ["--run", "--reload-command", "true"], ["--run", "--once"], ["--run", "--check-only"]])
def test_options_that_exclude_each_other(tmp_path: Path, more: list[str]) -> None:
    done = CliRunner().invoke(main, ["haproxy", "--out", str(tmp_path), *more])
    assert done.exit_code == 2


def test_once_and_its_exit_codes(
        tmp_path: Path, service: StandInEndpoints, stand_in_haproxy: str) -> None:
    token = tmp_path / "token"
    token.write_text("secret-token")
    command = ["haproxy", "--url", service.url, "--out", str(tmp_path / "out"), "--once",
               "--haproxy", stand_in_haproxy, "--token-file", str(token)]
    service.tell(cluster("demo", 20000, NODE))
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "node-0" in (tmp_path / "out" / "haproxy.cfg").read_text()
    service.tell(cluster("demo", 20666, NODE))
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1 and "kept" in done.output and "secret-token" not in done.output
    service.refuses = 401
    assert CliRunner().invoke(main, command).exit_code == 1
    assert CliRunner().invoke(main, [*command, "--url", "http://127.0.0.1:1"]).exit_code == 3
    service.refuses = None
    assert CliRunner().invoke(main, [*command, "--haproxy", "/none"]).exit_code == 1
    missing = [*command[:-1], str(tmp_path / "none")]
    assert CliRunner().invoke(main, missing).exit_code == 2
