"""Releases from real git repositories: command line, API, pages, followers and their hook."""
from __future__ import annotations

import hashlib
import hmac
import json
import re
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from asking import ask
from click.testing import CliRunner, Result
from esaas.framework.cli import main
from esaas.framework.client import Client
from esaas.framework.releases.following import Followed, Hook, look
from esaas.framework.releases.git import Repository
from live_app import ADMIN_TOKEN, LiveApp
from people import ADMIN, bearer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.releases.repository import commit  # noqa: E402

NODE = {"count": 3, "roles": ["master", "data"], "mem_mb": 2048}
FILES = {"shop/cluster.yaml": {"tenant": "hotels", "version": "6.8.23"}, "shop/node.yaml": NODE}
SECRET = b"a secret of the hook"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    commit(tmp_path / "es", FILES, "the shop begins")
    return tmp_path / "es"


def esaas(live: LiveApp, *arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["release", *arguments], input=text,
                              env={"ESAAS_URL": live.url, "COLUMNS": "200"})


def newest(live: LiveApp) -> dict[str, Any]:
    found: dict[str, Any] = ask(live, "GET", "/v1/releases").json[0]
    return found


def test_a_commit_becomes_a_cluster_and_is_on_record(live: LiveApp, home: Path) -> None:
    dry = esaas(live, str(home), "--dry-run")
    assert dry.exit_code == 0 and "shop: is made" in dry.output, dry.output
    assert "shop" not in live.service.fakes and ask(live, "GET", "/v1/releases").json == []
    asked = esaas(live, str(home), text="n\n")
    assert asked.exit_code == 1 and "shop" not in live.service.fakes
    done = esaas(live, str(home), "--yes")
    assert done.exit_code == 0 and "shop: done" in done.output, done.output
    assert [one.count for one in live.service.fakes["shop"].spec.groups] == [3]
    one = newest(live)
    assert (one["status"], one["release"]["commit_subject"], one["release"]["by"]) == (
        "done", "the shop begins", "anonymous")
    assert one["release"]["commit_author"] == "Ada"
    again = esaas(live, str(home), "--yes")
    assert again.exit_code == 0 and "shop: as it runs" in again.output
    assert newest(live)["release"]["id"] == one["release"]["id"], "nothing to release"


def test_chosen_groups_history_repeat_and_roll_back(live: LiveApp, home: Path) -> None:
    esaas(live, str(home), "--yes")
    commit(home, {"shop/node.yaml": NODE | {"count": 4},
                  "shop/cluster.yaml": FILES["shop/cluster.yaml"] | {"description": "new"},
                  "shop/extra.yaml": {"count": 1, "roles": ["ingest"]}}, "more nodes")
    drift = esaas(live, "drift", str(home))
    assert drift.exit_code == 1 and "shop" in drift.output
    only = esaas(live, f"{home}@main", "--group", "node", "--yes")
    assert only.exit_code == 0, only.output
    spec = live.service.fakes["shop"].spec
    assert [(one.name, one.count) for one in spec.groups] == [("node", 4)]
    assert spec.description == "", "the rest stays as it runs"
    assert "more nodes" in esaas(live, "list").output
    taken_back = newest(live)["release"]["id"]
    assert "node" in esaas(live, "show", taken_back).output
    back = esaas(live, "rollback", taken_back, "--yes")
    assert back.exit_code == 0, back.output
    assert live.service.fakes["shop"].spec.groups[0].count == 3
    assert (newest(live)["release"]["kind"], newest(live)["release"]["of"]) == (
        "roll_back", taken_back)
    repeated = esaas(live, "repeat", taken_back, "--yes")
    assert repeated.exit_code == 0, repeated.output
    assert live.service.fakes["shop"].spec.groups[0].count == 4
    first = ask(live, "GET", "/v1/releases").json[-1]["release"]["id"]
    made_by_it = esaas(live, "rollback", first, "--yes")
    assert made_by_it.exit_code == 1 and "was created by it" in made_by_it.output


def test_nothing_is_changed_when_any_of_it_is_refused(live: LiveApp, home: Path) -> None:
    commit(home, {"demo/cluster.yaml": {"tenant": "hotels", "version": "5.0.0"},
                  "demo/node.yaml": NODE}, "too old")
    unreadable = esaas(live, str(home), "--yes")
    assert unreadable.exit_code == 1 and "demo/cluster: version" in unreadable.output
    commit(home, {"demo/cluster.yaml": {"tenant": "nobodys", "version": "6.8.23"}}, "other tenant")
    refused = esaas(live, str(home), "--yes")
    assert refused.exit_code == 1 and "nothing was changed" in refused.output
    assert "shop" not in live.service.fakes and ask(live, "GET", "/v1/releases").json == []
    missing = esaas(live, str(home / "nowhere"), "--yes")
    assert missing.exit_code == 1 and "Error" in missing.output


