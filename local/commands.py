"""The command and environment of each daemon of a data centre, by the daemon's name."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import environment, mounts, zookeeper
from .embedded import __name__ as EMBEDDED
from .embedded.launcher import write_launcher_dir
from .environment import Places
from .errors import LocalError
from .files import closed_to_others, write_atomically
from .ports import LOOPBACK
from .state import State

ZOOKEEPER, AGENTS = "zookeeper", "agents"
# Where each kind of daemon looks for a port first: first one, step to the next.
FIRST_PORTS = {ZOOKEEPER: (2181, 0), "master": (5050, 1), "agent": (5100, 1), AGENTS: (5100, 0)}


@dataclass(frozen=True, slots=True)
class Command:
    """What to start."""

    argv: list[str]
    environment: dict[str, str]


def names(state: State) -> list[str]:
    """The daemons of a data centre, in the order in which they start."""
    spec = state.spec
    agents = [AGENTS] if spec.many_in_one else [f"agent-{k + 1}" for k in range(len(spec.agents))]
    masters = [f"master-{k + 1}" for k in range(spec.masters)]
    return [*([ZOOKEEPER] if spec.zookeeper else []), *masters, *(agents if spec.agents else [])]


def split(name: str) -> tuple[str, int]:
    """``master-2`` as its kind and its number."""
    kind, _, number = name.partition("-")
    return kind, int(number or 1)


def preferred_port(name: str) -> int:
    """The port to try first for a daemon."""
    kind, k = split(name)
    first, step = FIRST_PORTS[kind]
    return first + (k - 1) * step


def master_address(state: State) -> str:
    """What frameworks and agents are told: ``host:port`` or ``zk://...``."""
    if state.spec.zookeeper:
        return environment.zookeeper_master(state.ports[ZOOKEEPER])
    return f"{LOOPBACK}:{state.ports['master-1']}"


def build(state: State, places: Places, name: str, library: Path, user: str | None) -> Command:
    """The command of one daemon; writes the files and directories that it needs.

    ``user`` is the one as whom executors run, None when they run as we do.
    """
    kind, k = split(name)
    port = state.ports[name]
    env = environment.common(state.id, places.root)
    if kind == ZOOKEEPER:
        return Command(zookeeper.command(places.root / ZOOKEEPER, port), env)
    if kind == "master":
        zookeeper_port = state.ports.get(ZOOKEEPER)
        env |= environment.master_environment(state.spec, places, k, port, zookeeper_port)
        return Command(_embedded("master", library), env)
    executors = environment.executor_environment(state.id, places)
    write_launcher_dir(places.launcher, str(library))
    env |= environment.agent_environment(
        state.spec, places, port, master_address(state), user is not None, executors
    )
    if kind == AGENTS:
        each = [_agent(state, places, i) for i in range(1, len(state.spec.agents) + 1)]
        write_atomically(places.agent_list, json.dumps(each, indent=2))
        return Command([*_embedded("agents", library), str(places.agent_list)], env)
    flags = _agent(state, places, k)
    env |= {f"MESOS_{flag.upper()}": value for flag, value in flags.items()}
    return Command(_embedded("agent", library), env)


def _agent(state: State, places: Places, k: int) -> Mapping[str, str]:
    """The flags of agent k; its directories exist and its MOUNT disks are mounted."""
    agent = state.spec.agents[k - 1]
    for disk, root in zip(agent.disks, places.disk_roots(k, agent), strict=True):
        root.mkdir(parents=True, exist_ok=True)
        if disk.type == "MOUNT" and disk.path is None:
            mounts.ensure(root)
        elif disk.type == "MOUNT" and not mounts.is_mount_point(root):
            raise LocalError(f"{root} of {agent.hostname} is no mount point")
    flags = environment.agent_flags(places, k, agent)
    for flag in ("work_dir", "runtime_dir", "fetcher_cache_dir"):
        Path(flags[flag]).mkdir(parents=True, exist_ok=True)
    return flags


def _embedded(command: str, library: Path) -> list[str]:
    # Isolated: what PYTHON* variables and the current directory say is not for a daemon.
    return [sys.executable, "-I", "-m", EMBEDDED, command, str(library)]


def prepare_executor_cache(places: Places, user: str | None) -> None:
    """The directory where executors keep what they unpack; theirs to write.

    Raises LocalError when a directory on the way lets no other user through.
    """
    places.executor_cache.mkdir(parents=True, exist_ok=True)
    if user is None:
        return
    if closed := closed_to_others(places.root):
        raise LocalError(
            f"executors run as user {user}, who cannot enter {closed}: choose another "
            "--directory, or chmod o+x it"
        )
    shutil.chown(places.executor_cache, user, user)


def is_agent(name: str) -> bool:
    """Whether a daemon is an agent, or all of them."""
    return split(name)[0] in ("agent", AGENTS)


def agent_pid(state: State, k: int) -> str:
    """How a master names agent k: the address of its process."""
    if state.spec.many_in_one:
        return f"slave({k})@{LOOPBACK}:{state.ports.get(AGENTS)}"
    return f"slave(1)@{LOOPBACK}:{state.ports.get(f'agent-{k}')}"
