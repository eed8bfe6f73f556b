"""The one-file executor runs a real Elasticsearch for a stand-in agent."""
from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from esaas.executor import java
from esaas.framework.proto import esaas_pb2
from executor_helpers import is_alive, launch_of, poll, task_of

START_S = 240.0
# The executor finds a JDK for each; ESAAS_TEST_JDK_21 names one for 9.x where it cannot.
VERSIONS = [pytest.param("6.8.23", id="6.8"), pytest.param("7.17.29", id="7.17"),
            pytest.param("9.5.3", id="9.5")]


@pytest.fixture
def real(agent, start_executor, real_zip, real_cache):
    """Launches a real node of ``version``; gives executor, launch and its first status."""
    def start(version: str, masters: int = 1, **settings: str):
        path = real_zip(int(version.partition(".")[0]))
        environment = {"ESAAS_CACHE_DIR": str(real_cache)}
        if configured := os.environ.get("ESAAS_TEST_JDK_21", ""):
            environment["ESAAS_JAVA21_HOME"] = configured
        elif version.startswith("9") and not any(
                (release := java.release_of(home)) and release.runs_9
                for home in java.JVM_FOLDER.glob("*")):
            pytest.skip(f"no JDK that {version} can use")
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        executor = start_executor(**environment)
        launch = launch_of(path.as_uri(), sha256, version, **settings)
        if launch.bootstrap.minimum_master_nodes:
            launch.bootstrap.minimum_master_nodes = masters
        if masters > 1:
            launch.bootstrap.initial_master_nodes[:] = []
        agent.launch(task_of(launch))
        agent.wait(lambda: {"TASK_RUNNING", "TASK_FAILED"} & set(agent.states()), START_S)
        assert "TASK_FAILED" not in agent.states(), agent.wait_state("TASK_FAILED")
        status = agent.wait_state("TASK_RUNNING")
        executor.pids.append(status.pid)
        return executor, launch, status

    return start


def get(launch, path: str) -> dict:
    """GET from the node."""
    connection = http.client.HTTPConnection(launch.bind_host, launch.http_port, timeout=30)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def session_of(leader: int) -> list[int]:
    """Pids of all processes in the session of a leader."""
    listed = subprocess.run(["ps", "-o", "pid=", "-s", str(leader)], capture_output=True,
                            text=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_node_serves_and_stops_gracefully(real, agent, version):
    executor, launch, status = real(version)
    assert status.version == version and status.es_node_id
    assert status.http_address == f"127.0.0.1:{launch.http_port}"
    assert status.transport_address == f"127.0.0.1:{launch.transport_port}"
    health = poll(lambda: (h := get(launch, "/_cluster/health")).get("status") == "green" and h,
                  120)
    assert (health["cluster_name"], health["number_of_nodes"]) == ("tests", 1)
    info = get(launch, "/_nodes/_local")["nodes"][status.es_node_id]
    assert info["attributes"]["rack"] == "r1"
    assert {"master", "data"} <= set(info["roles"]) and "ingest" not in info["roles"]
    heap_bytes = info["jvm"]["mem"]["heap_max_in_bytes"]
    assert heap_bytes <= 256 << 20
    assert (executor.sandbox / "data").stat().st_uid == Path(f"/proc/{status.pid}").stat().st_uid
    pids = session_of(status.pid)
    assert status.pid in pids
    agent.kill("task-1")
    ended = agent.wait_state("TASK_KILLED", 120)
    assert ended.exit_code in (0, 143)  # 9.x ends with 0 after it has stopped its server
    assert executor.wait() == 0
    assert not [pid for pid in pids if is_alive(pid)]


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
def test_kill_9_of_the_executor_leaves_no_jvm(real, version):
    executor, _, status = real(version)
    pids = session_of(status.pid)
    assert len(pids) >= (2 if version.startswith("9") else 1)
    executor.process.kill()
    for pid in pids:
        poll(lambda pid=pid: not is_alive(pid))


@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_setting_elasticsearch_does_not_know_fails_the_task_and_is_named(
        agent, start_executor, real_zip, real_cache):
    path = real_zip(6)
    executor = start_executor(ESAAS_CACHE_DIR=str(real_cache))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    agent.launch(task_of(launch_of(path.as_uri(), sha256, no__such__setting="1")))
    status = agent.wait_state("TASK_FAILED", START_S)
    assert executor.wait() == 0
    assert status.exit_code == 1
    assert "no.such.setting" in "\n".join(status.log_tail)
    assert "no.such.setting" in status.reason


@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_killed_jvm_fails_the_task(real, agent):
    executor, _, status = real("6.8.23")
    os.kill(status.pid, signal.SIGKILL)
    assert agent.wait_state("TASK_FAILED").exit_code == -signal.SIGKILL
    assert executor.wait() == 0
    assert agent.wait_state("TASK_FAILED").phase == esaas_pb2.NodeStatus.EXITED


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", ["6.8.23", "7.17.29"])
def test_a_node_without_a_master_is_running_too(real, agent, version):
    """Whether it is a member is for the scheduler to see; it may be the first to come up."""
    executor, launch, status = real(version, masters=2)
    assert status.es_node_id
    assert get(launch, "/_cluster/health?timeout=1s&master_timeout=1s")["status"] == 503
    agent.kill("task-1")
    agent.wait_state("TASK_KILLED", 120)
    assert executor.wait() == 0
