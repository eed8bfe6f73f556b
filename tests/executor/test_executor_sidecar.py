"""Sidecars: the one-file executor runs a command in place of Elasticsearch."""
from __future__ import annotations

import hashlib
import io
import os
import signal
import socket
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import pytest
from esaas.executor import archive, sidecar
from esaas.executor.errors import ArchiveError
from esaas.framework.proto import esaas_pb2
from executor_helpers import free_ports, is_alive, poll, task_of

Phase = esaas_pb2.NodeStatus
SERVER = "exec python3 -u -m http.server $ESAAS_PORT --bind $ESAAS_HOST"


def sidecar_launch(command: str, **fields) -> esaas_pb2.NodeLaunch:
    """A launch of a sidecar; ``fields``: of the ``Sidecar``."""
    http_port, second_port = free_ports(2)
    return esaas_pb2.NodeLaunch(
        cluster="tests", tenant="t", node="tests-side-0", incarnation=1, launch=1,
        bind_host="127.0.0.1", http_port=http_port, transport_port=second_port,
        data_path="data", stop_timeout_s=60,
        seeds=esaas_pb2.Seeds(generation=4, http_urls=["http://h1:9200", "http://h2:9200"]),
        sidecar=esaas_pb2.Sidecar(command=command, **fields))


def start(agent, executor, launch) -> esaas_pb2.NodeStatus:
    """Launch and wait until it runs; its status."""
    agent.launch(task_of(launch))
    status = agent.wait_state("TASK_RUNNING")
    executor.pids.append(status.pid)
    return status


def console(executor) -> str:
    """What the command has printed."""
    path = executor.sandbox / "console.log"
    return path.read_text() if path.exists() else ""


def environment_of(pid: int) -> dict[str, str]:
    """The environment of a process."""
    text = Path(f"/proc/{pid}/environ").read_text()
    return dict(entry.split("=", 1) for entry in text.split("\0") if entry)


def test_a_server_runs_when_its_port_answers(agent, start_executor):
    executor = start_executor(MESOS_EXECUTOR_AUTHENTICATION_TOKEN="secret", HTTP_PROXY="p")
    launch = sidecar_launch(SERVER, listens=True, env={"MINE": "a b", "HTTP_PROXY": "q"})
    status = start(agent, executor, launch)
    assert agent.states() == ["TASK_STARTING", "TASK_STARTING", "TASK_RUNNING"]
    assert agent.updates()[-1]["healthy"] is True
    assert status.phase == Phase.SERVING
    assert (status.http_address, status.transport_address) == (
        f"127.0.0.1:{launch.http_port}", "")
    with urllib.request.urlopen(f"http://{status.http_address}/", timeout=10) as answer:
        assert b"console.log" in answer.read()  # it runs in the sandbox
    environ, sandbox = environment_of(status.pid), executor.sandbox
    assert {name: value for name, value in environ.items() if name.startswith("ESAAS_")} == {
        "ESAAS_CLUSTER": "tests", "ESAAS_NODE": "tests-side-0", "ESAAS_HOST": "127.0.0.1",
        "ESAAS_PORT": str(launch.http_port), "ESAAS_PORT2": str(launch.transport_port),
        "ESAAS_DATA": str(sandbox / "data"),
        "ESAAS_ES_URLS": "http://h1:9200,http://h2:9200",
        "ESAAS_ES_URLS_FILE": str(sandbox / "elasticsearch-urls.txt")}
    assert (environ["MINE"], environ["HTTP_PROXY"]) == ("a b", "q")
    assert not [name for name in environ if name.startswith("MESOS_")]
    agent.kill("task-1")
    ended = agent.wait_state("TASK_KILLED")
    assert executor.wait() == 0
    assert (ended.exit_code, ended.reason) == (-signal.SIGTERM, "killed on request")
    assert not is_alive(status.pid)


