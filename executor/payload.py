"""The payloads that scheduler and executor exchange: base64 of protobuf, checked on arrival."""
from __future__ import annotations

import base64
import binascii
import json
import re
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from esaas.framework.proto import esaas_pb2
from google.protobuf.message import DecodeError, Message

from . import dialect as dialects
from .security import (
    BOOTSTRAP_PASSWORD,
    CA_NAME,
    CERTIFICATE_NAME,
    KEY_NAME,
    USERS_NAME,
    USERS_ROLES_NAME,
)

M = TypeVar("M", bound=Message)

DEFAULT_STOP_TIMEOUT_S = 60
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEAP_OPTION = re.compile(r"(\d+(-\d*)?:)?-Xm[sx]")
_JVM_OPTION = re.compile(r"(\d+(-\d*)?:)?-\S[^\r\n]*")
_PLUGIN = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+"
                          rb"-----END CERTIFICATE-----\n?")
_KEY = re.compile(rb"-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END PRIVATE KEY-----\n?")
SECURED_FILES = (CA_NAME, CERTIFICATE_NAME, KEY_NAME, USERS_NAME, USERS_ROLES_NAME)
OWN_FILES = ("elasticsearch.yml", "jvm.options", "elasticsearch.keystore", "unicast_hosts.txt")
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
    """Every reason why this launch cannot be carried out; empty: none. Without secrets."""
    if launch.HasField("sidecar"):
        return [*_identity_faults(launch), *_volume_faults(launch), *_address_faults(launch),
                *_sidecar_faults(launch), *_tls_faults(launch)]
    return [*_identity_faults(launch), *_distribution_faults(launch.distribution),
            *_dialect_faults(launch), *_resource_faults(launch), *_volume_faults(launch),
            *_address_faults(launch), *_setting_faults(launch), *_plugin_faults(launch),
            *_file_faults(launch), *_secure_faults(launch), *_tls_faults(launch)]


def _identity_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    return [f"{field}: {value!r} is not a name of letters, digits, '.', '_' and '-'"
            for field, value in (("cluster", launch.cluster), ("node", launch.node))
            if not _NAME.fullmatch(value)]


def _distribution_faults(distribution: esaas_pb2.Distribution) -> list[str]:
    return _source_faults("distribution.", distribution.url, distribution.sha256)


def _source_faults(where: str, url: str, sha256: str) -> list[str]:
    """What is wrong with a URL and the hash of what is there; ``where``: the fields' prefix."""
    faults = []
    if not _is_url(url):
        faults.append(f"{where}url: {url!r} is not a http, https or file URL")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        faults.append(f"{where}sha256: {sha256!r} is not 64 hex digits")
    return faults


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets in the place of a host
        return False
    return parts.scheme in ("http", "https", "file") and bool(parts.netloc or parts.path)


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
    for option in launch.jvm_options:
        if _HEAP_OPTION.match(option):
            faults.append(f"jvm_options: {option!r}: the heap is set by heap_mb")
        elif not _JVM_OPTION.fullmatch(option):
            faults.append(f"jvm_options: {option!r} is not one option starting with '-'")
    return faults


def _volume_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    path = PurePosixPath(launch.data_path)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        return [f"data_path: {launch.data_path!r} is not a path inside the sandbox"]
    return []


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
    """Every address that is not host:port, and every URL that is none; empty: none."""
    return [f"seeds.addresses: {address!r} is not host:port" for address in seeds.addresses
            if not re.fullmatch(r"\S+:\d+", address)] + [
        f"seeds.{field}: {url!r} is not a URL" for field, urls in (
            ("http_urls", seeds.http_urls), ("log_urls", seeds.log_urls)) for url in urls
        if not re.fullmatch(r"https?://[^\s,]+", url)]


def _setting_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    faults = []
    for key, text in sorted(launch.settings.items()):
        if not re.fullmatch(r"[A-Za-z0-9_.*:-]+", key):
            faults.append(f"settings: {key!r} is not a flat key")
        if dialects.is_reserved(key, secured=launch.HasField("tls")):
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


