"""What makes a node one of a secured cluster: certificates, users, and how to ask it.

Keys and passwords come with the launch, go into files that this user alone reads and into the
keystore, and nowhere else.
"""
from __future__ import annotations

import base64
import hashlib
import os
import secrets
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from esaas.framework.proto import esaas_pb2

from . import log

CA_NAME, CERTIFICATE_NAME, KEY_NAME = "ca.crt", "node.crt", "node.key"
USERS_NAME, USERS_ROLES_NAME = "users", "users_roles"
# The keystore's entry that elastic's password is taken from while people have set no other.
BOOTSTRAP_PASSWORD = "bootstrap.password"       # noqa: S105  # a name
# In a file of the node, so that it is known also while no index can be read, and whatever people
# do with the password of elastic.
SERVICE_USER, SERVICE_ROLE = "esaas", "superuser"
_ROUNDS, _SALT_BYTES, _HASH_BYTES = 10_000, 32, 32


@dataclass(frozen=True, slots=True)
class Access:
    """How a node of a secured cluster is asked."""

    context: ssl.SSLContext             # trusts the cluster's authority alone
    authorization: str = field(repr=False)


def access_of(tls: esaas_pb2.Tls) -> Access:
    """The way in for the executor itself. Raises ``ssl.SSLError``, an ``OSError``."""
    pair = f"{SERVICE_USER}:{tls.service_password}".encode()
    return Access(ssl.create_default_context(cadata=tls.ca.decode("ascii")),
                  f"Basic {base64.b64encode(pair).decode()}")


def write(tls: esaas_pb2.Tls, config_dir: Path) -> None:
    """Write certificates, key and the service's own user into the configuration directory.

    Raises ``OSError``.
    """
    for name, content, mode in (
            (CA_NAME, tls.ca, 0o640), (CERTIFICATE_NAME, tls.certificate, 0o640),
            (KEY_NAME, tls.key, 0o600),
            (USERS_NAME, f"{SERVICE_USER}:{hashed(tls.service_password)}\n".encode(), 0o600),
            (USERS_ROLES_NAME, f"{SERVICE_ROLE}:{SERVICE_USER}\n".encode(), 0o600)):
        write_file(config_dir / name, content, mode)
    log.event("Certificates written", ca=CA_NAME, certificate=CERTIFICATE_NAME)


def write_file(path: Path, content: bytes, mode: int) -> None:
    """Write a file that nobody but those of ``mode`` can read at any moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    path.chmod(mode)                    # whatever the umask is


def hashed(password: str) -> str:
    """A password as Elasticsearch's file of users has it (PBKDF2 with HMAC-SHA512)."""
    salt = secrets.token_bytes(_SALT_BYTES)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS, _HASH_BYTES)
    return "$".join((f"{{PBKDF2}}{_ROUNDS}", base64.b64encode(salt).decode(),
                     base64.b64encode(key).decode()))
