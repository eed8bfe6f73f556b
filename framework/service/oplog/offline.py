"""Lines by commands that change the store themselves, while no service runs."""
from __future__ import annotations

import getpass
import socket
import time
import uuid
from typing import Any

from ...store.contract import Store
from .chain import Broken, read_head
from .entry import Draft
from .writing import Writer


def offline_user() -> str:
    """Who runs a command on this machine."""
    try:
        return f"offline:{getpass.getuser()}"
    except (KeyError, OSError):         # a user id without a name
        return "offline:(unknown)"


def log_offline(store: Store, operation: str, request: dict[str, Any], subject: str = "",
                before: dict[str, Any] | None = None,
                after: dict[str, Any] | None = None) -> int:
    """Write that a command has changed the store; the number of the line. StoreError."""
    writer = Writer(store, f"{operation} on {socket.gethostname()}", 0.0)
    return writer.append([Draft(
        at=time.time(), user=offline_user(), operation=operation, outcome="done", door="offline",
        remote=socket.gethostname(), request_id=uuid.uuid4().hex, request=request,
        subject=subject, before=before, after=after)], time.time())[0]


def log_end(store: Store) -> dict[str, Any]:
    """Where the log ends: a restore may put an older one in its place. StoreError."""
    try:
        head, _ = read_head(store)
    except Broken as error:             # a restore may be the way out
        return {"log": str(error)}
    return {"log.last_seq": head.seq, "log.last_hash": head.hash}
