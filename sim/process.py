"""One process of the service that runs one cluster: the real cycle, and a stand-in for its loop.

The loop does in simulated time what ``runtime/loop.py`` does: drain, turn, send, acknowledge; it
retries when the store refuses, and ends when its lease is lost. It can crash at any step. Looks at
Elasticsearch and actions on it happen beside it, as in ``elastic/watch.py``.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Protocol

from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.errors import EsaasError
from esaas.framework.core.facts import ClusterState, EsView
from esaas.framework.core.resources import Offer
from esaas.framework.elastic.observer import FULL_EVERY, carried_over
from esaas.framework.mesos.link import MESOS_OPERATIONS
from esaas.framework.runtime.cycle import Cycle, Turn
from esaas.framework.store.contract import LeaseLost, StoreError, VersionConflict

from .agent import Update
from .elastic import EsCluster
from .faults import Faults
from .master import Item, Master
from .trace import Broken, Crash, Trace

STORE_RETRY_S = 2.0
LONGEST_SLEEP_S = 60.0
BUSY_S, IDLE_S = 2.0, 5.0


class Judge(Protocol):
    """The safety rules, as far as a process is concerned."""

    def sending(self, process: Process, operation: op.Operation) -> None:
        """Before an operation leaves the process."""

    def turned(self, process: Process, before: ClusterState, events: Sequence[ev.Event],
               turn: Turn) -> None:
        """After a turn was stored."""

    def looked(self, process: Process, at: float) -> None:
        """Elasticsearch was looked at."""


@dataclass(slots=True)
class Action:
    """Something to be done to Elasticsearch."""

    due: float
    operation: op.Operation


@dataclass(slots=True)
class Parts:
    """What a process runs on; ``wire`` takes offers and ACCEPTs through the real codec."""

    master: Master
    es: EsCluster
    judge: Judge
    faults: Faults
    rng: Random
    trace: Trace
    wire_offer: Callable[[Offer], Offer] | None = None
    wire_accept: Callable[[op.Accept], op.Accept] | None = None


@dataclass(eq=False)
class Process:
    """Runs one cluster until it crashes, is fenced, or the cluster is gone."""

    name: str
    cycle: Cycle
    parts: Parts
    inbox: list[tuple[ev.Event, Update | None]] = field(default_factory=list)
    offers: dict[str, Offer] = field(default_factory=dict)
    commands: list[ev.Event] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    late: list[tuple[float, EsView]] = field(default_factory=list)
    wake_at: float = 0.0
    retry_at: float = 0.0
    resubscribe_at: float = math.inf
    next_look: float = 0.0
    looks: int = 0
    last_view: EsView | None = None
    busy: bool = True
    gone: bool = False                  # nothing is left of the cluster
    leaving: bool = False               # torn down, and not forgotten by the store yet
    torn_down: bool = False
    held: str = ""
    sentence: str = "starting"
    turns: int = 0

    @property
    def state(self) -> ClusterState:
        """The facts."""
        return self.cycle.state

    @property
    def framework_id(self) -> str:
        """Chosen before Mesos hears of it."""
        return self.state.identity.framework_id or ""

    # -------------------------------------------------------------------- inbound

    def receive(self, item: Item) -> None:
        """From Mesos."""
        if isinstance(item, list):
            wire = self.parts.wire_offer
            self.offers.update((offer.id, wire(offer) if wire else offer) for offer in item)
        elif isinstance(item, str):
            self.offers.pop(item, None)
        else:
            self.inbox.append(item)
            if isinstance(item[0], (ev.Disconnected, ev.Registered)):
                self.offers.clear()
            if isinstance(item[0], ev.Disconnected):
                self.resubscribe_at = self.parts.master.now + self.parts.rng.randint(2, 6)

    def subscribe(self) -> None:
        """Connect to the master."""
        self.resubscribe_at = math.inf
        identity = self.state.identity
        self.parts.master.subscribe(self, self.framework_id, identity.role)

    # -------------------------------------------------------------------- turning

    def tick(self, now: float) -> None:
        """Whatever is due by now; Crash when the process dies."""
        if self.held or self.gone:
            return
        if self.leaving:
            if now >= self.retry_at:
                self._leave(now)
            return
        if now >= self.resubscribe_at:
            self.subscribe()
        self._look(now)
        waits = self.inbox or self.offers or self.commands
        if now >= self.retry_at and (waits or now >= self.wake_at):
            self.turn(now)

    def turn(self, now: float) -> None:
        """Drain, fold, decide, store, send, acknowledge."""
        self._arrow()
        inbound, commands, offers = self.inbox, self.commands, list(self.offers.values())
        events = [*(event for event, _ in inbound), *commands]
        before = self.state
        self.inbox, self.commands, self.offers = [], [], {}
        try:
            turn = self.cycle.turn(events, offers, now)
        except (LeaseLost, VersionConflict) as error:
            self.held = str(error)
            return
        except StoreError:
            self.inbox, self.retry_at = inbound, now + STORE_RETRY_S
            # What has come in meanwhile is kept apart by the real loop; here nothing has.
            self.offers = {offer.id: offer for offer in offers}
            return
        except (EsaasError, ArithmeticError, AssertionError, LookupError, TypeError,
                ValueError, AttributeError) as error:
            raise Broken(rule_of(error), str(error)) from error
        self.turns += 1
        self._note(now, events, turn)
        self.parts.judge.turned(self, before, events, turn)
        self._arrow()
        self._send(turn, now)
        self._arrow()
        for _, update in inbound:
            if update is not None:
                self.parts.master.acknowledge(self, update)
                self._arrow()
        self._after(turn, now)

    def _arrow(self) -> None:
        if self.parts.faults.strikes("crash"):
            raise Crash(self.name)

    def _note(self, now: float, events: Sequence[ev.Event], turn: Turn) -> None:
        told = [brief(event) for event in events]
        done = [brief(operation) for operation in turn.operations]
        self.parts.trace.note(now, self.name, f"{' '.join(told)} => {' '.join(done)}"
                              f" | {turn.decision.sentence}")

    def _send(self, turn: Turn, now: float) -> None:
        for number, operation in enumerate(turn.operations):
            if number:
                self._arrow()
            if isinstance(operation, op.Remember):
                continue
            self.parts.judge.sending(self, operation)
            if not isinstance(operation, MESOS_OPERATIONS):
                self.actions.append(Action(now + self.parts.rng.randint(0, 2), operation))
                continue
            if isinstance(operation, op.Accept) and self.parts.wire_accept:
                operation = self.parts.wire_accept(operation)
            sent = self.parts.master.call(self, self.framework_id, operation)
            if not sent:
                self.inbox.append((ev.SendFailed(now, type(operation).__name__), None))
            elif isinstance(operation, op.Teardown):
                self.torn_down = True

    def _after(self, turn: Turn, now: float) -> None:
        self.sentence = turn.decision.sentence
        self.wake_at = min(turn.decision.wake_at, now + LONGEST_SLEEP_S)
        settled = all(self.state.is_ready(record) for record in self.state.nodes.values())
        self.busy = math.isfinite(turn.decision.wake_at) or not settled
        if self.busy:
            self.next_look = min(self.next_look, now + BUSY_S)
        if self.state.removed and (self.torn_down or self.state.link.error):
            self.parts.master.unsubscribe(self)
            self.leaving = True
            self._leave(now)

    def _leave(self, now: float) -> None:
        """Forget the cluster; a store that refuses is asked again."""
        try:
            self.cycle.forget()
            self.gone = True
        except (LeaseLost, VersionConflict) as error:
            self.held = str(error)
        except StoreError:
            self.retry_at = now + STORE_RETRY_S

    # -------------------------------------------------------------- elasticsearch

    def _reaches(self) -> bool:
        """Whether any address that the scheduler knows answers."""
        serving = {task.id for task in self.parts.es.tasks.values()}
        return any(record.serving_since is not None and self.state.task_id(record) in serving
                   for record in self.state.nodes.values())

    def _look(self, now: float) -> None:
        while self.late and self.late[0][0] <= now:
            self._seen(self.late.pop(0)[1])
        if now < self.next_look or self.late:
            return
        self.next_look = now + (BUSY_S if self.busy else IDLE_S)
        if not self._reaches() or self.parts.faults.strikes("view_absent"):
            return
        view = self.parts.es.look(now)
        if view is None:
            return
        self.parts.judge.looked(self, now)
        if self.parts.faults.strikes("view_red"):
            view = replace(view, health="red")
        if self.parts.faults.strikes("view_late"):
            self.late.append((now + self.parts.rng.randint(3, 45), view))
            return
        self._seen(view)

    def _seen(self, view: EsView) -> None:
        last = self.last_view
        same = last is not None and {name: node.id for name, node in last.nodes.items()} == {
            name: node.id for name, node in view.nodes.items()}
        if not self.busy and last is not None and same and self.looks % FULL_EVERY:
            view = carried_over(last, replace(view, loads=None, copies=None,
                                              incomplete=frozenset(), lone=frozenset()))
        self.looks += 1
        self.last_view = view
        self.inbox.append((ev.EsObserved(view.at, view), None))

    def act(self, now: float) -> None:
        """Carry out the actions that are due, with or without their answers."""
        due = [action for action in self.actions if action.due <= now]
        self.actions = [action for action in self.actions if action.due > now]
        for action in due:
            event = self._acted(action.operation, now)
            if not self.held and not self.gone:
                self.inbox.append((event, None))

    def _acted(self, operation: op.Operation, now: float) -> ev.EsActed:
        kind, subject = type(operation).__name__, getattr(operation, "subject", "")
        if not self._reaches() or self.parts.faults.strikes("action_failed"):
            return ev.EsActed(now, kind, False, "elasticsearch does not answer", subject)
        done, message = self.parts.es.act(operation)
        if self.parts.faults.strikes("action_unanswered"):
            return ev.EsActed(now, kind, False, "no answer in time", subject)
        if done:
            self.looks, self.next_look = 0, min(self.next_look, now + 1)
        return ev.EsActed(now, kind, done, message, subject,
                          refused=not done and message != "no master")


def rule_of(error: Exception) -> str:
    """The name under which an exception of a turn is reported."""
    text = str(error)
    name = type(error).__name__
    if name == "InvariantBroken":
        # "cluster es1: host_limit: host-1 has ..." or the words of the last check.
        part = text.partition(": ")[2].partition(":")[0]
        return part if part.replace("_", "").isalpha() else "checks_before_sending"
    return f"core_never_raises ({name})"


def brief(item: ev.Event | op.Operation) -> str:
    """An event or an operation in a few characters."""
    kind = type(item).__name__
    if isinstance(item, ev.TaskUpdated):
        return f"{item.task_id}={item.status.removeprefix('TASK_')}"
    if isinstance(item, ev.OperationUpdated):
        return f"{item.operation_id}={item.status.removeprefix('OPERATION_')}"
    if isinstance(item, ev.EsObserved):
        return f"look@{item.view.at:.0f}:{item.view.health}/{len(item.view.nodes)}"
    if isinstance(item, ev.EsActed):
        return f"{item.action}{'+' if item.ok else '-'}"
    if isinstance(item, ev.SpecAccepted):
        return f"revision {item.revision}"
    if isinstance(item, op.Remember):
        return "(" + " ".join(brief(event) for event in item.intents) + ")"
    if isinstance(item, op.Accept):
        steps = ",".join(step.task_id if isinstance(step, op.Launch) else step.operation_id
                         for step in item.steps)
        return f"Accept[{steps}]"
    for name in ("node", "task_id", "names", "value", "count", "subject", "switch"):
        found = getattr(item, name, None)
        if found is not None:
            return f"{kind}[{found}]"
    return kind
