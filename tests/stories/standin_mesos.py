"""A stand-in for a Mesos master and its agents, with executors that only pretend.

Keeps the books as Mesos does: what is free, reserved, on a volume, in use or offered; operations of
an ACCEPT happen in order and the rest of an ACCEPT fails when its offers are gone. Everything
happens when a test says so, and calls can be lost.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import count

from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.facts import EsNode, EsView, ShardLoad
from esaas.framework.core.resources import Offer, Resource

DEFAULT = (("cpus", 4.0), ("mem", 4096.0), ("disk", 20000.0))


@dataclass
class StandInTask:
    task_id: str
    agent_id: str
    node: str
    incarnation: int
    roles: tuple[str, ...]
    minimum_master_nodes: int
    resources: list[Resource]
    volume: str
    state: str = "TASK_STAGING"
    seeds: int = 0
    version: str = ""
    paused: bool = False
    sidecar: bool = False


@dataclass
class StandInAgent:
    id: str
    host: str
    attributes: dict[str, str]
    idle: list[Resource]
    alive: bool = True
    window: float | None = None         # a maintenance is scheduled, and begins then
    gone: bool = False                  # declared so by the operator


@dataclass
class StandInMesos:
    agents: dict[str, StandInAgent] = field(default_factory=dict)
    tasks: dict[str, StandInTask] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    offered: dict[str, tuple[str, list[Resource]]] = field(default_factory=dict)
    refused_until: dict[str, float] = field(default_factory=dict)
    suppressed: bool = False
    registered: bool = False
    torn_down: bool = False
    outbox: list[ev.Event] = field(default_factory=list)
    lose: Callable[[op.Operation], bool] = lambda operation: False
    launches: list[str] = field(default_factory=list)
    volumes_made: list[str] = field(default_factory=list)
    volumes_destroyed: list[str] = field(default_factory=list)
    inverse_answers: list[str] = field(default_factory=list)
    persistent_mmn: int | None = None
    shards: dict[str, int] = field(default_factory=dict)
    allocation: tuple[str | None, str | None] = (None, None)
    exclude: tuple[str | None, str | None] = (None, None)
    votes: set[str] = field(default_factory=set)
    graveyard: bool = False             # the whole cluster is to go, shards and all
    writes: list[str] = field(default_factory=list)
    persistent: dict[str, str] = field(default_factory=dict)
    refuse_settings: str = ""           # why Elasticsearch refuses any live setting
    delayed: int = 0                    # indices with a raised time-out
    shared: dict[str, set[str]] = field(default_factory=dict)   # shards of which nodes have copies
    errands: list[str] = field(default_factory=list)
    health: str | None = None           # instead of what the shards say
    template: int | None = None
    _ids: Iterable[int] = field(default_factory=lambda: count(1))

    def add_agent(self, number: int, rack: str | None = None, **more: float) -> StandInAgent:
        """An agent with its own host, rack and ports."""
        amounts = dict(DEFAULT) | more
        low = 31000 + 100 * number
        agent = StandInAgent(f"agent-id-{number}", f"agent-{number}",
                             {"rack": rack or f"rack-{number}"},
                             [Resource(name, amount) for name, amount in amounts.items()]
                             + [Resource("ports", ranges=((low, low + 9),))])
        self.agents[agent.id] = agent
        return agent

    # ------------------------------------------------------------- what we send

    def send(self, operation: op.Operation, now: float) -> None:
        """Carry one call out, unless it is lost."""
        if self.lose(operation) or not self.registered:
            return
        if isinstance(operation, op.Accept):
            self._accept(operation, now)
        elif isinstance(operation, op.Decline):
            for offer_id in operation.offer_ids:
                if offer_id in self.offered:
                    agent_id, resources = self.offered.pop(offer_id)
                    self._give_back(agent_id, resources)
                    self.refused_until[agent_id] = now + operation.refuse_s
        elif isinstance(operation, op.Revive):
            self.suppressed, self.refused_until = False, {}
        elif isinstance(operation, op.Suppress):
            self.suppressed = True
        elif isinstance(operation, op.Kill):
            self.end(operation.task_id, "TASK_KILLED", now)
        elif isinstance(operation, op.AcceptInverse):
            self.inverse_answers += ["yes"] * len(operation.offer_ids)
        elif isinstance(operation, op.DeclineInverse):
            self.inverse_answers += ["no"] * len(operation.offer_ids)
        elif isinstance(operation, op.Reconcile):
            self._reconcile(operation, now)
        elif isinstance(operation, op.SendSeeds):
            task = self.tasks.get(operation.task_id)
            if task is not None:
                task.seeds = operation.seeds.generation
                self.outbox.append(ev.SeedsWritten(now, task.node, operation.seeds.generation))
        elif isinstance(operation, op.Teardown):
            self.torn_down, self.registered = True, False
            for task_id in list(self.tasks):
                self.end(task_id, "TASK_KILLED", now)
        elif isinstance(operation, op.ExcludeNodes):
            layer = 0 if self.exclude[0] else 1
            names = [name for name in (self.exclude[layer] or "").split(",") if name]
            names = [name for name in names if name not in operation.stale]
            names += [name for name in operation.names if name not in names]
            self.exclude = _layered(self.exclude, layer, ",".join(names) or None)
        elif isinstance(operation, op.ExcludeVotes):
            self.votes |= set(operation.names)
        elif isinstance(operation, op.ClearVotingExclusions):
            self.votes = set(operation.keep)
        elif isinstance(operation, op.SetAllocation):
            layer = 0 if operation.before[0] else 1
            self.allocation = operation.before if operation.value is None else _layered(
                operation.before, layer, operation.value)
            self.writes.append(operation.value or "restored")
        elif isinstance(operation, op.Flush):
            self.writes.append("flush")
            self.outbox.append(ev.EsActed(now, "Flush", True))
        elif isinstance(operation, op.RaiseDelays):
            self.delayed = 3
            self.outbox.append(ev.EsActed(now, "RaiseDelays", True))
        elif isinstance(operation, op.RestoreDelays):
            self.delayed = 0
        elif isinstance(operation, op.PutSettings):
            self._put_settings(operation, now)
        elif isinstance(operation, op.SetSwitch):
            self._set_switch(operation)
        elif isinstance(operation, op.RunErrand):
            self.errands.append(operation.errand.kind)
            self.outbox.append(ev.EsActed(now, "RunErrand", True, "done", operation.subject))
        elif isinstance(operation, op.SetMinimumMasterNodes):
            self.persistent_mmn = operation.count
        elif isinstance(operation, op.PutTemplate):
            self.template = operation.replicas

    def _put_settings(self, operation: op.PutSettings, now: float) -> None:
        if self.refuse_settings:
            self.outbox.append(ev.EsActed(now, "PutSettings", False, self.refuse_settings,
                                          refused=True))
            return
        for key, value in operation.values:
            self.persistent.pop(key, None)
            if value is not None:
                self.persistent[key] = value
        self.outbox.append(ev.EsActed(now, "PutSettings", True))

    def _set_switch(self, operation: op.SetSwitch) -> None:
        value = operation.before[1] if operation.value is None else operation.value
        if operation.subject == "allocation":
            self.allocation = (None, value)
        self.persistent.pop(operation.key, None)
        if value is not None:
            self.persistent[operation.key] = value

    def _accept(self, accept: op.Accept, now: float) -> None:
        held: list[Resource] = []
        valid = all(offer_id in self.offered for offer_id in accept.offer_ids)
        for offer_id in accept.offer_ids:
            if offer_id in self.offered:
                held += self.offered.pop(offer_id)[1]
        if not valid:
            self._give_back(accept.agent_id, held)
        for step in accept.steps:
            if isinstance(step, op.Launch):
                self._launch(step, accept.agent_id, held if valid else [], now)
                continue
            ok = valid and self._step(step, held)
            self.outbox.append(ev.OperationUpdated(
                now, step.operation_id, "OPERATION_FINISHED" if ok else "OPERATION_DROPPED"))
        if valid:
            self._give_back(accept.agent_id, held)
            self.refused_until[accept.agent_id] = now + accept.refuse_s

    def _step(self, step: op.OfferStep, held: list[Resource]) -> bool:
        if isinstance(step, op.Reserve):
            before = [replace(item, reservations=item.reservations[:-1])
                      for item in step.resources]
            return _swap(held, before, step.resources)
        if isinstance(step, op.Create):
            before = [replace(item, disk=_bare(item)) for item in step.volumes]
            self.volumes_made += [item.disk.persistence_id for item in step.volumes]
            return _swap(held, before, step.volumes)
        if isinstance(step, op.Destroy):
            after = [replace(item, disk=_bare(item)) for item in step.volumes]
            for item in step.volumes:
                name = item.disk.persistence_id.split(".")[1]
                assert self.graveyard or not self.shards.pop(name, 0), f"{name} still had shards"
            self.volumes_destroyed += [item.disk.persistence_id for item in step.volumes]
            return _swap(held, step.volumes, after)
        assert isinstance(step, op.Unreserve)
        after = [replace(item, reservations=item.reservations[:-1]) for item in step.resources]
        return _swap(held, step.resources, after)

    def _launch(self, launch: op.Launch, agent_id: str, held: list[Resource],
                now: float) -> None:
        wanted = [*launch.task_resources, *launch.executor_resources]
        if not self.agents[agent_id].alive or not _take(held, wanted):
            self.outbox.append(ev.TaskUpdated(now, launch.task_id, "TASK_DROPPED", agent_id))
            return
        volume = next(item.disk.persistence_id for item in wanted
                      if item.disk and item.disk.persistence_id)
        assert all(task.volume != volume for task in self.tasks.values()), (
            f"two tasks on volume {volume}")
        assert launch.task_id not in self.launches, f"{launch.task_id} was launched before"
        self.launches.append(launch.task_id)
        payload = launch.payload
        self.tasks[launch.task_id] = StandInTask(
            launch.task_id, agent_id, payload.node, payload.incarnation, payload.roles,
            payload.minimum_master_nodes, wanted, volume, seeds=payload.seeds.generation,
            version=payload.version, paused=payload.paused,
            sidecar=payload.sidecar is not None)
        self.tell(launch.task_id, "TASK_STARTING", now)

    def _reconcile(self, operation: op.Reconcile, now: float) -> None:
        asked = dict(operation.tasks) or dict.fromkeys(self.tasks)
        for task_id, agent_id in asked.items():
            if task_id in self.tasks:
                self.tell(task_id, self.tasks[task_id].state, now)
            else:
                gone = agent_id in self.agents and self.agents[agent_id].gone
                status = "TASK_GONE_BY_OPERATOR" if gone else self.ended.get(task_id, "TASK_GONE")
                self.outbox.append(ev.TaskUpdated(now, task_id, status, agent_id))

    # ------------------------------------------------------------- what happens

    def register(self, now: float) -> None:
        """The scheduler subscribes, for the first time or again."""
        assert not self.torn_down, "a framework that was torn down came back"
        self.registered, self.suppressed = True, False
        self.refused_until = {}
        for agent_id, resources in self.offered.values():
            self._give_back(agent_id, resources)
        self.offered = {}
        self.outbox = [ev.Registered(now, "framework-1")]

    def make_offers(self, now: float) -> list[Offer]:
        """Everything idle that is not refused, one offer per agent."""
        found: list[Offer] = []
        if self.suppressed or not self.registered:
            return found
        for agent in self.agents.values():
            if not agent.alive or not agent.idle or self.refused_until.get(agent.id, 0) > now:
                continue
            offer_id = f"offer-{next(self._ids)}"
            resources, agent.idle = agent.idle, []
            self.offered[offer_id] = agent.id, list(resources)
            found.append(Offer(offer_id, agent.id, agent.host, "127.0.0.1", agent.attributes,
                               tuple(resources), agent.window))
        return found

    def tell(self, task_id: str, status: str, now: float) -> None:
        """A status update of a task that lives."""
        task = self.tasks[task_id]
        task.state = status
        serving = status == "TASK_RUNNING" and not task.paused
        facts = ev.NodeFacts(es_node_id=f"es-{task.volume}", pid=4000 + len(self.launches),
                             version=task.version, serving=serving, paused=task.paused)
        self.outbox.append(ev.TaskUpdated(now, task_id, status, task.agent_id, node=facts))

    def progress(self, now: float) -> None:
        """Every node that starts gets to serve."""
        for task in list(self.tasks.values()):
            if task.state != "TASK_RUNNING" and self.agents[task.agent_id].alive:
                self.tell(task.task_id, "TASK_RUNNING", now)

    def end(self, task_id: str, status: str, now: float) -> None:
        """A task ends; its resources are idle again."""
        task = self.tasks.pop(task_id, None)
        if task is None:
            self.outbox.append(ev.TaskUpdated(now, task_id, "TASK_GONE"))
            return
        self.ended[task_id] = status
        self._give_back(task.agent_id, task.resources)
        self.refused_until.pop(task.agent_id, None)     # more is idle than was refused
        self.outbox.append(ev.TaskUpdated(now, task_id, status, task.agent_id))

    def _give_back(self, agent_id: str, resources: Iterable[Resource]) -> None:
        agent = self.agents[agent_id]
        for resource in resources:
            _merge(agent.idle, resource)

    # ----------------------------------------------------------- elasticsearch

    def look(self, now: float) -> EsView | None:
        """What a cluster of the running tasks would say; None while it has no master."""
        serving = {task.node: task for task in self.tasks.values()
                   if task.state == "TASK_RUNNING" and self.agents[task.agent_id].alive
                   and not task.paused and not task.sidecar}
        masters = [task for task in serving.values() if "master" in task.roles]
        needed = self.persistent_mmn or max(
            (task.minimum_master_nodes for task in masters), default=1)
        if not masters or len(masters) < needed:
            return None
        self._move_shards(serving)
        complete = all(name in serving for name, count in self.shards.items() if count)
        health = self.health or ("green" if complete else "yellow")
        return EsView(now, health, "uuid-1", {
            name: EsNode(f"es-{task.volume}", name, version=task.version)
            for name, task in serving.items()},
            master=masters[0].node, minimum_master_nodes=self.persistent_mmn,
            template_replicas=self.template, max_replicas=1, store_mb=100.0,
            allocation_settings=self.allocation, exclude_settings=self.exclude,
            voting_exclusions=tuple(sorted(self.votes)),
            delayed_indices=self.delayed, persistent=dict(self.persistent), transient={},
            copies={name: frozenset(self.shared.get(name, {f"{name}[0]"})) for name in serving},
            loads={name: ShardLoad(count, 0, count) for name, count in self.shards.items()})

    def _move_shards(self, serving: dict[str, StandInTask]) -> None:
        """Every data node gets shards; one at a time leaves an excluded node."""
        excluded = (self.exclude[0] or self.exclude[1] or "").split(",")
        for name, task in serving.items():
            if "data" in task.roles and name not in excluded:
                self.shards.setdefault(name, 4)
        homes = [name for name in serving if name not in excluded and name in self.shards]
        for name in excluded:
            if self.shards.get(name) and homes and name in serving:
                self.shards[name] -= 1
                self.shards[min(homes, key=lambda home: self.shards[home])] += 1

    def reserved(self) -> list[Resource]:
        """Everything that is reserved anywhere, in use or not."""
        held = [item for agent in self.agents.values() for item in agent.idle]
        held += [item for _, items in self.offered.values() for item in items]
        held += [item for task in self.tasks.values() for item in task.resources]
        return [item for item in held if item.reservations]


def _layered(values: tuple[str | None, str | None], layer: int,
             value: str | None) -> tuple[str | None, str | None]:
    return (value, values[1]) if layer == 0 else (values[0], value)


def _bare(resource: Resource) -> None:
    assert resource.disk is None or resource.disk.source_type is None
    return


def _merge(idle: list[Resource], resource: Resource) -> None:
    for index, other in enumerate(idle):
        if (other.name, other.reservations, other.disk) == (
                resource.name, resource.reservations, resource.disk):
            if resource.disk is not None and resource.disk.persistence_id:
                continue
            idle[index] = replace(other, amount=round(other.amount + resource.amount, 3),
                                  ranges=tuple(sorted({*other.ranges, *resource.ranges})))
            return
    idle.append(resource)


def _take(held: list[Resource], wanted: Iterable[Resource]) -> bool:
    """Take resources out of ``held``; all or nothing."""
    left = list(held)
    for resource in wanted:
        for index, other in enumerate(left):
            if (other.name, other.reservations, other.disk) != (
                    resource.name, resource.reservations, resource.disk):
                continue
            ports = {port for begin, end in other.ranges for port in range(begin, end + 1)}
            taken = {port for begin, end in resource.ranges for port in range(begin, end + 1)}
            if other.amount + 0.0005 < resource.amount or not taken <= ports:
                continue
            amount = round(other.amount - resource.amount, 3)
            ranges = tuple((port, port) for port in sorted(ports - taken))
            if amount > 0 or ranges:
                left[index] = replace(other, amount=amount, ranges=ranges)
            else:
                del left[index]
            break
        else:
            return False
    held[:] = left
    return True


def _swap(held: list[Resource], before: Iterable[Resource], after: Iterable[Resource]) -> bool:
    if not _take(held, before):
        return False
    for resource in after:
        _merge(held, resource)
    return True
