"""From a launch to what can be started: files fetched, configuration written, command known."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from esaas.framework.proto import esaas_pb2

from . import (
    config,
    debugging,
    dialect,
    files,
    java,
    keystore,
    plugins,
    probe,
    process,
    security,
    seeds,
    sidecar,
)
from .cache import DistributionCache
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is needed to start and watch the task's process."""

    title: str                       # what the process is called to people
    command: list[str]
    environment: dict[str, str]      # may hold secrets of a sidecar: for the process only
    seeds: seeds.SeedsFile
    ask: Callable[[], probe.Answer] | None   # None: it serves as soon as it runs
    silence: str                     # what is said when ``ask`` gets no answer
    stops_as_group: bool             # SIGTERM goes to all of its processes
    held: str = ""                   # why it is not to be started


def prepare(launch: esaas_pb2.NodeLaunch, settings: Settings,
            environ: Mapping[str, str]) -> Prepared:
    """Prepare a checked launch (``payload.launch_faults``). Blocks, maybe for minutes.

    Raises ``PreparationError`` and ``OSError``.
    """
    if launch.HasField("sidecar"):
        return _sidecar(launch, settings.sandbox, environ)
    return _node(launch, settings, environ)


def _node(launch: esaas_pb2.NodeLaunch, settings: Settings,
          environ: Mapping[str, str]) -> Prepared:
    distribution, sandbox = launch.distribution, settings.sandbox
    config.volume_of(sandbox, launch.data_path)  # before anything that takes long
    cache = DistributionCache(settings.cache_dir)
    home = cache.home(distribution.url, distribution.sha256)
    jdk = java.java_home(settings, distribution.version, home, environ)
    home = plugins.home(cache, home, launch, jdk, environ, sandbox)
    layout = config.layout_of(sandbox, home, launch.data_path)
    config.write(launch, layout)
    files.write(launch.files, layout.config)
    secure_settings, access = dict(launch.secure_settings), None
    if launch.HasField("tls"):
        security.write(launch.tls, layout.config)
        secure_settings[security.BOOTSTRAP_PASSWORD] = launch.tls.password
        access = security.access_of(launch.tls)
    environment = process.node_environment(environ, layout, jdk)
    keystore.write(secure_settings, dialect.dialect_of(distribution.version), layout,
                   environment)
    if launch.paused:
        text = debugging.text_for_node(layout, jdk, distribution.version)
        (sandbox / debugging.FILE_NAME).write_text(text, encoding="utf-8")
    return Prepared(
        title="Elasticsearch", command=[str(home / "bin" / "elasticsearch")],
        environment=environment, silence="HTTP does not answer", stops_as_group=False,
        seeds=seeds.SeedsFile(layout.config / seeds.FILE_NAME, launch.seeds),
        ask=partial(probe.ask, launch.bind_host, launch.http_port, launch.node, access=access),
        held=debugging.REASON if launch.paused else "")


def _sidecar(launch: esaas_pb2.NodeLaunch, sandbox: Path,
             environ: Mapping[str, str]) -> Prepared:
    wanted = launch.sidecar
    data = config.volume_of(sandbox, launch.data_path)
    urls = seeds.SeedsFile(sandbox / sidecar.URLS_NAME, launch.seeds, seeds.http_urls)
    if launch.HasField("tls"):          # before files of people's own, which overwrite nothing
        security.write_file(sandbox / security.CA_NAME, launch.tls.ca, 0o644)
    sidecar.fetch(list(wanted.uris), sandbox)
    if launch.paused:
        text = debugging.text_for_sidecar(sandbox, data, wanted.command)
        (sandbox / debugging.FILE_NAME).write_text(text, encoding="utf-8")
    port = partial(probe.knock, launch.bind_host, launch.http_port)
    return Prepared(
        title="the command", command=sidecar.command_of(wanted),
        environment=sidecar.environment(launch, environ, sandbox, data), seeds=urls,
        ask=port if wanted.listens else None, stops_as_group=True,
        silence=f"port {launch.http_port} takes no connection",
        held=debugging.REASON.replace("Elasticsearch", "the command") if launch.paused else "")