def test_urls_are_kept_up_to_date(agent, start_executor):
    executor = start_executor()
    start(agent, executor, sidecar_launch("sleep 1000"))
    urls = executor.sandbox / "elasticsearch-urls.txt"
    assert urls.read_text() == "http://h1:9200\nhttp://h2:9200\n"
    agent.wait(lambda: agent.messages)
    agent.message(esaas_pb2.ToExecutor(
        seeds=esaas_pb2.Seeds(http_urls=["http://h3:9200"], generation=5)))
    agent.wait(lambda: len(agent.messages) == 2)
    assert urls.read_text() == "http://h3:9200\n"
    agent.message(esaas_pb2.ToExecutor(
        seeds=esaas_pb2.Seeds(http_urls=["http://h1:9200"], generation=3)))
    agent.wait(lambda: len(agent.messages) == 3)
    assert urls.read_text() == "http://h3:9200\n"
    assert [message.seeds_generation for message in agent.messages] == [4, 5, 5]


def test_what_does_not_listen_runs_as_soon_as_it_is_started(agent, start_executor):
    executor = start_executor()
    status = start(agent, executor, sidecar_launch("sleep 1000"))
    assert agent.states() == ["TASK_STARTING", "TASK_RUNNING"]
    assert "healthy" not in agent.updates()[-1]
    assert (status.phase, status.http_address) == (Phase.SERVING, "")
    os.kill(status.pid, signal.SIGKILL)
    failed = agent.wait_state("TASK_FAILED")
    assert (failed.exit_code, failed.reason) == (-9, "the command was killed by signal 9")


def test_a_command_that_ends_fails_with_its_code_and_last_lines(agent, start_executor):
    executor = start_executor()
    agent.launch(task_of(sidecar_launch("echo one; echo 'Error: two' >&2; exit 7")))
    status = agent.wait_state("TASK_FAILED")
    assert executor.wait() == 0
    assert (status.exit_code, list(status.log_tail)) == (7, ["one", "Error: two"])
    assert status.reason == "the command exited with code 7: Error: two"
    assert (executor.sandbox / "console.log").read_text() == "one\nError: two\n"


def test_a_deaf_command_is_killed_after_the_grace_period(agent, start_executor):
    executor = start_executor()
    status = start(agent, executor, sidecar_launch(
        "trap '' TERM; echo ready; while :; do sleep 0.1; done"))
    poll(lambda: "ready" in console(executor))
    agent.kill("task-1", grace_s=0.3)
    assert agent.wait_state("TASK_KILLED").exit_code == -signal.SIGKILL
    assert not is_alive(status.pid)


def test_a_lost_port_is_told_as_ill_health(agent, start_executor):
    executor = start_executor(ESAAS_UNHEALTHY_AFTER_S="0.2", ESAAS_PROBE_INTERVAL_S="0.1")
    launch = sidecar_launch(
        "python3 -m http.server $ESAAS_PORT --bind $ESAAS_HOST & echo $! > server; "
        "wait; sleep 1000", listens=True)
    start(agent, executor, launch)
    os.kill(int((executor.sandbox / "server").read_text()), signal.SIGTERM)
    agent.wait(lambda: agent.updates()[-1].get("healthy") is False)
    reason = agent.wait_state("TASK_RUNNING").reason
    assert reason.startswith(f"port {launch.http_port} takes no connection for ")
    again = socket.create_server(("127.0.0.1", launch.http_port))
    agent.wait(lambda: agent.updates()[-1].get("healthy") is True)
    again.close()


def test_files_are_fetched_unpacked_and_made_executable(agent, start_executor, place):
    zipped, script = place / "tool.zip", place / "run me.sh"
    with zipfile.ZipFile(zipped, "w") as packed:
        packed.writestr("tool/words.txt", "from the zip\n")
    script.write_text("#!/bin/sh\ncat tool/words.txt; exec sleep 1000\n")
    executor = start_executor()
    uris = [esaas_pb2.Uri(url=zipped.as_uri(), extract=True,
                          sha256=hashlib.sha256(zipped.read_bytes()).hexdigest()),
            esaas_pb2.Uri(url=script.as_uri(), extract=True, executable=True)]
    start(agent, executor, sidecar_launch("exec './run me.sh'", uris=uris))
    poll(lambda: console(executor) == "from the zip\n")
    assert not (executor.sandbox / "tool.zip").exists()


