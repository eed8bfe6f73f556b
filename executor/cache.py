"""Distributions of Elasticsearch on this agent: fetched, checked and unpacked once, then shared.

One directory per sha256 of the zip, and one per set of plugins on top of it (``plugins.py``).
Executors that need the same one at the same time wait for each other on a file lock; what is
there was complete before it got its name.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from . import archive, download, log
from .errors import PreparationError


class CacheError(PreparationError):
    """The distribution cannot be had; the message says why, in one line."""


class DistributionCache:
    """The cache under one directory, which must belong to this user alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def home(self, url: str, sha256: str) -> Path:
        """The home directory (it holds ``bin/elasticsearch``) of a distribution.

        ``url``: http(s) or file, of a zip; ``sha256``: 64 hex digits. Blocks for as long as the
        download takes. Raises ``PreparationError``.
        """
        return self.entry(sha256, lambda work: _unpacked(url, sha256, work))

    def entry(self, key: str, make: Callable[[Path], Path]) -> Path:
        """The home directory in the entry of a key, which is made when it is not there.

        ``key``: 64 hex digits over all that decides what is in it. ``make(work)`` gets an empty
        directory and returns a tree within it, which becomes the entry; only one process makes it
        at a time, the others wait. Raises ``CacheError``, and what ``make`` raises but for
        ``OSError``.
        """
        try:
            self._check_directory()
            final = self._directory / key
            if not final.exists():
                with self._locked(key):
                    if not final.exists():  # another executor may have been faster
                        self._make(key, make, final)
            return home_in(final)
        except OSError as error:
            raise CacheError(f"cannot install into the cache: {error}") from error

    def _check_directory(self) -> None:
        with contextlib.suppress(FileExistsError):  # it is looked at below
            os.mkdir(self._directory, 0o755)
        found = os.lstat(self._directory)
        if not stat.S_ISDIR(found.st_mode):
            raise CacheError(f"cache {self._directory} is not a directory")
        if found.st_uid != os.geteuid():
            raise CacheError(f"cache {self._directory} belongs to user {found.st_uid}, "
                             f"not to {os.geteuid()}")
        if found.st_mode & 0o022:
            raise CacheError(f"cache {self._directory} can be written by others "
                             f"(mode {stat.S_IMODE(found.st_mode):o})")

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        with open(self._directory / f"{key}.lock", "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # ends with the file, or with this process
            yield

    def _make(self, key: str, make: Callable[[Path], Path], final: Path) -> None:
        work = self._directory / f"{key}.new"
        if work.exists():
            shutil.rmtree(work)  # left by an executor that died; we hold the lock
        work.mkdir(mode=0o755)
        try:
            tree = make(work)
            home_in(tree)
            os.rename(tree, final)
        finally:
            shutil.rmtree(work)
        log.event("Distribution installed", path=final)


def _unpacked(url: str, sha256: str, work: Path) -> Path:
    zipped, tree = work / "distribution.zip", work / "tree"
    download.fetch(url, zipped, sha256)
    archive.unpack(zipped, tree, read_only=True)
    return tree


def home_in(tree: Path) -> Path:
    """The home directory within a distribution's tree. Raises ``CacheError``."""
    homes = [script.parent.parent for script in sorted(tree.glob("*/bin/elasticsearch"))]
    if len(homes) != 1:
        raise CacheError("the zip holds no */bin/elasticsearch, or several")
    return homes[0]
