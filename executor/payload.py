"""The payloads that scheduler and executor exchange: base64 of protobuf, checked on arrival."""
from __future__ import annotations

import base64
import binascii
import json
import re
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit

from esaas.framework.proto import esaas_pb2
from google.protobuf.message import DecodeError, Message

from . import dialect as dialects

M = TypeVar("M", bound=Message)

DEFAULT_STOP_TIMEOUT_S = 60
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEAP_OPTION = re.compile(r"(\d+(-\d*)?:)?-Xm[sx]")
_JVM_OPTION = re.compile(r"(\d+(-\d*)?:)?-\S[^\r\n]*")
# Elasticsearch reads "_site_", "_eth0_" as names of interfaces; we could not tell where to ask.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\d+\.\d+\.\d+\.\d+")


class PayloadError(Exception):
    """A payload that cannot be used; ``faults`` holds a line for each reason."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def encode(message: Message) -> str:
    """A message as Mesos' JSON carries bytes: base64."""
    return base64.b64encode(message.SerializeToString()).decode("ascii")


def decode(kind: type[M], text: str) -> M:
    """The message of this kind in a base64 text. Raises ``PayloadError``."""
    message = kind()
    try:
        message.ParseFromString(base64.b64decode(text, validate=True))
    except (binascii.Error, DecodeError, ValueError) as error:
        raise PayloadError([f"not a {kind.__name__}: {error}"]) from error
    return message


def read_launch(task: dict[str, Any]) -> esaas_pb2.NodeLaunch:
    """The checked ``NodeLaunch`` of a ``TaskInfo`` (JSON). Raises ``PayloadError``."""
    if not task.get("data"):
        raise PayloadError(["TaskInfo.data is empty"])
    launch = decode(esaas_pb2.NodeLaunch, task["data"])
    faults = launch_faults(launch)
    if faults:
        raise PayloadError(faults)
    return launch


def user_settings(launch: esaas_pb2.NodeLaunch) -> dict[str, object]:
    """``launch.settings`` with parsed values; null takes one of our defaults away.

    Raises ``ValueError`` for a value that is no JSON.
    """
    return {key: json.loads(text) for key, text in sorted(launch.settings.items())}


def launch_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    """Every reason why this launch cannot be carried out; empty: none."""
    return [*_identity_faults(launch), *_distribution_faults(launch.distribution),
            *_dialect_faults(launch), *_resource_faults(launch), *_address_faults(launch),
            *_setting_faults(launch)]


def _identity_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    return [f"{field}: {value!r} is not a name of letters, digits, '.', '_' and '-'"
            for field, value in (("cluster", launch.cluster), ("node", launch.node))
            if not _NAME.fullmatch(value)]


def _distribution_faults(distribution: esaas_pb2.Distribution) -> list[str]:
    faults = []
    url = urlsplit(distribution.url)
    if url.scheme not in ("http", "https", "file") or not (url.netloc or url.path):
        faults.append(f"distribution.url: {distribution.url!r} is not a http, https or file URL")
    if not re.fullmatch(r"[0-9a-f]{64}", distribution.sha256):
        faults.append(f"distribution.sha256: {distribution.sha256!r} is not 64 hex digits")
    return faults


def _dialect_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    try:
        dialect = dialects.dialect_of(launch.distribution.version)
    except dialects.UnknownVersionError as error:
        return [f"distribution.version: {error}"]
    faults = [f"roles: {role!r} is not a role in {launch.distribution.version}"
              for role in launch.roles if role not in dialect.roles]
    if len(set(launch.roles)) != len(launch.roles):
        faults.append("roles: one is there twice")
    bootstrap = launch.bootstrap
    if dialect.uses_minimum_master_nodes and bootstrap.minimum_master_nodes < 1:
        faults.append("bootstrap.minimum_master_nodes: needed up to 6.x, or the brain may split")
    return faults


def _resource_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    faults = []
    if launch.heap_mb < 1:
        faults.append("heap_mb: must be at least 1")
    path = PurePosixPath(launch.data_path)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        faults.append(f"data_path: {launch.data_path!r} is not a path inside the sandbox")
    for option in launch.jvm_options:
        if _HEAP_OPTION.match(option):
            faults.append(f"jvm_options: {option!r}: the heap is set by heap_mb")
        elif not _JVM_OPTION.fullmatch(option):
            faults.append(f"jvm_options: {option!r} is not one option starting with '-'")
    return faults


def _address_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    faults = []
    if not _HOST.fullmatch(launch.bind_host) and ":" not in launch.bind_host:
        faults.append(f"bind_host: {launch.bind_host!r} is not a host name or address")
    for field, port in (("http_port", launch.http_port),
                        ("transport_port", launch.transport_port)):
        if not 0 < port < 65536:
            faults.append(f"{field}: {port} is not a port")
    if launch.http_port == launch.transport_port:
        faults.append("http_port and transport_port are the same")
    return faults + seeds_faults(launch.seeds)


def seeds_faults(seeds: esaas_pb2.Seeds) -> list[str]:
    """Every address that is not host:port; empty: none."""
    return [f"seeds.addresses: {address!r} is not host:port" for address in seeds.addresses
            if not re.fullmatch(r"\S+:\d+", address)]


def _setting_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    faults = []
    for key, text in sorted(launch.settings.items()):
        if not re.fullmatch(r"[A-Za-z0-9_.*:-]+", key):
            faults.append(f"settings: {key!r} is not a flat key")
        if dialects.is_reserved(key):
            faults.append(f"settings: {key} is set by the service and cannot be overridden")
        if key.removeprefix("node.attr.") in launch.attributes and key.startswith("node.attr."):
            faults.append(f"settings: {key} is already among the attributes")
        try:
            json.loads(text)
        except ValueError as error:
            faults.append(f"settings: {key}: {text!r} is not JSON: {error}")
    faults += [f"attributes: {name!r} is not a name" for name in sorted(launch.attributes)
               if not _NAME.fullmatch(name)]
    faults += [f"awareness: {name!r} is not among the attributes" for name in launch.awareness
               if name not in launch.attributes]
    return faults
