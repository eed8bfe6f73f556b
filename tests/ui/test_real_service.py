"""The doors over the service itself, without a Mesos master: the stand-in does not flatter."""
from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import ask, post_form
from esaas.framework.service.clusters import Clusters
from esaas.framework.settings import Settings
from esaas.ui import present
from live_app import PATIENCE_S, LiveApp

SPEC = {"name": "demo", "tenant": "t", "version": "6.8.23", "groups": [{"name": "n", "count": 3}]}
DEMO = "/v1/clusters/demo"


@pytest.fixture
def real(tmp_path: Path) -> Iterator[LiveApp]:
    """The application over the service, with one cluster that nobody has placed yet."""
    service = Clusters(Settings.model_validate({
        "mesos_master": "127.0.0.1:1", "state_dir": str(tmp_path),
        "distributions": {"6.8.23": {"url": "https://host/es.zip", "sha256": "a" * 64}}}))
    app = LiveApp(service, executor_file=service.executor_file)  # type: ignore[arg-type]

    def run(work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, app.loop).result(PATIENCE_S)

    run(service.start())
    assert ask(app, "POST", "/v1/clusters", SPEC).status == 202
    until = time.monotonic() + PATIENCE_S
    while not ask(app, "GET", f"{DEMO}/nodes").json:        # its first turn
        assert time.monotonic() < until
        time.sleep(0.01)
    yield app
    run(service.stop())
    app.close()


def test_a_change_and_the_way_back_by_rest(real: LiveApp) -> None:
    spec = ask(real, "GET", DEMO).json["spec"]
    same = ask(real, "PUT", f"{DEMO}?dry_run=1", spec)
    assert (same.status, same.json["changed"]) == (200, False)
    spec["groups"][0]["count"] = 5
    dry = ask(real, "PUT", f"{DEMO}?dry_run=1", spec)
    assert (dry.status, dry.json["preview"]["starts"]) == (200, ["n-4", "n-5"])
    assert ask(real, "PUT", DEMO, spec).status == 202
    found = ask(real, "GET", f"{DEMO}/revisions").json
    assert [(one["revision"], one["changes"]) for one in found] == [
        (2, ["groups.n.count: 3 -> 5"]), (1, [])]
    back = ask(real, "POST", f"{DEMO}/rollback?dry_run=1", {"revision": 1})
    assert back.status == 409
    assert "cluster_formed" in {fault["rule"] for fault in back.json["error"]["faults"]}
    assert ask(real, "POST", f"{DEMO}/rollback", {"revision": 7}).status == 404
    odd = ask(real, "POST", f"{DEMO}/scale?override=nonsense", {"group": "n", "count": 6})
    assert set(odd.faults) == {"override"}


def test_pause_restart_and_delete_by_rest(real: LiveApp) -> None:
    for tail, status in (("pause", 202), ("pause", 200), ("continue", 202), ("continue", 200),
                         ("restart", 202), ("nodes/n-1/restart", 202), ("nodes/x/restart", 404)):
        assert ask(real, "POST", f"{DEMO}/{tail}", {}).status == status, tail
    assert ask(real, "DELETE", f"{DEMO}?confirm=demo").status == 202
    # Without Mesos the deletion cannot end: the cluster is still there to refuse.
    assert ask(real, "POST", f"{DEMO}/restart", {}).status == 409
    assert ask(real, "PUT", DEMO, SPEC | {"description": "x"}).status == 409


def test_a_change_by_page(real: LiveApp) -> None:
    path = "/clusters/demo/edit"
    text = present.spec_text(ask(real, "GET", DEMO).json["spec"])
    as_it_is = post_form(real, path, path, {"spec": text, "go": "preview"})
    assert "that already" in as_it_is.text
    less = post_form(real, path, path, {"spec": text.replace("count: 3", "count: 2")})
    assert less.status == 409
    assert "can override one rule only" in less.text
    text = text.replace("count: 3", "count: 4")
    preview = post_form(real, path, path, {"spec": text, "go": "preview"})
    assert "<strong>n-4</strong>" in preview.text
    seal = re.findall(r'name="previewed" value="(\w+)"', preview.text)[0]
    done = post_form(real, path, path, {"spec": text, "go": "apply", "previewed": seal})
    assert done.headers["Location"] == "/clusters/demo?notice=updated"
    for page in ("", "/revisions", "/edit"):
        assert ask(real, "GET", f"/clusters/demo{page}").status == 200
    assert ask(real, "GET", "/clusters/demo/revisions?to=1").status == 409
    assert ask(real, "GET", "/clusters/demo/revisions?to=9").status == 404


def test_the_executor_of_today_is_served(real: LiveApp) -> None:
    file = real.service.executor_file  # type: ignore[attr-defined]
    got = ask(real, "GET", f"/v1/executor/{file.name}")
    assert (got.status, got.body) == (200, file.read_bytes())


