"""A real Prometheus on loopback, with the shipped rules and the shipped configuration."""
from __future__ import annotations

import json
import shutil
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from ..telemetry.prometheus_files import PROMETHEUS
from ..zookeepers import free_port
from .service import wait_for

OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Prometheus:
    """One process with a directory of its own; ended by ``close``."""

    def __init__(self, directory: Path, target: str, token: str) -> None:
        """``target`` is the service's ``host:port``; it is asked every second."""
        directory.mkdir(parents=True)
        file = directory / "token"
        file.touch(mode=0o600)
        file.write_text(token)
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config.pop("alerting")
        [job] = config["scrape_configs"]
        job["scheme"] = "http"
        job["authorization"]["credentials_file"] = str(file)
        job["static_configs"] = [{"targets": [target]}]
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        shutil.copy(PROMETHEUS / "esaas.rules.yml", directory)
        program = shutil.which("prometheus")
        assert program is not None, "Debian's package prometheus has it: make setup-test"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = directory / "prometheus.log"
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [program, f"--config.file={directory / 'prometheus.yml'}",
                 f"--storage.tsdb.path={directory / 'data'}", "--storage.tsdb.retention.size=200MB",
                 f"--web.listen-address=127.0.0.1:{port}"],
                cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for("Prometheus to be ready", self._ready)
        except BaseException:
            self.close()
            raise

    def _ready(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        with OPEN.open(f"{self.url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)

    def close(self) -> None:
        """SIGTERM, by its own id."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API; AssertionError with its own words for an error."""
        query = urllib.parse.urlencode(parameters)
        try:
            with OPEN.open(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                body = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        assert body["status"] == "success", body
        assert not body.get("warnings"), body
        return body["data"]

    def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """What a query comes to now: labels and value of each series."""
        found = self.get("query", query=query)
        assert found["resultType"] in ("vector", "scalar"), query
        return [(one["metric"], float(one["value"][1])) for one in found["result"]]
