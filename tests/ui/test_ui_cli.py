"""The command line over a live application: answers, refusals, exit codes, waiting."""
from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from esaas.framework.client import EXAMPLE_SPEC, Client, Refused, Unreachable, refusal
from esaas.framework.commands import clusters, waiting
from esaas.framework.commands.frame import REFUSED, TIMED_OUT, UNREACHABLE, USAGE
from live_app import PATIENCE_S, LiveApp
from shell import run as esaas


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 0.01)


@pytest.mark.parametrize("command", ["show", "nodes", "plan", "offers", "endpoints", "events",
                                     "revisions", "facts"])
@pytest.mark.parametrize("name", ["demo", "orders-search", "fresh", "archive", "turning"])
def test_reads_for_people_and_for_programs(live: LiveApp, command: str, name: str) -> None:
    people = esaas("cluster", command, name, url=live.url)
    assert people.exit_code == 0, people.output
    assert people.stdout.strip()
    programs = esaas("cluster", command, name, "--json", url=live.url)
    assert programs.exit_code == 0
    assert json.loads(programs.stdout) is not None


def test_list(live: LiveApp) -> None:
    assert all(name in esaas("cluster", "list", url=live.url).stdout
               for name in live.service.fakes)
    some = esaas("--json", "cluster", "list", "--tenant", "hotels", url=live.url)
    assert {one["tenant"] for one in json.loads(some.stdout)} == {"hotels"}
    live.service.fakes.clear()
    assert "No cluster yet" in esaas("cluster", "list", url=live.url).stdout


@pytest.mark.parametrize("args", [
    ("--json", "cluster", "list"), ("cluster", "--json", "list"), ("cluster", "list", "--json")])
def test_json_anywhere(live: LiveApp, args: tuple[str, ...]) -> None:
    assert isinstance(json.loads(esaas(*args, url=live.url).stdout), list)


def test_url_anywhere(live: LiveApp) -> None:
    nowhere = "http://127.0.0.1:1"
    for args in (("--url", live.url, "cluster", "list"), ("cluster", "--url", live.url, "list"),
                 ("cluster", "list", "--url", live.url)):
        assert esaas(*args, url=nowhere).exit_code == 0
    assert esaas("--url", nowhere, "cluster", "list", "--url", live.url).exit_code == 0


def test_nobody_answers() -> None:
    got = esaas("cluster", "list", url="http://127.0.0.1:1")
    assert got.exit_code == UNREACHABLE
    assert "esaas serve" in got.stderr
    as_json = esaas("cluster", "list", "--json", url="http://127.0.0.1:1")
    assert json.loads(as_json.stderr)["error"]["code"] == "unreachable"
    assert esaas("cluster", "list", url="nonsense").exit_code == UNREACHABLE


def test_wrong_use() -> None:
    for args in (("cluster", "show"), ("nonsense",), ("cluster", "scale", "demo", "node", "-1"),
                 ("cluster", "wait", "demo", "--for", "blue"), ("cluster", "create"),
                 ("cluster", "update"), ("cluster", "rollback", "demo", "first"),
                 ("cluster", "rollback", "demo", "0"), ("cluster", "pause")):
        assert esaas(*args).exit_code == USAGE


def test_refusals_list_every_fault(live: LiveApp) -> None:
    got = esaas("cluster", "create", "-f", "-", url=live.url,
                text="name: Wrong!\ntenant: t\nversion: 1.0.0\n")
    assert got.exit_code == REFUSED
    assert all(path in got.stderr for path in ("name:", "version:", "groups:"))
    got = esaas("cluster", "scale", "logs", "node", "2", url=live.url)
    assert got.exit_code == REFUSED
    assert "[shrink_leaves_room_for_copies]" in got.stderr
    got = esaas("cluster", "show", "none", "--json", url=live.url)
    assert got.exit_code == REFUSED
    assert json.loads(got.stderr)["error"]["code"] == "not_found"


