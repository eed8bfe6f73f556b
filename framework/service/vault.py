"""Secrets of clusters: encrypted in the store, decrypted only on their way to a node.

Secure settings that people set are one record of a cluster; the authority and the passwords of a
secured one are another.

The key is a file that only this user can read; whoever copies the store alone learns nothing.
Encryption: Fernet of the library cryptography (AES-128-CBC with HMAC-SHA256). Processes that share
a store must have the same key: the store keeps its fingerprint.
"""
from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import orjson
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..core.errors import EsaasError
from ..runtime.cycle import Cycle
from ..store.codec import cluster_path
from ..store.contract import Put, Store, StoreBusy
from .certificates import Authority

KEY_RECORD = "service/key"
CLAIM_TIMEOUT_S = 30.0              # for others that start at the same moment


class VaultError(EsaasError):
    """The secure settings cannot be read with this key."""


class Vault:
    """Reads and writes the secure settings of clusters; VaultError when the key is not theirs.

    ``key_file`` is made when it is not there.
    """

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file
        try:
            self._secret = _key(key_file)
            self._fernet = Fernet(self._secret)
        except (ValueError, OSError) as error:
            raise VaultError(f"{key_file} cannot be used as the key of secure settings: "
                             f"{error}") from error

    def derived(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose; none of them tells anything of another."""
        return HKDF(SHA256(), 32, None, f"esaas {purpose}".encode()).derive(self._secret)

    def read(self, cycle: Cycle) -> dict[str, str]:
        """All values of a cluster, by name."""
        data = cycle.book.read(_path(cycle))
        return {} if data is None else self._opened(data, "the secure settings were")

    def write(self, cycle: Cycle, values: Mapping[str, str]) -> None:
        """Store all values of a cluster; StoreError when it cannot be done."""
        cycle.put(_path(cycle), self._fernet.encrypt(orjson.dumps(dict(values))))

    def sealed(self, authority: Authority) -> bytes:
        """The record of a cluster's authority and passwords, encrypted."""
        return self._fernet.encrypt(orjson.dumps(asdict(authority)))

    def authority(self, cycle: Cycle) -> Authority:
        """Of a secured cluster; VaultError when there is none."""
        name = cycle.state.identity.name
        data = cycle.book.read(tls_path(name))
        if data is None:
            raise VaultError(f"{name} has no certificate authority")
        return Authority(**self._opened(data, "the certificate authority was"))

    def _opened(self, data: bytes, what: str) -> dict[str, str]:
        try:
            found: dict[str, str] = orjson.loads(self._fernet.decrypt(data))
        except InvalidToken:
            raise VaultError(f"{what} written with another key than "
                             f"{self._key_file.name}") from None
        return found


def tls_path(name: str) -> str:
    """Where the authority of a secured cluster is stored."""
    return f"{cluster_path(name)}/tls"


def agree_on_key(store: Store, key_file: Path, owner: str) -> None:
    """The first process leaves its key's fingerprint in a shared store; the others must have it.

    Raises VaultError when this process has another key, or none; StoreError.
    """
    known = _fingerprint_in(store)
    deadline = time.monotonic() + CLAIM_TIMEOUT_S
    while known is None:
        try:
            lease = store.acquire(KEY_RECORD, owner)
        except StoreBusy:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.2)
            known = _fingerprint_in(store)
            continue
        try:
            known = _fingerprint_in(store)
            if known is None:
                known = _fingerprint(_key(key_file))
                store.write(lease, [Put(KEY_RECORD, known, 0)])
        finally:
            store.release(lease)
    if not key_file.exists():
        raise VaultError(f"{key_file} is not there, and the store was made with a key: copy that "
                         "of a process that uses this store (--secret-key-file)")
    if _fingerprint(_key(key_file)) != known:
        raise VaultError(f"{key_file} is not the key that this store was made with: all processes "
                         "of one store need the same file (--secret-key-file)")


def _fingerprint_in(store: Store) -> bytes | None:
    found = store.read("service").get(KEY_RECORD)
    return found.data if found is not None else None


def _fingerprint(key: bytes) -> bytes:
    """Tells one key from another, and nothing else of it."""
    return hashlib.blake2b(key, digest_size=16, person=b"esaas-key").hexdigest().encode()


def _path(cycle: Cycle) -> str:
    return f"{cluster_path(cycle.state.identity.name)}/vault"


def _key(path: Path) -> bytes:
    """The key in a file, made when there is none."""
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