@pytest.mark.parametrize(("url", "sha256", "told"), [
    ("file:///etc/hostname", "0" * 64, "has sha256"),
    ("file:///no/such/file.txt", "", "cannot download"),
    ("file:///etc/data", "", "data is in the sandbox already"),
])
def test_what_cannot_be_fetched_fails_the_task(agent, start_executor, url, sha256, told):
    executor = start_executor()
    uri = esaas_pb2.Uri(url=url, sha256=sha256)
    agent.launch(task_of(sidecar_launch("sleep 1000", uris=[uri])))
    reason = agent.wait_state("TASK_FAILED").reason
    assert executor.wait() == 0
    assert reason.startswith("cannot prepare the node: ") and url in reason and told in reason


def test_a_sidecar_can_be_held(agent, start_executor):
    executor, launch = start_executor(), sidecar_launch("exit 1", env={"PASSWORD": "s3cret"})
    launch.paused = True
    agent.launch(task_of(launch))
    status = agent.wait_state("TASK_RUNNING")
    assert status.phase == Phase.PAUSED and "the command is not started" in status.reason
    text = (executor.sandbox / "README.debugging").read_text()
    assert "exit 1" in text and "s3cret" not in text
    assert "s3cret" not in executor.log()
    agent.kill("task-1")
    agent.wait_state("TASK_KILLED")
    assert executor.wait() == 0


# -- archives ---------------------------------------------------------------------------------

def tar_of(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """A tar of (name, type, content or target of the link)."""
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, 0o755
            if kind == tarfile.REGTYPE:
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
            else:
                member.linkname = text
                tar.addfile(member)
    return path


def test_tars_keep_modes_and_links_that_stay_inside(tmp_path):
    packed = tar_of(tmp_path / "a.tar.gz", ("./k/bin", tarfile.DIRTYPE, ""),
                    ("k/bin/npm", tarfile.SYMTYPE, "../lib/npm.js"),
                    ("k/lib/npm.js", tarfile.REGTYPE, "hello"))
    archive.unpack(packed, tmp_path / "box")
    assert (tmp_path / "box/k/bin/npm").read_text() == "hello"
    assert (tmp_path / "box/k/lib/npm.js").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("members", [
    [("../out", tarfile.REGTYPE, "x")],
    [("/tmp/esaas-out", tarfile.REGTYPE, "x")],
    [("link", tarfile.SYMTYPE, "/etc")],
    [("link", tarfile.SYMTYPE, "../out")],
    [("a/b/up", tarfile.SYMTYPE, "../.."), ("over", tarfile.SYMTYPE, "a/b/up/..")],
    [("over", tarfile.SYMTYPE, "a/b/up/.."), ("a/b/up", tarfile.SYMTYPE, "../..")],
    [("hard", tarfile.LNKTYPE, "/etc/hostname")],
    [("pipe", tarfile.FIFOTYPE, "")],
    [("twice", tarfile.REGTYPE, "x"), ("twice", tarfile.REGTYPE, "y")],
    [("volume/x", tarfile.REGTYPE, "x")],
])
def test_tars_that_would_leave_the_directory_are_refused(tmp_path, members):
    box, outside = tmp_path / "box", tmp_path / "outside"
    box.mkdir()
    outside.mkdir()
    (box / "volume").symlink_to(outside)  # as Mesos puts volumes into sandboxes
    with pytest.raises(ArchiveError):
        archive.unpack(tar_of(tmp_path / "a.tgz", *members), box)
    assert not (tmp_path / "out").exists() and not list(outside.iterdir())
    for path in box.rglob("*"):
        if path.name != "volume":
            assert path.resolve().is_relative_to(box)


@pytest.mark.parametrize("name", ["broken.zip", "broken.tar.gz", "broken.tar.xz"])
def test_what_is_no_archive_is_told(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ArchiveError, match="that can be unpacked"):
        archive.unpack(tmp_path / name, tmp_path / "box")


def test_commands_are_for_the_shell():
    assert sidecar.command_of(esaas_pb2.Sidecar(command="a | b")) == ["/bin/sh", "-c", "a | b"]
