"""``esaas sim``: seeds on the command line.

Only ``click`` is imported at the top, so that ``esaas --help`` stays quick.
"""
from __future__ import annotations

import time
from collections.abc import Sequence

import click

FAULTS = ("none", "light", "heavy", "agents", "tasks", "updates", "calls", "operations", "masters",
          "store", "crashes", "leases", "views", "recovery", "actions")


@click.command()
@click.option("--seeds", default=1000, show_default=True, help="How many.")
@click.option("--first-seed", default=0, show_default=True, help="The first of them.")
@click.option("--seed", type=int, help="One seed alone, with all that happens in it.")
@click.option("--jobs", type=int, help="Processes; default: one per core.")
@click.option("--faults", type=click.Choice(FAULTS), default="light", show_default=True,
              help="How much goes wrong, or what alone.")
@click.option("--ticks", type=click.IntRange(10), help="Seconds with faults and wishes, of each.")
@click.option("--explain", is_flag=True, help="List the kinds of faults, and run nothing.")
def sim(seeds: int, first_seed: int, seed: int | None, jobs: int | None, faults: str,
        ticks: int | None, explain: bool) -> None:
    """Run clusters in simulated worlds full of faults, and check that nothing unsafe happens.

    A seed decides everything: agents, clusters, what people want and what goes wrong. The code
    that decides, stores and answers offers is the real one. Exit code 1 when a rule was broken.
    """
    from rich.console import Console

    from .report import kinds_table
    from .run import TICKS

    if explain:
        Console().print(kinds_table())
    elif seed is not None:
        _one(seed, faults, ticks or TICKS)
    else:
        _many(range(first_seed, first_seed + seeds), faults, ticks or TICKS, jobs)


def _one(seed: int, faults: str, ticks: int) -> None:
    """A readable trace of one seed."""
    from .report import failure_text
    from .run import run_seed

    result = run_seed(seed, faults, ticks, click.echo)
    click.echo(f"{result.ticks} ticks, {result.turns} turns, trace {result.digest}; "
               f"{', '.join(result.outcomes) or 'failed'}")
    if result.failure is not None:
        click.echo(failure_text(result, ticks), err=True)
        raise SystemExit(1)


def _many(seeds: Sequence[int], faults: str, ticks: int, jobs: int | None) -> None:
    """A bar while they run, then a table."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from .many import Tally, run_many
    from .report import failure_text, summary

    tally, begin = Tally(faults), time.monotonic()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(f"faults {faults}", total=len(seeds))
        for result in run_many(seeds, faults, ticks, jobs):
            tally.add(result)
            progress.advance(bar)
            if result.failure is not None:
                progress.console.print(failure_text(result, ticks), markup=False)
    Console(width=120).print(summary(tally, time.monotonic() - begin))
    if tally.failures:
        raise SystemExit(1)
