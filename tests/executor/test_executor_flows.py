"""The executor as one file, with a stand-in agent and a stand-in node."""
from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from esaas.framework.proto import esaas_pb2
from executor_helpers import is_alive, poll, task_of

Phase = esaas_pb2.NodeStatus


def started(agent, executor, launch):
    """Launch and wait until the node serves; its status."""
    agent.launch(task_of(launch))
    status = agent.wait_state("TASK_RUNNING")
    executor.pids.append(status.pid)
    return status


def test_a_node_starts_reports_itself_and_is_killed(agent, start_executor, stand_in_launch):
    executor, launch = start_executor(), stand_in_launch()
    status = started(agent, executor, launch)
    assert agent.states() == ["TASK_STARTING", "TASK_STARTING", "TASK_RUNNING"]
    assert agent.updates()[-1]["healthy"] is True
    assert (status.phase, status.es_node_id, status.version) == (
        Phase.SERVING, "stand-in-id", "6.8.23")
    assert status.http_address == f"127.0.0.1:{launch.http_port}"
    assert status.transport_address == f"127.0.0.1:{launch.transport_port}"
    assert os.getpgid(status.pid) == status.pid
    agent.kill("task-1")
    ended = agent.wait_state("TASK_KILLED")
    assert executor.wait() == 0
    assert agent.states()[-2:] == ["TASK_KILLING", "TASK_KILLED"]
    assert (ended.phase, ended.exit_code, ended.reason) == (
        Phase.EXITED, 143, "killed on request")
    assert not is_alive(status.pid)


def test_without_the_capability_no_task_killing(agent, start_executor, stand_in_launch):
    agent.capabilities = ()
    executor = start_executor()
    started(agent, executor, stand_in_launch())
    agent.kill("task-1")
    assert executor.wait() == 0
    assert "TASK_KILLING" not in agent.states() and agent.states()[-1] == "TASK_KILLED"


def test_a_deaf_node_is_killed_after_the_grace_period(agent, start_executor, stand_in_launch):
    executor = start_executor()
    status = started(agent, executor, stand_in_launch(stand_in__deaf="true",
                                                      stand_in__child="true"))
    child = int((executor.sandbox / "data" / "child.pid").read_text())
    agent.kill("task-1")               # stop_timeout_s: 60
    agent.wait_state("TASK_KILLING")
    agent.kill("task-1", grace_s=0.1)  # the second one makes it sooner
    assert agent.wait_state("TASK_KILLED").exit_code == -signal.SIGKILL
    assert executor.wait() == 0
    assert not is_alive(status.pid) and not is_alive(child)


def test_a_node_that_ends_by_itself_fails_with_its_last_lines(
        agent, start_executor, stand_in_launch):
    executor = start_executor()
    agent.launch(task_of(stand_in_launch(stand_in__exit="78")))
    status = agent.wait_state("TASK_FAILED")
    assert executor.wait() == 0
    assert status.exit_code == 78
    assert len(status.log_tail) == 30
    assert status.log_tail[-1] == "ERROR: the stand-in was told to fail"
    assert status.reason == ("Elasticsearch exited with code 78: "
                             "ERROR: the stand-in was told to fail")
    assert agent.updates()[-1]["message"] == status.reason


def test_all_faults_of_a_payload_are_told(agent, start_executor, stand_in_launch):
    executor, launch = start_executor(), stand_in_launch(node__name='"mine"')
    launch.heap_mb = 0
    launch.distribution.version = "5.6.0"
    agent.launch(task_of(launch))
    status = agent.wait_state("TASK_FAILED")
    assert executor.wait() == 0
    assert len(status.log_tail) == 3, status
    assert {fault.split(":")[0] for fault in status.log_tail} == {
        "distribution.version", "heap_mb", "settings"}


def test_rubbish_in_place_of_a_payload_fails_the_task(agent, start_executor):
    executor = start_executor()
    agent.launch({"task_id": {"value": "task-1"}, "data": "%%%"})
    assert "not a NodeLaunch" in agent.wait_state("TASK_FAILED").reason
    assert executor.wait() == 0


