"""The operation log through API and pages: what is written, who sees it, and never a secret."""
from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from asking import Got, ask, post_form
from esaas.framework.service.access.throttle import Throttle
from esaas.framework.service.oplog.chain import lines_of
from esaas.framework.store.contract import StoreError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute
from live_app import PATIENCE_S, LiveApp
from people import ADMIN, PASSWORD, Browser, add_user, bearer
from standin_service import spec_of

SECRET = "PLANTED-hunter2-secret"


@pytest.fixture
def app() -> Iterator[LiveApp]:
    """With login, and somebody of every role."""
    made = LiveApp(login=True)
    add_user(made, "vera", "viewer", "flights")
    add_user(made, "otto", "operator", "flights")
    yield made
    made.close()


def found(app: LiveApp, headers: dict[str, str] | None = None, **wanted: Any) -> list[Any]:
    """Lines, newest first."""
    query = "&".join(f"{name}={value}" for name, value in wanted.items())
    got = ask(app, "GET", f"/v1/log?{query}", headers=ADMIN if headers is None else headers)
    assert got.status == 200, got.text
    lines: list[Any] = got.json["entries"]
    return lines


def everything(app: LiveApp) -> str:
    """All that the store of the log and of users holds, as text."""
    app.run(app.book.flush())
    database = sqlite3.connect(app.state / "esaas.sqlite3")
    try:
        rows = database.execute("SELECT path, data FROM records").fetchall()
    finally:
        database.close()
    return "\n".join(f"{path} {data.decode('utf-8', 'replace')}" for path, data in rows)


def spec(name: str = "brandnew", **more: Any) -> dict[str, Any]:
    return {"name": name, "tenant": "flights", "version": "6.8.23",
            "groups": [{"name": "node", "count": 3, "mem_mb": 2048, "disk_mb": 10240}]} | more


def until(app: LiveApp, count: int, **wanted: Any) -> list[Any]:
    """Poll for so many lines: what was refused is written when its answer is out."""
    deadline = time.monotonic() + PATIENCE_S
    while len(lines := found(app, **wanted)) < count:
        assert time.monotonic() < deadline, lines
    return lines


# ------------------------------------------------------------------ through the API

def test_a_change_is_written_before_and_after(app: LiveApp) -> None:
    otto = bearer(app, "operator", "flights")
    got = ask(app, "POST", "/v1/clusters/demo/scale", {"group": "node", "count": 5},
              {**otto, "X-Request-Id": "mine-1"})
    assert got.status == 202, got.text
    after, before = found(app, request_id="mine-1", every="true")
    assert (before["outcome"], before["seq"]) == ("begun", after["begun"])
    assert before["request"] == after["request"] == {"body": {"group": "node", "count": 5}}
    assert after["user"] == "token:operator of flights"
    assert (after["operation"], after["cluster"], after["tenant"]) == ("scale", "demo", "flights")
    assert (after["outcome"], after["status"], after["door"]) == ("done", 202, "api")
    assert after["revision"] == got.json["revision"]
    assert after["before"]["spec.groups[node].count"] == 3
    assert after["after"]["spec.groups[node].count"] == 5
    assert len(found(app, request_id="mine-1")) == 1, "what was begun is folded into its end"


def test_create_delete_and_switch(app: LiveApp) -> None:
    assert ask(app, "POST", "/v1/clusters", spec(), ADMIN).status == 202
    line = found(app, cluster="brandnew")[0]
    assert (line["operation"], line["tenant"]) == ("create_cluster", "flights")
    assert line["after"]["spec.version"] == "6.8.23"
    assert line["before"] == {}
    assert ask(app, "POST", "/v1/clusters/demo/switches/allocation",
               {"value": "none", "timeout_s": 60}, ADMIN).status == 202
    line = found(app, operation="edit_switch")[0]
    assert (line["subject"], line["after"]["switches.allocation"]) == ("allocation", "none")
    assert ask(app, "DELETE", "/v1/clusters/brandnew?confirm=brandnew", None, ADMIN).status == 202
    line = found(app, operation="delete_cluster")[0]
    assert (line["before"]["goal"], line["after"]["goal"]) == ("run", "delete")


