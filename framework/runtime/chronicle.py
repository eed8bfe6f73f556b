"""What people are told: differences between two states, in sentences."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..core.facts import ClusterState, NodeRecord, NodeState, Tls

S = NodeState


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a cluster's history."""

    kind: str
    message: str
    level: str = "info"
    node: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


def tell(old: ClusterState, new: ClusterState) -> Iterator[Told]:
    """What happened between two states of one cluster."""
    yield from _tell_cluster(old, new)
    yield from _tell_health(old, new)
    for name, record in new.nodes.items():
        before = old.nodes.get(name)
        if before is None:
            yield Told("node_planned", f"{name} is wanted in group {record.group}", node=name)
        elif before is not record:
            yield from _tell_node(before, record)
        if not (before and old.is_ready(before)) and new.is_ready(record):
            yield Told("node_ready", f"{name} is a member of the cluster", node=name)
    for name in old.nodes.keys() - new.nodes.keys():
        yield Told("node_gone", f"nothing of {name} is left on Mesos", node=name)


def _tell_cluster(old: ClusterState, new: ClusterState) -> Iterator[Told]:
    if new.link.connected and not old.link.connected:
        yield Told("registered", f"registered with Mesos as {new.identity.framework_id}")
    if old.link.connected and not new.link.connected:
        yield Told("disconnected", "the connection to the Mesos master is gone", "warning")
    if new.link.error and new.link.error != old.link.error:
        yield Told("refused", f"Mesos refuses the scheduler: {new.link.error}", "error")
    if new.identity.framework_id != old.identity.framework_id and old.identity.framework_id:
        yield Told("framework_renewed", f"people want another framework than the one that was "
                   f"removed: {new.identity.framework_id}", "warning")
    if new.revision != old.revision:
        counts = ", ".join(f"{group.name} {group.count}" for group in new.spec.groups)
        back = old.settled is not None and new.spec == old.settled[1]
        again = f", as revision {old.settled[0]}" if back and old.settled is not None else ""
        yield Told("revision", f"revision {new.revision} is wanted{again}: {counts}",
                   details={"revision": new.revision})
    if new.seeds.log_urls != old.seeds.log_urls:
        into = ", ".join(new.seeds.log_urls)
        yield Told("logs_aimed", f"logs are shipped to {into}" if into else
                   "logs are shipped no more")
    for name, scaled in new.scaled.items():
        if scaled.by and scaled.why and old.scaled.get(name) != scaled:
            yield Told("autoscaled", f"{name}: {scaled.count_before} nodes become {scaled.count}, "
                       f"by {scaled.by}: {scaled.why}", details={
                           "group": name, "count": scaled.count, "by": scaled.by})
    if new.setback and new.setback != old.setback:
        yield Told("change_failed", new.setback, "error")
    if new.bootstrap.cluster_uuid and not old.bootstrap.cluster_uuid:
        yield Told("formed", "the cluster has formed for the first time",
                   details={"cluster_uuid": new.bootstrap.cluster_uuid})
    if new.deleting and not old.deleting:
        yield Told("deleting", "the cluster is to go, with all its volumes", "warning")
    if new.removed and not old.removed:
        yield Told("removed", "nothing is left: the framework is deregistered")
    if new.paused != old.paused:
        yield Told("paused" if new.paused else "continued",
                   "the change is paused" if new.paused else "the change goes on")
    yield from _tell_operating(old, new)
    yield from _tell_hosts(old, new)
    if new.held_allocation is not None and old.held_allocation is None:
        yield Told("allocation_held", "allocation is held at primaries for a restart")
    if new.held_allocation is None and old.held_allocation is not None:
        yield Told("allocation_restored", "allocation is as it was before")
    for task_id in new.link.strangers.keys() - old.link.strangers.keys():
        yield Told("stranger", f"task {task_id} belongs to no node and is stopped", "warning")


def _tell_hosts(old: ClusterState, new: ClusterState) -> Iterator[Told]:
    """Maintenance, and what is reserved and not needed."""
    for host, plan in new.maintenance.items():
        if old.maintenance.get(host) != plan:
            what = "stopped meanwhile" if plan.mode == "stop" else "moved away"
            yield Told("host_leaves", f"{host} is to go for maintenance ({plan.source}): nodes are "
                       f"{what}", "warning", details={"host": host, "begins": plan.begins,
                                                      "ends": plan.ends, "mode": plan.mode})
    for host in old.maintenance.keys() - new.maintenance.keys():
        yield Told("host_back", f"the maintenance of {host} is over", details={"host": host})
    for key, orphan in new.orphans.items():
        if key not in old.orphans:
            what = "volume" if orphan.volume else "reservation"
            yield Told("orphan_seen", f"a {what} of {orphan.node} on {orphan.host} belongs to no "
                       "node", "warning", details={"orphan": key, "host": orphan.host})