def test_a_missing_volume_fails_the_task(agent, start_executor, stand_in_launch):
    executor, launch = start_executor(), stand_in_launch()
    launch.data_path = "volume"
    agent.launch(task_of(launch))
    assert "no directory volume" in agent.wait_state("TASK_FAILED").reason
    assert executor.wait() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be refused")
def test_root_is_refused(agent, start_executor, stand_in_launch):
    executor = start_executor(as_root=True)
    agent.launch(task_of(stand_in_launch()))
    assert "as root" in agent.wait_state("TASK_FAILED").reason
    assert executor.wait() == 0


def test_an_agent_that_restarts_finds_the_same_node(agent, start_executor, stand_in_launch):
    executor = start_executor()
    status = started(agent, executor, stand_in_launch())
    agent.go_away()
    poll(lambda: "Connection to the agent lost" in executor.log())
    agent.recovering = True  # an agent that recovers answers 503 for a while
    agent.come_back()
    agent.wait(lambda: agent.refused >= 2)
    agent.recovering = False
    agent.wait(lambda: len(agent.subscriptions) == 2)
    assert is_alive(status.pid)
    assert agent.subscriptions[1] == {"unacknowledged_tasks": [], "unacknowledged_updates": []}
    agent.kill("task-1")
    assert agent.wait_state("TASK_KILLED").pid == status.pid
    assert executor.wait() == 0
    assert len(agent.statuses) == len(agent.updates())  # nothing twice


def test_what_happens_while_the_agent_is_away_is_told_when_it_returns(
        agent, start_executor, stand_in_launch):
    executor = start_executor()
    status = started(agent, executor, stand_in_launch())
    agent.go_away()
    poll(lambda: "Connection to the agent lost" in executor.log())
    os.kill(status.pid, signal.SIGKILL)
    poll(lambda: "state=TASK_FAILED" in executor.log())
    assert executor.process.poll() is None  # it waits to tell
    agent.come_back()
    assert agent.wait_state("TASK_FAILED").exit_code == -signal.SIGKILL
    assert [u["status"]["state"] for u in agent.subscriptions[1]["unacknowledged_updates"]] == [
        "TASK_FAILED"]
    assert executor.wait() == 0


def test_updates_without_acknowledgement_are_sent_again_with_their_uuid_and_order(
        agent, start_executor, stand_in_launch):
    agent.acknowledges = False
    executor = start_executor()
    started(agent, executor, stand_in_launch())
    before = [status["uuid"] for status in agent.statuses]
    agent.acknowledges = True
    agent.drop()
    agent.wait(lambda: len(agent.subscriptions) == 2)
    again = agent.subscriptions[1]
    assert [u["status"]["uuid"] for u in again["unacknowledged_updates"]] == before
    assert [t["task_id"]["value"] for t in again["unacknowledged_tasks"]] == ["task-1"]
    agent.drop()
    agent.wait(lambda: len(agent.subscriptions) == 3)
    assert agent.subscriptions[2] == {"unacknowledged_tasks": [], "unacknowledged_updates": []}


def test_refused_updates_are_kept_and_sent_in_order(agent, start_executor, stand_in_launch):
    """As seen on a real agent: it takes the subscription, then answers 503 for 12 s."""
    executor = start_executor()
    agent.refuses_calls = True
    agent.launch(task_of(stand_in_launch()))
    agent.wait(lambda: agent.refused >= 3)
    poll(lambda: "state=TASK_RUNNING" in executor.log())
    assert agent.statuses == []
    agent.refuses_calls = False
    executor.pids.append(agent.wait_state("TASK_RUNNING").pid)
    assert [status["state"] for status in agent.statuses] == [
        "TASK_STARTING", "TASK_STARTING", "TASK_RUNNING"]
    assert len(agent.subscriptions) == 1


