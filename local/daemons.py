"""Starting, signalling and ending processes by their id, also from another process later."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from .errors import LocalError
from .spec import Model

# Every process of a data centre inherits this variable: it tells ours from others'. It bears no
# prefix (MESOS_, ESAAS_) that an executor may hide from the processes that it starts.
MARKER = "LOCAL_DATACENTRE_ID"
# The kernel's clock of process starts moves with the system clock.
START_TOLERANCE_S = 2.0
POLL_S = 0.05
KILL_TIMEOUT_S = 60.0
TAIL_LINES = 15
LOG_MODE = 0o644


class Daemon(Model):
    """A process we started: its id and its start time, in seconds since the epoch."""

    pid: int
    started_s: float

    def process(self) -> psutil.Process | None:
        """The process, if it still runs and its id was not given to another."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_s) < START_TOLERANCE_S
            if same and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.NoSuchProcess:
            pass  # that is the answer
        return None

    def running(self) -> bool:
        """Whether it exists, stopped or not."""
        return self.process() is not None

    def stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        process = self.process()
        return process is not None and process.status() == psutil.STATUS_STOPPED

    def signal(self, number: signal.Signals) -> None:
        """Send a signal. Raises LocalError when the process is gone."""
        process = self.process()
        if process is None:
            raise LocalError(f"process {self.pid} does not run any more")
        process.send_signal(number)


def spawn(argv: Sequence[str], environment: Mapping[str, str], log: Path) -> Daemon:
    """Start a process in a session of its own, its output appended to a log file.

    It outlives us: no pipe and no terminal ties it to this process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pid = os.posix_spawn(
        argv[0], list(argv), dict(environment), setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, LOG_MODE),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )  # fmt: skip
    return Daemon(pid=pid, started_s=psutil.Process(pid).create_time())


def end(daemons: Iterable[Daemon], timeout_s: float) -> None:
    """SIGTERM, then SIGKILL after a while, and wait until all are gone (and reaped)."""
    _end_processes([p for d in daemons if (p := d.process())], timeout_s)


def kill(daemon: Daemon) -> None:
    """SIGKILL, and wait until it is gone."""
    process = daemon.process()
    if process is None:
        raise LocalError(f"process {daemon.pid} does not run any more")
    process.kill()
    if _wait([process], KILL_TIMEOUT_S):
        raise LocalError(f"process {daemon.pid} does not die")


def marked(marker: str) -> list[psutil.Process]:
    """All processes that inherited this mark, but ourselves and those above us."""
    above = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    needle = f"{MARKER}={marker}".encode()
    found = []
    for pid in psutil.pids():
        if pid in above:
            continue
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if needle in variables:
                found.append(psutil.Process(pid))
        except (OSError, psutil.NoSuchProcess):
            continue  # it ended meanwhile, or it is another user's and so not ours
    return found


def end_marked(marker: str, timeout_s: float, spare: Collection[int] = ()) -> None:
    """End what carries the mark, from the top down, so that parents can end their children.

    Processes whose ids are in ``spare`` live on.
    Executors get SIGTERM first and stop their own processes; whatever is left after the
    time-out gets SIGKILL.
    """

    def find() -> list[psutil.Process]:
        return [p for p in marked(marker) if p.pid not in spare]

    deadline = time.monotonic() + timeout_s
    told: set[psutil.Process] = set()
    while (processes := find()) and time.monotonic() < deadline:
        pids = {p.pid for p in processes}
        for process in processes:
            try:
                if process not in told and process.ppid() not in pids:
                    told.add(process)
                    process.terminate()
                    process.resume()  # a stopped one hears it only then
            except psutil.NoSuchProcess:
                continue
        _wait(processes, POLL_S)
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    _wait(processes, timeout_s)


def _end_processes(processes: list[psutil.Process], timeout_s: float) -> None:
    for process in processes:
        try:
            process.terminate()
            process.resume()
        except psutil.NoSuchProcess:
            continue
    alive = _wait(processes, timeout_s)
    for process in alive:
        process.kill()
    _wait(alive, timeout_s)


def _wait(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait until all have ended; those that have not when the time is up.

    A zombie has ended. It may be the child of a process that never asks for its children.
    """
    deadline = time.monotonic() + timeout_s
    while alive := [process for process in processes if not _ended(process)]:
        if time.monotonic() >= deadline:
            break
        time.sleep(POLL_S)
    return alive


def _ended(process: psutil.Process) -> bool:
    try:
        if process.status() != psutil.STATUS_ZOMBIE:
            return False
        # Reaps it. 0: its first thread has ended, others have not.
        return os.waitpid(process.pid, os.WNOHANG)[0] != 0
    except psutil.NoSuchProcess:
        return True
    except ChildProcessError:
        return True  # somebody else's child, who may never ask for it


def wait_until(
    condition: Callable[[], bool], what: str, timeout_s: float,
    watched: Mapping[str, tuple[Daemon, Path]] | None = None,
) -> None:  # fmt: skip
    """Poll until the condition holds.

    Raises LocalError after the time-out, or as soon as a watched daemon (name -> process and
    log) has ended; with the last lines of its log.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        for name, (daemon, log) in (watched or {}).items():
            if not daemon.running():
                raise LocalError(f"{name} ended while waiting for {what} ({log})", tail(log))
        if time.monotonic() > deadline:
            raise LocalError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(POLL_S)


def tail(log: Path, lines: int = TAIL_LINES) -> list[str]:
    """The last lines of a log file."""
    if not log.exists():
        return []
    return log.read_text(errors="replace").splitlines()[-lines:]
