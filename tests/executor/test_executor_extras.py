"""Plugins, files and secure settings, with stand-ins for Elasticsearch's tools."""
from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from esaas.executor import config, dialect, files, keystore, plugins
from esaas.executor.cache import DistributionCache
from esaas.executor.errors import PreparationError, ToolError
from esaas.executor.files import FileError
from esaas.executor.keystore import KeystoreError
from esaas.executor.plugins import PluginError
from esaas.framework.proto import esaas_pb2

# Notes each installation; a zip is the name of the plugin that is in it, or a complaint.
INSTALLER = """#!/bin/sh
echo "$@" >> "$NOTES"
home=$(dirname "$(dirname "$0")")
echo "-> Installing $3"
case "$3" in
file:*) name=$(cat "${3#file://}") ;;
*) name=$3 ;;
esac
case "$name" in
ERROR*) echo "$name"; printf '\\tat org.Frame.run(Exception.java)\\n' >&2; exit 1 ;;
slow) exec sleep 1000 ;;
esac
mkdir "$home/plugins/$name" "$home/config/$name" "$home/bin/$name"
umask 077
echo jar > "$home/plugins/$name/$name.jar"
echo key: value > "$home/config/$name/own.yml"
echo "#!/bin/sh" > "$home/bin/$name/tool"; chmod 700 "$home/bin/$name/tool"
"""
# Keeps what it was given, and fails for keys that are to fail.
KEYSTORE = """#!/bin/sh
echo "$*" >> "$NOTES"
umask 007
case "$*" in *fail*) echo "ERROR: no such key"; exit 65 ;; esac
case "$*" in *tell*) read line; echo "ERROR: bad value $line"; exit 65 ;; esac
cat >> "$ES_PATH_CONF/elasticsearch.keystore"
"""


