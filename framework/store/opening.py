"""Which store: a directory for the embedded one, ``zk://host:port,.../path`` for ZooKeeper."""
from __future__ import annotations

import re
from pathlib import Path

from .contract import Store, StoreError
from .sqlite import SqliteStore

SCHEME = "zk://"
_HOST = r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?"
ADDRESS = re.compile(rf"zk://({_HOST}(?:,{_HOST})*)((?:/[A-Za-z0-9._-]+)+)/?")


def parse_address(address: str) -> tuple[str, str]:
    """Hosts and root of ``zk://host:port,.../path``; ValueError that says what is wrong."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError("must be zk://host:port,.../path, with the path that is the store's own")
    if {".", ".."} & set(found[2].split("/")) or found[2].startswith("/zookeeper"):
        raise ValueError(f"{found[2]} is no path that a store can have")
    return found[1], found[2]


def open_store(place: str | Path, credentials: tuple[str, str] | None = None) -> Store:
    """The store at a place; ``credentials`` (user, password) are for ZooKeeper.

    Raises StoreBusy when another process has the directory, StoreError when it cannot be opened.
    """
    if not str(place).startswith(SCHEME):
        return SqliteStore(Path(place))
    # Importing kazoo takes time that the embedded store need not spend.
    from .zookeeper import ZooKeeperStore

    try:
        hosts, root = parse_address(str(place))
    except ValueError as error:
        raise StoreError(f"{place}: {error}") from error
    return ZooKeeperStore(hosts, root, credentials)
