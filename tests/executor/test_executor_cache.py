"""The cache of distributions: over HTTP and from files, shared, checked."""
from __future__ import annotations

import hashlib
import io
import os
import stat
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from esaas.executor.cache import CacheError, DistributionCache
from esaas.executor.errors import ArchiveError, DownloadError


def zip_of(files: dict[str, int], content: bytes = b"x") -> bytes:
    """A zip with these names and modes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, mode in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return buffer.getvalue()


GOOD = zip_of({"es-1/bin/elasticsearch": 0o755, "es-1/config/jvm.options": 0o644})


class Site:
    """An HTTP server with one file; counts what it was asked, and can fail the first times."""

    def __init__(self) -> None:
        self.content, self.requests, self.broken_answers = GOOD, 0, 0
        self.lock = threading.Lock()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with site.lock:
                    site.requests += 1
                    is_broken = site.requests <= site.broken_answers
                if self.path != "/es.zip":
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(site.content)))
                self.end_headers()
                self.wfile.write(site.content[:10] if is_broken else site.content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/es.zip"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02},
                         daemon=True).start()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@pytest.fixture
def site():
    serving = Site()
    yield serving
    serving.server.shutdown()
    serving.server.server_close()


def test_many_at_once_fetch_once(site, tmp_path):
    directory = tmp_path / "cache"
    with ThreadPoolExecutor(8) as pool:
        homes = set(pool.map(
            lambda _: DistributionCache(directory).home(site.url, site.sha256), range(8)))
    assert homes == {directory / site.sha256 / "es-1"}
    assert site.requests == 1
    [home] = homes
    assert stat.S_IMODE((home / "bin" / "elasticsearch").stat().st_mode) == 0o555
    assert stat.S_IMODE((home / "config" / "jvm.options").stat().st_mode) == 0o444
    assert sorted(p.name for p in directory.iterdir()) == [site.sha256, f"{site.sha256}.lock"]


def test_files_are_taken_too_and_the_leftovers_of_the_dead_removed(site, tmp_path):
    directory = tmp_path / "cache"
    leftover = directory / f"{site.sha256}.new" / "tree"
    leftover.mkdir(parents=True)
    directory.chmod(0o700)
    path = tmp_path / "es.zip"
    path.write_bytes(GOOD)
    assert DistributionCache(directory).home(path.as_uri(), site.sha256).is_dir()
    assert not leftover.exists() and path.exists()


def test_a_wrong_sum_is_refused_and_leaves_nothing(site, tmp_path):
    with pytest.raises(DownloadError, match="has sha256"):
        DistributionCache(tmp_path / "cache").home(site.url, "0" * 64)
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_broken_download_is_tried_again(site, tmp_path):
    site.broken_answers = 1
    assert DistributionCache(tmp_path / "cache").home(site.url, site.sha256).is_dir()
    assert site.requests == 2


def test_a_missing_file_is_not_tried_again(site, tmp_path):
    with pytest.raises(DownloadError, match="404"):
        DistributionCache(tmp_path / "cache").home(site.url + ".gone", site.sha256)
    assert site.requests == 1


@pytest.mark.parametrize(("content", "told"), [
    (b"no zip", "not a zip"),
    (zip_of({"es-1/readme": 0o644}), "holds no"),
    (zip_of({"a/bin/elasticsearch": 0o755, "b/bin/elasticsearch": 0o755}), "several"),
    (zip_of({"../es/bin/elasticsearch": 0o755}), "unsafe"),
    (zip_of({"/es/bin/elasticsearch": 0o755}), "unsafe"),
    (zip_of({"es-1/bin/elasticsearch": stat.S_IFLNK | 0o777}, b"/bin/sh"), "unsafe"),
])
def test_zips_that_are_none_are_refused(site, tmp_path, content, told):
    site.content = content
    with pytest.raises((ArchiveError, CacheError), match=told):
        DistributionCache(tmp_path / "cache").home(site.url, site.sha256)
    assert not (tmp_path / "cache" / site.sha256).exists()
    assert not (tmp_path / "es").exists()


def test_a_directory_that_others_can_write_is_refused(site, tmp_path):
    directory = tmp_path / "cache"
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(CacheError, match="written by others"):
        DistributionCache(directory).home(site.url, site.sha256)


def test_a_link_in_place_of_the_directory_is_refused(site, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "real")
    with pytest.raises(CacheError, match="not a directory"):
        DistributionCache(tmp_path / "cache").home(site.url, site.sha256)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(site, tmp_path):
    directory = tmp_path / "cache"
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    with pytest.raises(CacheError, match="belongs to user 65534"):
        DistributionCache(directory).home(site.url, site.sha256)
