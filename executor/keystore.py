"""Secure settings of a node: ``elasticsearch.keystore``, made by Elasticsearch's own tool.

The values go to the tool's standard input, which is memory (``process.GuardedProcess``), and
nowhere else: no argument, no environment, no log, no message of an error.
"""
from __future__ import annotations

import os
import time
from collections.abc import Mapping

from . import config, log, tools
from .dialect import Dialect
from .errors import PreparationError, ToolError

FILE_NAME = "elasticsearch.keystore"
_TIMEOUT_S = 120.0


class KeystoreError(PreparationError):
    """The keystore cannot be made; the message names keys, never values."""


def write(secure_settings: Mapping[str, str], dialect: Dialect, layout: config.Layout,
          environment: Mapping[str, str]) -> None:
    """Make the keystore of a configuration that is written; nothing without secure settings.

    ``environment``: for the node. The values must be single lines (``payload.launch_faults``).
    Raises ``KeystoreError`` and ``OSError``.
    """
    if not secure_settings:
        return
    started_at = time.monotonic()
    keys = sorted(secure_settings)
    # Each run of the tool starts a JVM.
    batches = [keys] if dialect.keystore_takes_many else [[key] for key in keys]
    for batch in batches:
        _add(batch, secure_settings, layout, environment)
    os.chmod(layout.config / FILE_NAME, 0o600)
    log.event("Keystore written", keys=",".join(keys),
              seconds=round(time.monotonic() - started_at, 1))


def _add(keys: list[str], values: Mapping[str, str], layout: config.Layout,
         environment: Mapping[str, str]) -> None:
    tool = str(layout.home / "bin" / "elasticsearch-keystore")
    lines = "".join(f"{values[key]}\n" for key in keys)
    try:
        # --force: makes the keystore when there is none, and asks nothing. No log file, and
        # values in UTF-8 for the JVMs that take the charset of the locale.
        tools.run([tool, "add", "--stdin", "--force", *keys],
                  {**environment, "LC_ALL": "C.UTF-8"}, layout.sandbox, _TIMEOUT_S,
                  given=lines.encode())
    except ToolError as error:
        why = str(error)
        if any(values[key] and values[key] in why for key in keys):
            why = "elasticsearch-keystore failed, and what it says is not for others"
        raise KeystoreError(f"secure setting {', '.join(keys)}: {why}") from None