def _tell_operating(old: ClusterState, new: ClusterState) -> Iterator[Told]:
    """Canaries, switches, errands and secure settings."""
    if new.canary is not None and new.canary != old.canary:
        yield Told("canary", f"{new.canary.node} goes first with revision {new.revision}",
                   node=new.canary.node)
    if new.approved != old.approved:
        yield Told("approved", f"revision {new.approved} goes on after its first node")
    if new.settled is not None and new.settled != old.settled:
        yield Told("settled", f"revision {new.settled[0]} is in force on every node")
    for name, switch in new.switches.items():
        before = old.switches.get(name)
        if before is None or (before.value, before.until) != (switch.value, switch.until):
            yield Told("switch_set", f"{name} is to be {switch.value}", "warning",
                       details={"switch": name, "value": switch.value, "until": switch.until})
    for name in old.switches.keys() - new.switches.keys():
        yield Told("switch_restored", f"{name} is as it was before", details={"switch": name})
    known = {item.id: item for item in old.errands}
    for item in new.errands:
        status = known[item.id].status if item.id in known else None
        if item.status != status and item.status != "running":
            level = "warning" if item.status == "failed" else "info"
            yield Told(f"operation_{item.status}", f"{item.kind} is {item.status}"
                       + (f": {item.message}" if item.message else ""), level,
                       details={"operation": item.id, **dict(item.parameters)})
    changed = sorted(key for key in {*old.secrets, *new.secrets}
                     if old.secrets.get(key) != new.secrets.get(key))
    if changed:
        yield Told("secrets_changed", f"secure settings were set or taken out: "
                   f"{', '.join(changed)}")
    if new.tls is not None and old.tls is not None:
        yield from _tell_tls(old.tls, new.tls)


def _tell_tls(old: Tls, new: Tls) -> Iterator[Told]:
    if new.generation != old.generation:
        yield Told("certificates_rotated", "every node is to get a new certificate "
                   f"(generation {new.generation})",
                   details={"generation": new.generation})
    if new.shown_at != old.shown_at:
        yield Told("credentials_shown", "somebody was told the password of elastic", "warning")


def _tell_health(old: ClusterState, new: ClusterState) -> Iterator[Told]:
    before = old.es.health if old.es is not None else "unknown"
    after = new.es.health if new.es is not None else "unknown"
    if before != after:
        level = {"green": "info", "yellow": "warning"}.get(after, "error")
        yield Told("health", f"health went from {before} to {after}", level)


_KINDS = {
    S.PLACING: "node_placing", S.LAUNCHING: "node_launching", S.STARTING: "node_starting",
    S.RUNNING: "node_running", S.UNREACHABLE: "node_unreachable", S.DOWN: "node_down",
    S.RESTARTING: "node_restarting", S.STOPPING: "node_stopping", S.STOPPED: "node_stopped",
    S.RELEASING: "node_releasing", S.PLANNED: "node_planned"}
_LEVELS = {S.UNREACHABLE: "warning", S.DOWN: "warning"}


def _tell_node(old: NodeRecord, new: NodeRecord) -> Iterator[Told]:
    if new.leaving and not old.leaving:
        yield Told("node_leaving", f"{new.name} is to leave: {new.leaving}", node=new.name)
    if set(new.forced) - set(old.forced):
        gates = ", ".join(sorted(set(new.forced) - set(old.forced)))
        yield Told("gate_forced", f"people go past {gates} with {new.name}", "warning", new.name,
                   {"gates": gates})
    if new.held is not old.held:
        yield Told("node_held" if new.held else "node_released_from_debugging",
                   f"{new.name} is {'to be held' if new.held else 'no longer held'} for debugging",
                   node=new.name)
    if old.leaving and not new.leaving:
        yield Told("node_stays", f"{new.name} stays after all", node=new.name)
    if old.state is new.state:
        return
    where = f" on {new.seat.host}" if new.seat is not None else ""
    text = f"{new.name} is {new.state}{where}"
    if new.message:
        text += f": {new.message}"
    failed = new.state is S.PLANNED and old.state is S.PLACING
    yield Told(_KINDS[new.state], text, "warning" if failed else _LEVELS.get(new.state, "info"),
               new.name, {"from": str(old.state), "to": str(new.state),
                          "incarnation": new.incarnation, "launch": new.launch})
