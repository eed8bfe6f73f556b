"""The life of a node as a table: anything that is not in it raises."""
from __future__ import annotations

from enum import StrEnum

from .errors import InvalidTransition
from .facts import ALIVE, NodeRecord, NodeState

S = NodeState


class Trigger(StrEnum):
    """What moves a node from one state to another."""

    PLACE = "place"
    SEAT_FOUND = "seat found"
    LAUNCH = "launch"
    TASK_STARTING = "task starting"
    TASK_RUNNING = "task running"
    TASK_UNREACHABLE = "task unreachable"
    TASK_ENDED = "task ended"
    NEVER_WAS = "never was"             # nothing of an ACCEPT came about
    STOP = "stop"
    RESTART = "restart"
    RELEASE = "release"
    RELEASE_FAILED = "release failed"


T = Trigger
_STARTED = (S.PLACING, S.LAUNCHING, S.STARTING, S.UNREACHABLE)

TRANSITIONS: dict[tuple[NodeState, Trigger], NodeState] = {
    (S.PLANNED, T.PLACE): S.PLACING,
    (S.DOWN, T.LAUNCH): S.LAUNCHING,
    # The seat of a node is offered: whatever we thought, no task is on it.
    **{(state, T.SEAT_FOUND): S.DOWN for state in (S.PLANNED, S.DOWN, *ALIVE - {S.STOPPING})},
    (S.STOPPING, T.SEAT_FOUND): S.STOPPED,
    (S.STOPPED, T.SEAT_FOUND): S.STOPPED,
    (S.RELEASING, T.SEAT_FOUND): S.STOPPED,
    **{(state, T.TASK_STARTING): S.STARTING for state in _STARTED},
    (S.RUNNING, T.TASK_STARTING): S.RUNNING,             # late
    (S.STOPPING, T.TASK_STARTING): S.STOPPING,
    **{(state, T.TASK_RUNNING): S.RUNNING for state in (*_STARTED, S.RUNNING)},
    (S.STOPPING, T.TASK_RUNNING): S.STOPPING,
    **{(state, T.TASK_UNREACHABLE): S.UNREACHABLE for state in ALIVE - {S.STOPPING}},
    (S.STOPPING, T.TASK_UNREACHABLE): S.STOPPING,
    **{(state, T.TASK_ENDED): S.DOWN for state in ALIVE - {S.STOPPING}},
    (S.DOWN, T.TASK_ENDED): S.DOWN,                      # again
    (S.RUNNING, T.RESTART): S.RESTARTING,
    (S.STARTING, T.RESTART): S.RESTARTING,
    (S.RESTARTING, T.TASK_STARTING): S.RESTARTING,
    (S.RESTARTING, T.TASK_RUNNING): S.RESTARTING,
    (S.STOPPING, T.TASK_ENDED): S.STOPPED,
    (S.STOPPED, T.TASK_ENDED): S.STOPPED,
    (S.RELEASING, T.TASK_ENDED): S.RELEASING,
    # Also of one that the master alone knew: its agent never heard of it.
    **{(state, T.NEVER_WAS): S.PLANNED for state in (S.PLACING, S.STARTING, S.UNREACHABLE)},
    **{(state, T.STOP): S.STOPPING for state in ALIVE},
    (S.DOWN, T.STOP): S.STOPPED,
    (S.STOPPED, T.RELEASE): S.RELEASING,
    (S.RELEASING, T.RELEASE_FAILED): S.STOPPED,
}


def move(record: NodeRecord, trigger: Trigger) -> NodeState:
    """The state a node goes to; InvalidTransition with its story when it may not."""
    target = TRANSITIONS.get((record.state, trigger))
    if target is None:
        raise InvalidTransition(
            f"node {record.name} is {record.state} (incarnation {record.incarnation}, launch "
            f"{record.launch}, since {record.since:.0f}: {record.message or 'no message'}) "
            f"and cannot take '{trigger}'")
    return target
