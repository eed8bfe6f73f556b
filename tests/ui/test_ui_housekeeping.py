"""Housekeeping by API, command line and page."""
from __future__ import annotations

import re

from asking import ask
from click.testing import CliRunner
from esaas.framework.cli import main
from live_app import LiveApp

DEMO = "/v1/clusters/demo/housekeeping"


def test_a_report_says_what_each_policy_sees_does_and_waits_for(live: LiveApp) -> None:
    report = ask(live, "GET", DEMO).json
    by = {one["policy"]: one for one in report["policies"]}
    assert list(by) == ["merge", "rollover", "delete", "replicas", "unblock", "guards", "caches"]
    assert [act["target"] for act in by["merge"]["acts"]] == ["logs-000001"]
    assert by["merge"]["held_by"].startswith("cluster_formed: ")
    assert by["merge"]["last"]["kind"] == "merge_idle"
    assert by["delete"]["advises"] and by["delete"]["acts_not_because"] == "dry_run is true"
    assert by["delete"]["acts"][0]["target"] == "logs-000001"
    assert by["delete"]["leaves"] == [{"target": "logs-000002", "why": "logs writes into it"}]
    assert by["guards"]["leaves"][0]["why"] == "index.max_result_window is 50000, at most 10000"
    assert ask(live, "GET", "/v1/clusters/logs/housekeeping").json["policies"] == []
    assert ask(live, "GET", "/v1/clusters/none/housekeeping").status == 404


def test_the_page_shows_the_same(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/demo/housekeeping").text
    for shown in ("Force merge of idle indices", "held by", "cluster_formed", "Would be done",
                  "Beyond a guard", "logs-000001", "dry_run is true", "merged none"):
        assert shown in page, shown
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert "/clusters/demo/housekeeping" in ask(live, "GET", "/clusters/demo").text
    assert "no policy" in ask(live, "GET", "/clusters/logs/housekeeping").text
    assert ask(live, "GET", "/clusters/none/housekeeping").status == 404


def test_a_cluster_that_nobody_sees_says_so(live: LiveApp) -> None:
    live.service.unseen = frozenset({"demo"})
    page = ask(live, "GET", "/clusters/demo/housekeeping")
    assert page.status == 503 and "indices cannot be looked at now" in page.text
    assert ask(live, "GET", DEMO).status == 503


def test_the_command_line(live: LiveApp) -> None:
    shown = {"demo": "logs writes into it", "logs": "The spec has no policy"}
    for name, text in shown.items():
        done = CliRunner().invoke(main, ["cluster", "housekeeping", name],
                                  env={"ESAAS_URL": live.url, "COLUMNS": "300"})
        assert done.exit_code == 0, done.output
        assert text in done.output


def test_advice_on_the_number_of_nodes_is_told_with_its_figures(live: LiveApp) -> None:
    [found] = ask(live, "GET", "/v1/clusters/demo/autoscale").json["groups"]
    assert found["advice"] == "out" and found["wanted"] == found["count"] + 1
    assert found["why"].startswith("disk 82 % used, above 75: ")
    assert found["held_by"].startswith("cluster_formed: "), "the stand-in never forms"
    assert found["last"]["by"] == "autoscale: act"
    page = ask(live, "GET", "/clusters/demo/housekeeping").text
    for shown in ("disk 82 % used, above 75", "cluster_formed", "quota_memory", "autoscale: act"):
        assert shown in page, shown
    assert ask(live, "GET", "/v1/clusters/logs/autoscale").json["groups"] == []
    assert ask(live, "GET", "/v1/clusters/none/autoscale").status == 404
    for name, text in {"demo": "disk 82 % used", "logs": "No group"}.items():
        done = CliRunner().invoke(main, ["cluster", "autoscale", name],
                                  env={"ESAAS_URL": live.url, "COLUMNS": "300"})
        assert done.exit_code == 0, done.output
        assert text in done.output
