"""Seeds under every profile of faults; the first ones always, so a failure names its seed."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from click.testing import CliRunner
from esaas.framework.core.errors import InvariantBroken
from esaas.framework.core.operations import Accept
from esaas.sim import faults
from esaas.sim.cli import FAULTS, sim
from esaas.sim.many import Tally, run_many
from esaas.sim.report import failure_text
from esaas.sim.run import run_seed
from esaas.sim.wire import accept_over_the_wire

SEEDS = int(os.environ.get("ESAAS_SIM_SEEDS", "100"))       # of each profile


def tally_of(profile: str, seeds: Sequence[int]) -> Tally:
    """All results of a profile."""
    tally = Tally(profile)
    for result in run_many(seeds, profile):
        tally.add(result)
    return tally


@pytest.mark.parametrize("profile", faults.PROFILES)
def test_nothing_unsafe_happens_and_every_cluster_converges(profile: str) -> None:
    tally = tally_of(profile, range(SEEDS))
    assert not tally.failures, "\n\n".join(map(failure_text, tally.failures[:3]))
    assert tally.seeds == SEEDS and tally.outcomes["converged"] > SEEDS // 2
    # A profile whose faults never strike would test nothing.
    expected = {kind for kind, rate in faults.PROFILES[profile].rates.items() if rate}
    assert set(tally.faults) == expected or SEEDS < 100


def test_the_command_line_knows_every_profile() -> None:
    assert list(FAULTS) == list(faults.PROFILES)


def test_a_seed_gives_the_same_trace_in_every_process() -> None:
    """Also with another order of sets of texts."""
    found = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", "from esaas.sim.run import run_seed\n"
             "for seed in range(6, 10): print(run_seed(seed, 'heavy').digest)"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True,
            check=True, timeout=120)
        found.add(done.stdout)
    assert len(found) == 1
    assert found.pop().split() == [run_seed(seed, "heavy").digest for seed in range(6, 10)]


def test_other_seeds_give_other_traces() -> None:
    assert len({run_seed(seed, "none").digest for seed in range(4)}) == 4


def test_a_seed_alone_is_told_line_by_line() -> None:
    done = CliRunner().invoke(sim, ["--seed", "2", "--faults", "none"])
    assert done.exit_code == 0 and done.output.count("\n") > 50
    assert "is wanted" in done.output and "no more faults" in done.output


def test_a_broken_rule_is_told_with_its_seed_and_the_exit_code(
        monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*args: object) -> None:
        raise InvariantBroken("cluster es1: host_limit: host-1 has too many")

    monkeypatch.setattr("esaas.framework.runtime.cycle.check_operations", breaks)
    done = CliRunner().invoke(sim, ["--seeds", "2", "--first-seed", "3", "--jobs", "1"])
    assert done.exit_code == 1
    assert "seed 3, tick 0: host_limit" in done.output or "tick 1: host_limit" in done.output
    assert "again: esaas sim --seed 3 --faults light" in done.output


def test_a_summary_counts_seeds_faults_and_outcomes() -> None:
    done = CliRunner().invoke(sim, ["--seeds", "4", "--jobs", "2", "--faults", "tasks"])
    assert done.exit_code == 0
    assert "4 seeds, faults tasks" in done.output and "converged" in done.output


def test_the_kinds_of_faults_are_explained() -> None:
    done = CliRunner().invoke(sim, ["--explain"])
    assert all(kind[:12] in done.output for kind in faults.KINDS)


def test_an_accept_is_the_same_over_the_wire() -> None:
    accept = Accept((), ("offer-1",), "agent-1", (), 5.0)
    assert accept_over_the_wire(accept) == accept
