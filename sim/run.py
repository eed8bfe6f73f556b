"""One seed from its beginning to its end: a world full of faults, then a quiet one."""
from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from esaas.framework.core.facts import Identity
from esaas.framework.core.plan import founded
from esaas.framework.core.spec import ClusterSpec
from esaas.framework.runtime.cycle import Cycle
from esaas.framework.store.codec import from_records, to_records
from esaas.framework.store.contract import StoreError

from .convergence import Lookout, held_for_good, operators_settings, unsettled
from .elastic import EsCluster, Shard
from .faults import PROFILES, Faults, Profile
from .master import Master
from .memory import StandInStore
from .process import Parts, Process
from .safety import Safety, Watched
from .topology import cluster_count, first_spec, topology
from .trace import Broken, Crash, Trace
from .wire import accept_over_the_wire, offer_over_the_wire
from .wishes import People, shards_of

BEGIN = 1000.0
TICKS = 260                         # with faults and wishes
QUIET_TICKS = 2400                  # at most, to converge afterwards
STILL_S = 330.0                     # a hold is for good when nothing has moved for so long
WIRE_EVERY = 8                      # seeds
AWAY_FOR_GOOD = 0.06                # of the agents that are away when the faults stop


@dataclass(frozen=True)
class Failure:
    """A rule that was broken, and where."""

    rule: str
    message: str
    tick: int
    last: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What came of a seed."""

    seed: int
    profile: str
    ticks: int
    digest: str
    turns: int = 0
    converged_in: int = 0           # ticks from the last fault on
    outcomes: tuple[str, ...] = ()  # of each cluster: converged, deleted, or what holds it
    faults: Counter[str] = field(default_factory=Counter)
    wishes: Counter[str] = field(default_factory=Counter)
    failure: Failure | None = None


@dataclass
class Cluster:
    """One cluster: who wants it, who runs it, and what there is of it."""

    es: EsCluster
    process: Process
    people: People
    before: dict[str, tuple[str | None, str | None]]
    zombie: Process | None = None
    restart_at: float | None = None
    processes: int = 1
    still_since: float = 0.0
    seen_turn: tuple[object, ...] = ()


class World:
    """Everything that a seed makes."""

    def __init__(self, seed: int, profile: Profile, ticks: int = TICKS,
                 show: Callable[[str], None] | None = None, keeps_journal: bool = False) -> None:
        self.seed, self.profile, self.ticks = seed, profile, ticks
        self.now = BEGIN
        self.trace = Trace(show)
        self.faults = Faults(profile, Random(f"faults {seed}"))
        self.rng = Random(f"world {seed}")
        self.store = StandInStore(fails=self._store_fails, keeps_journal=keeps_journal)
        self.safety = Safety(self.store)
        rng = Random(f"topology {seed}")
        self.data_centre = topology(rng)
        self.master = Master(self.data_centre.agents, self.rng, self.faults, self.trace,
                             self.safety)
        self.master.now = self.now
        self.safety.master = self.master
        self.clusters: list[Cluster] = []
        self.births = [(self.now + number * rng.randint(0, 40),
                        first_spec(rng, number + 1, self.data_centre))
                       for number in range(cluster_count(rng))]
        self.away = False
        self._storing = False

    def _store_fails(self) -> bool:
        return self._storing and self.faults.strikes("store_error")

    # --------------------------------------------------------------------- births

    def _create(self, spec: ClusterSpec) -> None:
        """People ask for a cluster, as ``Clusters.create`` makes it."""
        rng = Random(f"people {self.seed} {spec.name}")
        uid = f"uid{self.seed}-{spec.name}"
        identity = Identity(spec.name, spec.tenant, uid, self.now, spec.tenant,
                            f"esaas-{spec.name}-{uid}")
        es = EsCluster(spec.name, self.rng, self.faults, self.trace)
        es.wanted_shards = [Shard(name, replicas) for name, replicas in shards_of(spec, rng)]
        if rng.random() < 0.2:
            es.persistent["cluster.routing.allocation.exclude._name"] = "operators-own"
        lease = self.store.acquire(spec.name, f"{spec.name}/1")
        cycle = Cycle.create(self.store, lease, founded(identity, spec), self.now)
        self.safety.watch(Watched(spec.name, uid, identity.framework_id or "", es))
        process = Process(f"{spec.name}/1", cycle, self._parts(es))
        every_s = rng.choice((40, 60, 90, 150))
        people = People(rng, every_s, self.now)
        self.clusters.append(Cluster(es, process, people, operators_settings(es)))
        groups = ", ".join(f"{group.name} {group.count}" for group in spec.groups)
        self.trace.note(self.now, spec.name, f"is wanted: {spec.version}, {groups}")
        process.subscribe()

    def _parts(self, es: EsCluster) -> Parts:
        parts = Parts(self.master, es, self.safety, self.faults, self.rng, self.trace)
        if self.seed % WIRE_EVERY == 0:
            parts.wire_offer, parts.wire_accept = offer_over_the_wire, accept_over_the_wire
        return parts

    # ---------------------------------------------------------------------- ticks

    def tick(self) -> None:
        """A second."""
        self.now += 1
        while self.births and self.births[0][0] <= self.now:
            self._create(self.births.pop(0)[1])
        self._mischief()
        self.master.tick(self.now)
        for cluster in self.clusters:
            for process in filter(None, (cluster.process, cluster.zombie)):
                process.act(self.now)
            cluster.es.tick(self.now)
        self.master.deliver_due()
        for cluster in self.clusters:
            self._run(cluster)
        self.safety.check()

    def _mischief(self) -> None:
        if self.faults.strikes("master_failover"):
            self.trace.note(self.now, "master", "fails over")
            self.master.fail_over()
        for agent in list(self.master.agents.values()):
            if agent.registered and self.faults.strikes("agent_lost"):
                how = self.faults.rng.choice(("partition", "partition", "reboot", "new id"))
                away_s = self.faults.rng.choice((3, 8, 25, 60, 120))
                self.master.lose(agent, how, max(away_s, 25) if how == "new id" else away_s)
        for cluster in self.clusters:
            alive = cluster.restart_at is None and not cluster.process.gone
            if alive and cluster.zombie is None and self.faults.strikes("second_scheduler"):
                self.trace.note(self.now, cluster.process.name, "is taken over, and goes on")
                cluster.zombie = cluster.process
                self._begin(cluster)

    def _run(self, cluster: Cluster) -> None:
        if cluster.restart_at is not None:
            if self.now >= cluster.restart_at:
                self._begin(cluster)
            return
        if cluster.zombie is not None:
            self._run_zombie(cluster)
        process = cluster.process
        if process.gone:
            return
        if process.held:
            raise Broken("never_held", f"{process.name}: {process.held}")
        if self.now - BEGIN <= self.ticks:
            process.commands += cluster.people.ask(process.state, self.now)
        elif self.now % 5 == 0:
            process.commands += cluster.people.settle(process.state, self.now)
        self._storing = True
        try:
            process.tick(self.now)
        except Crash:
            self._crashed(cluster)
        finally:
            self._storing = False

    def _run_zombie(self, cluster: Cluster) -> None:
        """``lease_fences``: who has lost the lease stores nothing, and nothing it sends counts."""
        zombie = cluster.zombie
        assert zombie is not None
        before = dict(self.store.records), self.store.written
        try:
            zombie.tick(self.now)
        except Crash:
            cluster.zombie = None
            return
        if (self.store.records, self.store.written) != before:
            raise Broken("lease_fences", f"{zombie.name} has lost its lease, and writes")
        if zombie.held:
            self.trace.note(self.now, zombie.name, "has found out that its lease is lost")
            self.master.unsubscribe(zombie)
            cluster.zombie = None

    # -------------------------------------------------------------------- crashes

    def _crashed(self, cluster: Cluster) -> None:
        process = cluster.process
        self.trace.note(self.now, process.name, "crashes")
        self.master.unsubscribe(process)
        process.held = "crashed"
        for action in process.actions:          # what was under way may or may not come about
            if self.faults.rng.random() < 0.5:
                cluster.es.act(action.operation)
        process.actions = []
        cluster.restart_at = self.now + self.faults.rng.randint(1, 15)

    def _begin(self, cluster: Cluster) -> None:
        """A new process takes the lease and loads what is stored."""
        cluster.processes += 1
        cluster.restart_at = None
        name = cluster.process.state.identity.name
        lease = self.store.acquire(name, f"{name}/{cluster.processes}")
        records = self.store.read(f"clusters/{name}")
        if not records:                         # it died after it had forgotten the cluster
            cluster.process.gone = True
            return
        self._stored_is_known(cluster.process, name)
        cycle = Cycle.load(self.store, lease, name, records)
        cluster.process = Process(f"{name}/{cluster.processes}", cycle, self._parts(cluster.es))
        self.trace.note(self.now, cluster.process.name, "starts")
        cluster.process.subscribe()

    def _stored_is_known(self, process: Process, name: str) -> None:
        """``stored_is_known``: what is loaded is what the process before had stored."""
        records = self.store.read(f"clusters/{name}")
        loaded, known = to_records(from_records(records, name)), to_records(process.state)
        if loaded != known:
            differ = sorted(path for path in loaded.keys() | known.keys()
                            if loaded.get(path) != known.get(path))
            raise Broken("stored_is_known", f"{process.name} knew something else than it has "
                         f"stored: {', '.join(differ)}")

    # ------------------------------------------------------------------------ run

    def _quiet(self) -> None:
        """The faults stop; most agents that are away come back."""
        self.faults.stop()
        self.trace.note(self.now, "world", "no more faults")
        for agent in list(self.master.agents.values()):
            if agent.registered:
                continue
            if self.faults.rng.random() < AWAY_FOR_GOOD:
                agent.returns_at = float("inf")
                self.away = True
            else:
                agent.returns_at = min(agent.returns_at, self.now + 30)

    def _lookout(self, cluster: Cluster) -> Lookout:
        return Lookout(cluster.process, cluster.es, self.master, cluster.before, self.away)

    def _outcome(self, cluster: Cluster) -> str:
        """How a cluster ended; empty while it goes on."""
        if cluster.restart_at is not None or cluster.zombie is not None:
            return ""
        look = self._lookout(cluster)
        if not unsettled(look, self.now):
            return "deleted" if cluster.process.gone else "converged"
        state = cluster.process.state
        what = (state.nodes, state.revision, state.held_allocation, cluster.es.changed_at)
        if what != cluster.seen_turn:
            cluster.seen_turn, cluster.still_since = what, self.now
        still = self.now - cluster.still_since
        return held_for_good(look, self.now) if still >= STILL_S and self.now % 10 == 0 else ""

    def run(self) -> Result:
        """Until every cluster has converged, is deleted, or is held by what may hold it."""
        outcomes: list[str] = []
        failure = None
        try:
            while self.now - BEGIN < self.ticks:
                self.tick()
            self._quiet()
            outcomes = self._converge()
        except Broken as error:
            failure = Failure(error.rule, error.message, int(self.now - BEGIN),
                              tuple(self.trace.last))
        # A mistake of the simulator itself, or of the core in a place that is not looked at.
        except (StoreError, ArithmeticError, AssertionError, LookupError, TypeError, ValueError,
                AttributeError):
            failure = Failure("simulator", traceback.format_exc(), int(self.now - BEGIN),
                              tuple(self.trace.last))
        return Result(
            self.seed, self.profile.name, int(self.now - BEGIN), self.trace.digest,
            sum(cluster.process.turns for cluster in self.clusters),
            max(int(self.now - BEGIN) - self.ticks, 0), tuple(outcomes), self.faults.counts,
            Counter(wish for cluster in self.clusters for wish in cluster.people.told), failure)

    def _converge(self) -> list[str]:
        while True:
            self.tick()
            outcomes = [self._outcome(cluster) for cluster in self.clusters]
            if all(outcomes) and not self.births:
                return outcomes
            if self.now - BEGIN - self.ticks > QUIET_TICKS:
                late = self._late(outcomes)
                reasons = unsettled(self._lookout(late), self.now)
                rules = sorted({reason.partition(":")[0] for reason in reasons}) or ["converges"]
                raise Broken(rules[-1], f"{late.process.name} has not converged within "
                             f"{QUIET_TICKS} ticks: {'; '.join(reasons[:6])}")

    def _late(self, outcomes: list[str]) -> Cluster:
        """One that has not come to an end; one that may be held for good only if all are."""
        open_ = [cluster for cluster, outcome in zip(self.clusters, outcomes, strict=True)
                 if not outcome] or self.clusters
        return next((cluster for cluster in open_
                     if not held_for_good(self._lookout(cluster), self.now)), open_[0])


def run_seed(seed: int, profile: str = "light", ticks: int = TICKS,
             show: Callable[[str], None] | None = None) -> Result:
    """One seed under a profile of faults, by its name."""
    return World(seed, PROFILES[profile], ticks, show).run()
