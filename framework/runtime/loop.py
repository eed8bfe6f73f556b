"""The loop of one cluster: drain -> apply -> check -> decide -> check -> COMMIT -> send -> ack.

Callbacks and observers only enqueue; the inbox is bounded and a full one slows Mesos' stream down.
A crash between any two arrows loses nothing: facts are loaded, Mesos and its tasks are asked, and
``decide`` finds the same next step.
"""
from __future__ import annotations

import asyncio
import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

import structlog

from ..core import events as ev
from ..core.draft import AgentAnswer
from ..core.errors import EsaasError
from ..core.facts import ClusterState, EsView
from ..core.operations import Operation, Remember, Teardown
from ..core.resources import Offer
from ..elastic.client import EsAccess
from ..elastic.watch import Watch
from ..mesos.link import MESOS_OPERATIONS, Acknowledgement, Inbound
from ..store.contract import LeaseLost, StoreError, VersionConflict
from .chronicle import Told
from .cycle import Cycle, Turn
from .turned import Counts, nobody_counts, turned_of

log = structlog.get_logger(__name__)

INBOX_SIZE = 10_000
CLOCK_JUMP_S = 5.0                   # beyond what a clock that is kept in time ever does
OFFER_MEMORY = 500                   # agents whose last answer is kept for people
STORE_RETRY_S = 2.0
LONGEST_SLEEP_S = 60.0


