"""Commits of a repository, by the git program: nothing is asked for, nothing of it is run.

Source: git's own documentation (git-archive, git-fetch, protocol.allow).
"""
from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import EsaasError

TIMEOUT_S = 120.0
MAX_ARCHIVE_BYTES = 50_000_000
MAX_FILES = 10_000
SCHEMES = "file:https:ssh"
_SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c",
         "protocol.ext.allow=never")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}")


class GitError(EsaasError):
    """The repository cannot be read; the message has git's own words."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit and where it came from."""

    repository: str
    ref: str
    sha: str
    author: str
    at: float
    subject: str


def split_address(address: str) -> tuple[str, str]:
    """Repository and ref of ``REPO[@REF]``; HEAD without one. GitError for an odd ref.

    The ``@`` of ``git@host:path`` and of ``ssh://git@host/path`` belongs to the address.
    """
    repository, at, ref = address.rpartition("@")
    _, scheme, rest = repository.partition("://")
    whole = Path(repository).exists() if at and not scheme else (
        "/" in rest if scheme else False)
    if at and (whole or (not scheme and ":" in repository)):
        if not _REF.fullmatch(ref) or ".." in ref:
            raise GitError(f"{ref!r} is no branch, tag or commit")
        return repository, ref
    return address, "HEAD"


def _git(arguments: Sequence[str], directory: Path) -> bytes:
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("GIT_") or name in ("GIT_SSH_COMMAND", "GIT_SSH")}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": SCHEMES, "LC_ALL": "C",
                    "GIT_OPTIONAL_LOCKS": "0"}
    environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    try:
        done = subprocess.run(["git", *_SAFE, *arguments], cwd=directory, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S,
                              check=False)
    except FileNotFoundError as error:
        raise GitError("the program git is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {arguments[0]} has not ended within {TIMEOUT_S:.0f} s") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise GitError(f"git {arguments[0]}: {said[-1] if said else 'no reason given'}")
    return done.stdout


class Repository:
    """One repository, local or remote; a remote one is fetched into a directory of our own."""

    def __init__(self, address: str) -> None:
        """GitError for an address that is none, or that cannot be reached by a safe way."""
        self.address, self.ref = split_address(address)
        local = Path(self.address)
        self._kept: tempfile.TemporaryDirectory[str] | None = None
        if local.is_dir():
            self._directory, self._remote = local, ""
        elif self.address.startswith("-"):
            raise GitError(f"{self.address!r} is no address of a repository")
        else:
            self._kept = tempfile.TemporaryDirectory(prefix="esaas-release-")
            self._directory, self._remote = Path(self._kept.name), self.address
            _git(["init", "--bare", "--quiet", "."], self._directory)

    def __enter__(self) -> Repository:
        return self

    def __exit__(self, *why: object) -> None:
        if self._kept is not None:
            self._kept.cleanup()

    def commit(self) -> Commit:
        """The commit that the ref names now; GitError."""
        wanted = self.ref
        if self._remote:
            _git(["fetch", "--quiet", "--depth=1", "--no-tags", "--end-of-options", self._remote,
                  self.ref], self._directory)
            wanted = "FETCH_HEAD"
        text = _git(["log", "-1", "--format=%H%x00%an%x00%ct%x00%s", "--end-of-options", wanted,
                     "--"], self._directory).decode("utf-8", "replace").strip("\n")
        sha, author, at, subject = text.split("\0")
        return Commit(self._shown(), self.ref, sha, author, float(at), subject)

    def _shown(self) -> str:
        """The address without a password in it; a local one as an absolute path."""
        if not self._remote:
            return str(self._directory.resolve())
        return re.sub(r"(?<=://)[^/@]*@", "", self.address)

    def files(self, commit: Commit) -> dict[str, bytes]:
        """The plain files of a commit by path; links and submodules are left out. GitError."""
        data = _git(["archive", "--format=tar", "--end-of-options", commit.sha], self._directory)
        if len(data) > MAX_ARCHIVE_BYTES:
            raise GitError(f"the commit holds more than {MAX_ARCHIVE_BYTES // 10**6} MB")
        found: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    found[member.name] = file.read()
                if len(found) > MAX_FILES:
                    raise GitError(f"the commit holds more than {MAX_FILES} files")
        return found
