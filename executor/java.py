"""Which JDK runs a version of Elasticsearch on this machine; found without starting one."""
from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import StartError
from .settings import Settings

JVM_FOLDER = Path("/usr/lib/jvm")  # of Debian and Red Hat
_VERSION = re.compile(r'^JAVA_VERSION="(?:1\.)?(\d+)', re.MULTILINE)
_MODULES = re.compile(r'^MODULES="([^"]*)"', re.MULTILINE)
_VECTOR = "jdk.incubator.vector"
_FIRST_WITH_21 = 9  # major of Elasticsearch


@dataclass(frozen=True, slots=True)
class Release:
    """What the ``release`` file of a JDK says."""

    major: int
    modules: frozenset[str]

    @property
    def runs_9(self) -> bool:
        """Whether Elasticsearch 9 starts on it."""
        return self.major >= 21 and _VECTOR in self.modules


def release_of(home: Path) -> Release | None:
    """The release of a JDK; None when its file is missing, or says nothing of use."""
    try:
        text = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    version, modules = _VERSION.search(text), _MODULES.search(text)
    if version is None:
        return None
    return Release(int(version[1]), frozenset(modules[1].split() if modules else ()))


def java_home(settings: Settings, version: str, home: Path, environ: Mapping[str, str],
              jvm_folder: Path = JVM_FOLDER) -> Path:
    """The JDK for a version of Elasticsearch whose distribution is at ``home``.

    The configured one; else the distribution's own, the environment's, the path's. Where a JDK
    of 21 or later is needed, the first of these that is one, and then the lowest of the
    machine's. Raises ``StartError`` when there is none.
    """
    configured = settings.java_for(version)
    if configured and not _has_java(Path(configured)):
        raise StartError(f"no Java: {configured} has no bin/java")
    if int(version.partition(".")[0]) < _FIRST_WITH_21:
        found = Path(configured) if configured else next(_candidates(home, environ), None)
        if found is None:
            raise StartError(
                "no Java: set ESAAS_JAVA_HOME or JAVA_HOME, or put java on the path")
        return found
    # A configured one that says nothing of itself is taken at people's word.
    if configured and ((release := release_of(Path(configured))) is None or release.runs_9):
        return Path(configured)
    known = (*_candidates(home, environ), *_installed(jvm_folder))
    found = next((path for path in known if (it := release_of(path)) and it.runs_9), None)
    if found is None:
        raise StartError(f"no Java: Elasticsearch {version} needs a JDK 21 or later with "
                         f"{_VECTOR}: set ESAAS_JAVA21_HOME"
                         + (f" ({configured} is none)" if configured else ""))
    return found


def _has_java(home: Path) -> bool:
    return os.access(home / "bin" / "java", os.X_OK)


def _candidates(home: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """The distribution's own, the environment's, the path's, if they are there."""
    for path in (str(home / "jdk"), environ.get("ES_JAVA_HOME"), environ.get("JAVA_HOME")):
        if path and _has_java(Path(path)):
            yield Path(path)
    if on_path := shutil.which("java", path=environ.get("PATH")):
        yield Path(on_path).resolve().parent.parent


def _installed(folder: Path) -> list[Path]:
    """The machine's, lowest version first."""
    homes = {path.resolve() for path in folder.glob("*") if _has_java(path)}
    known = [(release.major, home) for home in homes if (release := release_of(home))]
    return [home for _, home in sorted(known)]
