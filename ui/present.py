"""Values as people read them, and views arranged as pages show them; pure functions."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml
from esaas.framework.core.errors import Fault
from esaas.framework.core.validate import NEVER_OVERRIDDEN
from esaas.framework.service.views import ClusterDetail, EventView, NodeView

NOWHERE = ""
# What a state means for somebody who looks: all is well, something goes on, or trouble.
_TONES = {
    "ready": "good", "running": "work", "starting": "work", "placing": "work", "planned": "idle",
    "restarting": "work", "launching": "work", "stopping": "work", "releasing": "work",
    "stopped": "idle", "down": "bad",
    "unreachable": "bad", "green": "good", "yellow": "warn", "red": "bad", "unknown": "idle",
    "done": "good", "held": "warn", "pending": "idle", "info": "idle", "warning": "warn",
    "error": "bad", "accepted": "good", "declined": "idle",
}
# Colour is never the only sign: each tone has its own mark too.
_MARKS = {"good": "✓", "work": "◐", "warn": "!", "bad": "✕", "idle": "○"}
RESTARTABLE = frozenset({"ready", "running", "starting"})
UNITS = ((86400, "day"), (3600, "h"), (60, "min"), (1, "s"))


def tone(state: str) -> str:
    """Which of good, work, warn, bad and idle a state is; unknown ones are idle."""
    return _TONES.get(state, "idle")


def mark(state: str) -> str:
    """A sign for a state that does not need colour."""
    return _MARKS[tone(state)]


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


def iso(at: float) -> str:
    """Seconds since the epoch as ``2026-05-04T03:02:01Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def exact(at: float) -> str:
    """Seconds since the epoch for a title."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def share(done: int, total: int) -> int:
    """Whole percent; all done when there is nothing to do."""
    return 100 if total == 0 else done * 100 // total


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
    return f"curl '{urls[0]}/_cluster/health?pretty'" if urls else None


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


def overridable(status: int, faults: Iterable[Fault], overridden: str) -> str:
    """The one rule that somebody may override to go on; empty when there is none.

    A request may override one rule only: several that refuse leave no way.
    """
    rules = refusing_rules(faults)
    if status != 409 or overridden or len(rules) != 1 or rules[0] in NEVER_OVERRIDDEN:
        return ""
    return rules[0]
