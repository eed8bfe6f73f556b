"""The fetcher on files and on a loopback HTTP server."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from esaas.local.embedded import fetcher
from esaas.local.embedded.errors import EmbeddedError


class Server(ThreadingHTTPServer):
    """Answers from a table of bodies; ``short`` promises more bytes than it sends."""

    bodies: dict[str, bytes]
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        name = self.path.split("?")[0]
        body = self.server.bodies.get(name)
        self.send_response(200 if body is not None else 404)
        body = body or b""
        self.send_header("Content-Length", str(len(body) + (5 if "short" in name else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.bodies, made.asked = {}, []
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}{path}"


def item(value: str, action: str = "BYPASS_CACHE", **uri: Any) -> dict[str, Any]:
    return {"uri": {"value": value, **uri}, "action": action, "cache_filename": "c1"}


def fetch(one: dict[str, Any], sandbox: Path, cache: Path | None = None) -> None:
    fetcher.fetch(one, sandbox, cache, home=None, timeout_s=10)


def packed(kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            info = zipfile.ZipInfo("in/run.sh")
            info.external_attr = 0o755 << 16
            archive.writestr(info, "hello")
    else:
        with tarfile.open(fileobj=out, mode=f"w:{kind}") as tar:
            member = tarfile.TarInfo("in/run.sh")
            member.size, member.mode = 5, 0o755
            tar.addfile(member, io.BytesIO(b"hello"))
    return out.getvalue()


def test_a_file_uri_lands_under_its_output_name(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    source.write_bytes(packed("zip"))
    box = tmp_path / "box"
    box.mkdir()
    fetch(item(source.as_uri(), output_file="x/y.zip", extract=False), box)
    assert (box / "x/y.zip").read_bytes() == source.read_bytes()
    assert not (box / "in").exists()


@pytest.mark.parametrize(
    ("name", "kind"), [("a.zip", "zip"), ("a.tar.gz", "gz"), ("a.tgz", "gz"), ("a.tar.xz", "xz"),
                       ("a.tbz2", "bz2")],
)  # fmt: skip
def test_archives_are_unpacked_with_their_modes(
    tmp_path: Path, server: Server, name: str, kind: str
) -> None:
    server.bodies[f"/{name}"] = packed(kind)
    fetch(item(url(server, f"/{name}?sha256=1#f")), tmp_path)
    assert (tmp_path / "in/run.sh").read_text() == "hello"
    assert (tmp_path / "in/run.sh").stat().st_mode & 0o777 == 0o755


def test_gzip_loses_its_ending(tmp_path: Path, server: Server) -> None:
    server.bodies["/log.gz"] = gzip.compress(b"text")
    fetch(item(url(server, "/log.gz")), tmp_path)
    assert (tmp_path / "log").read_bytes() == b"text"


def test_an_executable_is_never_unpacked(tmp_path: Path, server: Server) -> None:
    server.bodies["/e.zip"] = packed("zip")
    fetch(item(url(server, "/e.zip"), executable=True), tmp_path)
    assert os.access(tmp_path / "e.zip", os.X_OK)
    assert not (tmp_path / "in").exists()


def test_the_cache_is_asked_once(tmp_path: Path, server: Server) -> None:
    server.bodies["/f"] = b"data"
    cache = tmp_path / "cache"
    cache.mkdir()
    for name in ("one", "two"):
        box = tmp_path / name
        box.mkdir()
        fetch(item(url(server, "/f"), "DOWNLOAD_AND_CACHE"), box, cache)
        assert (box / "f").read_bytes() == b"data"
    assert server.asked == ["/f"]


def test_half_a_download_leaves_nothing(tmp_path: Path, server: Server) -> None:
    server.bodies["/short"] = b"half"
    with pytest.raises(EOFError, match="4 bytes of 9"):
        fetch(item(url(server, "/short")), tmp_path)
    assert not (tmp_path / "short").exists()


@pytest.mark.parametrize(
    ("value", "output", "says"),
    [("ftp://h/x", None, "'ftp' is not supported"), ("http://h/", None, "no good file name"),
     ("/etc/hosts", "../hosts", "no good file name"), ("x/y", None, "frameworks_home")],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, value: str, output: str | None, says: str) -> None:
    with pytest.raises(EmbeddedError, match=says):
        fetch(item(value, **({"output_file": output} if output else {})), tmp_path)


def test_an_archive_cannot_leave_the_sandbox(tmp_path: Path) -> None:
    source, box = tmp_path / "bad.zip", tmp_path / "box"
    box.mkdir()
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("../out", "x")
    with pytest.raises(EmbeddedError, match="outside the sandbox"):
        fetch(item(str(source)), box)


def test_the_program_reports_what_it_cannot_fetch(tmp_path: Path) -> None:
    info = {"sandbox_directory": str(tmp_path), "items": [item(str(tmp_path / "absent"))]}
    command = [sys.executable, "-I", "-m", "esaas.local.embedded", "mesos-fetcher", "unused"]
    env = {"MESOS_FETCHER_INFO": json.dumps(info)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot fetch" in done.stderr and "absent" in done.stderr
