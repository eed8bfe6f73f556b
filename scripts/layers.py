"""Run layers of tests one after another, keep their logs, and print one summary.

    layers.py lint unit sim system

Each layer's output goes to the terminal and to build/test/LAYER.log. The last line counts
everything: "N passed, N failed", with ", N skipped" when something was. Exit status 1 when
anything failed, or did not run to its end.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "test"
BIN = Path(sys.executable).parent
ROOMS = ("framework", "executor", "ui", "local", "sim")
# Two workers share the files out; tests of one file never run at once, since they share ports. Not
# those on real parts: each node of Elasticsearch takes all of two cores while it starts, and
# others would wait in vain meanwhile.
SIDE_BY_SIDE = ["-n", "2", "--dist", "loadfile"]
# Real parts that are no data centre with the usual ports: hosts in namespaces with networks of
# their own, ZooKeeper, HAProxy, Chromium. They mostly wait, and do it beside the data centres.
BESIDE = ("tests/system/test_real_netns.py", "tests/contract", "tests/discovery",
          "tests/service", "tests/ui", "tests/bench/test_standin.py")
# On real parts and a busy machine a test may lose a race. So few failures are tried once more, with
# parts made anew; more than these are no accident.
FEW = 2
# Real Elasticsearch archives for the tests of the executor, by the variable they look at.
ARCHIVES = {"ESAAS_TEST_ES_6_ZIP": "6.8.23", "ESAAS_TEST_ES_7_ZIP": "7.17.29"}


@dataclass(frozen=True)
class Result:
    """What came of a layer. ``broken`` says why it did not run to its end.

    ``lost``: the tests that failed. ``wavered``: those that failed and passed when their files ran
    once more; they count as passed, and the summary names each.
    """

    layer: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    broken: str = ""
    lost: tuple[str, ...] = ()
    wavered: tuple[str, ...] = ()

    @property
    def failures(self) -> int:
        """Failed tests; a layer that did not run to its end is one more."""
        return self.failed + bool(self.broken)


def run_logged(command: Sequence[str], log: Path, environment: dict[str, str], *,
               shown: bool = True) -> int:
    """Run a command, its output appended to a log and ``shown`` at once; its exit status."""
    with log.open("ab") as file:
        if shown:
            print("$", " ".join(command), flush=True)
        file.write(f"$ {' '.join(command)}\n".encode())
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            while chunk := process.stdout.read1(65536):
                file.write(chunk)
                if shown:
                    sys.stdout.buffer.write(chunk)
                    sys.stdout.buffer.flush()
        return process.returncode


def lint(log: Path) -> Result:
    """Each checker is one test."""
    names = BIN.parent / "names" / "esaas"
    names.mkdir(parents=True, exist_ok=True)
    for room in ROOMS:
        # mypy follows folders, not the import hook of an editable installation.
        link = names / room
        if not link.is_symlink():
            link.symlink_to(ROOT / room)
    environment = dict(os.environ) | {"MYPYPATH": str(names.parent)}
    packages = [word for room in ROOMS for word in ("-p", f"esaas.{room}")]
    commands = (
        [str(BIN / "ruff"), "check", "--no-fix", "."],
        [str(BIN / "mypy"), *packages],
        [str(BIN / "lint-imports")],
    )
    failed = sum(run_logged(command, log, environment) != 0 for command in commands)
    # A checker that was led past the tree finds nothing wrong with it.
    sources = sum(len(list((ROOT / room).rglob("*.py"))) for room in ROOMS)
    seen = max(map(int, re.findall(r"(\d+) source files", log.read_text())), default=0)
    broken = "" if seen >= sources else f"mypy saw {seen} of {sources} files"
    return Result("lint", passed=len(commands) - failed, failed=failed, broken=broken)


def count(report: Path, layer: str, status: int) -> Result:
    """The result of pytest from its report. Status 0 and 1: it ran to its end."""
    if not report.exists():
        return Result(layer, broken=f"pytest ended with status {status} and without a report")
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    root = ElementTree.parse(report).getroot()
    for suite in root.iter("testsuite"):
        for name in counts:
            counts[name] += int(suite.get(name, 0))
    failed = counts["failures"] + counts["errors"]
    broken = "" if status in (0, 1) else f"pytest ended with status {status}"
    if status == 1 and not failed:
        broken = "pytest failed without a failed test"
    if status == 0 and not counts["tests"] - counts["skipped"]:
        broken = "not one test ran"
    # A test whose clean-up fails too counts twice among failures, once among tests.
    passed = max(counts["tests"] - failed - counts["skipped"], 0)
    lost = {f"{case.get('classname')}::{case.get('name')}": None for case in root.iter("testcase")
            if case.find("failure") is not None or case.find("error") is not None}
    return Result(layer, passed, failed, counts["skipped"], broken=broken, lost=tuple(lost))


def pytest(layer: str, arguments: Sequence[str], log: Path, *, shown: bool = True) -> Result:
    """One run of pytest."""
    report = LOGS / f"{layer}.xml"
    report.unlink(missing_ok=True)
    environment = dict(os.environ) | archives() | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "pytest", "-rs", f"--junitxml={report}", *arguments]
    return count(report, layer, run_logged(command, log, environment, shown=shown))


def archives() -> dict[str, str]:
    """Variables that name the real archives in the cache; set ones stay."""
    from esaas.local.fetch.elasticsearch import distribution
    from esaas.local.settings import Settings

    cache = Settings.load().cache
    paths = {name: distribution(version).zip_path(cache) for name, version in ARCHIVES.items()}
    return {
        name: str(path) for name, path in paths.items() if path.exists() and name not in os.environ
    }


def unit(log: Path) -> Result:
    """Everything without real parts, but the simulator's tests."""
    return pytest("unit", ["tests", "-m", "not system", "--ignore=tests/sim", *SIDE_BY_SIDE], log)


