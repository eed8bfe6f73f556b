"""What is shipped for running the service: units, apps, references; held against the code."""
from __future__ import annotations

import inspect
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml
from esaas.framework.commands import reference as commands
from esaas.framework.commands.frame import REFUSED, TIMED_OUT, UNREACHABLE, USAGE
from esaas.framework.core import gates
from esaas.framework.core.snapshot_spec import Snapshots
from esaas.framework.settings import KnownDistribution, MesosCredentials, StoreCredentials
from esaas.framework.sinks import AlertSettings
from esaas.ui.reference import SHAPES, text
from esaas.ui.serve import FILES, serve

from .tree import ROOT

DEPLOY = ROOT / "deploy"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
OPTIONS = [one for one in serve.params if isinstance(one, click.Option)]
VARIABLES = {str(one.envvar) for one in OPTIONS}


def test_the_reference_of_settings_is_current() -> None:
    kept = (ROOT / "docs" / "configuration.md").read_text()
    assert kept == text(), "run: python -m esaas.ui.reference docs/configuration.md"


def test_the_reference_of_commands_is_current() -> None:
    kept = (ROOT / "docs" / "cli.md").read_text()
    assert kept == commands.text(), "run: python -m esaas.framework.commands.reference docs/cli.md"
    codes = re.findall(r"^\| (\d) \|", kept, re.MULTILINE)
    assert [int(code) for code in codes] == [0, REFUSED, USAGE, UNREACHABLE, TIMED_OUT]


def test_the_examples_of_files_have_the_right_shape() -> None:
    assert set(SHAPES) == set(FILES)
    shown = {name: yaml.safe_load(shape.replace("64 hexadecimal digits", "a" * 64))
             for name, shape in SHAPES.items()}
    for one in shown["credentials"].values():
        MesosCredentials.model_validate(one)
    StoreCredentials.model_validate(shown["store_credentials"])
    MesosCredentials.model_validate(shown["operator_credentials"])
    AlertSettings.model_validate(shown["alerts"])
    Snapshots.model_validate(shown["snapshots"])
    for one in (*shown["distributions"].values(),
                *(two for each in shown["plugins"].values() for two in each.values())):
        KnownDistribution.model_validate(one)


def lines_of(path: Path) -> dict[str, str]:
    """The assignments of an environment file."""
    return dict(line.split("=", 1) for line in path.read_text().splitlines()
                if line and not line.startswith("#"))


def test_every_variable_is_a_setting() -> None:
    app = json.loads((DEPLOY / "marathon" / "esaas.json").read_text())
    container = (DEPLOY / "container" / "Containerfile").read_text()
    named = {*lines_of(DEPLOY / "systemd" / "esaas.env"), *app["env"],
             *re.findall(r"\bESAAS_\w+", container)}
    assert len(named) > 10 and named <= VARIABLES


@pytest.mark.parametrize("place", ["systemd", "marathon", "container"])
def test_every_command_is_one_of_ours(place: str) -> None:
    if place == "systemd":
        unit = (DEPLOY / "systemd" / "esaas.service").read_text()
        words = shlex.split(re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)[0])
    elif place == "marathon":
        words = shlex.split(json.loads((DEPLOY / "marathon" / "esaas.json").read_text())["cmd"])[1:]
    else:
        file = (DEPLOY / "container" / "Containerfile").read_text()
        words = [*json.loads(re.findall(r"^ENTRYPOINT (.*)$", file, re.MULTILINE)[0]),
                 *json.loads(re.findall(r"^CMD (.*)$", file, re.MULTILINE)[0])]
    program, command, *options = words
    assert Path(program).name == "esaas" and command == "serve"
    serve.make_context("serve", options)       # an unknown option raises


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd" / "esaas.service").read_text()
    here = tmp_path / "esaas.service"
    # Program and user are those of a host where it was installed.
    here.write_text(unit.replace("/opt/esaas/bin/esaas", "/bin/true").replace(
        "User=esaas", "User=root").replace("Group=esaas", "Group=root"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(here)],
                          capture_output=True, text=True, check=False, timeout=60)
    ours = [line for line in done.stderr.splitlines() if "esaas.service" in line]
    assert not ours and done.returncode == 0, done.stderr


def test_every_gate_has_a_line_for_whoever_is_on_call() -> None:
    rows = {name for line in OPERATIONS.splitlines() if line.startswith("| `")
            for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    named = set(re.findall(r'Answer\(\s*"(\w+)"', inspect.getsource(gates)))
    assert len(named) > 25
    assert not named - rows
