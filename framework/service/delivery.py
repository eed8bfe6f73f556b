"""The executor as one file in the state directory, named by its hash, for agents to fetch."""
from __future__ import annotations

from pathlib import Path

from esaas.executor import bundle


def build_executor(directory: Path) -> Path:
    """Build the executor's file; older ones stay, for tasks that name them."""
    directory.mkdir(parents=True, exist_ok=True)
    made = bundle.build(directory / "esaas-executor.pyz")
    named = directory / f"esaas-executor-{made.sha256[:16]}.pyz"
    made.path.replace(named)
    return named
