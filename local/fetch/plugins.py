"""Real plugins of Elasticsearch, from Maven Central by Maven.

``org.codelibs:elasticsearch-minhash`` (Apache License 2.0) adds an analyzer and a field type.
Its releases name no version of Elasticsearch, so they install on any; those that are known to
work with a distribution of ours say so in ``works_with``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ..errors import LocalError
from . import maven
from .elasticsearch import CatalogEntry


@dataclass(frozen=True, slots=True)
class PluginZip:
    """One pinned release. ``name``: the plugin's own; ``works_with``: of Elasticsearch."""

    name: str
    zip: maven.Zip
    works_with: str


def _minhash(version: str, works_with: str, size_bytes: int, sha256: str) -> PluginZip:
    title = f"plugin minhash {version}"
    artifact = "elasticsearch-minhash"
    return PluginZip(
        "minhash", maven.Zip(title, "org.codelibs", artifact, version, size_bytes, sha256),
        works_with,
    )  # fmt: skip


PLUGINS = {
    plugin.zip.version: plugin
    for plugin in (
        _minhash(
            "6.7.0", "6.8.23", 2_446_162,
            "06d0ca8687863f5e182b2281201aed0cf30ad6728dfafce0a1c519a64ef41865",
        ),
        _minhash(
            "7.16.0", "7.17.29", 2_573_989,
            "f03a0c40c64ee477f41ce37eae4e620acb0273bac72631731e9ad7d7d956dc6d",
        ),
        # Of use as one that installs and does not work.
        _minhash(
            "7.9.0", "", 2_465_552,
            "d36fcbebda9858761a86b3baa70d0d0370981bb02ca38de6896b4e7e0b7a2267",
        ),
    )
}  # fmt: skip


def fetch_plugin(cache: Path, artifact_version: str, console: Console | None = None) -> Path:
    """The zip of a release of the plugin in the cache; downloads it when it is not there.

    Raises LocalError for a release that is not pinned, when Maven fails or the sha256 differs.
    """
    try:
        wanted = PLUGINS[artifact_version]
    except KeyError:
        known = ", ".join(PLUGINS)
        raise LocalError(f"plugin {artifact_version} is not pinned here; known: {known}") from None
    return maven.fetch(cache, wanted.zip, console)


def plugin_catalog(cache: Path) -> dict[str, dict[str, CatalogEntry]]:
    """The plugins that are in the cache: by name, then by version of Elasticsearch."""
    found: dict[str, dict[str, CatalogEntry]] = {}
    for plugin in PLUGINS.values():
        path = plugin.zip.path(cache)
        if plugin.works_with and path.exists():
            entry: CatalogEntry = {"url": path.as_uri(), "sha256": plugin.zip.sha256}
            found.setdefault(plugin.name, {})[plugin.works_with] = entry
    return found
