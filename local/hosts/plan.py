"""The daemons of a host: commands and environments, by the functions of the data centre in a box.

What differs from a data centre in a box is the address: daemons bind to the host's own, and find
the others on the control host.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .. import environment, zookeeper
from ..commands import Command
from ..embedded import __name__ as EMBEDDED
from ..embedded.launcher import write_launcher_dir
from ..environment import Places
from .spec import (
    AGENT_PORT,
    DEFAULT_DIRECTORY,
    MASTER_PORT,
    SERVICE_PORT,
    ZOOKEEPER_PORT,
    Host,
)
from .supervisors import RUNTIME

ZOOKEEPER, MASTER, SERVICE, AGENT = "zookeeper", "master", "service", "agent"


class HostPlaces(Places):
    """Where a host keeps things: what a data centre in a box has, and the service's files."""

    @property
    def running(self) -> Path:
        """Which processes run, where no other supervisor knows."""
        return self.root / "running.json"

    @property
    def service(self) -> Path:
        """The state directory of the service."""
        return self.root / "service"

    @property
    def service_credentials(self) -> Path:
        """As whom the service registers frameworks, by tenant."""
        return self.root / "service-credentials.json"

    @property
    def distributions(self) -> Path:
        """The versions of Elasticsearch that the service knows."""
        return self.root / "distributions.json"

    @property
    def admin_token(self) -> Path:
        """A token of admin role, for whoever may read the file."""
        return self.root / "admin-token"


def names(host: Host) -> tuple[str, ...]:
    """The daemons of a host, in the order in which they start."""
    return (AGENT,) if host.kind == "agent" else (ZOOKEEPER, MASTER, SERVICE)


def build(host: Host, name: str, marker: str, library: Path, user: str) -> Command:
    """The command of one daemon; writes the files that it needs.

    ``user`` runs executors and Elasticsearch; ``marker`` is what all processes of the host carry.
    """
    places = HostPlaces(host.directory)
    env = environment.common(marker, places.root)
    if name == ZOOKEEPER:
        directory = places.root / ZOOKEEPER
        return Command(zookeeper.command(directory, ZOOKEEPER_PORT, host.ip), env)
    if name == MASTER:
        return Command(_embedded("master", library), env | _master(host, places))
    if name == SERVICE:
        return Command(_service(host, places, user), env)
    write_launcher_dir(places.launcher, str(library))
    return Command(_embedded("agent", library), env | _agent(host, places, marker))


def _embedded(command: str, library: Path) -> list[str]:
    return [sys.executable, "-I", "-m", EMBEDDED, command, str(library)]


def _master(host: Host, places: Places) -> dict[str, str]:
    own = environment.master_environment(host.centre(), places, 1, MASTER_PORT, ZOOKEEPER_PORT)
    return own | {"MESOS_IP": host.ip, "MESOS_HOSTNAME": host.ip, "MESOS_ZK": host.masters}


def _agent(host: Host, places: Places, marker: str) -> dict[str, str]:
    centre = host.centre()
    executors = environment.executor_environment(marker, places)
    common = environment.agent_environment(
        centre, places, AGENT_PORT, host.masters, True, executors
    )
    flags = environment.agent_flags(places, 1, centre.agents[0])
    if host.directory == DEFAULT_DIRECTORY:
        flags["runtime_dir"] = f"/run/{RUNTIME}"    # a boot empties it
    for flag in ("work_dir", "runtime_dir", "fetcher_cache_dir"):
        Path(flags[flag]).mkdir(parents=True, exist_ok=True)
    own = {f"MESOS_{flag.upper()}": value for flag, value in flags.items()}
    return common | own | {"MESOS_IP": host.ip}


def _service(host: Host, places: HostPlaces, user: str) -> list[str]:
    return [
        sys.executable, "-I", "-m", "esaas.framework.cli", "serve",
        "--host", host.ip, "--port", str(SERVICE_PORT), "--mesos-master", host.masters,
        "--store", host.store, "--state-dir", str(places.service), "--executor-user", user,
        "--mesos-credentials", str(places.service_credentials),
        "--distributions", str(places.distributions),
        "--admin-token-file", str(places.admin_token), "--log-json",
    ]  # fmt: skip
