"""The operator API of the leading master: roles, quota and agents, as values.

One request at a time goes to the leader: whichever master is asked, its redirect is followed, and
an address in ZooKeeper is looked up there. Who we are is told to masters only, by HTTP basic
authentication.
"""
from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import orjson
import structlog
from pymesos.detector import MasterDetector
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

from ..core.errors import EsaasError
from ..core.quota import Amounts, Limit

log = structlog.get_logger(__name__)

REQUEST_TIMEOUT_S = 4.0
FIND_TIMEOUT_S = 4.0
MAX_REDIRECTS = 3
TRIES = 2
SCALARS = {"cpus": "cpus", "mem_mb": "mem", "disk_mb": "disk"}      # ours: Mesos'


class OperatorError(EsaasError):
    """The master was not asked, or did not do it."""


class MasterAway(OperatorError):
    """No leading master answered in time; the same call may succeed later."""


class MasterRefuses(OperatorError):
    """The master answered no: the text is its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message.strip()[:500] or 'no reason given'}")
        self.status = status


@dataclass(frozen=True, slots=True)
class RoleQuota:
    """What the master has on record for a role."""

    guarantee: Amounts = Amounts()
    limit: Limit = Limit()


@dataclass(frozen=True, slots=True)
class RoleUse:
    """What a role has, all roles below it included, as the master counts it."""

    allocated: Amounts = Amounts()      # by tasks and executors
    reserved: Amounts = Amounts()       # whether in use or not
    offered: Amounts = Amounts()
    consumed: Amounts = Amounts()       # what counts against the limit: allocated and reserved


class MasterFinder:
    """Which master leads: the address itself, or the one that ZooKeeper names.

    ``address`` is as for a scheduler: ``host:port`` or ``zk://host:port,.../path``.
    """

    def __init__(self, address: str) -> None:
        self._fixed = None if address.startswith("zk://") else address
        self._found: asyncio.Event | None = None
        self._starting: asyncio.Task[None] | None = None
        self._leader: str | None = None
        self._detector: Any = None
        self._address = address

    async def find(self) -> str:
        """``host:port``; MasterAway when none leads for a while."""
        if self._fixed is not None:
            return self._fixed
        if self._found is None:
            self._found = asyncio.Event()
        if self._detector is None and (self._starting is None or self._starting.done()):
            self._starting = asyncio.create_task(self._start())
        try:
            await asyncio.wait_for(self._found.wait(), FIND_TIMEOUT_S)
        except TimeoutError:
            raise MasterAway("ZooKeeper does not answer, or names no leading master") from None
        assert self._leader is not None
        return self._leader

    async def _start(self) -> None:
        """In the background: whoever asks waits only so long."""
        loop = asyncio.get_running_loop()
        detector = MasterDetector(self._address[len("zk://"):], _Told(
            lambda leader: loop.call_soon_threadsafe(self._set, leader)))
        # It would wait for 15 s, and keep the end of the service waiting.
        detector.zk.start = partial(detector.zk.start, FIND_TIMEOUT_S)
        try:
            await asyncio.to_thread(detector.start)
            self._detector = detector
        except Exception as error:  # noqa: BLE001 (kazoo's errors have no other common base)
            log.warning("no ZooKeeper to find the master by", error=repr(error))

    def _set(self, leader: str | None) -> None:
        assert self._found is not None
        self._leader = leader
        if leader is None:
            self._found.clear()
        else:
            self._found.set()

    async def close(self) -> None:
        """Let go of ZooKeeper."""
        if self._starting is not None:
            await self._starting
        if self._detector is not None:
            detector, self._detector = self._detector, None
            await asyncio.to_thread(detector.stop)


class _Told:
    """What a detector of pymesos calls, on a thread of its own."""

    def __init__(self, tell: Callable[[str | None], object]) -> None:
        self._tell = tell

    def onNewMasterDetectedMessage(self, data: bytes | str) -> None:  # noqa: N802 (pymesos' name)
        """A master leads: JSON as Mesos writes it into ZooKeeper."""
        try:
            address = orjson.loads(data)["address"]
            self._tell(f"{address.get('ip') or address['hostname']}:{address['port']}")
        except (KeyError, TypeError, AttributeError, ValueError):
            self._tell(None)

    def onNoMasterDetectedMessage(self) -> None:  # noqa: N802 (pymesos' name)
        """No master leads."""
        self._tell(None)


@dataclass
class OperatorApi:
    """Calls to the leading master; raises MasterAway and MasterRefuses.

    ``secret`` is shown nowhere. Must be used and closed on one event loop.
    """

    address: str
    principal: str | None = None
    secret: str | None = field(default=None, repr=False)
    timeout_s: float = REQUEST_TIMEOUT_S

    def __post_init__(self) -> None:
        self._finder = MasterFinder(self.address)

    async def close(self) -> None:
        """Let go of everything."""
        await self._finder.close()

    # --------------------------------------------------------------------- calls

    async def get_quota(self) -> dict[str, RoleQuota]:
        """Quota by role; roles without any are not in it."""
        answer = await self.call({"type": "GET_QUOTA"})
        configs = answer.get("get_quota", {}).get("status", {}).get("configs", [])
        return {config["role"]: RoleQuota(_amounts(config.get("guarantees", {})),
                                          _limit(config.get("limits", {})))
                for config in configs}

    async def update_quota(self, role: str, quota: RoleQuota, *, force: bool = False) -> None:
        """Set guarantee and limit of a role; an empty quota removes it.

        ``force`` is past the master's own checks: guarantees that fit into the agents, limits
        that are not below what is consumed. MasterRefuses with its reason otherwise.
        """
        await self.call({"type": "UPDATE_QUOTA", "update_quota": {
            "force": force, "quota_configs": [{
                "role": role, "guarantees": _scalars(quota.guarantee, keep_zero=False),
                "limits": _scalars(quota.limit)}]}})

    async def get_roles(self) -> dict[str, RoleUse]:
        """What roles use, by name; those that nobody uses and that have no quota are not in it."""
        answer = await self.asked("GET", "/roles", None)
        return {role["name"]: _use(role) for role in answer.get("roles", [])}

    async def capacity(self) -> Amounts:
        """What all registered agents have together, statically reserved or not."""
        answer = await self.call({"type": "GET_AGENTS"})
        agents = answer.get("get_agents", {}).get("agents", [])
        totals: dict[str, float] = {}
        for resource in (item for agent in agents for item in agent.get("total_resources", [])):
            if resource.get("type") == "SCALAR" and "revocable" not in resource:
                name = resource["name"]
                totals[name] = totals.get(name, 0.0) + resource["scalar"]["value"]
        return Amounts(*(round(totals.get(name, 0.0), 3) for name in SCALARS.values()))

    # -------------------------------------------------------------------- asking

    async def leader(self) -> str:
        """``host:port`` of the leading master; MasterAway."""
        return await self._finder.find()

    async def call(self, body: Mapping[str, Any]) -> Any:
        """The decoded answer to a call of the operator API, of those that may be repeated."""
        return await self.asked("POST", "/api/v1", orjson.dumps(body))

    async def asked(self, method: str, path: str, body: bytes | None) -> Any:
        """The decoded answer; asked again when no master answers: every call here may repeat."""
        async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(MasterAway), stop=stop_after_attempt(TRIES),
                wait=wait_exponential(0.2, max=1.0), reraise=True):
            with attempt:
                answer = await self._followed(method, path, body)
        return answer

    async def _followed(self, method: str, path: str, body: bytes | None) -> Any:
        host = await self._finder.find()
        deadline = time.monotonic() + self.timeout_s
        for _ in range(MAX_REDIRECTS):
            response = await self._fetch(method, f"http://{host}{path}", body, deadline)
            if response.code != 307:
                return _decoded(response)
            host = urlsplit(response.headers.get("Location", "")).netloc
            if not host:
                raise MasterAway("the master sends us on, but not where to")
        raise MasterAway("the masters send us on to each other: none leads now")

    async def _fetch(self, method: str, url: str, body: bytes | None,
                     deadline: float) -> HTTPResponse:
        left_s = max(deadline - time.monotonic(), 0.1)
        request = HTTPRequest(
            url, method, {"Accept": "application/json", "Content-Type": "application/json"},
            body=body, follow_redirects=False, connect_timeout=left_s, request_timeout=left_s,
            auth_username=self.principal, auth_password=self.secret)
        try:
            return await AsyncHTTPClient().fetch(request, raise_error=False)
        except (HTTPClientError, OSError) as error:
            raise MasterAway(f"the master does not answer: {error}") from error


def _decoded(response: HTTPResponse) -> Any:
    if response.code in (503, 599):
        raise MasterAway(f"the master is not ready: {response.reason}")
    if response.code >= 300:
        raise MasterRefuses(response.code, response.body.decode("utf-8", "replace"))
    if not response.body:
        return {}
    try:
        return orjson.loads(response.body)
    except ValueError as error:
        raise OperatorError(f"what answers is no master: {error}") from error


def _use(role: Mapping[str, Any]) -> RoleUse:
    return RoleUse(*(_plain_amounts(found) for found in (
        role.get("allocated"), role.get("reserved"), role.get("offered"),
        (role.get("quota") or {}).get("consumed"))))


def _plain_amounts(found: Mapping[str, Any] | None) -> Amounts:
    """``{"cpus": 1.5, "ports": "[...]"}`` as the endpoints show resources."""
    return Amounts(*(_number((found or {}).get(name)) for name in SCALARS.values()))


def _number(value: Any) -> float:
    return round(float(value), 3) if isinstance(value, (int, float)) else 0.0


def _amounts(found: Mapping[str, Any]) -> Amounts:
    """``{"cpus": {"value": 1.5}}`` as the operator API writes quota."""
    return Amounts(*(_number(found.get(name, {}).get("value")) for name in SCALARS.values()))


def _limit(found: Mapping[str, Any]) -> Limit:
    return Limit(*(_number(found[name].get("value")) if name in found else None
                   for name in SCALARS.values()))


def _scalars(values: Amounts | Limit, *, keep_zero: bool = True) -> dict[str, Any]:
    return {name: {"value": value} for mine, name in SCALARS.items()
            if (value := getattr(values, mine)) is not None and (keep_zero or value)}
