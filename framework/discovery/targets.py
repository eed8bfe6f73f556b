"""What HAProxy is to reach, out of what the service answers; pure.

What is known is not given up lightly: HAProxy checks servers itself, so one too many does no harm,
and one too few does.
"""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..core.errors import EsaasError

ALL = "http"                        # the role that every node has


class AnswerError(EsaasError):
    """The service has answered what cannot be made a configuration of."""


@dataclass(frozen=True, slots=True)
class Server:
    """A node."""

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """A virtual port, and the nodes behind it."""

    cluster: str
    role: str                           # http: all nodes
    port: int
    secured: bool                       # nodes speak TLS, which is passed through
    servers: tuple[Server, ...]

    @property
    def name(self) -> str:
        """The name of its frontend and of its backend."""
        return f"{self.cluster}.{self.role}"


Targets = tuple[Target, ...]


def targets_of(answer: Any, known: Targets = ()) -> Targets:
    """The targets of ``GET /v1/endpoints``, by cluster and role; AnswerError.

    Where no node takes requests now, those that were known stay, and HAProxy's own checks decide.
    Of an incomplete answer the clusters that are not in it stay, too.
    """
    try:
        found = [target for cluster in answer["clusters"] for target in _targets_of(cluster)]
        complete = bool(answer["complete"])
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"not an answer about endpoints: {error!r}") from error
    before = {target.name: target for target in known}
    found = [target if target.servers or target.name not in before else Target(
        target.cluster, target.role, target.port, target.secured, before[target.name].servers)
        for target in found]
    if not complete:
        told = {cluster["cluster"] for cluster in answer["clusters"]}
        taken = {target.port for target in found}
        found += [target for target in known
                  if target.cluster not in told and target.port not in taken]
    return tuple(sorted(found, key=lambda target: (target.cluster, target.role)))


def _targets_of(cluster: dict[str, Any]) -> list[Target]:
    return [Target(cluster["cluster"], role, int(port), bool(cluster["secured"]),
                   tuple(_server(node) for node in cluster["nodes"]
                         if role == ALL or role in node["roles"]))
            for role, port in sorted(cluster["virtual_ports"].items())]


def _server(node: dict[str, Any]) -> Server:
    host, _, port = node["address"].rpartition(":")
    return Server(node["name"], host.strip("[]"), int(port))


def dump(targets: Targets) -> str:
    """Targets as text, for the next start."""
    return json.dumps([asdict(target) for target in targets], indent=1)


def load(text: str) -> Targets:
    """What ``dump`` has written; AnswerError."""
    try:
        return tuple(Target(**(item | {"servers": tuple(
            Server(**server) for server in item["servers"])})) for item in json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"not what was known before: {error!r}") from error


def without_port(answer: Any) -> Sequence[str]:
    """Clusters of an answer that have no virtual port, and so are not reached through HAProxy."""
    return [cluster["cluster"] for cluster in answer["clusters"] if not cluster["virtual_ports"]]
