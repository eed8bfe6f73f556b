"""Real git repositories with clusters in them."""
from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

NODE = {"count": 3, "roles": ["master", "data"], "mem_mb": 1024, "disk_mb": 2000}
CLUSTER = {"tenant": "demo", "version": "6.8.23"}


def git(directory: Path, *arguments: str) -> str:
    """Run git as somebody."""
    return subprocess.run(
        ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c",
         "init.defaultBranch=main", *arguments], cwd=directory, check=True, capture_output=True,
        text=True).stdout.strip()


def write(directory: Path, files: Mapping[str, Any]) -> None:
    """Write files as YAML, or as they are; None removes one."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        else:
            path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))


def commit(directory: Path, files: Mapping[str, Any], subject: str = "change") -> str:
    """Write files and commit them; the commit's name."""
    if not (directory / ".git").exists():
        directory.mkdir(parents=True, exist_ok=True)
        git(directory, "init", "--quiet")
    write(directory, files)
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", subject)
    return git(directory, "rev-parse", "HEAD")
