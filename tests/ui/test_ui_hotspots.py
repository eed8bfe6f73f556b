"""Hot spots by API, command line and page."""
from __future__ import annotations

import re

import pytest
from asking import ask, post_form
from click.testing import CliRunner
from esaas.framework.cli import main
from esaas.framework.service.views import OperationView
from live_app import LiveApp

DEMO = "/v1/clusters/demo/hotspots"


def first(live: LiveApp) -> str:
    """The id of the first proposal."""
    return str(ask(live, "GET", DEMO).json["proposals"][0]["id"])


def test_a_report_says_where_why_and_what_would_help(live: LiveApp) -> None:
    report = ask(live, "GET", DEMO).json
    [disk] = [one for one in report["spreads"] if one["dimension"] == "store_mb"]
    assert [(one["name"], one["heaviest"][0]["shard"]) for one in disk["outliers"]] == [
        ("node-0", "logs-1[0]")]
    best = report["proposals"][0]
    assert best["deviation_after"] < best["deviation_before"] and len(best["moves"]) == 2
    assert ask(live, "GET", f"{DEMO}?dimension=shards").json["proposals"] == []
    assert ask(live, "GET", f"{DEMO}?dimension=luck").status == 422
    assert ask(live, "GET", "/v1/clusters/none/hotspots").status == 404


def test_a_proposal_is_applied_once_it_is_current(live: LiveApp) -> None:
    done = ask(live, "POST", f"{DEMO}/apply", {"proposal": first(live)})
    assert (done.status, done.json["kind"]) == (202, "move_shards")
    assert done.headers["Location"] == "/v1/clusters/demo/operations"
    stale = ask(live, "POST", f"{DEMO}/apply", {"proposal": "0" * 12})
    assert (stale.status, stale.json["error"]["faults"][0]["rule"]) == (409, "proposal_is_current")
    assert ask(live, "POST", f"{DEMO}/apply", {"proposal": "x"}).faults.keys() == {"proposal"}


def test_the_page_asks_before_it_moves(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/demo/hotspots").text
    assert "logs-1[0]" in page and page.count("<form method=\"post\" action=\"/clusters/demo/hot"
                                              ) == 1, "only the first builds on what is"
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    fields = {"dimension": "store_mb", "proposal": first(live)}
    asked = post_form(live, "/clusters/demo/hotspots", "/clusters/demo/hotspots/apply", fields)
    assert asked.status == 200 and "Move shards of demo?" in asked.text
    assert live.service.fakes["demo"].operations == []
    done = post_form(live, "/clusters/demo/hotspots", "/clusters/demo/hotspots/apply",
                     fields | {"sure": "yes"})
    assert (done.status, done.headers["Location"]) == (303, "/clusters/demo/operate?notice=asked")
    [begun] = live.service.fakes["demo"].operations
    assert isinstance(begun, OperationView) and begun.kind == "move_shards"
    assert "Move shards" in ask(live, "GET", "/clusters/demo/operate").text
    stale = post_form(live, "/clusters/demo/hotspots", "/clusters/demo/hotspots/apply",
                      fields | {"sure": "yes", "proposal": "0" * 12})
    assert stale.status == 409 and "proposal_is_current" in stale.text


def test_a_cluster_that_nobody_sees_says_so(live: LiveApp) -> None:
    live.service.unseen = frozenset({"demo"})
    page = ask(live, "GET", "/clusters/demo/hotspots")
    assert page.status == 503 and "shards cannot be looked at now" in page.text
    assert ask(live, "GET", DEMO).status == 503


def test_hosts_are_told_with_the_nodes_that_could_leave(live: LiveApp) -> None:
    report = ask(live, "GET", "/v1/hotspots").json
    assert [one["name"] for one in report["spreads"][0]["outliers"]] == ["agent-1"]
    assert report["moves"]["cpu_percent"][0]["target"] == "agent-3"
    page = ask(live, "GET", "/hotspots").text
    assert "agent-1" in page and "Which node could leave" in page


@pytest.mark.parametrize(("arguments", "shown"), [
    (("show", "demo"), "logs-1[0] node-0 -> node-1"), (("hosts",), "agent-3"),
    (("apply", "demo", "PROPOSAL"), "move_shards is waiting")])
def test_the_command_line(live: LiveApp, arguments: tuple[str, ...], shown: str) -> None:
    given = [first(live) if one == "PROPOSAL" else one for one in arguments]
    done = CliRunner().invoke(main, ["hotspots", *given],
                              env={"ESAAS_URL": live.url, "COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert shown in done.output
