"""Unpacks archives that others made: nothing gets out of the directory it is meant for."""
from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from .errors import ArchiveError

_PIECE_BYTES = 1 << 20
_ZIP_ENDINGS = (".zip",)
_TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def is_archive(name: str) -> bool:
    """Whether a file of this name is one that ``unpack`` can unpack."""
    return name.lower().endswith(_ZIP_ENDINGS + _TAR_ENDINGS)


def unpack(archive: Path, target: Path, *, read_only: bool = False) -> None:
    """Unpack a zip or tar (by its name) into ``target``, keeping executable bits.

    Members that would leave ``target``, overwrite something or are devices are refused, and so
    are links, but symbolic ones of a tar that stay inside. ``read_only``: files are written by
    nobody. Raises ``ArchiveError`` and ``OSError``; what was unpacked until then stays.
    """
    target.mkdir(parents=True, exist_ok=True)
    into = _Into(target, read_only)
    try:
        if archive.name.lower().endswith(_TAR_ENDINGS):
            with tarfile.open(archive) as tar:
                _unpack_tar(tar, into)
        else:
            with zipfile.ZipFile(archive) as zipped:
                for member in zipped.infolist():
                    _unpack_zip_member(zipped, member, into)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError) as error:
        kind = "tar" if archive.name.lower().endswith(_TAR_ENDINGS) else "zip"
        raise ArchiveError(f"not a {kind} that can be unpacked: {error}") from error


class _Into:
    """The directory to unpack into; ``Path`` arithmetic that cannot leave it."""

    def __init__(self, target: Path, read_only: bool) -> None:
        self._root = Path(os.path.realpath(target))
        self._mode = 0o444 if read_only else 0o644

    def place(self, name: str) -> Path:
        """Where a member goes; its directory is made. Raises ``ArchiveError``."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            raise ArchiveError(f"unsafe member {name!r} in the archive")
        destination = self._root / path
        # What was there before may hold links: the way is looked at as it is on the disk.
        if not self._holds(destination.parent):
            raise ArchiveError(f"unsafe member {name!r}: it would leave {self._root}")
        destination.parent.mkdir(parents=True, exist_ok=True)
        return destination

    def directory(self, name: str) -> None:
        """Make a directory."""
        self.place(f"{name.rstrip('/')}/x")

    def file(self, name: str, source: IO[bytes], executable: bool) -> None:
        """Write a file that is not there yet."""
        destination = self.place(name)
        try:
            with open(destination, "xb") as file:
                shutil.copyfileobj(source, file, _PIECE_BYTES)
        except FileExistsError:
            raise ArchiveError(f"member {name!r} is there already") from None
        os.chmod(destination, self._mode | (0o111 if executable else 0))

    def link(self, name: str, to: str) -> None:
        """Make a symbolic link that stays inside; taken away again when it does not."""
        destination = self.place(name)
        os.symlink(to, destination)
        if os.path.isabs(to) or not self._holds(destination):
            destination.unlink()
            raise ArchiveError(f"unsafe member {name!r}: a link to {to!r}")

    def stays(self, name: str) -> bool:
        """Whether a link that was made leads to inside; it is taken away when it does not."""
        if self._holds(self._root / name):
            return True
        (self._root / name).unlink()
        return False

    def _holds(self, path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._root)


def _unpack_zip_member(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, into: _Into) -> None:
    mode = member.external_attr >> 16
    if stat.S_ISLNK(mode):
        raise ArchiveError(f"unsafe member {member.filename!r} in the archive: a link")
    if member.is_dir():
        into.directory(member.filename)
        return
    with zipped.open(member) as source:
        into.file(member.filename, source, bool(mode & 0o111))


def _unpack_tar(tar: tarfile.TarFile, into: _Into) -> None:
    links = []
    for member in tar:
        if member.isdir():
            into.directory(member.name)
        elif member.issym():
            links.append(member)
        elif member.isreg():
            source = tar.extractfile(member)
            assert source is not None  # it is a regular file
            into.file(member.name, source, bool(member.mode & 0o111))
        else:
            raise ArchiveError(f"unsafe member {member.name!r} in the archive: "
                               "neither a file nor a directory")
    # At the end, so that no file is written through one. Each is looked at again after the last:
    # a link to what was not there yet may lead elsewhere by then.
    for member in links:
        into.link(member.name, member.linkname)
    for member in links:
        if not into.stays(member.name):
            raise ArchiveError(f"unsafe member {member.name!r}: a link to {member.linkname!r}")
