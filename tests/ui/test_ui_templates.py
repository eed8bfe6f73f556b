"""Templates through every door: API, command line, and the page with its live check."""
from __future__ import annotations

import json

import yaml
from asking import ask, post_form
from esaas.framework.commands.frame import REFUSED
from esaas.framework.core.spec import parse_spec
from esaas.framework.core.templates import TEMPLATES
from live_app import LiveApp
from shell import run as esaas

ANSWERS = {"name": "fresh-one", "tenant": "hotels", "data_gb": 100}


def test_templates_are_listed(live: LiveApp) -> None:
    assert [one["name"] for one in ask(live, "GET", "/v1/templates").json] == list(TEMPLATES)
    assert all(name in esaas("spec", "templates").stdout for name in TEMPLATES)


def test_a_spec_from_a_template_is_sound_and_creates_nothing(live: LiveApp) -> None:
    query = "name=fresh-one&tenant=hotels&data_gb=100"
    for name in TEMPLATES:
        got = ask(live, "GET", f"/v1/templates/{name}?{query}")
        assert got.status == 200 and got.json["reasons"]
        assert parse_spec(got.json["spec"]).name == "fresh-one"
    assert "fresh-one" not in live.service.fakes


def test_a_cluster_from_a_template_by_one_request(live: LiveApp) -> None:
    path = "/v1/templates/search/clusters"
    dry = ask(live, "POST", f"{path}?dry_run=true", ANSWERS)
    assert dry.status == 200 and "fresh-one" not in live.service.fakes
    done = ask(live, "POST", path, ANSWERS)
    assert done.status == 202 and "fresh-one" in live.service.fakes


def test_faults_are_told_at_once(live: LiveApp) -> None:
    assert ask(live, "GET", "/v1/templates/huge?name=a&tenant=b").status == 404
    got = ask(live, "GET", "/v1/templates/small?name=A!&data_gb=-1")
    assert got.status == 422
    assert {fault["path"] for fault in got.json["error"]["faults"]} == {
        "name", "tenant", "data_gb"}
    much = ask(live, "POST", "/v1/templates/search/clusters", ANSWERS | {"data_gb": 1e6})
    assert much.status == 422 and much.json["error"]["faults"][0]["path"] == "data_gb"


def test_the_command_line(live: LiveApp) -> None:
    got = esaas("spec", "make", "hot-warm", "logs-2", "--tenant", "acme", "--data-gb", "4000")
    assert got.exit_code == 0
    assert parse_spec(yaml.safe_load(got.stdout)).name == "logs-2" and "watermark" in got.stderr
    as_json = json.loads(esaas("spec", "make", "small", "x", "--tenant", "y", "--json").stdout)
    assert set(as_json) == {"spec", "reasons"}
    assert esaas("spec", "make", "huge", "x", "--tenant", "y").exit_code == REFUSED
    wrong = esaas("spec", "make", "small", "X", "--tenant", "y", "--replicas", "0")
    assert wrong.exit_code == REFUSED and "replicas" in wrong.stderr and "name" in wrong.stderr
    made = esaas("cluster", "make", "small", "fresh-two", "--tenant", "hotels", url=live.url)
    assert made.exit_code == 0 and "fresh-two" in live.service.fakes


def test_the_page_makes_a_spec_and_says_why(live: LiveApp) -> None:
    page = ask(live, "GET", "/new?template=search&name=fresh-one&tenant=hotels&data_gb=100").text
    assert "name: fresh-one" in page and "watermark" in page and "heap of a node" in page
    wrong = ask(live, "GET", "/new?template=search&name=Wrong!&tenant=hotels&data_gb=100")
    assert wrong.status == 422
    assert 'id="template-error"' in wrong.text and 'value="Wrong!"' in wrong.text
    assert ask(live, "GET", "/new?template=none&name=a&tenant=b").status == 404


def test_a_text_is_checked_while_one_types(live: LiveApp) -> None:
    bad = post_form(live, "/new", "/new/check", {"spec": "name: 1\ncolour: red"})
    assert bad.status == 200 and "colour" in bad.text and "<html" not in bad.text
    sound = ask(live, "GET", "/v1/templates/small?name=fresh-one&tenant=hotels").json["spec"]
    good = post_form(live, "/new", "/new/check", {"spec": json.dumps(sound)})
    assert good.status == 200 and "This spec is sound" in good.text
    assert "fresh-one" not in live.service.fakes
