"""The directory of helper programs that an agent runs by upstream's names."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

HELPERS = ("mesos-containerizer", "mesos-fetcher")


def write_launcher_dir(directory: Path, library: str) -> None:
    """Write the helpers as scripts that call this package again. Idempotent, atomic.

    The interpreter runs isolated (``-I``): the environment is the container's, not ours.
    """
    directory.mkdir(parents=True, exist_ok=True)
    package = __name__.rpartition(".")[0]
    for name in HELPERS:
        words = [sys.executable, "-I", "-m", package, name, library]
        fresh = directory / (name + ".new")
        fresh.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        fresh.chmod(0o755)
        os.replace(fresh, directory / name)
