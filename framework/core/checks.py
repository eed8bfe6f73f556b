"""The last look at operations before they are stored and sent: what must never leave the house."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from .errors import InvariantBroken
from .events import ReleaseIntended
from .facts import LABEL_NODE, LABEL_UID, ClusterState
from .operations import (
    Accept,
    Create,
    Decline,
    Destroy,
    Launch,
    Operation,
    Reserve,
    Teardown,
    Unreserve,
)


def breaches(state: ClusterState, operations: Sequence[Operation]) -> Iterator[str]:
    """Every operation that is not allowed on this state."""
    answered: set[str] = set()
    for operation in operations:
        if isinstance(operation, Teardown) and (not state.deleting or state.nodes):
            yield "TEARDOWN of a framework that is not empty or not to be deleted"
        if not isinstance(operation, (Accept, Decline)):
            continue
        twice = answered & set(operation.offer_ids)
        if twice:
            yield f"offers answered twice: {', '.join(sorted(twice))}"
        answered |= set(operation.offer_ids)
        if isinstance(operation, Decline):
            continue
        if not operation.intents:
            yield f"an ACCEPT on agent {operation.agent_id} that records no intent"
        yield from _accept(state, operation)


def _accept(state: ClusterState, accept: Accept) -> Iterator[str]:
    retiring = {intent.node for intent in accept.intents if isinstance(intent, ReleaseIntended)}
    retiring |= {orphan.node for orphan in state.orphans.values() if orphan.released}
    launched: set[str] = set()
    for step in accept.steps:
        if isinstance(step, Launch):
            if step.task_id in launched:
                yield f"task {step.task_id} launched twice"
            launched.add(step.task_id)
            continue
        resources = step.resources if isinstance(step, (Reserve, Unreserve)) else step.volumes
        for resource in resources:
            labels = resource.labels
            if labels.get(LABEL_UID) != state.identity.uid:
                yield f"{type(step).__name__} of a resource that is not this cluster's"
            if isinstance(step, Destroy) and not (
                    labels.get(LABEL_NODE) in retiring or state.deleting):
                yield f"DESTROY of {labels.get(LABEL_NODE)}'s volume without a decommission"
            if isinstance(step, (Create, Destroy)) and not (
                    resource.disk and resource.disk.persistence_id):
                yield f"{type(step).__name__} of a disk that is no volume"


def check_operations(state: ClusterState, operations: Sequence[Operation]) -> None:
    """Raise InvariantBroken with every breach."""
    found = list(breaches(state, operations))
    if found:
        raise InvariantBroken(f"cluster {state.identity.name}: " + "; ".join(found))
