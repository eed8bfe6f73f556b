"""Who may do what through API, pages and streams: refused where it must be, and nowhere else."""
from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from asking import ask
from esaas.framework.service.access.people import Role
from esaas.framework.service.access.sessions import IDLE_S, RENEW_S
from esaas.framework.service.access.throttle import PER_USER, Throttle
from esaas.ui.access_pages import safe_next
from esaas.ui.app import make_app
from esaas.ui.base import Guarded, Static
from esaas.ui.gate import SESSION_COOKIE
from esaas.ui.pages import Page
from esaas.ui.route import Route
from esaas.ui.routes import ROUTES
from limits import RateLimitItemPerMinute
from live_app import ADMIN_TOKEN, PATIENCE_S, LiveApp
from people import ADMIN, PASSWORD, Browser, add_user, bearer

# All that answers without a login. Agents fetch the executor; the others are the way in.
OPEN_ROUTES = {("GET", "/v1/executor/{name}"), ("GET", "/v1/health"), ("POST", "/v1/login")}
OPEN_PAGES = {"/login", "/language"}
WORDS = {"name": "demo", "node": "node-0", "step": "start-node-0", "switch": "allocation",
         "plugin": "p", "user": "ann", "token": "t", "tenant": "flights", "what": "change",
         "fragment": "fragment"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[LiveApp]:
    """The application with login, over stand-in data that no test of the module changes."""
    app = LiveApp(login=True, throttle=Throttle(per_address=RateLimitItemPerMinute(10_000)))
    add_user(app, "vera", "viewer", "flights")
    add_user(app, "otto", "operator", "flights")
    yield app
    app.close()


@pytest.fixture
def own() -> Iterator[LiveApp]:
    """The same, for a test that changes it."""
    app = LiveApp(login=True)
    yield app
    app.close()


def address(path: str) -> str:
    """A route's address with something in each place."""
    for name, word in WORDS.items():
        path = path.replace("{" + name + "}", word)
    return path


def is_read(route: Route) -> bool:
    return route.method == "GET"


# ------------------------------------------------------------- the table of roles

def test_every_route_and_page_declares_what_it_needs(guarded: LiveApp) -> None:
    assert {(one.method, one.path) for one in ROUTES if one.role is None} == OPEN_ROUTES
    app = make_app(guarded.service, access=guarded.access, book=guarded.book)
    handlers = {rule.matcher.regex.pattern: rule.target for rule in app.wildcard_router.rules}
    assert len(handlers) > 40
    assert [pattern for pattern, handler in handlers.items()
            if not issubclass(handler, Guarded | Static)] == []
    opened = {pattern.rstrip("$") for pattern, handler in handlers.items()
              if issubclass(handler, Page) and None in (handler.sees, handler.acts)}
    assert opened == OPEN_PAGES


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_api_without_a_login(guarded: LiveApp, route: Route) -> None:
    got = ask(guarded, route.method, address(route.path), {} if not is_read(route) else None)
    if (route.method, route.path) in OPEN_ROUTES:
        assert got.status != 401
        return
    assert got.status == 401
    assert got.json["error"]["code"] == "unauthenticated"
    assert got.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("route", [one for one in ROUTES if one.role not in (None, Role.VIEWER)],
                         ids=lambda route: route.name)
def test_api_with_a_role_below(guarded: LiveApp, route: Route) -> None:
    assert route.role is not None
    below = [role for role in Role if not role.covers(route.role)]
    for role in below:
        person = bearer(guarded, role, name=f"{role} below {route.name}")
        got = ask(guarded, route.method, address(route.path),
                  None if is_read(route) else {}, person)
        assert got.status == 403, role
        assert str(route.role) in got.json["error"]["message"]


def test_changes_take_an_operator_and_users_an_admin() -> None:
    for route in ROUTES:
        if route.path.startswith(("/v1/users", "/v1/tokens")):
            assert route.role is Role.ADMIN, route.name
        elif route.path.startswith("/v1/clusters"):
            assert route.role is (Role.VIEWER if is_read(route) else Role.OPERATOR), route.name


PAGES = ["/", "/new", "/clusters", "/clusters/demo", "/clusters/demo/edit", "/users", "/tokens",
         "/clusters/demo/revisions", "/clusters/demo/operate", "/account", "/nothing",
         "/clusters/demo/replace?node=node-0", "/clusters/demo/abandon"]


@pytest.mark.parametrize("page", PAGES)
def test_pages_without_a_login_lead_to_it_and_back(guarded: LiveApp, page: str) -> None:
    browser = Browser(guarded)
    got = browser.get(page)
    assert got.status == 303
    assert unquote(got.headers["Location"]) == f"/login?next={page}"
    back = browser.log_in("vera", target=page)
    assert (back.status, back.headers["Location"]) == (303, page)


@pytest.mark.parametrize("form", ["scale", "edit", "rollback", "restart", "pause", "continue",
                                  "delete", "force", "restart-step", "abandon", "replace", "keep",
                                  "hold", "release", "switch", "run", "secrets", "plugins"])
def test_forms_take_an_operator(guarded: LiveApp, form: str) -> None:
    browser = Browser(guarded)
    nobody = ask(guarded, "POST", f"/clusters/demo/{form}", b"x=1")
    assert (nobody.status, nobody.headers["Location"]) == (
        303, f"/login?next=%2Fclusters%2Fdemo%2F{form}")
    browser.log_in("vera")
    refused = browser.post("/account", f"/clusters/demo/{form}", {})
    assert refused.status == 403
    assert "role operator" in refused.text


def test_what_a_viewer_may_not_do_is_not_shown(guarded: LiveApp) -> None:
    vera, otto = Browser(guarded), Browser(guarded)
    vera.log_in("vera")
    otto.log_in("otto")
    for page in ("/", "/clusters/demo", "/clusters/turning", "/clusters/trial",
                 "/clusters/demo/operate", "/clusters/demo/revisions"):
        seen, used = vera.get(page), otto.get(page)
        assert (seen.status, used.status) == (200, 200), page
        # A viewer's page has forms to search, to leave and to choose the language, no more.
        assert seen.text.count("<form") == sum(map(seen.text.count, (
            'action="/logout"', '<form method="dialog"', 'action="/language"',
            'role="search"'))), page
        for hidden in ("/new", "/edit", "abandon", "pause-form", "?to="):
            assert hidden not in seen.text, (page, hidden)
        assert "/users" not in used.text
    assert "pause-form" in otto.get("/clusters/demo").text
    for page in ("/new", "/clusters/demo/edit", "/clusters/demo/revisions?to=1",
                 "/clusters/demo/replace?node=node-0", "/users", "/tokens"):
        assert vera.get(page).status == 403, page


# ------------------------------------------------------------------------- tenants

def test_only_clusters_of_ones_tenants(guarded: LiveApp) -> None:
    mine = bearer(guarded, "operator", "flights")
    listed = ask(guarded, "GET", "/v1/clusters", headers=mine).json
    everything = ask(guarded, "GET", "/v1/clusters", headers=ADMIN).json
    assert {one["tenant"] for one in listed} == {"flights"}
    assert {one["tenant"] for one in everything} > {"flights"}
    assert [one["name"] for one in listed] == [
        one["name"] for one in everything if one["tenant"] == "flights"]
    assert ask(guarded, "GET", "/v1/clusters?tenant=hotels", headers=mine).json == []
    for path in ("", "/nodes", "/plan", "/events", "/events/stream", "/revisions", "/secrets",
                 "/operations", "/offers", "/endpoints"):
        assert ask(guarded, "GET", f"/v1/clusters/logs{path}", headers=mine).status == 403, path
    assert ask(guarded, "GET", "/v1/clusters/lo%67s", headers=mine).status == 403
    assert ask(guarded, "GET", "/v1/clusters/none", headers=mine).status == 404
    assert ask(guarded, "POST", "/v1/clusters/logs/pause", {}, mine).status == 403
    assert ask(guarded, "DELETE", "/v1/clusters/logs?confirm=logs", headers=mine).status == 403
    events = ask(guarded, "GET", "/v1/events?limit=1000", headers=mine).json
    assert {one["cluster"] for one in events} == {one["name"] for one in listed}
    assert [one["seq"] for one in events] == sorted(one["seq"] for one in events)
    newest = ask(guarded, "GET", "/v1/events?limit=2", headers=mine).json
    assert newest == events[-2:]
    after = ask(guarded, "GET", f"/v1/events?limit=2&after={events[0]['seq']}", headers=mine).json
    assert after == events[1:3]


def test_pages_show_only_clusters_of_ones_tenants(guarded: LiveApp) -> None:
    vera = Browser(guarded)
    vera.log_in("vera")
    listed = vera.get("/").text
    assert "/clusters/demo" in listed
    assert "/clusters/logs" not in listed
    assert "hotels" not in listed
    assert vera.get("/clusters/logs").status == 403
    assert vera.get("/clusters/logs/fragment").status == 403
    assert vera.get("/clusters/none").status == 404


SPEC = {"name": "mine", "tenant": "flights", "version": "6.8.23",
        "groups": [{"name": "n", "count": 3}]}


def test_clusters_are_made_for_ones_own_tenants(own: LiveApp) -> None:
    mine = bearer(own, "operator", "flights")
    for query in ("", "?dry_run=1"):
        other = ask(own, "POST", f"/v1/clusters{query}", SPEC | {"tenant": "hotels"}, mine)
        assert other.status == 403
    assert ask(own, "POST", "/v1/clusters", SPEC | {"tenant": 7}, mine).status == 422
    assert ask(own, "POST", "/v1/clusters", [SPEC], mine).status == 400
    assert ask(own, "POST", "/v1/clusters", SPEC, mine).status == 202
    moved = ask(own, "PUT", "/v1/clusters/mine", SPEC | {"tenant": "hotels"}, mine)
    assert moved.status == 403
    add_user(own, "otto", "operator", "flights")
    browser = Browser(own)
    browser.log_in("otto")
    text = "name: x\ntenant: hotels\nversion: 6.8.23\ngroups: [{name: n, count: 3}]\n"
    assert browser.post("/new", "/new", {"spec": text}).status == 403
    assert "x" not in own.service.fakes


def test_what_happened_to_an_earlier_cluster_of_that_name_is_not_told(own: LiveApp) -> None:
    mine = bearer(own, "viewer", "flights")
    service = own.service

    def long_ago() -> None:
        now, service.clock = service.clock, service.owner("demo").created_at
        service.emit("demo", "hello", "of somebody else's cluster")
        service.clock = now
        service.emit("demo", "hello", "of this one")

    own.call(long_ago)
    for path in ("/v1/clusters/demo/events", "/v1/events", "/clusters/demo"):
        told = ask(own, "GET", path, headers=mine).text
        assert "of this one" in told
        assert "somebody else" not in told
    assert "somebody else" in ask(own, "GET", "/v1/clusters/demo/events", headers=ADMIN).text


def events_of(app: LiveApp, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    line = http.client.HTTPConnection("127.0.0.1", app.port, timeout=PATIENCE_S)
    line.request("GET", path, headers=headers)
    return line.getresponse()


def test_streams_leave_other_tenants_out(own: LiveApp) -> None:
    stream = events_of(own, "/v1/events/stream", bearer(own, "viewer", "flights"))
    assert stream.status == 200
    assert stream.readline().startswith(b"retry")
    own.call(lambda: own.service.emit("logs", "hello", "not for you"))
    own.call(lambda: own.service.emit("demo", "hello", "for you"))
    seen = b""
    while b"for you" not in seen:
        seen += stream.readline()
    assert b"logs" not in seen
    assert b"not for you" not in seen
    stream.close()


@pytest.mark.parametrize("what", ["revoke", "tenants", "disable"])
def test_a_stream_ends_with_the_right_to_see_it(own: LiveApp, what: str) -> None:
    add_user(own, "vera", "viewer", "flights")
    browser = Browser(own)
    browser.log_in("vera")
    made = ask(own, "POST", "/v1/tokens", {"name": "x", "role": "viewer", "tenants": ["*"]},
               ADMIN).json
    headers = ({"Authorization": f"Bearer {made['token']}"} if what == "revoke" else
               {"Cookie": f"{SESSION_COOKIE}={browser.cookies[SESSION_COOKIE]}"})
    stream = events_of(own, "/v1/clusters/demo/events/stream", headers)
    assert stream.readline().startswith(b"retry")
    if what == "revoke":
        done = ask(own, "DELETE", f"/v1/tokens/{made['id']}", headers=ADMIN)
    else:
        body = {"tenants": ["hotels"]} if what == "tenants" else {"disabled": True}
        done = ask(own, "PATCH", "/v1/users/vera", body, ADMIN)
    assert done.status == 200
    while stream.readline():        # ends by itself; the connection's time-out fails otherwise
        pass


# ------------------------------------------------------------- sessions and cookies

def test_the_cookie_of_a_session(own: LiveApp) -> None:
    add_user(own, "vera", "viewer")
    browser = Browser(own)
    got = browser.log_in("vera")
    line = next(one for one in got.headers.get_all("Set-Cookie") if SESSION_COOKIE in one)
    assert all(part in line for part in ("HttpOnly", "SameSite=Lax", "Path=/"))
    assert "Secure" not in line, "there is no TLS here"
    assert PASSWORD not in line
    assert browser.get("/v1/me").json["name"] == "vera"
    before = browser.cookies[SESSION_COOKIE]
    own.late_s = RENEW_S + 1
    assert browser.get("/").status == 200
    assert browser.cookies[SESSION_COOKIE] != before, "a session in use slides"
    own.late_s = IDLE_S + RENEW_S
    assert browser.get("/v1/me").status == 200
    assert Browser(own, {SESSION_COOKIE: before}).get("/v1/me").status == 401


def test_forged_and_broken_cookies(guarded: LiveApp) -> None:
    browser = Browser(guarded)
    browser.log_in("vera")
    good = browser.cookies[SESSION_COOKIE]
    payload = good.split("|")[4].split(":")[1]
    forged = base64.b64encode(base64.b64decode(payload).replace(b"vera", b"root")).decode()
    assert forged != payload
    for wrong in (good[:-1] + ("0" if good[-1] != "0" else "1"), good.replace(payload, forged),
                  "", "x", "2|1:0|10:1|13:esaas_session|4:e30=|" + "0" * 64):
        assert ask(guarded, "GET", "/v1/me",
                   headers={"Cookie": f"{SESSION_COOKIE}={wrong}"}).status == 401


def test_logout_ends_the_session_in_the_service(guarded: LiveApp) -> None:
    browser = Browser(guarded)
    browser.log_in("vera")
    stolen = dict(browser.cookies)
    assert browser.post("/", "/logout", {}).headers["Location"] == "/login"
    assert SESSION_COOKIE not in browser.cookies
    assert Browser(guarded, stolen).get("/v1/me").status == 401
    assert Browser(guarded, stolen).get("/").status == 303


def test_live_updates_of_a_session_that_is_over_are_no_login_page(guarded: LiveApp) -> None:
    assert ask(guarded, "GET", "/clusters/demo/fragment").status == 401


@pytest.mark.parametrize("text", [
    "//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "javascript:x",
    "evil", "", "/login", "/logout", "/login?next=/", "///evil.example", "/\tevil", "/x\r\ny: z",
    "http:/evil", "/v1/me", "//[", "/ /evil\u2028"])
def test_after_a_login_nobody_lands_elsewhere(guarded: LiveApp, text: str) -> None:
    assert safe_next(text) == "/"


def test_a_login_goes_where_one_wanted_to(guarded: LiveApp) -> None:
    assert safe_next("/clusters/demo?notice=x") == "/clusters/demo?notice=x"
    browser = Browser(guarded)
    assert browser.log_in("vera", target="//evil.example").headers["Location"] == "/"
    known = browser.get("/login?next=/clusters/demo")
    assert (known.status, known.headers["Location"]) == (302, "/clusters/demo")


def test_a_refused_login_says_little_and_keeps_no_password(guarded: LiveApp) -> None:
    browser = Browser(guarded)
    wrong = browser.log_in("vera", "hunter2-wrong")
    unknown = browser.log_in("nobody", "hunter2-wrong")
    for got in (wrong, unknown):
        assert got.status == 401
        assert "the user or the password is wrong" in got.text
        assert "hunter2" not in got.text
        assert SESSION_COOKIE not in browser.cookies
    assert 'value="vera"' in wrong.text


def test_guessing_is_slowed_down(own: LiveApp) -> None:
    browser = Browser(own)
    for _ in range(PER_USER.amount):
        assert browser.log_in("admin", "wrong").status == 401
    got = browser.log_in("admin", "wrong")
    assert got.status == 429
    assert 1 <= int(got.headers["Retry-After"]) <= 60
    by_api = ask(own, "POST", "/v1/login", {"user": "admin", "password": "wrong"})
    assert (by_api.status, by_api.json["error"]["code"]) == (429, "too_many_tries")
    assert by_api.headers["Retry-After"]


# ------------------------------------------------------------------- forged requests

def test_api_changes_with_a_cookie_need_the_token_of_a_page(own: LiveApp) -> None:
    add_user(own, "otto", "operator")
    browser = Browser(own)
    browser.log_in("otto")
    path = "/v1/clusters/demo/pause"
    assert browser.send("POST", path, {}).status == 403
    assert browser.send("POST", path, {}, X_XSRFToken="wrong").status == 403
    token = browser.get("/v1/me").headers["X-XSRFToken"]
    assert browser.send("POST", path, {}, X_XSRFToken=token).status == 202
    cross = browser.send("POST", path, {}, X_XSRFToken=token, Sec_Fetch_Site="cross-site")
    assert cross.status == 403
    # A token proves by itself that no other site sends this.
    assert ask(own, "POST", "/v1/clusters/demo/continue", {}, ADMIN).status == 202
    assert "X-XSRFToken" not in ask(own, "GET", "/v1/me", headers=ADMIN).headers


def test_a_login_form_needs_its_token(guarded: LiveApp) -> None:
    got = ask(guarded, "POST", "/login", b"user=vera&password=x", {
        "Content-Type": "application/x-www-form-urlencoded"})
    assert got.status == 403


@pytest.mark.parametrize("value", ["Basic dmVyYTp4", "Bearer", "Bearer ", "bearer x", "Bearer x y",
                                   "Bearer " + "x" * 5000, "Bearer \xff", "Token " + ADMIN_TOKEN])
def test_wrong_authorization_is_refused_also_beside_a_good_cookie(guarded: LiveApp,
                                                                  value: str) -> None:
    browser = Browser(guarded)
    browser.log_in("vera")
    assert browser.get("/v1/me", Authorization=value).status == 401
    assert ask(guarded, "GET", "/v1/me", headers={"Authorization": value}).status == 401


# ------------------------------------------------------------------ users and tokens

def test_users_by_rest(own: LiveApp) -> None:
    body = {"name": "ann", "role": "operator", "tenants": ["flights"], "password": PASSWORD}
    added = ask(own, "POST", "/v1/users", body, ADMIN)
    assert added.status == 201
    assert "password" not in added.json and "hash" not in added.text
    assert ask(own, "POST", "/v1/users", body, ADMIN).status == 409
    faulty = ask(own, "POST", "/v1/users", {"name": "Ann", "role": "boss", "tenants": ["A"],
                                            "password": "hunt"}, ADMIN)
    assert (faulty.status, set(faulty.faults)) == (
        422, {"name", "role", "tenants[0]", "password"})
    assert "hunt" not in faulty.text
    login = ask(own, "POST", "/v1/login", {"user": "ann", "password": PASSWORD})
    assert login.status == 201
    assert login.headers["Cache-Control"] == "no-store"
    mine = {"Authorization": f"Bearer {login.json['token']}"}
    assert ask(own, "GET", "/v1/me", headers=mine).json["tenants"] == ["flights"]
    assert ask(own, "PATCH", "/v1/users/ann", {"role": "viewer"}, ADMIN).status == 200
    assert ask(own, "GET", "/v1/me", headers=mine).json["role"] == "viewer"
    wrong = ask(own, "POST", "/v1/me/password", {"old": "wrong", "new": "new " + PASSWORD}, mine)
    assert wrong.status == 403
    new = ask(own, "POST", "/v1/me/password", {"old": PASSWORD, "new": "new " + PASSWORD}, mine)
    assert new.status == 200
    assert ask(own, "GET", "/v1/me", headers=mine).status == 200, "its own token goes on"
    assert ask(own, "POST", "/v1/users/ann/password", {"password": PASSWORD}, ADMIN).status == 200
    assert ask(own, "GET", "/v1/me", headers=mine).status == 401
    assert ask(own, "DELETE", "/v1/users/ann", headers=ADMIN).status == 200
    assert ask(own, "DELETE", "/v1/users/ann", headers=ADMIN).status == 404
    last = ask(own, "DELETE", "/v1/users/admin", headers=ADMIN)
    assert last.status == 409
    assert [one["name"] for one in ask(own, "GET", "/v1/users", headers=ADMIN).json] == ["admin"]


def test_tokens_by_rest(own: LiveApp) -> None:
    mine = bearer(own, "viewer", "flights", name="ci")
    listed = ask(own, "GET", "/v1/tokens", headers=ADMIN).json
    assert [one["name"] for one in listed] == ["ci"]
    assert mine["Authorization"].split()[1] not in str(listed)
    assert ask(own, "POST", "/v1/logout", {}, mine).status == 409
    gone = ask(own, "DELETE", f"/v1/tokens/{listed[0]['id']}", headers=ADMIN)
    assert gone.status == 200
    assert ask(own, "GET", "/v1/me", headers=mine).status == 401


def test_users_and_tokens_by_page(own: LiveApp) -> None:
    first = (own.state / "admin-password").read_text().strip()
    browser = Browser(own)
    assert browser.log_in("admin", first).status == 303
    add = {"name": "ann", "role": "operator", "tenants": "flights, hotels", "password": PASSWORD}
    assert browser.post("/users", "/users", add).headers["Location"] == "/users?notice=added"
    refused = browser.post("/users", "/users", add | {"tenants": "Not_A_Tenant"})
    assert refused.status == 422
    assert PASSWORD not in refused.text
    assert "tenants flights, hotels" in browser.get("/users?notice=added").text
    changed = browser.post("/users", "/users/ann/change", {"role": "admin", "tenants": "x"})
    assert changed.headers["Location"] == "/users?notice=changed"
    assert browser.post("/users", "/users/ann/password", {"password": "hunt"}).status == 422
    for what in ("disable", "enable"):
        assert browser.post("/users", f"/users/ann/{what}", {}).status == 303
    asked = browser.post("/users", "/users/ann/remove", {})
    assert (asked.status, "Remove the user ann?" in asked.text) == (200, True)
    assert browser.post("/users", "/users/ann/remove", {"sure": "yes"}).status == 303
    kept = browser.post("/users", "/users/admin/remove", {"sure": "yes"})
    assert (kept.status, "last admin" in kept.text) == (409, True)
    assert browser.get("/users/ann/change").headers["Location"] == "/users"

    wanted = {"name": "ci", "role": "viewer", "tenants": "*", "expires": "90d"}
    made = browser.post("/tokens", "/tokens", wanted)
    assert "esaas_" in made.text
    assert "esaas_" not in browser.get("/tokens").text
    assert browser.post("/tokens", "/tokens", wanted | {"name": "x", "expires": "?"}).status == 422
    ident = ask(own, "GET", "/v1/tokens", headers=ADMIN).json[0]["id"]
    assert "Revoke the token ci?" in browser.post("/tokens", f"/tokens/{ident}/revoke", {}).text
    assert browser.post("/tokens", f"/tokens/{ident}/revoke", {"sure": "yes"}).status == 303
    assert browser.post("/tokens", f"/tokens/{ident}/revoke", {}).status == 404


def test_ones_own_password_by_page(own: LiveApp) -> None:
    add_user(own, "vera", "viewer")
    here, there = Browser(own), Browser(own)
    here.log_in("vera")
    there.log_in("vera")
    for fields, status in (({"old": PASSWORD, "new": "hunt", "again": "hunt"}, 422),
                           ({"old": PASSWORD, "new": "new-" * 4, "again": "other"}, 422),
                           ({"old": "wrong", "new": "new-" * 4, "again": "new-" * 4}, 403)):
        got = here.post("/account", "/account", fields)
        assert got.status == status
        assert all(f'value="{value}"' not in got.text for value in fields.values())
    done = here.post("/account", "/account",
                     {"old": PASSWORD, "new": "new-" * 4, "again": "new-" * 4})
    assert done.headers["Location"] == "/account?notice=own"
    assert here.get("/account").status == 200
    assert there.get("/account").status == 303


def test_without_login_a_banner_says_so(live: LiveApp, guarded: LiveApp) -> None:
    assert "Login is switched off" in ask(live, "GET", "/").text
    assert ask(live, "GET", "/v1/me").json["kind"] == "anybody"
    assert "/logout" not in ask(live, "GET", "/").text
    browser = Browser(guarded)
    browser.log_in("vera")
    assert "Login is switched off" not in browser.get("/").text
    assert 'action="/logout"' in browser.get("/").text
