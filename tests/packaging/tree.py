"""What there is in the checkout, for the tests of its order."""
from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("framework", "executor", "ui", "local", "sim")
NOT_OURS = {".git", ".venv", "build", "dist", "__pycache__", ".hypothesis", ".mypy_cache",
            ".pytest_cache", ".ruff_cache", ".import_linter_cache"}
GENERATED = {"framework/proto/esaas_pb2.py", "framework/proto/esaas_pb2.pyi",
             "docs/api/openapi.json", "docs/configuration.md", "docs/cli.md"}


def walked() -> list[Path]:
    """Every file of the checkout that is not made by a tool."""
    found = []
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [name for name in inner
                    if name not in NOT_OURS and not name.endswith(".egg-info")]
        found += [Path(folder, name) for name in names]
    return sorted(found)


def files(*suffixes: str) -> list[Path]:
    """Files with one of these endings, or all; as git knows them, new ones included."""
    found = walked()
    if (ROOT / ".git").exists() and shutil.which("git"):
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=False)
        if done.returncode == 0:            # git refuses in a checkout of another user
            known = {ROOT / name for name in done.stdout.decode().split("\0") if name}
            found = sorted(path for path in known if path.is_file())
    return [path for path in found if not suffixes or path.suffix in suffixes]


def name(path: Path) -> str:
    """The path as people write it."""
    return path.relative_to(ROOT).as_posix()
