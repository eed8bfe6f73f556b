"""Values as people read them, and views arranged as pages show them; pure functions."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml
from esaas.framework.core.errors import Fault
from esaas.framework.core.quota import QUOTA_RULES
from esaas.framework.core.validate import NEVER_OVERRIDDEN
from esaas.framework.service.views import ClusterDetail, EventView, NodeView, OperationView

NOWHERE = ""
# What a state means for somebody who looks: all is well, something goes on, or trouble.
_TONES = {
    "ready": "good", "running": "work", "starting": "work", "placing": "work", "planned": "idle",
    "restarting": "work", "launching": "work", "stopping": "work", "releasing": "work",
    "stopped": "idle", "down": "bad",
    "unreachable": "bad", "green": "good", "yellow": "warn", "red": "bad", "unknown": "idle",
    "done": "good", "held": "warn", "pending": "idle", "info": "idle", "warning": "warn",
    "error": "bad", "accepted": "good", "declined": "idle", "waiting": "idle", "failed": "bad",
}
# Colour is never the only sign: each tone has its own mark too.
_MARKS = {"good": "✓", "work": "◐", "warn": "!", "bad": "✕", "idle": "○"}
_RESTARTABLE = frozenset({"ready", "running", "starting"})
_HOLDABLE = frozenset({"ready", "running", "starting", "down"})
_REPLACEABLE = _HOLDABLE | {"unreachable"}
SWITCH_TITLES = {"allocation": "Allocation of shards", "rebalance": "Rebalancing",
                 "read_only": "Read-only"}
# What people may choose for each switch, and what it means.
SWITCHES = (
    ("allocation", (("none", "no shard gets a place"), ("new_primaries", "only new primaries do"),
                    ("primaries", "only primaries do"), ("all", "every shard does"))),
    ("rebalance", (("none", "no shard moves for balance"), ("primaries", "only primaries do"),
                   ("replicas", "only replicas do"), ("all", "every shard does"))),
    ("read_only", (("true", "every write is refused"), ("false", "writes are taken"))),
)
ROLE_TEXTS = {"viewer": "sees clusters", "operator": "changes clusters, too",
              "admin": "everything, users and tokens, too"}
OPERATIONS = {"flush": "Flush", "clear_cache": "Clear caches", "force_merge": "Force merge",
              "reroute_retry": "Retry failed allocations"}
RECORDED = OPERATIONS | {
    "move_shards": "Move shards", "snapshot": "Snapshot", "restore": "Restore",
    "restore_drill": "Restore drill", "put_repository": "Check the repository",
    "expire_snapshots": "Delete old snapshots", "merge_idle": "Merge idle indices",
    "roll_over": "Roll an alias over", "delete_indices": "Delete old indices",
    "raise_replicas": "Raise replicas", "release_blocks": "Release indices after a full disk"}
UNITS = ((86400, "day"), (3600, "h"), (60, "min"), (1, "s"))


def tone(state: str) -> str:
    """Which of good, work, warn, bad and idle a state is; unknown ones are idle."""
    return _TONES.get(state, "idle")


def mark(state: str) -> str:
    """A sign for a state that does not need colour."""
    return _MARKS[tone(state)]


def snapshot_tone(status: str) -> str:
    """As ``tone``, of a snapshot's state in Elasticsearch's words."""
    return {"SUCCESS": "good", "IN_PROGRESS": "work", "PARTIAL": "warn"}.get(status, "bad")


def snapshot_mark(status: str) -> str:
    """As ``mark``, of a snapshot's state."""
    return _MARKS[snapshot_tone(status)]


def step_tone(status: str) -> str:
    """As ``tone``, for steps and operations, where running means that work goes on."""
    return "work" if status == "running" else tone(status)


def step_mark(status: str) -> str:
    """As ``mark``, for steps and operations."""
    return _MARKS[step_tone(status)]


def number(value: float | None) -> str:
    """``12345`` as ``12,345``; a dash for None."""
    return "–" if value is None else f"{value:,.0f}"


def megabytes(value: float | None) -> str:
    """MB as MB, GB or TB with at most one decimal."""
    if value is None:
        return "–"
    for unit in ("MB", "GB", "TB"):
        if value < 1024 or unit == "TB":
            text = f"{value:,.1f}" if value < 100 and value != int(value) else f"{value:,.0f}"
            return f"{text} {unit}"
        value /= 1024
    raise AssertionError("TB is the last unit")


def exact_mb(value: float | None) -> str:
    """MB with every digit, for a title."""
    return "not known" if value is None else f"{value:,.0f} MB"


def duration(seconds: float) -> str:
    """Seconds in the largest unit that fits: ``5 min``, ``2 days``."""
    whole = max(0, int(seconds))
    for size, unit in UNITS:
        if whole >= size:
            count = whole // size
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return "0 s"


def ago(at: float, now: float) -> str:
    """How long ago a moment was."""
    return "just now" if now - at < 5 else f"{duration(now - at)} ago"


def ahead(at: float, now: float) -> str:
    """How far off a moment is."""
    return "now" if at - now < 1 else f"in {duration(at - now)}"