def test_create_scale_delete(live: LiveApp, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(EXAMPLE_SPEC.replace("name: logs", "name: mine"))
    dry = esaas("cluster", "create", "-f", str(file), "--dry-run", url=live.url)
    assert dry.exit_code == 0
    assert "mine" not in live.service.fakes
    assert esaas("cluster", "create", "-f", str(file), url=live.url).exit_code == 0
    again = esaas("cluster", "create", "-f", str(file), url=live.url)
    assert "nothing to change" in again.stdout
    assert esaas("cluster", "scale", "mine", "node", "5", url=live.url).exit_code == 0
    assert live.service.show("mine").nodes_wanted == 5
    wrong = esaas("cluster", "delete", "mine", url=live.url, text="yours\n")
    assert wrong.exit_code == REFUSED
    asked = esaas("cluster", "delete", "mine", url=live.url, text="mine\n")
    assert asked.exit_code == 0
    assert live.service.show("mine").goal == "delete"


def spec_file(live: LiveApp, tmp_path: Path, name: str = "demo", **more: Any) -> str:
    """The spec of a cluster in a file, changed."""
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(live.service.show(name).spec | more))
    return str(file)


def test_update_shows_what_it_does(live: LiveApp, tmp_path: Path) -> None:
    spec = live.service.show("turning").spec
    group = spec["groups"][0] | {"count": 3, "jvm_options": ["-Xss2m"]}
    extra = {"name": "ingest", "count": 1, "roles": ["ingest"]}
    file = spec_file(live, tmp_path, "turning", groups=[group, extra])
    dry = esaas("cluster", "update", "-f", file, "--dry-run", url=live.url)
    assert dry.exit_code == 0, dry.output
    for text in ("groups.node.count: 4 -> 3", "nothing was changed", "revision 4"):
        assert text in dry.stdout
    shown = {line.split()[0]: line for line in dry.stdout.splitlines() if line.strip()}
    assert "ingest-0" in shown["starts"]
    assert "node-0, then node-1, then node-2" in shown["restarts"]
    assert "node-3" in shown["drains"]
    assert live.service.show("turning").revision == 3
    as_json = esaas("cluster", "update", "-f", file, "--json", "--dry-run", "--wait",
                    url=live.url)
    assert json.loads(as_json.stdout)["preview"]["removes"] == ["node-3"]
    done = esaas("cluster", "update", "-f", file, url=live.url)
    assert done.exit_code == 0
    assert "wanted from now on" in done.stdout
    assert done.stdout.count("groups.node.count") == 1
    again = esaas("cluster", "update", "-f", file, url=live.url)
    assert "nothing to change" in again.stdout


def test_update_refused_overridden_and_misused(live: LiveApp, tmp_path: Path) -> None:
    groups = [live.service.show("logs").spec["groups"][0] | {"count": 2}]
    file = spec_file(live, tmp_path, "logs", groups=groups)
    refused = esaas("cluster", "update", "-f", file, url=live.url)
    assert refused.exit_code == REFUSED
    rule = "shrink_leaves_room_for_copies"
    assert f"[{rule}]" in refused.stderr
    forced = esaas("cluster", "update", "-f", file, "--override", rule, url=live.url)
    assert forced.exit_code == 0
    assert live.service.log[-1].message.endswith(rule)
    assert esaas("cluster", "update", "-f", "-", url=live.url, text="[]").exit_code == USAGE
    assert esaas("cluster", "update", "-f", "-", url=live.url, text="a: 1").exit_code == USAGE
    scaled = esaas("cluster", "scale", "logs", "node", "3", "--dry-run", url=live.url)
    assert "starts" in scaled.stdout


def test_revisions_and_rollback(live: LiveApp) -> None:
    shown = esaas("cluster", "revisions", "turning", url=live.url).stdout
    assert shown.index("groups.node.count: 5 -> 4") < shown.index("index_buffer_size")
    assert "the first spec" in shown
    assert shown.count("current") == 1
    dry = esaas("cluster", "rollback", "turning", "1", "--dry-run", url=live.url)
    assert "nothing was changed" in dry.stdout
    late = esaas("cluster", "rollback", "turning", "2", "--wait", "--timeout", "0.05",
                 url=live.url)
    assert late.exit_code == TIMED_OUT
    assert live.service.show("turning").revision == 4
    assert esaas("cluster", "rollback", "turning", "9", url=live.url).exit_code == REFUSED


