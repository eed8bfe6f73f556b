"""``esaas log``: search, export, verify; through a service and without one."""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import ask
from click.testing import CliRunner, Result
from esaas.framework.cli import main
from esaas.framework.client import Client
from esaas.framework.commands.frame import REFUSED, UNREACHABLE, USAGE
from esaas.framework.service.access.offline import reset_admin
from live_app import ADMIN_TOKEN, LiveApp
from people import ADMIN, bearer


@pytest.fixture
def app() -> Iterator[LiveApp]:
    """With some lines in its log."""
    made = LiveApp(login=True)
    ask(made, "POST", "/v1/clusters/demo/scale", {"group": "node", "count": 5}, ADMIN)
    ask(made, "POST", "/v1/clusters/demo/scale", {"group": "nowhere", "count": 5}, ADMIN)
    ask(made, "POST", "/v1/clusters/demo/nodes/node-0/restart", {}, ADMIN)
    yield made
    made.close()


def esaas(app: LiveApp, *args: str, token: str = ADMIN_TOKEN) -> Result:
    return CliRunner().invoke(main, list(args), env={
        "ESAAS_URL": app.url, "ESAAS_TOKEN": token, "ESAAS_TOKEN_FILE": None, "COLUMNS": "200"})


def test_search(app: LiveApp) -> None:
    shown = esaas(app, "log", "--cluster", "demo", "--since", "2d")
    assert shown.exit_code == 0, shown.output
    assert "restart_node" in shown.stdout
    assert "spec.groups[node].count: 3 -> 5" in shown.stdout
    found = json.loads(esaas(app, "log", "--operation", "scale", "--json").stdout)["entries"]
    assert [one["outcome"] for one in found] == ["refused", "done"]
    found = json.loads(esaas(app, "--json", "log", "--outcome", "done", "--limit", "1").stdout)
    assert [one["operation"] for one in found["entries"]] == ["restart_node"]
    before = str(found["next"])
    found = json.loads(esaas(app, "--json", "log", "--before", before).stdout)["entries"]
    assert "restart_node" not in [one["operation"] for one in found if one["outcome"] == "done"]
    assert "Nothing fits." in esaas(app, "log", "--search", "no such text").stdout
    assert "--before" in esaas(app, "log", "--limit", "1").stdout


def test_wrong_use(app: LiveApp, tmp_path: Path) -> None:
    assert esaas(app, "log", "--since", "soon").exit_code == USAGE
    assert esaas(app, "log", "--outcome", "fine").exit_code == USAGE
    assert esaas(app, "log", "verify", "--expect", "5").exit_code == USAGE
    (tmp_path / "there").touch()
    there = esaas(app, "log", "export", str(tmp_path / "there"))
    assert there.exit_code == 1
    assert "is there already" in there.output
    viewer = bearer(app, "viewer")["Authorization"].split()[1]
    assert esaas(app, "log", "verify", token=viewer).exit_code == REFUSED
    assert esaas(app, "log", "export", "-", token=viewer).exit_code == REFUSED
    gone = CliRunner().invoke(main, ["log", "--url", "http://127.0.0.1:9"])
    assert gone.exit_code == UNREACHABLE


def test_export(app: LiveApp, tmp_path: Path) -> None:
    file = tmp_path / "log.ndjson"
    done = esaas(app, "log", "export", str(file))
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["seq"] for one in lines] == list(range(1, 7))
    assert file.stat().st_mode & 0o777 == 0o600
    assert esaas(app, "log", "export", "-").stdout == file.read_text()


def test_an_export_that_breaks_off_leaves_no_file(
        app: LiveApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Client._lines
    monkeypatch.setattr(Client, "_lines", lambda self, found: list(real(self, found))[:-1])
    file = tmp_path / "log.ndjson"
    cut = esaas(app, "log", "export", str(file))
    assert (cut.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "6 is missing" in cut.output


def tamper(state: Path) -> None:
    """Change a line in the store itself."""
    database = sqlite3.connect(state / "esaas.sqlite3")
    with database:
        path, data = database.execute(
            "SELECT path, data FROM records WHERE path LIKE 'oplog/0%'").fetchone()
        assert b'"nowhere"' in data
        database.execute("UPDATE records SET data = ? WHERE path = ?",
                         (data.replace(b'"nowhere"', b'"node"'), path))
    database.close()


def test_verify(app: LiveApp) -> None:
    fine = esaas(app, "log", "verify", "--json")
    assert fine.exit_code == 0, fine.output
    verdict = json.loads(fine.stdout)
    noted = f"{verdict['last_seq']}:{verdict['last_hash']}"
    assert noted in esaas(app, "log", "verify").stdout
    assert esaas(app, "log", "verify", "--expect", noted).exit_code == 0
    wrong = esaas(app, "log", "verify", "--expect", f"2:{'0' * 64}")
    assert wrong.exit_code == REFUSED
    tamper(app.state)
    broken = esaas(app, "log", "verify")
    assert broken.exit_code == REFUSED
    assert "Line 3 (segment 1) is changed" in broken.stdout


def test_verify_without_a_service(app: LiveApp, tmp_path: Path) -> None:
    busy = esaas(app, "log", "verify", "--state-dir", str(app.state))
    assert busy.exit_code == 1
    assert "another esaas serve uses" in busy.output
    app.run(app.book.flush())
    copy = tmp_path / "copy"
    copy.mkdir()
    source, target = (sqlite3.connect(place / "esaas.sqlite3") for place in (app.state, copy))
    source.backup(target)
    source.close()
    target.close()
    fine = esaas(app, "log", "verify", "--state-dir", str(copy))
    assert fine.exit_code == 0, fine.output
    assert "6 lines" in fine.stdout
    reset_admin(copy)
    found = json.loads(esaas(app, "log", "verify", "--offline", "--json", "--state-dir",
                             str(copy)).stdout)
    assert (found["ok"], found["entries"]) == (True, 7), "the command has left its line"
    tamper(copy)
    broken = esaas(app, "log", "verify", "--state-dir", str(copy), "--json")
    assert broken.exit_code == REFUSED
    assert json.loads(broken.stdout)["fault"]["seq"] == 3
    assert esaas(app, "log", "verify", "--state-dir", str(tmp_path / "none")).exit_code == 1
