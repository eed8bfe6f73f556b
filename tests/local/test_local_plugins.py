"""The pinned plugins, without any download."""

from pathlib import Path

import pytest
from esaas.local.errors import LocalError
from esaas.local.fetch.elasticsearch import DISTRIBUTIONS
from esaas.local.fetch.plugins import PLUGINS, fetch_plugin, plugin_catalog


def test_every_plugin_is_pinned_and_works_with_a_distribution_of_ours_or_with_none() -> None:
    for version, plugin in PLUGINS.items():
        assert plugin.zip.version == version and len(plugin.zip.sha256) == 64
        assert plugin.zip.coordinates == f"org.codelibs:elasticsearch-minhash:{version}:zip"
        assert plugin.works_with in {"", *DISTRIBUTIONS}


def test_the_catalog_lists_what_is_cached_by_name_and_version(tmp_path: Path) -> None:
    assert plugin_catalog(tmp_path) == {}
    for plugin in PLUGINS.values():
        path = plugin.zip.path(tmp_path)
        path.parent.mkdir(parents=True)
        path.touch()
    catalog = plugin_catalog(tmp_path)
    assert set(catalog) == {"minhash"} and set(catalog["minhash"]) == {"6.8.23", "7.17.29"}
    entry = catalog["minhash"]["6.8.23"]
    assert entry["url"].endswith("/elasticsearch-minhash-6.7.0.zip")
    assert entry["sha256"] == PLUGINS["6.7.0"].zip.sha256


def test_other_releases_and_broken_downloads_are_told(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="known: 6.7.0, 7.16.0, 7.9.0"):
        fetch_plugin(tmp_path, "1.0.0")
    path = PLUGINS["6.7.0"].zip.path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    with pytest.raises(LocalError, match=r"plugin minhash 6\.7\.0 has sha256"):
        fetch_plugin(tmp_path, "6.7.0")
    assert not path.exists()
