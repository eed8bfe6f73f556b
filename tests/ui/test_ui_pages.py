"""The pages: every state is shown, forms keep what was typed, nothing gets in by a name."""
from __future__ import annotations

import html
import re
from urllib.parse import urlencode

import pytest
from asking import Got, ask, post_form
from esaas.framework.client import EXAMPLE_SPEC
from esaas.framework.core.errors import Fault
from esaas.ui import present
from live_app import LiveApp
from standin_service import Fake, StandInService, node_of, spec_of

EVERY = ("demo", "orders-search", "logs", "archive", "fresh", "leaving", "turning")
COPIES = "shrink_leaves_room_for_copies"
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
    for path in ("/", "/new", "/clusters/orders-search", "/clusters/orders-search/delivery",
                 "/nothing", "/clusters/demo/edit", "/clusters/turning/revisions?to=1"):
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
                     "/clusters/%3Cscript%3E", f"/clusters/demo?notice={EVIL}",
                     "/clusters/demo/edit", f"/clusters/demo/revisions?to={EVIL}",
                     "/clusters/demo/delivery", f"/new?template=small&name={EVIL}",
                     f"/clusters/demo/revisions?to=1&override={EVIL}"):
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
    ("9" * 5000, 422, "whole number"), ("a few", 422, "whole number"), ("", 422, "whole"),
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


def test_a_shrink_is_asked_about_and_told_truly(live: LiveApp) -> None:
    fields = {"group": "node", "count": "2"}
    page = ask(live, "GET", "/clusters/demo").text
    assert "drained first" in page
    assert "their volumes are destroyed" in page
    asked = post_form(live, "/clusters/demo", "/clusters/demo/scale", fields)
    assert asked.status == 200
    assert "Drain first, then stop and destroy the volumes of:" in asked.text
    assert "node-2" in asked.text
    assert 'name="sure" value="yes"' in asked.text
    assert live.service.show("demo").nodes_wanted == 3
    sure = post_form(live, "/clusters/demo", "/clusters/demo/scale", fields | {"sure": "yes"})
    assert sure.headers["Location"] == "/clusters/demo?notice=scaled"
    assert live.service.fakes["demo"].leaving == ["node-2"]


def test_a_rule_that_refuses_a_shrink_can_be_overridden(live: LiveApp) -> None:
    fields = {"group": "node", "count": "2"}
    refused = post_form(live, "/clusters/logs", "/clusters/logs/scale", fields)
    assert refused.status == 409
    box = f'type="checkbox" name="override" value="{COPIES}">'
    assert box in refused.text
    assert 'value="2" aria-invalid="true"' in refused.text
    assert live.service.show("logs").revision == 1
    asked = post_form(live, "/clusters/logs", "/clusters/logs/scale",
                      fields | {"override": COPIES})
    assert f'name="override" value="{COPIES}"' in asked.text
    done = post_form(live, "/clusters/logs", "/clusters/logs/scale",
                     fields | {"override": COPIES, "sure": "yes"})
    assert done.status == 303
    assert COPIES in live.service.log[-1].message


def edit(live: LiveApp, name: str, text: str, **fields: str) -> Got:
    """Post the configuration form of a cluster."""
    path = f"/clusters/{name}/edit"
    return post_form(live, path, path, {"spec": text, **fields})


def seal_of(page: Got) -> str:
    """What the preview on a page was made of; empty when there is nothing to apply."""
    found = re.search(r'name="previewed" value="(\w*)"', page.text)
    return found[1] if found else ""


def text_of(live: LiveApp, name: str, old: str = "", new: str = "") -> str:
    """The spec of a cluster as the page shows it, with something else in it."""
    text = present.spec_text(live.service.show(name).spec)
    assert old in text
    return text.replace(old, new, 1)


def test_configuration_is_previewed_then_applied(live: LiveApp) -> None:
    first = ask(live, "GET", "/clusters/demo/edit")
    assert "mem_mb: 2048" in first.text
    assert seal_of(first) == ""
    assert 'value="apply"' not in first.text
    text = text_of(live, "demo", "settings: {}", "settings: {a.b: 1}")
    preview = edit(live, "demo", text, go="preview")
    assert preview.status == 200
    assert "<code>groups.node.settings.a.b</code> <span>(none) -&gt; 1</span>" in preview.text
    assert "Restart, one at a time, in this order:" in preview.text
    assert "node-0, node-1, node-2" in preview.text
    assert html.escape(text) in preview.text
    assert live.service.show("demo").revision == 1
    done = edit(live, "demo", text, go="apply", previewed=seal_of(preview))
    assert done.headers["Location"] == "/clusters/demo?notice=updated"
    assert live.service.show("demo").revision == 2
    same = edit(live, "demo", text, go="preview")
    assert "is wanted like that already" in same.text
    assert 'value="apply"' not in same.text


