"""The version of the layout in ZooKeeper: written once, checked at every start, migrated."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .contract import StoreBusy, StoreError
from .keeper import Keeper, Refused, Unknown, check, replace

SCHEMA = "schema"
VERSION = 1
MIGRATING = "migrating"

# From the layout of a version to the next. A step may be repeated after a crash: it must cope with
# what it has done already.
MIGRATIONS: Mapping[int, Callable[[Keeper], None]] = {}


def check_schema(keeper: Keeper, busy: Sequence[str]) -> int:
    """Bring the layout up to date; the version of its znode, for transactions that check it.

    Raises StoreError for a layout of a newer service, StoreBusy when it must be migrated while
    others (children of ``busy``) use it, or migrate it.
    """
    keeper.ensure("")
    keeper.create(SCHEMA, str(VERSION).encode())
    found = keeper.get(SCHEMA)
    if found is None or not found.data.isdigit():
        raise StoreError(f"{keeper.at(SCHEMA)} in ZooKeeper is not of this service")
    version = int(found.data)
    if version > VERSION:
        raise StoreError(f"the store in ZooKeeper has the layout {version} of a newer service; "
                         f"this one knows {VERSION}")
    return _migrated(keeper, busy) if version < VERSION else found.version


def _migrated(keeper: Keeper, busy: Sequence[str]) -> int:
    if not keeper.create(MIGRATING, ephemeral=True):
        raise StoreBusy("another process migrates the store; start this one again after that")
    try:
        found = keeper.get(SCHEMA)
        assert found is not None, "the layout's version is never removed"
        version, at = int(found.data), found.version
        while version < VERSION:
            users = [child for folder in busy for child in keeper.children(folder)]
            if users:
                raise StoreBusy("the store must be migrated, but others use it: stop "
                                + ", ".join(sorted(set(users))))
            MIGRATIONS[version](keeper)
            version += 1
            at = _advance(keeper, version, at)
        return at
    finally:
        keeper.delete(MIGRATING)


def _advance(keeper: Keeper, version: int, at: int) -> int:
    try:
        keeper.transaction([check(MIGRATING, 0), replace(SCHEMA, str(version).encode(), at)])
    except (Refused, Unknown) as error:
        raise StoreError(f"the migration of the store was interrupted: {error}; "
                         "start again") from error
    return at + 1
