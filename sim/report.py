"""Results of the simulator for people."""
from __future__ import annotations

from rich.table import Table

from .faults import KINDS
from .many import Tally
from .run import TICKS, Result


def summary(tally: Tally, took_s: float) -> Table:
    """What was run, what went wrong in it, and how it ended."""
    table = Table(title=f"{tally.seeds} seeds, faults {tally.profile}", show_header=False)
    table.add_row("time", f"{took_s:.1f} s, {tally.seeds / max(took_s, 1e-9):.1f} seeds/s")
    table.add_row("simulated", f"{tally.ticks:,} ticks of a second, {tally.turns:,} turns of loops")
    table.add_row("faults", _counts(tally.faults) or "none")
    table.add_row("people asked for", _counts(tally.wishes) or "nothing")
    done = tally.outcomes["converged"]
    table.add_row("clusters", f"{sum(tally.outcomes.values())}: {done} converged, "
                  f"{tally.outcomes['deleted']} deleted")
    for names, count in sorted(tally.outcomes.items()):
        if names not in ("converged", "deleted"):
            table.add_row("", f"{count} held for good by {names}")
    table.add_row("slowest", f"{tally.worst[0]} ticks after the last fault (seed {tally.worst[1]})")
    table.add_row("failed", f"[bold red]{len(tally.failures)}" if tally.failures else "[green]0")
    return table


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


def failure_text(result: Result, ticks: int = TICKS) -> str:
    """What broke, what came before it, and how to see it again."""
    failure = result.failure
    assert failure is not None
    more = f" --ticks {ticks}" if ticks != TICKS else ""
    return "\n".join([
        f"seed {result.seed}, tick {failure.tick}: {failure.rule}", f"  {failure.message}",
        "  the last events:", *(f"    {line[:240]}" for line in failure.last[-15:]),
        f"  again: esaas sim --seed {result.seed} --faults {result.profile}{more}"])


def kinds_table() -> Table:
    """Every kind of fault."""
    table = Table("fault", "rate in the profile heavy", "what happens")
    for name, (rate, text) in KINDS.items():
        table.add_row(name, f"{rate:g}", text)
    return table
