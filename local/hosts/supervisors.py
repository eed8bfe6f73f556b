"""Who keeps the daemons of a host running: systemd, or nobody but ourselves."""

from __future__ import annotations

import hashlib
import json
import resource
import secrets
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pydantic import Field, ValidationError

from .. import daemons
from ..commands import Command
from ..daemons import Daemon
from ..errors import LocalError
from ..files import write_atomically
from ..spec import Model

SYSTEMD_RUNS = Path("/run/systemd/system")
UNITS = Path("/etc/systemd/system")
RUNTIME = "esaas-host"                                # under /run
OPEN_FILES = 65536  # Elasticsearch refuses a real address with less
STOP_TIMEOUT_S = 30.0
SYSTEMCTL_TIMEOUT_S = 120.0


class Supervisor(Protocol):
    """Keeps daemons by name."""

    def run(self, name: str, command: Command) -> None:
        """Have it run; one that runs by another command starts again."""

    def running(self, name: str) -> bool:
        """Whether it runs."""

    def end(self, names: Sequence[str]) -> None:
        """End these, in this order; executors of an agent live on."""


class Running(Model):
    """What runs on a host: its mark, processes and the commands they were started by."""

    id: str
    daemons: dict[str, Daemon] = Field(default_factory=dict)
    commands: dict[str, str] = Field(default_factory=dict)


def load_running(path: Path) -> Running:
    """What is on record; a new mark when nothing is. Raises LocalError when it cannot be read."""
    if not path.exists():
        return Running(id=secrets.token_hex(8))
    try:
        return Running.model_validate_json(path.read_text())
    except ValidationError as error:
        raise LocalError(f"cannot understand {path}: {error}") from error


def save_running(path: Path, running: Running) -> None:
    """Put what runs on record."""
    write_atomically(path, running.model_dump_json(indent=2) + "\n")


def digest(command: Command) -> str:
    """What tells one command from another."""
    text = json.dumps([command.argv, command.environment], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Direct:
    """Starts processes and leaves them alone; a record knows them by id and start time."""

    def __init__(self, record: Path, logs: Path) -> None:
        self._record, self._logs = record, logs

    def log(self, name: str) -> Path:
        """The log of a daemon."""
        return self._logs / f"{name}.log"

    def run(self, name: str, command: Command) -> None:
        """Start it, unless it runs by this very command."""
        known = load_running(self._record)
        if self.running(name):
            if known.commands.get(name) == digest(command):
                return
            daemons.end([known.daemons[name]], STOP_TIMEOUT_S)
        started = daemons.spawn(command.argv, command.environment, self.log(name))
        save_running(self._record, known.model_copy(update={
            "daemons": known.daemons | {name: started},
            "commands": known.commands | {name: digest(command)}}))

    def running(self, name: str) -> bool:
        """Whether its process is still there."""
        daemon = load_running(self._record).daemons.get(name)
        return daemon is not None and daemon.running()

    def end(self, names: Sequence[str]) -> None:
        """SIGTERM one after another, SIGKILL after a while."""
        known = load_running(self._record)
        for name in names:
            if name in known.daemons:
                daemons.end([known.daemons[name]], STOP_TIMEOUT_S)
        left = {name: each for name, each in known.daemons.items() if name not in names}
        save_running(self._record, known.model_copy(update={"daemons": left}))


def raise_limits() -> None:
    """Let this process, and so the daemons that it starts, open files as systemd lets its own.

    Raises LocalError where the machine does not allow it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        wanted = hard if hard == resource.RLIM_INFINITY else max(hard, OPEN_FILES)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, wanted))
        except (OSError, ValueError) as error:
            raise LocalError(f"daemons need {OPEN_FILES} open files: {error}") from error


class Systemd:
    """One service unit a daemon, with its environment in a file of its own."""

    def __init__(self, environments: Path, units: Path = UNITS) -> None:
        self._environments, self._units = environments, units

    def run(self, name: str, command: Command) -> None:
        """Write the unit; start it at once and at every boot, again when it has changed."""
        environment = self._environments / f"{name}.env"
        wanted = {
            environment: environment_text(command.environment),
            self._units / unit_name(name): unit_text(name, command.argv, environment),
        }
        changed = [path for path, text in wanted.items()
                   if not path.exists() or path.read_text() != text]
        for path in changed:
            write_atomically(path, wanted[path])
        if changed:
            _systemctl("daemon-reload")
        _systemctl("enable", unit_name(name))
        _systemctl("restart" if changed else "start", unit_name(name))

    def running(self, name: str) -> bool:
        """Whether systemd calls it active."""
        done = subprocess.run(["systemctl", "is-active", "--quiet", unit_name(name)],
                              check=False, timeout=SYSTEMCTL_TIMEOUT_S)
        return done.returncode == 0

    def end(self, names: Sequence[str]) -> None:
        """Stop them, and never start them again."""
        for name in names:
            if (self._units / unit_name(name)).exists():
                _systemctl("disable", "--now", unit_name(name))
                (self._units / unit_name(name)).unlink()
        _systemctl("daemon-reload")


def unit_name(daemon: str) -> str:
    """The unit of a daemon."""
    return f"esaas-{daemon}.service"


def unit_text(name: str, argv: Sequence[str], environment: Path) -> str:
    """A unit file."""
    # systemd expands % in the line itself, $ in its words.
    line = shlex.join(argv).replace("%", "%%").replace("$", "$$")
    return f"""[Unit]
Description={name} of a data centre for ESAAS
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
EnvironmentFile={environment}
ExecStart={line}
Restart=always
RestartSec=2
# Executors outlive their agent; a master that loses the lead ends itself and is started again.
KillMode=process
LimitNOFILE={OPEN_FILES}
# What an agent knows of its containers: good until the next boot.
RuntimeDirectory={RUNTIME}
RuntimeDirectoryPreserve=yes

[Install]
WantedBy=multi-user.target
"""


def environment_text(variables: dict[str, str]) -> str:
    """An environment file: every value in double quotes, what means something there escaped."""
    lines = []
    for name, value in variables.items():
        escaped = "".join(f"\\{sign}" if sign in '"\\`$' else sign for sign in value)
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines)


def _systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False,
                          timeout=SYSTEMCTL_TIMEOUT_S)
    if done.returncode != 0:
        raise LocalError(f"systemctl {' '.join(words)} failed", done.stderr.strip().splitlines())
