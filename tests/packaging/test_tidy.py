"""House rules that a machine can check."""
from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from esaas.local.requirements import REQUIREMENTS

from .tree import GENERATED, ROOMS, ROOT, files, name

MAX_LINE = 100
MAX_FUNCTION_LINES = 70
TEXT = (".py", ".md", ".sh", ".cfg", ".toml", ".ini", ".proto", ".html", ".css", ".js", ".yaml",
        ".yml")
# The home directory of whoever wrote a line has no place in it, nor has a checkout's.
MACHINE_PATHS = re.compile(r"/root/\.|(?<![\w.])/work/|\.pyenv|/(?:home|Users)/\w\w+/")


def sources() -> list[Path]:
    """Python files that people wrote."""
    return [path for path in files(".py") if name(path) not in GENERATED]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_lines_are_short() -> None:
    long = [f"{name(path)}:{number} has {len(line)} characters"
            for path in files(".py", ".proto") if name(path) not in GENERATED
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if len(line) > MAX_LINE]
    assert not long, "\n".join(long)


def test_functions_are_short() -> None:
    long = [f"{name(path)}:{node.lineno} {node.name} has {lines} lines"
            for path in sources() for node in functions(path)
            if (lines := node.end_lineno - node.lineno + 1) > MAX_FUNCTION_LINES]
    assert not long, "\n".join(long)


def test_public_functions_have_docstrings() -> None:
    rooms = [path for path in sources() if name(path).split("/")[0] in ROOMS]
    bare = [f"{name(path)}:{node.lineno} {node.name}" for path in rooms
            for node in module_functions(path)
            if not node.name.startswith("_") and not ast.get_docstring(node)]
    assert not bare, "\n".join(bare)


def module_functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions at the top of a file."""
    return [node for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_rooms_import_relatively_inside_and_by_the_full_name_across() -> None:
    wrong = []
    for path in sources():
        room = name(path).split("/")[0]
        for node in ast.walk(ast.parse(path.read_text())):
            for target in imported(node):
                first, *rest = target.split(".")
                if first in ROOMS:
                    wrong.append(f"{name(path)}:{node.lineno} imports plain {target}")
                if first == "esaas" and room in ROOMS and rest and rest[0] == room:
                    wrong.append(f"{name(path)}:{node.lineno} imports its own room as {target}")
            if (isinstance(node, ast.ImportFrom) and room in ROOMS
                    and node.level >= len(path.relative_to(ROOT).parts)):
                wrong.append(f"{name(path)}:{node.lineno} leaves its room by dots")
    assert not wrong, "\n".join(wrong)


def imported(node: ast.AST) -> list[str]:
    """The absolute names of modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        if node.module == "esaas":
            return [f"esaas.{alias.name}" for alias in node.names]
        return [node.module]
    return []


def test_no_file_names_a_machine_of_ours() -> None:
    own = Path(__file__)
    found = [f"{name(path)}:{number} {line.strip()[:80]}"
             for path in files(*TEXT) if path != own
             for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
             if MACHINE_PATHS.search(line)]
    assert not found, "\n".join(found)


def test_every_package_is_marked_as_typed() -> None:
    assert [room for room in ROOMS if not (ROOT / room / "py.typed").exists()] == []


def test_links_in_documents_lead_somewhere() -> None:
    link = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
    broken = [f"{name(path)}: {target}" for path in files(".md")
              for target in link.findall(path.read_text())
              if not (path.parent / target).exists()]
    assert not broken, "\n".join(broken)


def test_set_up_installs_whatever_the_data_centre_requires() -> None:
    script = (ROOT / "scripts" / "setup.sh").read_text()
    assert [each.package for each in REQUIREMENTS if each.package not in script] == []


@pytest.mark.parametrize("path", ["scripts/setup.sh", "vagrant/provision.sh", ".ci/run"])
def test_scripts_can_be_run_and_read(path: str) -> None:
    script = ROOT / path
    assert os.access(script, os.X_OK)
    shell = script.read_text().splitlines()[0].split()[-1].rsplit("/", 1)[-1]
    subprocess.run([shell, "-n", script], check=True)


def test_layers_keep_their_contracts() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT,
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
