"""What a fault came to, as a row of docs/reliability.md; the run itself writes that table."""
from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "reliability.json"
TABLE = ROOT / "docs" / "reliability.md"
HEAD = """# Reliability: what a fault costs

Made by `make test-faults` on real Mesos, ZooKeeper and Elasticsearch 6.8.23: every fault hits a
cluster of three nodes on four agents, with two service processes, while somebody writes all the
time and the health is looked at once a second. *Outage* is the longest time between two
acknowledged writes of a client that knows all nodes; where the fault is a change, it is the
change's. *Tasks* are those that had to start again; *leaks* are volumes, tasks and settings that
belong to nobody afterwards. For a partition the hosts are network namespaces with one master, and
Elasticsearch is told to notice a silent host within seconds, not 90. Seconds are those of a shared
machine with two cores.

"""
COLUMNS = ("fault", "acknowledged", "found", "outage (s)", "worst health", "tasks started again",
           "leaks", "mended after (s)")
WORSE = ("green", "yellow", "red")


@dataclass(frozen=True)
class Row:
    """One fault."""

    fault: str
    acknowledged: int
    found: int
    outage_s: float
    worst_health: str
    tasks: int
    leaks: int
    mended_s: float


def worst(healths: list[str]) -> str:
    """The worst of what was seen."""
    return max(healths, key=WORSE.index, default="unknown")


def keep(row: Row) -> None:
    """Add a row to those of this run; the same fault again takes the place of the one before."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    rows = {row["fault"]: row for row in json.loads(KEPT.read_text())} if KEPT.exists() else {}
    rows[row.fault] = asdict(row)
    KEPT.write_text(json.dumps(list(rows.values()), indent=1) + "\n")


def write() -> None:
    """The table of all rows that were kept."""
    rows = [Row(**row) for row in json.loads(KEPT.read_text())]
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += [f"| {row.fault} | {row.acknowledged} | {row.found} | {row.outage_s:.1f} "
              f"| {row.worst_health} | {row.tasks} | {row.leaks} | {row.mended_s:.0f} |"
              for row in rows]
    day = time.strftime("%Y-%m-%d")
    TABLE.write_text(HEAD + "\n".join(lines) + f"\n\nLast run: {day}, {len(rows)} faults.\n")
