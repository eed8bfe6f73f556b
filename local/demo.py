"""The demo: a data centre in a box, the service on it, and a cluster that becomes green.

It lives in the directory of the data centre, so that ``esaas local agent kill 2`` and the other
commands work on it. Everything is ended in order at the end and comes back at the next start.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from esaas.framework.client import Client, Refused, Unreachable
from rich.console import Console

from . import daemons, environment, ports, requirements, spec
from .daemons import Daemon, wait_until
from .datacentre import DataCentre
from .demo_display import Display
from .environment import Places
from .errors import LocalError
from .fetch import elasticsearch
from .files import write_atomically
from .settings import Settings
from .spec import AgentSpec

TENANT = CLUSTER = "demo"
GROUP = "node"
VERSION = "6.8.23"
NODES = 3
FIRST_PORT = 8080
# Below the kernel's range for outgoing connections, which starts at 32768.
FIRST_TASK_PORTS = (31100, 28100, 26100, 23100)
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
# Unpacking and three JVMs on a slow machine; the display tells what holds it meanwhile.
GREEN_TIMEOUT_S = 900.0
POLL_S = 0.5
LONG_ENOUGH_S = 20.0  # a service that ran so long before it ended is started again
SPEC: dict[str, Any] = {
    "name": CLUSTER,
    "tenant": TENANT,
    "version": VERSION,
    "description": "The demo: three small nodes, each master and data",
    "groups": [
        {
            "name": GROUP, "count": NODES, "roles": ["master", "data"], "cpus": 0.5,
            "mem_mb": 768, "disk_mb": 2000, "heap": {"mb": 256},
        }
    ],
}  # fmt: skip


class Demo:
    """The demo in one directory. ``run`` returns when somebody ended it."""

    def __init__(
        self, directory: Path | None = None, agents: int | None = None, port: int = FIRST_PORT,
        *, settings: Settings | None = None, console: Console | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings or Settings.load()
        self.display = Display(console or Console(highlight=False))
        directory = directory or self.settings.directory
        self.centre = DataCentre(
            directory, _agents(directory, agents), principals={TENANT: TENANT},
            settings=self.settings, report=self.display.step, console=self.display.console,
        )  # fmt: skip
        self.home = self.centre.directory / "demo"
        self.first_port = port
        self._log = self.centre.places.log("service")

    # ------------------------------------------------------------------ from start to end

    def run(self) -> None:
        """Start everything, show it, wait for Ctrl-C or SIGTERM, end everything in order.

        Raises LocalError when it cannot start, or runs already.
        """
        with self._alone(), _interruptible() as signals:
            try:
                client = self._start()
                self._until_green(client)
                self.display.welcome(self._facts(client))
                self._watch(client)
            except KeyboardInterrupt:
                self.display.note("")
            finally:
                signals.hold(self.display.note)
                self._stop()

    def forget(self) -> None:
        """Delete the demo with all its data. Raises LocalError while it runs."""
        if not self.centre.directory.exists():
            return
        with self._alone(), self.display.busy("forgetting the demo"):
            if not self.centre.places.state.exists():
                shutil.rmtree(self.home)  # an interrupted first start left nothing else
            self.centre.forget()
        self.display.done(f"{self.centre.directory} is gone, with all data of the demo")

    def _start(self) -> Client:
        with self.display.busy("looking at this machine"):
            requirements.ensure(
                self.settings, [requirements.MESOS, requirements.ELASTICSEARCH],
                self.display.step,
            )  # fmt: skip
            archive = elasticsearch.fetch_elasticsearch(
                self.settings.cache, VERSION, self.display.console
            )
            self.centre.up()
            self._end_service()  # one that an interrupted run may have left
            started = time.monotonic()
            client = self._serve({VERSION: archive})
        self.display.done(
            f"Mesos master and {len(self.centre.state().spec.agents)} agents, "
            f"service ({time.monotonic() - started:.1f} s)"
        )
        try:
            client.get(client.cluster(CLUSTER))
        except Refused as error:
            if error.status != 404:
                raise LocalError(f"the service refuses: {error}") from error
            client.post("/v1/clusters", SPEC)
        return client

    def _stop(self) -> None:
        with self.display.busy("stopping the service"):
            self._end_service()
            if self.centre.places.state.exists():
                self._end_nodes()
                self.centre.down()
        self.display.done(
            "everything is stopped; the data is kept. `make run` brings it back, "
            "`make clean-run` forgets it"
        )

    def _end_nodes(self) -> None:
        """End executors while their agents still take their last words.

        Nobody reacts to them, for the service is gone; it hears them when it comes back. Executors
        without an agent would wait for one, and agents would wait for executors at their start.
        """
        self.display.step("stopping Elasticsearch")
        state = self.centre.state()
        spare = {daemon.pid for daemon in state.running().values()}
        daemons.end_marked(state.id, STOP_TIMEOUT_S, spare=spare)

    # ------------------------------------------------------------------ the service

    def _serve(self, archives: dict[str, Path]) -> Client:
        """Start the service and wait until it is ready."""
        known = elasticsearch.catalog(self.settings.cache)
        catalog = {version: known[version] for version in archives} | known
        credentials = {TENANT: {"principal": TENANT, "secret": self.centre.secret(TENANT)}}
        write_atomically(self.home / "distributions.json", json.dumps(catalog, indent=2))
        write_atomically(self.home / "credentials.json", json.dumps(credentials), mode=0o600)
        operator = {"principal": spec.ADMIN,
                    "secret": self.centre.secret(spec.ADMIN)}
        write_atomically(self.home / "operator.json", json.dumps(operator), mode=0o600)
        taken = set(self.centre.state().ports.values())
        port = ports.choose(self.first_port, taken)
        if port != self.first_port:
            whose = "taken here" if self.first_port in taken else (
                f"held by {ports.holder(self.first_port)}")  # fmt: skip
            self.display.note(f"port {self.first_port} is {whose}: the service takes {port}")
        ready = self.home / "ready.json"
        ready.unlink(missing_ok=True)
        self._token()
        self.display.step("starting the service")
        service = daemons.spawn(self._command(port, ready), self._environment(), self._log)
        write_atomically(self.home / "service.json", service.model_dump_json())
        wait_until(
            ready.exists, "the service to be ready", READY_TIMEOUT_S,
            {"the service": (service, self._log)},
        )  # fmt: skip
        return Client(json.loads(ready.read_text())["url"], self._token())

    def _token(self) -> str:
        """The token of admin role that we, and the commands that we print, use; kept."""
        path = self._token_file
        if not path.exists():
            write_atomically(path, secrets.token_urlsafe(32), mode=0o600)
        return path.read_text().strip()

    @property
    def _token_file(self) -> Path:
        return self.home / "admin-token"

    def _password(self) -> str:
        """The password of the user admin; empty when somebody has changed it."""
        path = self.home / "service" / "admin-password"
        return path.read_text().strip() if path.exists() else ""

    def _command(self, port: int, ready: Path) -> list[str]:
        return [
            sys.executable, "-I", "-m", "esaas.framework.cli", "serve",
            "--mesos-master", self.centre.master_address,
            "--state-dir", str(self.home / "service"),
            "--host", ports.LOOPBACK, "--port", str(port),
            "--executor-user", self.centre.executor_user,
            # The interpreter below our virtual environment: executors' user can read that one.
            "--executor-python", os.path.realpath(sys.executable),
            "--mesos-credentials", str(self.home / "credentials.json"),
            "--operator-credentials", str(self.home / "operator.json"),
            "--distributions", str(self.home / "distributions.json"),
            "--ready-file", str(ready), "--admin-token-file", str(self._token_file),
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        # The mark of the data centre: `esaas local down` and `forget` end the service, too.
        return environment.common(self.centre.state().id, self.home)

    def _service(self) -> Daemon | None:
        path = self.home / "service.json"
        return Daemon.model_validate_json(path.read_text()) if path.exists() else None

    def _end_service(self) -> None:
        if service := self._service():
            daemons.end([service], STOP_TIMEOUT_S)
            (self.home / "service.json").unlink()

    # ------------------------------------------------------------------ looking at it

    def _until_green(self, client: Client) -> None:
        """Show how the cluster grows until it is whole and green."""
        started = time.monotonic()
        with self.display.growing() as show:
            while True:
                self._check_service()
                one = self._look(client)
                age_s = time.monotonic() - started
                if one is not None:
                    show(one, age_s)
                    if whole(one, age_s):
                        break
                if age_s > GREEN_TIMEOUT_S:
                    said = one["summary"] if one else "the service does not answer"
                    self.display.note(f"not green after {GREEN_TIMEOUT_S:g} s: {said}")
                    return
                time.sleep(POLL_S)
        self.display.done(f"cluster {CLUSTER} is green ({time.monotonic() - started:.0f} s)")

    def _watch(self, client: Client) -> None:
        """A line about the cluster until Ctrl-C; a service that somebody kills comes back."""
        since = time.monotonic()
        with self.display.watching() as show:
            while True:
                service = self._service()
                if service is None or not service.running():
                    if time.monotonic() - since < LONG_ENOUGH_S:
                        raise LocalError(
                            f"the service ended again and again ({self._log})",
                            daemons.tail(self._log),
                        )
                    self.display.note("the service ended; nodes run on; starting it again")
                    client, since = self._serve({}), time.monotonic()
                show(self._look(client))
                time.sleep(POLL_S * 2)

    def _check_service(self) -> None:
        service = self._service()
        if service is None or not service.running():
            raise LocalError(f"the service ended ({self._log})", daemons.tail(self._log))

    @staticmethod
    def _look(client: Client) -> dict[str, Any] | None:
        """The cluster, or None while the service cannot tell."""
        try:
            found: dict[str, Any] = client.get(client.cluster(CLUSTER))
            return found
        except (Unreachable, Refused):
            return None  # shown as such; whether the service lives is looked at on its own

    def _facts(self, client: Client) -> dict[str, Any]:
        """What people need to go on: addresses and commands."""
        one, service = self._look(client), self._service()
        return {
            "url": client.url, "cluster": CLUSTER, "group": GROUP, "tenant": TENANT,
            "mesos": self.centre.master_url, "agents": len(self.centre.state().spec.agents),
            "nodes": one["nodes"] if one else [], "log": str(self._log),
            "directory": str(self.centre.directory), "service_pid": service and service.pid,
            "default_directory": self.centre.directory == self.settings.directory,
            "password": self._password(), "token_file": str(self._token_file),
            "default_port": client.url.endswith(f":{FIRST_PORT}"),
        }  # fmt: skip

    # ------------------------------------------------------------------ alone

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one demo may run in a directory. Raises LocalError that names the other."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                ready = self.home / "ready.json"
                where = json.loads(ready.read_text())["url"] if ready.exists() else "starting"
                raise LocalError(
                    f"the demo runs already (process {file.read().strip()}): {where}; Ctrl-C in "
                    "its terminal ends it"
                ) from error
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield


def _agents(directory: Path, count: int | None) -> Sequence[AgentSpec] | int | None:
    """The agents to have; new ones where nobody, such as another demo, holds their task ports."""
    if Places(directory.absolute()).state.exists():
        return count
    count = count or NODES
    for first in FIRST_TASK_PORTS:
        # A node takes the lowest ports of its agent.
        wanted = [first + k * spec.PORTS_PER_AGENT + i for k in range(count) for i in range(2)]
        if all(ports.is_free(port) for port in wanted):
            return spec.default_agents(count, first_port=first)
    tried = ", ".join(map(str, FIRST_TASK_PORTS))
    raise LocalError(f"other programs hold ports of the agents' tasks; tried those from {tried}")


def whole(one: dict[str, Any], within_s: float) -> bool:
    """Whether a cluster is as wanted and green, seen so within the last ``within_s`` seconds.

    What the service remembers of the time before it started does not count.
    """
    age_s = one["es"]["age_s"]
    return bool(
        one["connected"] and age_s is not None and age_s < within_s
        and one["plan_status"] == "done" and one["nodes_ready"] >= one["nodes_wanted"]
        and one["health"] == "green"
    )  # fmt: skip


class _Signals:
    """Turns the signals that end us into KeyboardInterrupt, or only answers them."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._answer: Callable[[str], None] | None = None
        self._before = {number: signal.getsignal(number) for number in self.NUMBERS}
        for number in self.NUMBERS:
            signal.signal(number, self._on)

    def hold(self, answer: Callable[[str], None]) -> None:
        """From now on signals are only answered: the end is at work."""
        self._answer = answer

    def restore(self) -> None:
        """Whoever had the signals before has them again."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on(self, number: int, frame: FrameType | None) -> None:
        if self._answer is None:
            raise KeyboardInterrupt
        self._answer("still stopping, in order, so that no data is lost; a moment")


@contextmanager
def _interruptible() -> Iterator[_Signals]:
    signals = _Signals()
    try:
        yield signals
    finally:
        signals.restore()
