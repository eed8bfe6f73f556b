"""The pages: every state is shown, forms keep what was typed, nothing gets in by a name."""
from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from asking import ask, post_form
from esaas.framework.client import EXAMPLE_SPEC
from esaas.ui import present
from live_app import LiveApp
from standin_service import Fake, StandInService, node_of, spec_of

EVERY = ("demo", "orders-search", "logs", "archive", "fresh", "leaving")
EVIL = '<script>alert("x")</script>'


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("tail", ["", "/fragment"])
def test_every_state_is_shown(live: LiveApp, name: str, tail: str) -> None:
    page = ask(live, "GET", f"/clusters/{name}{tail}")
    assert page.status == 200
    detail = live.service.show(name)
    assert detail.summary in page.text
    for node in detail.nodes:
        assert f'id="node-{node.name}"' in page.text
    assert ("<html" in page.text) is (tail == "")


def test_what_holds_is_named(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/logs").text
    assert "no_restart_while_relocating" in page
    assert "another node is still joining" in page


def test_declined_offers_are_explained(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/fresh").text
    assert "mem 900 MB of 2048 MB wanted" in page
    assert "FAIL resources" in page


def test_the_list_and_its_filter(live: LiveApp) -> None:
    page = ask(live, "GET", "/").text
    assert all(f'href="/clusters/{name}"' in page for name in EVERY)
    filtered = ask(live, "GET", "/?tenant=hotels").text
    assert 'href="/clusters/logs"' in filtered
    assert 'href="/clusters/demo"' not in filtered
    assert "This tenant has no cluster" in ask(live, "GET", "/?tenant=none").text


def test_the_empty_list_tells_how_to_begin() -> None:
    app = LiveApp(StandInService([]))
    try:
        page = ask(app, "GET", "/").text
        assert "Create the first cluster" in page
        assert "esaas cluster create" in page
    finally:
        app.close()


def test_no_inline_script_or_style(live: LiveApp) -> None:
    for path in ("/", "/new", "/clusters/orders-search", "/nothing"):
        page = ask(live, "GET", path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", page)
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
        assert "//cdn" not in page


def test_names_from_outside_are_escaped() -> None:
    fake = Fake(spec_of("demo", "t", description=EVIL), [
        node_of("node-0", "down", 0, detail=EVIL, host=EVIL, rack=EVIL)], "red", held=EVIL)
    app = LiveApp(StandInService([fake]))
    try:
        app.call(lambda: app.service.emit("demo", EVIL, EVIL))
        for path in ("/", "/clusters/demo", "/clusters/demo/fragment", f"/?tenant={EVIL}",
                     "/clusters/%3Cscript%3E", f"/clusters/demo?notice={EVIL}"):
            assert "<script>" not in ask(app, "GET", path.replace('"', "%22")).text
    finally:
        app.close()


def test_error_pages_are_for_people(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/none")
    assert page.status == 404
    assert "no cluster is named none" in page.text
    assert "All clusters" in page.text
    assert ask(live, "POST", "/nothing", b"").status == 404
    assert ask(live, "PUT", "/new", b"").status == 405
    assert ask(live, "GET", "/clusters").headers["Location"] == "/"


def test_scale_by_form(live: LiveApp) -> None:
    done = post_form(live, "/clusters/demo", "/clusters/demo/scale",
                     {"group": "node", "count": "4"})
    assert (done.status, done.headers["Location"]) == (303, "/clusters/demo?notice=scaled")
    assert "was taken" in ask(live, "GET", done.headers["Location"]).text
    same = post_form(live, "/clusters/demo", "/clusters/demo/scale",
                     {"group": "node", "count": "4"})
    assert same.headers["Location"] == "/clusters/demo?notice=same"


@pytest.mark.parametrize(("count", "status", "rule"), [
    ("2", 409, "no_shrink_without_drain"), ("a few", 422, "whole number"), ("", 422, "whole"),
    ("-1", 422, "whole number"), ("٣", 422, "whole number"), ("5000", 422, "less than or equal")])
def test_a_refused_scale_stays_in_place(live: LiveApp, count: str, status: int,
                                        rule: str) -> None:
    got = post_form(live, "/clusters/demo", "/clusters/demo/scale",
                    {"group": "node", "count": count})
    assert got.status == status
    assert rule in got.text
    assert f'value="{count}" aria-invalid="true"' in got.text
    assert 'aria-describedby="count-node-error"' in got.text
    assert 'id="count-node-error"' in got.text


def test_delete_by_form(live: LiveApp) -> None:
    wrong = post_form(live, "/clusters/demo", "/clusters/demo/delete", {"confirm": "dmeo"})
    assert wrong.status == 422
    assert 'value="dmeo" aria-invalid="true"' in wrong.text
    right = post_form(live, "/clusters/demo", "/clusters/demo/delete", {"confirm": "demo"})
    assert right.status == 303
    assert live.service.show("demo").goal == "delete"
    assert "being deleted" in ask(live, "GET", "/clusters/demo").text


def test_create_by_form(live: LiveApp) -> None:
    assert "name: logs" in ask(live, "GET", "/new").text
    text = EXAMPLE_SPEC.replace("name: logs", "name: fourth")
    check = post_form(live, "/new", "/new", {"spec": text, "dry_run": "1"})
    assert check.status == 200
    assert "This spec is sound" in check.text
    assert ask(live, "GET", "/clusters/fourth").status == 404
    done = post_form(live, "/new", "/new", {"spec": text})
    assert done.headers["Location"] == "/clusters/fourth?notice=created"


def test_a_refused_spec_is_never_lost(live: LiveApp) -> None:
    text = f"name: Wrong!\r\ntenant: t\r\nversion: 1.0.0\r\ndescription: 'é {EVIL}'\r\n"
    got = post_form(live, "/new", "/new", {"spec": text})
    assert got.status == 422
    for path in ("name", "version", "groups"):
        assert f"<code>{path}</code>" in got.text
    assert "é &lt;script&gt;" in got.text
    broken = post_form(live, "/new", "/new", {"spec": "a: ["})
    assert broken.status == 400
    assert "a: [</textarea>" in broken.text
    leading = post_form(live, "/new", "/new", {"spec": "\n\nname: ["})
    assert '>\n\n\nname: [</textarea>' in leading.text


@pytest.mark.parametrize("fields", [{}, {"_xsrf": "2|00000000|00000000|1"}])
def test_forms_without_the_token_are_refused(live: LiveApp, fields: dict[str, str]) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"group": "node", "count": "9", "confirm": "demo", **fields}).encode()
    for path in ("/clusters/demo/scale", "/clusters/demo/delete", "/new"):
        assert ask(live, "POST", path, body, kind).status == 403
    assert live.service.show("demo").nodes_wanted == 3


def test_forms_of_other_sites_are_refused(live: LiveApp) -> None:
    got = post_form(live, "/clusters/demo", "/clusters/demo/scale",
                    {"group": "node", "count": "9"}, Origin="http://evil.example")
    assert got.status == 403


def test_the_cookie_is_closed(live: LiveApp) -> None:
    cookie = ask(live, "GET", "/new").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


@pytest.mark.parametrize(("value", "shown"), [
    (None, "–"), (0, "0 MB"), (512, "512 MB"), (1536, "1.5 GB"), (10240, "10 GB"),
    (512_000, "500 GB"), (3 * 1024 * 1024, "3 TB"), (4000 * 1024 * 1024, "4,000 TB")])
def test_sizes(value: float | None, shown: str) -> None:
    assert present.megabytes(value) == shown


@pytest.mark.parametrize(("seconds", "shown"), [
    (0, "just now"), (7, "7 s ago"), (90, "1 min ago"), (7200, "2 h ago"), (86400, "1 day ago"),
    (200000, "2 days ago"), (-50, "just now")])
def test_moments(seconds: float, shown: str) -> None:
    assert present.ago(1000.0, 1000.0 + seconds) == shown


def test_nodes_sort_as_people_count() -> None:
    racks, waiting = present.by_rack([node_of(f"data-{i}", "planned", i) for i in (10, 9, 1)])
    assert racks == []
    assert [node.name for node in waiting] == ["data-1", "data-9", "data-10"]