def _plugin_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    faults = []
    for plugin in launch.plugins:
        if not _PLUGIN.fullmatch(plugin.name):
            faults.append(f"plugins: {plugin.name!r} is not the name of a plugin")
        if plugin.url or plugin.sha256:
            faults += _source_faults(f"plugins: {plugin.name}: ", plugin.url, plugin.sha256)
    return faults + _twice("plugins", [plugin.name for plugin in launch.plugins])


def _file_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    faults = []
    paths = [file.path for file in launch.files]
    for file in launch.files:
        if not _FILE.fullmatch(file.path):
            faults.append(f"files: {file.path!r} is not a path inside the configuration directory")
        top = file.path.partition("/")[0]
        if file.path in OWN_FILES or (launch.HasField("tls") and top in SECURED_FILES):
            faults.append(f"files: {file.path} is written by the service itself")
        if file.url and file.content:
            faults.append(f"files: {file.path}: has both content and url")
        if file.url or file.sha256:
            faults += _source_faults(f"files: {file.path}: ", file.url, file.sha256)
    faults += [f"files: {path} lies inside of another file" for path in paths
               if any(path.startswith(f"{other}/") for other in paths)]
    return faults + _twice("files", paths)


def _secure_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    # Elasticsearch's tool reads up to the end of the line, and drops the rest without a word.
    faults = []
    for key, value in sorted(launch.secure_settings.items()):
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", key) or key.startswith("-"):
            faults.append(f"secure_settings: {key!r} is not a key")
        if not value or re.search(r"[\r\n\0]", value):
            faults.append(f"secure_settings: {key}: the value is not one line")
    return faults


def _tls_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    """What is missing of what secures a node; nothing of it is quoted."""
    if not launch.HasField("tls"):
        return []
    tls = launch.tls
    wanted = {"ca": _CERTIFICATE}
    if not launch.HasField("sidecar"):
        wanted |= {"certificate": _CERTIFICATE, "key": _KEY}
    faults = [f"tls.{name}: is not a PEM text" for name, form in wanted.items()
              if not form.fullmatch(getattr(tls, name))]
    if launch.HasField("sidecar"):
        return faults + [f"tls.{name}: a sidecar has none" for name in (
            "certificate", "key", "password", "service_password") if getattr(tls, name)]
    faults += [f"tls.{name}: is not one of letters and digits" for name in (
        "password", "service_password") if not re.fullmatch(r"[A-Za-z0-9]+", getattr(tls, name))]
    return faults + [f"secure_settings: {key} is set by the service itself"
                     for key in sorted(launch.secure_settings)
                     if key == BOOTSTRAP_PASSWORD or key.startswith(dialects.SECURED_PREFIXES)]


def _sidecar_faults(launch: esaas_pb2.NodeLaunch) -> list[str]:
    wanted, faults = launch.sidecar, []
    if not wanted.command.strip() or "\0" in wanted.command:
        faults.append("sidecar.command: is empty, or holds a zero byte")
    for uri in wanted.uris:
        # A file of this machine may go without a hash; its form is checked with any.
        no_hash = not uri.sha256 and uri.url.startswith("file:")
        faults += _source_faults("sidecar.uris: ", uri.url, "0" * 64 if no_hash else uri.sha256)
        if _is_url(uri.url) and not file_name_of(uri.url):
            faults.append(f"sidecar.uris: {uri.url!r} ends in no good name for a file")
    for name, value in sorted(wanted.env.items()):
        if not _VARIABLE.fullmatch(name) or name.startswith(("ESAAS_", "MESOS_")):
            faults.append(f"sidecar.env: {name!r} is not a name of a variable of one's own")
        if "\0" in value:
            faults.append(f"sidecar.env: {name}: the value holds a zero byte")
    faults += [f"{field}: a sidecar has none" for field in (
        "roles", "plugins", "files", "secure_settings", "settings", "jvm_options")
        if getattr(launch, field)]
    return faults


def file_name_of(url: str) -> str:
    """The name under which a URL's file lies in a sandbox; "" when there is no good one."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    return "" if name in (".", "..") or "/" in name or "\0" in name else name


def _twice(field: str, names: list[str]) -> list[str]:
    return [f"{field}: {name} is there twice" for name in sorted(set(names))
            if names.count(name) > 1]
