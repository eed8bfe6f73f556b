"""The summary of all layers counts what happened, and hides no failure."""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .tree import ROOT

REPORT = '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>'


@pytest.fixture(scope="module")
def layers() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("layers", ROOT / "scripts" / "layers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["layers"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("counts", "status", "line"), [
    ((10, 0, 0, 0), 0, "10 passed, 0 failed"),
    ((10, 1, 1, 2), 1, "6 passed, 2 failed, 2 skipped"),
    ((10, 0, 0, 0), 1, "10 passed, 1 failed"),          # pytest failed, no test did
    ((10, 0, 0, 0), 2, "10 passed, 1 failed"),          # interrupted
    ((3, 0, 0, 3), 0, "0 passed, 1 failed, 3 skipped"),  # not one test ran
    ((0, 0, 0, 0), 5, "0 passed, 1 failed"),
])
def test_a_layer_counts_its_tests_and_its_own_end(
        layers: ModuleType, tmp_path: Path, counts: tuple[int, ...], status: int,
        line: str) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(*counts))
    assert layers.totals([layers.count(report, "unit", status)]) == line


def test_a_layer_without_a_report_has_failed(layers: ModuleType, tmp_path: Path) -> None:
    found = layers.count(tmp_path / "none.xml", "unit", 3)
    assert (found.failures, layers.totals([found])) == (1, "0 passed, 1 failed")


def test_the_last_line_is_the_sum_alone(layers: ModuleType) -> None:
    results = [layers.Result("lint", 2, 1), layers.Result("unit", 5, 0, 1),
               layers.Result("system", broken="pytest ended with status 3")]
    *lines, last = layers.summary(results)
    assert last == "7 passed, 2 failed, 1 skipped"
    assert [line.split()[0] for line in lines[1:]] == ["lint", "unit", "system"]


def test_an_unknown_layer_is_an_error(layers: ModuleType) -> None:
    assert layers.main(["no-such-layer"]) == 2
    assert layers.main([]) == 2


CASES = """<testsuites><testsuite tests="3" failures="{}" errors="0" skipped="0">
<testcase classname="tests.system.test_real_life" name="test_one"/>{}</testsuite></testsuites>"""
LOST = """<testcase classname="tests.system.test_real_life" name="test_{}">
<failure message="no"/></testcase>"""


def system_of(layers: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
              first: int, then: int) -> tuple[Any, list[str]]:
    """The layer of real parts when so many tests fail, and so many when tried once more."""
    ran: list[str] = []

    def pytest_run(layer: str, arguments: list[str], log: Path, *, shown: bool = True) -> Any:
        ran.append(f"{layer} {arguments[0]}")
        log.touch()
        failed = {"system": first, "system-again": then}.get(layer, 0)
        report = tmp_path / f"{layer}.xml"
        report.write_text(CASES.format(failed, "".join(map(LOST.format, range(failed)))))
        return layers.count(report, layer, int(failed > 0))

    monkeypatch.setattr(layers, "pytest", pytest_run)
    monkeypatch.setattr(layers, "LOGS", tmp_path)
    return layers.system(tmp_path / "system.log"), ran


def test_a_few_failures_on_real_parts_are_tried_once_more_and_named(
        layers: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found, ran = system_of(layers, monkeypatch, tmp_path, first=1, then=0)
    assert ran[-1] == "system-again tests/system/test_real_life.py"
    assert layers.totals([found]) == "6 passed, 0 failed"
    monkeypatch.setattr(layers, "LOGS", layers.ROOT)
    assert "WAVERED" in layers.summary([found])[2]
    assert layers.summary([found])[2].endswith("tests.system.test_real_life::test_0")


@pytest.mark.parametrize(("first", "then", "tries"), [(1, 1, 1), (2, 1, 1), (3, 0, 0)])
def test_failures_that_last_and_many_stay_failures(
        layers: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: int,
        then: int, tries: int) -> None:
    found, ran = system_of(layers, monkeypatch, tmp_path, first, then)
    assert sum(name.startswith("system-again") for name in ran) == tries
    assert (found.failures, found.wavered) == (first, ())
