"""Runs command-line tools of a distribution: under the guard, so that none outlives us."""
from __future__ import annotations

import queue
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import process
from .errors import ToolError

_TAIL_LINES = 200  # more than a stack trace has, for what tells comes before it
# The line of a Java program's output that says what went wrong; frames of stack traces do not.
_TELLING = re.compile(r"(?!\s*at\s)(.*ERROR|.*Exception|.*Error:)")
# What 7.x says after it has said why.
_VAGUE = "did not exit normally"
_WRAPPING = re.compile(r'(ERROR: |Exception in thread "[^"]*" |Caused by: )?'
                       r"([\w.$]+(Exception|Error): )?")


def run(command: list[str], environment: Mapping[str, str], directory: Path, timeout_s: float, *,
        given: bytes = b"", log_file: Path | None = None) -> None:
    """Run to the end.

    ``directory``: to run in; ``given``: standard input; ``log_file``: gets all of the output.
    Raises ``ToolError`` with what the output tells of the failure, and ``OSError``.
    """
    ends: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    running = process.GuardedProcess(
        command, environment, directory, on_started=lambda _pid: None,
        on_exited=lambda code, reason: ends.put((code, reason)), console=log_file,
        tail_lines=_TAIL_LINES, given=given)
    running.start()
    name = Path(command[0]).name
    try:
        code, reason = ends.get(timeout=timeout_s)
    except queue.Empty:
        running.kill()
        ends.get()
        raise ToolError(f"{name} did not end within {timeout_s:.0f} s") from None
    if code != 0:
        how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        told = telling_line(running.console.tail())
        raise ToolError(reason or _WRAPPING.sub("", told, count=1) or f"{name} {how}")


def telling_line(lines: Iterable[str]) -> str:
    """The last line that tells of an error; "" when none does."""
    told = [line.strip() for line in lines if _TELLING.match(line)]
    precise = [line for line in told if _VAGUE not in line]
    return (precise or told or [""])[-1]
