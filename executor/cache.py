"""Distributions of Elasticsearch on this agent: fetched, checked and unpacked once, then shared.

One directory per sha256 of the zip. Executors that need the same one at the same time wait for
each other on a file lock; what is there was complete before it got its name.
"""
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import logging
import os
import shutil
import stat
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from . import log

_PIECE_BYTES = 1 << 20
_ATTEMPTS = 3
_TIMEOUT_S = 60
_PROGRESS_EVERY_S = 5.0


class CacheError(Exception):
    """The distribution cannot be had; the message says why, in one line."""


class DistributionCache:
    """The cache under one directory, which must belong to this user alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def home(self, url: str, sha256: str) -> Path:
        """The home directory (it holds ``bin/elasticsearch``) of a distribution.

        ``url``: http(s) or file, of a zip; ``sha256``: 64 hex digits. Blocks for as long as the
        download takes. Raises ``CacheError``.
        """
        try:
            self._check_directory()
            final = self._directory / sha256
            if not final.exists():
                with self._locked(sha256):
                    if not final.exists():  # another executor may have been faster
                        self._install(url, sha256, final)
            return _home_in(final)
        except OSError as error:
            raise CacheError(f"cannot install {url}: {error}") from error

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
    def _locked(self, sha256: str) -> Iterator[None]:
        with open(self._directory / f"{sha256}.lock", "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # ends with the file, or with this process
            yield

    def _install(self, url: str, sha256: str, final: Path) -> None:
        work = self._directory / f"{sha256}.new"
        if work.exists():
            shutil.rmtree(work)  # left by an executor that died; we hold the lock
        work.mkdir(mode=0o755)
        archive = work / "distribution.zip"
        _download_again_if_needed(url, archive)
        found = _sha256_of(archive)
        if found != sha256:
            shutil.rmtree(work)
            raise CacheError(f"{url} has sha256 {found}, not {sha256}")
        tree = work / "tree"
        _unpack(archive, tree)
        _home_in(tree)
        os.rename(tree, final)
        shutil.rmtree(work)
        log.event("Distribution installed", path=final)


def _download_again_if_needed(url: str, target: Path) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as source:
                _copy_with_progress(source, target, url)
            return
        except (OSError, http.client.HTTPException) as error:
            refused = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500
            if attempt == _ATTEMPTS or refused or url.startswith("file:"):
                raise CacheError(f"cannot download {url}: {error}") from error
            log.event("Download failed, trying again", level=logging.WARNING, url=url,
                      attempt=attempt, error=error)
            time.sleep(attempt)  # back off; nothing is waited for


def _copy_with_progress(source: IO[bytes], target: Path, url: str) -> None:
    headers = getattr(source, "headers", {})
    total_bytes = int(headers.get("Content-Length") or 0)
    done_bytes, told_at = 0, time.monotonic()
    log.event("Download started", url=url, bytes=total_bytes)
    with open(target, "wb") as file:
        while piece := source.read(_PIECE_BYTES):
            file.write(piece)
            done_bytes += len(piece)
            if time.monotonic() - told_at > _PROGRESS_EVERY_S:
                told_at = time.monotonic()
                log.event("Download goes on", bytes=done_bytes, of=total_bytes)
    if total_bytes and done_bytes != total_bytes:
        raise http.client.IncompleteRead(b"", total_bytes - done_bytes)
    log.event("Download finished", bytes=done_bytes)


def _sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(archive: Path, target: Path) -> None:
    """Unpack a zip, keeping executable bits; files become read-only for all.

    Raises ``CacheError`` for members that would leave ``target``, and for links.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.infolist():
                _unpack_member(zipped, member, target)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise CacheError(f"not a zip that can be unpacked: {error}") from error


def _unpack_member(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    path = PurePosixPath(member.filename)
    mode = member.external_attr >> 16
    if path.is_absolute() or ".." in path.parts or stat.S_ISLNK(mode):
        raise CacheError(f"unsafe member {member.filename!r} in the zip")
    destination = target / path
    if member.is_dir():
        destination.mkdir(parents=True, exist_ok=True)
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(member) as source, open(destination, "wb") as file:
        shutil.copyfileobj(source, file, _PIECE_BYTES)
    os.chmod(destination, 0o555 if mode & 0o111 else 0o444)


def _home_in(tree: Path) -> Path:
    homes = [script.parent.parent for script in sorted(tree.glob("*/bin/elasticsearch"))]
    if len(homes) != 1:
        raise CacheError("the zip holds no */bin/elasticsearch, or several")
    return homes[0]
