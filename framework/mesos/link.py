"""One cluster's link to Mesos: events in as values, operations out as calls.

The driver's thread only translates and hands on; calls go out on one worker thread of the link, in
order, so that a slow master never stops the event loop.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import structlog

from ..core import events as ev
from ..core.errors import EsaasError
from ..core.facts import Identity
from ..core.operations import (
    Accept,
    AcceptInverse,
    Decline,
    DeclineInverse,
    Kill,
    Launch,
    LaunchPayload,
    Operation,
    Reconcile,
    ReconcileOperations,
    Revive,
    SendSeeds,
    Suppress,
    Teardown,
)
from ..core.resources import Offer
from . import translate
from .driver import EdgeDriver, NotConnected

log = structlog.get_logger(__name__)

MESOS_OPERATIONS = (Accept, AcceptInverse, Decline, DeclineInverse, Kill, Reconcile,
                    ReconcileOperations, Revive, SendSeeds, Suppress, Teardown)


class Acknowledgement:
    """A status update that Mesos repeats until it is acknowledged."""

    def __init__(self, call: str, body: Mapping[str, Any]) -> None:
        self.call, self.body = call, body


# What the link hands on: an event with its acknowledgement, offers, or offers taken back.
Inbound = tuple[ev.Event, "Acknowledgement | None"] | list[Offer] | str
# Where the parts of a launch come from; EsaasError when one is not to be had.
Supplier = Callable[[LaunchPayload], translate.Supply]


class MesosLink:
    """Connects one framework; ``deliver`` is called on the driver's thread and must not raise."""

    def __init__(self, identity: Identity, master: str, framework: dict[str, Any],
                 executor: translate.ExecutorFile, supplier: Supplier,
                 deliver: Callable[[Inbound], None], secret: str | None = None,
                 allowed: Callable[[], bool] = lambda: True) -> None:
        self._deliver = deliver
        self._allowed = allowed
        self._executor = executor
        self._supplier = supplier
        self._log = log.bind(cluster=identity.name)
        self._driver = EdgeDriver(self, framework, master, identity.principal, secret,
                                  allowed)
        self._calls = ThreadPoolExecutor(1, thread_name_prefix=f"mesos-{identity.name}")

    def start(self) -> None:
        """Connect; from then on events are delivered."""
        self._driver.start()

    def stop(self) -> None:
        """Disconnect; the framework and its tasks stay."""
        self._driver.stop()
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._driver.join()

    @property
    def master(self) -> str | None:
        """``host:port`` of the leading master, as far as known."""
        found: str | None = self._driver.master
        return found

    # ------------------------------------------------------------------ inbound

    def event(self, kind: str, body: Mapping[str, Any]) -> None:
        """One event of the scheduler API; what cannot be read is logged, never raised."""
        try:
            self._hand_on(kind, body)
        except (KeyError, TypeError, ValueError, AttributeError):
            self._log.exception("event of Mesos cannot be read", kind=kind)

    def _hand_on(self, kind: str, body: Mapping[str, Any]) -> None:
        now = time.time()
        if kind == "offers":
            self._deliver([translate.offer_in(raw) for raw in body.get("offers", ())])
        elif kind == "rescind":
            self._deliver(str(body["offer_id"]["value"]))
        elif kind == "update":
            self._deliver((translate.task_update_in(body["status"], now),
                           _task_acknowledgement(body["status"])))
        elif kind == "update_operation_status":
            self._deliver((translate.operation_update_in(body["status"], now),
                           _operation_acknowledgement(body["status"])))
        elif kind == "subscribed":
            self._deliver((ev.Registered(now, body["framework_id"]["value"]), None))
        elif kind == "message":
            written = translate.message_in(str(body.get("data", "")), now)
            if written is not None:
                self._deliver((written, None))
        elif kind == "inverse_offers":
            for raw in body.get("inverse_offers", ()):
                self._deliver((translate.inverse_offer_in(raw, now), None))
        elif kind == "rescind_inverse_offer":
            self._deliver((ev.InverseAnswered(now, (str(
                body["inverse_offer_id"]["value"]),)), None))
        elif kind == "error":
            self._deliver((ev.MesosRefused(now, str(body.get("message", ""))), None))
        elif kind == "failure":
            self._log.info("agent or executor ended", failure=dict(body))
        elif kind != "heartbeat":
            self._log.warning("unknown event of Mesos", kind=kind)

    def disconnected(self, why: str) -> None:
        """The stream has ended."""
        self._log.warning("disconnected from Mesos", why=why)
        self._deliver((ev.Disconnected(time.time(), why), None))

    def refused(self, message: str) -> None:
        """The master will not have this framework."""
        self._deliver((ev.MesosRefused(time.time(), message), None))

    # ----------------------------------------------------------------- outbound

    def send(self, operation: Operation) -> Future[bool]:
        """Send a stored operation, in the order of the calls to this method.

        The result tells whether it was sent, which is not whether it took effect.
        """
        return self._calls.submit(self._send, operation)

    def acknowledge(self, acknowledgement: Acknowledgement) -> Future[None]:
        """Acknowledge a stored update; Mesos repeats it when this does not get through."""
        return self._calls.submit(self._acknowledge, acknowledgement)

    def _send(self, operation: Operation) -> bool:
        what = type(operation).__name__
        if not self._allowed():
            self._log.warning("not sent: the lease is not held", call=what)
            return False
        try:
            self._call(operation)
        except (EsaasError, OSError) as error:
            self._log.warning("call to Mesos failed", call=what, error=str(error))
            if isinstance(operation, (Accept, Decline)) and not isinstance(error, NotConnected):
                self._driver.reconnect()        # or its offers would stay with us, unanswered
            self._deliver((ev.SendFailed(time.time(), what), None))
            return False
        return True

    def _call(self, operation: Operation) -> None:
        call = self._driver.call
        if isinstance(operation, Accept):
            call("ACCEPT", translate.accept_out(operation, self._executor, {
                step.task_id: self._supplier(step.payload)
                for step in operation.steps if isinstance(step, Launch)}))
        elif isinstance(operation, Decline):
            call("DECLINE", {"offer_ids": [{"value": item} for item in operation.offer_ids],
                             "filters": {"refuse_seconds": operation.refuse_s}})
        elif isinstance(operation, Kill):
            body: dict[str, Any] = {"task_id": {"value": operation.task_id}}
            if operation.agent_id:
                body["agent_id"] = {"value": operation.agent_id}
            call("KILL", body)
        elif isinstance(operation, Reconcile):
            call("RECONCILE", {"tasks": [
                {"task_id": {"value": task_id}} | ({"agent_id": {"value": agent_id}}
                                                   if agent_id else {})
                for task_id, agent_id in operation.tasks]})
        elif isinstance(operation, ReconcileOperations):
            call("RECONCILE_OPERATIONS", {"operations": [
                {"operation_id": {"value": item}, "agent_id": {"value": agent_id}}
                for item, agent_id in operation.awaited]})
        elif isinstance(operation, AcceptInverse):
            call("ACCEPT_INVERSE_OFFERS", {"inverse_offer_ids": [
                {"value": item} for item in operation.offer_ids]})
        elif isinstance(operation, DeclineInverse):
            call("DECLINE_INVERSE_OFFERS", {
                "inverse_offer_ids": [{"value": item} for item in operation.offer_ids],
                "filters": {"refuse_seconds": operation.refuse_s}})
        elif isinstance(operation, SendSeeds):
            call("MESSAGE", {"agent_id": {"value": operation.agent_id},
                             "executor_id": {"value": operation.task_id},
                             "data": translate.seeds_message(operation.seeds)})
        elif isinstance(operation, Revive):
            call("REVIVE")
        elif isinstance(operation, Suppress):
            call("SUPPRESS")
        elif isinstance(operation, Teardown):
            self._driver.teardown()

    def _acknowledge(self, acknowledgement: Acknowledgement) -> None:
        try:
            self._driver.call(acknowledgement.call, acknowledgement.body)
        except (EsaasError, OSError) as error:
            self._log.info("acknowledgement did not get through", error=str(error))


def _task_acknowledgement(status: Mapping[str, Any]) -> Acknowledgement | None:
    if "uuid" not in status or "agent_id" not in status:
        return None             # reconciliation and the master's own updates have none
    return Acknowledgement("ACKNOWLEDGE", {
        "agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"]})


def _operation_acknowledgement(status: Mapping[str, Any]) -> Acknowledgement | None:
    if "uuid" not in status or "operation_id" not in status:
        return None
    body = {key: status[key] for key in ("agent_id", "resource_provider_id", "operation_id")
            if key in status}
    body["uuid"] = status["uuid"]["value"]          # a message in the update, bytes in the call
    return Acknowledgement("ACKNOWLEDGE_OPERATION_STATUS", body)