def iso(at: float) -> str:
    """Seconds since the epoch as ``2026-05-04T03:02:01Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def exact(at: float) -> str:
    """Seconds since the epoch for a title."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def share(done: float, total: float) -> int:
    """Whole percent; all done when there is nothing to do."""
    return 100 if total == 0 else int(done * 100 // total)


def port(address: str | None) -> str:
    """The port of ``host:port``."""
    return address.rsplit(":", 1)[-1] if address else "–"


def spec_text(spec: dict[str, Any]) -> str:
    """A spec as the YAML that somebody could send again."""
    return yaml.safe_dump(_plain(spec), sort_keys=False, allow_unicode=True, width=88)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


@dataclass(frozen=True, slots=True)
class Host:
    """A host with the nodes on it."""

    name: str
    nodes: tuple[NodeView, ...]


@dataclass(frozen=True, slots=True)
class Rack:
    """A rack with its hosts; the name is empty when agents have no rack."""

    name: str
    hosts: tuple[Host, ...]

    @property
    def nodes(self) -> int:
        """How many nodes are in the rack."""
        return sum(len(host.nodes) for host in self.hosts)


def by_rack(nodes: Iterable[NodeView]) -> tuple[list[Rack], list[NodeView]]:
    """Placed nodes by rack and host, and those that have no place yet."""
    placed: dict[str, dict[str, list[NodeView]]] = {}
    waiting = []
    for node in sorted(nodes, key=natural):
        if node.host is None:
            waiting.append(node)
        else:
            placed.setdefault(node.rack or NOWHERE, {}).setdefault(node.host, []).append(node)
    racks = [Rack(rack, tuple(Host(host, tuple(found)) for host, found in sorted(hosts.items())))
             for rack, hosts in sorted(placed.items())]
    return racks, waiting


def natural(node: NodeView) -> tuple[str, int, str]:
    """Sorts ``data-10`` behind ``data-9``."""
    head, _, tail = node.name.rpartition("-")
    return (head, int(tail), "") if tail.isdigit() else (node.name, -1, "")


def newest_first(events: Iterable[EventView]) -> list[EventView]:
    """Events as a page shows them."""
    return sorted(events, key=lambda event: -event.seq)


def curl(detail: ClusterDetail) -> str | None:
    """A command that asks the cluster for its health; None while no node answers."""
    urls = detail.endpoints.get("http") or []
    trust = "--cacert ca.crt -u elastic " if detail.secured else ""
    return f"curl {trust}'{urls[0]}/_cluster/health?pretty'" if urls else None


def state_counts(nodes: Iterable[NodeView]) -> list[tuple[str, int]]:
    """How many nodes are in each state, most first."""
    counts: dict[str, int] = {}
    for node in nodes:
        counts[node.state] = counts.get(node.state, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def differences(changes: Iterable[str]) -> list[tuple[str, str]]:
    """``path: old -> new`` as path and the rest."""
    return [(path, rest) for path, _, rest in (line.partition(": ") for line in changes)]


def refusing_rules(faults: Iterable[Fault]) -> list[str]:
    """The rules that refuse, each once, in order."""
    return list(dict.fromkeys(fault.rule for fault in faults if fault.rule))


def overridable(status: int, faults: Iterable[Fault], overridden: str,
                is_admin: bool = False) -> str:
    """The one rule that somebody may override to go on; empty when there is none.

    A request may override one rule only: several that refuse leave no way. A quota is for admins.
    """
    rules = refusing_rules(faults)
    if status == 422 and len(rules) == 1 and rules[0] in QUOTA_RULES:
        return rules[0] if is_admin and not overridden else ""
    if status != 409 or overridden or len(rules) != 1 or rules[0] in NEVER_OVERRIDDEN:
        return ""
    return rules[0]


def actions(node: NodeView) -> list[str]:
    """What people may do with a node, of restart, pause, continue, keep and replace."""
    if node.leaving:
        return ["keep"] if node.moving else []
    found = ["continue"] if node.paused else [
        *(["restart"] if node.state in _RESTARTABLE else []),
        *(["pause"] if node.state in _HOLDABLE and node.kind == "elasticsearch" else [])]
    return [*found, "replace"] if node.paused or node.state in _REPLACEABLE else found


def can_abandon(detail: ClusterDetail) -> bool:
    """Whether a change is under way that can be given up."""
    settled = detail.settled_revision
    return detail.goal != "delete" and settled is not None and settled < detail.revision


def because(reasons: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Reasons by node as nodes by reason, in order."""
    found: dict[str, list[str]] = {}
    for node, reason in reasons.items():
        found.setdefault(reason, []).append(node)
    return list(found.items())


def parameters(operation: OperationView) -> str:
    """The parameters of an operation as people read them."""
    def text(value: Any) -> str:
        return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return "; ".join(f"{name.replace('_', ' ')} {text(value)}"
                     for name, value in operation.parameters.items())


@dataclass(frozen=True, slots=True)
class File:
    """A configuration file of a spec; ``group`` is empty for those of every node."""

    path: str
    group: str
    source: str


def files(spec: Mapping[str, Any]) -> list[File]:
    """The files that a spec puts into configuration directories."""
    found = []
    for group, owner in [("", spec), *((one["name"], one) for one in spec.get("groups", ()))]:
        for one in owner.get("files") or ():
            source = one.get("url") or f"{len((one.get('content') or '').encode()):,} bytes"
            found.append(File(one["path"], group, source))
    return found


def tenants(names: Iterable[str] | None) -> str:
    """Somebody's tenants in words; None or "*" are all of them."""
    found = ["*"] if names is None else sorted(names)
    if found == ["*"]:
        return "all tenants"
    if not found:
        return "no tenant"
    return ("tenant " if len(found) == 1 else "tenants ") + ", ".join(found)
