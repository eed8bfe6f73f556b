"""``esaas serve`` as a process: settings, ports, signals, order."""
from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from esaas.framework.client import Client, Unreachable
from esaas.framework.settings import Settings
from esaas.ui.serve import Faults, allowed_names, base_url, build_settings, tls_context
from live_app import ADMIN_TOKEN, PATIENCE_S
from people import ADMIN

SCRIPT = Path(__file__).parent / "serve_standin.py"
BASE = {"mesos_master": "127.0.0.1:5050", "state_dir": "state"}


def command(*args: str, **env: str) -> dict[str, object]:
    """What a process of the command is started with, in a clean environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ESAAS_")}
    return {"args": [sys.executable, str(SCRIPT), *args], "env": clean | env,
            "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


def token_file(directory: Path) -> str:
    """A file with the token of an admin."""
    path = directory / "admin-token"
    path.write_text(ADMIN_TOKEN)
    path.chmod(0o600)
    return str(path)


@contextmanager
def serving(tmp_path: Path, *args: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A running service; killed if a test leaves it."""
    process: subprocess.Popen[str] = subprocess.Popen(**command(  # type: ignore[call-overload]
        "--mesos-master", "127.0.0.1:5050", "--state-dir", str(tmp_path), *args, **env))
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first line of its output that matches."""
    assert process.stdout
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found
    raise AssertionError(f"it ended without {pattern}: {process.communicate()}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_starts_and_stops_in_order(tmp_path: Path, number: int) -> None:
    ready = tmp_path / "ready.json"
    with serving(tmp_path, "--port", "0", "--ready-file", str(ready), "--admin-token-file",
                 token_file(tmp_path)) as process:
        advertised = until(process, r"advertised (\S+)")[1]
        until(process, "^started")
        url = until(process, r"serves at http://127\.0\.0\.1:(\d+)")
        assert json.loads(ready.read_text()) == {"url": advertised, "pid": process.pid}
        line = http.client.HTTPConnection("127.0.0.1", int(url[1]), timeout=PATIENCE_S)
        line.request("GET", "/v1/events/stream", headers=ADMIN)
        stream = line.getresponse()
        assert stream.status == 200
        process.send_signal(number)
        stream.read()
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
        assert "stopped" in out
        assert err.index("service_ready") < err.index("service_stopped")
        assert not ready.exists()


def test_json_log_and_environment(tmp_path: Path) -> None:
    with serving(tmp_path, ESAAS_PORT="0", ESAAS_LOG_JSON="1") as process:
        until(process, "serves at")
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
        assert [json.loads(line)["event"] for line in err.splitlines()] == [
            "first_admin_made", "service_ready", "service_stopping", "service_stopped"]
        password = (tmp_path / "admin-password").read_text().strip()
        assert password not in err


def test_a_busy_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        with serving(tmp_path, "--port", port) as process:
            _, err = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 1
            assert f"port {port}" in err
            assert "--port" in err
            assert f"process {os.getpid()}" in err


def test_a_failed_start_stops_in_order(tmp_path: Path) -> None:
    with serving(tmp_path, "--port", "0", "--failpoint", "start") as process:
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        assert "the store is locked" in err
        assert "stopped" in out


def test_all_faults_of_the_settings_at_once(tmp_path: Path) -> None:
    secret = tmp_path / "credentials.yaml"
    secret.write_text("demo: {principal: p, secrets: TOP-SECRET}")
    broken = tmp_path / "distributions.json"
    broken.write_text("{TOP-SECRET: ][")
    done = subprocess.run(**command(  # type: ignore[call-overload]
        "--port", "http", "--executor-user", "root", "--failover-timeout", "5",
        "--mesos-credentials", str(secret), "--distributions", str(broken)),
        timeout=PATIENCE_S, check=False)
    assert done.returncode == 2
    for text in ("--mesos-master: Field required", "--port:", "--failover-timeout:",
                 "--mesos-credentials demo.secret: Field required", "--distributions:"):
        assert text in done.stderr
    assert "TOP-SECRET" not in done.stderr


def test_files_are_read(tmp_path: Path) -> None:
    credentials = tmp_path / "c.json"
    credentials.write_text('{"*": {"principal": "p", "secret": "s"}}')
    distributions = tmp_path / "d.yaml"
    distributions.write_text(f"6.8.23: {{url: 'https://host/es.zip', sha256: {'a' * 64}}}")
    settings = build_settings(BASE | {"credentials": str(credentials),
                                      "distributions": str(distributions)})
    found = settings.credentials_of("any")
    assert found is not None
    assert found.secret.get_secret_value() == "s"
    assert settings.distributions["6.8.23"].url == "https://host/es.zip"
    with pytest.raises(Faults, match="cannot read"):
        build_settings(BASE | {"credentials": str(tmp_path / "none")})


def test_credentials_of_the_store_come_from_a_file_of_ours_alone(tmp_path: Path) -> None:
    file = tmp_path / "store.yaml"
    file.write_text("{user: esaas, password: TOP-SECRET}")
    given = BASE | {"store": "zk://a:2181,b:2181/esaas", "store_credentials": str(file)}
    file.chmod(0o640)
    with pytest.raises(Faults, match="--store-credentials: .* can be read by others: chmod 600"):
        build_settings(given)
    file.chmod(0o600)
    settings = build_settings(given)
    assert settings.store_credentials is not None
    assert settings.store_credentials.pair() == ("esaas", "TOP-SECRET")
    file.write_text("{user: esaas, passwort: TOP-SECRET}")
    with pytest.raises(Faults) as caught:
        build_settings(given | {"store": "zk://nowhere"})
    assert "TOP-SECRET" not in str(caught.value)
    for text in ("--store: ", "must be zk://host:port,.../path", "password: Field required"):
        assert text in str(caught.value)


def test_addresses() -> None:
    def made(**more: object) -> Settings:
        return Settings.model_validate(BASE | more)
    assert base_url(made(), 8080) == "http://127.0.0.1:8080"
    assert base_url(made(listen_host="::1"), 80) == "http://[::1]:80"
    assert base_url(made(advertise_url="http://front/x/"), 80) == "http://front/x"
    assert "0.0.0.0" not in base_url(made(listen_host="0.0.0.0"), 80)
    loopback = allowed_names(made(advertise_url="http://front:80"), ())
    assert loopback is not None
    assert {"localhost", "front"} <= loopback
    assert allowed_names(made(listen_host="0.0.0.0"), ()) is None
    assert allowed_names(made(listen_host="0.0.0.0"), ("es.example",)) is not None


def got(process: subprocess.Popen[str], path: str, headers: dict[str, str]) -> int:
    """The status that a running service answers."""
    port = int(until(process, r"serves at http://127\.0\.0\.1:(\d+)")[1])
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    line.request("GET", path, headers=headers)
    return line.getresponse().status


def test_a_login_is_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path, "--port", "0") as process:
        assert got(process, "/v1/clusters", {}) == 401


def test_no_login_on_loopback_only(tmp_path: Path) -> None:
    with serving(tmp_path, "--port", "0", "--no-login") as process:
        assert got(process, "/v1/users", {}) == 200
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
        assert "login is switched off" in err
        assert not (tmp_path / "admin-password").exists()
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with serving(tmp_path, "--port", "0", "--no-login", "--host", host) as process:
            _, err = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 2
            assert "loopback only" in err


def test_beyond_loopback_without_tls_it_warns(tmp_path: Path) -> None:
    with serving(tmp_path, "--port", "0", "--host", "0.0.0.0", "--allow-host", "127.0.0.1",
                 "--advertise-url", "http://127.0.0.1:1") as process:
        until(process, "serves at")
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
        assert "without TLS" in err


def test_a_bad_token_file_is_named_and_not_quoted(tmp_path: Path) -> None:
    file = Path(token_file(tmp_path))
    for text, mode in ((ADMIN_TOKEN, 0o644), ("hunter2", 0o600)):
        file.write_text(text)
        file.chmod(mode)
        with serving(tmp_path, "--port", "0", "--admin-token-file", str(file)) as process:
            _, err = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 1
            assert str(file) in err
            assert text not in err


def test_tls(tmp_path: Path) -> None:
    """With a certificate of a throw-away authority, and the command line that trusts it."""
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    cert, key, trusted = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    made.cert_chain_pems[0].write_to_path(str(cert))
    made.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(trusted))
    settings = Settings.model_validate(BASE | {"tls_cert": str(cert), "tls_key": str(key)})
    context = tls_context(settings)
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    with serving(tmp_path, "--port", "0", "--tls-cert", str(cert), "--tls-key", str(key),
                 "--admin-token-file", token_file(tmp_path)) as process:
        url = until(process, r"serves at (https://127\.0\.0\.1:\d+)")[1]
        trusting = ssl.create_default_context(cafile=str(trusted))
        line = http.client.HTTPSConnection(url.removeprefix("https://"), timeout=PATIENCE_S,
                                           context=trusting)
        line.request("GET", "/login")
        page = line.getresponse()
        assert page.headers["Strict-Transport-Security"].startswith("max-age=")
        assert "Secure" in page.headers["Set-Cookie"]
        page.read()
        client = Client(url, ADMIN_TOKEN, str(trusted))
        assert client.get("/v1/me")["role"] == "admin"
        with pytest.raises(Unreachable, match="certificate"):
            Client(url, ADMIN_TOKEN).get("/v1/me")


def test_tls_files_that_cannot_be_used(tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    with serving(tmp_path, "--port", "0", "--tls-cert", str(text)) as process:
        _, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, "belong together" in err) == (2, True)
    with serving(tmp_path, "--port", "0", "--tls-cert", str(text),
                 "--tls-key", str(text)) as process:
        _, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, "cannot be used" in err) == (1, True)
        assert "Traceback" not in err


def test_headers_have_a_limit(tmp_path: Path) -> None:
    with serving(tmp_path, "--port", "0") as process:
        port = int(until(process, r"serves at http://127\.0\.0\.1:(\d+)")[1])
        for size, fits in ((1000, True), (64 * 1024, False), (1000, True)):
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
            try:
                line.request("GET", "/v1/me", headers={"X-Much": "x" * size})
                assert (line.getresponse().status == 401) is fits
            except (http.client.HTTPException, OSError):
                assert not fits
            finally:
                line.close()
