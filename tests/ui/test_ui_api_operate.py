"""The REST API for people on call: every route, each refusal, and no secret anywhere."""
from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from asking import Got, ask
from live_app import LiveApp
from pydantic import TypeAdapter
from standin_service import StandInService

NO_BODY = {"Content-Type": "application/json"}
TURNING, DEMO, STACK, TRIAL = (f"/v1/clusters/{name}" for name in (
    "turning", "demo", "stack", "trial"))
STEP = f"{TURNING}/plan/steps/restart-node-0"
SECRET = "hunter2-very-secret"


def rules(got: Got) -> list[str]:
    """The rules that refuse."""
    return [fault["rule"] for fault in got.json["error"]["faults"]]


@pytest.mark.parametrize(("method", "tail", "body"), [
    ("POST", "abandon", None), ("POST", "plan/steps/x/force", {"gate": "g", "confirm": "g"}),
    ("POST", "plan/steps/x/restart", None), ("POST", "nodes/n-0/replace", {"confirm": "n-0"}),
    ("POST", "nodes/n-0/keep", None), ("POST", "nodes/n-0/pause", None),
    ("POST", "nodes/n-0/continue", None), ("POST", "switches/allocation", {"value": "none"}),
    ("POST", "switches/allocation/restore", None), ("GET", "operations", None),
    ("POST", "operations", {"kind": "flush"}), ("GET", "secrets", None),
    ("PUT", "secrets", {"a.b": "c"}), ("POST", "plugins", {"name": "analysis-icu"}),
    ("POST", "credentials", None), ("POST", "rotate-certificates", None),
    ("DELETE", "plugins/analysis-icu", None)])
def test_each_route_knows_its_cluster_and_its_methods(live: LiveApp, method: str, tail: str,
                                                      body: Any) -> None:
    got = ask(live, method, f"/v1/clusters/none/{tail}", body, NO_BODY)
    assert (got.status, got.json["error"]["code"]) == (404, "not_found")
    wrong = ask(live, "PATCH", f"{DEMO}/{tail}")
    assert wrong.status == 405
    assert method in wrong.headers["Allow"]
    if method != "GET":
        crossed = ask(live, method, f"{DEMO}/{tail}", body, NO_BODY | {
            "Sec-Fetch-Site": "cross-site"})
        assert crossed.status == 403


@pytest.mark.parametrize(("path", "body", "faults"), [
    (f"{STEP}/force", {"gate": 1, "why": 2}, {"gate", "confirm", "why"}),
    (f"{DEMO}/nodes/node-0/replace", {"sure": True}, {"confirm", "sure"}),
    (f"{DEMO}/switches/allocation", {"timeout_s": 0, "for": 1}, {"timeout_s", "for"}),
    (f"{DEMO}/operations", {"kind": "explode", "max_segments": 0, "kinds": ["all"]},
     {"kind", "max_segments", "kinds[0]"}),
    (f"{DEMO}/operations", {}, {"kind"}),
    (f"{DEMO}/plugins", {"name": "Bad Name", "url": "ftp://x"}, {"name", "url"}),
    (f"{DEMO}/plugins", {"name": "house", "url": "https://x/y.zip"}, {"name"})])
def test_every_fault_of_a_body_at_once(live: LiveApp, path: str, body: Any,
                                       faults: set[str]) -> None:
    got = ask(live, "POST", path, body)
    assert got.status == 422
    assert faults <= {path.split(".str")[0] for path in got.faults}
    assert ask(live, "POST", path, b"{", NO_BODY).status == 400
    assert ask(live, "POST", path, b"x=1", {"Content-Type": "text/plain"}).status == 415


def test_abandon(live: LiveApp) -> None:
    dry = ask(live, "POST", f"{TRIAL}/abandon?dry_run=1", {})
    assert (dry.status, dry.headers["Location"]) == (200, None)
    assert dry.json["preview"]["restarts"] == ["node-0", "node-1", "node-2"]
    assert live.service.show("trial").revision == 2
    done = ask(live, "POST", f"{TRIAL}/abandon", {})
    assert (done.status, done.json["revision"], done.headers["Location"]) == (202, 3, TRIAL)
    none = ask(live, "POST", f"{DEMO}/abandon", {})
    assert (none.status, none.json["changed"]) == (200, False)
    live.service.fakes["fresh"].settled = None
    never = ask(live, "POST", "/v1/clusters/fresh/abandon", {})
    assert (never.status, rules(never)) == (409, ["settled_before"])
    assert ask(live, "POST", f"{TRIAL}/abandon", {"why": 1}).status == 422


