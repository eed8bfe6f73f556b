"""Zips from Maven Central by Maven, each pinned by its sha256."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ..errors import LocalError
from ..files import locked, sha256
from .progress import watched

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get"
DOWNLOAD_TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True)
class Zip:
    """One pinned artifact; ``title``: what people call it."""

    title: str
    group: str
    artifact: str
    version: str
    size_bytes: int
    sha256: str

    @property
    def coordinates(self) -> str:
        """group:artifact:version:type, as Maven names it."""
        return f"{self.group}:{self.artifact}:{self.version}:zip"

    def path(self, cache: Path) -> Path:
        """Where Maven puts the zip."""
        folder = Path(cache, "maven", *self.group.split("."), self.artifact, self.version)
        return folder / f"{self.artifact}-{self.version}.zip"


def fetch(cache: Path, wanted: Zip, console: Console | None = None) -> Path:
    """The zip in the cache; downloads it when it is not there.

    Raises LocalError when Maven fails or the sha256 differs.
    """
    path = wanted.path(cache)
    # A file that is there is looked at without the lock: the cache may be ours to read only.
    if not path.exists():
        with locked(cache / "maven" / "lock"):
            if not path.exists():
                _download(cache, wanted, console)
    if (found := sha256(path)) != wanted.sha256:
        path.unlink()
        raise LocalError(
            f"{wanted.title} has sha256 {found}, not {wanted.sha256}; the file is "
            "removed: try again"
        )
    return path


def _download(cache: Path, wanted: Zip, console: Console | None) -> None:
    path = wanted.path(cache)

    def done_bytes() -> int:
        # Maven writes to a temporary name in the same folder.
        return max((p.stat().st_size for p in path.parent.glob("*zip*") if p.exists()), default=0)

    command = [
        "mvn", "-B", "-q", "-ntp", f"-Dmaven.repo.local={cache / 'maven'}", PLUGIN,
        "-Dtransitive=false", f"-Dartifact={wanted.coordinates}",
    ]  # fmt: skip
    with watched(wanted.title, wanted.size_bytes, done_bytes, console):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False
            )
        except FileNotFoundError as error:
            raise LocalError("mvn is missing: see esaas local doctor") from error
    if done.returncode != 0 or not path.exists():
        lines = (done.stdout + done.stderr).strip().splitlines()[-15:]
        raise LocalError(f"Maven could not fetch {wanted.coordinates}", lines)
