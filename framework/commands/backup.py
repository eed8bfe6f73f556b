"""``esaas backup`` and ``esaas restore``: all that a store holds, in a file, and back.

They open the store themselves, as ``esaas serve`` does; no service need run.
"""
from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .frame import as_json, wants_json

if TYPE_CHECKING:
    from ..store.contract import Store

F = TypeVar("F", bound=Callable[..., Any])


def which_store(function: F) -> F:
    """The options of ``esaas serve`` that name a store."""
    for option in (
            click.option("--store-credentials", envvar="ESAAS_STORE_CREDENTIALS", metavar="FILE",
                         show_envvar=True,
                         help="JSON or YAML, mode 600: {user: ..., password: ...}."),
            click.option("--store", "address", envvar="ESAAS_STORE", metavar="ADDRESS",
                         show_envvar=True, help="zk://host:port,.../path"),
            click.option("--state-dir", envvar="ESAAS_STATE_DIR", metavar="DIR", show_envvar=True,
                         default="~/.local/state/esaas", show_default=True,
                         help="Where the embedded store is, unless --store names another.")):
        function = option(function)
    return function


@contextmanager
def opened(address: str | None, store_credentials: str | None, state_dir: str, *,
            existing: bool) -> Iterator[Store]:
    """The store that the options name; what goes wrong with it is told."""
    from ..core.errors import EsaasError
    from ..settings import StoreCredentials, read_file
    from ..store.opening import open_store, parse_address

    directory = Path(state_dir).expanduser()
    try:
        if address is not None:
            parse_address(address)
        pair = (StoreCredentials.model_validate(
            read_file(Path(store_credentials), private=True)).pair() if store_credentials else None)
    except ValueError as error:
        raise click.UsageError(_fault(error)) from error
    if pair is not None and address is None:
        raise click.UsageError("--store-credentials are for a store that --store names")
    if address is None and existing and not (directory / "esaas.sqlite3").exists():
        raise click.ClickException(f"there is no store in {directory}")
    try:
        store = open_store(address or directory, pair)
        try:
            yield store
        finally:
            store.close()
    except (EsaasError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _fault(error: ValueError) -> str:
    """A fault of an option, without the values that pydantic would show."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"--store-credentials {'.'.join(map(str, one['loc']))}: {one['msg']}"
                     for one in error.errors(include_input=False, include_url=False))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--journal", is_flag=True, help="Also the history and journal of all clusters.")
@which_store
@as_json
def backup(file: Path, journal: bool, address: str | None, store_credentials: str | None,
           state_dir: str) -> None:
    """Write all that the store holds to a new file.

    The embedded store must not be in use; with ZooKeeper the services may go on. Values of secure
    settings are in it as they are stored, encrypted: keep the key (secret.key) elsewhere.
    """
    from ..store.backup import dump

    if file.exists():
        raise click.ClickException(f"{file} is there already")
    with opened(address, store_credentials, state_dir, existing=True) as store:
        clusters = len(store.names())
        if not store.read(""):
            raise click.ClickException("the store is empty: is its address right?")
        _write(file, dump(store, time.time(), journal=journal))
    _say({"file": str(file), "clusters": clusters}, f"{clusters} clusters are in {file}")


def _write(file: Path, lines: Iterator[bytes]) -> None:
    """Whole or not at all, and for this user only."""
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.writelines(lines)
            out.flush()
            os.fsync(out.fileno())
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace what is in the store.")
@which_store
@as_json
def restore(file: Path, force: bool, address: str | None, store_credentials: str | None,
            state_dir: str) -> None:
    """Write a backup into a store that no service uses.

    The store must be empty, unless --force. The services need the key (secret.key) that the
    backup's secure settings were written with.
    """
    from rich.console import Console
    from rich.progress import Progress

    from ..core.errors import EsaasError
    from ..service.oplog.offline import log_end, log_offline
    from ..store import backup as backups

    try:
        with file.open("rb") as lines:
            found = backups.load(lines)
    except (EsaasError, OSError) as error:
        raise click.ClickException(str(error)) from error
    owner = f"restore on {socket.gethostname()}"
    with (opened(address, store_credentials, state_dir, existing=False) as store,
          Progress(console=Console(stderr=True)) as progress):
        task = progress.add_task("restoring", total=found.steps)
        before = log_end(store)
        backups.restore(store, found, owner, force=force,
                        tell=lambda done: progress.advance(task, done))
        log_offline(store, "restore_backup", {"file": file.name, "made_at": found.made_at,
                                              "force": force},
                    before=before, after=log_end(store))
        clusters = len(store.names())
    _say({"clusters": clusters, "records": len(found.records), "lines": len(found.lines)},
         f"restored: {clusters} clusters, {len(found.records)} records, "
         f"{len(found.lines)} lines of history")


def _say(body: dict[str, Any], words: str) -> None:
    click.echo(json.dumps(body) if wants_json() else words)