def test_to_continue_approves_a_canary(live: LiveApp) -> None:
    assert ask(live, "GET", TRIAL).json["canary"] == "node-0"
    assert ask(live, "POST", f"{TRIAL}/continue", {}).status == 202
    assert ask(live, "GET", TRIAL).json["canary"] == ""
    assert ask(live, "POST", f"{TRIAL}/continue", {}).json["changed"] is False


def test_a_gate_is_forced_by_name(live: LiveApp) -> None:
    gate = {"gate": "nothing_moves", "confirm": "nothing_moves"}
    for body, status, rule in (
            (gate | {"confirm": "yes"}, 422, "confirmed_by_name"),
            ({"gate": "cluster_green", "confirm": "cluster_green"}, 409, "gate_holds")):
        got = ask(live, "POST", f"{STEP}/force", body)
        assert (got.status, rules(got)) == (status, [rule])
    assert ask(live, "POST", f"{TURNING}/plan/steps/none/force", gate).status == 404
    done = ask(live, "POST", f"{STEP}/force", gate)
    assert (done.status, done.headers["Location"]) == (202, TURNING)
    assert live.service.fakes["turning"].forced == {("restart-node-0", "nothing_moves")}
    never = ask(live, "POST", f"{TURNING}/plan/steps/remove-node-4/force",
                {"gate": "drained", "confirm": "drained"})
    assert (never.status, rules(never)) == (409, ["gate_is_forcible"])


def test_a_step_begins_anew(live: LiveApp) -> None:
    path = "/v1/clusters/logs/plan/steps"
    assert ask(live, "POST", f"{path}/start-node-1/restart", {}).status == 202
    assert ask(live, "POST", f"{path}/start-node-0/restart", {}).status == 409
    assert ask(live, "POST", f"{path}/none/restart", {}).status == 404
    assert ask(live, "POST", f"{path}/start-node-1/restart").status == 415


def test_the_plan_tells_what_people_may_do(live: LiveApp) -> None:
    steps = {step["id"]: step for phase in ask(live, "GET", f"{TURNING}/plan").json["phases"]
             for step in phase["steps"]}
    assert steps["remove-node-4"]["progress"]["unit"] == "MB"
    gates = {gate["name"]: gate["forcible"] for gate in steps["restart-node-0"]["gates"]}
    assert gates["nothing_moves"] is True
    assert gates["connected_to_mesos"] is False


def test_replace_and_keep(live: LiveApp) -> None:
    path = f"{DEMO}/nodes/node-1"
    wrong = ask(live, "POST", f"{path}/replace", {"confirm": "node-2"})
    assert (wrong.status, set(wrong.faults)) == (422, {"confirm"})
    dry = ask(live, "POST", f"{path}/replace?dry_run=true", {"confirm": "node-1"})
    assert (dry.status, dry.json["preview"]["replaces"]) == (200, ["node-1"])
    assert dry.json["preview"]["starts"] == ["node-3"]
    assert len(live.service.show("demo").nodes) == 3
    assert ask(live, "POST", f"{path}/replace", {"confirm": "node-1"}).status == 202
    assert ask(live, "GET", f"{DEMO}/nodes").json[1]["leaving"] == "replaced by node-3"
    assert ask(live, "POST", f"{path}/replace", {"confirm": "node-1"}).status == 409
    assert ask(live, "POST", f"{path}/keep", {}).status == 202
    assert ask(live, "POST", f"{path}/keep", {}).status == 409
    assert ask(live, "POST", f"{DEMO}/nodes/node-9/keep", {}).status == 404


def test_a_node_is_held_for_debugging(live: LiveApp) -> None:
    path = f"{DEMO}/nodes/node-1"
    assert ask(live, "POST", f"{path}/pause", {}).status == 202
    assert ask(live, "POST", f"{path}/pause", {}).json["changed"] is False
    assert ask(live, "GET", f"{DEMO}/nodes").json[1]["paused"] is True
    assert ask(live, "POST", f"{path}/continue", {}).status == 202
    assert ask(live, "POST", f"{DEMO}/nodes/node-9/pause", {}).status == 404
    assert ask(live, "POST", "/v1/clusters/fresh/nodes/node-0/pause", {}).status == 409


@pytest.mark.parametrize(("switch", "value", "kept"), [
    ("allocation", "none", "none"), ("rebalance", "replicas", "replicas"),
    ("read_only", True, "true"), ("read_only", "false", "false")])
