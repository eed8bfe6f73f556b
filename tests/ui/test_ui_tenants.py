"""Tenants by API, command line and page: who sees and sets them, and what a quota refuses."""
from __future__ import annotations

import json
import re
from typing import Any

import pytest
from asking import ask, post_form
from click.testing import CliRunner
from esaas.framework.cli import main
from live_app import LiveApp
from people import ADMIN, Browser, add_user, bearer
from shell import esaas

SPEC: dict[str, Any] = {
    "name": "more", "tenant": "flights", "version": "6.8.23",
    "groups": [{"name": "node", "count": 3, "cpus": 2.0, "mem_mb": 2048, "disk_mb": 10240}]}


def wanted(live: LiveApp, tenant: str = "flights") -> float:
    """CPUs that its clusters reserve at most."""
    found: float = ask(live, "GET", f"/v1/tenants/{tenant}").json["wanted"]["cpus"]
    return found


# ------------------------------------------------------------------------------ API


def test_a_quota_is_set_shown_and_removed(live: LiveApp) -> None:
    cpus = wanted(live)
    body = {"limit": {"cpus": cpus + 1}, "owner": "Ada", "contacts": ["ada@example.org"]}
    got = ask(live, "PUT", "/v1/tenants/flights", body)
    assert (got.status, got.json["standing"]) == (200, "applied")
    shown = ask(live, "GET", "/v1/tenants/flights").json
    assert shown["limit"] == {"cpus": cpus + 1, "mem_mb": None, "disk_mb": None}
    assert shown["owner"] == "Ada" and shown["clusters"]
    names = [one["name"] for one in ask(live, "GET", "/v1/tenants").json]
    assert "flights" in names and names == sorted(names)
    gone = ask(live, "DELETE", "/v1/tenants/flights", headers={"Content-Type": "application/json"})
    assert gone.status == 200 and not gone.json["has_quota"]
    assert ask(live, "DELETE", "/v1/tenants/flights", headers={
        "Content-Type": "application/json"}).status == 404
    assert ask(live, "GET", "/v1/tenants/nobody").status == 404


def test_bad_requests_change_nothing(live: LiveApp) -> None:
    got = ask(live, "PUT", "/v1/tenants/flights", {
        "limit": {"cpus": -1, "gpus": 1}, "guarantee": {"mem_mb": "x"}, "owner": 7})
    assert got.status == 422
    assert {"limit.cpus", "limit.gpus", "guarantee.mem_mb", "owner"} <= got.faults.keys()
    assert ask(live, "PUT", "/v1/tenants/flights", []).status == 400
    assert ask(live, "PUT", "/v1/tenants/Up%2Fper", {}).status == 422
    low = ask(live, "PUT", "/v1/tenants/flights", {"limit": {"cpus": 0.5}})
    assert low.status == 422 and "wanted by clusters that are there > limit 0.5" in (
        low.faults["limit.cpus"])
    assert live.service.records == {}


def test_a_request_beyond_the_quota_has_the_arithmetic_dry_run_or_not(live: LiveApp) -> None:
    cpus = wanted(live)
    ask(live, "PUT", "/v1/tenants/flights", {"limit": {"cpus": cpus + 8}})
    for query in ("?dry_run=true", ""):
        got = ask(live, "POST", f"/v1/clusters{query}", SPEC)
        assert got.status == 422, got.text
        fault = got.json["error"]["faults"][0]
        assert fault["rule"] == "tenant_quota" and fault["path"] == "groups"
        assert re.fullmatch(r"cpus: \S+ used by \d clusters? \+ 8\.4 asked for = \S+ > limit \S+ "
                            "of tenant flights", fault["message"])
    assert ask(live, "GET", "/v1/clusters/more").status == 404


