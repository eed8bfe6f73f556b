"""``esaas explain``, ``top`` and ``completion``, over a live application."""
from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from esaas.framework.cli import main
from esaas.framework.commands.explain import why
from esaas.framework.commands.frame import REFUSED, UNREACHABLE, USAGE
from live_app import LiveApp
from shell import run as esaas


def test_explain_names_the_gate_that_holds(live: LiveApp) -> None:
    held = {}
    for name in live.service.fakes:
        got = esaas("explain", name, "--json", url=live.url)
        assert got.exit_code == 0, got.output
        found = json.loads(got.stdout)
        assert found["cluster"]["name"] == name and found["events"] is not None
        shown = esaas("explain", name, url=live.url).stdout
        assert found["cluster"]["summary"] in shown
        for item in found["why"]:
            held[item["gate"]] = shown
            assert f"held by {item['gate']}" in shown and item["steps"]
        if not found["why"]:
            assert "no gate holds anything" in shown
    assert held, "no stand-in is held by anything: this tests nothing"


def test_explain_counts_what_waits_for_the_same_reason() -> None:
    def step(number: int, *gates: tuple[str, bool]) -> dict[str, object]:
        return {"id": f"start node-{number}", "title": f"start node-{number}", "gates": [
            {"name": name, "ok": ok, "reason": "because", "forcible": False}
            for name, ok in gates]}

    plan = {"plan": {"phases": [
        {"steps": [step(1, ("quorum_kept", False), ("drained", True)),
                   step(2, ("drained", False))]},
        {"steps": [step(3, ("drained", False))]}]}}
    found = why(plan)
    assert [(item["gate"], len(item["steps"])) for item in found] == [
        ("drained", 2), ("quorum_kept", 1)]


def test_top_shows_the_worst_first_and_one_clusters_nodes(live: LiveApp) -> None:
    got = esaas("top", "--once", url=live.url)
    assert got.exit_code == 0
    healths = [fake.health for fake in live.service.fakes.values()]
    assert len(set(healths)) > 1
    lines = [line for line in got.stdout.splitlines() if any(
        f" {name} " in f" {line} " for name in live.service.fakes)]
    order = [health for line in lines for health in ("red", "unknown", "yellow", "green")
             if f" {health} " in line]
    assert order == sorted(order, key=("red", "unknown", "yellow", "green").index)
    nodes = esaas("top", "demo", url=live.url)
    assert nodes.exit_code == 0 and "node-1" in nodes.stdout and " %" in nodes.stdout
    assert isinstance(json.loads(esaas("top", "--json", url=live.url).stdout), list)


def test_refusals(live: LiveApp) -> None:
    assert esaas("explain", "nobody", url=live.url).exit_code == REFUSED
    assert esaas("top", "nobody", url=live.url).exit_code == REFUSED
    assert esaas("top", "demo", "--tenant", "acme", url=live.url).exit_code == USAGE
    assert esaas("explain", "demo", url="http://127.0.0.1:1").exit_code == UNREACHABLE


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_is_one_that_the_shell_takes(shell: str) -> None:
    script = esaas("completion", shell).stdout
    assert "_ESAAS_COMPLETE" in script
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=script, text=True, check=False, timeout=30,
                              capture_output=True)
        assert done.returncode == 0, done.stderr


def completed(monkeypatch: pytest.MonkeyPatch, url: str, *words: str) -> list[str]:
    monkeypatch.setenv("ESAAS_URL", url)
    asked = ShellComplete(main, {}, "esaas", "_ESAAS_COMPLETE")
    return [item.value for item in asked.get_completions(list(words[:-1]), words[-1])]


def test_tab_knows_commands_clusters_nodes_and_hosts(
        live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "explain" in completed(monkeypatch, live.url, "ex")
    assert completed(monkeypatch, live.url, "cluster", "show", "dem") == ["demo"]
    assert set(completed(monkeypatch, live.url, "explain", "")) == set(live.service.fakes)
    nodes = completed(monkeypatch, live.url, "cluster", "node", "replace", "demo", "node-")
    assert "node-1" in nodes
    assert completed(monkeypatch, live.url, "cluster", "node", "replace", "nobody", "n") == []
    assert completed(monkeypatch, "http://127.0.0.1:1", "cluster", "show", "d") == []


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_a_real_bash_completes(live: LiveApp, tmp_path: Path) -> None:
    program = tmp_path / "esaas"
    program.write_text(f"#!{sys.executable}\nfrom esaas.framework.cli import main\nmain()\n")
    program.chmod(0o755)
    script = """eval "$(esaas completion bash)"
        COMP_WORDS=(esaas cluster show dem) COMP_CWORD=3
        _esaas_completion esaas
        echo "${COMPREPLY[@]}"
    """
    environment = {"ESAAS_URL": live.url, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script], env=environment,
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == "demo", done.stderr
