"""What Filebeat is to read, held against where executors write and how lines of logs look."""
from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from esaas.executor import loglines
from esaas.framework.core import logs
from esaas.framework.core.logs import Start
from esaas.framework.mesos.files import sandbox

from .tree import ROOT

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "filebeat" / "filebeat.yml").read_text())
INPUTS = {one["id"]: one for one in CONFIG["filebeat.inputs"]}
WORK_DIR = "${MESOS_WORK_DIR:/var/lib/mesos}"
START = Start("node-1", 1, 2)
CONTAINER = "557e6acd-7833-4b7f-9a7f-a275e6335c3b"


def laid_out(work: Path, framework: str = "esaas-demo-b4a017e2a1b7") -> Path:
    """A sandbox as an agent lays it out, with files of an executor and its node."""
    latest = work / "slaves" / "S-0" / sandbox(framework, START.task_id("demo")).lstrip("/")
    found = latest.with_name(CONTAINER)
    for name in (logs.main_log("demo"), f"{logs.DIRECTORY}/demo_index_search_slowlog.log",
                 "stderr", "config/elasticsearch.yml", "config/node.key", "logs/demo-1.log.gz"):
        (found / name).parent.mkdir(parents=True, exist_ok=True)
        (found / name).write_text("x\n")
    latest.symlink_to(found)
    return found


def matched(one: dict[str, Any], work: Path) -> set[str]:
    return {path for pattern in one["paths"]
            for path in glob.glob(pattern.replace(WORK_DIR, str(work)))}


def dissected(tokenizer: str, text: str) -> dict[str, str]:
    """What the processor makes of a text: each key takes as little as it can."""
    parts = re.split(r"%\{(\w*)\}", tokenizer)
    pattern = re.escape(parts[0]) + "".join(
        (f"(?P<{key}>.*?)" if key else ".*?") + (re.escape(after) or "$")
        for key, after in zip(parts[1::2], parts[2::2], strict=True))
    found = re.match(pattern, text, re.DOTALL)
    assert found is not None, (tokenizer, text)
    return {key: value.strip() for key, value in found.groupdict().items()}


def processor(one: dict[str, Any], field: str) -> str:
    return next(str(item["dissect"]["tokenizer"]) for item in one["processors"]
                if item.get("dissect", {}).get("field") == field)


def test_it_reads_what_is_a_log_once_and_nothing_else(tmp_path: Path) -> None:
    ours = laid_out(tmp_path)
    laid_out(tmp_path, "marathon-1")
    found = {ident: matched(one, tmp_path) for ident, one in INPUTS.items()}
    assert found == {
        "esaas-elasticsearch": {str(ours / "logs" / name) for name in (
            "demo.log", "demo_index_search_slowlog.log")},
        "esaas-executor": {str(ours / "stderr")}}


@pytest.mark.parametrize("ident", sorted(INPUTS))
def test_fields_come_from_the_path(ident: str, tmp_path: Path) -> None:
    laid_out(tmp_path)
    path = min(matched(INPUTS[ident], tmp_path))
    said = dissected(processor(INPUTS[ident], "log.file.path"), path)
    assert said == {"cluster": "demo", "node": "node-1", "incarnation": "1", "start": "2",
                    "file": {"esaas-elasticsearch": "demo", "esaas-executor": "stderr"}[ident]}


def test_events_are_told_apart_as_executors_do_it() -> None:
    [multiline] = [one["multiline"] for one in INPUTS["esaas-elasticsearch"]["parsers"]]
    assert (multiline["negate"], multiline["match"]) == (True, "after")
    lines = ["[2026-11-30T20:35:47,623][INFO ][o.e.n.Node               ] [node-1] started",
             "java.lang.Exception: no", "\tat org.A.a(A.java:1)", "",
             "[2026-11-30T20:35:48,000][WARN ][o.e.X] [node-1] [pets][0] slow"]
    data = "\n".join(lines).encode()
    begins = [begin for begin, _ in loglines.events(data)]
    assert begins == [data.index(line.encode()) for line in lines
                      if re.match(multiline["pattern"], line)]
    for line in (lines[0], lines[4]):
        mine = loglines.parsed(line)
        said = dissected(processor(INPUTS["esaas-elasticsearch"], "message"), line)
        assert [said[name] for name in ("level", "logger", "text")] == [
            mine[name] for name in ("level", "logger", "message")]


def test_documents_go_where_those_of_executors_go() -> None:
    output = CONFIG["output.elasticsearch"]
    assert output["index"] == f"{loglines.INDEX}-%{{+yyyy.MM.dd}}"
    script = next(one["script"]["source"] for one in CONFIG["processors"] if "script" in one)
    put = set(re.findall(r'event\.Put\("(\w+)"', script))
    added = next(one["add_fields"]["fields"] for one in CONFIG["processors"]
                 if "add_fields" in one)
    [made] = loglines.documents(
        b"[2026-11-30T20:35:47,623][INFO ][a] [n] b\n", 0, "demo", "f",
        loglines.Origin("demo", "acme", "node-1", "agent-1", "1.2", "x"), "")
    assert put | set(added) | {"@timestamp", "tenant"} == set(made.body)
