"""The summary of all layers counts what happened, and hides no failure."""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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
