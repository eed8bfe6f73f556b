"""Secure settings of clusters: encrypted in the store, decrypted only on their way to a node.

The key is a file beside the store that only this user can read; whoever copies the store alone
learns nothing. Encryption: Fernet of the library cryptography (AES-128-CBC with HMAC-SHA256).
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import orjson
from cryptography.fernet import Fernet, InvalidToken

from ..core.errors import EsaasError
from ..runtime.cycle import Cycle
from ..store.codec import cluster_path

KEY_FILE = "secret.key"


class VaultError(EsaasError):
    """The secure settings cannot be read with this key."""


class Vault:
    """Reads and writes the secure settings of clusters; VaultError when the key is not theirs."""

    def __init__(self, directory: Path) -> None:
        self._fernet = Fernet(_key(directory / KEY_FILE))

    def read(self, cycle: Cycle) -> dict[str, str]:
        """All values of a cluster, by name."""
        data = cycle.book.read(_path(cycle))
        if data is None:
            return {}
        try:
            found: dict[str, str] = orjson.loads(self._fernet.decrypt(data))
        except InvalidToken:
            raise VaultError("the secure settings were written with another key than "
                             f"{KEY_FILE}") from None
        return found

    def write(self, cycle: Cycle, values: Mapping[str, str]) -> None:
        """Store all values of a cluster; StoreError when it cannot be done."""
        cycle.put(_path(cycle), self._fernet.encrypt(orjson.dumps(dict(values))))


def _path(cycle: Cycle) -> str:
    return f"{cluster_path(cycle.state.identity.name)}/vault"


def _key(path: Path) -> bytes:
    """The key of this state directory, made when there is none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise VaultError(f"{path.name} can be read by others: chmod 600 it") from None
        return path.read_bytes()
    key = Fernet.generate_key()
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key
