"""``esaas haproxy``: HAProxy on the virtual ports of all clusters, kept fresh from events."""
from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .credentials import read_token
from .frame import REFUSED, client, common

if TYPE_CHECKING:
    from ..discovery.supervise import Chosen


@click.command()
@click.option("--out", "directory", envvar="ESAAS_HAPROXY_DIR", show_envvar=True, metavar="DIR",
              required=True, type=click.Path(file_okay=False, path_type=Path),
              help="Where haproxy.cfg and the socket are; for this command alone.")
@click.option("--bind", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Where HAProxy listens; loopback unless you choose otherwise.")
@click.option("--token-file", metavar="FILE", type=click.Path(dir_okay=False),
              help="A token of viewer role; else as all commands find it.")
@click.option("--run", "runs", is_flag=True, help="Start HAProxy here, and look after it.")
@click.option("--reload-command", metavar="COMMAND",
              help="What reloads an HAProxy that something else runs; no shell.")
@click.option("--once", is_flag=True, help="Write the configuration once, and end.")
@click.option("--check-only", is_flag=True, help="Change nothing; tell whether HAProxy takes it.")
@click.option("--haproxy", "binary", default="haproxy", show_default=True, metavar="PROGRAM",
              help="HAProxy, 2.4 or newer.")
@common
def haproxy(directory: Path, bind: str, token_file: str | None, runs: bool,
            reload_command: str | None, once: bool, check_only: bool, binary: str) -> None:
    """Keep HAProxy's configuration fresh: a port for each cluster, whose nodes come and go.

    Asks the service by long poll, so that news are there at once. Every configuration is checked by
    HAProxy itself before it is put in place; while the service does not answer, HAProxy goes on.
    Nodes that leave or come back take no reload; new nodes and new clusters take one, and no
    connection is dropped by it.

    With --run, HAProxy ends with this command (SIGTERM, Ctrl-C), and is started again when it dies.
    Without, reload it by --reload-command, such as "systemctl reload haproxy".
    """
    from ..discovery.supervise import Chosen, follow, once_only

    log_to_stderr()
    if runs and reload_command:
        raise click.UsageError("--run and --reload-command exclude each other")
    if runs and (once or check_only):
        raise click.UsageError("--run goes on; --once and --check-only do not")
    token = read_token(token_file, "--token-file") if token_file else None
    chosen = Chosen(client(token), directory, bind, binary, runs, reload_command)
    if once or check_only:
        _told(once_only, chosen, check_only)
    else:
        _told(follow, chosen, stopped())


def _told(work: Any, chosen: Chosen, *more: Any) -> None:
    """Do it; what went wrong is told, and the exit code says so."""
    from ..client import ClientError
    from ..core.errors import EsaasError

    try:
        work(chosen, *more)
    except ClientError:
        raise
    except EsaasError as error:
        click.echo(f"Error: {error}", err=True)
        click.get_current_context().exit(REFUSED)


def log_to_stderr() -> None:
    """Have a command that goes on log where its answers do not go."""
    import sys

    import structlog

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def stopped(*more: threading.Event) -> threading.Event:
    """Is set by SIGTERM and Ctrl-C, with ``more`` that somebody waits for."""
    asked = threading.Event()

    def stop(*_: Any) -> None:
        for event in (asked, *more):
            event.set()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return asked
