"""The REST API: every status, every fault, nothing from strangers."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from asking import ask
from esaas.framework.client import EXAMPLE_SPEC
from live_app import LiveApp
from standin_service import StandInService

CLUSTER = "/v1/clusters/demo"
COPIES = "shrink_leaves_room_for_copies"
READS = ("/v1/status", "/v1/clusters", "/v1/clusters?tenant=hotels", CLUSTER, f"{CLUSTER}/nodes",
         f"{CLUSTER}/endpoints", f"{CLUSTER}/plan", f"{CLUSTER}/offers", f"{CLUSTER}/events",
         f"{CLUSTER}/events?after=1&limit=1", f"{CLUSTER}/revisions", "/v1/events",
         "/v1/openapi.json", f"{CLUSTER}/operations", f"{CLUSTER}/secrets")
SPEC = {"name": "new", "tenant": "t", "version": "6.8.23", "groups": [{"name": "n", "count": 2}]}


@pytest.mark.parametrize("path", READS)
def test_reads_answer_json(live: LiveApp, path: str) -> None:
    got = ask(live, "GET", path)
    assert got.status == 200
    assert got.headers["Content-Type"].startswith("application/json")
    assert got.json is not None
    head = ask(live, "HEAD", path)
    assert (head.status, head.body) == (200, b"")


def test_lists_filter_by_tenant_and_events_page(live: LiveApp) -> None:
    assert {one["tenant"] for one in ask(live, "GET", READS[2]).json} == {"hotels"}
    first = ask(live, "GET", f"{CLUSTER}/events?after=1&limit=1").json
    assert [event["seq"] for event in first] == [2]


@pytest.mark.parametrize(("method", "path", "status", "code"), [
    ("GET", "/v1/nothing", 404, "not_found"),
    ("GET", "/v1", 404, "not_found"),
    ("GET", "/v1/clusters/none", 404, "not_found"),
    ("GET", "/v1/clusters/none/events/stream", 404, "not_found"),
    ("GET", "/v1/executor/esaas-executor-0.pyz", 404, "not_found"),
    ("DELETE", "/v1/clusters/none?confirm=none", 404, "not_found"),
    ("GET", "/v1/clusters/none/revisions", 404, "not_found"),
    ("PATCH", CLUSTER, 405, "method_not_allowed"),
    ("GET", f"{CLUSTER}/restart", 405, "method_not_allowed"),
    ("PUT", f"{CLUSTER}/pause", 405, "method_not_allowed"),
    ("PATCH", "/v1/status", 405, "method_not_allowed"),
    ("OPTIONS", "/v1/clusters", 405, "method_not_allowed"),
    ("GET", f"{CLUSTER}/scale", 405, "method_not_allowed"),
    ("GET", f"{CLUSTER}/events?limit=0", 422, "invalid"),
    ("DELETE", CLUSTER, 422, "invalid"),
])
def test_refusals_have_one_shape(live: LiveApp, method: str, path: str, status: int,
                                 code: str) -> None:
    got = ask(live, method, path, headers={"X-Request-Id": "mine-1"})
    assert got.status == status
    assert got.json["error"]["code"] == code
    assert got.json["error"]["message"]
    assert got.json["error"]["request_id"] == "mine-1" == got.headers["X-Request-Id"]


def test_wrong_method_names_the_right_ones(live: LiveApp) -> None:
    assert ask(live, "PATCH", CLUSTER).headers["Allow"] == "DELETE, GET, HEAD, PUT"


def test_every_fault_of_a_query_at_once(live: LiveApp) -> None:
    got = ask(live, "GET", f"{CLUSTER}/events?limit=many&after=-1&colour=blue&limit=2")
    assert got.status == 422
    assert set(got.faults) == {"limit", "after", "colour"}


def test_create_from_json_and_yaml_is_idempotent(live: LiveApp) -> None:
    dry = ask(live, "POST", "/v1/clusters?dry_run=true", SPEC)
    assert (dry.status, dry.headers["Location"]) == (200, None)
    assert ask(live, "GET", "/v1/clusters/new").status == 404
    first = ask(live, "POST", "/v1/clusters", SPEC)
    assert (first.status, first.headers["Location"]) == (202, "/v1/clusters/new")
    again = ask(live, "POST", "/v1/clusters", SPEC)
    assert (again.status, again.json["changed"]) == (200, False)
    taken = ask(live, "POST", "/v1/clusters", SPEC | {"version": "7.17.13"})
    assert taken.status == 409
    assert taken.json["error"]["faults"][0]["rule"] == "name_is_free"
    yaml = ask(live, "POST", "/v1/clusters", EXAMPLE_SPEC.replace("logs", "more").encode(),
               {"Content-Type": "application/yaml; charset=utf-8"})
    assert yaml.status == 202


def test_every_fault_of_a_spec_at_once(live: LiveApp) -> None:
    got = ask(live, "POST", "/v1/clusters", {
        "name": "Big!", "tenant": "t", "version": "5.0.0", "groups": [
            {"name": "n", "count": -1, "mem_mb": 1, "placement": {"constraints": "rack NEAR"}}]})
    assert got.status == 422
    assert {"name", "version", "groups[0].count", "groups[0].mem_mb",
            "groups[0].placement.constraints"} <= set(got.faults)


def body_of(live: LiveApp, name: str = "demo", **more: object) -> dict[str, object]:
    """The spec of a cluster, changed."""
    spec: dict[str, object] = ask(live, "GET", f"/v1/clusters/{name}").json["spec"]
    return spec | more


def test_update_previews_applies_and_is_idempotent(live: LiveApp) -> None:
    wanted = body_of(live, settings={"indices.memory.index_buffer_size": "20%"})
    dry = ask(live, "PUT", f"{CLUSTER}?dry_run=true", wanted)
    assert (dry.status, dry.headers["Location"], dry.json["revision"]) == (200, None, 2)
    preview = dry.json["preview"]
    assert "settings.indices.memory.index_buffer_size: (none) -> 20%" in preview.pop("changes")
    nodes = ["node-0", "node-1", "node-2"]
    assert preview.pop("reasons") == dict.fromkeys(nodes, "its settings change")
    assert preview == {"starts": [], "restarts": nodes, "replaces": [], "removes": [], "live": []}
    assert ask(live, "GET", CLUSTER).json["revision"] == 1
    done = ask(live, "PUT", CLUSTER, wanted)
    assert (done.status, done.headers["Location"]) == (202, CLUSTER)
    again = ask(live, "PUT", CLUSTER, wanted)
    assert (again.status, again.json["changed"]) == (200, False)
    yaml = EXAMPLE_SPEC.replace("logs", "demo").replace("tenant: demo", "tenant: flights")
    assert ask(live, "PUT", CLUSTER, yaml.encode(),
               {"Content-Type": "application/yaml"}).status == 202


def test_update_refuses_by_path_and_by_rule(live: LiveApp) -> None:
    other = ask(live, "PUT", CLUSTER, body_of(live, name="logs", version="1.0.0"))
    assert other.status == 422
    assert set(other.faults) == {"name", "version"}
    assert ask(live, "PUT", "/v1/clusters/none", SPEC).status == 404
    assert ask(live, "PUT", CLUSTER, [1]).status == 400
    assert ask(live, "PUT", CLUSTER, b"x=1", {"Content-Type": "text/plain"}).status == 415
    several = ask(live, "PUT", CLUSTER, body_of(live, tenant="hotels", version="6.8.22"))
    assert several.status == 409
    assert {fault["rule"] for fault in several.json["error"]["faults"]} == {
        "identity_is_fixed", "no_downgrade"}
    needless = ask(live, "PUT", f"{CLUSTER}?override=no_downgrade",
                   body_of(live, description="x"))
    assert (needless.status, set(needless.faults)) == (422, {"override"})
    going = ask(live, "PUT", "/v1/clusters/leaving", body_of(live, "leaving", description="x"))
    assert (going.status, going.json["error"]["code"]) == (409, "conflict")


def test_revisions_and_rollback(live: LiveApp) -> None:
    ask(live, "POST", f"{CLUSTER}/scale", {"group": "node", "count": 5})
    found = ask(live, "GET", f"{CLUSTER}/revisions").json
    assert [(one["revision"], one["current"]) for one in found] == [(2, True), (1, False)]
    assert found[0]["changes"] == ["groups.node.count: 3 -> 5"]
    path = f"{CLUSTER}/rollback"
    dry = ask(live, "POST", f"{path}?dry_run=true", {"revision": 1})
    assert (dry.status, dry.json["preview"]["removes"]) == (200, ["node-3", "node-4"])
    done = ask(live, "POST", path, {"revision": 1})
    assert (done.status, done.json["revision"]) == (202, 3)
    assert ask(live, "POST", path, {"revision": 1}).status == 200
    assert ask(live, "POST", path, {"revision": 9}).status == 404
    for wrong in ({"revision": "1"}, {"revision": 0}, {}, {"revision": 2**80}):
        assert set(ask(live, "POST", path, wrong).faults) == {"revision"}
    back = ask(live, "POST", "/v1/clusters/turning/rollback?override=no_downgrade",
               {"revision": 1})
    assert back.status == 422


NO_BODY = {"Content-Type": "application/json"}


def test_pause_and_continue(live: LiveApp) -> None:
    for tail, paused in (("pause", True), ("continue", False)):
        first = ask(live, "POST", f"{CLUSTER}/{tail}", None, NO_BODY)
        assert (first.status, live.service.fakes["demo"].paused) == (202, paused)
        assert ask(live, "POST", f"{CLUSTER}/{tail}", {}).json["changed"] is False
        assert ask(live, "POST", f"/v1/clusters/none/{tail}", {}).status == 404


def test_restart_of_a_node_and_of_all(live: LiveApp) -> None:
    one = ask(live, "POST", f"{CLUSTER}/nodes/node-1/restart", {})
    assert (one.status, live.service.fakes["demo"].restarting) == (202, ["node-1"])
    assert ask(live, "POST", f"{CLUSTER}/restart", {}).status == 202
    assert live.service.fakes["demo"].restarting == ["node-1", "node-0", "node-2"]
    assert ask(live, "POST", f"{CLUSTER}/nodes/node-9/restart", {}).status == 404
    assert ask(live, "POST", "/v1/clusters/leaving/restart", {}).status == 409


BODILESS = [f"{CLUSTER}/{tail}" for tail in (
    "pause", "continue", "restart", "nodes/node-1/restart", "nodes/node-1/pause",
    "nodes/node-1/continue", "switches/allocation/restore")]


@pytest.mark.parametrize("path", BODILESS)
def test_posts_without_a_body_are_protected_too(live: LiveApp, path: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for headers, status in (
            ({}, 415), (form, 415), ({"Content-Type": "text/plain"}, 415),
            ({"Sec-Fetch-Site": "none"}, 415), (NO_BODY | {"Origin": "null"}, 403),
            ({"Origin": "http://evil.example"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403),
            (NO_BODY | {"Sec-Fetch-Site": "cross-site"}, 403)):
        assert ask(live, "POST", path, None, headers).status == status, headers
    assert live.service.fakes["demo"].restarting == []
    assert set(ask(live, "POST", path, {"why": 1}).faults) == {"why"}
    assert ask(live, "POST", f"{path}?dry_run=true", {}).status == 422
    for headers in (NO_BODY, {"Origin": live.url}, {"Sec-Fetch-Site": "same-origin"}):
        assert ask(live, "POST", path, None, headers).status in (200, 202)


BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(("body", "kind", "status"), [
    (b"{", "application/json", 400), (b"[1]", "application/json", 400),
    (b"", "application/json", 400), (b"\xff\xfe", "application/json", 400),
    (b"[" * 200_000, "application/json", 400), (b"[" * 20_000, "application/yaml", 400),
    (b"a: [", "application/yaml", 400), (BOMB, "application/yaml", 400),
    (b"!!python/object:os.system x", "application/yaml", 400),
    (b" " * 300_000, "application/yaml", 413), (b" " * (2 << 20), "application/json", 413),
    (json.dumps(SPEC).encode(), "text/plain", 415),
    (b"name=x", "application/x-www-form-urlencoded", 415),
    (json.dumps(SPEC).encode(), "", 415)])
def test_bodies_that_are_none(live: LiveApp, body: bytes, kind: str, status: int) -> None:
    got = ask(live, "POST", "/v1/clusters", body, {"Content-Type": kind})
    assert got.status == status
    assert set(got.json["error"]) == {"code", "message", "faults", "request_id"}
    assert ask(live, "GET", "/v1/clusters/new").status == 404


def test_an_announced_giant_is_refused_unread(live: LiveApp) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", live.port), timeout=30) as line:
        line.sendall(b"POST /v1/clusters HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n")
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"too_large"' in answer


def test_a_chunked_giant_is_refused(live: LiveApp) -> None:
    import http.client

    line = http.client.HTTPConnection("127.0.0.1", live.port, timeout=30)
    line.request("POST", "/v1/clusters", iter([b"x" * 65536] * 20),
                 {"Content-Type": "application/json"}, encode_chunked=True)
    assert line.getresponse().status == 413
    line.close()


def test_scale(live: LiveApp) -> None:
    path = f"{CLUSTER}/scale"
    more = ask(live, "POST", path, {"group": "node", "count": 4})
    assert (more.status, more.json["revision"]) == (202, 2)
    assert more.headers["Location"] == CLUSTER
    same = ask(live, "POST", path, {"group": "node", "count": 4})
    assert (same.status, same.json["changed"]) == (200, False)
    dry = ask(live, "POST", f"{path}?dry_run=true", {"group": "node", "count": 9})
    assert dry.status == 200
    assert ask(live, "GET", CLUSTER).json["nodes_wanted"] == 4
    less = ask(live, "POST", "/v1/clusters/logs/scale", {"group": "node", "count": 2})
    assert less.status == 409
    assert less.json["error"]["faults"][0]["rule"] == COPIES
    forced = ask(live, "POST", f"/v1/clusters/logs/scale?override={COPIES}",
                 {"group": "node", "count": 2})
    assert (forced.status, forced.json["preview"]["removes"]) == (202, ["node-2"])
    wrong = ask(live, "POST", path, {"group": "N", "count": "4", "why": 1})
    assert wrong.status == 422
    assert set(wrong.faults) == {"group", "count", "why"}
    assert ask(live, "POST", "/v1/clusters/none/scale",
               {"group": "node", "count": 4}).status == 404


def test_delete_needs_the_name_and_is_idempotent(live: LiveApp) -> None:
    wrong = ask(live, "DELETE", f"{CLUSTER}?confirm=dmeo")
    assert wrong.status == 422
    assert wrong.json["error"]["faults"][0]["rule"] == "confirm_by_name"
    assert ask(live, "DELETE", f"{CLUSTER}?confirm=demo").status == 202
    assert ask(live, "DELETE", f"{CLUSTER}?confirm=demo").status == 200


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}])
def test_other_sites_cannot_change_anything(live: LiveApp, headers: dict[str, str]) -> None:
    got = ask(live, "POST", f"{CLUSTER}/scale", {"group": "node", "count": 5}, headers)
    assert (got.status, got.json["error"]["code"]) == (403, "cross_site")
    assert ask(live, "DELETE", f"{CLUSTER}?confirm=demo", headers=headers).status == 403
    assert ask(live, "GET", CLUSTER).json["nodes_wanted"] == 3


def test_our_own_site_may(live: LiveApp) -> None:
    got = ask(live, "POST", f"{CLUSTER}/scale", {"group": "node", "count": 5},
              {"Origin": live.url, "Sec-Fetch-Site": "same-origin"})
    assert got.status == 202


@pytest.mark.parametrize("path", ["/v1/clusters", "/", "/new"])
def test_a_foreign_name_that_points_here_is_not_served(live: LiveApp, path: str) -> None:
    assert ask(live, "GET", path, headers={"Host": "evil.example:8080"}).status == 421


@pytest.mark.parametrize("path", ["/", "/new", "/clusters/demo", "/nothing", "/v1/status",
                                  "/v1/nothing", "/static/esaas.css", "/static/nothing"])
def test_security_headers_everywhere(live: LiveApp, path: str) -> None:
    headers = ask(live, "GET", path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "Tornado" not in headers["Server"]


def test_odd_request_ids_are_replaced(live: LiveApp) -> None:
    got = ask(live, "GET", "/v1/status", headers={"X-Request-Id": "a<script>"})
    assert got.headers["X-Request-Id"].isalnum()


def test_unexpected_failures_tell_nothing(live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a secret of the inside")
    monkeypatch.setattr(live.service, "status", broken)
    got = ask(live, "GET", "/v1/status")
    assert (got.status, got.json["error"]["code"]) == (500, "internal")
    assert "secret" not in got.text
    page = ask(live, "GET", "/")
    assert page.status == 500
    assert "secret" not in page.text
    assert page.headers["X-Request-Id"] in page.text


def test_the_executor_is_served_by_its_hash(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    file = tmp_path / f"esaas-executor-{hashlib.sha256(content).hexdigest()[:16]}.pyz"
    file.write_bytes(content)
    older = tmp_path / "esaas-executor-0123456789abcdef.pyz"
    older.write_bytes(b"of an older service")
    (tmp_path / "other.pyz").write_bytes(b"secret")
    (tmp_path / "esaas-executor-0123.pyz").write_bytes(b"secret")
    (tmp_path / "esaas-executor-aaaaaaaaaaaaaaaa.pyz").symlink_to("/etc/hostname")
    app = LiveApp(StandInService([]), executor_file=file)
    try:
        got = ask(app, "GET", f"/v1/executor/{file.name}")
        assert (got.status, got.body) == (200, content)
        assert got.headers["Content-Length"] == str(len(content))
        assert "immutable" in got.headers["Cache-Control"]
        assert ask(app, "GET", f"/v1/executor/{older.name}").body == b"of an older service"
        assert ask(app, "HEAD", f"/v1/executor/{older.name}").status == 200
        for other in ("other.pyz", "..%2F" + file.name, "%2Fetc%2Fpasswd", file.name + "%0A",
                      "esaas-executor-0123.pyz", "esaas-executor-aaaaaaaaaaaaaaaa.pyz",
                      "esaas-executor-ffffffffffffffff.pyz", file.name.upper(), "..", "%00"):
            assert ask(app, "GET", f"/v1/executor/{other}").status == 404
    finally:
        app.close()