def test_runs_are_called_by_what_they_do(app: LiveApp) -> None:
    for kind, operation in (("clear_cache", "cache_clear"), ("flush", "flush"),
                            ("force_merge", "force_merge"), ("reroute_retry", "reroute")):
        got = ask(app, "POST", "/v1/clusters/demo/operations", {"kind": kind}, ADMIN)
        assert got.status == 202
        assert found(app)[0]["operation"] == operation
    assert ask(app, "POST", "/v1/clusters/demo/nodes/node-0/restart", {}, ADMIN).status == 202
    line = found(app)[0]
    assert (line["operation"], line["subject"]) == ("restart_node", "node-0")


def test_users_and_tokens(app: LiveApp) -> None:
    body = {"name": "ann", "role": "viewer", "tenants": ["flights"], "password": SECRET}
    assert ask(app, "POST", "/v1/users", body, ADMIN).status == 201
    line = found(app, operation="add_user")[0]
    assert (line["subject"], line["tenant"]) == ("ann", "")
    assert line["request"] == {"body": {"name": "ann", "role": "viewer", "tenants": ["flights"]}}
    assert line["after"]["users[ann].role"] == "viewer"
    assert ask(app, "PATCH", "/v1/users/ann", {"role": "operator"}, ADMIN).status == 200
    line = found(app, operation="change_user")[0]
    assert (line["before"], line["after"]) == (
        {"users[ann].role": "viewer"}, {"users[ann].role": "operator"})
    made = ask(app, "POST", "/v1/tokens", {"name": "m", "role": "viewer", "tenants": ["x"]}, ADMIN)
    line = found(app, operation="create_token")[0]
    assert line["after"][f"tokens[{made.json['id']}].title"] == "m"
    assert ask(app, "DELETE", "/v1/users/ann", None, ADMIN).status == 200
    assert found(app, operation="remove_user")[0]["before"]["users[ann].role"] == "operator"
    assert SECRET not in everything(app)
    assert made.json["token"] not in everything(app)


def test_checks_and_reads_are_not_written(app: LiveApp) -> None:
    before = len(found(app, every="true"))
    for path in ("/v1/clusters", "/v1/clusters/demo", "/v1/users", "/v1/log", "/log", "/"):
        assert ask(app, "GET", path, headers=ADMIN).status == 200
    assert ask(app, "POST", "/v1/clusters?dry_run=true", spec(), ADMIN).status == 200
    nowhere = {"group": "nowhere", "count": 5}
    got = ask(app, "POST", "/v1/clusters/demo/scale?dry_run=true", nowhere, ADMIN)
    assert got.status >= 400
    assert len(found(app, every="true")) == before


def test_what_the_service_refuses_is_written_with_its_faults(app: LiveApp) -> None:
    got = ask(app, "POST", "/v1/clusters/demo/scale", {"group": "nowhere", "count": 5}, ADMIN)
    assert got.status in (404, 409, 422)
    line = found(app, cluster="demo")[0]
    assert (line["outcome"], line["status"]) == ("refused", got.status)
    assert line["error"]["message"] == got.json["error"]["message"]
    assert [fault["path"] for fault in line["error"]["faults"]] == list(got.faults)
    assert line["request_id"] == got.json["error"]["request_id"]


@pytest.mark.parametrize(("method", "path", "body", "status", "operation"), [
    ("POST", "/v1/clusters/demo/scale", {"group": "node"}, 422, "scale"),
    ("POST", "/v1/clusters/demo/scale", b"{", 400, "scale"),
    ("PUT", "/v1/clusters", {}, 405, "unknown"), ("POST", "/v1/nowhere", {}, 404, "unknown"),
    ("POST", "/v1/clusters/logs/restart", {}, 403, "restart_cluster"),
    ("POST", "/v1/users", {}, 403, "add_user")])
