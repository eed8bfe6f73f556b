"""What Elasticsearch calls things, by version. Pure.

The settings are from the reference manuals of 6.8, 7.17, 8.x and 9.x ("Important settings",
"Discovery and cluster formation", "Node", "Local gateway").
"""
from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

FLAG_ROLES = frozenset({"master", "data", "ingest"})
TIER_ROLES = frozenset({"data_content", "data_hot", "data_warm", "data_cold", "data_frozen"})
LIST_ROLES = FLAG_ROLES | TIER_ROLES | {
    "ml", "transform", "remote_cluster_client", "voting_only"}

# Settings that are ours alone: whoever overrode one would break identity, ports or membership.
RESERVED = frozenset({
    "cluster.name", "cluster.initial_master_nodes",
    "node.name", "node.master", "node.data", "node.ingest", "node.roles", "node.voting_only",
    "path.data", "path.logs", "path.conf", "path.home",
    "network.host", "network.bind_host", "http.host", "http.bind_host", "http.port",
})
RESERVED_PREFIXES = ("transport.", "discovery.")
# Tuning that lives under a reserved prefix and touches neither address nor membership.
FREE_PREFIXES = ("transport.compress", "transport.tcp.compress", "transport.ping_schedule",
                 "transport.tracer.", "transport.connections_per_node.",
                 "discovery.initial_state_timeout", "discovery.zen.fd.",
                 "discovery.zen.publish_timeout", "discovery.zen.commit_timeout")

# On a secured cluster all of this is ours, too.
SECURED_PREFIXES = ("xpack.security.", "xpack.ssl.")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one range of versions spells what every node needs."""

    roles_as_list: bool              # node.roles, since 7.9; before: a flag for each role
    roles: frozenset[str]
    transport_port: str
    seeds_from_file: tuple[tuple[str, object], ...]
    uses_minimum_master_nodes: bool
    uses_initial_master_nodes: bool
    keystore_takes_many: bool        # elasticsearch-keystore add, several keys in one run
    # Laid down when x-pack is part of the distribution; others do not know these settings.
    xpack: tuple[tuple[str, object], ...]
    security: tuple[tuple[str, object], ...]    # of a node of a secured cluster


# Paths are relative to the configuration directory (security.py). The names in certificates are
# not compared between nodes: they find each other by addresses that may change.
_SECURITY: tuple[tuple[str, object], ...] = (
    ("xpack.security.enabled", True),
    ("xpack.security.transport.ssl.enabled", True),
    ("xpack.security.transport.ssl.verification_mode", "certificate"),
    *((f"xpack.security.{layer}.ssl.{name}", value) for layer in ("transport", "http")
      for name, value in (("key", "node.key"), ("certificate", "node.crt"),
                          ("certificate_authorities", ["ca.crt"]))),
    ("xpack.security.http.ssl.enabled", True))
# Since 8.0 a node would otherwise secure itself by certificates and passwords of its own.
_SECURITY_8 = (*_SECURITY, ("xpack.security.autoconfiguration.enabled", False),
               ("xpack.security.enrollment.enabled", False))

_ZEN = Dialect(
    roles_as_list=False, roles=FLAG_ROLES, transport_port="transport.tcp.port",
    # The explicit empty list keeps zen from looking at its neighbours' ports on this machine.
    seeds_from_file=(("discovery.zen.hosts_provider", "file"),
                     ("discovery.zen.ping.unicast.hosts", [])),
    uses_minimum_master_nodes=True, uses_initial_master_nodes=False, keystore_takes_many=False,
    xpack=(("xpack.ml.enabled", False),), security=_SECURITY)
_FLAGS_7 = Dialect(
    roles_as_list=False, roles=FLAG_ROLES, transport_port="transport.port",
    seeds_from_file=(("discovery.seed_providers", "file"),),
    uses_minimum_master_nodes=False, uses_initial_master_nodes=True, keystore_takes_many=False,
    xpack=(("xpack.security.enabled", False),), security=_SECURITY)
_LIST = Dialect(
    roles_as_list=True, roles=LIST_ROLES, transport_port="transport.port",
    seeds_from_file=(("discovery.seed_providers", "file"),),
    uses_minimum_master_nodes=False, uses_initial_master_nodes=True, keystore_takes_many=True,
    xpack=(("xpack.security.enabled", False),), security=_SECURITY)
_LIST_8 = replace(_LIST, security=_SECURITY_8)

# From this version on, up to the next row.
_DIALECTS = (((6, 8), _ZEN), ((7, 0), _FLAGS_7), ((7, 9), _LIST), ((8, 0), _LIST_8))
_END = (10, 0)


class UnknownVersionError(ValueError):
    """No dialect is known for this version."""


def dialect_of(version: str) -> Dialect:
    """The dialect of a version such as ``6.8.23``. Raises ``UnknownVersionError``."""
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(-[\w.]+)?", version)
    if match is None:
        raise UnknownVersionError(f"{version!r} is not a version such as 6.8.23")
    number = (int(match[1]), int(match[2]))
    known = [dialect for since, dialect in _DIALECTS if since <= number < _END]
    if not known:
        raise UnknownVersionError(f"Elasticsearch {version} is not supported: 6.8 to 9.x are")
    return known[-1]


def is_reserved(key: str, *, secured: bool = False) -> bool:
    """Whether a setting may not be set by people (also its list form, ``key.0``)."""
    if secured and key.startswith(SECURED_PREFIXES):
        return True
    if key.startswith(FREE_PREFIXES):
        return False
    return (key in RESERVED or re.sub(r"\.\d+$", "", key) in RESERVED
            or key.startswith(RESERVED_PREFIXES))


def role_settings(dialect: Dialect, roles: Collection[str]) -> dict[str, object]:
    """The settings that give a node just these roles; none: coordinating only."""
    if dialect.roles_as_list:
        return {"node.roles": sorted(roles)}
    return {f"node.{role}": role in roles for role in sorted(dialect.roles)}


def xpack_settings(dialect: Dialect, modules: Collection[str]) -> dict[str, object]:
    """Our defaults for x-pack, given the names under the distribution's ``modules/``."""
    return dict(dialect.xpack) if "x-pack-core" in modules else {}
