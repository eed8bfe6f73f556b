"""The command line for people on call: steps, nodes, switches, operations, secrets, plugins."""
from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from esaas.framework.commands import waiting
from esaas.framework.commands.frame import REFUSED, TIMED_OUT, USAGE, bar, preview_table
from esaas.framework.core.gates import FORCIBLE
from esaas.framework.words import GENERIC_RISK, RISKS, risk_of, seconds_of
from live_app import LiveApp
from rich.console import Console
from shell import esaas

SECRET = "hunter2-very-secret"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 0.01)


def test_abandon(live: LiveApp) -> None:
    dry = esaas(live, "cluster", "abandon", "trial", "--dry-run")
    assert dry.exit_code == 0
    assert "restarts" in dry.stdout
    assert live.service.show("trial").revision == 2
    late = esaas(live, "cluster", "abandon", "trial", "--wait", "--timeout", "0.05")
    assert late.exit_code == TIMED_OUT
    assert live.service.show("trial").revision == 3
    assert "nothing to change" in esaas(live, "cluster", "abandon", "demo").stdout
    live.service.fakes["fresh"].settled = None
    assert esaas(live, "cluster", "abandon", "fresh").exit_code == REFUSED


def test_a_canary_is_told_with_the_way_on(live: LiveApp) -> None:
    for command in ("plan", "show"):
        shown = " ".join(esaas(live, "cluster", command, "trial").stdout.split())
        assert "esaas cluster continue trial lets the change go on" in shown
        assert "esaas cluster abandon trial" in shown
    assert esaas(live, "cluster", "continue", "trial").exit_code == 0
    assert "canary" not in esaas(live, "cluster", "show", "trial").stdout


def test_the_plan_shows_progress_and_what_one_may_do(live: LiveApp) -> None:
    plan = esaas(live, "cluster", "plan", "turning").stdout
    assert "━" in plan
    assert "MB left" in plan
    assert "esaas cluster step force turning restart-node-0 --gate nothing_moves" in plan
    assert "--gate drained" not in plan
    assert "esaas cluster step restart logs start-node-1" in esaas(
        live, "cluster", "plan", "logs").stdout
    assert bar(None) == ""
    assert "100%" in bar({"done": 0, "total": 0, "text": "nothing to do"})


def test_a_gate_is_forced_after_it_was_typed(live: LiveApp) -> None:
    force = ("cluster", "step", "force", "turning", "restart-node-0", "--gate", "nothing_moves")
    forced = live.service.fakes["turning"].forced
    wrong = esaas(live, *force, text="yes\n")
    assert wrong.exit_code == REFUSED
    assert "[confirmed_by_name]" in wrong.stderr
    assert "Shards are on their way" in wrong.stderr
    assert not forced
    assert esaas(live, *force, text="nothing_moves\n").exit_code == 0
    assert forced
    assert esaas(live, "cluster", "step", "force", "turning", "remove-node-4", "--gate",
                 "drained", "--yes").exit_code == REFUSED
    assert esaas(live, "cluster", "step", "force", "turning", "x").exit_code == USAGE


def test_a_step_begins_anew(live: LiveApp) -> None:
    again = ("cluster", "step", "restart", "logs")
    assert "begins anew" in esaas(live, *again, "start-node-1").stdout
    assert esaas(live, *again, "start-node-0").exit_code == REFUSED


def test_replace_and_keep(live: LiveApp) -> None:
    replace = ("cluster", "node", "replace", "demo", "node-1")
    dry = esaas(live, *replace, "--dry-run")
    assert dry.exit_code == 0
    assert "replaces" in dry.stdout
    assert "people want it replaced" in dry.stdout
    assert esaas(live, *replace, text="node-2\n").exit_code == REFUSED
    assert len(live.service.show("demo").nodes) == 3
    assert esaas(live, *replace, text="node-1\n").exit_code == 0
    assert "leaves: replaced by node-3" in esaas(live, "cluster", "nodes", "demo").stdout
    assert esaas(live, "cluster", "node", "keep", "demo", "node-1").exit_code == 0
    assert len(live.service.show("demo").nodes) == 3
    assert esaas(live, *replace, "--yes").exit_code == 0


def test_a_node_is_held_for_debugging(live: LiveApp) -> None:
    assert esaas(live, "cluster", "node", "pause", "demo", "node-1").exit_code == 0
    assert "paused" in esaas(live, "cluster", "nodes", "demo").stdout
    assert esaas(live, "cluster", "node", "continue", "demo", "node-1").exit_code == 0
    assert "sidecar" in esaas(live, "cluster", "nodes", "stack").stdout


