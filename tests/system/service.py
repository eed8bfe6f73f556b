"""A real ``esaas serve`` process, and what a test wants of it and of the clusters behind it."""
from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from esaas.framework.client import Client, ClientError
from esaas.local.datacentre import DataCentre
from esaas.local.fetch.elasticsearch import catalog, fetch_elasticsearch
from esaas.local.fetch.plugins import plugin_catalog
from esaas.local.settings import Settings
from esaas.local.spec import ADMIN

PATIENCE_S = 420.0                  # machines are shared and noisy
POLL_S = 0.25
# Starts take half the time without the JVM's optimising compiler; nothing else depends on it.
QUICK_START = "-XX:TieredStopAtLevel=1"


def wait_for(what: str, found: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Poll until something true is found, and give it; AssertionError with the last answer."""
    until = time.monotonic() + patience_s
    last: Any = None
    while time.monotonic() < until:
        try:
            last = found()
            if last:
                return last
        except (ClientError, OSError, LookupError) as error:
            last = error
        time.sleep(POLL_S)          # a poll's pause, not a synchronisation
    raise AssertionError(f"waited {patience_s:.0f} s for {what}; last: {last!r}")


def spec(name: str, tenant: str, count: int = 3, **more: Any) -> dict[str, Any]:
    """A small cluster whose nodes are master and data."""
    group = {"name": "node", "count": count, "roles": ["master", "data"], "cpus": 0.5,
             "mem_mb": 768, "disk_mb": 2000, "heap": {"mb": 256}, "jvm_options": [QUICK_START]}
    return {"name": name, "tenant": tenant, "version": "6.8.23", "groups": [group]} | more


class Service:
    """One service process after another, on one state directory."""

    def __init__(self, box: DataCentre, directory: Path, tenants: tuple[str, ...],
                 versions: tuple[str, ...] = ("6.8.23",), store: str | None = None,
                 beside: Service | None = None) -> None:
        """``store`` is a ZooKeeper; ``beside`` another process that shares it."""
        self.box, self.directory = box, directory
        self.process: subprocess.Popen[bytes] | None = None
        self.log = directory / "serve.log"
        directory.mkdir(parents=True, exist_ok=True)
        self.credentials = directory / "credentials.json"
        self.credentials.write_text(json.dumps({
            tenant: {"principal": tenant, "secret": box.secret(tenant)} for tenant in tenants}))
        self.credentials.chmod(0o600)
        self.operator = directory / "operator.json"
        self.operator.write_text(json.dumps({"principal": ADMIN, "secret": box.secret(ADMIN)}))
        self.operator.chmod(0o600)
        cache = Settings.load().cache
        for version in versions:
            fetch_elasticsearch(cache, version)
        self.distributions = directory / "distributions.json"
        self.distributions.write_text(json.dumps(catalog(cache)))
        self.store = beside.store if beside else store
        self.token = beside.token if beside else secrets.token_urlsafe(32)
        self.token_file = directory / "admin-token"
        self.token_file.write_text(self.token)
        self.token_file.chmod(0o600)
        self.key_file = beside.key_file if beside else directory / "secret.key"
        self.plugins = directory / "plugins.json"
        self.plugins.write_text(json.dumps(plugin_catalog(cache)))

    def start(self, failpoint: str | None = None, port: int = 0) -> Service:
        """Start and wait until it serves, or has died at its failpoint."""
        ready = self.directory / "ready.json"
        ready.unlink(missing_ok=True)
        command = [
            sys.executable, "-c", "from esaas.framework.cli import main; main()", "serve",
            "--mesos-master", self.box.master_address, "--state-dir",
            str(self.directory / "state"), "--port", str(port or self.port),
            "--executor-user", self.box.executor_user, "--mesos-credentials",
            str(self.credentials), "--operator-credentials", str(self.operator),
            "--distributions", str(self.distributions),
            "--plugins", str(self.plugins), "--admin-token-file", str(self.token_file),
            "--ready-file", str(ready), "--log-json", *self.options(),
            *(["--store", self.store, "--secret-key-file", str(self.key_file)]
              if self.store else [])]
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith("ESAAS_")}
        if failpoint:
            environment["ESAAS_FAILPOINT"] = failpoint
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        wait_for("the service to be ready", lambda: ready.exists() or self.dead())
        if ready.exists():
            self.url = json.loads(ready.read_text())["url"]
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """Stop it in order, unless a test has ended it already."""
        if not self.dead():
            assert self.stop() == 0, "SIGTERM stops the service in order"

    url = ""

    def options(self) -> list[str]:
        """More options of the process."""
        return []

    @property
    def port(self) -> int:
        """The port of the process before, so that agents still find the executor's file."""
        return int(self.url.rstrip("/").rpartition(":")[2]) if self.url else 0

    @property
    def client(self) -> Client:
        """A client of the present process."""
        return Client(self.url, self.token)

    @property
    def password(self) -> str:
        """What the user admin logs in with."""
        return (self.directory / "state" / "admin-password").read_text().strip()

    def dead(self) -> bool:
        """Whether the process has ended."""
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """``kill -9``."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    # ----------------------------------------------------------------- clusters

    def show(self, name: str) -> dict[str, Any]:
        """A cluster's detail."""
        found: dict[str, Any] = self.client.get(f"/v1/clusters/{name}")
        return found

    def nodes(self, name: str) -> dict[str, dict[str, Any]]:
        """A cluster's nodes by name."""
        return {node["name"]: node for node in self.show(name)["nodes"]}

    def green(self, name: str, nodes: int) -> dict[str, Any]:
        """Wait until all nodes are members, the plan is done and health is green."""
        def done() -> dict[str, Any] | None:
            detail = self.show(name)
            ready = [node for node in detail["nodes"] if node["state"] == "ready"]
            return detail if (len(ready) == nodes and detail["health"] == "green"
                              and detail["plan"]["status"] == "done") else None
        try:
            found: dict[str, Any] = wait_for(f"{name} to be green with {nodes} nodes", done)
            return found
        except AssertionError as error:
            detail = self.show(name)
            raise AssertionError(f"{error}\n{detail['summary']}\n" + "\n".join(
                str(node) for node in detail["nodes"])) from error

    def es(self, name: str, path: str, method: str = "GET", body: Any = None) -> Any:
        """One request to the first ready node of a cluster."""
        url = self.show(name)["endpoints"]["http"][0]
        return es_request(url, path, method, body)


def operations(service: Service, kind: str, cluster: str = "demo") -> list[dict[str, Any]]:
    """What was done of a kind, newest first."""
    return [one for one in service.client.get(f"/v1/clusters/{cluster}/operations")
            if one["kind"] == kind]


def run(service: Service, kind: str, cluster: str = "demo", **parameters: Any) -> dict[str, Any]:
    """Do something once, and wait until it has ended."""
    begun = service.client.post(f"/v1/clusters/{cluster}/operations", {"kind": kind} | parameters)

    def over() -> dict[str, Any] | None:
        [found] = [one for one in operations(service, kind, cluster) if one["id"] == begun["id"]]
        return found if found["status"] in ("done", "failed") else None

    found: dict[str, Any] = wait_for(f"{kind} to end", over, 300)
    return found


@dataclass(frozen=True)
class Access:
    """How people get into a secured cluster."""

    ca_certificate: str
    user: str
    password: str = field(repr=False)

    def header(self) -> dict[str, str]:
        """Who asks."""
        pair = f"{self.user}:{self.password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def es_request(url: str, path: str, method: str = "GET", body: Any = None,
               access: Access | None = None, timeout_s: float = 60) -> Any:
    """One request to Elasticsearch; a text body is sent as a bulk."""
    data = None
    if body is not None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    kind = "application/x-ndjson" if isinstance(body, str) else "application/json"
    request = urllib.request.Request(url + path, data=data, method=method,
                                     headers={"Content-Type": kind}
                                     | (access.header() if access else {}))
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if access is not None:
        handlers.append(urllib.request.HTTPSHandler(
            context=ssl.create_default_context(cadata=access.ca_certificate)))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout_s) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        error.msg += f": {error.read(2000).decode(errors='replace')}"
        raise


