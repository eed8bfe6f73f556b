"""``esaas serve`` as a process: settings, ports, signals, order."""
from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from esaas.framework.settings import Settings
from esaas.ui.serve import Faults, allowed_names, base_url, build_settings
from live_app import PATIENCE_S

SCRIPT = Path(__file__).parent / "serve_standin.py"
BASE = {"mesos_master": "127.0.0.1:5050", "state_dir": "state"}


def command(*args: str, **env: str) -> dict[str, object]:
    """What a process of the command is started with, in a clean environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ESAAS_")}
    return {"args": [sys.executable, str(SCRIPT), *args], "env": clean | env,
            "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


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
    with serving(tmp_path, "--port", "0", "--ready-file", str(ready)) as process:
        advertised = until(process, r"advertised (\S+)")[1]
        until(process, "^started")
        url = until(process, r"serves at http://127\.0\.0\.1:(\d+)")
        assert json.loads(ready.read_text()) == {"url": advertised, "pid": process.pid}
        line = http.client.HTTPConnection("127.0.0.1", int(url[1]), timeout=PATIENCE_S)
        line.request("GET", "/v1/events/stream")
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
            "service_ready", "service_stopping", "service_stopped"]


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
