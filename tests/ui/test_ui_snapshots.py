"""Snapshots by API, command line and page."""
from __future__ import annotations

import re

from asking import ask, post_form
from click.testing import CliRunner
from esaas.framework.cli import main
from live_app import LiveApp

LOGS = "/v1/clusters/logs/snapshots"
PAGE = "/clusters/logs/snapshots"


def test_it_is_told_what_there_is_and_what_holds_the_next_one(live: LiveApp) -> None:
    found = ask(live, "GET", LOGS).json
    assert found["repository"]["settings"] == {"location": "/mnt/logs"}
    assert [(one["name"], one["status"]) for one in found["listed"]] == [
        ("esaas-uid1-2", "SUCCESS"), ("esaas-uid1-1", "PARTIAL")]
    assert found["held_by"].startswith("no_restart_under_way: ")
    assert ask(live, "GET", "/v1/clusters/none/snapshots").status == 404


def test_the_page_says_that_none_are_made(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/demo/snapshots").text
    assert "No snapshots of this cluster are made" in page and "Make one now" not in page


def test_one_click_makes_one_drills_and_restores(live: LiveApp) -> None:
    page = ask(live, "GET", PAGE).text
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert "no_restart_under_way" in page and 'value="esaas-uid1-2"' in page
    for fields, kind, parameters in (
            ({"kind": "snapshot"}, "snapshot", {}),
            ({"kind": "restore_drill"}, "restore_drill", {}),
            ({"kind": "restore", "snapshot": "esaas-uid1-1", "index": "notes", "prefix": "",
              "from_cluster": ""}, "restore", {"snapshot": "esaas-uid1-1", "index": "notes"})):
        done = post_form(live, PAGE, f"{PAGE}/run", fields)
        assert (done.status, done.headers["Location"]) == (303, PAGE)
        begun = live.service.fakes["logs"].operations[0]
        assert (begun.kind, dict(begun.parameters)) == (kind, parameters)
    assert post_form(live, PAGE, f"{PAGE}/run", {"kind": "flush"}).status == 404
    assert ask(live, "GET", f"{PAGE}/run").status == 303


def test_the_command_line_lists_them(live: LiveApp) -> None:
    run = CliRunner().invoke(main, ["--url", live.url, "cluster", "snapshots", "logs"])
    assert run.exit_code == 0, run.output
    assert "esaas-uid1-2" in run.output and "no_restart_under_way" in run.output