def index_documents(service: Service, name: str, count: int, index: str = "notes") -> None:
    """Index so many numbered documents and wait until they can be found."""
    lines = []
    for number in range(count):
        lines += [json.dumps({"index": {"_index": index, "_type": "_doc", "_id": str(number)}}),
                  json.dumps({"number": number})]
    answer = service.es(name, "/_bulk?refresh=wait_for", "POST", "\n".join(lines) + "\n")
    assert not answer["errors"], answer


def count_documents(service: Service, name: str, index: str = "notes") -> int:
    """How many documents can be found."""
    return int(service.es(name, f"/{index}/_count")["count"])


def put(service: Service, body: dict[str, Any], query: str = "") -> Any:
    """Want another spec."""
    request = urllib.request.Request(
        f"{service.url}/v1/clusters/{body['name']}{query}", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {service.token}"},
        method="PUT")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return json.loads(answer.read())


def allocation(service: Service) -> dict[str, Any]:
    """Settings of the cluster that a change may leave behind."""
    found = service.es("demo", "/_cluster/settings?flat_settings=true")
    return {key: value for layer in ("transient", "persistent")
            for key, value in found[layer].items() if "allocation" in key}


def url(service: Service) -> str:
    """A ready node."""
    found: str = service.show("demo")["endpoints"]["http"][0]
    return found