def test_pause_continue_and_plan(live: LiveApp) -> None:
    assert "are paused" in esaas("cluster", "pause", "turning", url=live.url).stdout
    plan = esaas("cluster", "plan", "turning", url=live.url).stdout
    assert "holds not_paused" in plan
    assert "shards, " in plan
    assert "MB left" in plan
    assert "go on" in esaas("cluster", "continue", "turning", url=live.url).stdout
    again = esaas("cluster", "continue", "turning", url=live.url)
    assert (again.exit_code, "nothing to change" in again.stdout) == (0, True)


def test_restart_asks_before_a_whole_cluster(live: LiveApp) -> None:
    demo = live.service.fakes["demo"]
    no = esaas("cluster", "restart", "demo", url=live.url, text="n\n")
    assert no.exit_code != 0
    assert demo.restarting == []
    one = esaas("cluster", "restart", "demo", "node-1", url=live.url)
    assert (one.exit_code, demo.restarting) == (0, ["node-1"])
    yes = esaas("cluster", "restart", "demo", url=live.url, text="y\n")
    assert (yes.exit_code, len(demo.restarting)) == (0, 3)
    waited = esaas("cluster", "restart", "demo", "--yes", "--wait", "--timeout", "0.05",
                   url=live.url)
    assert waited.exit_code == TIMED_OUT
    assert "held by" in waited.stderr
    assert esaas("cluster", "restart", "demo", "a/b", url=live.url).exit_code == REFUSED
    assert esaas("cluster", "restart", "leaving", "--yes", url=live.url).exit_code == REFUSED


@pytest.mark.parametrize("command", ["update", "scale", "revisions", "rollback", "pause",
                                     "continue", "restart"])
def test_help_says_what_it_does(command: str) -> None:
    got = esaas("cluster", command, "--help")
    assert got.exit_code == 0
    assert len(got.stdout.splitlines()) > 6


def test_wait_until_green(live: LiveApp) -> None:
    assert esaas("cluster", "wait", "demo", url=live.url).exit_code == 0
    late = esaas("cluster", "wait", "logs", "--timeout", "0.05", url=live.url)
    assert late.exit_code == TIMED_OUT
    assert "held by no_restart_while_relocating" in late.stderr
    assert esaas("cluster", "wait", "none", url=live.url).exit_code == REFUSED


