"""``esaas serve``: the service with its API and pages, from options, files and environment.

Only ``click`` is imported at the top, so that ``esaas --help`` stays quick.
"""
from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from esaas.framework.settings import Settings
    from tornado.httpserver import HTTPServer

# Settings by the option that sets each, for messages and for building them.
OPTIONS = {
    "mesos_master": "--mesos-master", "state_dir": "--state-dir", "store": "--store",
    "store_credentials": "--store-credentials", "secret_key_file": "--secret-key-file",
    "listen_host": "--host",
    "listen_port": "--port", "advertise_url": "--advertise-url",
    "executor_user": "--executor-user", "executor_python": "--executor-python",
    "credentials": "--mesos-credentials",
    "operator_credentials": "--operator-credentials",
    "agent_credentials": "--agent-credentials", "distributions": "--distributions",
    "plugins": "--plugins",
    "failover_timeout_s": "--failover-timeout", "observe_busy_s": "--observe-busy",
    "observe_idle_s": "--observe-idle", "measure_s": "--measure",
    "graphite": "--graphite", "graphite_prefix": "--graphite-prefix", "login": "--no-login",
    "admin_token_file": "--admin-token-file", "tls_cert": "--tls-cert", "tls_key": "--tls-key",
    "peer_ca": "--peer-ca",
    "log_json": "--log-json", "virtual_ports": "--virtual-ports",
    "oplog_keep_s": "--oplog-keep", "alerts": "--alerts",
    "snapshots": "--snapshots", "failpoint": "--failpoint",
}
FILES = ("credentials", "distributions", "plugins", "store_credentials",
         "operator_credentials", "agent_credentials", "alerts", "snapshots")
# Nobody else may read them.
OURS_ALONE = ("store_credentials", "operator_credentials", "agent_credentials")
MAX_HEADER_BYTES = 32 * 1024
ANY_HOST = ("", "0.0.0.0", "::")  # noqa: S104 (compared with, not bound to)


