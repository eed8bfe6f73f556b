"""What is done on the service's own host while it does not run: a lost password of the admin."""
from __future__ import annotations

import time
from pathlib import Path

from argon2 import PasswordHasher

from ...core.errors import EsaasError
from ...store.contract import Delete, Put, StoreBusy
from ...store.sqlite import SqliteStore
from ..oplog.offline import log_offline
from .access import ADMIN, PASSWORD_FILE, first_admin, write_secret
from .accounts import tokens_of
from .book import USERS, Page, write_once
from .passwords import random_password

STORE_FILE = "esaas.sqlite3"


class CannotReset(EsaasError):
    """The password of the admin cannot be reset; the message says why."""


def reset_admin(state_dir: Path) -> Path:
    """Give ``admin`` a new random password; the file it stands in.

    The user is made again when it is gone, disabled, or no admin any more; what it was logged in
    with has ended. CannotReset when there is no store, or the service runs on it.
    """
    if not (state_dir / STORE_FILE).exists():
        raise CannotReset(f"{state_dir} is not the state directory of a service: it has no "
                          f"{STORE_FILE}")
    try:
        store = SqliteStore(state_dir)
    except StoreBusy as error:
        raise CannotReset(f"the service runs on {state_dir}: stop it first, or let another admin "
                          "set the password") from error
    password, file = random_password(), state_dir / PASSWORD_FILE
    hashed, now = PasswordHasher().hash(password), time.time()

    def make(page: Page) -> list[Put | Delete]:
        write_secret(file, password)
        return [page.put(f"{USERS}/{ADMIN}", first_admin(hashed, now)), *tokens_of(page, ADMIN)]

    try:
        write_once(store, "reset-admin", make)
        log_offline(store, "reset_admin", {"user": ADMIN}, subject=ADMIN)
    finally:
        store.close()
    return file
