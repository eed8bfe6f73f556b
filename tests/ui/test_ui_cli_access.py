"""The command line against a service with login: tokens, where they are kept, and who is asked."""
from __future__ import annotations

import http.server
import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import ask
from click.testing import CliRunner, Result
from esaas.framework.cli import main
from esaas.framework.client import Client, Refused
from esaas.framework.commands.frame import REFUSED, USAGE
from esaas.framework.store.sqlite import SqliteStore
from live_app import ADMIN_TOKEN, PATIENCE_S, LiveApp
from people import ADMIN, PASSWORD, add_user


@pytest.fixture
def own() -> Iterator[LiveApp]:
    """A service with login, and an operator."""
    app = LiveApp(login=True)
    add_user(app, "otto", "operator", "flights")
    yield app
    app.close()


class Shell:
    """Runs commands with a configuration directory of its own."""

    def __init__(self, app: LiveApp, home: Path) -> None:
        self.app, self.home = app, home

    @property
    def file(self) -> Path:
        return self.home / "esaas" / "credentials.json"

    def __call__(self, *args: str, text: str | None = None, **env: str) -> Result:
        return CliRunner().invoke(main, list(args), input=text, env={
            "ESAAS_URL": self.app.url, "XDG_CONFIG_HOME": str(self.home), "COLUMNS": "200",
            "ESAAS_TOKEN": None, "ESAAS_TOKEN_FILE": None} | env)

    def admin(self, *args: str, text: str | None = None) -> Result:
        return self(*args, text=text, ESAAS_TOKEN=ADMIN_TOKEN)


@pytest.fixture
def esaas(own: LiveApp, tmp_path: Path) -> Shell:
    return Shell(own, tmp_path)


def test_without_a_token_one_is_told_how_to_log_in(esaas: Shell) -> None:
    got = esaas("cluster", "list")
    assert got.exit_code == REFUSED
    assert "esaas login" in got.stderr
    as_json = esaas("cluster", "list", "--json")
    assert json.loads(as_json.stderr)["error"]["code"] == "unauthenticated"


