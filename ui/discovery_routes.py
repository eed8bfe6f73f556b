"""Routes that tell where clusters are reached, at once or when that changes."""
from __future__ import annotations

import asyncio
from collections.abc import Callable

from esaas.framework.service.access.people import Role
from esaas.framework.service.errors import NotFound, Unauthenticated, Unavailable
from esaas.framework.service.views import AllEndpoints, EndpointsView

from .models import WaitQuery
from .route import CLUSTER, Answer, Call, Reply, Route, Waiting

Found = EndpointsView | AllEndpoints


async def until_new(call: Call, look: Callable[[], Found]) -> Found:
    """What is looked at, as soon as it has another version than the caller knows.

    Raises whatever ``look`` raises, Unauthenticated when the caller may not see it any more.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + call.query.wait_s
    while True:
        bell = call.service.bell()      # before the look: what comes between the two rings it
        found = look()
        if found.version != call.query.since or loop.time() >= deadline:
            return found
        try:
            async with asyncio.timeout_at(deadline):
                await bell.wait()
        except TimeoutError:
            pass                        # the time is up: the same is told again
        if call.context.login:
            await call.context.access.fresh()
            if not call.context.access.still(call.principal):
                raise Unauthenticated("your session or token has ended meanwhile")


async def _answered(call: Call, look: Callable[[], Found]) -> Reply | Waiting:
    found = look()
    if not call.query.wait_s or found.version != call.query.since:
        return Reply(found)

    async def later() -> Reply:
        return Reply(await until_new(call, look))
    return Waiting(later)


async def endpoints(call: Call) -> Reply | Waiting:
    """``GET /v1/clusters/{name}/endpoints``."""
    return await _answered(call, lambda: call.service.discover(call.name))


async def all_endpoints(call: Call) -> Reply | Waiting:
    """``GET /v1/endpoints``."""
    return await _answered(call, lambda: call.visible.discover_all())


DISCOVERY_ROUTES: tuple[Route, ...] = (
    Route("GET", f"{CLUSTER}/endpoints", "listEndpoints", "Where it is reached: nodes that take "
          "requests, and virtual ports; waits for a change when asked to", endpoints,
          {200: Answer("as asked", EndpointsView)}, refuses=(NotFound, Unavailable),
          query=WaitQuery, role=Role.VIEWER),
    Route("GET", "/v1/endpoints", "listAllEndpoints", "Where all clusters are reached; waits for "
          "a change when asked to", all_endpoints, {200: Answer("as asked", AllEndpoints)},
          refuses=(Unavailable,), query=WaitQuery, role=Role.VIEWER),
)
