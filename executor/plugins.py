"""Distributions with plugins: further entries of the cache, as immutable as the others.

Elasticsearch looks for plugins under its home only, and a distribution in the cache is shared
and written by nobody. So each set of plugins gets a home of its own, whose files are hard links
to the distribution's: it takes hardly more room than the plugins.
"""
from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from esaas.framework.proto import esaas_pb2

from . import config, download, log, process, tools
from .cache import DistributionCache
from .errors import DownloadError, PreparationError, ToolError

INSTALL_TIMEOUT_S = 600.0
LOG_NAME = "plugins.log"  # in the sandbox: what the installer printed
# Between file systems; and where an administrator forbids hard links, or one file has too many.
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)


class PluginError(PreparationError):
    """A plugin cannot be installed; the message names it and says why, in one line."""


def key_of(distribution_sha256: str, plugins: Iterable[esaas_pb2.Plugin]) -> str:
    """What names a set of plugins on a distribution: 64 hex digits, whatever their order."""
    rows = sorted((plugin.name, plugin.url, plugin.sha256) for plugin in plugins)
    return hashlib.sha256(json.dumps([distribution_sha256, rows]).encode()).hexdigest()


def home(cache: DistributionCache, distribution: Path, launch: esaas_pb2.NodeLaunch, java: Path,
         environ: Mapping[str, str], sandbox: Path) -> Path:
    """The home of the launch's distribution with its plugins; made when it is not in the cache.

    ``distribution``: the home without plugins, which it stays when there are none; ``sandbox``
    gets the installer's output. Blocks for downloads and installations. Raises
    ``PreparationError``.
    """
    if not launch.plugins:
        return distribution

    def make(work: Path) -> Path:
        tree = work / "tree"
        new = tree / distribution.name
        copy_linked(distribution, new)
        where = config.Layout(home=new, config=new / "config", data=work / "data",
                              logs=new / "logs", temporary=work / "tmp", sandbox=work)
        where.temporary.mkdir()
        environment = process.node_environment(environ, where, java)
        for plugin in launch.plugins:
            _install(plugin, where, environment, sandbox / LOG_NAME)
        _close(new, distribution)
        return tree

    return cache.entry(key_of(launch.distribution.sha256, launch.plugins), make)


def copy_linked(source: Path, target: Path) -> None:
    """A copy of a tree by hard links where the file system has them; ``config`` is copied.

    Directories are new, so that files can be added. Raises ``OSError``.
    """
    for folder, _, names in os.walk(source):
        inner = Path(folder).relative_to(source)
        (target / inner).mkdir(parents=True)
        for name in names:
            old, new = Path(folder, name), target / inner / name
            if inner.parts[:1] == ("config",):
                shutil.copyfile(old, new)
            else:
                _link_or_copy(old, new)


def _link_or_copy(old: Path, new: Path) -> None:
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copy2(old, new, follow_symlinks=False)


def _install(plugin: esaas_pb2.Plugin, where: config.Layout, environment: Mapping[str, str],
             log_file: Path) -> None:
    """Install one plugin. Raises ``PluginError``."""
    started_at = time.monotonic()
    folder = where.home / "plugins"
    folder.mkdir(exist_ok=True)
    before = set(os.listdir(folder))
    what = plugin.name
    try:
        if plugin.url:
            # The installer looks at names: one that ends in .zip is a file's.
            zipped = where.sandbox / f"{plugin.name}.zip"
            download.fetch(plugin.url, zipped, plugin.sha256)
            what = zipped.as_uri()
        tools.run([str(where.home / "bin" / "elasticsearch-plugin"), "install", "--batch", what],
                  environment, where.sandbox, INSTALL_TIMEOUT_S, log_file=log_file)
    except (DownloadError, ToolError) as error:
        raise PluginError(f"plugin {plugin.name}: {error}") from error
    new = set(os.listdir(folder)) - before
    if plugin.name not in new:
        raise PluginError(f"plugin {plugin.name}: the zip holds "
                          f"{', '.join(sorted(new)) or 'no plugin'}")
    log.event("Plugin installed", plugin=plugin.name,
              seconds=round(time.monotonic() - started_at, 1))


def _close(new: Path, distribution: Path) -> None:
    """Make what the plugins brought readable for all and writable for nobody.

    What was there before is left alone: its mode is that of the shared file.
    """
    for folder, _, names in os.walk(new):
        os.chmod(folder, 0o755)  # installers keep their files to themselves
        for name in names:
            path = Path(folder, name)
            shared = distribution / path.relative_to(new)
            if not (shared.exists() and os.path.samefile(path, shared)):
                os.chmod(path, 0o555 if path.stat().st_mode & 0o111 else 0o444)