def test_what_is_refused_before_it_begins_is_one_line(
        app: LiveApp, method: str, path: str, body: Any, status: int, operation: str) -> None:
    app.call(lambda: app.service.fakes["logs"])       # of another tenant
    otto = bearer(app, "operator", "flights", name="otto's")
    headers = otto | {"Content-Type": "application/json", "X-Request-Id": "refused-1"}
    got = ask(app, method, path, body, headers)
    assert got.status == status, got.text
    [line] = until(app, 1, request_id="refused-1", every="true")
    assert (line["outcome"], line["status"], line["operation"]) == ("refused", status, operation)
    assert line["user"] == "token:otto's"
    assert line["error"]["message"]


def test_a_failure_of_ours_is_written(app: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: Any, **more: Any) -> Any:
        raise RuntimeError(f"with {SECRET} in it")

    monkeypatch.setattr(app.service, "restart", broken)
    got = ask(app, "POST", "/v1/clusters/demo/restart", {}, ADMIN)
    assert got.status == 500
    line = found(app, operation="restart_cluster")[0]
    assert (line["outcome"], line["error"]["code"]) == ("failed", "internal")
    assert SECRET not in everything(app)


def test_without_the_log_nothing_is_changed(
        app: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = bearer(app, "operator", "flights")

    def full(*_: Any) -> Any:
        raise StoreError("the disk is full")

    revision = ask(app, "GET", "/v1/clusters/demo", headers=headers).json["revision"]
    with monkeypatch.context() as patched:
        patched.setattr(app.book._writer, "append", full)
        for method, path, body in (
                ("POST", "/v1/clusters/demo/scale", {"group": "node", "count": 5}),
                ("POST", "/v1/clusters", spec()),
                ("PUT", "/v1/clusters/demo/secrets", {"a.b": "c"})):
            got = ask(app, method, path, body, headers)
            assert got.status == 503
            assert "the operation log cannot be written" in got.json["error"]["message"]
        got = ask(app, "POST", "/v1/login", {"user": "otto", "password": PASSWORD})
        assert got.status == 503
        browser = Browser(app)
        assert browser.log_in("otto").status == 503
        assert "esaas_session" not in browser.cookies
    assert ask(app, "GET", "/v1/clusters/brandnew", headers=ADMIN).status == 404
    assert ask(app, "GET", "/v1/clusters/demo", headers=headers).json["revision"] == revision
    tokens = ask(app, "GET", "/v1/tokens", headers=ADMIN).json
    assert [one for one in tokens if one["user"] == "otto"] == [], "the token was taken back"


def test_the_end_of_a_change_is_written_when_the_store_is_back(
        app: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    away, real = threading.Event(), app.book._writer.append

    def sometimes(drafts: Any, now: float) -> Any:
        if away.is_set() and any(draft.outcome == "done" for draft in drafts):
            raise StoreError("it is away")
        return real(drafts, now)

    monkeypatch.setattr(app.book._writer, "append", sometimes)
    away.set()
    assert ask(app, "POST", "/v1/clusters/demo/pause", {}, ADMIN).status in (200, 202)
    assert [one["outcome"] for one in found(app, operation="pause_cluster")] == ["begun"]
    away.clear()
    until(app, 1, operation="pause_cluster", outcome="done")


# ------------------------------------------------------------------------ logging in

def test_logins_through_both_doors(app: LiveApp) -> None:
    assert ask(app, "POST", "/v1/login", {"user": "otto", "password": PASSWORD}).status == 201
    browser = Browser(app)
    assert browser.log_in("vera").status == 303
    by_page, by_api = found(app, operation="login")
    assert (by_page["user"], by_page["door"], by_page["outcome"]) == ("vera", "page", "done")
    assert (by_api["user"], by_api["door"], by_api["remote"]) == ("otto", "api", "127.0.0.1")
    browser.post("/", "/logout", {})
    assert found(app, operation="logout")[0]["user"] == "vera"
    assert PASSWORD not in everything(app)


@pytest.mark.parametrize("door", ["api", "page"])
def test_logins_that_fail(app: LiveApp, door: str) -> None:
    def try_as(user: str) -> None:
        if door == "api":
            ask(app, "POST", "/v1/login", {"user": user, "password": SECRET})
        else:
            Browser(app).log_in(user, SECRET)

    try_as("otto")
    try_as("hunter2-in-the-wrong-field")
    lines = until(app, 2, operation="login", outcome="refused")
    assert [(one["user"], one["status"]) for one in lines] == [("(unknown)", 401), ("otto", 401)]
    assert "hunter2" not in everything(app)


def test_strangers_cannot_fill_the_log(app: LiveApp) -> None:
    for _ in range(40):
        ask(app, "POST", "/v1/login", {"user": "otto", "password": "wrong wrong"})
        ask(app, "POST", "/v1/clusters/demo/restart", {})
        ask(app, "DELETE", "/v1/users/otto", headers={"Authorization": "Bearer nonsense"})
    lines = found(app, outcome="refused")
    assert 3 <= len(lines) <= 6, "one for each operation, user and status"
    app.call(app.book.strangers.tell_rest)
    lines = found(app, outcome="refused")
    assert sum(one["count"] for one in lines) == 120
    assert len(lines) <= 12


def test_many_addresses_are_told_together(app: LiveApp) -> None:
    async def many() -> None:
        from esaas.framework.service.oplog.entry import Draft
        for number in range(300):
            app.book.strangers.refused(Draft(
                at=app.book.now(), user="(unknown)", operation="login", outcome="refused",
                remote=f"10.0.{number // 256}.{number % 256}", status=401))
        app.book.strangers.tell_rest()
        await asyncio.sleep(0)

    app.run(many())
    lines = found(app, operation="login", limit=1000)
    assert len(lines) == 61
    assert (lines[0]["remote"], lines[0]["count"]) == ("(several)", 240)


# -------------------------------------------------------------------------- pages

def test_a_form_is_written_like_the_api(app: LiveApp) -> None:
    browser = Browser(app)
    browser.log_in("otto")
    got = browser.post("/clusters/demo", "/clusters/demo/scale", {"group": "node", "count": "4"})
    assert got.status == 303
    line = found(app, cluster="demo")[0]
    assert (line["operation"], line["user"], line["door"]) == ("scale", "otto", "page")
    assert line["request"] == {"group": "node", "count": 4}
    assert line["after"]["spec.groups[node].count"] == 4
    assert line["begun"] is not None


def test_a_preview_is_not_written_and_what_is_applied_is(app: LiveApp) -> None:
    browser = Browser(app)
    browser.log_in("otto")
    asked = browser.post("/clusters/demo", "/clusters/demo/restart", {"node": ""})
    assert asked.status == 200
    assert found(app, cluster="demo", every="true") == []
    browser.post("/clusters/demo", "/clusters/demo/restart", {"node": "node-0", "sure": "1"})
    line = found(app, cluster="demo")[0]
    assert (line["operation"], line["outcome"]) == ("restart_node", "done")


def test_a_refused_form(app: LiveApp) -> None:
    browser = Browser(app)
    browser.log_in("otto")
    got = browser.post("/clusters/demo", "/clusters/demo/delete", {"confirm": "wrong"})
    assert got.status == 422
    line = found(app, operation="delete_cluster")[0]
    assert (line["outcome"], line["error"]["faults"][0]["path"]) == ("refused", "confirm")
    viewer = Browser(app)
    viewer.log_in("vera")
    got = viewer.post("/account", "/clusters/demo/pause", {})
    assert got.status == 403
    line = until(app, 1, operation="pause_cluster")[0]
    assert (line["user"], line["outcome"], line["status"]) == ("vera", "refused", 403)


def test_secrets_of_forms(app: LiveApp) -> None:
    browser = Browser(app)
    browser.log_in("otto")
    key = "s3.client.default.access_key"
    browser.post("/clusters/demo/operate", "/clusters/demo/secrets", {"key": key, "value": SECRET})
    line = found(app, operation="set_secrets")[0]
    assert line["request"] == {"body": {key: "***"}}
    browser.post("/account", "/account", {"old": PASSWORD, "new": SECRET, "again": SECRET})
    assert found(app, operation="change_password")[0]["outcome"] == "done"
    assert SECRET not in everything(app)
    assert PASSWORD not in everything(app)


# -------------------------------------------------------------------------- secrets

NAMES = st.sampled_from(["password", "api_key", "xpack.ssl.keystore.secure_password", "TOKEN",
                         "Authorization", "cookie", "s3.client.default.secret_key", "privateKey"])
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
HIDING = st.recursive(
    st.fixed_dictionaries({}).flatmap(lambda _: st.dictionaries(NAMES, st.just(SECRET),
                                                                min_size=1)),
    lambda inner: st.one_of(
        st.lists(st.one_of(inner, PLAIN), min_size=1, max_size=3),
        st.dictionaries(st.one_of(NAMES, st.text(max_size=10)), st.one_of(inner, PLAIN),
                        min_size=1, max_size=3)), max_leaves=6)
CHANGES = (("POST", "/v1/clusters"), ("PUT", "/v1/clusters/demo"),
           ("POST", "/v1/clusters/demo/plugins"), ("POST", "/v1/clusters/demo/scale"),
           ("PUT", "/v1/clusters/demo/secrets"), ("POST", "/v1/users"), ("POST", "/v1/login"),
           ("POST", "/v1/me/password"), ("POST", "/v1/tokens"), ("PATCH", "/v1/users/otto"),
           ("POST", "/v1/clusters/demo/operations"))


@pytest.fixture(scope="module")
def filled() -> Iterator[LiveApp]:
    many = RateLimitItemPerMinute(1_000_000)
    made = LiveApp(login=True, throttle=Throttle(many, many))
    add_user(made, "otto", "operator", "flights")
    yield made
    made.close()


@settings(max_examples=60, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow])
@given(where=st.sampled_from(CHANGES), hidden=HIDING, spread=st.booleans())
def test_a_planted_secret_is_never_stored(
        filled: LiveApp, where: tuple[str, str], hidden: Any, spread: bool) -> None:
    method, path = where
    body = hidden
    if isinstance(hidden, dict) and spread:
        body = {"name": "demo", "tenant": "flights", "group": "node", "count": 3,
                "user": "otto", "kind": "flush"} | hidden
    sent = json.dumps(body).encode()
    ask(filled, method, path, sent, ADMIN | {"Content-Type": "application/json"})
    assert SECRET not in everything(filled)


@pytest.mark.parametrize("text", [
    f"name: x\npassword: {SECRET}: [", f"password: '{SECRET}", f"{{'token': {SECRET}"])
def test_a_body_that_cannot_be_read_is_not_quoted(filled: LiveApp, text: str) -> None:
    for path in ("/v1/clusters", "/v1/users", "/v1/clusters/demo/plugins"):
        ask(filled, "POST", path, text.encode(), ADMIN | {"Content-Type": "application/yaml"})
    assert SECRET not in everything(filled)


def test_a_secret_of_a_spec_is_masked_in_request_and_difference(app: LiveApp) -> None:
    body = spec(config={"xpack.notification.slack.account.a.secure_url": "https://u:pw-pw@h/x",
                        "xpack.http.proxy.password": SECRET})
    got = ask(app, "POST", "/v1/clusters", body, ADMIN)
    shown = json.dumps(found(app, operation="create_cluster"))
    assert got.status in (202, 422), got.text
    assert "xpack.http.proxy.password" in shown
    assert SECRET not in everything(app)
    assert "pw-pw" not in everything(app)


# ------------------------------------------------------------------------- who sees it

def test_viewers_see_what_is_about_their_tenants(app: LiveApp) -> None:
    other = next(name for name, fake in app.service.fakes.items()
                 if app.service.owner(name).tenant != "flights")
    ask(app, "POST", "/v1/clusters/demo/pause", {}, ADMIN)
    ask(app, "POST", f"/v1/clusters/{other}/pause", {}, ADMIN)
    viewer, wide = bearer(app, "viewer", "flights"), bearer(app, "viewer")
    assert {one["cluster"] for one in found(app, viewer)} == {"demo"}
    assert {one["cluster"] for one in found(app, wide)} == {"demo", other}
    assert {one["operation"] for one in found(app)} >= {"pause_cluster", "create_token"}
    assert found(app, viewer, tenant=app.service.owner(other).tenant) == []
    for path in ("/v1/log/export", "/v1/log/verify"):
        assert ask(app, "GET", path, headers=wide).status == 403
    assert ask(app, "GET", "/v1/log").status == 401


def test_the_tenant_of_a_spec_counts_only_when_it_is_ones_own(app: LiveApp) -> None:
    otto = bearer(app, "operator", "flights")
    got = ask(app, "POST", "/v1/clusters", spec(tenant="rail"), otto)
    assert got.status == 403
    assert found(app, operation="create_cluster")[0]["tenant"] == ""


def test_export_and_verify(app: LiveApp) -> None:
    for _ in range(40):
        ask(app, "POST", "/v1/clusters/demo/restart", {}, ADMIN)
    got = ask(app, "GET", "/v1/log/export", headers=ADMIN)
    assert got.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in got.text.splitlines()]
    assert [one["seq"] for one in lines] == list(range(1, len(lines) + 1))
    assert int(got.headers["X-Esaas-Log-End"]) == lines[-1]["seq"] >= 80
    verdict = ask(app, "GET", "/v1/log/verify", headers=ADMIN).json
    assert (verdict["ok"], verdict["last_hash"]) == (True, lines[-1]["hash"])
    path = f"/v1/log/verify?seq=1&hash={'0' * 64}"
    assert ask(app, "GET", path, headers=ADMIN).json["fault"]["seq"] == 1
    store = app.book._store
    assert [line["hash"] for line in lines_of(store)] == [one["hash"] for one in lines]


