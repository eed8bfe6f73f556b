"""Files of people's own in a node's configuration directory: dictionaries, synonyms, scripts."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from esaas.framework.proto import esaas_pb2

from . import download, log
from .errors import DownloadError, PreparationError


class FileError(PreparationError):
    """A file cannot be written; the message names it and says why, in one line."""


def write(files: Iterable[esaas_pb2.ConfigFile], config_dir: Path) -> None:
    """Write files into the configuration directory, over what the distribution brought.

    They must have been checked (``payload.launch_faults``). Blocks for downloads. Raises
    ``FileError``.
    """
    for file in files:
        target = config_dir / file.path
        try:
            target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            if file.url:
                download.fetch(file.url, target, file.sha256)
            else:
                target.write_bytes(file.content)
            target.chmod(0o640)
        except DownloadError as error:
            raise FileError(f"file {file.path}: {error}") from error
        except OSError as error:
            raise FileError(f"file {file.path}: cannot be written: {error.strerror}") from error
        log.event("File written", path=file.path, bytes=target.stat().st_size)
