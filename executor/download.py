"""Downloads: tried again, checked, and told of while they go on."""
from __future__ import annotations

import hashlib
import http.client
import logging
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from . import log
from .errors import DownloadError

_PIECE_BYTES = 1 << 20
_ATTEMPTS = 3
_TIMEOUT_S = 60
_PROGRESS_EVERY_S = 5.0


def fetch(url: str, target: Path, sha256: str) -> None:
    """Download ``url`` (http, https, file) to ``target`` and check it.

    ``sha256``: 64 hex digits; "" takes whatever comes. Blocks for as long as it takes. Raises
    ``DownloadError``, and then leaves no file; ``OSError`` when ``target`` cannot be written.
    """
    _download_again_if_needed(url, target)
    if sha256 and (found := sha256_of(target)) != sha256:
        target.unlink()
        raise DownloadError(f"{url} has sha256 {found}, not {sha256}")


def sha256_of(path: Path) -> str:
    """The sha256 of a file as hex digits. Raises ``OSError``."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download_again_if_needed(url: str, target: Path) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as source:
                _copy_with_progress(source, target, url)
            return
        except (OSError, http.client.HTTPException) as error:
            refused = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500
            if attempt == _ATTEMPTS or refused or url.startswith("file:"):
                target.unlink(missing_ok=True)
                raise DownloadError(f"cannot download {url}: {error}") from error
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
