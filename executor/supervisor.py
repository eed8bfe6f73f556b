"""The life of one node or sidecar, from the launch of its task to the end of the executor.

One thread (the main one) takes events from a queue and is the only one to change state. The
driver's IO thread, the prober and the threads of the node's process only put events there. What
the process is and how it is asked whether it serves comes from ``preparation``.
"""
from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from esaas.framework.proto import esaas_pb2

from . import log, payload, probe, process, shipping, tools
from .driver import Callbacks, NodeDriver, grace_of
from .errors import PreparationError
from .outbox import Outbox
from .preparation import Prepared, prepare
from .settings import Settings

Phase = esaas_pb2.NodeStatus
_TICK_S = 0.5
_TERMINAL = frozenset({"TASK_FAILED", "TASK_KILLED"})
_REASON_CHARS = 400
# Kept back from the agent's grace period for the updates after the node has stopped.
_SHUTDOWN_MARGIN_S = 1.0
# For what the node has logged at its end; what is left then, the next start ships.
_LOGS_PATIENCE_S = 3.0


class Inbox(Callbacks):
    """Turns callbacks of any thread into events: (handler, arguments)."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._to = supervisor

    def subscribed(self, framework_info: dict[str, Any], agent_info: dict[str, Any]) -> None:
        """(Re)subscribed."""
        self._to.post(self._to.on_subscribed, framework_info, agent_info)

    def connection_lost(self) -> None:
        """Disconnected."""
        self._to.post(self._to.on_connection_lost)

    def launch(self, task: dict[str, Any]) -> None:
        """A task to launch."""
        self._to.post(self._to.on_launch, task)

    def kill(self, task_id: str, grace_s: float | None) -> None:
        """A task to kill."""
        self._to.post(self._to.on_kill, task_id, grace_s)

    def message(self, data: str) -> None:
        """A framework message."""
        self._to.post(self._to.on_message, data)

    def acknowledged(self) -> None:
        """The outbox may be empty now: look."""
        self._to.post(lambda: None)

    def shut_down(self) -> None:
        """The agent wants us gone."""
        self._to.post(self._to.on_shut_down)


class Supervisor:
    """Runs one node; ``run`` returns the executor's exit code."""

    def __init__(self, settings: Settings, environ: Mapping[str, str],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._outbox = Outbox()
        self._driver = NodeDriver(Inbox(self), settings, self._outbox)
        self._status = esaas_pb2.NodeStatus(phase=Phase.UNKNOWN)
        self._task: dict[str, Any] = {}
        self._launch = esaas_pb2.NodeLaunch()
        self._prepared: Prepared | None = None
        self._node: process.GuardedProcess | None = None
        self._prober: probe.Prober | None = None
        self._latest_seeds: esaas_pb2.Seeds | None = None
        self._seeds_to_tell = False
        self._host = ""
        self._shipper: shipping.Shipper | None = None
        self._tells_killing = False
        self._was_subscribed = False
        self._subscribed_at = clock()
        self._lost_at: float | None = clock()
        self._healthy = True
        self._failing_since: float | None = None
        self._kill_at: float | None = None
        self._ended_at: float | None = None
        self._must_end = False

    # -- the loop ---------------------------------------------------------------------------

    def post(self, handler: Callable[..., None], *arguments: object) -> None:
        """Have ``handler(*arguments)`` called by the main thread; any thread, signals too."""
        self._events.put(partial(handler, *arguments))

    def run(self) -> int:
        """Live until the task has ended and Mesos knows it. Call on the main thread."""
        while not self._is_over():
            self._driver.keep_running()
            try:
                handle = self._events.get(timeout=_TICK_S)
            except queue.Empty:
                handle = None
            if handle is not None:
                handle()
            self._tick()
        if self._shipper is not None:
            self._shipper.finish(_LOGS_PATIENCE_S)
        log.event("Executor ends", unacknowledged=len(self._outbox))
        self._driver.close()
        return 0

    def _tick(self) -> None:
        now = self._clock()
        if self._driver.subscribed:
            self._driver.flush()
            self._tell_seeds()
        elif self._lost_at is not None and now - self._lost_at > self._patience_s():
            self._give_up_on_agent()
        if self._kill_at is not None and now >= self._kill_at and self._node is not None:
            log.event("Node did not stop in time, killing it", level=logging.WARNING)
            self._node.kill()
            self._kill_at = None

    def _patience_s(self) -> float:
        # An agent that does not checkpoint has forgotten us when it comes back.
        remembered = self._settings.checkpoint or not self._was_subscribed
        return self._settings.recovery_timeout_s if remembered else 0.0

    def _is_over(self) -> bool:
        if self._must_end and self._node is None:
            return True
        if self._ended_at is None:
            return False
        # While the agent is away, _give_up_on_agent sets the limit.
        waited_s = self._clock() - max(self._ended_at, self._subscribed_at)
        return not self._outbox or (self._driver.subscribed
                                    and waited_s > self._settings.linger_s)

    def _give_up_on_agent(self) -> None:
        if self._must_end:
            return
        log.event("Agent is gone for too long, stopping", level=logging.WARNING,
                  after_s=self._patience_s())
        self._must_end = True
        self._stop(self._stop_timeout_s(), "the agent was away longer than its recovery timeout")

    # -- the agent --------------------------------------------------------------------------

    def on_subscribed(self, framework_info: dict[str, Any], agent_info: dict[str, Any]) -> None:
        """Connected (again): the tick sends what waits."""
        self._host = str(agent_info.get("hostname", ""))
        log.event("Subscribed", again=self._was_subscribed, waiting=len(self._outbox))
        capabilities = framework_info.get("capabilities") or []
        self._tells_killing = {"type": "TASK_KILLING_STATE"} in capabilities
        self._was_subscribed = True
        self._lost_at = None
        self._subscribed_at = self._clock()
        self._seeds_to_tell = self._prepared is not None

    def on_connection_lost(self) -> None:
        """Disconnected: the node goes on, updates wait."""
        if self._lost_at is None:
            log.event("Connection to the agent lost", level=logging.WARNING)
            self._lost_at = self._clock()

    def on_launch(self, task: dict[str, Any]) -> None:
        """Start the task's node; a payload with faults fails the task."""
        task_id = task["task_id"]["value"]
        if self._task:
            if task_id != self._task["task_id"]["value"]:
                self._refuse(task, "this executor already runs a node")
            return
        # Not with its data: there may be secrets in it.
        self._task = {key: value for key, value in task.items() if key != "data"}
        log.event("Task launched", task_id=task_id)
        if os.geteuid() == 0:
            self._end("TASK_FAILED", "refusing to run Elasticsearch as root: "
                      "set CommandInfo.user to an unprivileged user")
            return
        try:
            launch = payload.read_launch(task)
        except payload.PayloadError as error:
            self._end("TASK_FAILED", f"launch refused: {error}", error.faults)
            return
        self._report("TASK_STARTING", Phase.PREPARING)
        self._launch = esaas_pb2.NodeLaunch()
        self._launch.CopyFrom(launch)
        for secret in ("secure_settings", "tls"):   # the preparation alone needs them
            self._launch.ClearField(secret)
        threading.Thread(target=self._prepare, args=[launch], name="prepare",
                         daemon=True).start()

    def _refuse(self, task: dict[str, Any], reason: str) -> None:
        status = esaas_pb2.NodeStatus(phase=Phase.EXITED, reason=reason)
        self._driver.sendStatusUpdate({
            "task_id": task["task_id"], "state": "TASK_FAILED", "message": reason,
            "data": payload.encode(status)})

    def on_kill(self, task_id: str, grace_s: float | None) -> None:
        """Stop the node: the kill's grace period, else the task's, else stop_timeout_s."""
        if not self._task or task_id != self._task["task_id"]["value"]:
            log.event("Kill of an unknown task", level=logging.WARNING, task_id=task_id)
            return
        self._stop(self._stop_timeout_s() if grace_s is None else grace_s, "killed on request")

    def on_shut_down(self) -> None:
        """The agent's SHUTDOWN: it destroys the container after its grace period."""
        log.event("Agent asks to shut down")
        grace_s = self._settings.shutdown_grace_s
        margin_s = min(_SHUTDOWN_MARGIN_S, grace_s / 2)
        self._leave(min(self._stop_timeout_s(), grace_s - margin_s), "executor shut down")

    def on_signal(self, number: int) -> None:
        """SIGTERM to the executor itself."""
        log.event("Signal received", signal=number)
        self._leave(self._stop_timeout_s(), f"executor got signal {number}")

    def _leave(self, grace_s: float, reason: str) -> None:
        if self._task:
            self._stop(grace_s, reason)
        else:
            self._must_end = True

    def on_message(self, data: str) -> None:
        """A framework message: new seeds."""
        try:
            message = payload.decode(esaas_pb2.ToExecutor, data)
        except payload.PayloadError as error:
            log.event("Message not understood", level=logging.ERROR, error=error)
            return
        if message.WhichOneof("message") == "seeds":
            self._take_seeds(message.seeds)
        else:
            log.event("Message of an unknown kind, ignored", level=logging.WARNING)

    # -- seeds ------------------------------------------------------------------------------

    def _take_seeds(self, seeds: esaas_pb2.Seeds) -> None:
        if faults := payload.seeds_faults(seeds):
            log.event("Seeds refused", level=logging.ERROR, faults="; ".join(faults))
            return
        if self._prepared is None:
            known = self._latest_seeds
            if known is None or seeds.generation >= known.generation:
                self._latest_seeds = seeds  # written as soon as there is a file
            return
        try:
            written = self._prepared.seeds.update(seeds)
        except OSError as error:
            log.event("Seeds not written", level=logging.ERROR, error=error)
            return
        log.event("Seeds written" if written else "Seeds are older than what we have",
                  generation=seeds.generation, known=self._prepared.seeds.generation)
        self._seeds_to_tell = True  # also for old news: the sender does not know yet
        if written and self._shipper is not None:
            self._shipper.follow(seeds.log_urls)

    def _tell_seeds(self) -> None:
        if not self._seeds_to_tell or self._prepared is None:
            return
        message = esaas_pb2.FromExecutor(node=self._launch.node,
                                         seeds_generation=self._prepared.seeds.generation)
        self._seeds_to_tell = not self._driver.sendFrameworkMessage(payload.encode(message))

    # -- the node ---------------------------------------------------------------------------

    def _prepare(self, launch: esaas_pb2.NodeLaunch) -> None:
        """Fetch and configure; on a thread of its own, for it may take minutes."""
        try:
            self.post(self.on_prepared, prepare(launch, self._settings, self._environ))
        except (PreparationError, OSError) as error:
            self.post(self.on_unprepared, str(error))
        # A thread that ends without a word would leave the task in STARTING.
        except Exception as error:  # noqa: BLE001
            log.event("Preparation failed", level=logging.ERROR, exc_info=True)
            self.post(self.on_unprepared, f"{type(error).__name__}: {error}")

    def on_unprepared(self, problem: str) -> None:
        """Fail the task."""
        if self._ended_at is None:  # else killed meanwhile
            self._end("TASK_FAILED", f"cannot prepare the node: {problem}")

    def on_prepared(self, prepared: Prepared) -> None:
        """Start the process, or hold it."""
        if self._ended_at is not None:
            return  # killed meanwhile
        self._prepared = prepared
        self._seeds_to_tell = True
        if not self._launch.HasField("sidecar"):
            self._shipper = shipping.shipper_of(self._launch, self._settings, self._host)
            self._shipper.follow(self._launch.seeds.log_urls)
        if self._latest_seeds is not None:
            self._take_seeds(self._latest_seeds)
        if prepared.held:
            self._report("TASK_RUNNING", Phase.PAUSED, reason=prepared.held)
            return
        node = process.GuardedProcess(
            prepared.command, prepared.environment, self._settings.sandbox,
            on_started=lambda pid: self.post(self.on_started, pid),
            on_exited=lambda code, reason: self.post(self.on_exited, code, reason),
            console=self._settings.sandbox / "console.log")
        try:
            node.start()
        except OSError as error:
            self._end("TASK_FAILED", f"cannot start the node: {error}")
            return
        self._node = node

    def on_started(self, pid: int) -> None:
        """The process runs: ask until it answers, if there is something to ask."""
        log.event("Node process started", pid=pid)
        self._status.pid = pid
        if self._status.phase == Phase.STOPPING or self._prepared is None:
            return
        if self._prepared.ask is None:
            self._report("TASK_RUNNING", Phase.SERVING)
            return
        self._report("TASK_STARTING", Phase.STARTING)
        self._prober = probe.Prober(
            self._prepared.ask, lambda answer: self.post(self.on_answer, answer),
            self._settings.starting_probe_s)
        self._prober.start()

    def on_answer(self, answer: probe.Answer) -> None:
        """A probe's result: RUNNING at the first good one, then changes of health only."""
        if self._prober is None or self._status.phase not in (Phase.STARTING, Phase.SERVING):
            return
        if answer.identity is None:
            self._take_silence(answer.problem)
            return
        self._failing_since = None
        changed = self._take_identity(answer.identity)
        if self._status.phase == Phase.STARTING or changed or not self._healthy:
            self._healthy = True
            self._prober.interval_s = self._settings.serving_probe_s
            log.event("Node serves HTTP", es_node_id=self._status.es_node_id,
                      http=self._status.http_address, server_pid=answer.identity.server_pid)
            self._report("TASK_RUNNING", Phase.SERVING, healthy=True)

    def _take_identity(self, identity: probe.Identity) -> bool:
        """Note what the node says of itself; whether it is another id than before."""
        launch, status = self._launch, self._status
        transport = "" if launch.HasField("sidecar") else (
            f"{launch.bind_host}:{launch.transport_port}")
        changed = bool(status.phase == Phase.SERVING
                       and status.es_node_id != identity.es_node_id)
        status.es_node_id = identity.es_node_id
        status.version = identity.version or launch.distribution.version
        status.http_address = identity.http_address or f"{launch.bind_host}:{launch.http_port}"
        status.transport_address = identity.transport_address or transport
        return changed

    def _take_silence(self, problem: str) -> None:
        if self._status.phase != Phase.SERVING or self._prepared is None:
            return
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        silent_s = now - self._failing_since
        if self._healthy and silent_s >= self._settings.unhealthy_after_s:
            self._healthy = False
            log.event("Node does not answer", level=logging.WARNING, problem=problem)
            self._report("TASK_RUNNING", Phase.SERVING, healthy=False,
                         reason=f"{self._prepared.silence} for {silent_s:.0f} s: {problem}")

    def on_exited(self, code: int, reason: str) -> None:
        """The node's process ended: as asked (KILLED), or by itself (FAILED)."""
        log.event("Node process ended", exit_code=code, reason=reason)
        assert self._node is not None and self._prepared is not None
        title, tail = self._prepared.title, self._node.console.tail()
        stopped = self._status.phase == Phase.STOPPING
        why = self._status.reason
        self._node = None
        self._status.exit_code = code
        if stopped:
            self._end("TASK_KILLED", why)
        else:
            self._end("TASK_FAILED", reason or exit_reason(title, code, tail), tail)

    def _stop_timeout_s(self) -> float:
        grace_s = grace_of(self._task.get("kill_policy"))
        if grace_s is not None:
            return grace_s
        return self._launch.stop_timeout_s or payload.DEFAULT_STOP_TIMEOUT_S

    def _stop(self, grace_s: float, reason: str) -> None:
        """SIGTERM now, SIGKILL after ``grace_s``; a second call can only make it sooner."""
        if self._ended_at is not None or not self._task:
            return
        if self._node is None:  # still preparing, or held
            self._end("TASK_KILLED", reason)
            return
        kill_at = self._clock() + max(0.0, grace_s)
        if self._status.phase == Phase.STOPPING:
            if self._kill_at is not None:
                self._kill_at = min(self._kill_at, kill_at)
            return
        log.event("Stopping the node", reason=reason, grace_s=grace_s)
        if self._prober is not None:
            self._prober.stop()
        self._kill_at = kill_at
        if self._prepared is not None and self._prepared.stops_as_group:
            self._node.terminate_all()
        else:
            self._node.terminate()
        self._status.phase, self._status.reason = Phase.STOPPING, reason
        if self._tells_killing:
            self._report("TASK_KILLING", Phase.STOPPING, reason=reason)

    # -- updates ----------------------------------------------------------------------------

    def _end(self, state: str, reason: str, tail: list[str] | None = None) -> None:
        """The terminal update; the executor ends when it is acknowledged."""
        if self._prober is not None:
            self._prober.stop()
        self._ended_at = self._clock()
        self._status.log_tail[:] = process.bounded(tail or [], process.TAIL_BYTES)
        self._report(state, Phase.EXITED, reason=reason)

    def _report(self, state: str, phase: esaas_pb2.NodeStatus.Phase, *, reason: str = "",
                healthy: bool | None = None) -> None:
        self._status.phase = phase
        self._status.reason = one_line(reason)
        log.event("Status", state=state, phase=esaas_pb2.NodeStatus.Phase.Name(phase),
                  healthy=healthy, reason=self._status.reason)
        update: dict[str, Any] = {
            "task_id": self._task["task_id"], "state": state,
            "data": payload.encode(self._status), "message": self._status.reason}
        if healthy is not None:
            update["healthy"] = healthy
        self._driver.sendStatusUpdate(update)


def one_line(text: str) -> str:
    """``text`` for people: one line, cut at ``_REASON_CHARS``."""
    line = " ".join(text.split())
    return line if len(line) <= _REASON_CHARS else line[:_REASON_CHARS - 1] + "…"


def exit_reason(title: str, code: int, tail: list[str]) -> str:
    """Why a process ended, in one line: the code and the last line that tells of an error."""
    how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
    told = tools.telling_line(tail)
    return f"{title} {how}" + (f": {told}" if told else "")
