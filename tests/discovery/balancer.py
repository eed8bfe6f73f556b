"""``esaas haproxy`` as a real process."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from esaas.framework.discovery import runtime

from .standins import until


def ended(pid: int) -> bool:
    """Whether a process runs no more; whoever inherited it may not have looked after it yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class Balancer:
    """``esaas haproxy --run`` as a process."""

    def __init__(self, url: str, directory: Path, *more: str) -> None:
        """``more`` instead of ``--run``."""
        self.directory, self.socket = directory, directory / "haproxy.sock"
        self.log = directory / "log"
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith("ESAAS_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from esaas.framework.cli import main; main()", "haproxy",
                 "--url", url, "--out", str(directory), *(more or ("--run",))], env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    @property
    def master(self) -> int:
        """The process id of HAProxy, which empties the file before it writes it."""
        return int(until("the process id of HAProxy",
                         (self.directory / "haproxy.pid").read_text))

    def in_use(self) -> set[str]:
        """The servers that get requests."""
        try:
            told = runtime.ask(self.socket, "show servers state")
        except runtime.RuntimeFailed:
            return set()
        return {name for _, name in runtime.servers_in_use(told)}

    def uses(self, *names: str) -> None:
        """Wait until exactly these get requests."""
        until(f"{names} in use", lambda: self.in_use() == set(names))

    def reloads(self) -> int:
        """How often it was reloaded, and how often not."""
        return self.log.read_text().count("by a reload")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)