def sim(log: Path) -> Result:
    """The simulator's tests."""
    return pytest("sim", ["tests/sim", "-m", "not system"], log)


def system(log: Path) -> Result:
    """Tests on real parts: those in data centres one after another, the others beside them."""
    chosen = ["-m", "system and not faults and not long"]
    beside = LOGS / "system-beside.log"
    beside.unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(pytest, "system-beside", [*BESIDE, *chosen], beside, shown=False)
        found = pytest("system", ["tests", *chosen, *(f"--ignore={path}" for path in BESIDE)], log)
        more = others.result()
    sys.stdout.write(beside.read_text(errors="replace"))
    with log.open("ab") as file:
        file.write(beside.read_bytes())
    return tried_again(Result(
        "system", found.passed + more.passed, found.failed + more.failed,
        found.skipped + more.skipped, broken=found.broken or more.broken,
        lost=found.lost + more.lost), chosen, log)


def tried_again(found: Result, chosen: Sequence[str], log: Path) -> Result:
    """The files of a few failed tests run once more: what passes then wavers, and is named."""
    if found.broken or not 0 < len(found.lost) <= FEW:
        return found
    files = sorted({file_of(test) for test in found.lost})
    again = pytest("system-again", [*files, *chosen], log)
    if again.failures:
        return found
    return replace(found, passed=found.passed + len(found.lost), failed=0, lost=(),
                   wavered=found.lost)


def file_of(test: str) -> str:
    """The file of a test by its name in a report: "tests.system.test_real_life::test_it"."""
    return test.partition("::")[0].replace(".", "/") + ".py"


def long(log: Path) -> Result:
    """Tests on real parts that wait for minutes: too long for every change."""
    return pytest("long", ["tests", "-m", "long"], log)


def faults(log: Path) -> Result:
    """Faults on real parts; writes docs/reliability.md."""
    return pytest("faults", ["tests/faults"], log)


LAYERS: dict[str, Callable[[Path], Result]] = {
    "lint": lint, "unit": unit, "sim": sim, "system": system, "long": long,
    "faults": faults,
}  # fmt: skip


def run_layer(name: str) -> Result:
    """Run a layer under a headline, with a fresh log."""
    print(f"\n==== {name} " + "=" * (74 - len(name)), flush=True)
    log = LOGS / f"{name}.log"
    log.unlink(missing_ok=True)
    started = time.monotonic()
    found = LAYERS[name](log)
    return replace(found, seconds=time.monotonic() - started)


def totals(results: Sequence[Result]) -> str:
    """The last line."""
    passed, failed, skipped = (
        sum(getattr(each, name) for each in results) for name in ("passed", "failures", "skipped")
    )
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


def summary(results: Sequence[Result]) -> list[str]:
    """A line for each layer and each test that wavered, and the totals alone on the last one."""
    lines = [f"==== summary {'=' * 67}"]
    for each in results:
        why = each.broken
        log = (LOGS / f"{each.layer}.log").relative_to(ROOT)
        lines.append(
            f"{each.layer:<8}{totals([each]):<36}{each.seconds:7.1f} s  {log}"
            + (f"  ({why})" if why else "")
        )
        lines += [f"        WAVERED: failed, then passed when its file ran once more: {test}"
                  for test in each.wavered]
    return [*lines, totals(results)]


def main(names: Sequence[str]) -> int:
    """Run the layers; the exit status."""
    if not names or (unknown := [name for name in names if name not in LAYERS]):
        wrong = f"no layer: {', '.join(unknown)}\n" if names else ""
        print(f"{wrong}usage: layers.py {' '.join(LAYERS)}", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    results = [run_layer(name) for name in names]
    text = "\n".join(summary(results))
    (LOGS / "summary.txt").write_text(re.sub(r"\s+$", "", text) + "\n")
    print(f"\n{text}", flush=True)
    return 1 if any(each.failures for each in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
