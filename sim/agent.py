"""A simulated agent: its books, its tasks, and the executors that run Elasticsearch nodes.

Updates of a task go out one at a time and again until they are acknowledged, as Mesos does it
(Mesos documentation, "Task state update manager" and "Operation feedback").
"""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from esaas.framework.core.events import NodeFacts
from esaas.framework.core.operations import LaunchPayload
from esaas.framework.core.resources import Resource

from .books import Books

BAD_SETTING = "no.such.setting"     # no node of the simulation starts with it


class Phase(StrEnum):
    """Where a node's process is."""

    STAGING = "staging"
    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"


@dataclass(slots=True)
class Task:
    """A task, its executor and the process of its node."""

    id: str
    framework_id: str
    agent_id: str
    host: str
    resources: list[Resource]
    volume: str
    payload: LaunchPayload
    phase: Phase = Phase.STAGING
    state: str = "TASK_STAGING"
    due: float = 0.0                # when its phase ends
    up_since: float = 0.0
    joined: bool = False            # a member of its cluster
    seeds: int = 0

    @property
    def node(self) -> str:
        """The node's name."""
        return self.payload.node

    @property
    def serves(self) -> bool:
        """Whether Elasticsearch answers."""
        return (self.phase is Phase.UP and not self.payload.paused
                and self.payload.sidecar is None)

    @property
    def major(self) -> int:
        """The major version that it runs."""
        return int(self.payload.version.split(".")[0])

    def facts(self) -> NodeFacts:
        """What its executor says of it."""
        up = self.phase is Phase.UP and not self.payload.paused
        return NodeFacts(es_node_id=f"es-{self.volume}" if up else None, pid=4000 if up else None,
                         version=self.payload.version, serving=up, paused=self.payload.paused)


@dataclass(frozen=True, slots=True)
class Update:
    """One update of a task or an operation; ``uuid`` is what is acknowledged."""

    uuid: int
    framework_id: str
    subject: str                    # task id or operation id
    status: str
    is_task: bool
    agent_id: str
    facts: NodeFacts | None = None
    message: str = ""

    @property
    def terminal(self) -> bool:
        """Whether none comes after it."""
        return self.status not in ("TASK_STARTING", "TASK_RUNNING", "TASK_KILLING")


@dataclass(slots=True)
class Agent:
    """One agent and its machine."""

    number: int
    id: str
    host: str
    ip: str
    attributes: dict[str, str]
    idle: Books
    tasks: dict[str, Task] = field(default_factory=dict)
    streams: dict[str, deque[Update]] = field(default_factory=dict)
    sent_at: dict[str, float] = field(default_factory=dict)
    cut_at: float | None = None     # the master does not hear of it since then
    noticed: bool = False           # ... and has seen that, so nothing of it is on offer
    unreachable: bool = False       # ... and has said so
    returns_at: float = 0.0
    returns_as_new: bool = False
    void: list[Update] = field(default_factory=list)    # what it is told if it comes back

    @property
    def registered(self) -> bool:
        """Whether the master hears of it."""
        return self.cut_at is None

    def push(self, update: Update) -> None:
        """One more update to deliver."""
        self.streams.setdefault(update.subject, deque()).append(update)

    def acknowledged(self, uuid: int) -> bool:
        """The first update of a stream has arrived; the next one may go."""
        for subject, stream in self.streams.items():
            if stream and stream[0].uuid == uuid:
                stream.popleft()
                self.sent_at.pop(subject, None)
                if not stream:
                    del self.streams[subject]
                return True
        return False

    def end(self, task: Task) -> None:
        """A task is gone; what it used is idle again."""
        del self.tasks[task.id]
        self.idle.add(task.resources)


def start_s(rng: Random) -> float:
    """How long a node takes to start."""
    return rng.choice((2, 3, 3, 4, 5, 8))


def stop_s(rng: Random) -> float:
    """How long a node takes to stop."""
    return rng.choice((1, 1, 2, 3))