class Faults(Exception):
    """Everything that is wrong with the settings, one line each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def configure_logging(*, as_json: bool) -> None:
    """Send our own and everybody else's log to standard error, in one form."""
    import structlog

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer()]
    # Its own choice shows the values of variables, among them what people want kept secret.
    renderer: list[Any] = [structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
    if as_json:
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared,
                    structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger, cache_logger_on_first_use=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    logging.captureWarnings(True)       # those of Python, which would be plain text in between
    # They tell every request at INFO, some a second; what goes wrong is told all the same.
    for chatty in ("elasticsearch", "elastic_transport", "tornado.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Every try to connect is a warning to it; our own lines say what that means.
    for noisy in ("kazoo", "esaas.zookeeper"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    root.setLevel(logging.INFO)


def _file_value(option: str, path: str, *, private: bool = False) -> Any:
    from esaas.framework.settings import read_file

    try:
        return read_file(Path(path), private=private)
    except ValueError as error:
        raise Faults([f"{option}: {error}"]) from error


def build_settings(given: dict[str, Any]) -> Settings:
    """Settings from options; Faults with every fault at once."""
    from esaas.framework.core.spec import faults_of
    from esaas.framework.settings import Settings
    from pydantic import ValidationError

    values = {name: value for name, value in given.items() if value is not None}
    lines: list[str] = []
    unread: set[str] = set()
    for name in FILES:
        if name in values:
            try:
                values[name] = _file_value(OPTIONS[name], values[name],
                                           private=name in OURS_ALONE)
            except Faults as faults:
                lines += faults.lines
                unread.add(name)
                del values[name]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        for fault in faults_of(error):
            name, *rest = fault.path.split(".", 1)
            if name not in unread:
                option = OPTIONS.get(name, fault.path)
                inner = f" {rest[0]}" if rest else ""
                # A rule about several settings names them itself.
                lines.append(f"{option}{inner}: {fault.message}" if option else fault.message)
        raise Faults(lines) from error
    if lines:
        raise Faults(lines)
    return settings


def holder_of(port: int) -> str:
    """Which process listens on a port, as far as this user may know; empty otherwise."""
    import psutil

    try:
        for found in psutil.net_connections("tcp"):
            address = found.laddr
            if (found.status == psutil.CONN_LISTEN and found.pid and address
                    and address.port == port):
                return f" by {psutil.Process(found.pid).name()} (process {found.pid})"
    except psutil.Error:
        return ""
    return ""


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets; click.ClickException that tells what to do otherwise."""
    from tornado.netutil import bind_sockets

    try:
        return bind_sockets(port, host or None)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise click.ClickException(
                f"port {port} on {host or 'all addresses'} is in use{holder_of(port)}; choose "
                "another with --port N or ESAAS_PORT (0: any free port)") from error
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def base_url(settings: Settings, port: int) -> str:
    """How agents and people reach this service."""
    if settings.advertise_url:
        return settings.advertise_url.rstrip("/")
    host = settings.listen_host
    if host in ANY_HOST:
        host = socket.getfqdn()
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """TLS as the settings want it; click.ClickException when a file cannot be used."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None

    def no_password() -> str:
        raise click.ClickException(f"--tls-key: {settings.tls_key} is encrypted; give a key that "
                                   "is not, readable by this user only")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, no_password)
    except (OSError, ssl.SSLError) as error:
        raise click.ClickException(
            f"--tls-cert {settings.tls_cert} and --tls-key {settings.tls_key} cannot be used: "
            f"{error.strerror or error}") from error
    return context


def allowed_names(settings: Settings, more: tuple[str, ...]) -> frozenset[str] | None:
    """The names the service answers to; None (any) when it listens beyond loopback."""
    from urllib.parse import urlsplit

    from esaas.framework.settings import LOOPBACK_NAMES

    if settings.listen_host not in LOOPBACK_NAMES and not more:
        return None
    advertised = urlsplit(settings.advertise_url or "").hostname
    listening = {settings.listen_host} - set(ANY_HOST)
    return LOOPBACK_NAMES | listening | frozenset(more) | (
        {advertised} if advertised else frozenset())


class _Signals:
    """SIGTERM and SIGINT ask for the end; a second one does not wait for it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def install(self) -> None:
        """After pymesos was imported, whose import takes a signal for itself."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on, number)

    def _on(self, number: int) -> None:
        if self.asked.is_set():
            os._exit(128 + number)
        self.asked.set()


async def _until(asked: asyncio.Event, work: asyncio.Task[None]) -> bool:
    """Whether ``work`` came to its end before the end was asked for; its failure is raised."""
    waiting = asyncio.create_task(asked.wait())
    await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if work.done():
        work.result()
        return True
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return False


def warn_of_risks(settings: Settings) -> None:
    """Say loudly what about these settings may hurt."""
    import structlog
    from esaas.framework.settings import LOOPBACK_NAMES

    log = structlog.get_logger()
    if not settings.login:
        log.warning("login is switched off: whoever reaches this service is an admin")
    elif settings.listen_host not in LOOPBACK_NAMES and settings.tls_cert is None:
        log.warning("listening beyond loopback without TLS: passwords and tokens can be read on "
                    "the way; give --tls-cert and --tls-key, or put TLS in front",
                    host=settings.listen_host)


async def run(settings: Settings, sockets: list[socket.socket], names: frozenset[str] | None,
              ready_file: Path | None, say: Callable[[str], None]) -> None:
    """Serve until a signal; then stop in order: doors, streams, clusters, connections."""
    import structlog
    from esaas.framework.service.clusters import Clusters
    from tornado.httpserver import HTTPServer

    from .app import make_app
    from .peer_key import PeerKey
    from .peers import Ears
    from .stream import Streams

    log = structlog.get_logger()
    tls = tls_context(settings)
    service, streams, signals = Clusters(settings), Streams(), _Signals()
    key, ca_file = PeerKey(service.derived_key("peers")), settings.peer_ca_file
    ears = asyncio.create_task(Ears(service, key, ca_file).run())
    signals.install()
    server: HTTPServer = HTTPServer(make_app(
        service, lambda: service.executor_file, access=service.access, book=service.book,
        login=settings.login, secure=tls is not None, allowed_hosts=names,
        streams=streams, peers=service, peer_key=key, ca_file=ca_file),
        ssl_options=tls, max_header_size=MAX_HEADER_BYTES)
    url = base_url(settings, sockets[0].getsockname()[1])
    service.advertise(url)
    warn_of_risks(settings)
    try:
        if settings.login:
            await service.access.start()
        server.add_sockets(sockets)
        # The doors are open before the clusters start: agents fetch the executor from here.
        if await _until(signals.asked, asyncio.create_task(service.start())):
            if ready_file is not None:
                ready_file.write_text(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
            say(f"ESAAS serves at {url}")
            log.info("service_ready", url=url)
            await signals.asked.wait()
    finally:
        log.info("service_stopping")
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
        server.stop()
        ears.cancel()
        await streams.close()
        await service.stop()
        await server.close_all_connections()
        log.info("service_stopped")


def _option(*names: str, env: str, **more: Any) -> Callable[[Any], Any]:
    return click.option(*names, envvar=f"ESAAS_{env}", show_envvar=True, **more)


@click.command()
@_option("--mesos-master", env="MESOS_MASTER", metavar="ADDRESS",
         help="host:port, or zk://host:port,.../path. Required.")
@_option("--state-dir", env="STATE_DIR", metavar="DIR", default="~/.local/state/esaas",
         show_default=True, help="Where the embedded store and the executor's file live.")
@_option("--store", env="STORE", metavar="ADDRESS",
         help="zk://host:port,.../path, to share with other processes; default: embedded.")
@_option("--store-credentials", env="STORE_CREDENTIALS", metavar="FILE",
         help="JSON or YAML, mode 600: {user: ..., password: ...}, for ZooKeeper.")
@_option("--secret-key-file", env="SECRET_KEY_FILE", metavar="FILE",
         help="The key of secure settings, the same for all processes of a store; "
              "default: secret.key in the state directory.")
@_option("--host", "listen_host", env="HOST", default="127.0.0.1", show_default=True,
         help="Address to listen on; loopback unless you choose otherwise.")
@_option("--port", "listen_port", env="PORT", default="8080", show_default=True,
         help="Port to listen on; 0 chooses a free one and prints it.")
@_option("--advertise-url", env="ADVERTISE_URL", metavar="URL",
         help="How agents reach this service; default: from --host and --port.")
@_option("--allow-host", env="ALLOW_HOST", metavar="NAME", multiple=True,
         help="A further name that requests may be sent to; repeat for more.")
@_option("--executor-user", env="EXECUTOR_USER", metavar="USER",
         help="Who executors and Elasticsearch run as; default: the agent's choice.")
@_option("--executor-python", env="EXECUTOR_PYTHON", metavar="COMMAND",
         help="Python on the agents; default: python3.")
@_option("--mesos-credentials", "credentials", env="MESOS_CREDENTIALS", metavar="FILE",
         help='JSON or YAML: {TENANT or "*": {principal: ..., secret: ...}}.')
@_option("--operator-credentials", env="OPERATOR_CREDENTIALS", metavar="FILE",
         help="JSON or YAML, mode 600: {principal: ..., secret: ...}; who sets the quota of "
              "tenants by the master's operator API.")
@_option("--agent-credentials", env="AGENT_CREDENTIALS", metavar="FILE",
         help="JSON or YAML, mode 600: {principal: ..., secret: ...}; who reads logs and figures "
              "from agents that ask who it is.")
@_option("--distributions", env="DISTRIBUTIONS", metavar="FILE",
         help="JSON or YAML: {VERSION: {url: ..., sha256: ...}}.")
@_option("--plugins", env="PLUGINS", metavar="FILE",
         help="JSON or YAML: {PLUGIN: {VERSION: {url: ..., sha256: ...}}}.")
@_option("--failover-timeout", "failover_timeout_s", env="FAILOVER_TIMEOUT", metavar="SECONDS",
         help="How long Mesos keeps nodes running without this service; default: 4 weeks.")
@_option("--observe-busy", "observe_busy_s", env="OBSERVE_BUSY", metavar="SECONDS",
         help="How often a changing cluster is looked at; default: 1.")
@_option("--measure", "measure_s", env="MEASURE", metavar="SECONDS",
         help="Time between two measurements of a cluster's nodes; default: 15.")
@_option("--graphite", env="GRAPHITE", metavar="HOST:PORT",
         help="Where figures are sent as plain text, too.")
@_option("--graphite-prefix", env="GRAPHITE_PREFIX", metavar="PREFIX", default="esaas",
         show_default=True, help="What their names begin with.")
@_option("--observe-idle", "observe_idle_s", env="OBSERVE_IDLE", metavar="SECONDS",
         help="How often a calm cluster is looked at; default: 5.")
@_option("--no-login", env="NO_LOGIN", is_flag=True,
         help="Everybody is an admin; only on loopback.")
@_option("--admin-token-file", env="ADMIN_TOKEN_FILE", metavar="FILE",
         help="A token of admin role for automation, in a file that only you can read; it is "
              "good while this process runs.")
@_option("--tls-cert", env="TLS_CERT", metavar="FILE",
         help="PEM: the certificate, then those above it. The service then speaks https.")
@_option("--tls-key", env="TLS_KEY", metavar="FILE", help="PEM: its key, not encrypted.")
@_option("--peer-ca", env="PEER_CA", metavar="FILE",
         help="PEM: what signs the certificates of the other processes; default: --tls-cert.")
@_option("--oplog-keep", "oplog_keep_s", env="OPLOG_KEEP", metavar="SECONDS",
         help="How long the operation log is kept; default: 400 days.")
@_option("--alerts", env="ALERTS", metavar="FILE",
         help="JSON or YAML: {sinks: [...], limits: {RULE: {above: ..., for_s: ...}}, ...}: where "
              "notifications of alerts go, and limits for all clusters.")
@_option("--snapshots", env="SNAPSHOTS", metavar="FILE",
         help="JSON or YAML: {repository: {type: fs, settings: {location: "
              "'/mnt/snapshots/{tenant}/{cluster}'}}, every_s: ..., keep: ...}: what clusters get "
              "whose specs say nothing of snapshots.")
@_option("--virtual-ports", env="VIRTUAL_PORTS", metavar="FIRST-LAST", default="20000-20999",
         show_default=True, help="Clusters get ports of these for HAProxy (esaas haproxy), and "
         "keep them; none: they get none.")
@_option("--log-json", env="LOG_JSON", is_flag=True, help="Log JSON lines.")
@_option("--failpoint", env="FAILPOINT", hidden=True)
@_option("--ready-file", env="READY_FILE", metavar="FILE",
         help="Written with URL and process id once the service is ready.")
def serve(allow_host: tuple[str, ...], ready_file: str | None, no_login: bool,
          **given: Any) -> None:
    """Run the service: schedulers, API and pages.

    Every option can be given in the environment. Secrets come from files only. SIGTERM or Ctrl-C
    stops the service in order; nodes keep running. Exit codes: 0 stopped as asked, 1 could not
    run, 2 wrong settings.
    """
    if given.get("state_dir"):
        given["state_dir"] = str(Path(given["state_dir"]).expanduser())
    given["login"] = not no_login
    try:
        settings = build_settings(given)
    except Faults as faults:
        raise click.UsageError("these settings cannot be used:\n"
                               + "\n".join(f"  {line}" for line in faults.lines)) from faults
    from esaas.framework.core.errors import EsaasError

    configure_logging(as_json=settings.log_json)
    sockets = bind(settings.listen_host, settings.listen_port)
    try:
        asyncio.run(run(settings, sockets, allowed_names(settings, allow_host),
                        Path(ready_file) if ready_file else None, click.echo))
    except EsaasError as error:
        raise click.ClickException(str(error)) from error
    finally:
        for one in sockets:
            one.close()
