"""What Mesos tells others of a node: where it listens, and what it is (DiscoveryInfo).

Nothing of ours reads it. Mesos-DNS and the like make names of it; docs/operations.md says which.
It is no part of a node's fingerprint: nodes that run without it are not outdated.
Source: Mesos 1.11 ``include/mesos/v1/mesos.proto``, "message DiscoveryInfo".
"""
from __future__ import annotations

from typing import Any

from ..core.operations import LaunchPayload


def discovery_info(payload: LaunchPayload) -> dict[str, Any]:
    """DiscoveryInfo of a node's task.

    All nodes of a cluster have one name, so that it stands for all of them; a sidecar has a name
    of its own beside it. Visible in the whole Mesos cluster, as the network there decides.
    """
    sidecar = payload.sidecar
    found: dict[str, Any] = {
        "visibility": "CLUSTER", "environment": payload.tenant, "ports": {"ports": _ports(payload)},
        "name": f"{sidecar.name}-{payload.cluster}" if sidecar else payload.cluster,
        "labels": {"labels": [{"key": key, "value": value} for key, value in _labels(payload)]}}
    if not sidecar:
        found["version"] = payload.version
    attributes = dict(payload.attributes)
    location = "/".join(attributes[key] for key in payload.awareness if key in attributes)
    return found | ({"location": location} if location else {})


def _ports(payload: LaunchPayload) -> list[dict[str, Any]]:
    numbers = {"http": payload.http_port, "transport": payload.transport_port}
    if payload.sidecar is not None:
        numbers = {"http": payload.http_port} if payload.sidecar.listens else {}
    return [{"number": number, "name": name, "protocol": "tcp", "visibility": "CLUSTER"}
            for name, number in numbers.items()]


def _labels(payload: LaunchPayload) -> list[tuple[str, str]]:
    secured = "true" if payload.certificate_days else "false"
    return [("esaas.cluster", payload.cluster), ("esaas.node", payload.node),
            ("esaas.tenant", payload.tenant), ("esaas.secured", secured),
            *([("esaas.roles", ",".join(payload.roles))] if payload.roles else [])]
