"""Simulated Elasticsearch: members, a master by quorum, shards with copies, settings, looks.

A document is a count: each shard counts the writes it has acknowledged, and each copy on a volume
the writes it has. The set of copies in sync is kept as Elasticsearch does (reference, "Reading and
writing documents"; "Quorum-based decision making"; "Voting configurations"; "Cluster-level shard
allocation"): so it is decidable whether acknowledged writes are lost.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from esaas.framework.core import operations as op
from esaas.framework.core.facts import EsNode, EsView
from esaas.framework.elastic import observer

from .agent import Task
from .faults import Faults
from .trace import Trace

DELAY_S, RAISED_DELAY_S = 60.0, 613.0
REBALANCE = "cluster.routing.rebalance.enable"
READ_ONLY = "cluster.blocks.read_only"
AT_ONCE = 2                         # recoveries that begin in a tick
STARTED, BUILDING, IDLE = "started", "building", "idle"


@dataclass(slots=True)
class Copy:
    """A copy of a shard on a volume; idle: on disk, and not in use."""

    written: int
    state: str = IDLE
    due: float = 0.0
    source: str = ""                # the volume that it moves away from
    stuck: bool = False


@dataclass(slots=True)
class Shard:
    """One shard, its copies by volume, and what it has promised."""

    id: str
    replicas: int
    acknowledged: int = 0
    primary: str = ""
    in_sync: set[str] = field(default_factory=set)
    copies: dict[str, Copy] = field(default_factory=dict)
    vacated_at: float = -DELAY_S

    def active(self) -> list[str]:
        """Volumes with a copy that is in use."""
        return [volume for volume, copy in self.copies.items() if copy.state == STARTED]

    def assigned(self) -> int:
        """Copies in use or being built, those that move counted once."""
        return sum(copy.state != IDLE and not copy.source for copy in self.copies.values())

    @property
    def whole(self) -> bool:
        """Whether every copy is in use."""
        return len(self.active()) >= self.replicas + 1

    @property
    def red(self) -> bool:
        """Whether it cannot be written to."""
        return not self.primary or self.copies[self.primary].state != STARTED


class EsCluster:
    """One Elasticsearch cluster: whatever runs on volumes of one uid."""

    def __init__(self, name: str, rng: Random, faults: Faults, trace: Trace) -> None:
        self.name = name
        self.tasks: dict[str, Task] = {}        # processes that run, by volume
        self.master = ""                        # volume of the elected master
        self.uuid: str | None = None
        self.recovered_at = 0.0
        self.votes: set[str] | None = None      # the voting configuration, from 7 on
        self.excluded_votes: dict[str, str] = {}    # name -> volume; empty: nobody of that name
        self.shards: dict[str, Shard] = {}
        self.wanted_shards: list[Shard] = []    # indices that people will create
        self.transient: dict[str, str] = {}
        self.persistent: dict[str, str] = {}
        self.template: int | None = None
        self.raised = False                     # our time-out for missing nodes
        self.versions: dict[str, int] = {}      # the newest that wrote on a volume, by volume
        self.lost: list[str] = []
        self.changed_at = 0.0
        self.now = 0.0
        self._rng, self._faults, self._trace = rng, faults, trace

    # ----------------------------------------------------------------- processes

    def start(self, task: Task) -> None:
        """A process is up."""
        self.tasks[task.volume] = task
        task.joined = False

    def stop(self, task: Task) -> None:
        """A process is gone."""
        if self.tasks.get(task.volume) is task:
            del self.tasks[task.volume]
            self.changed_at = self.now
            self._leave(task.volume)

    def can_start(self, task: Task) -> str:
        """Elasticsearch does not read what a newer one has written."""
        newest = self.versions.get(task.volume, 0)
        return f"cannot downgrade from {newest}" if newest > task.major else ""

    def destroy(self, volume: str) -> list[str]:
        """A volume is no more; shards that have lost acknowledged writes by it."""
        hurt = []
        for shard in self.shards.values():
            if shard.copies.pop(volume, None) is None:
                continue
            if volume in shard.in_sync:
                shard.in_sync.discard(volume)
                if not shard.in_sync and shard.acknowledged:
                    hurt.append(shard.id)
            if shard.primary == volume:
                shard.primary = ""
        return hurt

    def members(self) -> dict[str, Task]:
        """Processes that have joined, by volume."""
        return {volume: task for volume, task in self.tasks.items() if task.joined}

    def masters(self) -> list[Task]:
        """Master-eligible processes that run."""
        return [task for task in self.tasks.values() if "master" in task.payload.roles]

    def quorum(self) -> int:
        """``minimum_master_nodes`` in force: the setting, else what nodes were started with."""
        told = self.persistent.get(observer.MINIMUM_MASTER_NODES)
        if told is not None:
            return int(told)
        return max((task.payload.minimum_master_nodes for task in self.masters()), default=1) or 1

    def has_quorum(self, without: str = "") -> bool:
        """Whether a master can be elected, or stay, without the node of a name."""
        found = [task for task in self.masters() if task.node != without]
        if any(task.major >= 7 for task in found) and self.votes is not None:
            voting = sum(task.volume in self.votes for task in found)
            return voting * 2 > len(self.votes)
        if all(task.major >= 7 for task in found) and self.uuid is None:
            first = {name for task in found for name in task.payload.initial_master_nodes}
            there = sum(task.node in first for task in found)
            return bool(first) and there * 2 > len(first)
        return bool(found) and len(found) >= self.quorum()

    # --------------------------------------------------------------------- a tick

    def tick(self, now: float) -> None:
        """Election, joining, promotion, recovery, writes, moves: a second of it."""
        self.now = now
        if not self._elect():
            return
        for volume, task in self.tasks.items():
            if not task.joined and now > task.up_since:
                task.joined = True
                self.changed_at = now
                self.versions[volume] = max(self.versions.get(volume, 0), task.major)
        self._vote()
        if now < self.recovered_at:
            return
        self._create()
        for shard in self.shards.values():
            self._lead(shard)
            self._build(shard)
            self._fill(shard)
            self._write(shard)
            self._trim(shard)
        self._move()

    def _elect(self) -> bool:
        there = self.tasks.get(self.master)
        if there is not None and there.joined and self.has_quorum():
            return True
        if self.master:
            self.master = ""
            self._trace.note(self.now, self.name, "elasticsearch has lost its master")
            return False
        if not self.has_quorum() or self._rng.random() < 0.4:
            return False
        able = [task for task in self.masters() if task.up_since < self.now]
        if self.votes is not None and any(task.major >= 7 for task in able):
            able = [task for task in able if task.volume in self.votes]
        if not able:
            return False
        newest = min(task.major for task in able)       # the oldest version stays master
        elected = self._rng.choice([task for task in able if task.major == newest])
        self.master, elected.joined = elected.volume, True
        self.versions[elected.volume] = max(
            self.versions.get(elected.volume, 0), elected.major)
        self.recovered_at = self.now + self._rng.randint(0, 2)
        if self.uuid is None:
            self.uuid = f"uuid-{self.name}-{self.now:.0f}"
        self._trace.note(self.now, self.name, f"elasticsearch elects {elected.node}")
        return True

    def _vote(self) -> None:
        """The voting configuration follows the masters (``Reconfigurator`` of Elasticsearch)."""
        live = {task.volume: task for task in self.masters() if task.joined}
        if self.tasks[self.master].major < 7:
            return
        kept = {volume for volume in live if not self._has_no_vote(volume)}
        if self.votes is None:
            self.votes = set(kept) or set(live)
            return
        floor = 3 if len(self.votes) >= 3 else 1
        target = max(len(kept) - (len(kept) + 1) % 2, floor)
        gone = {volume for volume in self.votes - live.keys()
                if not self._has_no_vote(volume)}
        ranked = sorted((volume != self.master, volume not in self.votes, volume)
                        for volume in kept)
        ranked += sorted((True, True, volume) for volume in gone)
        votes = {item[-1] for item in ranked[:target]}
        if votes and len(votes & live.keys()) * 2 > len(votes):
            self.votes = votes

    def _has_no_vote(self, volume: str) -> bool:
        """Exclusions are by the id of a node; by its name only when none was there."""
        return self.excluded_votes.get(self._name_of(volume)) in ("", volume)

    def _name_of(self, volume: str) -> str:
        return volume.split(".")[1]

    def _create(self) -> None:
        """People create an index when the cluster is green and knows our template."""
        if self.wanted_shards and self.template is not None and self.health() == "green":
            shard = self.wanted_shards.pop()
            homes = self._homes(shard)
            if len(homes) < shard.replicas + 1:
                self.wanted_shards.insert(0, shard)
                return
            for volume in homes[:shard.replicas + 1]:
                shard.copies[volume] = Copy(0, STARTED)
            shard.primary = homes[0]
            shard.in_sync = set(shard.copies)
            self.shards[shard.id] = shard

    # --------------------------------------------------------------------- shards

    def _leave(self, volume: str) -> None:
        for shard in self.shards.values():
            copy = shard.copies.get(volume)
            if copy is None or copy.state == IDLE:
                continue
            if copy.state == STARTED:
                shard.vacated_at = self.now
            if copy.source or (copy.state == BUILDING and volume not in shard.in_sync):
                del shard.copies[volume]
            else:
                copy.state = IDLE
            for other in [key for key, item in shard.copies.items() if item.source == volume]:
                del shard.copies[other]             # it has nothing to be built from any more

    def enabled(self) -> str:
        """What allocation may do."""
        return (self.transient.get(observer.ALLOCATION)
                or self.persistent.get(observer.ALLOCATION) or "all")

    def excluded(self) -> set[str]:
        """Names that get no shards."""
        text = (self.transient.get(observer.EXCLUDE)
                or self.persistent.get(observer.EXCLUDE) or "")
        return set(filter(None, text.split(",")))

    def _lead(self, shard: Shard) -> None:
        """A primary: one that is in use and in sync, or one that comes back with its disk."""
        if shard.primary and shard.copies[shard.primary].state != IDLE:
            return
        shard.primary = ""
        members = self.members()
        ready = sorted(volume for volume in shard.active() if volume in shard.in_sync)
        if ready:
            shard.primary = ready[0]
            return
        idle = sorted(volume for volume in shard.in_sync if volume in members)
        if idle and self.enabled() in ("all", "primaries"):
            shard.primary = idle[0]
            self._begin(shard, idle[0], shard.copies[idle[0]].written, "")

    def _begin(self, shard: Shard, volume: str, written: int, source: str) -> None:
        known = volume in shard.copies
        due = self.now + (self._rng.randint(1, 3) if known else self._rng.randint(2, 8))
        copy = Copy(written, BUILDING, due, source)
        if self._faults.strikes("recovery_slow"):
            copy.due += 40
        copy.stuck = self._faults.strikes("recovery_stuck")
        shard.copies[volume] = copy

    def _build(self, shard: Shard) -> None:
        for volume, copy in list(shard.copies.items()):
            if copy.state != BUILDING or volume not in self.tasks:
                continue
            if self.now < copy.due or (copy.stuck and not self._faults.stopped):
                continue
            if volume != shard.primary and shard.red:
                continue
            copy.state, copy.written = STARTED, shard.acknowledged
            shard.in_sync.add(volume)
            if copy.source:
                self._moved(shard, volume, copy)
            self._trim(shard)

    def _moved(self, shard: Shard, volume: str, copy: Copy) -> None:
        old, copy.source = copy.source, ""
        shard.copies.pop(old, None)
        shard.in_sync.discard(old)
        if shard.primary == old:
            shard.primary = volume

    def _trim(self, shard: Shard) -> None:
        """Copies beyond the wanted ones are out of sync, and then off the disk."""
        if shard.whole:
            shard.in_sync = set(shard.active())
            for volume in [key for key, copy in shard.copies.items()
                           if copy.state == IDLE and key in self.tasks]:
                del shard.copies[volume]

    def _load(self, volume: str) -> int:
        return sum(volume in shard.copies and shard.copies[volume].state != IDLE
                   for shard in self.shards.values())

    def _homes(self, shard: Shard) -> list[str]:
        """Volumes that may get a copy, the emptiest first."""
        excluded, members = self.excluded(), self.members()
        primary = members.get(shard.primary)
        oldest = primary.major if primary is not None else 0
        able = [volume for volume, task in members.items()
                if "data" in task.payload.roles and task.node not in excluded
                and task.major >= oldest and (volume not in shard.copies
                                              or shard.copies[volume].state == IDLE)]
        return sorted(able, key=lambda volume: (volume not in shard.copies,
                                                self._load(volume), volume))

    def _fill(self, shard: Shard) -> None:
        """Replicas that are missing: where their data is, or elsewhere after a time-out."""
        if shard.red or self.enabled() != "all" or shard.assigned() >= shard.replicas + 1:
            return
        waits = RAISED_DELAY_S if self.raised else DELAY_S
        homes = self._homes(shard)
        if self.now - shard.vacated_at < waits:
            homes = [volume for volume in homes if volume in shard.copies]
        if homes:
            written = shard.copies[homes[0]].written if homes[0] in shard.copies else 0
            self._begin(shard, homes[0], written, "")

    def _write(self, shard: Shard) -> None:
        """A write is acknowledged by every copy in use; what is away falls out of sync."""
        layers = (self.transient.get(READ_ONLY) or self.persistent.get(READ_ONLY))
        if shard.red or layers == "true" or self._rng.random() < 0.6:
            return
        shard.acknowledged += 1
        shard.in_sync = set(shard.active())
        for volume in shard.in_sync:
            shard.copies[volume].written = shard.acknowledged

    def _move(self) -> None:
        """Off excluded nodes, then from the fullest to the emptiest."""
        if self.enabled() != "all":
            return
        excluded, members, begun = self.excluded(), self.members(), 0
        for shard in self.shards.values():
            if any(copy.source for copy in shard.copies.values()) or shard.red:
                continue
            for volume in shard.active():
                if members[volume].node in excluded and begun < AT_ONCE:
                    homes = [item for item in self._homes(shard) if item not in shard.copies]
                    if homes:
                        begun += 1
                        self._begin(shard, homes[0], 0, volume)
                        break
        if not begun and self.health() == "green" and not any(
                copy.state == BUILDING for _, copy in self._all()):
            self._rebalance()

    def _rebalance(self) -> None:
        told = self.transient.get(REBALANCE) or self.persistent.get(REBALANCE) or "all"
        if told != "all":
            return
        for shard in self.shards.values():
            homes = [item for item in self._homes(shard) if item not in shard.copies]
            fullest = max(shard.active(), key=lambda volume: (self._load(volume), volume))
            if homes and self._load(fullest) - self._load(homes[0]) >= 2:
                self._begin(shard, homes[0], 0, fullest)
                return

    def _all(self) -> Iterator[tuple[str, Copy]]:
        for shard in self.shards.values():
            yield from shard.copies.items()

    def health(self) -> str:
        """green, yellow or red."""
        if any(shard.red for shard in self.shards.values()):
            return "red"
        whole = all(shard.whole for shard in self.shards.values())
        return "green" if whole else "yellow"

    # ---------------------------------------------------------------------- looks

    def rows(self) -> list[dict[str, Any]]:
        """Shards as ``_cat/shards`` tells them."""
        found: list[dict[str, Any]] = []
        for shard in self.shards.values():
            index, _, number = shard.id.partition("/")
            head = {"index": index, "shard": number}
            targets = {copy.source: volume for volume, copy in shard.copies.items() if copy.source}
            for volume, copy in shard.copies.items():
                if copy.state == IDLE or copy.source:
                    continue
                node, size = self._name_of(volume), str((1 + copy.written) * 2**20)
                if volume in targets:
                    node += f" -> 10.0.0.1 id {self._name_of(targets[volume])}"
                state = "INITIALIZING" if copy.state == BUILDING else (
                    "RELOCATING" if volume in targets else "STARTED")
                found.append({**head, "state": state, "node": node, "store": size})
            found += [{**head, "state": "UNASSIGNED"}] * (
                shard.replicas + 1 - shard.assigned())
        return found

    def look(self, now: float) -> EsView | None:
        """A full look, or nothing while there is no master or its state is not recovered."""
        if not self.master or now < self.recovered_at:
            return None
        rows, members = self.rows(), self.members()
        loads = observer.loads_of(rows)
        nodes = {}
        for volume, task in sorted(members.items(), key=lambda item: item[1].node):
            load = loads.get(task.node)
            nodes[task.node] = EsNode(
                f"es-{volume}", task.node, version=task.payload.version,
                shards=load.shards if load else 0, disk_used_percent=1.0,
                disk_total_mb=100_000.0)
        count = [row["state"] for row in rows].count
        view = EsView(
            now, self.health(), self.uuid, nodes, master=self._name_of(self.master),
            active_shards=count("STARTED") + count("RELOCATING"),
            relocating_shards=count("RELOCATING"), initializing_shards=count("INITIALIZING"),
            unassigned_shards=count("UNASSIGNED"), store_mb=float(len(rows)),
            minimum_master_nodes=self._number(observer.MINIMUM_MASTER_NODES),
            template_replicas=self.template, loads=loads,
            max_replicas=max((shard.replicas for shard in self.shards.values()), default=0),
            allocation_settings=self._layers(observer.ALLOCATION),
            exclude_settings=self._layers(observer.EXCLUDE),
            voting_exclusions=tuple(sorted(self.excluded_votes)),
            delayed_indices=len(self.shards) if self.raised else 0,
            transient=dict(self.transient), persistent=dict(self.persistent))
        return observer.with_copies(view, rows)

    def _number(self, key: str) -> int | None:
        return int(self.persistent[key]) if key in self.persistent else None

    def _layers(self, key: str) -> tuple[str | None, str | None]:
        return self.transient.get(key), self.persistent.get(key)

    # -------------------------------------------------------------------- actions

    def act(self, operation: op.Operation) -> tuple[bool, str]:
        """Carry out what the real actions do; (whether it was done, why not)."""
        if self.master not in self.tasks:
            return False, "no master"
        if isinstance(operation, op.SetMinimumMasterNodes):
            there = sum(task.joined for task in self.masters())
            if operation.count > there:
                return False, f"cannot set minimum_master_nodes to more than {there}"
            self.persistent[observer.MINIMUM_MASTER_NODES] = str(operation.count)
        elif isinstance(operation, op.ExcludeNodes):
            layer = self._layer(observer.EXCLUDE)
            there_ = [name for name in layer.get(observer.EXCLUDE, "").split(",") if name]
            names = [name for name in there_ if name not in operation.stale]
            names += [name for name in operation.names if name not in names]
            _put(layer, observer.EXCLUDE, ",".join(names) or None)
        elif isinstance(operation, (op.ExcludeVotes, op.ClearVotingExclusions)) and (
                self.tasks[self.master].major < 7):
            return False, "no such API before 7.0"
        elif isinstance(operation, op.ExcludeVotes):
            self._exclude_votes(operation.names)
        elif isinstance(operation, op.ClearVotingExclusions):
            self.excluded_votes = {}
            self._exclude_votes(operation.keep)
        elif isinstance(operation, (op.SetAllocation, op.SetSwitch)):
            self._set(operation)
        elif isinstance(operation, op.RaiseDelays):
            self.raised = bool(self.shards)
        elif isinstance(operation, op.RestoreDelays):
            self.raised = False
        elif isinstance(operation, op.PutTemplate):
            self.template = operation.replicas
        elif isinstance(operation, op.PutSettings):
            for key, value in operation.values:
                _put(self.persistent, key, value)
        return True, "done"

    def _exclude_votes(self, names: Iterable[str]) -> None:
        there = {task.node: volume for volume, task in self.members().items()}
        self.excluded_votes |= {name: there.get(name, "") for name in names}

    def _layer(self, key: str) -> dict[str, str]:
        return self.transient if self.transient.get(key) else self.persistent

    def _set(self, operation: op.SetAllocation | op.SetSwitch) -> None:
        key = observer.ALLOCATION if isinstance(operation, op.SetAllocation) else operation.key
        if operation.value is None:
            _put(self.transient, key, operation.before[0])
            _put(self.persistent, key, operation.before[1])
        else:
            layer = self.transient if operation.before[0] else self.persistent
            layer[key] = operation.value


def _put(layer: dict[str, str], key: str, value: str | None) -> None:
    if value is None:
        layer.pop(key, None)
    else:
        layer[key] = value