def test_switches(live: LiveApp, switch: str, value: Any, kept: str) -> None:
    path = f"{DEMO}/switches/{switch}"
    done = ask(live, "POST", path, {"value": value, "timeout_s": 600})
    assert done.status == 202
    shown = ask(live, "GET", DEMO).json["switches"][0]
    assert (shown["switch"], shown["value"]) == (switch, kept)
    assert shown["until"] - shown["set_at"] == pytest.approx(600)
    assert ask(live, "POST", f"{path}/restore", {}).status == 202
    assert ask(live, "POST", f"{path}/restore", {}).json["changed"] is False


@pytest.mark.parametrize(("switch", "body"), [
    ("allocation", {"value": "some"}), ("read_only", {"value": "none"}),
    ("gravity", {"value": "none"}), ("allocation", {"value": 1}), ("allocation", {}),
    ("allocation", {"value": "none", "timeout_s": -1}),
    ("allocation", {"value": "none", "timeout_s": 1e300})])
def test_switches_that_are_none(live: LiveApp, switch: str, body: Any) -> None:
    got = ask(live, "POST", f"{DEMO}/switches/{switch}", body)
    assert got.status == (404 if switch == "gravity" else 422)
    assert live.service.fakes["demo"].switches == {}


def test_operations_are_recorded(live: LiveApp) -> None:
    path = f"{DEMO}/operations"
    assert ask(live, "GET", path).json == []
    begun = ask(live, "POST", path, {"kind": "force_merge", "index": "logs-*", "max_segments": 1})
    assert (begun.status, begun.headers["Location"]) == (202, path)
    assert begun.json["parameters"] == {"index": "logs-*", "max_segments": 1}
    live.call(lambda: live.service.move_operation("demo", "running", done=2))
    assert ask(live, "GET", path).json[0]["progress"]["done"] == 2
    clear = ask(live, "POST", path, {"kind": "clear_cache", "kinds": ["query"]})
    assert clear.json["parameters"] == {"kinds": ["query"]}
    odd = ask(live, "POST", path, {"kind": "flush", "max_segments": 1})
    assert (odd.status, set(odd.faults)) == (422, {"max_segments"})
    assert ask(live, "POST", "/v1/clusters/fresh/operations", {"kind": "flush"}).status == 409
    assert [one["kind"] for one in ask(live, "GET", path).json] == ["clear_cache", "force_merge"]


def test_plugins(live: LiveApp) -> None:
    path = f"{DEMO}/plugins"
    dry = ask(live, "POST", f"{path}?dry_run=1", {"name": "analysis-icu"})
    assert (dry.status, len(dry.json["preview"]["restarts"])) == (200, 3)
    assert live.service.show("demo").revision == 1
    assert ask(live, "POST", path, {"name": "analysis-icu"}).status == 202
    same = ask(live, "POST", path, {"name": "analysis-icu"})
    assert (same.status, same.json["changed"]) == (200, False)
    pinned = {"name": "analysis-icu", "url": "https://x.example/i.zip", "sha256": "a" * 64}
    assert ask(live, "POST", path, pinned).status == 202
    assert ask(live, "DELETE", f"{path}/analysis-icu?dry_run=1").status == 200
    assert ask(live, "DELETE", f"{path}/analysis-icu").status == 202
    assert ask(live, "DELETE", f"{path}/analysis-icu").status == 404
    assert ask(live, "POST", path, ["analysis-icu"]).status == 400


# ---- secure settings: names, never values ------------------------------------------------------

@pytest.fixture
def log() -> Iterator[list[str]]:
    """Everything that is logged, as text, down to debug."""
    lines: list[str] = []

    def keep(_: Any, method: str, event: dict[str, Any]) -> str:
        rendered = structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback)(_, method, event)
        lines.append(str(rendered))
        raise structlog.DropEvent
    before = structlog.get_config()
    structlog.configure(processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(
        logging.DEBUG), cache_logger_on_first_use=False)
    yield lines
    structlog.configure(**before)


