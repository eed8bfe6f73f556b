"""What people want over time, by the same checks as in the service.

A script of one cluster is made of its seed. People look at what there is, ask for something, and
are refused as the service would refuse them; when a crash has swallowed a wish they let it be. At
the end they take back what would hold a change for ever: pauses, debugging, a bad setting, and the
maintenance of hosts.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from esaas.framework.core import events as ev
from esaas.framework.core.errors import EsaasError
from esaas.framework.core.facts import ClusterState, HostPlan, NodeRecord, NodeState
from esaas.framework.core.gates import FORCIBLE
from esaas.framework.core.maintenance import MOVE, PEOPLE, STOP
from esaas.framework.core.plan import diff
from esaas.framework.core.spec import ClusterSpec, SpecFaults, parse_spec
from esaas.framework.service import change

from .agent import BAD_SETTING

STATIC, LIVE = "indices.memory.index_buffer_size", "indices.recovery.max_bytes_per_sec"
Wish = Callable[[ClusterState, Random, float], "list[ev.Event]"]


def wanted(state: ClusterState, now: float, body: dict[str, Any]) -> list[ev.Event]:
    """A new revision, if the service would take it."""
    try:
        new = parse_spec(body)
    except SpecFaults:
        return []
    if new == state.spec or state.deleting or change.refusals(state, new):
        return []
    return [ev.SpecAccepted(now, state.revision + 1, new)]


def _body(state: ClusterState) -> dict[str, Any]:
    return state.spec.model_dump(mode="json")


def _some_group(body: dict[str, Any], rng: Random, role: str = "") -> dict[str, Any]:
    found = [group for group in body["groups"] if group["kind"] == "elasticsearch"
             and (not role or role in group["roles"])]
    chosen: dict[str, Any] = rng.choice(found)
    return chosen


def _some_node(state: ClusterState, rng: Random) -> NodeRecord | None:
    found = [record for _, record in sorted(state.nodes.items())
             if record.state is not NodeState.PLANNED]
    return rng.choice(found) if found else None


def scale_out(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """More nodes."""
    body = _body(state)
    _some_group(body, rng)["count"] += rng.choice((1, 1, 2))
    return wanted(state, now, body)


def scale_in(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """Fewer nodes."""
    body = _body(state)
    group = _some_group(body, rng)
    group["count"] = max(group["count"] - rng.choice((1, 1, 2)), 0)
    return wanted(state, now, body)


def setting(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """A setting that takes a restart."""
    body = _body(state)
    body["settings"] |= {STATIC: f"{rng.randint(5, 40)}%"}
    return wanted(state, now, body)


def live_setting(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """A setting that takes none, or no such setting any more."""
    body = _body(state)
    if LIVE in body["settings"] and rng.random() < 0.5:
        del body["settings"][LIVE]
    else:
        body["settings"] |= {LIVE: f"{rng.randint(10, 90)}mb"}
    return wanted(state, now, body)


def bad_setting(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """A setting that no node starts with."""
    body = _body(state)
    body["settings"] |= {BAD_SETTING: "1"}
    return wanted(state, now, body)


def memory(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """Larger or smaller nodes."""
    body = _body(state)
    _some_group(body, rng)["mem_mb"] = rng.choice((512, 768, 1024, 1536))
    return wanted(state, now, body)


def disk(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """Larger disks: another volume for each node."""
    body = _body(state)
    group = _some_group(body, rng)
    if group["disk_type"] != "MOUNT":
        group["disk_mb"] += rng.choice((200, 500))
    return wanted(state, now, body)


def strategy(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """Another way for changes to go."""
    body = _body(state)
    body["change"] |= {"strategy": rng.choice(("serial", "parallel", "canary")),
                       "max_extra": rng.choice((0, 1, 2))}
    return wanted(state, now, body)


def upgrade(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """To the next major."""
    return wanted(state, now, _body(state) | {"version": "7.17.29"})


def restart(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """One node, or all."""
    names = sorted(state.nodes)
    if state.deleting or not names:
        return []
    chosen = names if rng.random() < 0.3 else [rng.choice(names)]
    return [ev.RestartAsked(now, name) for name in chosen]


def replace_node(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """Another node in place of one."""
    record = _some_node(state, rng)
    if state.deleting or record is None or change.replace_refusals(state, record):
        return []
    return [ev.ReplaceAsked(now, record.name)]


def keep_node(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """A replacement taken back."""
    moving = sorted(name for name, record in state.nodes.items()
                    if record.moving and not record.retire)
    return [ev.KeepAsked(now, rng.choice(moving))] if moving else []


def pause(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """No further step for now."""
    return [] if state.paused else [ev.Paused(now, True)]


def go_on(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """The end of a pause; a canary is approved by it."""
    found: list[ev.Event] = [ev.Paused(now, False)] if state.paused else []
    if state.canary is not None and state.canary.revision > state.approved:
        found.append(ev.ChangeApproved(now, state.revision))
    return found


def abandon(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """Back to what was in force."""
    if state.settled is None:
        return []
    return wanted(state, now, state.settled[1].model_dump(mode="json"))


def hold(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """A node stopped for debugging."""
    record = _some_node(state, rng)
    if state.deleting or record is None or record.leaving or record.retire or (
            state.is_sidecar(record)):
        return []
    return [ev.NodeHeld(now, record.name, not record.held)]


def force(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """Past a gate that holds a node."""
    found = [(step.node, answer.name) for step in diff(state, now).steps if step.node
             and step.node in state.nodes for answer in step.gates
             if not answer.ok and answer.name in FORCIBLE]
    return [ev.GateForced(now, *rng.choice(found))] if found else []


def begin_anew(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """A step that hangs, once more."""
    found = [step.node for step in diff(state, now).steps
             if step.can_restart and step.node in state.nodes]
    return [ev.StepRestarted(now, rng.choice(found) or "")] if found else []


def switch(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """A setting for a while."""
    if state.deleting or state.bootstrap.cluster_uuid is None:
        return []
    name, value = rng.choice((("allocation", "none"), ("allocation", "primaries"),
                              ("rebalance", "none"), ("read_only", "true")))
    return [ev.SwitchSet(now, name, value, now + rng.randint(20, 90))]


def errand(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """Something done once."""
    if state.deleting or state.bootstrap.cluster_uuid is None:
        return []
    kind = rng.choice(("flush", "clear_cache", "reroute_retry"))
    return [ev.ErrandAsked(now, f"errand-{now:.0f}", kind)]


def drain_host(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """A host is to go, for a while or without an end."""
    hosts = sorted({record.seat.host for record in state.nodes.values()
                    if record.seat is not None} - state.maintenance.keys())
    if state.deleting or not hosts:
        return []
    begins = now + rng.choice((0, 0, 30))
    ends = rng.choice((None, begins + rng.randint(40, 200), begins + 5000))
    mode = rng.choice((MOVE, STOP)) if ends is not None else MOVE
    return [ev.HostLeaves(now, rng.choice(hosts), HostPlan(now, begins, ends, PEOPLE, mode))]


def restore_host(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """A host stays, or is back."""
    hosts = _drained(state)
    return [ev.HostBack(now, rng.choice(hosts))] if hosts else []


def _drained(state: ClusterState) -> list[str]:
    return sorted(host for host, plan in state.maintenance.items() if plan.source == PEOPLE)


def delete(state: ClusterState, rng: Random, now: float) -> list[ev.Event]:
    """The whole cluster, with its volumes."""
    return [] if state.deleting else [ev.DeleteAccepted(now)]


# Each with its weight.
WISHES: Mapping[Wish, float] = {
    scale_out: 4, scale_in: 4, setting: 4, live_setting: 2, bad_setting: 1, memory: 2, disk: 2,
    strategy: 1, upgrade: 1.5, restart: 2, replace_node: 3, keep_node: 1, pause: 1, go_on: 1.5,
    abandon: 1, hold: 1, force: 1, begin_anew: 1, switch: 2, errand: 1,
    drain_host: 2.5, restore_host: 1.5, delete: 0.4}


class People:
    """Those who own one cluster."""

    def __init__(self, rng: Random, every_s: int, now: float) -> None:
        self.rng, self.every_s = rng, every_s
        self.next_at = now + rng.randint(5, 60)
        self.told: list[str] = []

    def ask(self, state: ClusterState, now: float) -> list[ev.Event]:
        """What they ask for now; nothing most of the time."""
        if now < self.next_at:
            return []
        self.next_at = now + self.rng.randint(self.every_s // 3, 2 * self.every_s)
        wish = self.rng.choices(list(WISHES), list(WISHES.values()))[0]
        try:
            found = wish(state, self.rng, now)
        except EsaasError:
            return []
        if found:
            self.told.append(wish.__name__)
        return found

    def settle(self, state: ClusterState, now: float) -> list[ev.Event]:
        """Take back what would hold things for ever."""
        if state.deleting:
            return []
        found = go_on(state, self.rng, now)
        found += [ev.NodeHeld(now, name, False) for name, record in sorted(state.nodes.items())
                  if record.held]
        found += [ev.SwitchBack(now, name) for name, item in sorted(state.switches.items())
                  if not item.restoring]
        found += [ev.HostBack(now, host) for host in _drained(state)]
        body = _body(state)
        body["settings"].pop(BAD_SETTING, None)
        moving = sum(record.moving for record in state.nodes.values())
        body["change"]["max_extra"] = max(state.spec.change.max_extra, moving)
        return found + wanted(state, now, body)


def shards_of(spec: ClusterSpec, rng: Random) -> list[tuple[str, int]]:
    """(id, replicas) of the shards of the indices that people create."""
    found = []
    for index in range(rng.randint(1, 2)):
        replicas = spec.default_replicas if rng.random() < 0.9 else 0
        found += [(f"index-{index}/{number}", replicas) for number in range(rng.randint(1, 3))]
    return found