def test_a_filter_that_is_wrong_is_refused_by_its_path(app: LiveApp) -> None:
    got = ask(app, "GET", "/v1/log?limit=0&outcome=fine&nothing=1", headers=ADMIN)
    assert got.status == 422
    assert set(got.faults) == {"limit", "outcome", "nothing"}


# ---------------------------------------------------------------------------- the page

def page(app: LiveApp, query: str = "", user: str = "otto") -> Got:
    browser = Browser(app)
    browser.log_in(user)
    return browser.get(f"/log{query}")


def test_the_page(app: LiveApp) -> None:
    assert "Nothing was changed yet." in page(app).text
    ask(app, "POST", "/v1/clusters/demo/scale", {"group": "node", "count": 5}, ADMIN)
    ask(app, "POST", "/v1/clusters/demo/scale", {"group": "no<b>", "count": 5}, ADMIN)
    shown = page(app, "?cluster=demo").text
    assert "spec.groups[node].count" in shown
    assert "no&lt;b&gt;" in shown
    assert "no<b>" not in shown
    assert '<option value="scale">' in shown
    assert "token:admin-token-file" in shown
    assert "Nothing fits." in page(app, "?user=nobody").text
    assert "/log?cluster=demo" in ask(app, "GET", "/clusters/demo", headers=ADMIN).text


def test_the_page_keeps_what_was_typed_and_says_what_is_wrong(app: LiveApp) -> None:
    got = page(app, "?since=soon&user=x%22y")
    assert got.status == 422
    assert 'value="soon"' in got.text
    assert "x&quot;y" in got.text
    assert "a time such as" in got.text
    assert page(app, "?before=zero&outcome=fine").status == 422


def test_the_page_has_pages(app: LiveApp) -> None:
    for _ in range(60):
        ask(app, "POST", "/v1/clusters/demo/restart", {}, ADMIN)
    first = page(app, "?cluster=demo")
    assert first.text.count('class="card" id="entry-') == 50
    older = first.text.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
    second = page(app, older.removeprefix("/log").replace("&amp;", "&"))
    assert second.text.count('class="card" id="entry-') == 10


def test_without_login_everybody_is_anonymous(live: LiveApp) -> None:
    assert post_form(live, "/clusters/demo", "/clusters/demo/pause", {}).status == 303
    line = found(live, {})[0]
    assert (line["user"], line["operation"]) == ("anonymous", "pause_cluster")


def test_specs_of_the_stand_in_fit() -> None:
    assert spec_of("brandnew", "flights").name == spec()["name"]
