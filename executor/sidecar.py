"""Prepares a process next to a cluster, such as a dashboard: its files and its environment."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from esaas.framework.proto import esaas_pb2

from . import archive, download, log, process
from .errors import PreparationError
from .payload import file_name_of
from .security import CA_NAME

URLS_NAME = "elasticsearch-urls.txt"


class UriError(PreparationError):
    """A file for the sandbox cannot be had; the message names it and says why, in one line."""


def command_of(sidecar: esaas_pb2.Sidecar) -> list[str]:
    """The command line."""
    return ["/bin/sh", "-c", sidecar.command]


def environment(launch: esaas_pb2.NodeLaunch, environ: Mapping[str, str], sandbox: Path,
                data: Path) -> dict[str, str]:
    """The environment: this process's without what is private, the sidecar's own, and ours."""
    trust = {"ESAAS_ES_CA_FILE": str(sandbox / CA_NAME)} if launch.HasField("tls") else {}
    return process.clean_environment(environ) | {"HOME": str(sandbox)} | {
        **launch.sidecar.env,
        "ESAAS_CLUSTER": launch.cluster,
        "ESAAS_NODE": launch.node,
        "ESAAS_HOST": launch.bind_host,
        "ESAAS_PORT": str(launch.http_port),
        "ESAAS_PORT2": str(launch.transport_port),
        "ESAAS_DATA": str(data),
        "ESAAS_ES_URLS": ",".join(launch.seeds.http_urls),
        "ESAAS_ES_URLS_FILE": str(sandbox / URLS_NAME),
        **trust,
    }


def fetch(uris: list[esaas_pb2.Uri], sandbox: Path) -> None:
    """Bring files into the sandbox, over nothing that is there; archives are unpacked.

    An archive is taken away when it is unpacked; what is to be executable is never unpacked.
    Blocks for downloads. Raises ``UriError``.
    """
    for uri in uris:
        name = file_name_of(uri.url)
        target = sandbox / name
        try:
            if os.path.lexists(target):
                raise UriError(f"{uri.url}: {name} is in the sandbox already")
            download.fetch(uri.url, target, uri.sha256)
            if uri.executable:
                target.chmod(0o755)
            elif uri.extract and archive.is_archive(name):
                archive.unpack(target, sandbox)
                target.unlink()
                log.event("Archive unpacked", name=name)
        except UriError:
            raise
        except PreparationError as error:
            raise UriError(f"{uri.url}: {error}" if uri.url not in str(error)
                           else str(error)) from error
        except OSError as error:
            raise UriError(f"{uri.url}: {error}") from error
