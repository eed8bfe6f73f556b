"""One place for results: JSON kept per measurement, a table printed, and ``bench/README.md``."""
from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent / "README.md"
HEAD = """# Measurements

Made by `make bench` and `make bench-scale`; each table is written by the run itself. Ratios are
taken within one run on one machine, because machines differ and are shared.

Where nodes "stand in", no Elasticsearch runs: `bench/standin_es` is a program of some 11 MiB that
elects a master with its peers and answers what the service asks. The service, Mesos, ZooKeeper and
the executors are real.
"""


def machine() -> str:
    """The machine in one line."""
    model = next((line.partition(":")[2].strip() for line in
                  Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
                 platform.processor())
    memory_gib = psutil.virtual_memory().total / 2**30
    return (f"{psutil.cpu_count()} cores ({model}), {memory_gib:.0f} GiB, "
            f"Python {platform.python_version()}, {platform.system()} {platform.release()}")


def keep(name: str, title: str, notes: str, rows: list[dict[str, Any]]) -> None:
    """Keep a measurement, print its table, and write all tables anew."""
    RESULTS.mkdir(exist_ok=True)
    body = {"title": title, "notes": notes, "machine": machine(),
            "at": datetime.now(UTC).isoformat(timespec="seconds"), "rows": rows}
    (RESULTS / f"{name}.json").write_text(json.dumps(body, indent=1) + "\n")
    print(table(body))
    parts = [table(json.loads(path.read_text())) for path in sorted(RESULTS.glob("*.json"))]
    README.write_text("\n".join([HEAD, *parts]))


def table(body: dict[str, Any]) -> str:
    """A measurement as Markdown."""
    columns = list(body["rows"][0])
    lines = [f"## {body['title']}", "", body["notes"], "",
             f"Machine: {body['machine']}; {body['at']}.", "",
             "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[column]) for column in columns) + " |"
              for row in body["rows"]]
    return "\n".join([*lines, ""])


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}" if isinstance(
        value, int) else str(value)
