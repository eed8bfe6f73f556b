"""What must hold in every state, whatever happens; checked in tests, simulator and production.

Each check yields a sentence per breach. ``docs/invariants.md`` lists them for people.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from .errors import InvariantBroken
from .facts import ALIVE, ClusterState, NodeState

S = NodeState


def seated_when_alive(state: ClusterState) -> Iterator[str]:
    """A node that may have a process, or a volume, has a seat."""
    for record in state.nodes.values():
        if record.state is not S.PLANNED and record.seat is None:
            yield f"{record.name} is {record.state} without a seat"


def destroyed_only_when_retired(state: ClusterState) -> Iterator[str]:
    """DESTROY only on an explicit decommission."""
    for record in state.nodes.values():
        if record.state in (S.STOPPING, S.STOPPED, S.RELEASING) and not record.retire:
            yield f"{record.name} is {record.state} without having been retired"


def ports_are_apart(state: ClusterState) -> Iterator[str]:
    """No two nodes of the cluster share a port on an agent."""
    seen = Counter((record.seat.agent_id, port) for record in state.nodes.values()
                   if record.seat is not None
                   for port in (record.seat.http_port, record.seat.transport_port))
    for (agent_id, port), count in seen.items():
        if count > 1:
            yield f"port {port} on agent {agent_id} is held {count} times"


def host_limit(state: ClusterState) -> Iterator[str]:
    """At most the allowed nodes of a cluster on a host, counted per the loosest group there."""
    on_host: dict[str, list[int]] = {}
    for record in state.nodes.values():
        group = state.group_of(record)
        counts = group is not None and not group.is_sidecar and not record.retire
        if record.seat is not None and group is not None and counts:
            on_host.setdefault(record.seat.host, []).append(state.spec.max_per_host(group))
    for host, limits in on_host.items():
        if len(limits) > max(limits):
            yield f"{host} has {len(limits)} nodes, at most {max(limits)} are allowed"


def one_founding(state: ClusterState) -> Iterator[str]:
    """The founding masters are among the founding nodes and never change once known."""
    strangers = set(state.bootstrap.masters) - set(state.bootstrap.nodes)
    if strangers:
        yield f"founding masters that are no founding nodes: {', '.join(sorted(strangers))}"


def operations_have_a_flight(state: ClusterState) -> Iterator[str]:
    """Operations are awaited only while something of the node is on its way or alive."""
    for record in state.nodes.values():
        if record.operations and record.state in (S.PLANNED, S.STOPPED):
            yield f"{record.name} is {record.state} and awaits {', '.join(record.operations)}"


def removed_means_empty(state: ClusterState) -> Iterator[str]:
    """The framework is torn down only when no node is left."""
    if state.removed and (state.nodes or not state.deleting):
        yield f"removed, but {len(state.nodes)} nodes are left, deleting is {state.deleting}"


def names_match(state: ClusterState) -> Iterator[str]:
    """A record stands under its own name; counters never fall below the first start."""
    for name, record in state.nodes.items():
        if name != record.name:
            yield f"{record.name} stands under {name}"
        if record.state in ALIVE and (record.incarnation < 1 or record.launch < 1):
            yield f"{name} is {record.state} as incarnation {record.incarnation}"


CHECKS: tuple[Callable[[ClusterState], Iterator[str]], ...] = (
    seated_when_alive, destroyed_only_when_retired, ports_are_apart, host_limit, one_founding,
    operations_have_a_flight, removed_means_empty, names_match)


def breaches(state: ClusterState) -> list[str]:
    """Every breach as ``check: sentence``."""
    return [f"{check.__name__}: {found}" for check in CHECKS for found in check(state)]


def check(state: ClusterState) -> None:
    """Raise InvariantBroken with every breach."""
    found = breaches(state)
    if found:
        raise InvariantBroken(f"cluster {state.identity.name}: " + "; ".join(found))
