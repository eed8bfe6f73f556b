"""The pages for people on call: asked before it hurts, told what is risked, secrets never shown."""
from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from asking import Got, ask, post_form
from esaas.framework.service.views import Preview
from esaas.ui import present
from live_app import LiveApp
from standin_service import Fake, StandInService, node_of, spec_of

EVERY = ("demo", "orders-search", "logs", "archive", "fresh", "leaving", "turning", "trial",
         "stack")
EVIL = '<script>alert("x")</script>'
SECRET = "hunter2-very-secret"
PAGES = ("/clusters/demo/operate", "/clusters/stack/operate", "/clusters/trial/abandon",
         "/clusters/demo/replace?node=node-1", "/clusters/trial",
         "/clusters/turning/force?step=restart-node-0&gate=nothing_moves")


def post(live: LiveApp, name: str, tail: str, fields: dict[str, str] | None = None) -> Got:
    """Post a form of a cluster."""
    return post_form(live, f"/clusters/{name}", f"/clusters/{name}/{tail}", fields or {})


def section(page: str, ident: str, end: str = "</li>") -> str:
    """What stands under an id, up to an end."""
    return page[page.index(f'id="{ident}"'):].split(end)[0]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("tail", ["operate", "operate/fragment"])
def test_every_state_can_be_operated(live: LiveApp, name: str, tail: str) -> None:
    page = ask(live, "GET", f"/clusters/{name}/{tail}")
    assert page.status == 200
    assert ("<html" in page.text) is (tail == "operate")
    for part in ("operate-head", "switches", "operations", "secrets", "plugins"):
        assert page.text.count(f'id="live-{part}"') == 1
    if name == "leaving":
        assert "<button" not in page.text.split("<footer")[0]
    assert ask(live, "GET", "/clusters/none/operate").status == 404


@pytest.mark.parametrize("path", PAGES)
def test_no_inline_script_or_style(live: LiveApp, path: str) -> None:
    page = ask(live, "GET", path)
    assert page.status == 200
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.text)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page.text)


def test_names_from_outside_are_escaped() -> None:
    nodes = [node_of("node-0", "ready", 0, leaving=EVIL), node_of("node-1", "down", 1)]
    fake = Fake(spec_of("demo", "t"), nodes, "red", held=EVIL)
    fake.canary = EVIL
    app = LiveApp(StandInService([fake]))
    try:
        query = urlencode({"step": EVIL, "gate": EVIL, "node": EVIL, "override": EVIL})
        for path in ("/clusters/demo", "/clusters/demo/operate", "/", "/clusters/demo/fragment",
                     f"/clusters/demo/force?{query}", f"/clusters/demo/replace?{query}",
                     f"/clusters/demo/abandon?{query}", f"/clusters/demo/operate?notice={EVIL}"):
            assert "<script>" not in ask(app, "GET", path.replace('"', "%22")).text
        for tail, fields in (("switch", {"to": EVIL, "for": EVIL}), ("secrets", {"key": EVIL}),
                             ("plugins", {"plugin": EVIL}), ("run", {"kind": EVIL})):
            assert "<script>" not in post(app, "demo", tail, fields).text
    finally:
        app.close()


# ---- plan and nodes ---------------------------------------------------------------------------

