"""The Mesos 1.11.0 library, out of the PyPI distribution of ``mesos.scheduler``.

The distribution holds one Python 2 extension module that links all of libmesos statically and
exports its C++ symbols (docs/embedded-mesos.md).
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path

from rich.console import Console

from ..embedded.build import LIBRARY_NAME, LIBRARY_SHA256
from ..embedded.elf import patch
from ..errors import LocalError
from ..files import locked, sha256
from .progress import Bar

PROJECT = "mesos.scheduler"
FILENAME = "mesos.scheduler-1.11.0.linux-x86_64.tar.gz"
SHA256 = "1d376f20bca6d05ee8b90c1c123a452b28753497ccc2f1c80ea3ac94c12e8f6e"
MEMBER = "./usr/local/lib/python2.7/dist-packages/mesos/scheduler/_scheduler.so"
MEMBER_SHA256 = "84d7ee9af27e912636b139de40257df1ee4f56c201de6bba834278aa1e8fd64c"


def library_path(cache: Path) -> Path:
    """Where the patched library is kept."""
    return cache / "mesos-1.11.0" / LIBRARY_NAME


def fetch_mesos(cache: Path, console: Console | None = None) -> Path:
    """The library in the cache; downloads, checks and patches it when it is not there.

    Raises LocalError when the index lacks the file or a sha256 differs.
    """
    target = library_path(cache)

    def complete() -> bool:
        return target.exists() and sha256(target) == LIBRARY_SHA256

    if complete():  # before the lock: the cache may be another user's, to read only
        return target
    with locked(target.parent / "lock"):
        if not complete():
            with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
                fresh = Path(scratch, LIBRARY_NAME)
                _extract(_download(Path(scratch), console), fresh)
                patch(fresh)
                _check(fresh, LIBRARY_SHA256, "the patched library")
                fresh.chmod(0o755)
                fresh.replace(target)
    return target


def _download(directory: Path, console: Console | None) -> Path:
    try:
        from pypi_simple import PyPISimple
    except ImportError as error:
        raise LocalError("pypi-simple is missing: pip install 'esaas[local]'") from error
    path = directory / FILENAME
    with PyPISimple() as index:
        for package in index.get_project_page(PROJECT).packages:
            if package.filename == FILENAME:
                index.download_package(
                    package, path, verify=True,
                    progress=lambda total: Bar("Mesos 1.11.0", total, console),
                )  # fmt: skip
                break
        else:
            raise LocalError(f"{FILENAME} is not in the index")
    _check(path, SHA256, FILENAME)
    return path


def _extract(archive: Path, path: Path) -> None:
    with tarfile.open(archive, "r:gz") as tar, path.open("wb") as out:
        source = tar.extractfile(MEMBER)
        if source is None:
            raise LocalError(f"{FILENAME} has no {MEMBER}")
        shutil.copyfileobj(source, out, 1 << 20)
    _check(path, MEMBER_SHA256, MEMBER)


def _check(path: Path, expected: str, what: str) -> None:
    if (found := sha256(path)) != expected:
        raise LocalError(f"{what} has sha256 {found}, not {expected}")
