"""One cluster's real cycle and real store on a stand-in Mesos, a tick at a time.

A tick is a second: events and offers go in, the turn is stored, its operations are sent. A world
can crash at any arrow of the loop and starts again from its store alone.
"""
from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from esaas.framework.core import events as ev
from esaas.framework.core import invariants
from esaas.framework.core.facts import ClusterState, Identity, NodeState
from esaas.framework.core.plan import founded
from esaas.framework.core.spec import ClusterSpec, parse_spec
from esaas.framework.runtime.cycle import Cycle
from esaas.framework.store.sqlite import SqliteStore

from .standin_mesos import StandInMesos

ARROWS = ("before-commit", "after-commit", "mid-send", "after-send")


class Crash(Exception):
    """The service dies here."""


def spec(count: int = 3, **more: Any) -> ClusterSpec:
    """A cluster like the demo's."""
    body = {"name": "demo", "tenant": "acme", "version": "6.8.23", "groups": [
        {"name": "node", "count": count, "roles": ["master", "data"], "mem_mb": 1024,
         "disk_mb": 2000}]}
    return parse_spec(body | more)


class World:
    """A cluster, its store, and the stand-in around it."""

    def __init__(self, directory: Path, wanted: ClusterSpec | None = None,
                 agents: int = 4) -> None:
        self.directory = directory
        self.now = 1000.0
        self.mesos = StandInMesos()
        for number in range(1, agents + 1):
            self.mesos.add_agent(number)
        self.store = SqliteStore(directory)
        lease = self.store.acquire("demo", "test")
        state = founded(Identity("demo", "acme", "uid1", self.now, "acme"), wanted or spec())
        self.cycle = Cycle.create(self.store, lease, state, self.now)
        self.sent: list[str] = []
        self.unacknowledged: list[ev.Event] = []
        self.arrow: Callable[[str], None] = lambda name: None
        self.crashes = 0
        self.wake_at = math.inf
        self.mesos.register(self.now)

    @property
    def state(self) -> ClusterState:
        return self.cycle.state

    def crash_at(self, arrow: str, nth: int) -> None:
        """Let the service die at the nth pass of an arrow of its loop, once."""
        passes = itertools.count(1)

        def crash(name: str) -> None:
            if name == arrow and next(passes) == nth:
                raise Crash

        self.arrow = crash

    def states(self) -> dict[str, str]:
        """Node name to state; ``ready`` for members."""
        return {name: "ready" if self.state.is_ready(record) else record.state.value
                for name, record in self.state.nodes.items()}

    def busy(self) -> bool:
        """Whether the loop looks at Elasticsearch often, because something goes on."""
        return math.isfinite(self.wake_at) or not all(
            state == "ready" for state in self.states().values())

    def tick(self, *events: ev.Event) -> None:
        """One second: a crash anywhere is survived by starting again."""
        self.now += 1
        try:
            self._turn([*events])
        except Crash:
            self.restart()

    def _turn(self, events: list[ev.Event]) -> None:
        offers = self.mesos.make_offers(self.now)
        view = self.mesos.look(self.now)
        inbound = [*self.unacknowledged, *self.mesos.outbox]
        self.mesos.outbox, self.unacknowledged = [], inbound
        seen = [ev.EsObserved(self.now, view)] if view is not None else []
        self.arrow("before-commit")
        turn = self.cycle.turn([*inbound, *events, *seen], offers, self.now)
        self.arrow("after-commit")
        self.wake_at = turn.decision.wake_at
        for number, operation in enumerate(turn.operations):
            if number:
                self.arrow("mid-send")
            self.mesos.send(operation, self.now)
            self.sent.append(type(operation).__name__)
        self.arrow("after-send")
        self.unacknowledged = []
        invariants.check(self.state)

    def restart(self) -> None:
        """A new process: nothing but the store is left, and the master is asked again."""
        self.crashes += 1
        self.store.close()
        self.store = SqliteStore(self.directory)
        lease = self.store.acquire("demo", f"test-{self.crashes}")
        self.cycle = Cycle.load(self.store, lease, "demo", self.store.read("clusters/demo"))
        # What was not acknowledged is delivered again, after the registration.
        again = [event for event in self.unacknowledged if isinstance(
            event, (ev.TaskUpdated, ev.OperationUpdated))]
        again += [event for event in self.mesos.outbox if isinstance(
            event, (ev.TaskUpdated, ev.OperationUpdated))]
        if not self.mesos.torn_down:
            self.mesos.register(self.now)
            self.mesos.outbox += again
        self.unacknowledged = []

    def run(self, until: Callable[[], bool], ticks: int = 200) -> None:
        """Tick, nodes getting on by themselves, until something holds."""
        for _ in range(ticks):
            if until():
                return
            self.mesos.progress(self.now)
            self.tick()
        raise AssertionError(f"not within {ticks} ticks: {self.states()}, "
                             f"{[r.message for r in self.state.nodes.values()]}")

    def all_ready(self) -> bool:
        """Every wanted node is a member and nothing else is there."""
        wanted = sum(group.count for group in self.state.spec.groups)
        return list(self.states().values()) == ["ready"] * wanted

    def volumes(self) -> list[str]:
        """Ids of all volumes on the stand-in."""
        return sorted(item.disk.persistence_id for item in self.mesos.reserved()
                      if item.disk and item.disk.persistence_id)

    def alive(self) -> Iterator[str]:
        """Names of nodes with a task."""
        return (task.node for task in self.mesos.tasks.values())

    def down(self, name: str) -> bool:
        """Whether a node is down."""
        return self.state.nodes[name].state is NodeState.DOWN
