"""State files, ports and processes that are told by more than their id."""

import socket
import sys
from pathlib import Path

import pytest
from esaas.local import daemons, ports
from esaas.local.daemons import MARKER, Daemon, spawn, wait_until
from esaas.local.datacentre import DataCentre
from esaas.local.errors import LocalError
from esaas.local.settings import Settings
from esaas.local.spec import build_spec, default_agents
from esaas.local.state import State, load_state, save_state

SLEEP = [sys.executable, "-I", "-c", "import time; print('on', flush=True); time.sleep(600)"]


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert load_state(path) is None
    spec = build_spec(None, {"agents": default_agents(2), "principals": {"p": ("r", "s")}})
    state = State.fresh(spec).model_copy(
        update={"ports": {"master-1": 5050}, "daemons": {"master-1": Daemon(pid=1, started_s=2.5)}}
    )
    save_state(path, state)
    assert load_state(path) == state


def test_a_broken_state_file_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"id": "x", "more": 1}')
    with pytest.raises(LocalError, match=r"(?s)state.json.*spec.*more"):
        load_state(path)


def test_a_process_with_another_start_time_is_not_ours(tmp_path: Path) -> None:
    daemon = spawn(SLEEP, {}, tmp_path / "log")
    try:
        assert daemon.running()
        assert not Daemon(pid=daemon.pid, started_s=daemon.started_s - 60).running()
    finally:
        daemons.kill(daemon)
    assert not daemon.running()
    with pytest.raises(LocalError, match="does not run"):
        daemons.kill(daemon)


def test_a_stopped_process_ends_too_and_leaves_no_zombie(tmp_path: Path) -> None:
    daemon = spawn(SLEEP, {}, tmp_path / "log")
    process = daemon.process()
    assert process is not None
    process.suspend()
    wait_until(daemon.stopped, "the stop", 30)
    daemons.end([daemon], timeout_s=30)
    assert not Path(f"/proc/{daemon.pid}").exists()


def test_marked_processes_end_with_their_children_and_others_live(tmp_path: Path) -> None:
    child = f"import subprocess, sys; subprocess.run({SLEEP!r})"
    log = tmp_path / "log"
    ours = spawn([sys.executable, "-I", "-c", child], {MARKER: "m1"}, log)
    spared = spawn(SLEEP, {MARKER: "m1"}, tmp_path / "log2")
    other = spawn(SLEEP, {MARKER: "m2"}, tmp_path / "log3")
    try:
        wait_until(lambda: "on" in "".join(daemons.tail(log)), "the child", 30)
        assert len(daemons.marked("m1")) == 3
        daemons.end_marked("m1", timeout_s=30, spare={spared.pid})
        assert not ours.running()
        assert [p.pid for p in daemons.marked("m1")] == [spared.pid]
        assert other.running()
    finally:
        daemons.end([spared, other], timeout_s=30)


def test_waiting_ends_with_the_log_when_the_daemon_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    daemon = spawn([sys.executable, "-I", "-c", "raise SystemExit('no such flag')"], {}, log)
    with pytest.raises(LocalError, match=r"(?s)d ended while waiting for x.*no such flag"):
        wait_until(lambda: False, "x", 60, {"d": (daemon, log)})


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(LocalError, match="in vain for the moon"):
        wait_until(lambda: False, "the moon", 0)


def test_a_busy_port_is_found_and_another_chosen() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.choose(port) > port
        assert "process" in ports.holder(port)


def test_ports_already_given_are_not_given_again() -> None:
    first = ports.choose(42000)
    assert ports.choose(first, taken=[first]) > first


def test_settings_follow_rights_and_environment() -> None:
    root = Settings.load({"HOME": "/root"}, root=True)
    assert (str(root.cache), str(root.directory)) == ("/var/cache/esaas", "/var/lib/esaas-local")
    user = Settings.load({"HOME": "/home/u", "XDG_DATA_HOME": "/d"}, root=False)
    assert (str(user.cache), str(user.directory)) == ("/home/u/.cache/esaas", "/d/esaas-local")
    given = Settings.load({"ESAAS_CACHE_DIR": "/c", "ESAAS_LOCAL_DIR": "/s"}, root=True)
    assert (str(given.cache), str(given.directory)) == ("/c", "/s")


def test_nothing_is_there_before_the_first_up(tmp_path: Path) -> None:
    centre = DataCentre(tmp_path / "box")
    with pytest.raises(LocalError, match="no data centre"):
        centre.status()
    centre.down()
    centre.forget()
    assert not (tmp_path / "box").exists()


def test_a_directory_with_other_things_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(LocalError, match="nothing deleted"):
        DataCentre(tmp_path).forget()
    assert (tmp_path / "thesis.txt").exists()
