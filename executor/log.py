"""Log lines: a constant phrase, then key=value, always one line."""
from __future__ import annotations

import json
import logging
import sys
import time

LOGGER = logging.getLogger("esaas.executor")


def _text(value: object) -> str:
    text = str(value)
    needs_quotes = not text or any(c in text for c in ' "=\n\r\t') or not text.isprintable()
    return json.dumps(text) if needs_quotes else text


def event(phrase: str, *, level: int = logging.INFO, exc_info: bool = False,
          **fields: object) -> None:
    """Log a constant phrase with its facts: ``event("Node started", pid=7)``."""
    if LOGGER.isEnabledFor(level):
        pairs = "".join(f" {key}={_text(value)}" for key, value in fields.items())
        LOGGER.log(level, "%s", phrase + pairs, exc_info=exc_info)


class OneLine(logging.Formatter):
    """Time in UTC, level, message; tracebacks and other line ends are escaped."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s",
                         "%Y-%m-%dT%H:%M:%S")

    @staticmethod
    def converter(timestamp: float | None) -> time.struct_time:
        """UTC, whatever the machine's zone."""
        return time.gmtime(timestamp)

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")


def without_events(record: logging.LogRecord) -> bool:
    """A filter: takes the agent's events, and launches with them, out of pymesos' records.

    pymesos logs the bytes of an event that is no JSON.
    """
    if isinstance(record.args, tuple):
        record.args = tuple("(not shown)" if isinstance(value, bytes) else value
                            for value in record.args)
    return True


def configure() -> None:
    """Send all log records of this process to standard error (the sandbox's ``stderr``)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # pymesos brings a handler of its own when it is imported: every line would come twice.
    logging.getLogger("pymesos").handlers.clear()
    logging.getLogger("pymesos.process").addFilter(without_events)
