"""Who may do what on the master: credentials and access control lists.

Every principal may register frameworks, reserve and create volumes for its own roles and what
lies under them, and give back what it reserved itself. The principal ``admin`` may do every
operator call. Everybody may read; agents register without a credential, on the loopback.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import LocalError
from .files import write_atomically
from .spec import ADMIN, ANY_ROLE

SECRET_BYTES = 24
ANYBODY = {"type": "ANY"}

# Actions on the roles of a principal, and on what it made itself: action -> name of the object.
ON_ROLES = ("register_frameworks", "reserve_resources", "create_volumes", "resize_volumes")
ON_OWN = {
    "unreserve_resources": "reserver_principals",
    "destroy_volumes": "creator_principals",
    "teardown_frameworks": "framework_principals",
}
READS = {
    "get_endpoints": "paths",
    "get_quotas": "roles",
    "view_roles": "roles",
    "view_frameworks": "users",
    "view_tasks": "users",
    "view_executors": "users",
    "view_flags": "flags",
    "access_sandboxes": "users",
    "access_mesos_logs": "logs",
    "get_maintenance_schedules": "machines",
    "get_maintenance_statuses": "machines",
    "register_agents": "agents",
}
OPERATIONS = {
    "update_quotas": "roles",
    "update_weights": "roles",
    "update_maintenance_schedules": "machines",
    "start_maintenances": "machines",
    "stop_maintenances": "machines",
    "drain_agents": "agents",
    "deactivate_agents": "agents",
    "reactivate_agents": "agents",
    "mark_agents_gone": "agents",
    "set_log_level": "level",
}


def build_acls(principals: Mapping[str, Sequence[str]], user: str) -> dict[str, Any]:
    """The master's ACLs. ``user`` is the only one as whom tasks may run.

    Mesos takes the first rule that matches; nothing matches: refused.
    """
    acls: dict[str, Any] = {"permissive": False}
    everyone = {"values": [*principals, ADMIN]}
    for action in ON_ROLES:
        acls[action] = [
            *({"principals": _one(name), "roles": _roles(r)} for name, r in principals.items()),
            {"principals": _one(ADMIN), "roles": ANYBODY},
        ]
    for action, owned in ON_OWN.items():
        acls[action] = [
            *({"principals": _one(name), owned: _one(name)} for name in principals),
            {"principals": _one(ADMIN), owned: ANYBODY},
        ]
    acls["run_tasks"] = [{"principals": everyone, "users": _one(user)}]
    for action, what in READS.items():
        acls[action] = [{"principals": ANYBODY, what: ANYBODY}]
    for action, what in OPERATIONS.items():
        acls[action] = [{"principals": _one(ADMIN), what: ANYBODY}]
    return acls


def _one(name: str) -> dict[str, Any]:
    return {"values": [name]}


def _roles(roles: Sequence[str]) -> dict[str, Any]:
    """A role and, by Mesos' ``role/%``, every role under it."""
    if ANY_ROLE in roles:
        return ANYBODY
    return {"values": [text for role in roles for text in (role, f"{role}/%")]}


def ensure_credentials(path: Path, principals: Sequence[str]) -> dict[str, str]:
    """The secret of each principal and of ``admin``; makes those that are missing.

    The file is in Mesos' form, for ``--credentials``, and only its owner may read it.
    """
    known = read_credentials(path) if path.exists() else {}
    wanted = {
        name: known.get(name) or secrets.token_urlsafe(SECRET_BYTES)
        for name in [*principals, ADMIN]
    }
    if wanted != known:
        records = [{"principal": name, "secret": secret} for name, secret in wanted.items()]
        write_atomically(path, json.dumps({"credentials": records}, indent=2) + "\n", mode=0o600)
    return wanted


def read_credentials(path: Path) -> dict[str, str]:
    """Principal -> secret from a file of Mesos' form. Raises LocalError when it is none."""
    try:
        records = json.loads(path.read_text())["credentials"]
        return {record["principal"]: record["secret"] for record in records}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LocalError(f"cannot read the credentials in {path}: {error}") from error