def test_switches(live: LiveApp) -> None:
    switch = ("cluster", "switch")
    assert "No switch is set" in esaas(live, *switch, "list", "demo").stdout
    assert esaas(live, *switch, "set", "demo", "allocation", "none", "--for",
                 "10m").exit_code == 0
    kept = live.service.fakes["demo"].switches["allocation"]
    assert kept.until == kept.set_at + 600
    assert esaas(live, *switch, "set", "demo", "read-only", "true").exit_code == 0
    assert live.service.fakes["demo"].switches["read_only"].until is None
    listed = esaas(live, *switch, "list", "demo").stdout
    assert "read-only" in listed
    assert "it is restored" in listed
    assert "read-only is true until it is restored" in esaas(live, "cluster", "show",
                                                             "demo").stdout
    assert esaas(live, *switch, "restore", "demo", "read-only").exit_code == 0
    assert "goes back now" in esaas(live, *switch, "list", "demo").stdout
    assert esaas(live, *switch, "set", "demo", "allocation", "some").exit_code == REFUSED
    assert esaas(live, *switch, "set", "demo", "gravity", "none").exit_code == USAGE
    late = esaas(live, *switch, "set", "demo", "allocation", "none", "--for", "soon")
    assert late.exit_code == USAGE
    assert "10m" in late.stderr


@pytest.mark.parametrize(("text", "seconds"), [
    ("90", 90), ("90s", 90), ("10m", 600), ("10 min", 600), ("1.5h", 5400), ("2d", 172800)])
def test_spans_of_time(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "0", "-5m", "1e9", "10y", "٣m", "nan"])
def test_spans_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="a time such as"):
        seconds_of(text)


@pytest.mark.parametrize(("command", "kind", "parameters"), [
    (("flush", "demo"), "flush", {}),
    (("flush", "demo", "--index", "a-*"), "flush", {"index": "a-*"}),
    (("clear-cache", "demo", "--kind", "query, request"), "clear_cache",
     {"kinds": ["query", "request"]}),
    (("force-merge", "demo", "--index", "a", "--max-segments", "1"), "force_merge",
     {"index": "a", "max_segments": 1}),
    (("reroute-retry", "demo"), "reroute_retry", {})])
def test_operations_are_asked_for(live: LiveApp, command: tuple[str, ...], kind: str,
                                  parameters: dict[str, object]) -> None:
    assert esaas(live, "cluster", *command).exit_code == 0
    made = live.service.fakes["demo"].operations[0]
    assert (made.kind, made.parameters) == (kind, parameters)
    as_json = esaas(live, "cluster", *command, "--json")
    assert json.loads(as_json.stdout)["status"] == "waiting"


def test_operations_are_listed(live: LiveApp) -> None:
    shown = esaas(live, "cluster", "operations", "stack").stdout
    for text in ("force_merge", "3 of 8 indices", "failed", "114 shards flushed"):
        assert text in shown
    assert "Nothing was done" in esaas(live, "cluster", "operations", "demo").stdout
    wrong = esaas(live, "cluster", "clear-cache", "demo", "--kind", "all")
    assert wrong.exit_code == REFUSED
    assert "kinds[0]" in wrong.stderr
    assert esaas(live, "cluster", "flush", "fresh").exit_code == REFUSED


@pytest.mark.parametrize("lively", [False, True])
@pytest.mark.parametrize(("end", "code"), [("done", 0), ("failed", REFUSED)])
def test_waiting_for_a_merge(live: LiveApp, monkeypatch: pytest.MonkeyPatch, lively: bool,
                             end: str, code: int) -> None:
    looks, look = 0, waiting._operation

    def looking(name: str, ident: str) -> object:
        nonlocal looks
        looks += 1
        if looks == 1:
            live.call(lambda: live.service.move_operation("demo", "running", done=1))
        else:
            live.call(lambda: live.service.move_operation("demo", end, "so it went"))
        return look(name, ident)
    monkeypatch.setattr(waiting, "_operation", looking)
    monkeypatch.setattr(waiting, "_on_terminal", lambda: lively)
    got = esaas(live, "cluster", "force-merge", "demo", "--wait")
    assert got.exit_code == code, got.output
    assert "so it went" in got.output
    assert lively or "1 of 4 indices" in got.stderr


def test_waiting_in_vain_for_a_merge(live: LiveApp) -> None:
    late = esaas(live, "cluster", "force-merge", "demo", "--wait", "--timeout", "0.05")
    assert late.exit_code == TIMED_OUT
    assert "it goes on" in late.stderr
    as_json = esaas(live, "cluster", "flush", "demo", "--wait", "--timeout", "0.05", "--json")
    assert json.loads(as_json.stderr)["error"]["code"] == "timed_out"


