"""The simulator at the size of 10,000 agents and 1,000 clusters, without faults.

The code that decides, stores and answers offers is the real one; Mesos, Elasticsearch and the clock
are the simulator's. All clusters are created, some at every simulated second, and run until each is
green with its plan done. What the real code takes (``Cycle.turn``) is told apart from what the
simulator around it takes. The rules of safety are left to ``esaas sim``: they look at everything
after every turn. A cluster costs more where it is offered more agents; nothing is quadratic in the
real code as long as an offer costs no more in a later row.

    python -m bench.sim_scale [AGENTS CLUSTERS]...
"""
from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from random import Random
from typing import Any

from esaas.framework.core import events as ev
from esaas.framework.core import operations as op
from esaas.framework.core.facts import ClusterState
from esaas.framework.core.resources import Offer, Resource
from esaas.framework.core.spec import ClusterSpec, parse_spec
from esaas.framework.runtime.cycle import Cycle, Turn
from esaas.sim.agent import Agent
from esaas.sim.books import Books
from esaas.sim.convergence import unsettled
from esaas.sim.elastic import EsCluster
from esaas.sim.faults import PROFILES
from esaas.sim.master import Master
from esaas.sim.process import Parts, Process
from esaas.sim.run import BEGIN, World

from bench import report

NODES = 3
BORN_AT_ONCE = 10                       # clusters in a simulated second
PATIENCE_S = 1800                       # simulated
LOOKED_INTO = 20                        # clusters whose leaks and settings are looked at, too
STEPS = ((100, 10), (1_000, 100), (3_000, 300), (10_000, 1_000))


class NoJudge:
    """Lets everything pass."""

    def sending(self, process: Process, operation: op.Operation) -> None:
        """Nothing."""

    def turned(self, process: Process, before: ClusterState, events: Sequence[ev.Event],
               turn: Turn) -> None:
        """Nothing."""

    def looked(self, process: Process, at: float) -> None:
        """Nothing."""


class TimedCycle(Cycle):
    """The real cycle; all of them together keep the CPU seconds and offers of their turns."""

    cpu_s, offers = 0.0, 0

    def turn(self, events: Sequence[ev.Event], offers: Sequence[Offer], now: float) -> Turn:
        """A turn as ever, with a look at the clock."""
        begin = time.process_time()
        try:
            return super().turn(events, offers, now)
        finally:
            TimedCycle.cpu_s += time.process_time() - begin
            TimedCycle.offers += len(offers)


def agent(number: int) -> Agent:
    """One of many agents that are all alike, in racks of forty."""
    books = Books()
    books.add([Resource("cpus", 16.0), Resource("mem", 65_536.0), Resource("disk", 1e6),
               Resource("ports", ranges=((31_000, 31_099),))])
    return Agent(number, f"agent-{number}", f"host-{number}", f"10.{number >> 8}.{number & 255}.1",
                 {"rack": f"rack-{number // 40}"}, books)


def spec(number: int) -> ClusterSpec:
    """A cluster of three nodes."""
    return parse_spec({"name": f"c{number:04}", "tenant": f"team{number % 30}",
                       "version": "6.8.23", "groups": [{
                           "name": "node", "count": NODES, "roles": ["master", "data"],
                           "cpus": 1.0, "mem_mb": 4096, "disk_mb": 10_000}]})


class LargeWorld(World):
    """A world of a given size in which nothing goes wrong and nobody wants anything more."""

    def __init__(self, agents: int, clusters: int) -> None:
        super().__init__(1, PROFILES["none"], ticks=0)
        self.master = Master([agent(number) for number in range(1, agents + 1)], Random(1),
                             self.faults, self.trace, self.safety)
        self.master.now = self.now
        self.safety.master = self.master
        self.births = [(self.now + number // BORN_AT_ONCE, spec(number))
                       for number in range(clusters)]

    def _create(self, spec: ClusterSpec) -> None:
        super()._create(spec)
        process = self.clusters[-1].process
        cycle = process.cycle
        process.cycle = TimedCycle(cycle.state, cycle.store, cycle.lease, cycle.book)

    def _parts(self, es: EsCluster) -> Parts:
        parts = super()._parts(es)
        parts.judge, parts.wire_offer, parts.wire_accept = NoJudge(), None, None
        return parts

    def tick(self) -> None:
        """A second, without mischief and without a look at everything."""
        self.now += 1
        while self.births and self.births[0][0] <= self.now:
            self._create(self.births.pop(0)[1])
        self.master.tick(self.now)
        for cluster in self.clusters:
            cluster.process.act(self.now)
            cluster.es.tick(self.now)
        self.master.deliver_due()
        for cluster in self.clusters:
            self._run(cluster)

    def converged(self) -> bool:
        """Whether all clusters are there, done and green."""
        return not self.births and all(
            cluster.process.sentence.startswith("all ") and cluster.es.health() == "green"
            for cluster in self.clusters)

    def faults_found(self) -> list[str]:
        """What is not as it is wanted, in some of the clusters."""
        step = max(1, len(self.clusters) // LOOKED_INTO)
        return [reason for cluster in self.clusters[::step]
                for reason in unsettled(self._lookout(cluster), self.now)]


def measure(agents: int, clusters: int) -> dict[str, Any]:
    """A row: one world until all of it has converged. Raises AssertionError if it does not."""
    TimedCycle.cpu_s, TimedCycle.offers = 0.0, 0
    begin = time.process_time()
    world = LargeWorld(agents, clusters)
    while not world.converged():
        world.tick()
        assert world.now - BEGIN < PATIENCE_S, [
            cluster.process.sentence for cluster in world.clusters][:5]
    whole_s, turns = time.process_time() - begin, sum(
        cluster.process.turns for cluster in world.clusters)
    assert not (found := world.faults_found()), found[:5]
    assert len(world.master.tasks()) == clusters * NODES
    return {"agents": agents, "clusters": clusters, "nodes": clusters * NODES,
            "simulated s": int(world.now - BEGIN), "turns": turns, "offers": TimedCycle.offers,
            "CPU of turns (s)": TimedCycle.cpu_s, "CPU of the simulator (s)":
            whole_s - TimedCycle.cpu_s, "turns, ms per cluster": 1e3 * TimedCycle.cpu_s / clusters,
            "turns, us per offer": 1e6 * TimedCycle.cpu_s / TimedCycle.offers}


def main(*sizes: int) -> None:
    """Measure and keep."""
    steps = list(zip(sizes[::2], sizes[1::2], strict=True)) or STEPS
    rows = []
    for agents, clusters in steps:
        rows.append(measure(agents, clusters))
        print(rows[-1], flush=True)
    report.keep("sim_scale", "Simulated: many agents and clusters", (
        f"Clusters of {NODES} nodes, {BORN_AT_ONCE} created in a simulated second, no faults; the "
        "real code turns, simulated Mesos and Elasticsearch around it; CPU seconds of one core."),
        rows)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
