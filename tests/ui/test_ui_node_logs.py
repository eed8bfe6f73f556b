"""Logs of nodes by API, command line and page."""
from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from asking import ask
from click.testing import CliRunner, Result
from esaas.framework.cli import main
from live_app import LiveApp

LOG = "/v1/clusters/demo/nodes/node-0/log"


def test_logs_are_listed_with_former_launches(live: LiveApp) -> None:
    found = ask(live, "GET", "/v1/clusters/demo/logs").json
    assert [one["node"] for one in found["nodes"]][:2] == ["node-0", "node-1"]
    newest, former = found["nodes"][0]["launches"]
    assert (newest["launch"], newest["present"], former["launch"]) == ("1.2", True, "1.1")
    assert newest["files"][0]["name"] == "demo.log"
    [only] = ask(live, "GET", "/v1/clusters/demo/logs?node=node-1").json["nodes"]
    assert only["node"] == "node-1"
    assert ask(live, "GET", "/v1/clusters/demo/logs?node=none").status == 404
    assert ask(live, "GET", "/v1/clusters/none/logs").status == 404


def test_a_log_is_read_from_its_end_and_from_any_place(live: LiveApp) -> None:
    last = ask(live, "GET", f"{LOG}?lines=2").json
    assert last["text"].count("\n") == 2 and last["text"].endswith("line 59 <b>&\n")
    assert last["next_offset"] == last["size"] and last["file"] == "demo.log"
    part = ask(live, "GET", f"{LOG}?offset=0&length=10").json
    assert (part["text"], part["next_offset"]) == ("[2026-11-3", 10)
    assert ask(live, "GET", f"{LOG}?launch=1.1&file=stderr").json["launch"] == "1.1"
    wrong = ask(live, "GET", f"{LOG}?launch=latest&lines=0&length=100000&offset=-1")
    assert wrong.status == 422
    assert wrong.faults.keys() == {"launch", "lines", "length", "offset"}


@pytest.mark.parametrize("file", [
    "elasticsearch.yml", "config/elasticsearch.yml", "logs/../config/node.key", "../stderr",
    "/etc/passwd", "demo.log/../../config/node.key", "config", "data", "other.log", "logs/",
    "demo.keystore", "demo.log\n", "demo.log\0"])
def test_what_is_no_log_is_not_there(live: LiveApp, file: str) -> None:
    for path in (LOG, f"{LOG}/search"):
        text = "&text=a" if path.endswith("search") else ""
        assert ask(live, "GET", f"{path}?file={quote(file, safe='')}{text}").status == 404
    if file.isprintable():              # pages leave out what nobody can type
        page = ask(live, "GET", f"/clusters/demo/logs/node-0?file={quote(file, safe='')}")
        assert page.status == 404


def test_a_text_is_found_with_its_place(live: LiveApp) -> None:
    found = ask(live, "GET", f"{LOG}/search?text=STARTED").json
    assert [one["line"].rpartition("] ")[2] for one in found["hits"]] == [
        f"line {second} started" for second in (0, 20, 40)]
    at = found["hits"][1]["offset"]
    assert ask(live, "GET", f"{LOG}?offset={at}&length=30").json["text"].startswith(
        "[2026-11-30T20:35:20")
    assert ask(live, "GET", f"{LOG}/search").faults.keys() == {"text"}


def test_an_agent_that_is_away_is_told(live: LiveApp) -> None:
    live.service.away = frozenset({"node-0"})
    gone = ask(live, "GET", LOG)
    assert (gone.status, gone.json["error"]["code"]) == (503, "unavailable")
    assert "away" in ask(live, "GET", "/clusters/demo/logs").text
    page = ask(live, "GET", "/clusters/demo/logs/node-0")
    assert page.status == 503 and "away" in page.text


def test_pages_show_lists_lines_and_what_was_found(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/demo/logs").text
    assert 'href="/clusters/demo/logs/node-0?launch=1.1&amp;file=demo.log"' in page
    assert 'href="/clusters/demo/logs"' in ask(live, "GET", "/clusters/demo").text
    log = ask(live, "GET", "/clusters/demo/logs/node-0?file=demo.log").text
    assert "line 59 &lt;b&gt;&amp;" in log and "<b>&" not in log
    assert 'data-every="3"' in log and "/clusters/demo/logs/node-0/fragment?file=demo.log" in log
    fragment = ask(live, "GET", "/clusters/demo/logs/node-0/fragment?file=demo.log").text
    assert "line 59" in fragment and "<html" not in fragment
    hits = ask(live, "GET", "/clusters/demo/logs/node-0?text=started").text
    assert "3 lines found" in hits and "data-every" not in hits
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page + log + hits)


def run(live: LiveApp, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["logs", *arguments],
                              env={"ESAAS_URL": live.url, "COLUMNS": "200"})


def test_the_command_line(live: LiveApp) -> None:
    assert "demo_index_search_slowlog.log" in run(live, "demo").output
    assert "node-1" not in run(live, "demo", "node-0", "--list").output
    last = run(live, "demo", "node-0", "--lines", "1")
    assert last.output.endswith("line 59 <b>&\n") and last.output.count("\n") == 1
    found = run(live, "demo", "node-0", "stderr", "--launch", "1.1", "--search", "line 20")
    assert "line 20 started" in found.output and found.output.count("\n") == 1
    assert '"next_offset"' in run(live, "demo", "node-0", "--json").output
    assert run(live, "demo", "node-0", "../config/node.key").exit_code == 1
    assert run(live, "demo", "node-0", "--follow", "--search", "x").exit_code == 2
    assert run(live, "none", "node-0").exit_code == 1
