"""What is built and installed is what is in the tree."""
from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .tree import ROOMS, ROOT, files, name

SHIPPED = {".py", ".pyi", ".typed", ".proto", ".html"}
BUILD_TIMEOUT_S = 300


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree: a build leaves its traces there, not in the checkout."""
    copy = tmp_path_factory.mktemp("source")
    for path in files():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the copy."""
    out = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out),
         str(source)])
    (built,) = out.glob("*.whl")
    return built


def run(command: list[str], timeout_s: float = BUILD_TIMEOUT_S) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=timeout_s,
                          check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_wheel_holds_the_tree_and_nothing_else(wheel: Path) -> None:
    expected = set()
    for path in files():
        room, *inner = path.relative_to(ROOT).parts
        if room in ROOMS and (path.suffix in SHIPPED or inner[0] in ("static", "locale")):
            expected.add(f"esaas/{name(path)}")
    with zipfile.ZipFile(wheel) as packed:
        found = {entry for entry in packed.namelist() if ".dist-info/" not in entry}
    assert found == expected, (f"missing: {sorted(expected - found)}; "
                               f"too much: {sorted(found - expected)}")


def test_the_wheel_has_the_files_byte_for_byte(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        different = [entry for entry in packed.namelist() if ".dist-info/" not in entry
                     and packed.read(entry) != (ROOT / entry.removeprefix("esaas/")).read_bytes()]
    assert different == []


@pytest.mark.system
def test_pip_installs_it_as_the_readme_says(source: Path, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    steps = ["pip install ./packaging/http-parser", "pip install ."]
    assert "\n".join(steps) in readme, "the README names these steps, one after the other"
    base = Path(sys.executable).resolve()
    run([str(base), "-m", "venv", str(tmp_path / "venv")])
    python = str(tmp_path / "venv" / "bin" / "python")
    for step in steps:
        folder = step.removeprefix("pip install ")
        run([python, "-m", "pip", "install", "-q", str(source / folder)])
    esaas = str(tmp_path / "venv" / "bin" / "esaas")
    shown = run([esaas, "--help"])
    for command in ("cluster", "serve", "local"):
        assert command in shown
    assert "--mesos-master" in run([esaas, "serve", "--help"])
    # The edge to Mesos is what needs http-parser.
    run([python, "-I", "-c", "import esaas.framework.mesos.driver, esaas.ui.app"])