@pytest.mark.parametrize("change", ["text", "revision", "none"])
def test_what_was_not_previewed_is_not_applied(live: LiveApp, change: str) -> None:
    text = text_of(live, "demo", "count: 3", "count: 5")
    seal = seal_of(edit(live, "demo", text, go="preview"))
    if change == "text":
        text = text.replace("count: 5", "count: 4")
    elif change == "revision":
        live.service.fakes["demo"].revision += 1
    else:
        seal = ""
    got = edit(live, "demo", text, go="apply", previewed=seal)
    assert got.status == 200
    assert "not what was previewed" in got.text
    assert html.escape(text) in got.text
    assert live.service.show("demo").nodes_wanted == 3
    assert edit(live, "demo", text, go="apply", previewed=seal_of(got)).status == 303


def test_refused_configurations_are_never_lost(live: LiveApp) -> None:
    for text, status, shown in (
            ("a: [", 400, "not YAML"), (f"name: '{EVIL}'", 422, "name_is_the_address"),
            (text_of(live, "demo", "name: demo", "name: logs"), 422, "name_is_the_address"),
            (text_of(live, "demo", "6.8.23", "6.8.22"), 409, "no_downgrade"),
            (text_of(live, "demo", "count: 3", "count: -3"), 422, "groups[0].count")):
        got = edit(live, "demo", text, go="apply", previewed="x")
        assert got.status == status
        assert shown in got.text
        assert f"{html.escape(text)}</textarea>" in got.text
        assert 'type="checkbox"' not in got.text, "what cannot be done cannot be overridden"
        assert seal_of(got) == ""
    assert edit(live, "leaving", text_of(live, "leaving"), go="preview").status == 409
    assert ask(live, "GET", "/clusters/none/edit").status == 404


def test_overriding_a_rule_is_explicit_and_previewed(live: LiveApp) -> None:
    text = text_of(live, "logs", "count: 3", "count: 2")
    refused = edit(live, "logs", text, go="preview")
    assert refused.status == 409
    assert f'type="checkbox" name="override" value="{COPIES}">' in refused.text
    assert "Warning:" in refused.text
    preview = edit(live, "logs", text, go="preview", override=COPIES)
    assert preview.status == 200
    assert f'name="override" value="{COPIES}" checked>' in preview.text
    seal = seal_of(preview)
    # Without the box it is another change than the one that was previewed.
    assert edit(live, "logs", text, go="apply", previewed=seal).status == 409
    assert live.service.show("logs").revision == 1
    assert edit(live, "logs", text, go="apply", previewed=seal, override=COPIES).status == 303
    assert COPIES in live.service.log[-1].message
    both = edit(live, "logs", text_of(live, "logs", "count: 2", "count: 3").replace(
        "6.8.23", "6.8.20").replace("hotels", "other"), go="preview")
    assert "can override one rule only" in both.text


