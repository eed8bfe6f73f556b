"""Processes under the guard: started, stopped, their console kept; and their environment."""
from __future__ import annotations

import collections
import contextlib
import io
import logging
import os
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


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what is private, or would change a JVM."""
    return {name: value for name, value in environ.items()
            if name not in _HIDDEN and not name.startswith(_HIDDEN_PREFIXES)}


def node_environment(environ: Mapping[str, str], layout: Layout, java: Path) -> dict[str, str]:
    """The environment of Elasticsearch and of its tools."""
    return clean_environment(environ) | node_variables(layout, java)


def node_variables(layout: Layout, java: Path) -> dict[str, str]:
    """What Elasticsearch and its tools need in their environment, beyond the machine's."""
    return {
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
    """What a process prints: two files of bounded size, and the last lines in memory.

    Without ``path`` in memory only.
    """

    def __init__(self, path: Path | None, limit_bytes: int = CONSOLE_BYTES,
                 tail_lines: int = TAIL_LINES) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._lines: collections.deque[str] = collections.deque(maxlen=tail_lines)
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
        if self._path is None:
            return
        if self._file is not None and self._file.tell() + len(line) > self._limit_bytes:
            self._file.close()
            self._file = None
            os.replace(self._path, self._path.with_suffix(".1"))
        if self._file is None:
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - closed by pump
        self._file.write(line)

    def tail(self) -> list[str]:
        """The last lines, at most ``tail_lines`` and ``TAIL_BYTES``."""
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


class GuardedProcess:
    """One run of a command, such as ``bin/elasticsearch``.

    ``on_started(pid)`` and ``on_exited(exit_code, reason)`` come from a thread; exit codes are
    negative for signals. After ``on_exited`` no process of the command is left. ``console``: the
    file for its output (None: the last lines in memory only); ``given``: its standard input.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str], directory: Path,
                 on_started: Callable[[int], None], on_exited: Callable[[int, str], None], *,
                 console: Path | None, tail_lines: int = TAIL_LINES,
                 given: bytes = b"") -> None:
        self.console = Console(console, tail_lines=tail_lines)
        self._command = command
        self._environment = dict(environment)
        self._directory = directory
        self._on_started = on_started
        self._on_exited = on_exited
        self._given = given
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the guard, which starts the command. Raises ``OSError``."""
        control_r, control_w = os.pipe()
        # In memory, never on a disk; and nobody has to wait for a reader, as with a pipe.
        given = os.memfd_create("input")
        try:
            with open(given, "wb", closefd=False) as file:
                file.write(self._given)
            os.lseek(given, 0, os.SEEK_SET)
            self._guard = subprocess.Popen(
                [*guard_command(), str(control_w), str(given), *self._command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=self._environment, cwd=self._directory, pass_fds=[control_w, given],
                start_new_session=True)
        except OSError:
            os.close(control_r)
            raise
        finally:
            os.close(control_w)
            os.close(given)
        assert self._guard.stdout is not None
        pump = threading.Thread(target=self.console.pump, args=[self._guard.stdout],
                                name="console", daemon=True)
        pump.start()
        threading.Thread(target=self._listen, args=[self._guard, control_r, pump],
                         name="control", daemon=True).start()

    def terminate(self) -> None:
        """Ask the leader alone to stop (SIGTERM)."""
        self._order(b"T")

    def terminate_all(self) -> None:
        """Ask the whole process group to stop (SIGTERM); it has ended when all have."""
        self._order(b"G")

    def kill(self) -> None:
        """SIGKILL to the whole process group."""
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