def test_the_plan_offers_what_people_may_do(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/turning").text
    step = section(page, "step-restart-node-0")
    assert "/clusters/turning/force?step=restart-node-0&amp;gate=nothing_moves" in step
    assert step.count("/force?") == 1, "only the gate that holds can be forced"
    drain = section(page, "step-remove-node-4")
    assert "/force?" not in drain
    assert re.search(r'<progress max="[\d.]+" value="[\d.]+"', drain)
    assert "MB left" in drain
    assert 'form="step-form"' in section(ask(live, "GET", "/clusters/logs").text,
                                         "step-start-node-1")
    for text in ("/force?", 'form="step-form"', "/abandon"):
        assert text not in ask(live, "GET", "/clusters/leaving").text


def test_a_gate_is_forced_by_name(live: LiveApp) -> None:
    asked = ask(live, "GET", PAGES[-1])
    assert "What is risked:" in asked.text
    assert "Shards are on their way" in asked.text
    assert "3 shards are moving or being built" in asked.text
    fields = {"step": "restart-node-0", "gate": "nothing_moves"}
    wrong = post(live, "turning", "force", fields | {"confirm": "nothing"})
    assert wrong.status == 422
    assert 'value="nothing" aria-invalid="true"' in wrong.text
    assert not live.service.fakes["turning"].forced
    done = post(live, "turning", "force", fields | {"confirm": "nothing_moves"})
    assert done.headers["Location"] == "/clusters/turning?notice=forced"
    for query, status in (("step=none&gate=x", 404), ("step=restart-node-0&gate=x", 409),
                          ("step=remove-node-4&gate=drained", 409), ("", 404)):
        assert ask(live, "GET", f"/clusters/turning/force?{query}").status == status
    again = post(live, "turning", "force", fields | {"confirm": "nothing_moves"})
    assert again.status == 409


def test_a_step_begins_anew_when_somebody_is_sure(live: LiveApp) -> None:
    fields = {"step": "start-node-1"}
    asked = post(live, "logs", "restart-step", fields)
    assert (asked.status, "whatever back-off" in asked.text) == (200, True)
    done = post(live, "logs", "restart-step", fields | {"sure": "yes"})
    assert done.headers["Location"] == "/clusters/logs?notice=step"
    assert post(live, "logs", "restart-step", {"step": "none"}).status == 404
    assert post(live, "logs", "restart-step", {"step": "start-node-0", "sure": "y"}).status == 409


def test_a_canary_waits_for_people(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/trial").text
    banner = section(page, "canary", "</div>")
    assert "node-0" in banner
    assert 'form="continue-form">Let it go on' in banner
    assert "/clusters/trial/abandon" in banner
    assert "waits for you" in ask(live, "GET", "/").text
    post(live, "trial", "continue")
    assert 'id="canary"' not in ask(live, "GET", "/clusters/trial").text


def test_a_change_is_abandoned_as_it_was_previewed(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/trial/abandon")
    assert "Restart, one at a time" in page.text
    seal = re.search(r'name="previewed" value="(\w+)"', page.text)
    assert seal
    live.service.fakes["trial"].revision += 1
    live.service.fakes["trial"].specs[3] = live.service.fakes["trial"].spec
    stale = post(live, "trial", "abandon", {"previewed": seal[1]})
    assert "not what was previewed" in stale.text
    assert live.service.show("trial").revision == 3
    seal = re.search(r'name="previewed" value="(\w+)"', stale.text)
    assert seal
    done = post(live, "trial", "abandon", {"previewed": seal[1]})
    assert done.headers["Location"] == "/clusters/trial?notice=abandoned"
    nothing = ask(live, "GET", "/clusters/demo/abandon")
    assert "wanted like that already" in nothing.text
    assert 'class="danger"' not in nothing.text.split("<dialog")[0]
    live.service.fakes["demo"].settled = None
    assert ask(live, "GET", "/clusters/demo/abandon").status == 409
    assert post(live, "demo", "abandon").status == 409


def test_an_abandon_that_a_rule_refuses_can_be_overridden(live: LiveApp) -> None:
    logs, rule = live.service.fakes["logs"], "shrink_leaves_room_for_copies"
    logs.specs = {1: logs.spec.with_count("node", 2), 2: logs.spec}
    logs.revision = 2
    refused = ask(live, "GET", "/clusters/logs/abandon")
    assert refused.status == 409
    assert f'type="checkbox" name="override" value="{rule}"' in refused.text
    preview = post(live, "logs", "abandon", {"override": rule})
    assert "node-2" in section(preview.text, "preview", "</section>")
    seal = re.search(r'name="previewed" value="(\w+)"', preview.text)
    assert seal
    assert live.service.show("logs").revision == 2
    done = post(live, "logs", "abandon", {"override": rule, "previewed": seal[1]})
    assert done.status == 303
    assert rule in live.service.log[-1].message


def test_a_node_is_replaced_by_name_and_kept(live: LiveApp) -> None:
    asked = ask(live, "GET", "/clusters/demo/replace?node=node-1")
    assert "volume is destroyed" in asked.text
    assert "node-3" in section(asked.text, "preview", "</section>")
    wrong = post(live, "demo", "replace", {"node": "node-1", "confirm": "node-2"})
    assert (wrong.status, "confirmed_by_name" in wrong.text) == (422, True)
    assert len(live.service.show("demo").nodes) == 3
    done = post(live, "demo", "replace", {"node": "node-1", "confirm": "node-1"})
    assert done.headers["Location"] == "/clusters/demo?notice=replacing"
    node = section(ask(live, "GET", "/clusters/demo").text, "node-node-1")
    assert "replaced by node-3" in node
    assert 'form="keep-form"' in node
    assert "/replace?" not in node
    assert ask(live, "GET", "/clusters/demo/replace?node=node-1").status == 409
    assert post(live, "demo", "keep", {"node": "node-1"}).headers["Location"].endswith("=kept")
    assert post(live, "demo", "keep", {"node": "node-1"}).status == 409
    assert ask(live, "GET", "/clusters/demo/replace?node=none").status == 404


def test_a_node_is_held_when_somebody_is_sure(live: LiveApp) -> None:
    asked = post(live, "demo", "hold", {"node": "node-1"})
    assert (asked.status, "Sandbox and volume stay" in asked.text) == (200, True)
    assert not live.service.fakes["demo"].nodes[1].paused
    post(live, "demo", "hold", {"node": "node-1", "sure": "yes"})
    node = section(ask(live, "GET", "/clusters/demo").text, "node-node-1")
    assert "paused for debugging" in node
    assert 'form="release-form"' in node
    assert 'form="restart-form"' not in node
    done = post(live, "demo", "release", {"node": "node-1"})
    assert done.headers["Location"] == "/clusters/demo?notice=released"
    assert post(live, "demo", "hold", {"node": "none"}).status == 404


@pytest.mark.parametrize(("more", "can"), [
    ({}, ["restart", "pause", "replace"]), ({"paused": True}, ["continue", "replace"]),
    ({"leaving": "scale-in"}, []), ({"leaving": "gone for over 60 s", "moving": True}, ["keep"]),
    ({"kind": "sidecar"}, ["restart", "replace"]), ({"state": "planned"}, []),
    ({"state": "unreachable"}, ["replace"]), ({"state": "down"}, ["pause", "replace"]),
    ({"state": "stopping"}, [])])
def test_what_can_be_done_with_a_node(more: dict[str, object], can: list[str]) -> None:
    assert present.actions(node_of("node-0", "ready", 0).model_copy(update=more)) == can


def test_sidecars_are_shown_as_such(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/stack").text
    node = section(page, "node-kibana-0")
    assert ">sidecar<" in node
    assert "transport" not in node
    assert "heap" not in node


def test_a_preview_tells_what_moves_why_and_what_changes_live(
        live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Preview(changes=["a: 1 -> 2"], replaces=["node-0", "node-1"],
                   live=["indices.recovery.max_bytes_per_sec"],
                   reasons={"node-0": "a larger volume", "node-1": "a larger volume"})
    monkeypatch.setattr(Fake, "preview", lambda *_: told)
    page = ask(live, "GET", "/clusters/trial/abandon").text
    preview = section(page, "preview", "</section>")
    assert "<strong>node-0, node-1</strong>" in preview
    assert "<code>indices.recovery.max_bytes_per_sec</code>" in preview
    assert "a larger volume" in preview
    assert "No node is started" not in preview


# ---- switches, operations, secure settings, plugins -------------------------------------------

def test_a_switch_is_set_and_restored(live: LiveApp) -> None:
    done = post(live, "demo", "switch", {"to": "allocation:none", "for": "10m"})
    assert done.headers["Location"] == "/clusters/demo/operate?notice=set"
    assert "was taken" in ask(live, "GET", done.headers["Location"]).text
    kept = live.service.fakes["demo"].switches["allocation"]
    assert kept.until == kept.set_at + 600
    assert "Allocation of shards: none" in ask(live, "GET", "/clusters/demo").text
    row = section(ask(live, "GET", "/clusters/demo/operate").text, "switch-allocation")
    assert "goes back to" in row
    post(live, "demo", "switch", {"to": "rebalance:none", "for": " "})
    assert live.service.fakes["demo"].switches["rebalance"].until is None
    back = post(live, "demo", "switch", {"restore": "allocation"})
    assert back.headers["Location"].endswith("notice=restored")
    assert post(live, "demo", "switch", {"restore": "allocation"}).headers["Location"].endswith(
        "notice=same")


@pytest.mark.parametrize(("to", "span", "shown"), [
    ("allocation:none", "soon", "a time such as"), ("allocation:none", "31d", "at most 30d"),
    ("allocation:some", "10m", "switch_value")])
def test_a_refused_switch_keeps_what_was_typed(live: LiveApp, to: str, span: str,
                                               shown: str) -> None:
    got = post(live, "demo", "switch", {"to": to, "for": span})
    assert got.status == 422
    assert shown in section(got.text, "switch-error", "</section>")
    assert f'value="{span}" aria-describedby' in got.text
    assert live.service.fakes["demo"].switches == {}


def test_to_refuse_writes_is_asked_about(live: LiveApp) -> None:
    fields = {"to": "read_only:true", "for": "10m"}
    asked = post(live, "demo", "switch", fields)
    assert (asked.status, "Every write" in asked.text) == (200, True)
    assert 'href="/clusters/demo/operate">Cancel' in asked.text
    assert live.service.fakes["demo"].switches == {}
    assert post(live, "demo", "switch", fields | {"sure": "yes"}).status == 303
    assert post(live, "demo", "switch", {"to": "gravity:none", "for": ""}).status == 404


@pytest.mark.parametrize(("fields", "parameters"), [
    ({"kind": "flush", "index": " a-* "}, {"index": "a-*"}),
    ({"kind": "reroute_retry"}, {}),
    ({"kind": "clear_cache", "query": "1", "request": "1", "sure": "yes"},
     {"kinds": ["query", "request"]}),
    ({"kind": "force_merge", "index": "a", "max_segments": "1", "sure": "yes"},
     {"index": "a", "max_segments": 1})])
def test_operations_run(live: LiveApp, fields: dict[str, str],
                        parameters: dict[str, object]) -> None:
    done = post(live, "demo", "run", fields)
    assert done.headers["Location"] == "/clusters/demo/operate?notice=asked"
    made = live.service.fakes["demo"].operations[0]
    assert (made.kind, made.parameters) == (fields["kind"], parameters)
    assert made.id in ask(live, "GET", "/clusters/demo/operate").text


def test_what_is_heavy_is_asked_about(live: LiveApp) -> None:
    for kind, text in (("force_merge", "cannot be stopped"), ("clear_cache", "slower")):
        fields = {"kind": kind, "index": "a-*", "query": "1", "max_segments": "2"}
        asked = post(live, "demo", "run", fields)
        assert (asked.status, text in asked.text) == (200, True)
        for name, value in fields.items():
            assert f'name="{name}" value="{value}"' in asked.text
    assert live.service.fakes["demo"].operations == []
    wrong = post(live, "demo", "run", {"kind": "force_merge", "max_segments": "few", "index": "a"})
    assert wrong.status == 422
    assert 'value="few"' in wrong.text
    assert 'id="force_merge-error"' in wrong.text
    assert post(live, "demo", "run", {"kind": "explode"}).status == 404
    assert post(live, "fresh", "run", {"kind": "flush"}).status == 409


def test_runs_are_listed_with_what_came_of_them(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/stack/operate/fragment").text
    assert "3 of 8 indices merged" in section(page, "operation-m-3")
    assert "2 of 3 nodes answered" in section(page, "operation-c-2")
    assert "took 2 s" in section(page, "operation-f-1")


def test_a_secret_is_taken_and_never_shown(live: LiveApp) -> None:
    refused = post(live, "stack", "secrets", {"key": "Not A Key", "value": SECRET})
    assert refused.status == 422
    assert 'value="Not A Key" aria-invalid="true"' in refused.text
    none = post(live, "stack", "secrets", {"key": " ", "value": SECRET})
    assert none.status == 422
    missing = post_form(live, "/clusters/stack", "/clusters/none/secrets",
                        {"key": "a.b", "value": SECRET})
    assert missing.status == 404
    done = post(live, "stack", "secrets", {"key": "a.b", "value": SECRET})
    assert done.headers["Location"] == "/clusters/stack/operate?notice=secret"
    assert live.service.fakes["stack"].kept == {"a.b": SECRET}
    page = ask(live, "GET", "/clusters/stack/operate")
    asked = post(live, "stack", "secrets", {"remove": "a.b"})
    assert "cannot be brought back" in asked.text
    assert live.service.fakes["stack"].kept == {"a.b": SECRET}
    gone = post(live, "stack", "secrets", {"remove": "a.b", "sure": "yes"})
    assert gone.headers["Location"].endswith("notice=unset")
    assert live.service.fakes["stack"].kept == {}
    for got in (refused, none, missing, done, page, asked, gone):
        assert SECRET not in got.text + str(got.headers)
    assert 'type="password"' in page.text
    assert not re.search(r'type="password"[^>]*\bvalue=', page.text + refused.text)


def test_a_plugin_is_applied_as_it_was_previewed(live: LiveApp) -> None:
    fields = {"plugin": "analysis-icu", "from": "", "sha256": ""}
    preview = post(live, "demo", "plugins", fields)
    assert "Restart, one at a time" in preview.text
    assert live.service.show("demo").revision == 1
    seal = re.search(r'name="previewed" value="(\w+)"', preview.text)
    assert seal
    other = post(live, "demo", "plugins", fields | {"plugin": "x", "previewed": seal[1]})
    assert "not what was previewed" in other.text
    done = post(live, "demo", "plugins", fields | {"previewed": seal[1]})
    assert done.headers["Location"] == "/clusters/demo/operate?notice=plugin"
    assert post(live, "demo", "plugins", fields).headers["Location"].endswith("notice=same")
    half = post(live, "demo", "plugins", fields | {"from": "https://x.example/y.zip"})
    assert half.status == 422
    assert 'value="https://x.example/y.zip"' in half.text
    removal = post(live, "demo", "plugins", {"remove": "analysis-icu"})
    assert "Remove the plugin analysis-icu" in removal.text
    assert post(live, "demo", "plugins", {"remove": "none"}).status == 404


def test_plugins_and_files_are_listed(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/stack/operate").text
    for text in ("analysis-icu", "https://plugins.example/house-1.2.zip", "analysis/synonyms.txt",
                 "hunspell/de/de.dic", "every node", "/clusters/stack/edit"):
        assert text in page


POSTS = ("force", "restart-step", "abandon", "replace", "keep", "hold", "release", "switch", "run",
         "secrets", "plugins")


@pytest.mark.parametrize("tail", POSTS)
def test_forms_need_the_token_and_our_own_site(live: LiveApp, tail: str) -> None:
    fields = {"node": "node-1", "confirm": "node-1", "sure": "yes", "to": "allocation:none",
              "kind": "flush", "key": "a.b", "value": SECRET, "plugin": "x"}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    before = live.service.show("demo")
    got = ask(live, "POST", f"/clusters/demo/{tail}", urlencode(fields).encode(), kind)
    assert got.status == 403
    crossed = post_form(live, "/clusters/demo", f"/clusters/demo/{tail}", fields,
                        Origin="http://evil.example")
    assert crossed.status == 403
    assert live.service.show("demo") == before
    assert SECRET not in got.text + crossed.text


@pytest.mark.parametrize("tail", POSTS[1:2] + POSTS[4:])
def test_a_reloaded_form_leads_back(live: LiveApp, tail: str) -> None:
    got = ask(live, "GET", f"/clusters/demo/{tail}")
    assert got.status == 303
    assert got.headers["Location"] in ("/clusters/demo", "/clusters/demo/operate")