def test_revisions_and_the_way_back(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/turning/revisions").text
    places = [page.index(f'id="revision-{number}"') for number in (3, 2, 1)]
    assert places == sorted(places)
    assert "<code>groups.node.count</code> <span>5 -&gt; 4</span>" in page
    assert "The first spec." in page
    assert page.count("Roll back to this") == 2
    preview = ask(live, "GET", "/clusters/turning/revisions?to=2")
    assert preview.status == 200
    assert "becomes revision" in preview.text
    assert "Start:" in preview.text
    assert live.service.show("turning").revision == 3
    form = {"revision": "2", "previewed": seal_of(preview)}
    done = post_form(live, "/clusters/turning", "/clusters/turning/rollback", form)
    assert done.headers["Location"] == "/clusters/turning?notice=rolled"
    assert live.service.show("turning").revision == 4
    stale = post_form(live, "/clusters/turning", "/clusters/turning/rollback", form | {
        "revision": "1"})
    assert "not what was previewed" in stale.text
    assert live.service.show("turning").revision == 4
    for wrong, status in (("9", 404), ("x", 422), ("9" * 5000, 422)):
        assert ask(live, "GET", f"/clusters/turning/revisions?to={wrong}").status == status
    assert "that already" in ask(live, "GET", "/clusters/turning/revisions?to=4").text


def test_a_refused_rollback_offers_the_override(live: LiveApp) -> None:
    logs = live.service.fakes["logs"]
    smaller = logs.spec.with_count("node", 2)
    logs.specs = {1: smaller, 2: logs.spec}
    logs.revision = 2
    refused = ask(live, "GET", "/clusters/logs/revisions?to=1")
    assert refused.status == 409
    assert f'name="override" value="{COPIES}">' in refused.text
    preview = ask(live, "GET", f"/clusters/logs/revisions?to=1&override={COPIES}")
    assert preview.status == 200
    done = post_form(live, "/clusters/logs", "/clusters/logs/rollback", {
        "revision": "1", "override": COPIES, "previewed": seal_of(preview)})
    assert done.status == 303
    assert COPIES in live.service.log[-1].message


@pytest.mark.parametrize(("node", "turned"), [
    ("", ["node-0", "node-1", "node-2"]), ("node-1", ["node-1"])])
def test_a_restart_is_asked_about(live: LiveApp, node: str, turned: list[str]) -> None:
    page, path = "/clusters/demo", "/clusters/demo/restart"
    asked = post_form(live, page, path, {"node": node})
    assert asked.status == 200
    assert "Restart" in asked.text
    assert f'name="node" value="{node}"' in asked.text
    assert live.service.fakes["demo"].restarting == []
    done = post_form(live, page, path, {"node": node, "sure": "yes"})
    assert done.headers["Location"] == "/clusters/demo?notice=restarting"
    assert live.service.fakes["demo"].restarting == turned
    assert post_form(live, page, path, {"node": "none", "sure": "yes"}).status == 404
    assert ask(live, "GET", path).status == 303


def test_pause_and_continue_by_button(live: LiveApp) -> None:
    page = "/clusters/turning"
    assert 'form="pause-form"' in ask(live, "GET", page).text
    assert 'form="continue-form"' not in ask(live, "GET", page).text
    done = post_form(live, page, f"{page}/pause", {})
    assert done.headers["Location"] == f"{page}?notice=paused"
    shown = ask(live, "GET", page).text
    assert "the change is paused" in shown
    assert 'form="pause-form"' not in shown
    assert post_form(live, page, f"{page}/continue", {}).headers["Location"].endswith(
        "notice=continued")
    assert post_form(live, page, f"{page}/continue", {}).headers["Location"].endswith("same")


def test_every_gate_of_a_step_under_way_is_shown(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/turning").text
    for phase in live.service.plan("turning").phases:
        for step in phase.steps:
            shown = page[page.index(f'id="step-{step.id}"'):].split("</li>")[0]
            if step.status in ("held", "running"):
                assert all(f"<code>{gate.name}</code>" in shown for gate in step.gates)
                assert all(gate.reason in shown for gate in step.gates)
    assert re.search(r"\d+ shards, \d+ MB left", page)


def test_a_cluster_that_goes_offers_no_change(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/leaving").text
    for text in ("/edit", "Restart cluster", 'form="pause-form"', "Restart<"):
        assert text not in page


def test_rules_that_can_be_overridden() -> None:
    unsafe, impossible = Fault("a", "b", COPIES), Fault("a", "b", "identity_is_fixed")
    assert present.overridable(409, [unsafe, unsafe], "") == COPIES
    for status, faults, over in ((422, [unsafe], ""), (409, [impossible], ""), (409, [], ""),
                                 (409, [unsafe, impossible], ""), (409, [unsafe], "other")):
        assert present.overridable(status, faults, over) == ""


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
    body = urlencode({"group": "node", "count": "9", "confirm": "demo", "sure": "yes",
                      "revision": "1", "spec": "a: 1", **fields}).encode()
    for tail in ("scale", "delete", "edit", "rollback", "restart", "pause", "continue"):
        assert ask(live, "POST", f"/clusters/demo/{tail}", body, kind).status == 403
    assert ask(live, "POST", "/new", body, kind).status == 403
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


def test_clusters_are_found_by_words_health_and_tenant(live: LiveApp) -> None:
    def found(query: str) -> set[str]:
        page = ask(live, "GET", f"/{query}").text
        return set(re.findall(r'<li id="cluster-([a-z-]+)"', page))
    everything = found("")
    assert found("?q=DEMO") == {"demo"} and len(everything) > 5
    assert found("?q=ready+held") < everything and found("?q=ready+held")
    green = found("?health=green")
    assert "demo" in green and "logs" not in green
    assert found("?health=green&tenant=flights") <= green
    assert found("?q=nothing+like+that") == set()
    page = ask(live, "GET", "/?q=nothing+like+that").text
    assert "No cluster is like that" in page and 'data-fragment="/fragment?q=nothing+like' in page
    assert "fullest disk 62 %" in ask(live, "GET", "/?q=demo").text.replace("\n", " ")