def test_login_whoami_logout(esaas: Shell) -> None:
    done = esaas("login", text=f"otto\n{PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(esaas.file.stat().st_mode) == 0o600
    kept = json.loads(esaas.file.read_text())
    assert list(kept) == [esaas.app.url]
    token = kept[esaas.app.url]["token"]
    assert token not in done.output
    assert PASSWORD not in done.output + esaas.file.read_text()
    assert "otto, operator of flights" in esaas("whoami").stdout
    assert "demo" in esaas("cluster", "list").stdout
    assert esaas("cluster", "show", "logs").exit_code == REFUSED
    listed = ask(esaas.app, "GET", "/v1/tokens", headers=ADMIN).json
    assert [one["user"] for one in listed] == ["otto"]
    assert listed[0]["name"].startswith("esaas on ")
    assert "Logged out" in esaas("logout").stdout
    assert ask(esaas.app, "GET", "/v1/tokens", headers=ADMIN).json == []
    assert esaas("whoami").exit_code == REFUSED
    assert "not logged in" in esaas("logout").stdout


def test_a_second_login_revokes_the_first(esaas: Shell, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    for _ in range(2):
        assert esaas("login", "--user", "otto", "--password-file", str(file)).exit_code == 0
    assert len(ask(esaas.app, "GET", "/v1/tokens", headers=ADMIN).json) == 1
    assert esaas("whoami").exit_code == 0


def test_a_wrong_login_stores_nothing(esaas: Shell) -> None:
    got = esaas("login", "--user", "otto", text="hunter2-wrong\n")
    assert got.exit_code == REFUSED
    assert "hunter2" not in got.output
    assert not esaas.file.exists()


def test_tokens_of_the_environment(esaas: Shell, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(ADMIN_TOKEN + "\n")
    assert "admin" in esaas("whoami", ESAAS_TOKEN_FILE=str(file)).stdout
    assert esaas("whoami", ESAAS_TOKEN="wrong").exit_code == REFUSED
    assert esaas("whoami", ESAAS_TOKEN_FILE=str(tmp_path / "none")).exit_code == USAGE
    odd = esaas("whoami", ESAAS_TOKEN="two words")
    assert (odd.exit_code, "two words" in odd.output) == (USAGE, False)


def test_a_stored_token_goes_to_its_service_only(esaas: Shell) -> None:
    assert esaas("login", "--user", "otto", text=f"{PASSWORD}\n").exit_code == 0
    other = LiveApp(login=True)
    try:
        assert esaas("whoami", "--url", other.url).exit_code == REFUSED
        assert esaas("whoami", "--url", esaas.app.url + "/").exit_code == 0
    finally:
        other.close()


def test_a_token_is_not_carried_on_to_where_an_answer_sends_us(own: LiveApp) -> None:
    seen: list[str | None] = []

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            if self.path == "/v1/me":
                self.send_response(302)
                self.send_header("Location", f"http://localhost:{port}/stolen")
            else:
                self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Elsewhere)
    port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        Client(f"http://127.0.0.1:{port}", "a-token").get("/v1/me")
    finally:
        server.shutdown()
        thread.join(PATIENCE_S)
        server.server_close()
    assert seen == ["Bearer a-token", None]


def test_users(esaas: Shell) -> None:
    added = esaas.admin("user", "add", "vera", "--role", "viewer", "--tenant", "flights",
                        "--tenant", "hotels", text=f"{PASSWORD}\n{PASSWORD}\n")
    assert added.exit_code == 0, added.output
    assert PASSWORD not in added.output
    listed = esaas.admin("user", "list").stdout
    assert "flights, hotels" in listed
    assert esaas("login", "--user", "vera", text=f"{PASSWORD}\n").exit_code == 0
    assert esaas("user", "list").exit_code == REFUSED
    own = esaas("user", "password", text=f"{PASSWORD}\nnew {PASSWORD}\nnew {PASSWORD}\n")
    assert own.exit_code == 0, own.output
    assert esaas("whoami").exit_code == 0
    assert esaas.admin("user", "set", "vera").exit_code == USAGE
    assert esaas.admin("user", "set", "vera", "--role", "admin").exit_code == 0
    assert esaas.admin("user", "set", "vera", "--disable").exit_code == 0
    assert "disabled" in esaas.admin("user", "list").stdout
    assert esaas("whoami").exit_code == REFUSED
    assert esaas.admin("user", "set", "vera", "--enable").exit_code == 0
    by_admin = esaas.admin("user", "password", "vera", text=f"{PASSWORD}\n{PASSWORD}\n")
    assert by_admin.exit_code == 0
    assert esaas.admin("user", "remove", "vera").exit_code == 0
    refused = esaas.admin("user", "remove", "admin")
    assert (refused.exit_code, "[an_admin_stays]" in refused.stderr) == (REFUSED, True)
    faulty = esaas.admin("user", "add", "x", "--role", "viewer", text=f"{PASSWORD}\n{PASSWORD}\n")
    assert (faulty.exit_code, "tenants:" in faulty.stderr) == (REFUSED, True)


def test_tokens(esaas: Shell) -> None:
    made = esaas.admin("token", "create", "ci", "--role", "operator", "--tenant", "flights",
                       "--expires", "12h")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    assert "token:ci, operator of flights" in esaas("whoami", ESAAS_TOKEN=token).stdout
    listed = json.loads(esaas.admin("token", "list", "--json").stdout)
    assert token not in esaas.admin("token", "list").stdout
    assert esaas.admin("token", "revoke", listed[0]["id"]).exit_code == 0
    assert esaas("whoami", ESAAS_TOKEN=token).exit_code == REFUSED
    assert "no token" in esaas.admin("token", "list").stdout
    wrong = esaas.admin("token", "create", "x", "--role", "admin", "--expires", "soon")
    assert wrong.exit_code == USAGE


def test_reset_admin(esaas: Shell, tmp_path: Path) -> None:
    state = str(esaas.app.state)
    running = esaas("user", "reset-admin", "--state-dir", state)
    assert (running.exit_code, "runs on" in running.stderr) == (REFUSED, True)
    SqliteStore(tmp_path / "stopped").close()
    done = esaas("user", "reset-admin", "--state-dir", str(tmp_path / "stopped"))
    file = tmp_path / "stopped" / "admin-password"
    assert done.exit_code == 0, done.output
    assert str(file) in done.stdout
    assert file.read_text().strip() not in done.output
    nothing = esaas("user", "reset-admin", "--state-dir", str(tmp_path / "none"), "--json")
    assert json.loads(nothing.stderr)["error"]["code"] == "cannot_reset"


def test_a_refusal_of_the_client_is_one_of_the_service(own: LiveApp) -> None:
    with pytest.raises(Refused) as refused:
        Client(own.url).get("/v1/me")
    assert refused.value.status == 401
