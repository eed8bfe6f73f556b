"""Alerts by API, command line and page: who sees, acknowledges and silences them."""
from __future__ import annotations

import json
from typing import Any

from asking import ask
from live_app import LiveApp
from people import Browser, bearer
from shell import esaas

SILENCE = {"rule": "node_*", "lasts_s": 600, "why": "disks change"}


def red(live: LiveApp) -> dict[str, Any]:
    """The alert that a cluster is red."""
    found: dict[str, Any] = ask(live, "GET", "/v1/alerts?rule=cluster_red").json[0]
    return found


def test_alerts_are_listed_filtered_and_shown(live: LiveApp) -> None:
    found = ask(live, "GET", "/v1/alerts").json
    assert {one["status"] for one in found} == {"firing", "pending", "inhibited"}
    assert {one["rule"] for one in ask(live, "GET", "/v1/alerts?status=firing").json} == {
        "cluster_red", "agent_lost"}
    assert ask(live, "GET", f"/v1/alerts/{red(live)['id']}").json == red(live)
    assert ask(live, "GET", "/v1/alerts/nothing").status == 404
    assert ask(live, "GET", "/v1/alerts?status=loud").status in (400, 422)
    assert [one["event"] for one in ask(live, "GET", "/v1/alerts/history").json] == ["firing"]
    assert ask(live, "GET", "/v1/alerts/history?since=9999999999").json == []


def test_an_alert_is_acknowledged_by_name(live: LiveApp) -> None:
    ident = red(live)["id"]
    got = ask(live, "POST", f"/v1/alerts/{ident}/ack", {"comment": "on it"})
    assert got.status == 200 and got.json["ack"]["comment"] == "on it"
    assert ask(live, "POST", "/v1/alerts/nothing/ack", {}).status == 404
    assert ask(live, "POST", f"/v1/alerts/{ident}/ack", {"odd": 1}).status in (400, 422)


def test_a_silence_is_made_listed_and_ended(live: LiveApp) -> None:
    made = ask(live, "POST", "/v1/silences", SILENCE)
    assert made.status == 201 and made.json["rule"] == "node_*"
    assert ask(live, "GET", "/v1/silences").json == [made.json]
    bad = ask(live, "POST", "/v1/silences", {"rule": "x", "lasts_s": 0})
    assert bad.status == 422 and {one["path"] for one in bad.json["error"]["faults"]} == {
        "lasts_s", "why"}
    path = f"/v1/silences/{made.json['id']}"
    headers = {"Content-Type": "application/json"}
    assert ask(live, "DELETE", path, headers=headers).json == []
    assert ask(live, "DELETE", path, headers=headers).status == 404


def test_a_test_tells_what_each_sink_said(live: LiveApp) -> None:
    got = ask(live, "POST", "/v1/alerts/test", {})
    assert [one["ok"] for one in got.json] == [True, False]


def test_others_see_nothing_of_a_tenant_and_silence_nothing_beyond_their_own(
        guarded: LiveApp) -> None:
    name = red_cluster(guarded)
    tenant = guarded.service.owner(name).tenant
    mine, looks = bearer(guarded, "operator", tenant), bearer(guarded, "viewer", tenant)
    other = bearer(guarded, "operator", "nobody")
    rules = {one["rule"] for one in ask(guarded, "GET", "/v1/alerts", headers=mine).json}
    assert "cluster_red" in rules and "agent_lost" not in rules, "the platform is not a tenant's"
    assert ask(guarded, "GET", "/v1/alerts", headers=other).json == []
    assert ask(guarded, "GET", "/v1/alerts/history", headers=other).json == []
    ident = next(one.id for one in guarded.service.alert_list if one.rule == "cluster_red")
    for who, status in ((other, 404), (looks, 403), (mine, 200)):
        assert ask(guarded, "POST", f"/v1/alerts/{ident}/ack", {}, headers=who).status == status
    assert ask(guarded, "POST", "/v1/silences", SILENCE, headers=mine).status == 403
    assert ask(guarded, "POST", "/v1/silences", SILENCE | {"cluster": name},
               headers=mine).status == 201
    assert ask(guarded, "GET", "/v1/silences", headers=other).json == []
    assert ask(guarded, "POST", "/v1/alerts/test", {}, headers=mine).status == 403


def red_cluster(live: LiveApp) -> str:
    """The cluster of the example."""
    return str(next(one.cluster for one in live.service.alert_list if one.cluster))


def test_the_commands(live: LiveApp) -> None:
    listed = esaas(live, "alert", "list")
    assert listed.exit_code == 0 and "cluster_red" in listed.output
    ident = red(live)["id"]
    shown = esaas(live, "alert", "show", ident)
    assert "docs/runbooks.md#cluster_red" in shown.output
    assert "acknowledged" in esaas(live, "alert", "ack", ident, "--comment", "mine").output
    added = esaas(live, "alert", "silence", "add", "--rule", "gc_*", "--for", "2h", "--why", "w",
                  "--json")
    made = json.loads(added.output)
    assert made["rule"] == "gc_*"
    assert made["id"] in esaas(live, "alert", "silence", "list").output
    assert esaas(live, "alert", "silence", "remove", made["id"]).exit_code == 0
    assert "cluster_red" in esaas(live, "alert", "history").output
    tested = esaas(live, "alert", "test")
    assert tested.exit_code == 1 and "HTTP 503" in tested.output
    assert esaas(live, "alert", "silence", "add", "--for", "soon", "--why", "w").exit_code == 2


def test_the_page_acknowledges_and_silences(live: LiveApp) -> None:
    browser, ident = Browser(live), red(live)["id"]
    page = browser.get("/alerts").text
    assert "Cluster red" in page and "docs/runbooks.md#cluster_red" in page
    done = browser.post("/alerts", f"/alerts/{ident}/ack", {"comment": "on it"})
    assert done.status == 303 and "on it" in browser.get("/alerts").text
    bad = browser.post("/alerts", "/silences", {"rule": "gc_*", "lasts": "soon", "why": "x"})
    assert bad.status == 422 and 'value="gc_*"' in bad.text
    good = browser.post("/alerts", "/silences", {"rule": "gc_*", "lasts": "2h", "why": "<b>x"})
    assert good.status == 303
    page = browser.get("/alerts?notice=silenced").text
    assert "rule=gc_*" in page and "&lt;b&gt;x" in page
    made = ask(live, "GET", "/v1/silences").json[0]["id"]
    assert browser.post("/alerts", f"/silences/{made}/end", {}).status == 303
    assert ask(live, "GET", "/v1/silences").json == []


def test_clusters_wear_a_badge(live: LiveApp) -> None:
    name = red_cluster(live)
    assert 'class="badge bad" href="/alerts"' in ask(live, "GET", "/").text
    assert 'class="badge bad" href="/alerts"' in ask(live, "GET", f"/clusters/{name}").text
