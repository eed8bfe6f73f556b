"""Real Elasticsearch distributions, from Maven Central by Maven.

6.8.23 is the newest complete official distribution that is published there. The others are the
server with transport and x-pack core, without scripting and ingest; they serve to test the
second and third dialect. Production clusters name their own distribution.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from rich.console import Console

from ..errors import LocalError
from ..files import locked, open_to_all
from . import maven


class CatalogEntry(TypedDict):
    """Where a version's zip is, and its hash."""

    url: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """One pinned artifact. ``java`` is the lowest major version that runs it here."""

    version: str
    group: str
    size_bytes: int
    sha256: str
    java: int

    @property
    def zip(self) -> maven.Zip:
        """The artifact."""
        return maven.Zip(
            f"Elasticsearch {self.version}", self.group, "elasticsearch", self.version,
            self.size_bytes, self.sha256,
        )  # fmt: skip

    def zip_path(self, cache: Path) -> Path:
        """Where Maven puts the zip."""
        return self.zip.path(cache)


DISTRIBUTIONS = {
    d.version: d
    for d in (
        Distribution(
            "6.8.23", "org.elasticsearch.distribution.zip", 149_356_678,
            "490e9b9fbab9ffb3499938c45850318bd6554d439497842450b60ef22c114fb6", 17,
        ),
        Distribution(
            "7.17.29", "org.elasticsearch.distribution.integ-test-zip", 57_295_016,
            "841ee00be1a72ba8e707b5a2fb55f23fe7a4184369b4585393238b1c903eedaf", 17,
        ),
        Distribution(
            "9.5.3", "org.elasticsearch.distribution.integ-test-zip", 132_390_005,
            "bec49f3b8d00e75c8d1cec85c35298635ec9fbd3ae80ef5aeb6bc05abdb3db2d", 21,
        ),
    )
}  # fmt: skip


def distribution(version: str) -> Distribution:
    """The pinned artifact of a version. Raises LocalError that names the known ones."""
    try:
        return DISTRIBUTIONS[version]
    except KeyError:
        known = ", ".join(DISTRIBUTIONS)
        raise LocalError(f"Elasticsearch {version} is not pinned here; known: {known}") from None


def fetch_elasticsearch(cache: Path, version: str, console: Console | None = None) -> Path:
    """The zip of a version in the cache; downloads it when it is not there.

    Raises LocalError when Maven fails or the sha256 differs.
    """
    return maven.fetch(cache, distribution(version).zip, console)


def unpack(cache: Path, version: str, console: Console | None = None) -> Path:
    """A version's unpacked home in the cache, shared, readable by all, written by nobody."""
    archive = fetch_elasticsearch(cache, version, console)
    home = cache / "elasticsearch" / f"elasticsearch-{version}"
    if home.exists():
        return home
    with locked(cache / "elasticsearch" / "lock"):
        if not home.exists():
            partial = home.with_name(f".{home.name}.partial")
            _extract(archive, partial)
            (partial / home.name).rename(home)
            partial.rmdir()
            # Not before the renames: they need to write.
            open_to_all(home)
    return home


def _extract(archive: Path, target: Path) -> None:
    """Unpack a zip with its file modes, over what an interrupted run left."""
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            path = packed.extract(member, target)
            if not member.is_dir() and (mode := member.external_attr >> 16 & 0o777):
                Path(path).chmod(mode)


def catalog(cache: Path) -> dict[str, CatalogEntry]:
    """The versions that are in the cache, for ``esaas serve``."""
    return {
        version: {"url": known.zip_path(cache).as_uri(), "sha256": known.sha256}
        for version, known in DISTRIBUTIONS.items()
        if known.zip_path(cache).exists()
    }
