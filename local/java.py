"""Java runtimes on this machine, found without starting one."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

JVM_FOLDER = Path("/usr/lib/jvm")
VERSION = re.compile(r'^JAVA_VERSION="(?:1\.)?(\d+)', re.MULTILINE)


@dataclass(frozen=True, slots=True, order=True)
class Java:
    """A runtime: its major version and its home."""

    major: int
    home: Path

    @property
    def program(self) -> Path:
        """The ``java`` program."""
        return self.home / "bin" / "java"


def installed(folder: Path = JVM_FOLDER) -> list[Java]:
    """All runtimes in Debian's folder and the one on PATH, lowest version first."""
    homes = {p.resolve() for p in folder.glob("*") if (p / "bin" / "java").exists()}
    if on_path := shutil.which("java"):
        homes.add(Path(on_path).resolve().parents[1])
    found = []
    for home in homes:
        release = home / "release"
        if release.is_file() and (match := VERSION.search(release.read_text(errors="replace"))):
            found.append(Java(int(match[1]), home))
    return sorted(found)


def at_least(major: int, folder: Path = JVM_FOLDER) -> Java | None:
    """The lowest runtime of at least this major version."""
    return next((java for java in installed(folder) if java.major >= major), None)
