"""The one-file executor as a file, and the generated protobuf module."""
from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import esaas.framework.proto
import pytest
from esaas.executor import bundle
from esaas.framework.proto import esaas_pb2


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    first = bundle.build(tmp_path)
    second = bundle.build(tmp_path / "other.pyz")
    assert first.path == tmp_path / "esaas-executor.pyz"
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["esaas-executor.pyz", "other.pyz"]


def test_processes_that_imported_other_things_build_the_same_bytes():
    build = ("import hashlib; from esaas.executor import bundle; "
             "print(hashlib.sha256(bundle.content_of_bundle()).hexdigest())")
    sums = {subprocess.run([sys.executable, "-c", before + build], check=True, text=True,
                           env={**os.environ, "PYTHONHASHSEED": seed},
                           capture_output=True).stdout
            for before, seed in (("", "0"), ("", "1"),
                                 ("import pymesos, tornado.web, google.protobuf.json_format; ",
                                  "2"))}
    assert len(sums) == 1


def test_it_holds_what_it_needs_and_no_machine_code(executor_file):
    with zipfile.ZipFile(executor_file) as archive:
        names = set(archive.namelist())
        assert archive.testzip() is None
    assert {"__main__.py", "esaas/executor/guard.py", "esaas/framework/proto/esaas_pb2.py",
            "pymesos/executor.py", "addict/addict.py", "six.py", "http_parser/http.py",
            "h11/_connection.py", "google/protobuf/message.py"} <= names
    assert {Path(name).suffix for name in names} == {".py", ".pyc", ""}
    assert not [name for name in names
                if name.startswith(("esaas/framework/core", "esaas/ui", "kazoo", "tests"))]
    assert executor_file.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert os.stat(executor_file).st_size < 2 << 20


def test_a_bare_python_runs_it(executor_file):
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    shown = subprocess.run([python, "-I", str(executor_file), "--version"],
                           capture_output=True, text=True, check=True)
    assert shown.stdout == f"esaas-executor {importlib.metadata.version('esaas')}\n"
    # All of its modules, without any package of the machine.
    bare = subprocess.run([python, "-I", "-S", str(executor_file)], env={},
                          capture_output=True, text=True, check=False)
    assert bare.returncode == 2
    assert "not started by a Mesos agent" in bare.stderr


def test_byte_code_is_used_and_the_source_serves_other_pythons(executor_file, tmp_path):
    check = (f"import sys; sys.path.insert(0, {str(executor_file)!r}); "
             "import esaas.executor.payload as m; print(m.__cached__ or m.__file__)")
    shown = subprocess.run([sys.executable, "-I", "-S", "-c", check],
                           capture_output=True, text=True, check=True)
    assert shown.stdout.strip().endswith("payload.pyc")
    without = tmp_path / "source-only.pyz"
    with zipfile.ZipFile(executor_file) as archive, zipfile.ZipFile(without, "w") as copy:
        for name in archive.namelist():
            if not name.endswith(".pyc"):
                copy.writestr(name, archive.read(name))
    bare = subprocess.run([sys.executable, "-I", "-S", str(without)], env={},
                          capture_output=True, text=True, check=False)
    assert "not started by a Mesos agent" in bare.stderr


def test_the_generated_module_is_that_of_the_proto_file(tmp_path):
    pytest.importorskip("grpc_tools")
    folder = Path(esaas.framework.proto.__file__).parent
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}",
                    f"--python_out={tmp_path}", f"--pyi_out={tmp_path}",
                    str(folder / "esaas.proto")], check=True)
    assert (tmp_path / "esaas_pb2.pyi").read_text() == (folder / "esaas_pb2.pyi").read_text()

    def descriptor_line(path: Path) -> str:
        # The rest of the module names the version of the compiler.
        [line] = [line for line in path.read_text().splitlines()
                  if line.startswith("DESCRIPTOR =")]
        return line

    assert descriptor_line(tmp_path / "esaas_pb2.py") == descriptor_line(
        folder / "esaas_pb2.py")
    assert esaas_pb2.DESCRIPTOR.package == "esaas"
