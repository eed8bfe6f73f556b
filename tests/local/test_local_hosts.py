"""Hosts of several: what they are, their daemons, and who supervises them; nothing is installed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from esaas.local import acls, daemons
from esaas.local.cli import local
from esaas.local.commands import Command
from esaas.local.errors import LocalError
from esaas.local.hosts import host as hosts
from esaas.local.hosts import netns, plan, supervisors
from esaas.local.hosts.spec import Host, build_host
from esaas.local.hosts.supervisors import (
    Direct,
    Systemd,
    environment_text,
    load_running,
    unit_text,
)
from esaas.local.settings import Settings

CONTROL: dict[str, Any] = {"kind": "control", "ip": "192.0.2.10", "control_ip": "192.0.2.10",
                           "hostname": "control", "tenants": ("demo",)}
AGENT: dict[str, Any] = {"kind": "agent", "ip": "192.0.2.11", "control_ip": "192.0.2.10",
                         "hostname": "agent-1", "rack": "rack-1"}
LIBRARY = Path("/cache/libmesos.so")


@pytest.fixture
def direct(tmp_path: Path) -> Iterator[Direct]:
    """A supervisor whose processes are gone afterwards."""
    found = Direct(tmp_path / "running.json", tmp_path / "logs")
    yield found
    found.end(list(load_running(tmp_path / "running.json").daemons))


def sleeper(seconds: int = 600, **environment: str) -> Command:
    return Command([sys.executable, "-c", f"import time; time.sleep({seconds})"], environment)


def pid(tmp_path: Path, name: str) -> int:
    return load_running(tmp_path / "running.json").daemons[name].pid


@pytest.mark.parametrize(("changes", "told"), [
    ({"ip": "agent"}, "ip"), ({"ip": "0.0.0.0"}, "no host"), ({"rack": ""}, "needs a rack"),
    ({"hostname": "-a"}, "hostname"), ({"directory": "state"}, "absolute"), ({"cpus": 0}, "cpus"),
    ({**CONTROL, "tenants": ()}, "needs a tenant"),
    ({**CONTROL, "control_ip": "192.0.2.9"}, "its own control host"),
])
def test_what_is_wrong_with_a_host_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(LocalError, match=told):
        build_host(AGENT | changes)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(LocalError) as error:
        build_host(AGENT | {"ip": "x", "mem_mb": -1, "hostname": ""})
    assert len(error.value.problems) == 3


def test_an_agent_binds_to_its_own_address_and_asks_the_control_host(tmp_path: Path) -> None:
    host = Host(**AGENT, directory=tmp_path)
    command = plan.build(host, plan.AGENT, "mark", LIBRARY, "esaas")
    env = command.environment
    assert env["MESOS_IP"] == "192.0.2.11" and env["MESOS_HOSTNAME"] == "agent-1"
    assert env["MESOS_MASTER"] == "zk://192.0.2.10:2181/mesos"
    assert env["MESOS_ATTRIBUTES"] == "rack:rack-1"
    assert "ports:[31000-31999]" in env["MESOS_RESOURCES"]
    assert env["MESOS_SWITCH_USER"] == "true"
    assert env[daemons.MARKER] == "mark"
    assert json.loads(env["MESOS_EXECUTOR_ENVIRONMENT_VARIABLES"])[daemons.MARKER] == "mark"
    assert Path(env["MESOS_WORK_DIR"]).is_dir()


def test_nothing_of_the_control_host_listens_or_points_elsewhere(tmp_path: Path) -> None:
    host = Host(**CONTROL, directory=tmp_path, fast_failure=True)
    master = plan.build(host, plan.MASTER, "mark", LIBRARY, "esaas").environment
    assert master["MESOS_IP"] == master["MESOS_HOSTNAME"] == "192.0.2.10"
    assert master["MESOS_AGENT_PING_TIMEOUT"] == "1secs"
    service = plan.build(host, plan.SERVICE, "mark", LIBRARY, "esaas")
    assert service.argv[service.argv.index("--host") + 1] == "192.0.2.10"
    plan.build(host, plan.ZOOKEEPER, "mark", LIBRARY, "esaas")
    config = (tmp_path / "zookeeper" / "zoo.cfg").read_text()
    for text in (config, str(master), str(service)):
        assert "127.0.0.1" not in text


def test_secrets_are_in_files_that_only_their_owner_reads(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts.requirements, "ensure_user", lambda _: "nobody")
    monkeypatch.setattr(hosts.commands, "prepare_executor_cache", lambda *_: None)
    host = Host(**CONTROL, directory=tmp_path)
    places = plan.HostPlaces(tmp_path)
    settings = Settings(tmp_path, tmp_path, root=True, home=tmp_path)
    assert hosts._prepare(places, host, settings) == "nobody"
    secret = acls.read_credentials(places.credentials)["demo"]
    private = (places.credentials, places.service_credentials, places.admin_token)
    assert [path.stat().st_mode & 0o777 for path in private] == [0o600] * 3
    token = places.admin_token.read_text()
    hosts._prepare(places, host, settings)
    assert places.admin_token.read_text() == token, "the second time keeps the token"
    for name in plan.names(host):
        text = str(plan.build(host, name, "mark", LIBRARY, "nobody"))
        assert secret not in text and token not in text


def test_a_daemon_starts_again_only_by_another_command(direct: Direct, tmp_path: Path) -> None:
    direct.run("agent", sleeper(X="1"))
    before = pid(tmp_path, "agent")
    direct.run("agent", sleeper(X="1"))
    assert direct.running("agent") and pid(tmp_path, "agent") == before
    direct.run("agent", sleeper(X="2"))
    assert pid(tmp_path, "agent") != before
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


def test_a_daemon_that_has_died_is_started_again(direct: Direct, tmp_path: Path) -> None:
    direct.run("agent", sleeper())
    before = pid(tmp_path, "agent")
    os.kill(before, signal.SIGKILL)
    daemons.wait_until(lambda: not direct.running("agent"), "its death", 30)
    direct.run("agent", sleeper())
    assert direct.running("agent") and pid(tmp_path, "agent") != before


def test_down_ends_daemons_and_whatever_carries_the_mark(tmp_path: Path) -> None:
    places = plan.HostPlaces(tmp_path)
    direct = Direct(places.running, tmp_path / "logs")
    marker = hosts._marker(places)
    direct.run("agent", sleeper(**{daemons.MARKER: marker}))
    executor = subprocess.Popen(sleeper().argv, env={daemons.MARKER: marker})
    hosts.down(tmp_path, direct)
    executor.wait(timeout=30)
    assert not direct.running("agent") and daemons.marked(marker) == []
    hosts.down(tmp_path, direct)        # nothing is left to end


def test_a_directory_stays_with_its_host(tmp_path: Path) -> None:
    places = plan.HostPlaces(tmp_path)
    hosts._keep_kind(places, Host(**AGENT))
    hosts._keep_kind(places, Host(**AGENT | {"cpus": 8}))
    with pytest.raises(LocalError, match="whose hostname is agent-1"):
        hosts._keep_kind(places, Host(**AGENT | {"hostname": "agent-2"}))


def test_an_environment_file_means_what_was_put_in(tmp_path: Path) -> None:
    wanted = {"A": '{"a": "b c"}', "B": "a\\b$c`d`'e'", "C": ""}
    path = tmp_path / "environment"
    path.write_text(environment_text(wanted))
    # A shell reads double quotes as systemd does.
    shown = subprocess.run(["sh", "-c", f'set -a; . {path}; exec env -0'], env={}, check=True,
                           capture_output=True, text=True).stdout
    found = dict(line.split("=", 1) for line in shown.split("\0") if line)
    assert {name: found[name] for name in wanted} == wanted


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    unit = tmp_path / "esaas-agent.service"
    unit.write_text(unit_text("agent", [sys.executable, "-c", "print('100% $HOME')"],
                              tmp_path / "agent.env"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0 and str(unit) not in done.stderr, done.stderr


def test_a_unit_is_restarted_only_when_it_has_changed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(supervisors, "_systemctl", lambda *words: told.append(words))
    systemd = Systemd(tmp_path / "environments", tmp_path / "units")
    systemd.run("agent", sleeper(X="1"))
    assert told == [("daemon-reload",), ("enable", "esaas-agent.service"),
                    ("restart", "esaas-agent.service")]
    told.clear()
    systemd.run("agent", sleeper(X="1"))
    assert told == [("enable", "esaas-agent.service"), ("start", "esaas-agent.service")]
    systemd.run("agent", sleeper(X="2"))
    assert told[-1] == ("restart", "esaas-agent.service")
    systemd.end(["agent", "service"])
    assert list((tmp_path / "units").iterdir()) == []


def test_only_root_makes_a_host(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="as root"):
        hosts.install(Settings(tmp_path, tmp_path, root=False, home=tmp_path), "agent")


def test_the_command_line_names_every_fault() -> None:
    done = CliRunner().invoke(local, ["host", "agent", "--ip", "nowhere", "--control-ip",
                                      "192.0.2.10", "--rack", "a b"])
    assert done.exit_code == 1
    assert "ip" in done.output and "rack" in done.output


def test_down_of_no_host_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(local, ["host", "down", "--directory", str(tmp_path)])
    assert done.exit_code == 1 and "belongs to no host" in done.output


@pytest.mark.parametrize(("taken", "chosen"), [
    (["default", "127.0.0.0/8", "192.0.2.0/24"], "127.77.0.0/24"),
    (["127.77.0.0/24", "127.78.0.5"], "127.79.0.0/24"),
])
def test_hosts_get_a_range_that_nothing_uses(
        taken: list[str], chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = json.dumps([{"dst": each} for each in taken])
    monkeypatch.setattr(netns, "run_ip", lambda *_: routes)
    assert str(netns.free_range()) == chosen


def test_it_is_told_why_there_are_no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netns.os, "geteuid", lambda: 1000)
    assert netns.refusal() == "network namespaces need root"
    monkeypatch.setattr(netns.os, "geteuid", lambda: 0)

    def refuse(*words: str) -> str:
        raise LocalError(f"ip {words[0]} failed", ["Operation not permitted"])
    monkeypatch.setattr(netns, "run_ip", refuse)
    why = netns.refusal()
    assert why is not None and "Operation not permitted" in why


def test_an_agent_of_the_default_place_forgets_its_containers_at_a_boot(tmp_path: Path) -> None:
    text = unit_text("agent", ["/bin/true"], tmp_path / "agent.env")
    assert "RuntimeDirectory=esaas-host\nRuntimeDirectoryPreserve=yes\n" in text
