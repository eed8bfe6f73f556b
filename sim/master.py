"""A simulated Mesos master: offers by role, operations, updates, reconciliation, failover.

It keeps the rules that schedulers stumble over: an offer is used once; the rest of an ACCEPT fails
with its first step; DESTROY needs an idle volume; an agent that was away may come back under
another id with its volumes; updates come at least once. Source: Mesos documentation ("Designing
highly available frameworks", "Persistent volumes", "Reconciliation", "Operation feedback").
"""
from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.resources import Offer, Resource

from .agent import BAD_SETTING, Agent, Phase, Task, Update, start_s, stop_s
from .books import Books, bare, unreserved, volume_of
from .faults import Faults
from .trace import Broken, Trace

RESEND_S = 10.0
UNREACHABLE_S = 15.0
NOTICED_S = 4.0
Item = tuple[ev.Event, Update | None] | list[Offer] | str


class Receiver(Protocol):
    """Who is connected: one process of a scheduler."""

    name: str

    def receive(self, item: Item) -> None:
        """An event with what acknowledges it, offers, or the id of one that is taken back."""


@dataclass(slots=True)
class Framework:
    """What the master knows of one scheduler."""

    id: str
    role: str
    receiver: Receiver | None = None
    suppressed: bool = False
    torn_down: bool = False
    filters: dict[str, list[tuple[Books, float]]] = field(default_factory=dict)

    def refuses(self, agent_id: str, offered: Books, now: float) -> bool:
        """Whether all of an offer was refused for a while."""
        kept = [item for item in self.filters.get(agent_id, ()) if item[1] > now]
        if kept:
            self.filters[agent_id] = kept
        else:
            self.filters.pop(agent_id, None)
        return any(books.covers(offered) for books, _ in kept)


class Watcher(Protocol):
    """Who looks at what becomes of volumes and tasks: the safety rules and Elasticsearch."""

    def launched(self, task: Task) -> None:
        """A task is on its agent."""

    def started(self, task: Task) -> None:
        """Its process is up."""

    def stopped(self, task: Task) -> None:
        """Its process is gone."""

    def destroyed(self, volume: str) -> None:
        """A volume is no more."""

    def can_start(self, task: Task) -> str:
        """Why a process cannot start on its volume; empty when it can."""