def test_users_of_a_tenant_see_it_alone_and_set_nothing(guarded: LiveApp) -> None:
    operator, viewer = bearer(guarded, "operator", "flights"), bearer(guarded, "viewer", "flights")
    assert len(ask(guarded, "GET", "/v1/tenants", headers=ADMIN).json) > 1
    for who in (operator, viewer):
        seen = ask(guarded, "GET", "/v1/tenants", headers=who)
        assert [one["name"] for one in seen.json] == ["flights"]
        assert ask(guarded, "GET", "/v1/tenants/flights", headers=who).status == 200
        for other in ("hotels", "nobody"):      # whether it exists is not told
            assert ask(guarded, "GET", f"/v1/tenants/{other}", headers=who).status == 403
        assert ask(guarded, "PUT", "/v1/tenants/flights", {}, who).status == 403
        assert ask(guarded, "DELETE", "/v1/tenants/flights", headers=who).status == 403
    assert ask(guarded, "GET", "/v1/tenants").status == 401
    assert guarded.service.records == {}


def test_only_an_admin_goes_past_a_quota(guarded: LiveApp) -> None:
    operator = bearer(guarded, "operator", "flights")
    ask(guarded, "PUT", "/v1/tenants/flights", {"limit": {"cpus": 1}, "force": True}, ADMIN)
    path = "/v1/clusters?override=tenant_quota"
    refused = ask(guarded, "POST", path, SPEC, operator)
    assert refused.status == 403 and "only an admin" in refused.text
    assert ask(guarded, "POST", "/v1/clusters", SPEC, operator).status == 422
    assert ask(guarded, "POST", path, SPEC, ADMIN).status == 202


# --------------------------------------------------------------------- command line


def test_the_command_line_sets_a_part_and_keeps_the_rest(live: LiveApp) -> None:
    done = esaas(live, "tenant", "set", "acme", "--limit", "cpus=16", "--limit", "mem_mb=65536",
                 "--cluster-limit", "cpus=8", "--limit-of", "logs:cpus=4", "--owner", "Ada",
                 "--contact", "a@example.org")
    assert done.exit_code == 0, done.output
    done = esaas(live, "tenant", "set", "acme", "--limit", "cpus=none", "--limit-of", "big:cpus=9",
                 "--guarantee", "cpus=2", "--json")
    found = json.loads(done.stdout)
    assert found["limit"] == {"cpus": None, "mem_mb": 65536, "disk_mb": None}
    assert found["guarantee"]["cpus"] == 2 and found["owner"] == "Ada"
    assert {name: limit["cpus"] for name, limit in found["cluster_limits"].items()} == {
        "logs": 4, "big": 9}
    assert "logs" not in json.loads(esaas(
        live, "tenant", "set", "acme", "--limit-of", "logs:none", "--json").stdout)[
        "cluster_limits"]


def test_the_command_line_shows_and_removes(live: LiveApp) -> None:
    esaas(live, "tenant", "set", "flights", "--limit", "cpus=90", "--owner", "[Ada]")
    listed = esaas(live, "tenant", "list")
    assert listed.exit_code == 0 and "flights" in listed.stdout and "90" in listed.stdout
    shown = esaas(live, "tenant", "show", "flights")
    assert "[Ada]" in shown.stdout and "wanted" in shown.stdout
    assert esaas(live, "tenant", "remove", "flights", text="n\n").exit_code == 1
    assert "flights" in live.service.records
    assert esaas(live, "tenant", "remove", "flights", "--yes").exit_code == 0
    assert live.service.records == {}


@pytest.mark.parametrize("option", ["cpus", "gpus=1", "cpus=many", "=4"])
def test_the_command_line_refuses_what_is_no_amount(live: LiveApp, option: str) -> None:
    refused = esaas(live, "tenant", "set", "acme", "--limit", option)
    assert refused.exit_code == 2 and live.service.records == {}


def test_the_command_line_tells_the_arithmetic(live: LiveApp) -> None:
    esaas(live, "tenant", "set", "flights", "--limit", "cpus=1", "--force")
    refused = CliRunner().invoke(main, ["cluster", "create", "-f", "-"], input=json.dumps(SPEC),
                                 env={"ESAAS_URL": live.url})
    assert refused.exit_code == 1
    assert "asked for =" in refused.stderr and "[tenant_quota]" in refused.stderr


