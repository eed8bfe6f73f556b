"""The configuration directory of one node, made from its distribution's."""
from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from esaas.framework.proto import esaas_pb2

from . import dialect as dialects
from .errors import PreparationError
from .payload import user_settings

# Lines of the distribution's jvm.options that we replace (heap, paths) or that write a growing
# log into the read-only distribution (garbage collection; it keeps 6.8 from starting).
_DROPPED = re.compile(
    r"(\d+(-\d*)?:)?-(Xm[sx]|Xlog|Xloggc|XX:HeapDumpPath|XX:ErrorFile|XX:\+PrintGC|"
    r"XX:\+PrintTenuringDistribution|XX:\+UseGCLogFileRotation|XX:NumberOfGCLogFiles|"
    r"XX:GCLogFileSize)")


class ConfigError(PreparationError):
    """The configuration cannot be written; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things of a node are; all absolute."""

    home: Path       # of the distribution, read-only and shared
    config: Path
    data: Path
    logs: Path
    temporary: Path
    sandbox: Path


def volume_of(sandbox: Path, data_path: str) -> Path:
    """The persistent volume at ``data_path`` of the sandbox, absolute.

    Raises ``ConfigError`` when the volume is not there: to make the directory instead would
    start an empty node beside its data.
    """
    data = (sandbox / data_path).resolve()
    if not data.is_dir():
        raise ConfigError(f"data_path: no directory {data_path} in the sandbox: "
                          "is the persistent volume part of the task's resources?")
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"data_path: {data_path} cannot be written by user {os.geteuid()}")
    return data


def layout_of(sandbox: Path, home: Path, data_path: str) -> Layout:
    """The layout of a node. Raises ``ConfigError``, see ``volume_of``."""
    return Layout(home=home, config=sandbox / "config", data=volume_of(sandbox, data_path),
                  logs=sandbox / "logs", temporary=sandbox / "tmp", sandbox=sandbox)


def node_settings(launch: esaas_pb2.NodeLaunch, data: Path, logs: Path,
                  modules: Collection[str]) -> dict[str, object]:
    """All of elasticsearch.yml, flat; ``modules``: names under the distribution's ``modules/``.

    The launch must have been checked (``payload.launch_faults``). Raises ``ConfigError`` when a
    node is to be secured by a distribution that cannot do it.
    """
    dialect = dialects.dialect_of(launch.distribution.version)
    bootstrap = launch.bootstrap
    settings: dict[str, object] = {
        **dialects.xpack_settings(dialect, modules),
        **{f"node.attr.{name}": value for name, value in sorted(launch.attributes.items())},
    }
    if launch.awareness:
        settings["cluster.routing.allocation.awareness.attributes"] = list(launch.awareness)
    if bootstrap.expected_data_nodes:
        settings["gateway.expected_data_nodes"] = bootstrap.expected_data_nodes
    if bootstrap.recover_after_data_nodes:
        settings["gateway.recover_after_data_nodes"] = bootstrap.recover_after_data_nodes
    settings |= user_settings(launch)
    settings |= {
        "cluster.name": launch.cluster,
        "node.name": launch.node,
        "path.data": str(data),
        "path.logs": str(logs),
        "network.host": launch.bind_host,
        "http.port": launch.http_port,
        dialect.transport_port: launch.transport_port,
        **dict(dialect.seeds_from_file),
        **dialects.role_settings(dialect, launch.roles),
    }
    if dialect.uses_minimum_master_nodes:
        settings["discovery.zen.minimum_master_nodes"] = bootstrap.minimum_master_nodes
    # Other nodes than masters refuse it or ignore it, by version.
    if (dialect.uses_initial_master_nodes and bootstrap.initial_master_nodes
            and "master" in launch.roles):
        settings["cluster.initial_master_nodes"] = list(bootstrap.initial_master_nodes)
    if launch.HasField("tls"):
        if "x-pack-core" not in modules:
            raise ConfigError(f"this distribution of {launch.distribution.version} has no x-pack: "
                              "its nodes cannot be secured")
        settings |= dialect.security
    return {key: value for key, value in settings.items() if value is not None}


def yaml_text(settings: Mapping[str, object]) -> str:
    """Flat settings as YAML: JSON is valid YAML, so each value is JSON, one key a line."""
    return "".join(f"{json.dumps(key)}: {json.dumps(value)}\n"
                   for key, value in sorted(settings.items()))


def jvm_options_text(distributed: str, heap_mb: int, sandbox: Path,
                     extra: Collection[str]) -> str:
    """jvm.options: the distribution's without heap, gc log and paths, then ours.

    JVMs take the last of two options that contradict each other, so ``extra`` wins.
    """
    kept = [line for line in distributed.splitlines() if not _DROPPED.match(line.strip())]
    ours = [f"-Xms{heap_mb}m", f"-Xmx{heap_mb}m", f"-XX:HeapDumpPath={sandbox}",
            f"-XX:ErrorFile={sandbox}/hs_err_pid%p.log"]
    return "\n".join([*kept, "# Set by the executor.", *ours, *extra]) + "\n"


def write(launch: esaas_pb2.NodeLaunch, layout: Layout) -> None:
    """Make the configuration, log and temporary directories anew.

    Raises ``ConfigError`` and ``OSError``.
    """
    if layout.config.exists():
        shutil.rmtree(layout.config)
    shutil.copytree(layout.home / "config", layout.config)
    for directory, _, names in os.walk(layout.config):
        os.chmod(directory, 0o750)  # the distribution's are read-only
        for name in names:
            os.chmod(Path(directory) / name, 0o640)
    layout.logs.mkdir(exist_ok=True)
    layout.temporary.mkdir(exist_ok=True)
    modules_dir = layout.home / "modules"
    modules = os.listdir(modules_dir) if modules_dir.is_dir() else []
    settings = node_settings(launch, layout.data, layout.logs, modules)
    (layout.config / "elasticsearch.yml").write_text(yaml_text(settings), encoding="utf-8")
    options = layout.config / "jvm.options"
    options.write_text(jvm_options_text(
        options.read_text(encoding="utf-8"), launch.heap_mb, layout.sandbox,
        launch.jvm_options), encoding="utf-8")
