"""The guard and the process it keeps, run from the tree."""
from __future__ import annotations

import os
import queue
import signal
from pathlib import Path

import pytest
from esaas.executor.process import GuardedProcess
from executor_helpers import WAIT_S, is_alive, poll


class Run:
    """A shell command under the guard; collects what is reported."""

    def __init__(self, sandbox: Path, script: str, command: list[str] | None = None,
                 given: bytes = b"") -> None:
        self.sandbox = sandbox
        self.pids: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.ends: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self.node = GuardedProcess(
            command or ["/bin/sh", "-c", script], {"PATH": os.environ["PATH"]}, sandbox,
            on_started=self.pids.put, on_exited=lambda code, why: self.ends.put((code, why)),
            console=sandbox / "console.log", given=given)
        self.node.start()

    def written(self, name: str) -> int:
        """The pid that the script wrote to a file of the sandbox."""
        path = self.sandbox / name
        return int(poll(lambda: path.exists() and path.read_text().strip()))


@pytest.fixture
def run(tmp_path):
    runs: list[Run] = []

    def start(script: str, command: list[str] | None = None, given: bytes = b"") -> Run:
        runs.append(Run(tmp_path, script, command, given))
        return runs[-1]

    yield start
    for each in runs:
        each.node.kill()


def test_exit_codes_and_output_are_told(run):
    it = run("echo one; echo two >&2; exit 78")
    assert it.ends.get(timeout=WAIT_S) == (78, "")
    assert it.node.console.tail() == ["one", "two"]
    assert (it.sandbox / "console.log").read_text() == "one\ntwo\n"


def test_the_leader_has_a_session_of_its_own_and_no_input(run):
    it = run("read line || echo nothing; sleep 1000")
    pid = it.pids.get(timeout=WAIT_S)
    assert os.getsid(pid) == pid != os.getsid(0)
    poll(lambda: it.node.console.tail() == ["nothing"])
    it.node.kill()
    assert it.ends.get(timeout=WAIT_S) == (-signal.SIGKILL, "")


def test_signals_are_told_as_negative_codes(run):
    it = run("exec sleep 1000")
    it.pids.get(timeout=WAIT_S)
    it.node.terminate()
    assert it.ends.get(timeout=WAIT_S) == (-signal.SIGTERM, "")
    it.node.terminate()  # too late, and harmless


def test_what_the_leader_leaves_behind_is_gone_before_its_end_is_told(run):
    it = run("setsid sh -c 'echo $$ > other; exec sleep 1000' & "
             "sh -c 'echo $$ > same; exec sleep 1000' & "
             "while [ ! -s other ] || [ ! -s same ]; do :; done; exit 3")
    assert it.ends.get(timeout=WAIT_S) == (3, "")
    assert not is_alive(it.written("other"))
    assert not is_alive(it.written("same"))


def test_a_command_that_is_none_is_told(run):
    it = run("", ["/nowhere/bin/elasticsearch"])
    code, why = it.ends.get(timeout=WAIT_S)
    assert code == 126
    assert "cannot execute /nowhere/bin/elasticsearch" in why


def test_a_full_disk_does_not_block_the_node(run, tmp_path):
    (tmp_path / "console.log").symlink_to("/dev/full")
    it = run("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 5")
    assert it.ends.get(timeout=WAIT_S) == (5, "")
    assert it.node.console.tail()[-1] == "line 19999"


def test_input_is_given_whole_and_in_no_argument(run):
    given = b"secret line\n" * 20_000  # more than a pipe holds
    it = run("tr '\\0' ' ' < /proc/$PPID/cmdline; wc -c", given=given)
    assert it.ends.get(timeout=WAIT_S) == (0, "")
    shown = "\n".join(it.node.console.tail())
    assert str(len(given)) in shown and "secret" not in shown


def test_a_group_may_take_its_time_to_stop_and_a_deaf_one_is_killed(run, tmp_path):
    (tmp_path / "child.sh").write_text(
        'trap "$1" TERM; echo $$ > child; while :; do sleep 0.05; done')
    it = run('sh child.sh "sleep 0.3; echo done > done; exit 0"; echo never')
    pid = it.written("child")
    it.node.terminate_all()  # the shell ends at once, its child cleans up
    assert it.ends.get(timeout=WAIT_S) == (-signal.SIGTERM, "")
    assert (tmp_path / "done").read_text() == "done\n" and not is_alive(pid)
    (tmp_path / "child").unlink()
    deaf = run('sh child.sh ""; echo never')
    pid = deaf.written("child")
    deaf.node.terminate_all()
    assert is_alive(pid)
    deaf.node.kill()
    assert deaf.ends.get(timeout=WAIT_S)[0] in (-signal.SIGTERM, -signal.SIGKILL)
    assert not is_alive(pid)