def test_operating_by_rest(real: LiveApp) -> None:
    """Without Mesos nothing forms: most of it is refused, by name and with a reason."""
    for method, tail, body, status, rule in (
            ("POST", "abandon", {}, 409, "settled_before"),
            ("POST", "operations", {"kind": "flush"}, 409, "cluster_formed"),
            ("POST", "operations", {"kind": "flush", "max_segments": 1}, 422, "extra_forbidden"),
            ("POST", "switches/allocation", {"value": "none"}, 409, "cluster_formed"),
            ("POST", "switches/allocation", {"value": "some"}, 422, "switch_value"),
            ("POST", "nodes/n-1/replace", {"confirm": "n-1"}, 409, "cluster_formed"),
            ("POST", "nodes/n-1/pause", {}, 409, "node_can_be_held")):
        got = ask(real, method, f"{DEMO}/{tail}", body)
        assert got.status == status, tail
        assert rule in {fault["rule"] for fault in got.json["error"]["faults"]}, tail
    assert ask(real, "POST", f"{DEMO}/switches/gravity", {"value": "none"}).status == 404
    assert ask(real, "POST", f"{DEMO}/switches/read_only/restore", {}).json["changed"] is False
    assert ask(real, "POST", f"{DEMO}/nodes/n-1/keep", {}).json["changed"] is False
    assert ask(real, "GET", f"{DEMO}/operations").json == []


def test_a_held_step_by_rest(real: LiveApp) -> None:
    plan = ask(real, "GET", f"{DEMO}/plan").json
    step = next(one for phase in plan["phases"] for one in phase["steps"]
                if any(not gate["ok"] for gate in one["gates"]))
    gate = next(one for one in step["gates"] if not one["ok"])
    assert gate["forcible"] is False, "nobody may go past being connected"
    path = f"{DEMO}/plan/steps/{step['id']}/force"
    wrong = ask(real, "POST", path, {"gate": gate["name"], "confirm": "x"})
    assert (wrong.status, set(wrong.faults)) == (422, {"confirm"})
    never = ask(real, "POST", path, {"gate": gate["name"], "confirm": gate["name"]})
    assert (never.status, never.json["error"]["faults"][0]["rule"]) == (409, "gate_is_forcible")
    page = ask(real, "GET", f"/clusters/demo/force?step={step['id']}&gate={gate['name']}")
    assert page.status == 409
    assert ask(real, "POST", f"{DEMO}/plan/steps/none/restart", {}).status == 404


def test_secrets_of_the_service_are_never_shown(real: LiveApp, tmp_path: Path) -> None:
    secret, path = "hunter2-very-secret", f"{DEMO}/secrets"
    done = ask(real, "PUT", path, {"s3.client.default.secret_key": secret})
    again = ask(real, "PUT", path, {"s3.client.default.secret_key": secret})
    assert (done.status, again.status) == (202, 200)
    listed = ask(real, "GET", path)
    assert [one["key"] for one in listed.json] == ["s3.client.default.secret_key"]
    answers = [done, again, listed, ask(real, "GET", DEMO), ask(real, "GET", f"{DEMO}/events"),
               ask(real, "GET", "/clusters/demo/operate"), ask(real, "GET", "/clusters/demo")]
    for body in ({"Not A Key": secret}, {"a.b": f"{secret}\n{secret}"}, {"a.b": [secret]},
                 {"keystore.seed": secret}, [secret]):
        answers.append(ask(real, "PUT", path, body))
        assert answers[-1].status == 422
    assert all(secret not in got.text + str(got.headers) for got in answers)
    out = ask(real, "PUT", path, {"s3.client.default.secret_key": None})
    assert (out.status, ask(real, "GET", path).json) == (202, [])


def test_plugins_by_rest_and_page(real: LiveApp) -> None:
    dry = ask(real, "POST", f"{DEMO}/plugins?dry_run=1", {"name": "analysis-icu"})
    assert dry.status == 200, dry.text
    assert any("plugins" in line for line in dry.json["preview"]["changes"])
    assert ask(real, "POST", f"{DEMO}/plugins", {"name": "analysis-icu"}).status == 202
    assert ask(real, "POST", f"{DEMO}/plugins", {"name": "analysis-icu"}).status == 200
    half = ask(real, "POST", f"{DEMO}/plugins", {"name": "x", "url": "https://x.example/y.zip"})
    assert half.status == 422
    page = ask(real, "GET", "/clusters/demo/operate")
    assert (page.status, "analysis-icu" in page.text) == (200, True)
    assert ask(real, "DELETE", f"{DEMO}/plugins/none").status == 404
    assert ask(real, "DELETE", f"{DEMO}/plugins/analysis-icu").status == 202