def test_secrets_come_from_a_prompt_or_a_file(live: LiveApp, tmp_path: Path) -> None:
    kept = live.service.fakes["stack"].kept
    asked = esaas(live, "secret", "set", "stack", "a.b", text=f"{SECRET}\n{SECRET}\n")
    assert asked.exit_code == 0, asked.output
    assert kept["a.b"] == SECRET
    file = tmp_path / "value"
    file.write_text(f"{SECRET} more\n")
    from_file = esaas(live, "secret", "set", "stack", "a.b", "--from-file", str(file))
    assert kept["a.b"] == f"{SECRET} more"
    piped = esaas(live, "secret", "set", "stack", "a.c", "--from-file", "-", text=SECRET)
    assert kept["a.c"] == SECRET
    file.write_bytes(b"\xff" + SECRET.encode())
    odd = esaas(live, "secret", "set", "stack", "a.b", "--from-file", str(file))
    assert odd.exit_code == USAGE
    empty = esaas(live, "secret", "set", "stack", "a.b", "--from-file", "-", text="")
    assert empty.exit_code == REFUSED
    argument = esaas(live, "secret", "set", "stack", "a.b", "a-value")
    assert argument.exit_code == USAGE
    listed = esaas(live, "secret", "list", "stack")
    assert "a.b" in listed.stdout
    out = esaas(live, "secret", "remove", "stack", "a.b")
    assert out.exit_code == 0
    assert "a.b" not in kept
    for got in (asked, from_file, piped, odd, empty, listed, out):
        assert SECRET not in got.output


def test_plugins(live: LiveApp) -> None:
    assert "No plugin" in esaas(live, "plugin", "list", "demo").stdout
    dry = esaas(live, "plugin", "install", "demo", "analysis-icu", "--dry-run")
    assert "restarts" in dry.stdout
    assert live.service.show("demo").revision == 1
    late = esaas(live, "plugin", "install", "demo", "analysis-icu", "--wait", "--timeout", "0.05")
    assert late.exit_code == TIMED_OUT
    url = "https://plugins.example/house.zip"
    half = esaas(live, "plugin", "install", "demo", "house", "--url", url)
    assert half.exit_code == REFUSED
    assert "pinned by their hash" in half.stderr
    assert esaas(live, "plugin", "install", "demo", "house", "--url", url, "--sha256",
                 "a" * 64).exit_code == 0
    listed = esaas(live, "plugin", "list", "demo").stdout
    assert url in listed
    assert "the catalog, or Elastic" in listed
    assert "would" not in esaas(live, "plugin", "remove", "demo", "house").stdout
    assert [one.name for one in live.service.fakes["demo"].spec.plugins] == ["analysis-icu"]
    assert esaas(live, "plugin", "remove", "demo", "house").exit_code == REFUSED


def test_a_preview_tells_what_moves_why_and_what_changes_live() -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(preview_table({
        "changes": ["groups.node.disk_mb: 1 -> 2"], "starts": [], "restarts": ["b-0"],
        "replaces": ["a-0", "a-1"], "removes": [], "live": ["indices.recovery.max_bytes_per_sec"],
        "reasons": {"a-0": "a larger volume", "a-1": "a larger volume", "b-0": "its heap"}}))
    shown = {line.split()[0]: line for line in console.export_text().splitlines()
             if line.strip()}
    assert "a-0, a-1" in shown["replaces,"]
    assert "indices.recovery.max_bytes_per_sec" in shown["changes"]
    assert "a-0, a-1: a larger volume" in shown["because"]
    # A service of before does not know of these.
    console.print(preview_table({"changes": [], "starts": [], "restarts": [], "removes": []}))
    assert "none is started, restarted, replaced or removed" in console.export_text()


def test_every_gate_that_people_may_force_has_its_risk() -> None:
    assert set(RISKS) == FORCIBLE
    assert risk_of("something_new") == GENERIC_RISK


@pytest.mark.parametrize("words", [
    ("cluster", "abandon"), ("cluster", "step"), ("cluster", "step", "force"),
    ("cluster", "step", "restart"), ("cluster", "node"), ("cluster", "node", "replace"),
    ("cluster", "node", "keep"), ("cluster", "switch"), ("cluster", "switch", "set"),
    ("cluster", "flush"), ("cluster", "clear-cache"), ("cluster", "force-merge"),
    ("cluster", "reroute-retry"), ("cluster", "operations"), ("secret",), ("secret", "set"),
    ("plugin",), ("plugin", "install")])
def test_help_says_what_it_does(live: LiveApp, words: tuple[str, ...]) -> None:
    got = esaas(live, *words, "--help")
    assert got.exit_code == 0
    assert len(got.stdout.splitlines()) > 6