def test_wait_sees_the_change(live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    look = waiting._look

    def looking(name: str, goal: str) -> object:
        nonlocal looks
        looks += 1
        if looks == 3:
            live.call(lambda: live.service.settle("logs"))
        return look(name, goal)
    monkeypatch.setattr(waiting, "_look", looking)
    got = esaas("cluster", "wait", "logs", "--for", "ready", "--json", url=live.url)
    assert got.exit_code == 0
    assert json.loads(got.stdout)["health"] == "green"
    assert looks == 3


def test_scale_waits_for_its_own_revision(live: LiveApp) -> None:
    got = esaas("cluster", "scale", "demo", "node", "4", "--wait", "--timeout", "0.05",
                url=live.url)
    assert got.exit_code == TIMED_OUT


def test_delete_waits_until_it_is_gone(live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    look = waiting._look

    def looking(name: str, goal: str) -> object:
        found = look(name, goal)
        if found is not None:
            live.call(lambda: live.service.vanish(name))
        return found
    monkeypatch.setattr(waiting, "_look", looking)
    got = esaas("cluster", "delete", "demo", "--confirm", "demo", "--wait", url=live.url)
    assert got.exit_code == 0, got.output
    assert "demo is deleted" in got.stdout


def test_wait_outlives_a_restart_of_the_service(live: LiveApp,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = 0, waiting._look

    def looking(name: str, goal: str) -> object:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise Unreachable("it is starting again")
        if looks == 3:
            live.call(lambda: live.service.settle("logs"))
        return look(name, goal)
    monkeypatch.setattr(waiting, "_look", looking)
    got = esaas("cluster", "wait", "logs", url=live.url)
    assert got.exit_code == 0
    assert "starting again" in got.stderr


def test_follow_ends_with_the_cluster(live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    show = clusters._show_event

    def showing(event: dict[str, Any]) -> None:
        show(event)
        if event["message"] == "while following":
            live.call(lambda: live.service.vanish("demo"))
        elif event["kind"] == "offer_declined":
            # Between the list and the stream: the stream has to bring it nevertheless.
            live.call(lambda: live.service.emit("demo", "hello", "while following"))
    monkeypatch.setattr(clusters, "_show_event", showing)
    got = esaas("cluster", "events", "demo", "--follow", "--json", url=live.url)
    assert got.exit_code == 0
    seen = [json.loads(line)["kind"] for line in got.stdout.splitlines()]
    assert seen == ["scheduler_registered", "node_running", "offer_declined", "hello"]


def test_specs_without_a_service(tmp_path: Path) -> None:
    example = esaas("spec", "example")
    assert esaas("spec", "validate", "-", text=example.stdout).exit_code == 0
    as_json = esaas("spec", "example", "--json")
    assert esaas("spec", "validate", "-", text=as_json.stdout).exit_code == 0
    wrong = esaas("spec", "validate", "-", text="name: X\ncount: 1\n")
    assert wrong.exit_code == REFUSED
    assert all(path in wrong.stderr for path in ("name:", "tenant:", "version:", "count:"))
    assert esaas("spec", "validate", "-", text="a: [").exit_code == USAGE


def test_help_is_quick_and_imports_nothing_big() -> None:
    code = ("import sys; from esaas.framework.cli import main\n"
            "try: main(['--help'])\n"
            "except SystemExit: pass\n"
            "big = {'tornado', 'pymesos', 'pydantic', 'rich', 'kazoo', 'yaml'}\n"
            "sys.exit(' '.join(big & set(sys.modules)) or None)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("cluster", "spec", "serve", "local"):
        assert f"\n  {command}" in done.stdout


def test_whatever_answers_is_understood() -> None:
    assert refusal(502, b"<html>Bad Gateway</html>").code == "unknown"
    assert refusal(500, b'{"error": "x"}').status == 500
    with pytest.raises(Unreachable):
        Client("ftp://somewhere")


def test_control_sequences_of_names_stay_text(live: LiveApp) -> None:
    live.call(lambda: live.service.emit("demo", "k", "[red]not markup[/red]"))
    assert "[red]not markup[/red]" in esaas("cluster", "events", "demo", url=live.url).stdout


def test_refused_is_an_error_of_ours() -> None:
    error = Refused(409, "conflict", "no", (), "r-1")
    assert str(error) == "no"
    assert error.body()["error"]["request_id"] == "r-1"


@pytest.mark.parametrize("name", ["demo", "orders-search", "logs", "fresh", "leaving"])
def test_live_progress_shows_steps_states_and_gates(live: LiveApp, name: str) -> None:
    from rich.console import Console

    one = Client(live.url).get(f"/v1/clusters/{name}")
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(waiting.progress(one, "the service is away"))
    shown = console.export_text()
    assert f"{one['plan_done']}/{one['plan_total']} steps" in shown
    assert one["summary"] in shown
    assert "the service is away" in shown
    assert all(f"held by {gate}" in shown for gate in waiting.held_by(one))


def test_waiting_on_a_terminal(live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_on_terminal", lambda: True)
    assert esaas("cluster", "wait", "demo", url=live.url).exit_code == 0
    late = esaas("cluster", "wait", "fresh", "--timeout", "0.05", url=live.url)
    assert late.exit_code == TIMED_OUT
    assert "held by" in late.stderr