# ----------------------------------------------------------------------------- page


def test_an_admin_sets_and_removes_a_quota_on_the_page(live: LiveApp) -> None:
    fields = {"tenant": "acme", "display_name": "Acme & Co", "owner": "Ada", "contacts": "a, b",
              "limit_cpus": "16", "cluster_limit_mem_mb": "4096",
              "clusters": "logs cpus=4\n\n:\nbig: mem_mb=9000"}
    done = post_form(live, "/tenants", "/tenants", fields)
    assert (done.status, done.headers["Location"]) == (303, "/tenants?notice=set")
    record = live.service.records["acme"]
    assert (record.limit.cpus, record.cluster_limit.mem_mb, record.contacts) == (
        16, 4096, ("a", "b"))
    assert (record.clusters["logs"].cpus, record.clusters["big"].mem_mb) == (4, 9000)
    page = ask(live, "GET", "/tenants").text
    assert "Acme &amp; Co" in page and 'value="16"' in page and "logs cpus=4" in page
    asked = post_form(live, "/tenants", "/tenants/acme/remove", {})
    assert asked.status == 200 and "acme" in live.service.records
    post_form(live, "/tenants", "/tenants/acme/remove", {"sure": "yes"})
    assert live.service.records == {}


def test_a_refused_form_keeps_what_was_typed(live: LiveApp) -> None:
    got = post_form(live, "/tenants", "/tenants", {
        "tenant": "flights", "limit_cpus": "many", "owner": "<Ada>", "clusters": "logs gpus=1"})
    assert got.status == 422 and "is no number" in got.text
    assert 'value="many"' in got.text and "&lt;Ada&gt;" in got.text and "logs gpus=1" in got.text
    low = post_form(live, "/tenants", "/tenants", {"tenant": "flights", "limit_cpus": "0.5"})
    assert low.status == 422 and "limit_covers_use" in low.text
    new = post_form(live, "/tenants", "/tenants", {"tenant": "No Name", "limit_cpus": "1"})
    assert new.status == 422 and 'value="No Name"' in new.text
    assert live.service.records == {}


def test_the_page_shows_a_master_that_does_not_answer(live: LiveApp) -> None:
    live.service.away = "the master does not answer: <refused>"
    ask(live, "PUT", "/v1/tenants/flights", {"limit": {"cpus": 90}})
    page = ask(live, "GET", "/tenants").text
    assert "not on the master yet" in page and "&lt;refused&gt;" in page
    assert ask(live, "GET", "/tenants/flights/remove").status == 303


def test_the_page_shows_users_their_own_tenant_and_no_form(guarded: LiveApp) -> None:
    add_user(guarded, "olga", "operator", "flights")
    browser = Browser(guarded)
    browser.log_in("olga")
    page = browser.get("/tenants")
    assert page.status == 200 and 'id="tenant-flights"' in page.text
    assert 'id="tenant-hotels"' not in page.text and 'name="limit_cpus"' not in page.text
    got = browser.post("/", "/tenants", {"tenant": "flights", "limit_cpus": "1"})
    assert got.status == 403 and guarded.service.records == {}


def test_a_spec_beyond_the_quota_is_explained_on_the_page_and_an_admin_may_go_past(
        live: LiveApp) -> None:
    ask(live, "PUT", "/v1/tenants/flights", {"limit": {"cpus": 1}, "force": True})
    got = post_form(live, "/new", "/new", {"spec": json.dumps(SPEC)})
    assert got.status == 422 and "asked for =" in got.text and "tenant_quota" in got.text
    assert 'name="override" value="tenant_quota"' in got.text
    done = post_form(live, "/new", "/new", {"spec": json.dumps(SPEC), "override": "tenant_quota"})
    assert done.status == 303 and "more" in live.service.fakes