class Link(Protocol):
    """What the loop needs of Mesos; ``mesos.link.MesosLink`` or a stand-in."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def send(self, operation: Operation) -> Future[bool]: ...
    def acknowledge(self, acknowledgement: Acknowledgement) -> object: ...


class Failpoints:
    """For tests: kill this process at the N-th pass of a stage, as ``kill -9`` would."""

    def __init__(self, text: str | None) -> None:
        stage, _, count = (text or "").partition(":")
        self.stage, self.left = stage, int(count or 1) if stage else 0

    def reach(self, stage: str) -> None:
        """Called between any two arrows of the loop."""
        if stage == self.stage:
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _refuse(commands: list[tuple[ev.Event, asyncio.Future[ClusterState]]],
            error: EsaasError) -> None:
    for _, done in commands:
        if not done.done():
            done.set_exception(error)


class ClusterLoop:
    """Runs one cluster; made, started and stopped on the event loop of the process.

    ``on_told`` gets every line of its history, ``on_changed`` is called after a turn in which
    Elasticsearch was seen or the sentence changed, ``on_removed`` when nothing is left, and
    ``on_lost`` when the cluster is another process's now: then nothing is sent any more. ``access``
    tells how the nodes of a secured cluster are asked; ``counts`` gets every turn in numbers.
    """

    def __init__(self, cycle: Cycle, failpoints: Failpoints, observe_busy_s: float,
                 observe_idle_s: float, on_told: Callable[[str, int, float, Told], None],
                 on_changed: Callable[[str], None], on_removed: Callable[[str], None],
                 on_lost: Callable[[str], None],
                 access: Callable[[], EsAccess | None] = lambda: None,
                 counts: Counts = nobody_counts) -> None:
        self.cycle, self._counts = cycle, counts
        self.name = cycle.state.identity.name
        self.link: Link | None = None
        self.answers: dict[str, tuple[float, AgentAnswer]] = {}
        self.sentence = "starting"
        self._log = log.bind(cluster=self.name)
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[Inbound] = asyncio.Queue(INBOX_SIZE)
        self._waiting: deque[tuple[ev.Event, asyncio.Future[ClusterState]]] = deque()
        self._offers: dict[str, Offer] = {}
        self._failpoints = failpoints
        self._on_told, self._on_changed = on_told, on_changed
        self._on_removed, self._on_lost = on_removed, on_lost
        self._clock = time.time() - time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self._actions: set[asyncio.Task[None]] = set()
        self._busy = True
        self._teardown: Future[bool] | None = None
        self._held: EsaasError | None = None
        self._shown_view: EsView | None = None
        self.changing = asyncio.Lock()          # one change by people at a time
        self.watch = Watch(self.name, lambda: self.state.spec.major, self._addresses,
                           lambda: self._busy, self._seen, observe_busy_s, observe_idle_s, access)

    @property
    def state(self) -> ClusterState:
        """The facts as they are stored, and the volatile ones."""
        return self.cycle.state

    @property
    def waiting(self) -> int:
        """How many events wait to be drained."""
        return self._inbox.qsize()

    @property
    def stopped(self) -> bool:
        """Whether it turns no more: an invariant broke, or the cluster is another process's."""
        return self._held is not None

    def start(self, link: Link) -> None:
        """Connect to Mesos and begin to turn."""
        self.link = link
        self._tasks = [asyncio.create_task(self._run(), name=f"loop-{self.name}"),
                       asyncio.create_task(self.watch.run(), name=f"watch-{self.name}")]
        link.start()

    async def stop(self) -> None:
        """Stop turning; nothing on Mesos is touched."""
        for task in (*self._tasks, *self._actions):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._actions, return_exceptions=True)
        if self.link is not None:
            await asyncio.to_thread(self.link.stop)

    # ---------------------------------------------------------------- enqueuing

    def deliver(self, item: Inbound) -> None:
        """From any other thread: enqueue, and wait while the inbox is full."""
        if self._loop.is_closed():
            return
        waiting = asyncio.run_coroutine_threadsafe(self._inbox.put(item), self._loop)
        try:
            waiting.result(timeout=120)
        except (TimeoutError, asyncio.CancelledError, RuntimeError):
            self._log.error("inbox is stuck, event dropped", item=type(item).__name__)

    async def command(self, event: ev.Event) -> ClusterState:
        """Something that people ask for: returns when it is stored, raises StoreError if not."""
        if self._held is not None:
            raise self._held
        done: asyncio.Future[ClusterState] = self._loop.create_future()
        self._waiting.append((event, done))
        await self._inbox.put([])
        return await done

    def _seen(self, view: EsView) -> None:
        self._inbox_now(ev.EsObserved(view.at, view))

    def _addresses(self) -> list[str]:
        return [record.seat.http_address for record in self.state.nodes.values()
                if record.seat is not None and record.serving_since is not None
                and not self.state.is_sidecar(record)]

    # ------------------------------------------------------------------ turning

    async def _run(self) -> None:
        wake_at = 0.0
        while True:
            events, acknowledgements = await self._drain(wake_at)
            commands = list(self._waiting)
            self._waiting.clear()
            offers = list(self._offers.values())
            self._offers.clear()
            try:
                turn = await self._turn(events, commands, offers)
                self._still_ours()
            except (LeaseLost, VersionConflict) as error:
                await self._let_go(error, commands)
                return
            # Whatever it is: this cluster alone is held, says so, and lets go of its offers.
            except Exception as error:  # noqa: BLE001
                await self._hold(error, commands)
                return
            for _, done in commands:
                if not done.done():
                    done.set_result(self.state)
            self._after(turn, acknowledgements)
            wake_at = turn.decision.wake_at
            if self.state.removed and await self._torn_down(turn):
                await self._leave()
                return

    def owned(self) -> bool:
        """Whether this process may still act for the cluster; asked before anything is sent."""
        return self.cycle.store.held(self.cycle.lease)

    def _still_ours(self) -> None:
        if not self.owned():
            raise LeaseLost(f"the lease of {self.name} is not known to be ours any more")

    async def _let_go(self, error: Exception,
                      commands: list[tuple[ev.Event, asyncio.Future[ClusterState]]]) -> None:
        """Somebody else decides for this cluster now, or will: send nothing, forget it here."""
        self._log.warning("cluster is let go", why=str(error))
        self._held = StoreError(f"{self.name} is being taken over by another process")
        self.sentence = f"held by lease_held: {error}"
        _refuse([*commands, *self._waiting], self._held)
        for task in (*self._actions, *self._tasks[1:]):
            task.cancel()
        if self.link is not None:
            await asyncio.to_thread(self.link.stop)
        self._on_lost(self.name)

    async def _hold(self, error: Exception,
                    commands: list[tuple[ev.Event, asyncio.Future[ClusterState]]]) -> None:
        """Stop turning for good: nothing was stored or sent, nodes run on, people must look."""
        expected = isinstance(error, EsaasError)
        self._log.critical("cluster is held", error=str(error), exc_info=not expected)
        self._held = error if isinstance(error, EsaasError) else EsaasError(
            f"an error of the service itself: {type(error).__name__}: {error}")
        self.sentence = f"held: {self._held}"
        _refuse([*commands, *self._waiting], self._held)
        self._on_changed(self.name)
        if self.link is not None:
            await asyncio.to_thread(self.link.stop)

    async def _drain(self, wake_at: float) -> tuple[list[ev.Event], list[Acknowledgement]]:
        """Everything that waits; at the latest at ``wake_at`` with nothing."""
        timeout_s = min(max(wake_at - time.time(), 0.0), LONGEST_SLEEP_S)
        events: list[ev.Event] = []
        acknowledgements: list[Acknowledgement] = []
        try:
            # Not wait_for: up to Python 3.11 it can swallow a cancellation, and never stop.
            async with asyncio.timeout(timeout_s):
                item = await self._inbox.get()
        except TimeoutError:
            return events, acknowledgements
        while True:
            self._sort(item, events, acknowledgements)
            if self._inbox.empty():
                return events, acknowledgements
            item = self._inbox.get_nowait()

    def _sort(self, item: Inbound, events: list[ev.Event],
              acknowledgements: list[Acknowledgement]) -> None:
        if isinstance(item, list):
            self._offers.update((offer.id, offer) for offer in item)
        elif isinstance(item, str):
            self._offers.pop(item, None)            # rescinded before it was answered
        else:
            event, acknowledgement = item
            events.append(event)
            if acknowledgement is not None:
                acknowledgements.append(acknowledgement)
            if isinstance(event, (ev.Disconnected, ev.Registered)):
                self._offers.clear()                # offers do not outlive a connection

    async def _turn(self, events: list[ev.Event],
                    commands: list[tuple[ev.Event, asyncio.Future[ClusterState]]],
                    offers: list[Offer]) -> Turn:
        """One turn; a store that is away is waited for, and meanwhile nothing is sent."""
        self._failpoints.reach("drained")
        while True:
            now = time.time()
            jumped = self._clock_jumped(now)
            try:
                everything = [*jumped, *events, *(event for event, _ in commands)]
                begun = time.perf_counter()
                prepared = self.cycle.prepare(everything, offers, now)
                decided = time.perf_counter()
                # A store across the network may take its time: the other clusters go on.
                turn = (await asyncio.to_thread(self.cycle.commit, prepared) if prepared.writes
                        else self.cycle.commit(prepared))
                self._counts(turned_of(turn.decision.answers, len(everything), len(offers),
                                       decided - begun, time.perf_counter() - decided))
                self._failpoints.reach("committed")
                return turn
            except (LeaseLost, VersionConflict):
                raise                       # somebody else decides for this cluster now
            except StoreError as error:
                self._still_ours()
                self._log.error("store refuses, nothing is sent until it does", error=str(error))
                self.sentence = f"held by store_writable: {error}"
                _refuse(commands, error)
                commands.clear()
                await asyncio.sleep(STORE_RETRY_S)

    def _clock_jumped(self, now: float) -> list[ev.Event]:
        """When the wall clock was set, nobody knows how old a look is: none is trusted."""
        clock = now - time.monotonic()
        jump_s, self._clock = clock - self._clock, clock
        if abs(jump_s) < CLOCK_JUMP_S:
            return []
        self._log.warning("clock was set", jump_s=round(jump_s, 1))
        return [ev.ClockJumped(now, jump_s)]

    def _after(self, turn: Turn, acknowledgements: list[Acknowledgement]) -> None:
        """Send, then acknowledge."""
        now = time.time()
        self._failpoints.reach("before-send")
        for operation in turn.operations:
            self._send(operation)
        self._failpoints.reach("sent")
        if self.link is not None:
            for acknowledgement in acknowledgements:
                self.link.acknowledge(acknowledgement)
        self._failpoints.reach("acknowledged")
        for answer in turn.decision.answers:
            self.answers.pop(answer.pool.agent_id, None)
            self.answers[answer.pool.agent_id] = now, answer
        while len(self.answers) > OFFER_MEMORY:
            self.answers.pop(next(iter(self.answers)))
        view, self._shown_view = self._shown_view, self.state.es
        if view is not self._shown_view or turn.decision.sentence != self.sentence:
            self._on_changed(self.name)
        if turn.decision.sentence != self.sentence:
            self.sentence = turn.decision.sentence
            self._log.info("cycle", sentence=self.sentence)
        self._busy = math.isfinite(turn.decision.wake_at) or not self._settled()
        if self._busy:
            self.watch.hurry()
        for seq, told in turn.told:
            self._on_told(self.name, seq, now, told)

    def _settled(self) -> bool:
        return all(self.state.is_ready(record) for record in self.state.nodes.values())

    def _send(self, operation: Operation) -> None:
        if isinstance(operation, Remember):
            return
        if isinstance(operation, MESOS_OPERATIONS):
            if self.link is not None:
                sent = self.link.send(operation)
                if isinstance(operation, Teardown):
                    self._teardown = sent
            return
        task = asyncio.create_task(self._act(operation))
        self._actions.add(task)
        task.add_done_callback(self._actions.discard)

    async def _torn_down(self, turn: Turn) -> bool:
        """Whether Mesos has taken the TEARDOWN, or does not know the framework any more."""
        if self.state.link.error:
            self._log.info("framework is gone from mesos", why=self.state.link.error)
            return True
        return self._teardown is not None and await asyncio.wrap_future(self._teardown)

    async def _act(self, operation: Operation) -> None:
        if not self.owned():
            return
        subject = getattr(operation, "subject", "")
        acted = await self.watch.act(operation, lambda done, total: self._inbox_now(
            ev.ErrandProgress(time.time(), subject, done, total)))
        action = type(operation).__name__
        self._log.info("action on elasticsearch", action=action, subject=subject, ok=acted.ok,
                       result=acted.message)
        await self._inbox.put((ev.EsActed(time.time(), action, acted.ok, acted.message, subject,
                                          acted.refused), None))

    def _inbox_now(self, event: ev.Event) -> None:
        """News that the next of its kind makes up for: dropped when there is no room."""
        if not self._inbox.full():
            self._inbox.put_nowait((event, None))

    def remote_seen(self, cluster: str, addresses: tuple[str, ...]) -> None:
        """Where another cluster's nodes are, for remote clusters that follow them."""
        if self.state.remotes.get(cluster) != addresses:
            self._inbox_now(ev.RemoteSeen(time.time(), cluster, addresses))

    def log_target_seen(self, cluster: str, urls: tuple[str, ...]) -> None:
        """Where a cluster answers that the logs of this one are shipped to."""
        if self.state.log_targets.get(cluster) != urls:
            self._inbox_now(ev.LogTargetSeen(time.time(), cluster, urls))

    async def _leave(self) -> None:
        """The framework is torn down: forget the cluster."""
        if self.link is not None:
            await asyncio.to_thread(self.link.stop)
            self.link = None
        self._tasks[1].cancel()
        await asyncio.gather(self._tasks[1], return_exceptions=True)
        while True:
            try:
                await asyncio.to_thread(self.cycle.forget)
                break
            except (LeaseLost, VersionConflict) as error:
                await self._let_go(error, [])
                return
            except StoreError as error:
                self._log.error("store refuses to forget the cluster", error=str(error))
                self.sentence = f"held by store_writable: {error}"
                await asyncio.sleep(STORE_RETRY_S)
        self._on_removed(self.name)
