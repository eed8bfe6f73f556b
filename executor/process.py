"""The Elasticsearch process of a node: started under the guard, stopped, its console kept."""
from __future__ import annotations

import collections
import contextlib
import io
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from . import guard, log
from .config import Layout

TAIL_LINES = 30
TAIL_BYTES = 8 << 10
CONSOLE_BYTES = 16 << 20  # of each of the two files of a console
_LINE_BYTES = 4 << 10

# The agent's own (MESOS_EXECUTOR_AUTHENTICATION_TOKEN is a secret) and what would change the JVM
# behind the back of jvm.options.
_HIDDEN_PREFIXES = ("MESOS_", "LIBPROCESS_", "GLOG_", "ESAAS_", "PYTHON", "PROTOCOL_BUFFERS_")
_HIDDEN = frozenset({"ES_JAVA_OPTS", "ES_HOME", "ES_PATH_CONF", "ES_TMPDIR", "CLI_JAVA_OPTS",
                     "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_OPTS", "CLASSPATH"})


class StartError(Exception):
    """Elasticsearch cannot be started; the message says why, in one line."""


def java_home(configured: str, home: Path, environ: Mapping[str, str]) -> Path:
    """The JDK to use: the configured one, the distribution's own, the environment's, the path's.

    Raises ``StartError`` when there is none.
    """
    candidates = [configured] if configured else [
        str(home / "jdk"), environ.get("ES_JAVA_HOME", ""), environ.get("JAVA_HOME", "")]
    found = [Path(path) for path in candidates
             if path and os.access(Path(path) / "bin" / "java", os.X_OK)]
    if found:
        return found[0]
    on_path = shutil.which("java", path=environ.get("PATH"))
    if configured or on_path is None:
        raise StartError(f"no Java: {configured} has no bin/java" if configured else
                         "no Java: set ESAAS_JAVA_HOME or JAVA_HOME, or put java on the path")
    return Path(on_path).resolve().parent.parent


def node_environment(environ: Mapping[str, str], layout: Layout, java: Path) -> dict[str, str]:
    """The environment of Elasticsearch: this process's without what is private or changes it."""
    kept = {name: value for name, value in environ.items()
            if name not in _HIDDEN and not name.startswith(_HIDDEN_PREFIXES)}
    return kept | {
        "JAVA_HOME": str(java),     # read by 6.8
        "ES_JAVA_HOME": str(java),  # read by 7.x and later
        "ES_PATH_CONF": str(layout.config),
        "ES_TMPDIR": str(layout.temporary),
        "HOME": str(layout.sandbox),
    }


def guard_command() -> list[str]:
    """The guard's command line, from the one-file executor or from the tree."""
    archive = getattr(globals().get("__loader__"), "archive", None)
    script = [str(Path(archive).resolve()), "guard"] if archive else [str(guard.__file__)]
    # -I -S: nothing of the environment, no site-packages: it starts in some 20 ms.
    return [sys.executable, "-I", "-S", *script]


class Console:
    """What the node prints: two files of bounded size, and the last lines in memory."""

    def __init__(self, path: Path, limit_bytes: int = CONSOLE_BYTES) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._lines: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._lock = threading.Lock()
        self._file: io.FileIO | None = None

    def pump(self, source: IO[bytes]) -> None:
        """Copy until the end of ``source``; never raises for a full disk, never stops early."""
        can_write = True
        while line := source.readline(_LINE_BYTES):
            with self._lock:
                self._lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
            try:
                self._write(line)
                can_write = True
            except OSError as error:
                # The node must not block on a pipe that nobody empties.
                if can_write:
                    log.event("Console not written", level=logging.WARNING, error=error)
                can_write = False
        if self._file is not None:
            self._file.close()

    def _write(self, line: bytes) -> None:
        if self._file is not None and self._file.tell() + len(line) > self._limit_bytes:
            self._file.close()
            self._file = None
            os.replace(self._path, self._path.with_suffix(".1"))
        if self._file is None:
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - closed by pump
        self._file.write(line)

    def tail(self) -> list[str]:
        """The last lines, at most ``TAIL_LINES`` and ``TAIL_BYTES``."""
        with self._lock:
            lines = list(self._lines)
        return bounded(lines, TAIL_BYTES)


def bounded(lines: list[str], limit_bytes: int) -> list[str]:
    """The longest end of ``lines`` within ``limit_bytes`` of UTF-8."""
    kept: list[str] = []
    for line in reversed(lines):
        limit_bytes -= len(line.encode("utf-8", "replace")) + 1
        if limit_bytes < 0:
            break
        kept.append(line)
    return kept[::-1]


class NodeProcess:
    """One run of ``bin/elasticsearch``.

    ``on_started(pid)`` and ``on_exited(exit_code, reason)`` come from a thread; exit codes are
    negative for signals. After ``on_exited`` no process of the node is left.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str], sandbox: Path,
                 on_started: Callable[[int], None],
                 on_exited: Callable[[int, str], None]) -> None:
        self.console = Console(sandbox / "console.log")
        self._command = command
        self._environment = dict(environment)
        self._sandbox = sandbox
        self._on_started = on_started
        self._on_exited = on_exited
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the guard, which starts the node. Raises ``OSError``."""
        control_r, control_w = os.pipe()
        try:
            self._guard = subprocess.Popen(
                [*guard_command(), str(control_w), *self._command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=self._environment, cwd=self._sandbox, pass_fds=[control_w],
                start_new_session=True)
        except OSError:
            os.close(control_r)
            raise
        finally:
            os.close(control_w)
        assert self._guard.stdout is not None
        pump = threading.Thread(target=self.console.pump, args=[self._guard.stdout],
                                name="console", daemon=True)
        pump.start()
        threading.Thread(target=self._listen, args=[self._guard, control_r, pump],
                         name="control", daemon=True).start()

    def terminate(self) -> None:
        """Ask the node to stop (SIGTERM to its leader)."""
        self._order(b"T")

    def kill(self) -> None:
        """SIGKILL to the node's whole process group."""
        self._order(b"K")

    def _order(self, order: bytes) -> None:
        if self._guard is None or self._guard.stdin is None:
            return
        try:
            self._guard.stdin.write(order)
            self._guard.stdin.flush()
        except BrokenPipeError:
            log.event("Guard is gone already")  # its end is on its way to on_exited

    def _listen(self, guard_process: subprocess.Popen[bytes], control_r: int,
                pump: threading.Thread) -> None:
        leader, code, reason = 0, None, ""
        with open(control_r, encoding="utf-8", errors="replace") as control:
            for line in control:
                word, _, rest = line.strip().partition(" ")
                if word == "started":
                    leader = int(rest)
                    self._on_started(leader)
                elif word == "exited":
                    code = int(rest)
                elif word == "failed":
                    code, reason = 126, f"cannot execute {self._command[0]}: {rest}"
        guard_code = guard_process.wait()
        if code is None:
            # The guard was killed: the leader got the kernel's death signal; its group may live.
            code, reason = guard_code, f"the guard process ended with {guard_code}"
            if leader:
                self._kill_group(leader)
        pump.join(timeout=5)
        self._on_exited(code, reason)

    @staticmethod
    def _kill_group(leader: int) -> None:
        # Nothing of the group left: as it should be.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)
