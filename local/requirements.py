"""What this machine needs for a data centre in a box, and how to get it."""

from __future__ import annotations

import ctypes
import os
import platform
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from . import java
from .errors import LocalError
from .settings import SYSTEM_USER, Settings

APT_TIMEOUT_S = 1800
LOWEST_JAVA = 17
ZOOKEEPER_JAR = Path("/usr/share/java/zookeeper.jar")
MESOS, ELASTICSEARCH, ZOOKEEPER = "mesos", "elasticsearch", "zookeeper"
ALL = (MESOS, ELASTICSEARCH, ZOOKEEPER)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that must be here, the Debian package that brings it, and for what."""

    what: str
    package: str
    needed_for: tuple[str, ...]
    present: Callable[[], bool]


def _loads(*libraries: str) -> Callable[[], bool]:
    def present() -> bool:
        try:
            for library in libraries:
                ctypes.CDLL(library)
        except OSError:
            return False
        return True

    return present


def _has_sasl_modules() -> bool:
    return any(Path("/usr/lib").glob("*/sasl2/libcrammd5.so*"))


REQUIREMENTS = (
    Requirement(
        "Subversion and APR libraries", "libsvn1", (MESOS,),
        _loads("libsvn_delta-1.so.1", "libsvn_subr-1.so.1", "libapr-1.so.0"),
    ),
    Requirement("curl library", "libcurl4", (MESOS,), _loads("libcurl.so.4", "libssl.so.3")),
    Requirement("SASL modules", "libsasl2-modules", (MESOS,), _has_sasl_modules),
    Requirement(
        f"Java >= {LOWEST_JAVA}", "openjdk-17-jre-headless", (ELASTICSEARCH, ZOOKEEPER),
        lambda: java.at_least(LOWEST_JAVA) is not None,
    ),
    Requirement("Maven", "maven", (ELASTICSEARCH,), lambda: shutil.which("mvn") is not None),
    Requirement("ZooKeeper", "zookeeper", (ZOOKEEPER,), ZOOKEEPER_JAR.exists),
)  # fmt: skip


def missing(wanted: Iterable[str]) -> list[Requirement]:
    """What is not here, of what these parts need."""
    parts = set(wanted)
    return [r for r in REQUIREMENTS if parts & set(r.needed_for) and not r.present()]


def apt_command(requirements: Iterable[Requirement]) -> list[str]:
    """The command that installs them."""
    packages = sorted({r.package for r in requirements})
    return ["apt-get", "install", "-y", "--no-install-recommends", *packages]


def ensure(
    settings: Settings, wanted: Iterable[str] = (MESOS,),
    report: Callable[[str], None] = lambda _: None,
) -> None:  # fmt: skip
    """Install what is missing (root), or raise LocalError with the one command that does."""
    if platform.machine() != "x86_64":
        raise LocalError(f"the Mesos library is for x86_64, this machine is {platform.machine()}")
    wanted = list(wanted)
    absent = missing(wanted)
    if not absent:
        return
    command = apt_command(absent)
    if not settings.root or shutil.which("apt-get") is None:
        raise LocalError(
            f"this machine lacks {len(absent)} thing(s); install them with: sudo "
            + " ".join(command),
            [f"{r.what} (Debian package {r.package})" for r in absent],
        )
    report(f"installing {', '.join(sorted({r.package for r in absent}))}")
    _run(["apt-get", "update", "-q"])
    _run(command)
    if still := missing(wanted):
        raise LocalError("installed, and still missing", [f"{r.what} ({r.package})" for r in still])


def _run(command: list[str]) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=APT_TIMEOUT_S,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()[-15:]
        raise LocalError(f"{' '.join(command)} failed with status {done.returncode}", lines)


def ensure_user(settings: Settings, name: str = SYSTEM_USER) -> str:
    """The user as whom executors run: a system user when we are root, else ourselves."""
    if not settings.root:
        return pwd.getpwuid(os.geteuid()).pw_name
    try:
        pwd.getpwnam(name)
    except KeyError:
        _run(["useradd", "--system", "--user-group", "--no-create-home",
              "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name])  # fmt: skip
    return name