def test_secrets_are_listed_set_and_taken_out(live: LiveApp, log: list[str]) -> None:
    path = f"{STACK}/secrets"
    before = ask(live, "GET", path).json
    assert [set(one) for one in before] == [{"key", "set_at", "version"}] * 2
    done = ask(live, "PUT", path, {"azure.client.default.key": SECRET})
    assert done.status == 202
    assert live.service.fakes["stack"].kept == {"azure.client.default.key": SECRET}
    again = ask(live, "PUT", path, {"azure.client.default.key": SECRET})
    assert (again.status, again.json["changed"]) == (200, False)
    out = ask(live, "PUT", path, {"azure.client.default.key": None,
                                  "s3.client.default.access_key": None})
    assert out.status == 202
    left = ask(live, "GET", path)
    assert [one["key"] for one in left.json] == ["s3.client.default.secret_key"]
    answers = [done, again, out, left, ask(live, "GET", STACK), ask(live, "GET", "/v1/events"),
               ask(live, "GET", "/clusters/stack"), ask(live, "GET", "/clusters/stack/operate")]
    assert all(SECRET not in got.text + str(got.headers) for got in answers)
    assert not [line for line in log if SECRET in line]
    assert [line for line in log if "secrets" in line], "the request itself is in the log"


@pytest.mark.parametrize(("body", "kind", "status"), [
    ({"a.b": {"nested": SECRET}}, "", 422), ({"a.b": [SECRET]}, "", 422),
    ({"a.b": 1234567890123}, "", 422), ([SECRET], "", 422), (SECRET, "", 422),
    ({"Not A Key": SECRET}, "", 422), ({"a.b": ""}, "", 422),
    (f'{{"a.b": "{SECRET}'.encode(), "application/json", 400),
    (f'{{"a.b": "{SECRET}"}} x'.encode(), "application/json", 400),
    (b'{"a.b": "\xff' + SECRET.encode() + b'"}', "application/json", 400),
    (f"a.b: [{SECRET}".encode(), "application/yaml", 415),
    (f"a.b: {SECRET}".encode(), "application/yaml", 415),
    (f"a.b={SECRET}".encode(), "application/x-www-form-urlencoded", 415),
    (SECRET.encode() * 100_000, "application/json", 413)])
def test_no_refusal_quotes_a_secret(live: LiveApp, log: list[str], body: Any, kind: str,
                                    status: int) -> None:
    got = ask(live, "PUT", f"{STACK}/secrets", body, {"Content-Type": kind} if kind else None)
    assert got.status == status
    told = got.text + str(got.headers) + "".join(log)
    assert SECRET not in told
    assert "1234567890123" not in told


def test_a_failure_inside_logs_no_secret(live: LiveApp, log: list[str],
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(name: str, body: Any) -> None:
        TypeAdapter(int).validate_python(body["a.b"])       # its error quotes the value
    monkeypatch.setattr(live.service, "set_secrets", broken)
    got = ask(live, "PUT", f"{STACK}/secrets", {"a.b": SECRET})
    assert got.status == 500
    assert SECRET not in got.text
    story = "".join(log)
    assert SECRET not in story
    assert "ValidationError" in story
    assert "in broken" in story, "where it failed is told"


@pytest.mark.filterwarnings("always::UserWarning")
def test_the_log_is_of_one_form_and_shows_no_variables(capsys: pytest.CaptureFixture[str]) -> None:
    from esaas.ui.serve import configure_logging

    before, root = structlog.get_config(), logging.getLogger()
    kept = root.handlers[:], root.level
    try:
        for as_json in (False, True):
            configure_logging(as_json=as_json)
            password = SECRET
            try:
                raise RuntimeError("inside")
            except RuntimeError:
                structlog.get_logger().exception("request_failed")
            assert password not in capsys.readouterr().err
        warnings.warn("of a library", UserWarning, stacklevel=1)
        logging.getLogger("pymesos").warning("of another")
        told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert [one["logger"] for one in told] == ["py.warnings", "pymesos"]
        assert "of a library" in told[0]["event"] and told[1]["level"] == "warning"
    finally:
        structlog.reset_defaults()
        structlog.configure(**before)
        root.handlers[:], root.level = kept
        logging.captureWarnings(False)


def test_the_document_offers_json_only_for_secrets(live: LiveApp) -> None:
    paths = ask(live, "GET", "/v1/openapi.json").json["paths"]
    put = paths["/v1/clusters/{name}/secrets"]["put"]
    assert set(put["requestBody"]["content"]) == {"application/json"}
    assert "application/yaml" in paths["/v1/clusters/{name}/plugins"]["post"]["requestBody"][
        "content"]


def test_nothing_is_done_by_what_is_refused() -> None:
    app = LiveApp(StandInService())
    try:
        before = json.dumps(ask(app, "GET", STACK).json)
        ask(app, "PUT", f"{STACK}/secrets", {"Not A Key": SECRET})
        ask(app, "POST", f"{STACK}/operations", {"kind": "explode"})
        assert json.dumps(ask(app, "GET", STACK).json) == before
    finally:
        app.close()
