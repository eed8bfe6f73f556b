"""Downloads, requirements, Java and the command line, without any download."""

import json
import os
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from esaas.local import files, java, requirements
from esaas.local.cli import local
from esaas.local.embedded.launcher import write_launcher_dir
from esaas.local.errors import LocalError
from esaas.local.fetch import elasticsearch
from esaas.local.fetch.elasticsearch import DISTRIBUTIONS, Distribution
from esaas.local.requirements import Requirement
from esaas.local.settings import Settings

USER = Settings(Path("/c"), Path("/d"), root=False, home=Path("/h"))


def cached(cache: Path, monkeypatch: pytest.MonkeyPatch, text: str = "server") -> Distribution:
    """A tiny distribution in the cache, pinned as version 1.2.3."""
    known = Distribution("1.2.3", "org.test", 0, "", 17)
    path = known.zip_path(cache)
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("elasticsearch-1.2.3/bin/elasticsearch")
        info.external_attr = 0o700 << 16
        archive.writestr(info, text)
        archive.writestr("elasticsearch-1.2.3/config/x.yml", text)
    known = Distribution("1.2.3", "org.test", path.stat().st_size, files.sha256(path), 17)
    monkeypatch.setitem(DISTRIBUTIONS, "1.2.3", known)
    return known


def test_every_distribution_is_pinned() -> None:
    assert set(DISTRIBUTIONS) == {"6.8.23", "7.17.29", "9.5.3"}
    assert all(len(d.sha256) == 64 and d.size_bytes > 10**7 for d in DISTRIBUTIONS.values())


def test_unpacked_homes_are_read_only_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(tmp_path, monkeypatch)
    home = elasticsearch.unpack(tmp_path, "1.2.3")
    assert home == elasticsearch.unpack(tmp_path, "1.2.3")
    assert (home / "bin/elasticsearch").stat().st_mode & 0o777 == 0o555
    assert (home / "config/x.yml").stat().st_mode & 0o777 == 0o444
    assert home.stat().st_mode & 0o777 == 0o555


def test_the_catalog_lists_what_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = cached(tmp_path, monkeypatch)
    entry = elasticsearch.catalog(tmp_path)
    assert entry == {"1.2.3": {"url": known.zip_path(tmp_path).as_uri(), "sha256": known.sha256}}


def test_a_broken_download_is_removed_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cached(tmp_path, monkeypatch).zip_path(tmp_path)
    path.write_bytes(b"half")
    with pytest.raises(LocalError, match="try again"):
        elasticsearch.fetch_elasticsearch(tmp_path, "1.2.3")
    assert not path.exists()


def test_everything_missing_is_named_in_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = tuple(
        Requirement(p, p, ("mesos",), present)
        for p, present in (("b", lambda: False), ("a", lambda: False), ("c", lambda: True))
    )
    monkeypatch.setattr(requirements, "REQUIREMENTS", wanted)
    with pytest.raises(LocalError) as told:
        requirements.ensure(USER, ["mesos"])
    assert "apt-get install -y --no-install-recommends a b" in str(told.value)
    assert len(told.value.problems) == 2
    requirements.ensure(USER, ["zookeeper"])  # nothing of that is missing


def test_without_root_executors_run_as_ourselves() -> None:
    import pwd

    assert requirements.ensure_user(USER) == pwd.getpwuid(os.geteuid()).pw_name


def test_the_lowest_java_that_will_do_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version in (("j8", "1.8.0_1"), ("j25", "25.0.1"), ("j17", "17.0.2")):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin/java").touch()
        (tmp_path / name / "release").write_text(f'A="b"\nJAVA_VERSION="{version}"\n')
    monkeypatch.setenv("PATH", "/nowhere")
    assert [j.major for j in java.installed(tmp_path)] == [8, 17, 25]
    found = java.at_least(17, tmp_path)
    assert found is not None and found.home.name == "j17"
    assert java.at_least(26, tmp_path) is None


def test_helpers_are_scripts_that_quote_what_they_must(tmp_path: Path) -> None:
    write_launcher_dir(tmp_path / "a b", "/c d/lib.so")
    script = (tmp_path / "a b" / "mesos-fetcher").read_text()
    assert "-I -m esaas.local.embedded mesos-fetcher '/c d/lib.so'" in script
    assert os.access(tmp_path / "a b" / "mesos-containerizer", os.X_OK)


def test_a_closed_directory_on_the_way_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    for directory in (tmp_path, *tmp_path.parents[:-1]):
        if not directory.stat().st_mode & 0o001:
            assert files.closed_to_others(inner) is not None
            return
    (tmp_path / "closed").chmod(0o700)
    assert files.closed_to_others(inner) == tmp_path / "closed"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["up", "-n", "1", "--masters", "2", "--principal", "admin=x"], "even number"),
        (["up", "--principal", "nobody"], "not NAME=ROLE"),
        (["up", "--cpus", "-1", "--mem-mb", "0"], "mem_mb"),
        (["status"], "no data centre"),
        (["agent", "kill", "1"], "no data centre"),
        (["fetch", "elasticsearch"], "which version"),
        (["fetch", "elasticsearch", "5.0"], "known: 6.8.23"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.setenv("ESAAS_LOCAL_DIR", str(tmp_path / "box"))
    done = CliRunner().invoke(local, words)
    assert done.exit_code == 1
    assert says in done.output
    assert not (tmp_path / "box" / "state.json").exists()


def test_the_catalog_command_prints_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESAAS_CACHE_DIR", str(tmp_path))
    assert json.loads(CliRunner().invoke(local, ["catalog"]).output) == {}