class Master:
    """The master, its agents, and the network in between."""

    def __init__(self, agents: Iterable[Agent], rng: Random, faults: Faults, trace: Trace,
                 watcher: Watcher) -> None:
        self.agents = {agent.id: agent for agent in agents}
        self.gone: set[str] = set()             # ids of agents that came back under another
        self.frameworks: dict[str, Framework] = {}
        self.offers: dict[str, tuple[str, str, list[Resource]]] = {}
        self.recovering_until = 0.0
        self.now = 0.0
        self.launched: set[str] = set()
        self.volumes_made: set[str] = set()
        self._rng, self._faults, self._trace, self._watcher = rng, faults, trace, watcher
        self._network: list[tuple[float, int, Receiver, Item]] = []
        self._ids = 0

    def _next(self) -> int:
        self._ids += 1
        return self._ids

    def tasks(self) -> list[Task]:
        """All tasks that run."""
        return [task for agent in self.agents.values() for task in agent.tasks.values()]

    def held(self) -> list[tuple[Agent, Resource]]:
        """Everything reserved, idle, offered or in use."""
        found = [(agent, item) for agent in self.agents.values() for item in agent.idle.resources()]
        found += [(self.agents[agent_id], item)
                  for _, agent_id, items in self.offers.values() for item in items]
        found += [(agent, item) for agent in self.agents.values()
                  for task in agent.tasks.values() for item in task.resources]
        return [(agent, item) for agent, item in found if item.reservations]

    # ------------------------------------------------------------------ connections

    def subscribe(self, receiver: Receiver, framework_id: str, role: str) -> None:
        """A scheduler connects; whoever was connected before is cut off."""
        framework = self.frameworks.setdefault(framework_id, Framework(framework_id, role))
        if framework.torn_down:
            self._deliver(receiver, (ev.MesosRefused(
                self.now, "Framework has been removed"), None))
            return
        if framework.receiver is not None:
            self._deliver(framework.receiver, (
                ev.Disconnected(self.now, "the framework has failed over"), None))
        framework.receiver = receiver
        framework.suppressed, framework.filters = False, {}
        self._drop_offers(_of(framework_id), tell=False)
        self._deliver(receiver, (ev.Registered(self.now, framework_id), None))

    def unsubscribe(self, receiver: Receiver) -> None:
        """A process is gone; its framework stays."""
        for framework in self.frameworks.values():
            if framework.receiver is receiver:
                framework.receiver = None
                self._drop_offers(_of(framework.id), tell=False)

    def _deliver(self, receiver: Receiver, item: Item, late_s: float = 0.0) -> None:
        heapq.heappush(self._network, (self.now + 1 + late_s, self._next(), receiver, item))

    def _tell(self, framework_id: str, item: Item, late_s: float = 0.0) -> None:
        framework = self.frameworks[framework_id]
        if framework.receiver is not None:
            self._deliver(framework.receiver, item, late_s)

    def deliver_due(self) -> None:
        """What has arrived by now; to a closed connection nothing does."""
        while self._network and self._network[0][0] <= self.now:
            _, _, receiver, item = heapq.heappop(self._network)
            if any(framework.receiver is receiver for framework in self.frameworks.values()) or (
                    isinstance(item, tuple) and isinstance(
                        item[0], (ev.MesosRefused, ev.Disconnected))):
                receiver.receive(item)

    def fail_over(self) -> None:
        """A new master: every connection breaks, agents come back to it one by one."""
        self.recovering_until = self.now + 5
        self._drop_offers(lambda framework_id, agent_id: True, tell=False)
        for framework in self.frameworks.values():
            if framework.receiver is not None:
                self._deliver(framework.receiver, (
                    ev.Disconnected(self.now, "the master has failed over"), None))
                framework.receiver = None

    # ----------------------------------------------------------------------- calls

    def call(self, receiver: Receiver, framework_id: str, operation: op.Operation) -> bool:
        """Carry out a call; False when the connection is not the framework's own any more."""
        framework = self.frameworks.get(framework_id)
        if framework is None or framework.receiver is not receiver:
            return False
        lost = "accept_lost" if isinstance(operation, op.Accept) else "call_lost"
        if not isinstance(operation, op.Decline) and self._faults.strikes(lost):
            self._lose(operation)
        elif isinstance(operation, op.Accept):
            self._accept(framework, operation)
        elif isinstance(operation, op.Decline):
            for offer_id in operation.offer_ids:
                self._decline(framework, offer_id, operation.refuse_s)
        elif isinstance(operation, op.Revive):
            framework.suppressed, framework.filters = False, {}
        elif isinstance(operation, op.Suppress):
            framework.suppressed = True
        elif isinstance(operation, op.Kill):
            self._kill(framework, operation)
        elif isinstance(operation, op.Reconcile):
            self._reconcile(framework, operation.tasks)
        elif isinstance(operation, op.SendSeeds):
            self._message(framework, operation)
        elif isinstance(operation, op.Teardown):
            self._tear_down(framework)
        return True

    def acknowledge(self, receiver: Receiver, update: Update) -> None:
        """An update is stored."""
        framework = self.frameworks.get(update.framework_id)
        if framework is None or framework.receiver is not receiver:
            return
        for agent in self.agents.values():
            if agent.registered and agent.acknowledged(update.uuid):
                return

    def _lose(self, operation: op.Operation) -> None:
        """An ACCEPT that is lost leaves its offers to be rescinded: here they time out at once."""
        if isinstance(operation, op.Accept):
            for offer_id in operation.offer_ids:
                found = self.offers.pop(offer_id, None)
                if found is not None:
                    self.agents[found[1]].idle.add(found[2])

    def _decline(self, framework: Framework, offer_id: str, refuse_s: float) -> None:
        found = self.offers.pop(offer_id, None)
        if found is None:
            return
        books = Books()
        books.add(found[2])
        self.agents[found[1]].idle.add(found[2])
        framework.filters.setdefault(found[1], []).append((books, self.now + refuse_s))

    # ---------------------------------------------------------------------- ACCEPT

    def _accept(self, framework: Framework, accept: op.Accept) -> None:
        held = Books()
        agent = self.agents.get(accept.agent_id)
        mine = [self.offers.pop(offer_id, None) for offer_id in accept.offer_ids]
        valid = agent is not None and all(
            offer is not None and offer[:2] == (framework.id, accept.agent_id) for offer in mine)
        for offer in mine:
            if offer is not None and valid:
                held.add(offer[2])
            elif offer is not None:
                self.agents[offer[1]].idle.add(offer[2])
        if agent is not None and valid and not agent.registered:
            self._accept_into_the_void(framework, agent, accept)
            agent.idle.add(held.resources())
            return
        for step in accept.steps:
            if isinstance(step, op.Launch):
                self._launch(framework, accept.agent_id, step, held, valid)
            else:
                done = valid and not self._faults.strikes("operation_failed") and self._step(
                    step, held)
                status = "OPERATION_FINISHED" if done else (
                    "OPERATION_FAILED" if valid else "OPERATION_DROPPED")
                self._feedback(framework, accept.agent_id, step.operation_id, status, agent)
        if agent is not None and valid:
            refused = held.copy()
            agent.idle.add(held.resources())
            framework.filters.setdefault(agent.id, []).append(
                (refused, self.now + accept.refuse_s))

    def _accept_into_the_void(self, framework: Framework, agent: Agent,
                              accept: op.Accept) -> None:
        """The master does not know yet that the agent hears nothing."""
        for step in accept.steps:
            launch = isinstance(step, op.Launch)
            subject = step.task_id if isinstance(step, op.Launch) else step.operation_id
            if launch:
                self._unique(subject)
            agent.void.append(Update(self._next(), framework.id, subject, "TASK_DROPPED" if launch
                                     else "OPERATION_DROPPED", launch, agent.id,
                                     message="TASK_STAGING"))

    def _feedback(self, framework: Framework, agent_id: str, operation_id: str, status: str,
                  agent: Agent | None) -> None:
        update = Update(self._next(), framework.id, operation_id, status, False, agent_id)
        if agent is not None and status != "OPERATION_DROPPED":
            agent.push(update)
        else:
            self._tell(framework.id, (ev.OperationUpdated(self.now, operation_id, status), None))

    def _step(self, step: op.Reserve | op.Create | op.Destroy | op.Unreserve,
              held: Books) -> bool:
        if isinstance(step, op.Reserve):
            done = held.take([unreserved(item) for item in step.resources])
            held.add(step.resources if done else ())
        elif isinstance(step, op.Create):
            done = held.take([bare(item) for item in step.volumes])
            held.add(step.volumes if done else ())
            for item in step.volumes if done else ():
                self._made(volume_of(item) or "")
        elif isinstance(step, op.Destroy):
            done = held.take(step.volumes)
            held.add([bare(item) for item in step.volumes] if done else ())
            for item in step.volumes if done else ():
                self._watcher.destroyed(volume_of(item) or "")
        else:
            done = held.take(step.resources)
            held.add([unreserved(item) for item in step.resources] if done else ())
        return done

    def _made(self, volume: str) -> None:
        if volume in self.volumes_made:
            raise Broken("volume_id_used_once", f"volume {volume} was created before")
        self.volumes_made.add(volume)

    def _unique(self, task_id: str) -> None:
        if task_id in self.launched:
            raise Broken("task_id_used_once", f"task {task_id} was launched before")
        self.launched.add(task_id)

    def _launch(self, framework: Framework, agent_id: str, launch: op.Launch, held: Books,
                valid: bool) -> None:
        self._unique(launch.task_id)
        wanted = [*launch.task_resources, *launch.executor_resources]
        if not valid or not held.take(wanted):
            status = "TASK_ERROR" if valid else "TASK_DROPPED"
            self._tell(framework.id, (ev.TaskUpdated(
                self.now, launch.task_id, status, agent_id,
                message="not enough is offered" if valid else "an offer is gone"), None))
            return
        agent = self.agents[agent_id]
        volume = next(filter(None, map(volume_of, wanted)), "")
        task = Task(launch.task_id, framework.id, agent_id, agent.host, wanted, volume,
                    launch.payload, due=self.now + 1, seeds=launch.payload.seeds.generation)
        self._watcher.launched(task)
        agent.tasks[task.id] = task

    # ----------------------------------------------------------------- other calls

    def _kill(self, framework: Framework, kill: op.Kill) -> None:
        for agent in self.agents.values():
            task = agent.tasks.get(kill.task_id)
            if task is None:
                continue
            if agent.registered and task.phase is not Phase.STOPPING:
                self.stop(agent, task)
            return
        self._reconcile(framework, ((kill.task_id, kill.agent_id),))

    def stop(self, agent: Agent, task: Task) -> None:
        """The executor is told to stop its node."""
        self._watcher.stopped(task)
        task.phase, task.due = Phase.STOPPING, self.now + stop_s(self._rng)
        self._update(agent, task, "TASK_KILLING")

    def _message(self, framework: Framework, seeds: op.SendSeeds) -> None:
        agent = self.agents.get(seeds.agent_id)
        task = agent.tasks.get(seeds.task_id) if agent is not None and agent.registered else None
        if task is not None and task.phase in (Phase.STARTING, Phase.UP):
            task.seeds = max(task.seeds, seeds.seeds.generation)
            self._tell(framework.id, (ev.SeedsWritten(self.now, task.node, task.seeds), None))

    def _reconcile(self, framework: Framework, tasks: Iterable[tuple[str, str | None]]) -> None:
        asked = list(tasks) or [(task.id, task.agent_id) for agent in self.agents.values()
                                for task in agent.tasks.values()
                                if task.framework_id == framework.id]
        for task_id, agent_id in asked:
            status = self._latest(task_id, agent_id)
            if status and not self._faults.strikes("update_lost"):
                self._tell(framework.id, (ev.TaskUpdated(
                    self.now, task_id, status, agent_id, reason="REASON_RECONCILIATION"), None))

    def _latest(self, task_id: str, agent_id: str | None) -> str:
        """What the master knows of a task; nothing while agents still come back to it."""
        for agent in self.agents.values():
            if task_id in agent.tasks:
                if self.now < self.recovering_until:
                    return ""
                return "TASK_UNREACHABLE" if agent.unreachable else agent.tasks[task_id].state
            if task_id in agent.streams and agent.registered:
                return agent.streams[task_id][-1].status
            for update in agent.void:
                if update.subject == task_id:
                    return "TASK_UNREACHABLE" if agent.unreachable else update.message
        if self.now < self.recovering_until:
            return ""
        known = self.agents.get(agent_id or "")
        if known is not None:
            return "TASK_UNREACHABLE" if known.unreachable else "TASK_GONE"
        return "TASK_UNREACHABLE" if agent_id in self.gone else "TASK_UNKNOWN"

    def _tear_down(self, framework: Framework) -> None:
        framework.torn_down = True
        self._drop_offers(_of(framework.id), tell=False)
        for agent in self.agents.values():
            for task in [item for item in agent.tasks.values()
                         if item.framework_id == framework.id]:
                self._watcher.stopped(task)
                agent.end(task)
            for subject in [key for key, stream in agent.streams.items()
                            if stream[0].framework_id == framework.id]:
                del agent.streams[subject]
        receiver, framework.receiver = framework.receiver, None
        if receiver is not None:
            self._deliver(receiver, (ev.MesosRefused(self.now, "Framework has been removed"), None))

    # ---------------------------------------------------------------------- a tick

    def tick(self, now: float) -> None:
        """Agents, executors, updates and offers get on by a second."""
        self.now = now
        for agent in list(self.agents.values()):
            self._come_and_go(agent)
        for agent in self.agents.values():
            for task in list(agent.tasks.values()):
                self._progress(agent, task)
            if agent.registered and now >= self.recovering_until:
                self._send_updates(agent)
        if now >= self.recovering_until:
            self._rescind()
            self._allocate()

    def lose(self, agent: Agent, how: str, away_s: float) -> None:
        """Cut an agent off: ``partition`` (its nodes run on), ``reboot``, or ``new id``."""
        agent.cut_at, agent.noticed, agent.unreachable = self.now, False, False
        agent.returns_at, agent.returns_as_new = self.now + away_s, how == "new id"
        self._trace.note(self.now, agent.host, f"{how} for {away_s:.0f} s")
        if how != "partition":
            for task in list(agent.tasks.values()):
                self._watcher.stopped(task)
                agent.end(task)
                if agent.returns_as_new:        # nobody will ever tell what became of it
                    agent.void.append(Update(self._next(), task.framework_id, task.id,
                                             "TASK_GONE", True, agent.id, message=task.state))
                else:
                    self._update(agent, task, "TASK_GONE")
            if agent.returns_as_new:
                agent.streams.clear()

    def _come_and_go(self, agent: Agent) -> None:
        if agent.cut_at is None:
            return
        if not agent.noticed and self.now - agent.cut_at >= NOTICED_S:
            agent.noticed = True
            self._drop_offers(lambda _, agent_id: agent_id == agent.id, tell=True)
        if not agent.unreachable and self.now - agent.cut_at >= UNREACHABLE_S:
            agent.unreachable = True
            subjects = {task.id: task.framework_id for task in agent.tasks.values()}
            subjects |= {update.subject: update.framework_id
                         for update in agent.void if update.is_task}
            subjects |= {subject: stream[0].framework_id for subject, stream in
                         agent.streams.items() if stream[0].is_task}
            for subject, framework_id in subjects.items():
                if not self._faults.strikes("update_lost"):
                    self._tell(framework_id, (ev.TaskUpdated(
                        self.now, subject, "TASK_UNREACHABLE", agent.id,
                        message="the agent is unreachable"), None))
        if self.now >= agent.returns_at:
            self._return(agent)

    def _return(self, agent: Agent) -> None:
        was_unreachable = agent.unreachable
        self._drop_offers(lambda _, agent_id: agent_id == agent.id, tell=True)
        agent.cut_at, agent.unreachable = None, False
        if agent.returns_as_new:
            self.gone.add(agent.id)
            del self.agents[agent.id]
            agent.id = f"agent-{agent.number}-{self._next()}"
            self.agents[agent.id] = agent
            agent.void.clear()
        for update in agent.void:
            agent.push(update)
        agent.void.clear()
        self._trace.note(self.now, agent.host, f"is back as {agent.id}")
        if was_unreachable:
            for task in agent.tasks.values():
                self._tell(task.framework_id, (ev.TaskUpdated(
                    self.now, task.id, task.state, agent.id), None))

    def _progress(self, agent: Agent, task: Task) -> None:
        if task.phase is Phase.UP:
            if self._faults.strikes("task_died"):
                self._end(agent, task, "TASK_FAILED", "Elasticsearch has ended")
            return
        if self.now < task.due:
            return
        if task.phase is Phase.STAGING:
            task.phase, task.due = Phase.STARTING, self.now + start_s(self._rng)
            self._update(agent, task, "TASK_STARTING")
        elif task.phase is Phase.STOPPING:
            self._end(agent, task, "TASK_KILLED", "")
        else:
            self._start(agent, task)

    def _start(self, agent: Agent, task: Task) -> None:
        why = self._watcher.can_start(task)
        if BAD_SETTING in dict(task.payload.settings) and not task.payload.paused:
            why = f"unknown setting [{BAD_SETTING}]"
        if why or self._faults.strikes("start_failed"):
            self._end(agent, task, "TASK_FAILED", why or "it has ended while it started")
            return
        task.phase, task.up_since = Phase.UP, self.now
        self._watcher.started(task)
        self._update(agent, task, "TASK_RUNNING")

    def _end(self, agent: Agent, task: Task, status: str, message: str) -> None:
        if task.phase is not Phase.STOPPING:
            self._watcher.stopped(task)
        agent.end(task)
        self._update(agent, task, status, message)

    def _update(self, agent: Agent, task: Task, status: str, message: str = "") -> None:
        task.state = status
        agent.push(Update(self._next(), task.framework_id, task.id, status, True, agent.id,
                          task.facts(), message))

    def _send_updates(self, agent: Agent) -> None:
        for subject, stream in agent.streams.items():
            update = stream[0]
            if self.now - agent.sent_at.get(subject, -RESEND_S) < RESEND_S:
                continue
            framework = self.frameworks[update.framework_id]
            if framework.receiver is None:
                continue
            agent.sent_at[subject] = self.now
            if self._faults.strikes("update_lost"):
                continue
            late_s = self._rng.randint(2, 25) if self._faults.strikes("update_late") else 0.0
            item = (self._event(agent, update), update)
            self._tell(update.framework_id, item, late_s)
            if self._faults.strikes("update_doubled"):
                self._tell(update.framework_id, item, late_s + self._rng.randint(0, 12))

    def _event(self, agent: Agent, update: Update) -> ev.Event:
        if update.is_task:
            return ev.TaskUpdated(self.now, update.subject, update.status, agent.id,
                                  message=update.message, node=update.facts)
        return ev.OperationUpdated(self.now, update.subject, update.status, update.message)

    # ---------------------------------------------------------------------- offers

    def _drop_offers(self, which: Callable[[str, str], bool], tell: bool) -> None:
        for offer_id, (framework_id, agent_id, resources) in list(self.offers.items()):
            if which(framework_id, agent_id):
                del self.offers[offer_id]
                self.agents[agent_id].idle.add(resources)
                if tell:
                    self._tell(framework_id, offer_id)

    def _rescind(self) -> None:
        for offer_id in list(self.offers):
            if self._faults.strikes("offer_rescinded"):
                framework_id, agent_id, resources = self.offers.pop(offer_id)
                self.agents[agent_id].idle.add(resources)
                self._tell(framework_id, offer_id)

    def _allocate(self) -> None:
        """Everything idle to whoever wants it: reservations to their role, the rest to one."""
        wanting = [item for item in self.frameworks.values() if item.receiver is not None
                   and not item.suppressed and not item.torn_down]
        if not wanting:
            return
        for agent in self.agents.values():
            if not agent.registered or not (agent.idle.scalars or agent.idle.ports):
                continue
            for framework in self._rng.sample(wanting, len(wanting)):
                self._offer(framework, agent)

    def _offer(self, framework: Framework, agent: Agent) -> None:
        resources = agent.idle.part(framework.role, free=True)
        if not resources:
            return
        books = Books()
        books.add(resources)
        if framework.refuses(agent.id, books, self.now):
            return
        agent.idle.take(resources)
        offer_id = f"offer-{self._next()}"
        self.offers[offer_id] = framework.id, agent.id, resources
        self._tell(framework.id, [Offer(offer_id, agent.id, agent.host, agent.ip,
                                        agent.attributes, tuple(resources))])



def _of(framework_id: str) -> Callable[[str, str], bool]:
    return lambda found, _: found == framework_id
