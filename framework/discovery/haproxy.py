"""HAProxy itself: its configuration checked before it is put in place, its process, its reloads.

It runs as a master with a worker. On SIGUSR2 the master starts another worker, which takes over the
listening sockets; the one before ends what it has begun. A process that outlived us is taken over,
not replaced: whatever becomes of us, requests go on (docs/adr/0015-haproxy.md).
"""
from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import structlog

from ..core.errors import EsaasError
from . import runtime
from .render import Layout, render
from .targets import AnswerError, Server, Targets, dump, load

log = structlog.get_logger(__name__)

CONFIG, REFUSED, KNOWN, SOCKET, PID = (
    "haproxy.cfg", "haproxy.cfg.refused", "known.json", "haproxy.sock", "haproxy.pid")
CHECK_TIMEOUT_S = 60.0
COMMAND_TIMEOUT_S = 120.0
RELOAD_TIMEOUT_S = 30.0
STOP_S = 10.0                       # for requests on their way, when it is to end
POLL_S = 0.05


class HaproxyError(EsaasError):
    """HAProxy does not do as it should; what it did before goes on."""


class ConfigRefused(HaproxyError):
    """HAProxy's own check refuses a configuration; the one before stays in place."""


class Files:
    """The directory with the configuration; nobody else writes there."""

    def __init__(self, directory: Path, bind: str, binary: str = "haproxy") -> None:
        self.directory, self.binary = directory.absolute(), binary
        self.config, self.socket = self.directory / CONFIG, self.directory / SOCKET
        self.layout = Layout(bind, str(self.socket))

    def known(self) -> Targets:
        """The targets of the configuration in place; none when there is none."""
        try:
            return load((self.directory / KNOWN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ()
        except (OSError, AnswerError) as error:
            log.warning("what was known before cannot be read", error=str(error))
            return ()

    def check(self, targets: Targets) -> str:
        """The text of a configuration that HAProxy takes; ConfigRefused, RenderError."""
        text = render(targets, self.layout)
        self.directory.mkdir(parents=True, exist_ok=True)
        made = self.directory / f"{CONFIG}.{os.getpid()}"
        try:
            _write(made, text)
            refused = check(self.binary, made)
            if refused:
                made.replace(self.directory / REFUSED)
                raise ConfigRefused(f"{refused}\n(the configuration in place was kept; the one "
                                    f"refused is {self.directory / REFUSED})")
        finally:
            made.unlink(missing_ok=True)
        return text

    def install(self, targets: Targets) -> bool:
        """Put the configuration in place if HAProxy takes it; whether it is another than before.

        Raises ConfigRefused, RenderError; what was in place stays then.
        """
        text = self.check(targets)
        if self.config.exists() and self.config.read_text(encoding="utf-8") == text:
            return False
        for name, content in ((CONFIG, text), (KNOWN, dump(targets))):
            made = self.directory / f"{name}.{os.getpid()}"
            _write(made, content)
            made.replace(self.directory / name)
        return True


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def check(binary: str, path: Path) -> str:
    """What HAProxy has against a configuration; empty when it takes it. HaproxyError."""
    try:
        done = subprocess.run([binary, "-c", "-f", str(path)], capture_output=True,
                              text=True, timeout=CHECK_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HaproxyError(f"{binary} cannot check a configuration: {error}") from error
    said = "\n".join(line for line in f"{done.stderr}{done.stdout}".splitlines()
                     if not line.startswith("[NOTICE]")).strip()
    return "" if done.returncode == 0 else said or f"{binary} -c ended with {done.returncode}"


class Master:
    """The process that is supervised: started here, or by one of us before."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._child: subprocess.Popen[bytes] | None = None
        self._process: psutil.Process | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run."""
        if self._child is not None and self._child.poll() is not None:
            return None                     # reaped now
        process = self._process
        return process.pid if process is not None and _lives(process) else None

    def adopt(self) -> bool:
        """Take over what runs with our configuration already; whether there is any."""
        try:
            pid = int((self._files.directory / PID).read_text(encoding="ascii"))
            process = psutil.Process(pid)
            ours = str(self._files.config) in process.cmdline() and _lives(process)
        except (OSError, ValueError, psutil.Error):
            return False
        if ours:
            self._child, self._process = None, process
            log.info("haproxy is taken over", pid=pid)
        return ours

    def start(self) -> None:
        """Start with the configuration in place, and wait until it answers; HaproxyError."""
        files = self._files
        try:
            # A session of its own: Ctrl-C in a terminal is for us, and we end it in order.
            self._child = subprocess.Popen(
                [files.binary, "-W", "-db", "-f", str(files.config)], stdin=subprocess.DEVNULL,
                start_new_session=True)
        except OSError as error:
            raise HaproxyError(f"{files.binary} cannot be started: {error}") from error
        self._process = psutil.Process(self._child.pid)
        _write(files.directory / PID, str(self._child.pid))
        self._until_worker(lambda pid: self._child_of(pid), "started")
        log.info("haproxy runs", pid=self._child.pid)

    def reload(self) -> None:
        """Have another worker take over; HaproxyError when none does, and the old one goes on."""
        before = self._worker()
        if self._process is None or self.pid is None:
            raise HaproxyError("HAProxy does not run")
        self._process.send_signal(signal.SIGUSR2)
        self._until_worker(lambda pid: pid != before and self._child_of(pid), "reloaded")

    def stop(self) -> None:
        """End it in order: requests on their way have ``STOP_S``."""
        process = self._process
        if process is None or self.pid is None:
            return
        for number, patience_s in ((signal.SIGUSR1, STOP_S), (signal.SIGTERM, STOP_S),
                                   (signal.SIGKILL, STOP_S)):
            process.send_signal(number)
            if _until(lambda: self.pid is None, patience_s):
                break
        (self._files.directory / PID).unlink(missing_ok=True)

    def _worker(self) -> int:
        """The process that answers on the socket; 0 when none does."""
        try:
            told = runtime.ask(self._files.socket, "show info")
        except runtime.RuntimeFailed:
            return 0
        found = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
        return int(found.get("Pid", 0))

    def _child_of(self, pid: int) -> bool:
        return self._process is not None and pid != 0 and pid in {
            child.pid for child in self._process.children()}

    def _until_worker(self, is_it: Callable[[int], bool], what: str) -> None:
        until = time.monotonic() + RELOAD_TIMEOUT_S
        while time.monotonic() < until:
            if self.pid is None:
                raise HaproxyError("HAProxy ended; what it said is above")
            try:
                if is_it(self._worker()):
                    return
            except psutil.Error as error:
                raise HaproxyError(f"HAProxy ended: {error}") from error
            time.sleep(POLL_S)
        raise HaproxyError(f"HAProxy has not {what} within {RELOAD_TIMEOUT_S:.0f} s; what it said "
                           "is above")


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _until(done: Callable[[], bool], patience_s: float) -> bool:
    until = time.monotonic() + patience_s
    while not done():
        if time.monotonic() >= until:
            return False
        time.sleep(POLL_S)
    return True


class Applier:
    """Brings a running HAProxy to new targets: without a reload where that is enough."""

    def __init__(self, files: Files, reload: Callable[[], None]) -> None:
        self._files, self._reload = files, reload
        self._loaded: Targets | None = None     # what the running process was loaded with
        self._current: dict[runtime.Place, Server] = {}

    def loaded(self, targets: Targets) -> None:
        """HAProxy was just started with these."""
        self._loaded, self._current = targets, runtime.servers_of(targets)

    def apply(self, targets: Targets) -> str:
        """Check, put in place, take over; how that was done ("" when nothing was to do).

        Raises ConfigRefused, RenderError, HaproxyError; HAProxy goes on as before then.
        """
        is_new = self._files.install(targets)
        if self._loaded is not None and not is_new and (
                self._current == runtime.servers_of(targets)):
            return ""
        if self._loaded is not None and runtime.takes_no_reload(self._loaded, targets):
            try:
                runtime.apply(self._files.socket, runtime.commands(self._current, targets),
                              targets)
                self._current = runtime.servers_of(targets)
                return "over its socket"
            except runtime.RuntimeFailed as error:
                log.warning("haproxy is reloaded after all", why=str(error))
        # Until it is reloaded nobody knows what it has.
        self._loaded = None
        self._reload()
        self.loaded(targets)
        return "by a reload"


def run_command(command: str) -> None:
    """Run the command that reloads an HAProxy of somebody else; HaproxyError when it fails."""
    try:
        done = subprocess.run(shlex.split(command), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise HaproxyError(f"{command}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-1000:]
        raise HaproxyError(f"{command} ended with {done.returncode}: {said}")