@pytest.fixture
def distribution(tmp_path: Path) -> tuple[str, str]:
    """A zip laid out as a distribution, with stand-ins for its tools: URL and sha256."""
    path = tmp_path / "es.zip"
    contents = {"bin/elasticsearch": ("#!/bin/sh\n", 0o755),
                "bin/elasticsearch-plugin": (INSTALLER, 0o755),
                "bin/elasticsearch-keystore": (KEYSTORE, 0o755),
                "lib/server.jar": ("jar", 0o644), "config/jvm.options": ("-Xms1g\n", 0o644),
                "plugins/readme": ("", 0o644)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, (text, mode) in contents.items():
            member = zipfile.ZipInfo(f"elasticsearch-6.8.23/{name}")
            member.external_attr = mode << 16
            archive.writestr(member, text)
    return path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest()


class Place:
    """A cache, a sandbox, and a launch to prepare in it."""

    def __init__(self, path: Path, distribution: tuple[str, str]) -> None:
        self.path, self.cache = path, DistributionCache(path / "cache")
        self.sandbox = path / "sandbox"
        (self.sandbox / "data").mkdir(parents=True)
        url, sha256 = distribution
        self.launch = esaas_pb2.NodeLaunch(distribution=esaas_pb2.Distribution(
            version="6.8.23", url=url, sha256=sha256), data_path="data", heap_mb=128)
        self.environ = {"PATH": os.environ["PATH"], "NOTES": str(path / "notes")}

    def add(self, name: str, content: str = "", sha256: str = "") -> None:
        """A plugin with a zip."""
        zipped = self.path / f"{name}-1.0.zip"
        zipped.write_text(content or name)
        self.launch.plugins.add(
            name=name, url=zipped.as_uri(),
            sha256=sha256 or hashlib.sha256(zipped.read_bytes()).hexdigest())

    def home(self) -> Path:
        """The home with the plugins."""
        wanted = self.launch.distribution
        return plugins.home(self.cache, self.cache.home(wanted.url, wanted.sha256), self.launch,
                            Path("/java"), self.environ, self.sandbox)

    def notes(self) -> list[str]:
        """How the tools were called."""
        path = self.path / "notes"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def place(tmp_path, distribution):
    return Place(tmp_path, distribution)


# -- plugins ----------------------------------------------------------------------------------

def test_without_plugins_the_plain_distribution_is_used(place):
    assert place.home() == place.cache.home(
        place.launch.distribution.url, place.launch.distribution.sha256)
    assert place.notes() == []


def test_plugins_get_a_home_of_their_own_that_shares_the_distributions_files(place):
    place.add("one")
    place.launch.plugins.add(name="official")
    plain = place.cache.home(place.launch.distribution.url, place.launch.distribution.sha256)
    home = place.home()
    assert home.parent.name == plugins.key_of(place.launch.distribution.sha256,
                                              place.launch.plugins)
    assert os.path.samefile(home / "lib/server.jar", plain / "lib/server.jar")
    assert not os.path.samefile(home / "config/jvm.options", plain / "config/jvm.options")
    assert sorted(path.name for path in (home / "plugins").iterdir()) == [
        "official", "one", "readme"]
    assert [path.name for path in (plain / "plugins").iterdir()] == ["readme"]
    modes = {name: stat.S_IMODE((home / name).stat().st_mode) for name in (
        "plugins/one/one.jar", "bin/one/tool", "config/one/own.yml", "config/jvm.options",
        "plugins/one")}
    assert list(modes.values()) == [0o444, 0o555, 0o444, 0o444, 0o755]
    assert [line.split()[:2] for line in place.notes()] == [["install", "--batch"]] * 2
    assert place.notes()[0].endswith("/one.zip") and place.notes()[1].endswith(" official")
    assert "-> Installing" in (place.sandbox / "plugins.log").read_text()
    config.write(place.launch, config.layout_of(place.sandbox, home, "data"))
    assert (place.sandbox / "config/one/own.yml").read_text() == "key: value\n"
    assert not list((place.path / "cache").glob("*.new"))


def test_the_same_set_in_any_order_is_installed_once_by_many(place):
    place.add("one")
    place.add("two")
    assert len({place.home() for _ in range(2)}) == 1
    assert len(place.notes()) == 2
    place.add("three")
    barrier = threading.Barrier(4)

    def install(_: int) -> Path:
        barrier.wait()
        return place.home()

    with ThreadPoolExecutor(4) as pool:
        homes = set(pool.map(install, range(4)))
    assert len(homes) == 1 and len(place.notes()) == 5
    place.launch.plugins.reverse()
    assert place.home() in homes and len(place.notes()) == 5


def test_other_plugins_get_other_homes(place):
    place.add("one")
    first = place.home()
    place.launch.ClearField("plugins")
    place.add("one", sha256="0" * 64)
    assert plugins.key_of("d", place.launch.plugins) != first.parent.name
    with pytest.raises(PluginError, match=r"plugin one: file:.*one-1.0.zip has sha256 .*, not 0"):
        place.home()
    assert len(place.notes()) == 1


@pytest.mark.parametrize(("content", "told"), [
    ("ERROR: it was built for another version", "^plugin one: it was built for another version$"),
    ("two", "^plugin one: the zip holds two$"),
])
def test_bad_plugins_are_told_and_leave_nothing(place, content, told):
    place.add("one", content)
    with pytest.raises(PluginError, match=told):
        place.home()
    key = plugins.key_of(place.launch.distribution.sha256, place.launch.plugins)
    assert [path.name for path in (place.path / "cache").glob(f"{key}*")] == [f"{key}.lock"]


def test_an_installer_has_its_time(place, monkeypatch):
    monkeypatch.setattr(plugins, "INSTALL_TIMEOUT_S", 0.3)
    place.add("one", "slow")
    with pytest.raises(PluginError, match="plugin one: elasticsearch-plugin did not end"):
        place.home()


def test_across_file_systems_files_are_copied(place, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refuse)
    place.add("one")
    jar = place.home() / "lib/server.jar"
    assert (jar.read_text(), jar.stat().st_nlink) == ("jar", 1)
    assert stat.S_IMODE(jar.stat().st_mode) == 0o444


# -- files ------------------------------------------------------------------------------------

def test_files_are_written_over_what_the_distribution_brought(place):
    source = place.path / "big.txt"
    source.write_text("from afar")
    place.launch.files.add(path="analysis/deep/synonyms.txt", content=b"a => b\n")
    place.launch.files.add(path="big.txt", url=source.as_uri(),
                           sha256=hashlib.sha256(b"from afar").hexdigest())
    files.write(place.launch.files, place.sandbox)
    assert (place.sandbox / "analysis/deep/synonyms.txt").read_bytes() == b"a => b\n"
    assert (place.sandbox / "big.txt").read_text() == "from afar"
    assert stat.S_IMODE((place.sandbox / "big.txt").stat().st_mode) == 0o640


def test_files_that_cannot_be_written_are_named(place):
    source = place.path / "big.txt"
    source.write_text("from afar")
    wrong = esaas_pb2.ConfigFile(path="x.txt", url=source.as_uri(), sha256="0" * 64)
    with pytest.raises(FileError, match=r"^file x\.txt: .* has sha256 "):
        files.write([wrong], place.sandbox)
    assert not (place.sandbox / "x.txt").exists()
    with pytest.raises(FileError, match=r"^file data: cannot be written: Is a directory$"):
        files.write([esaas_pb2.ConfigFile(path="data", content=b"x")], place.sandbox)


# -- secure settings --------------------------------------------------------------------------

def make_keystore(place, version: str, **secure: str) -> Path:
    """Write a keystore; its path."""
    home = place.home()
    layout = config.layout_of(place.sandbox, home, "data")
    layout.config.mkdir(exist_ok=True)
    environment = {**place.environ, "ES_PATH_CONF": str(layout.config)}
    keystore.write({key.replace("__", "."): value for key, value in secure.items()},
                   dialect.dialect_of(version), layout, environment)
    return layout.config / "elasticsearch.keystore"


def test_secrets_go_to_standard_input_one_key_at_a_time_or_all_at_once(place):
    path = make_keystore(place, "6.8.23", b__c="pässword", a="other")
    assert path.read_text() == "other\npässword\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert place.notes() == ["add --stdin --force a", "add --stdin --force b.c"]
    path.unlink()
    path = make_keystore(place, "7.17.29", b__c="pässword", a="other")
    assert path.read_text() == "other\npässword\n"
    assert place.notes()[2:] == ["add --stdin --force a b.c"]


def test_without_secrets_there_is_no_keystore(place):
    assert not make_keystore(place, "6.8.23").exists() and place.notes() == []


def test_failures_name_keys_and_never_values(place, caplog):
    caplog.set_level("DEBUG")
    with pytest.raises(KeystoreError, match=r"^secure setting fail\.x: no such key$"):
        make_keystore(place, "6.8.23", fail__x="s3cret")
    with pytest.raises(KeystoreError, match=r"^secure setting tell: .* not for others$") as told:
        make_keystore(place, "6.8.23", tell="s3cret")
    assert "s3cret" not in repr(told.value) + caplog.text
    assert isinstance(told.value.__context__, ToolError) and told.value.__suppress_context__
    assert not [path for path in place.path.rglob("*")
                if path.is_file() and b"s3cret" in path.read_bytes()]
    assert issubclass(KeystoreError, PreparationError)
