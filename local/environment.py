"""The environments of masters, agents and executors: pure functions of the spec and places.

Nothing is inherited from our own environment: a proxy or a Python path set there must not reach
a daemon that may live for weeks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from . import java
from .daemons import MARKER
from .ports import LOOPBACK
from .requirements import LOWEST_JAVA
from .spec import AgentSpec, DataCentreSpec

# Debian's own paths first: the unprivileged user can read /usr/bin/python3, not a root's one.
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
ZK_SESSION_TIMEOUT = "5secs"
# Missed pings until an agent is unreachable: default 5 s x 5, fast 1 s x 6.
PINGS, FAST_PINGS = ("5secs", "5"), ("1secs", "6")
# pymesos' executor waits up to 15 s between attempts; more is not allowed by Mesos.
EXECUTOR_REREGISTRATION_TIMEOUT = "15secs"
JAVA_21 = 21


@dataclass(frozen=True, slots=True)
class Places:
    """Where a data centre keeps things."""

    root: Path

    @property
    def state(self) -> Path:
        """The state file."""
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the data centre."""
        return self.root / "lock"

    @property
    def credentials(self) -> Path:
        """Mesos' credentials file: principals and secrets."""
        return self.root / "credentials.json"

    @property
    def acls(self) -> Path:
        """The master's ACLs."""
        return self.root / "acls.json"

    @property
    def launcher(self) -> Path:
        """The agents' helper programs."""
        return self.root / "launcher"

    @property
    def executor_cache(self) -> Path:
        """Where executors keep unpacked distributions; theirs to write."""
        return self.root / "executor-cache"

    @property
    def agent_list(self) -> Path:
        """Flags of agents that share one process."""
        return self.root / "agents.json"

    def log(self, name: str) -> Path:
        """The log of a daemon."""
        return self.root / "logs" / f"{name}.log"

    def agent(self, k: int) -> Path:
        """The directory of agent k."""
        return self.root / "agents" / str(k)

    def disk_roots(self, k: int, agent: AgentSpec) -> list[Path]:
        """The root directory of each extra disk of agent k."""
        own = self.agent(k) / "disks"
        return [
            Path(disk.path) if disk.path else own / f"{i}-{disk.type.lower()}"
            for i, disk in enumerate(agent.disks, 1)
        ]


def common(marker: str, cwd_home: Path) -> dict[str, str]:
    """What every daemon gets."""
    return {
        "PATH": SYSTEM_PATH,
        "HOME": str(cwd_home),
        "LANG": "C.UTF-8",
        MARKER: marker,
    }


def zookeeper_master(port: int) -> str:
    """The address of the masters in ZooKeeper."""
    return f"zk://{LOOPBACK}:{port}/mesos"


def master_environment(
    spec: DataCentreSpec, places: Places, k: int, port: int, zookeeper_port: int | None
) -> dict[str, str]:
    """MESOS_* of master k (from 1)."""
    ping, missed = FAST_PINGS if spec.fast_failure else PINGS
    env = {
        "MESOS_CLUSTER": "esaas-local",
        "MESOS_IP": LOOPBACK,
        "MESOS_PORT": str(port),
        "MESOS_HOSTNAME": LOOPBACK,  # followers redirect to it
        "MESOS_WORK_DIR": str(places.root / "masters" / str(k)),
        "MESOS_AGENT_PING_TIMEOUT": ping,
        "MESOS_MAX_AGENT_PING_TIMEOUTS": missed,
    }
    if zookeeper_port is not None:
        env["MESOS_ZK"] = zookeeper_master(zookeeper_port)
        env["MESOS_QUORUM"] = str(spec.masters // 2 + 1)
        env["MESOS_ZK_SESSION_TIMEOUT"] = ZK_SESSION_TIMEOUT
    if spec.principals:
        env["MESOS_CREDENTIALS"] = str(places.credentials)
        env["MESOS_ACLS"] = places.acls.as_uri()
        env["MESOS_AUTHENTICATE_HTTP_FRAMEWORKS"] = "true"
        env["MESOS_HTTP_FRAMEWORK_AUTHENTICATORS"] = "basic"
        # Operator calls need a credential; plain reads (/state, /metrics) stay open.
        env["MESOS_AUTHENTICATE_HTTP_READWRITE"] = "true"
    return env


def agent_flags(places: Places, k: int, agent: AgentSpec) -> dict[str, str]:
    """The flags that belong to agent k alone."""
    own = places.agent(k)
    return {
        "hostname": agent.hostname,
        "attributes": agent.attributes_text(),
        "resources": agent.resources_text(places.disk_roots(k, agent)),
        "work_dir": str(own / "work"),
        "runtime_dir": str(own / "run"),
        "fetcher_cache_dir": str(own / "fetch"),
    }


def agent_environment(
    spec: DataCentreSpec, places: Places, port: int, master: str, switch_user: bool,
    executors: dict[str, str],
) -> dict[str, str]:  # fmt: skip
    """MESOS_* that all agents have in common."""
    isolation = "posix/cpu,posix/mem"
    env = {
        "MESOS_IP": LOOPBACK,
        "MESOS_PORT": str(port),
        "MESOS_MASTER": master,
        "MESOS_LAUNCHER": "posix",
        "MESOS_LAUNCHER_DIR": str(places.launcher),
        "MESOS_SYSTEMD_ENABLE_SUPPORT": "false",
        "MESOS_SWITCH_USER": str(switch_user).lower(),
        "MESOS_RECOVER": "reconnect",
        "MESOS_RECONFIGURATION_POLICY": "additive",
        "MESOS_EXECUTOR_REREGISTRATION_TIMEOUT": EXECUTOR_REREGISTRATION_TIMEOUT,
        "MESOS_EXECUTOR_ENVIRONMENT_VARIABLES": json.dumps(executors),
    }
    if spec.disk_du:
        isolation += ",disk/du"
        env["MESOS_ENFORCE_CONTAINER_DISK_QUOTA"] = "true"
    env["MESOS_ISOLATION"] = isolation
    if spec.zookeeper:
        env["MESOS_ZK_SESSION_TIMEOUT"] = ZK_SESSION_TIMEOUT
    return env


def executor_environment(marker: str, places: Places) -> dict[str, str]:
    """What executors and their tasks find, besides Mesos' own variables.

    JAVA_HOME is a Java of at least 17 (the lowest there is); ESAAS_JAVA21_HOME one of at least
    21, for Elasticsearch 9, when there is one.
    """
    env = {
        "PATH": SYSTEM_PATH,
        "LANG": "C.UTF-8",
        "ESAAS_CACHE_DIR": str(places.executor_cache),
        MARKER: marker,
    }
    for name, major in (("JAVA_HOME", LOWEST_JAVA), ("ESAAS_JAVA21_HOME", JAVA_21)):
        if runtime := java.at_least(major):
            env[name] = str(runtime.home)
    return env