def test_a_release_is_of_one_s_own_tenants(home: Path) -> None:
    app = LiveApp(login=True)
    try:
        mine, other = bearer(app, "operator", "hotels"), bearer(app, "operator", "flights")
        token = mine["Authorization"].partition(" ")[2]
        done = CliRunner().invoke(main, ["release", str(home), "--yes"], env={
            "ESAAS_URL": app.url, "ESAAS_TOKEN": token})
        assert done.exit_code == 0, done.output
        [one] = ask(app, "GET", "/v1/releases", headers=mine).json
        ident = one["release"]["id"]
        assert ask(app, "GET", "/v1/releases", headers=other).json == []
        assert ask(app, "GET", f"/v1/releases/{ident}", headers=other).status == 404
        body = {"clusters": [{"cluster": "shop", "tenant": "hotels", "action": "update"}]}
        assert ask(app, "POST", "/v1/releases", body, other).status == 403
        assert ask(app, "POST", f"/v1/releases/{ident}/outcomes", {
            "cluster": "shop", "outcome": "done"}, other).status == 403
        assert ask(app, "POST", "/v1/releases", body, bearer(app, "viewer")).status == 403
        lie = {"clusters": [{"cluster": "shop", "tenant": "flights", "action": "update"}]}
        assert ask(app, "POST", "/v1/releases", lie, other).status == 422
        names = [one["operation"] for one in ask(app, "GET", "/v1/log", headers=ADMIN).json[
            "entries"]]
        assert {"begin_release", "record_outcome"} <= set(names)
    finally:
        app.close()


def test_an_outcome_is_said_once(live: LiveApp, home: Path) -> None:
    esaas(live, str(home), "--yes")
    ident = newest(live)["release"]["id"]
    path = f"/v1/releases/{ident}/outcomes"
    same = {"cluster": "shop", "outcome": "done", "revision": 1}
    assert ask(live, "POST", path, same).status == 200
    assert ask(live, "POST", path, same | {"outcome": "refused"}).status == 409
    assert ask(live, "POST", path, same | {"cluster": "none"}).status == 404
    twice = {"clusters": [{"cluster": "shop", "tenant": "hotels", "action": "update",
                           "outcome": "done"}] * 2}
    assert {fault["rule"] for fault in ask(live, "POST", "/v1/releases", twice).json["error"][
        "faults"]} == {"named_once", "pending"}


def test_the_pages(live: LiveApp, home: Path) -> None:
    assert "Nothing was released" in ask(live, "GET", "/releases").text
    esaas(live, str(home), "--yes")
    commit(home, {"shop/node.yaml": NODE | {"count": 4}}, "<script>more</script>")
    esaas(live, str(home), "--yes")
    page = ask(live, "GET", "/releases").text
    assert "the shop begins" in page and "&lt;script&gt;more" in page and "<script>more" not in page
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    one = ask(live, "GET", f"/releases/{newest(live)['release']['id']}").text
    assert 'href="/clusters/shop/revisions?to=1"' in one
    assert ask(live, "GET", "/releases/none").status == 404


def test_a_branch_is_followed_and_its_drift_told(live: LiveApp, home: Path) -> None:
    client = Client(live.url, ADMIN_TOKEN)
    with Repository(f"file://{home}@main") as repository:
        reports = Followed("main", repository, "", False, 60.0)
        assert not look(client, reports)
        [one] = ask(live, "GET", "/v1/followers").json
        assert list(one["drift"]) == ["shop"] and one["mode"] == "report"
        assert "shop" not in live.service.fakes
        assert "differs" in ask(live, "GET", "/releases").text
        applies = Followed("main", repository, "", True, 60.0)
        assert look(client, applies) and "shop" in live.service.fakes
        assert ask(live, "GET", "/v1/followers").json[0]["drift"] == {}
        live.service.fakes["shop"].spec = live.service.fakes["shop"].spec.with_count("node", 5)
        assert not look(client, reports), "somebody has changed it by hand"
        commit(home, {"shop/node.yaml": NODE | {"count": -4}}, "a slip")
        assert not look(client, applies)
        assert "shop/node: count" in ask(live, "GET", "/v1/followers").json[0]["problem"]
    assert "shop/node" in esaas(live, "followers").output
    assert esaas(live, "followers", "--remove", "main").exit_code == 0
    assert ask(live, "GET", "/v1/followers").json == []
    assert ask(live, "PUT", "/v1/followers/Not%20A%20Name", {"repository": "r", "mode": "report"}
               ).status == 422


def test_following_once_by_the_command_line(live: LiveApp, home: Path) -> None:
    assert esaas(live, "follow", str(home), "--once").exit_code == 1
    assert esaas(live, "follow", str(home), "--once", "--apply").exit_code == 0
    assert "shop" in live.service.fakes
    assert esaas(live, "follow", str(home), "--hook", "127.0.0.1:0").exit_code == 2


@pytest.mark.parametrize(("header", "value", "status"), [
    ("X-Hub-Signature-256", "sha256=" + hmac.new(SECRET, b"{}", hashlib.sha256).hexdigest(), 204),
    ("X-Gitlab-Token", SECRET.decode(), 204), ("X-Gitlab-Token", "wrong", 403),
    ("X-Hub-Signature-256", "sha256=00", 403), ("X-Nothing", "", 403)])
def test_only_signed_calls_knock(header: str, value: str, status: int) -> None:
    knock = threading.Event()
    with Hook(("127.0.0.1", 0), SECRET, knock) as hook:
        request = urllib.request.Request(f"http://127.0.0.1:{hook.port}/", data=b"{}",
                                         headers={header: value})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                got = answer.status
        except urllib.error.HTTPError as error:
            got = error.code
    assert got == status and knock.is_set() is (status == 204)


def test_json_for_programs(live: LiveApp, home: Path) -> None:
    dry = esaas(live, str(home), "--dry-run", "--json")
    assert json.loads(dry.stdout)[0]["action"] == "create"
    done = esaas(live, str(home), "--yes", "--json")
    assert json.loads(done.stdout) == [{"cluster": "shop", "outcome": "done", "revision": 1,
                                        "message": "the cluster is being made"}]
