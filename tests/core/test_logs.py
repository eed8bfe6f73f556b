"""Which files are logs, and how their lines are found; nothing else of a sandbox has a name."""
from __future__ import annotations

import posixpath

import pytest
from esaas.framework.core.logs import (
    DIRECTORY,
    MAX_HITS,
    PIECE_BYTES,
    Search,
    Start,
    last_lines,
    main_log,
    name_of,
    path_of,
    start_of,
    text,
)
from hypothesis import example, given
from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
PARTS = st.sampled_from(["..", ".", "", "config", "logs", "demo.log", "demo", "stderr", "data",
                         "elasticsearch.keystore", "node.key", "\0", "\n", " "])
PATHS = st.one_of(st.text(max_size=40), st.lists(PARTS, max_size=6).map("/".join))


@given(NAMES, PATHS)
@example("demo", "logs/../config/node.key")
@example("config", "config/node.key")
@example("config", "config")
@example("demo", "demo.log\n")
@example("demo", "logs/logs/demo.log")
def test_no_name_leads_out_of_the_logs(cluster: str, name: str) -> None:
    path = path_of(cluster, name)
    if path is None:
        return
    assert posixpath.normpath(path) == path and path.isprintable()
    parts = path.split("/")
    assert ".." not in parts and parts[0] != "config" and len(parts) <= 2
    assert len(parts) == 1 or parts[0] == DIRECTORY
    assert path.endswith((".log", ".json", "stdout", "stderr", ".1"))
    assert name_of(cluster, path) is not None


@given(NAMES, st.sampled_from([
    "{}.log", "{}_deprecation.log", "{}_index_search_slowlog.log", "{}_index_indexing_slowlog.log",
    "{}_server.json", "{}_audit.json", "{}-2026-11-30-1.log"]))
def test_what_elasticsearch_writes_has_a_name(cluster: str, form: str) -> None:
    path = f"{DIRECTORY}/{form.format(cluster)}"
    name = name_of(cluster, path)
    assert name is not None and path_of(cluster, name) == path
    assert path_of(cluster, path) == path


@pytest.mark.parametrize("name", ["stdout", "stderr", "console.log", "console.1", "plugins.log",
                                  "hs_err_pid4711.log"])
def test_what_the_executor_writes_has_its_own_name(name: str) -> None:
    assert path_of("demo", name) == name == name_of("demo", name)


def test_a_log_of_elasticsearch_is_told_from_one_of_the_sandbox() -> None:
    assert path_of("console", "console.log") == "console.log"
    assert path_of("console", "logs/console.log") == "logs/console.log" == main_log("console")
    assert name_of("console", "logs/console.log") == "logs/console.log"
    assert name_of("demo", "logs/demo.log") == "demo.log"


@pytest.mark.parametrize("name", [
    "demo.log.gz", "demo-2026-11-30-1.log.gz", "other.log", "demon.log", "gc.log", "config",
    "elasticsearch.yml", "esaas-executor-0123.pyz", "hs_err_pid.log", "tmp", "data"])
def test_other_files_have_none(name: str) -> None:
    assert path_of("demo", name) is None
    assert name_of("demo", name) is None and name_of("demo", f"logs/{name}") is None


@given(NAMES, NAMES, st.integers(0, 10**9 - 1), st.integers(0, 10**9 - 1))
def test_a_task_tells_its_start(cluster: str, node: str, incarnation: int, launch: int) -> None:
    start = Start(node, incarnation, launch)
    assert start_of(cluster, start.task_id(cluster)) == start
    assert start_of(f"{cluster}x", start.task_id(cluster)) is None


@pytest.mark.parametrize("task", ["demo.node-1.1", "demo.node-1.1.1.1", "demo.node-1.a.1", "",
                                  "demo.node-1.1.²", "other.node-1.1.1", "demo.n/../m.1.1\n"])
def test_other_tasks_are_none_of_ours(task: str) -> None:
    assert start_of("demo", task) is None


@given(st.lists(st.text(alphabet="ab\r é", max_size=5)), st.integers(0, 10), st.booleans())
def test_last_lines_are_the_end(lines: list[str], count: int, ended: bool) -> None:
    data = "\n".join(lines).encode() + (b"\n" if ended else b"")
    kept = last_lines(data, count, whole=True)
    assert data.endswith(kept)
    wanted = data.split(b"\n")
    wanted = wanted[:-1] if wanted[-1] == b"" else wanted
    assert kept.rstrip(b"\n").count(b"\n") + bool(kept) <= max(count, 0) or not kept.strip(b"\n")
    assert last_lines(data, len(wanted) + 1, whole=True) == data


def test_a_first_line_that_is_cut_is_left_out() -> None:
    assert last_lines(b"ut\nwhole\n", 5, whole=False) == b"whole\n"
    assert last_lines(b"one that has no begin", 5, whole=False) == b"one that has no begin"


@given(st.text(alphabet="aB\n\ré", max_size=80), st.lists(st.integers(0, 160), max_size=6))
def test_search_finds_the_same_however_it_is_cut(content: str, cuts: list[int]) -> None:
    data = content.encode()
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    search = Search("ab", 0, whole=True)
    for begin, end in zip(at, at[1:], strict=False):
        search.take(data[begin:end])
    search.end()
    expected, offset = [], 0
    for line in data.split(b"\n"):
        if "ab" in text(line).casefold():
            expected.append((offset, text(line).rstrip("\r\n")))
        offset += len(line) + 1
    assert [(hit.offset, hit.line) for hit in search.hits] == expected
    assert search.found == len(expected)


def test_search_keeps_the_newest_and_no_endless_line() -> None:
    search = Search("x", 100, whole=False)
    search.take(b"x is not the whole line\n" + b"x\n" * (MAX_HITS + 5))
    assert search.found == MAX_HITS + 5 and len(search.hits) == MAX_HITS
    search.take(b"y" * (3 * PIECE_BYTES) + b"x" * 5000)
    search.end()
    assert search.found == MAX_HITS + 6
    assert len(search.hits[-1].line) <= 2000
