"""mesos-fetcher in Python: brings the URIs of a task into its sandbox, as the task's user.

Reads MESOS_FETCHER_INFO. http, https, file URIs and plain paths; ``executable``, ``extract``
(tar, tgz, tbz2, txz, zip, gz), ``output_file``, the cache actions. No hdfs, no ftp.

Every module is imported at the top, before the process becomes the task's user: that user may
not be able to read the place where this interpreter's modules are.
"""

from __future__ import annotations

import bz2  # noqa: F401  tarfile imports it late
import encodings.idna  # noqa: F401  name look-ups import it late
import gzip
import json
import lzma  # noqa: F401  tarfile imports it late
import os
import pwd
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

from .errors import EmbeddedError

BLOCK = 1 << 20
NO_CACHE = "BYPASS_CACHE"
TAR_ENDINGS = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
EXECUTABLE = 0o755


def run_fetcher() -> int:
    """Fetch everything that MESOS_FETCHER_INFO lists; the exit status, 1 after a failure."""
    info = json.loads(os.environ["MESOS_FETCHER_INFO"])
    items, user = info.get("items", []), info.get("user")
    cache = Path(info["cache_directory"]) if info.get("cache_directory") else None
    if cache and any(item.get("action", NO_CACHE) != NO_CACHE for item in items):
        cache.mkdir(parents=True, exist_ok=True)
        if user:
            shutil.chown(cache, user)
    if user:
        become(user)
    stall_ns = info.get("stall_timeout", {}).get("nanoseconds", 60 * 10**9)
    for item in items:
        try:
            fetch(
                item, Path(info["sandbox_directory"]), cache,
                home=info.get("frameworks_home"), timeout_s=stall_ns / 10**9,
            )  # fmt: skip
        except (OSError, EmbeddedError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
            sys.stderr.write(f"cannot fetch {item['uri']['value']}: {error}\n")
            return 1
    return 0


def become(user: str) -> None:
    """Give up root for this user, its groups included. Raises KeyError if there is none."""
    entry = pwd.getpwnam(user)
    if os.geteuid() == entry.pw_uid:
        return
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def fetch(
    item: dict[str, Any], sandbox: Path, cache: Path | None, home: str | None, timeout_s: float
) -> None:
    """Bring one item into the sandbox: through the cache, extracted, executable as it says.

    Raises EmbeddedError, OSError, EOFError or an archive's error.
    """
    uri = item["uri"]
    value = uri["value"].strip()
    name = uri.get("output_file") or os.path.basename(value.split("?")[0].split("#")[0])
    if not name or os.path.isabs(name) or ".." in name.split("/"):
        raise EmbeddedError(f"{name!r} is no good file name")
    target = sandbox / name
    target.parent.mkdir(parents=True, exist_ok=True)
    source, cached = target, item.get("action", NO_CACHE) != NO_CACHE
    if cached:
        if cache is None:
            raise EmbeddedError("the cache is asked for, and there is none")
        source = cache / item["cache_filename"]
    if not (cached and source.exists()):
        download(value, source, home, timeout_s)
    # An executable is never extracted, though "extract" is true by default.
    if not uri.get("executable") and uri.get("extract", True) and extract(source, sandbox, name):
        return
    if source != target:
        shutil.copyfile(source, target)
    if uri.get("executable"):
        target.chmod(EXECUTABLE)


def download(value: str, target: Path, home: str | None, timeout_s: float) -> None:
    """Copy a URI to a file, which appears only when complete."""
    scheme, separator, _ = value.partition("://")
    partial = target.with_name(target.name + ".partial")
    if separator and scheme in ("http", "https"):
        _download_http(value, partial, timeout_s)
    elif not separator or scheme == "file":
        path = value[len("file://") :] if separator else value
        path = path.removeprefix("localhost") if path.startswith("localhost/") else path
        if not os.path.isabs(path):
            if not home:
                raise EmbeddedError("a relative path, and no frameworks_home")
            path = os.path.join(home, path)
        shutil.copyfile(path, partial)
    else:
        raise EmbeddedError(f"scheme {scheme!r} is not supported")
    os.replace(partial, target)


def _download_http(url: str, target: Path, timeout_s: float) -> None:
    with urllib.request.urlopen(url, timeout=timeout_s) as response, target.open("wb") as out:
        if response.status != 200:
            raise EmbeddedError(f"HTTP status {response.status}")
        shutil.copyfileobj(response, out, BLOCK)
        length = response.headers.get("Content-Length")
        if length is not None and out.tell() != int(length):
            raise EOFError(f"{out.tell()} bytes of {length}")


def extract(source: Path, sandbox: Path, name: str) -> bool:
    """Unpack by the ending of the name; False when it is no archive's."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(source) as archive:
            _check_members(archive.namelist())
            for member in archive.infolist():
                path = archive.extract(member, sandbox)
                mode = member.external_attr >> 16 & 0o777
                if mode and not member.is_dir():
                    os.chmod(path, mode)
    elif name.endswith(TAR_ENDINGS):
        with tarfile.open(source) as tar:
            _check_members([m.name for m in tar.getmembers()])
            tar.extractall(sandbox)
    elif name.endswith(".gz"):
        target = sandbox / name[: -len(".gz")]
        with gzip.open(source) as packed, target.open("wb") as out:
            shutil.copyfileobj(packed, out, BLOCK)
    else:
        return False
    return True


def _check_members(names: list[str]) -> None:
    """Refuse an archive that would write outside the sandbox."""
    bad = [n for n in names if os.path.isabs(n) or ".." in n.split("/")]
    if bad:
        raise EmbeddedError(f"members outside the sandbox: {', '.join(bad[:3])}")