def test_an_agent_that_stays_away_ends_node_and_executor(
        agent, start_executor, stand_in_launch):
    executor = start_executor(MESOS_RECOVERY_TIMEOUT="1secs")
    status = started(agent, executor, stand_in_launch())
    agent.go_away()
    assert executor.wait() == 0
    assert not is_alive(status.pid)
    assert "state=TASK_KILLED" in executor.log()


def test_kill_9_of_the_executor_leaves_no_process(agent, start_executor, stand_in_launch):
    executor = start_executor()
    status = started(agent, executor, stand_in_launch(stand_in__deaf="true",
                                                      stand_in__child="true"))
    child = int((executor.sandbox / "data" / "child.pid").read_text())
    guard = int(Path(f"/proc/{status.pid}/stat").read_text().rpartition(")")[2].split()[1])
    executor.process.kill()
    for pid in (status.pid, child, guard):
        poll(lambda pid=pid: not is_alive(pid))


def test_kill_9_of_the_guard_fails_the_task_and_leaves_no_process(
        agent, start_executor, stand_in_launch):
    executor = start_executor()
    status = started(agent, executor, stand_in_launch(stand_in__child="true"))
    child = int((executor.sandbox / "data" / "child.pid").read_text())
    guard = int(Path(f"/proc/{status.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guard, signal.SIGKILL)
    assert "guard process" in agent.wait_state("TASK_FAILED").reason
    assert executor.wait() == 0
    for pid in (status.pid, child):
        poll(lambda pid=pid: not is_alive(pid))


def test_silence_is_told_as_ill_health_and_its_end_as_health(
        agent, start_executor, stand_in_launch):
    executor = start_executor(ESAAS_UNHEALTHY_AFTER_S="0.2", ESAAS_PROBE_INTERVAL_S="0.1")
    status = started(agent, executor, stand_in_launch())
    silent = executor.sandbox / "data" / "silent"
    silent.touch()
    agent.wait(lambda: agent.updates()[-1].get("healthy") is False)
    assert "HTTP status 503" in agent.wait_state("TASK_RUNNING").reason
    silent.unlink()
    agent.wait(lambda: agent.updates()[-1].get("healthy") is True)
    health = [u["healthy"] for u in agent.updates() if u["state"] == "TASK_RUNNING"]
    assert health == [True, False, True]
    assert is_alive(status.pid)


def test_new_seeds_are_written_and_acknowledged_and_old_ones_are_not_written(
        agent, start_executor, stand_in_launch):
    executor = start_executor()
    started(agent, executor, stand_in_launch())
    hosts = executor.sandbox / "config" / "unicast_hosts.txt"

    def tell(generation: int, address: str) -> None:
        count = len(agent.messages)
        agent.message(esaas_pb2.ToExecutor(
            seeds=esaas_pb2.Seeds(addresses=[address], generation=generation)))
        agent.wait(lambda: len(agent.messages) > count)

    agent.wait(lambda: agent.messages)
    tell(7, "10.0.0.7:9300")
    assert hosts.read_text() == "10.0.0.7:9300\n"
    tell(3, "10.0.0.3:9300")
    agent.message(esaas_pb2.ToExecutor(
        seeds=esaas_pb2.Seeds(addresses=["two\nlines:1"], generation=9)))
    poll(lambda: "Seeds refused" in executor.log())
    assert hosts.read_text() == "10.0.0.7:9300\n"
    assert [m.seeds_generation for m in agent.messages] == [1, 7, 7]
    assert {m.node for m in agent.messages} == {"tests-data-0"}


def test_shutdown_and_sigterm_stop_the_node(agent, start_executor, stand_in_launch):
    executor = start_executor()
    status = started(agent, executor, stand_in_launch())
    agent.send({"type": "SHUTDOWN"})
    assert agent.wait_state("TASK_KILLED").reason == "executor shut down"
    assert executor.wait() == 0
    assert not is_alive(status.pid)


def test_sigterm_stops_the_node(agent, start_executor, stand_in_launch):
    executor = start_executor()
    status = started(agent, executor, stand_in_launch())
    executor.process.terminate()
    assert agent.wait_state("TASK_KILLED").reason == "executor got signal 15"
    assert executor.wait() == 0
    assert not is_alive(status.pid)


def test_the_token_and_the_agent_of_many_are_used_and_kept_from_the_node(
        agent, start_executor, stand_in_launch):
    executor = start_executor(MESOS_EXECUTOR_AUTHENTICATION_TOKEN="secret",
                              MESOS_SLAVE_PID="slave(7)@127.0.0.1:1")
    started(agent, executor, stand_in_launch())
    assert set(agent.paths) == {"/slave(7)/api/v1/executor"}
    assert {headers["Authorization"] for headers in agent.headers} == {"Bearer secret"}
    environment = json.loads((executor.sandbox / "data" / "environment.json").read_text())
    assert not [name for name in environment if name.startswith("MESOS_")]
    assert "secret" not in executor.log()


def test_rubbish_events_and_second_launches_do_no_harm(agent, start_executor, stand_in_launch):
    executor, launch = start_executor(), stand_in_launch()
    status = started(agent, executor, launch)
    agent.launch(task_of(launch))
    agent.send({"type": "LAUNCH", "launch": {}})
    agent.send({"type": "KILL", "kill": {"task_id": {"value": "another"}}})
    agent.send({"type": "NOVELTY", "novelty": {}})
    agent.send({"type": "MESSAGE", "message": {"data": "%%%"}})
    agent.launch(task_of(launch, "task-2"))
    assert "already runs a node" in agent.wait_state("TASK_FAILED").reason
    assert is_alive(status.pid) and executor.process.poll() is None
    assert len(agent.subscriptions) == 1


def test_a_node_on_hold_is_prepared_and_not_started(agent, start_executor, stand_in_launch):
    executor, launch = start_executor(), stand_in_launch()
    launch.paused = True
    launch.files.add(path="analysis/words.txt", content=b"word")
    agent.launch(task_of(launch))
    status = agent.wait_state("TASK_RUNNING")
    assert agent.states() == ["TASK_STARTING", "TASK_RUNNING"]
    assert (status.phase, status.pid) == (Phase.PAUSED, 0)
    assert status.reason == ("held for debugging: Elasticsearch is not started; the sandbox and "
                             "the volume are in place")
    assert "healthy" not in agent.updates()[-1]
    assert (executor.sandbox / "config/analysis/words.txt").read_text() == "word"
    assert not (executor.sandbox / "console.log").exists()
    agent.wait(lambda: agent.messages)  # seeds are told as ever
    agent.message(esaas_pb2.ToExecutor(
        seeds=esaas_pb2.Seeds(addresses=["10.0.0.7:9300"], generation=7)))
    agent.wait(lambda: [message.seeds_generation for message in agent.messages] == [1, 7])
    agent.kill("task-1")
    assert agent.wait_state("TASK_KILLED").reason == "killed on request"
    assert executor.wait() == 0


def test_what_cannot_be_prepared_fails_the_task_with_the_reason(
        agent, start_executor, stand_in_launch):
    executor, launch = start_executor(), stand_in_launch()
    launch.plugins.add(name="bad", url="file:///no/such.zip", sha256="0" * 64)
    agent.launch(task_of(launch))
    reason = agent.wait_state("TASK_FAILED").reason
    assert reason.startswith("cannot prepare the node: plugin bad: cannot download file:///no/")
    assert executor.wait() == 0


def test_secrets_of_a_launch_are_told_nowhere(agent, start_executor, stand_in_launch):
    executor, launch = start_executor(), stand_in_launch()
    launch.secure_settings["a.b"] = "s3cret"
    agent.launch(task_of(launch))  # the stand-in has no tool for a keystore
    reason = agent.wait_state("TASK_FAILED").reason
    assert reason.startswith("cannot prepare the node: secure setting a.b: cannot execute ")
    assert executor.wait() == 0
    data = task_of(launch)["data"]
    for secret in ("s3cret", data):
        assert secret not in executor.log() and secret not in json.dumps(agent.statuses)
        assert not [path for path in executor.sandbox.rglob("*")
                    if path.is_file() and secret.encode() in path.read_bytes()]
