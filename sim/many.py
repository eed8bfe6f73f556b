"""Many seeds over all cores; a result as soon as it is there, in any order."""
from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .run import TICKS, Result, run_seed

CHUNK = 4                           # seeds that a process takes at once


def _run(task: tuple[int, str, int]) -> Result:
    return run_seed(*task)


def run_many(seeds: Iterable[int], profile: str, ticks: int = TICKS,
             jobs: int | None = None) -> Iterator[Result]:
    """Results of all seeds; with one job in this process, else in fresh ones."""
    tasks = [(seed, profile, ticks) for seed in seeds]
    count = min(jobs or len(os.sched_getaffinity(0)), len(tasks))
    if count <= 1:
        yield from map(_run, tasks)
        return
    # Fresh processes: a fork of one with threads (a progress bar's) may hang.
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        yield from pool.imap_unordered(_run, tasks, CHUNK)


@dataclass
class Tally:
    """What came of many seeds."""

    profile: str
    seeds: int = 0
    ticks: int = 0
    turns: int = 0
    worst: tuple[int, int] = (0, 0)         # ticks to converge, and the seed
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    wishes: Counter[str] = field(default_factory=Counter)
    failures: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """One more seed."""
        self.seeds += 1
        self.ticks += result.ticks
        self.turns += result.turns
        self.faults += result.faults
        self.wishes += result.wishes
        if result.failure is not None:
            self.failures.append(result)
            return
        self.outcomes.update(result.outcomes)
        self.worst = max(self.worst, (result.converged_in, result.seed))
