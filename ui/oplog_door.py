"""The one place where requests are written into the operation log, of the API and of pages alike.

A change is written before it is made (``begun``); when that cannot be done, it is not made. What
came of it is written afterwards. What is refused before anything was begun is one line, written
when the answer is out. What only reads, checks or previews is not written.
"""
from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from esaas.framework.service.access.access import Access
from esaas.framework.service.access.people import NOBODY, Principal
from esaas.framework.service.access.views import TokenMade
from esaas.framework.service.api import ClusterService
from esaas.framework.service.errors import Elsewhere, NotFound, ServiceError, Unauthenticated
from esaas.framework.service.oplog.entry import UNKNOWN, Draft, LogError, Outcome
from esaas.framework.service.oplog.masking import Masker, differences
from esaas.framework.service.views import Accepted
from pydantic import BaseModel

from .oplog_words import (
    PEOPLE,
    READS,
    method_operation,
    page_operation,
    route_operation,
    subject_of,
)
from .problems import from_status

if TYPE_CHECKING:
    from .base import Guarded
    from .context import Context
    from .route import Call, Result, Route

MAX_FAULTS, MAX_FAULT_CHARS, MAX_NAME = 50, 500, 200
SAFE = ("GET", "HEAD", "OPTIONS")
INTERNAL = LogError(code="internal", message="something went wrong inside the service; its log "
                    "tells more under the request id")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for."""

    operation: str
    cluster: str = ""
    subject: str = ""
    host: str = ""
    tenant: str = ""
    content: Any = None


class Record:
    """One change on its way through the log; ``told`` once the log knows of it."""

    def __init__(self, handler: Guarded, asked: Asked, masker: Masker) -> None:
        self._handler, self.asked, self._masker = handler, asked, masker
        self._context = handler.context
        self._begun: int | None = None
        self._before: dict[str, Any] | None = None
        self.told = False

    async def begin(self) -> None:
        """Write that it begins; Unavailable when it must not, Elsewhere when it is not ours."""
        self._before = await snapshot(self._context, self.asked)
        self._begun = await self._context.book.append(self._draft("begun"))
        self.told = True

    async def done(self, answer: Any, status: int | None = None) -> None:
        """Write what it came to."""
        found, revision = await self._changes(), None
        if isinstance(answer, Accepted):
            revision = answer.revision
        self._context.book.add(self._draft("done", status=status, revision=revision, **found))

    async def failed(self, error: BaseException) -> None:
        """Write why it was not made, or not to its end."""
        if isinstance(error, ServiceError):
            self._context.book.add(self._draft("refused", status=error.status,
                                               error=masked_error(error, self._masker)))
            return
        self._context.book.add(self._draft("failed", status=500, error=INTERNAL,
                                           **await self._changes()))

    async def let_in(self, name: str) -> None:
        """Write that somebody has logged in; Unavailable, and then he must not be."""
        await self._context.book.append(self._draft("done", user=name))
        self.told = True

    async def _changes(self) -> dict[str, Any]:
        if self._before is None:
            return {}
        now: dict[str, Any] | None = None
        # It may be gone, or run elsewhere by now; what was done is told without it.
        with suppress(ServiceError):
            now = await snapshot(self._context, self.asked)
        before, after = differences(self._before, now or {})
        return {"before": self._masker.leaves(before), "after": self._masker.leaves(after)}

    def _draft(self, outcome: Outcome, **more: Any) -> Draft:
        asked = self.asked
        values: dict[str, Any] = {
            "cluster": self._masker.text(asked.cluster)[:MAX_NAME], "tenant": asked.tenant,
            "subject": self._masker.text(asked.subject)[:MAX_NAME], "request": asked.content,
            "begun": self._begun}
        return draft_of(self._handler, asked.operation, outcome, **(values | more))


def draft_of(handler: Guarded, operation: str, outcome: Outcome, **more: Any) -> Draft:
    """A line about a request."""
    principal: Principal = getattr(handler, "principal", NOBODY)
    book = handler.context.book
    return Draft(**{
        "at": book.now(), "user": UNKNOWN if principal is NOBODY else principal.name,
        "operation": operation, "outcome": outcome, "door": handler.door,
        "remote": handler.remote, "request_id": handler.request_id, "process": book.process,
    } | more)


def masked_error(problem: ServiceError, masker: Masker) -> LogError:
    """A refusal without what was masked in the request."""
    error = LogError.of(problem)
    faults = [{name: masker.text(text)[:MAX_FAULT_CHARS] for name, text in fault.items()}
              for fault in error.faults[:MAX_FAULTS]]
    return error.model_copy(update={"message": masker.text(error.message), "faults": faults})


# ---------------------------------------------------------------- what there was, what there is

async def snapshot(context: Context, asked: Asked) -> dict[str, Any] | None:
    """What a change may change, as the service can say it at once; None when there is nothing.

    Elsewhere when another process runs the cluster.
    """
    if asked.operation in PEOPLE:
        return await _people(context)
    try:
        if asked.host:
            found = context.service.agent(asked.host).maintenance
            return {"maintenance": found.model_dump() if found else None}
        return _cluster(context, asked.cluster) if asked.cluster else None
    except NotFound:
        return {} if asked.operation == "create_cluster" else None


def _cluster(context: Context, name: str) -> dict[str, Any]:
    detail = context.service.show(name)
    return {"revision": detail.revision, "goal": detail.goal, "paused": detail.paused,
            "spec": detail.spec,
            "switches": {one.switch: one.value for one in detail.switches if not one.restoring},
            "secure_settings": [f"{one.key} (set {one.version} times)" for one in detail.secrets],
            "paused_nodes": [node.name for node in detail.nodes if node.paused],
            "moving_nodes": [node.name for node in detail.nodes if node.moving],
            "released": [one.id for one in detail.orphans if one.released]}


async def _people(context: Context) -> dict[str, Any]:
    users, tokens = await context.access.users(), await context.access.tokens()
    return {"users": [one.model_dump() for one in users],
            "tokens": [one.model_dump(exclude={"name", "id", "last_used_at"})
                       | {"name": one.id, "title": one.name} for one in tokens]}


def _tenant(context: Context, principal: Principal, name: str, body: Any, operation: str) -> str:
    """Whose cluster it is; of one that is to be made, as the spec says when it may say so."""
    if operation == "create_cluster":
        wanted = body.get("tenant") if isinstance(body, dict) else None
        return wanted if isinstance(wanted, str) and principal.sees(wanted) else ""
    with suppress(ServiceError):
        return context.service.owner(name).tenant if name else ""
    return ""


# --------------------------------------------------------------------------------- the API

async def run_logged(handler: Guarded, route: Route, call: Call) -> Result:
    """Run a route, and write it into the log when it changes something."""
    handler.checking = getattr(call.query, "dry_run", False)
    if call.method in SAFE or handler.checking:
        return await route.run(call)
    record = handler.record = _of_route(handler, route, call)
    if record.asked.operation == "login":
        return await _log_in(record, route, call)
    await record.begin()
    try:
        reply = await route.run(call)
    except BaseException as error:
        await record.failed(error)
        raise
    await record.done(reply.body if hasattr(reply, "body") else None,
                      getattr(reply, "status", None))
    return reply


async def _log_in(record: Record, route: Route, call: Call) -> Result:
    """No line before it: whoever guesses passwords must not make us write so much."""
    reply = await route.run(call)
    try:
        await record.let_in(call.body.user)
    except ServiceError:
        body = getattr(reply, "body", None)
        if isinstance(body, TokenMade):
            await call.context.access.revoke_token(body.id)
        raise
    return reply


def _of_route(handler: Guarded, route: Route, call: Call) -> Record:
    masker, body = Masker(), call.body
    operation = route_operation(route.name, route.operation, body)
    if operation == "login":
        handler.tried_user = body.user
    if route.secret:
        content = masker.model(body) if isinstance(body, BaseModel) else None
        if operation == "login" and not call.context.access.knows(body.user):
            content = None      # what nobody is called may be a password in the wrong field
    else:
        content = masker.masked(body.model_dump(exclude_defaults=True, mode="json")
                                if isinstance(body, BaseModel) else body)
    query = call.query.model_dump(exclude_defaults=True, mode="json")
    path = {name: value for name, value in call.path.items() if name != "name"}
    found = {**masker.masked(path), "query": masker.masked(query), "body": content}
    plain = body if isinstance(body, dict) else {}
    cluster = call.path.get("name", "") or str(
        plain.get("name", "") if operation == "create_cluster" else "")
    subject = subject_of(call.path) or ("" if body is None or plain else str(
        getattr(body, "name", "") if operation in PEOPLE else ""))
    return Record(handler, Asked(
        operation, cluster, subject, call.path.get("host", ""),
        _tenant(call.context, call.principal, cluster, plain, operation),
        {key: value for key, value in found.items() if value not in (None, {})} or None), masker)


# --------------------------------------------------------------------------------- pages

class Watched:
    """The service, or its users and tokens, with every change that is asked for written down."""

    def __init__(self, handler: Guarded, target: object) -> None:
        self._handler, self._target = handler, target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name in READS or not inspect.iscoroutinefunction(found):
            return found
        return partial(_watch, self._handler, name, found)


def watched_service(handler: Guarded, service: ClusterService) -> ClusterService:
    """The service as a page with a posted form gets it."""
    return cast(ClusterService, Watched(handler, service))


def watched_access(handler: Guarded, access: Access) -> Access:
    """Users and tokens as a page with a posted form gets them."""
    return cast(Access, Watched(handler, access))


async def _watch(handler: Guarded, method: str, work: Callable[..., Awaitable[Any]],
                 *args: Any, **more: Any) -> Any:
    given = inspect.signature(work).bind(*args, **more).arguments
    if given.get("dry_run"):
        handler.checking = True
        return await work(*args, **more)
    record = handler.record = _of_method(handler, method, given)
    if record.asked.operation == "login":
        session = await work(*args, **more)
        await record.let_in(session.user)
        return session
    await record.begin()
    try:
        answer = await work(*args, **more)
    except BaseException as error:
        await record.failed(error)
        raise
    await record.done(answer)
    return answer


def _of_method(handler: Guarded, method: str, given: Mapping[str, Any]) -> Record:
    masker, context = Masker(), handler.context
    operation = method_operation(method, given)
    body = given.get("body", given.get("wanted"))
    cluster = "" if operation in PEOPLE or operation in ("login", "logout") else str(
        given.get("name") or (body.get("name", "") if isinstance(body, dict) else ""))
    subject = subject_of(given) or (
        str(given.get("name") or getattr(body, "name", "") or "") if operation in PEOPLE else "")
    return Record(handler, Asked(
        operation, cluster, subject, str(given.get("host", "")),
        _tenant(context, handler.principal, cluster, body, operation),
        _arguments(handler, operation, given, masker)), masker)


def _arguments(handler: Guarded, operation: str, given: Mapping[str, Any],
               masker: Masker) -> Any:
    """What a method was called with, but for the name of the cluster and who calls."""
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name in ("name", "by", "principal", "address", "confirm") or value in (None, False):
            continue
        if operation in ("login", "set_secrets") or name in ("password", "old", "new"):
            made[name] = masker.masked(value, secret=True)
        elif isinstance(value, BaseModel) and operation in PEOPLE:
            made[name] = masker.model(value) if handler.hushed and hasattr(
                value, "password") else masker.masked(value.model_dump(exclude_none=True,
                                                                       mode="json"))
        else:
            made[name] = masker.masked(value)
    return None if operation == "login" else made or None


# ------------------------------------------------------------------- refused before it began

def finished(handler: Guarded) -> None:
    """After the answer: write what was refused before anything was begun."""
    record = handler.record
    if handler.request.method in SAFE or handler.passed_on or handler.checking or (
            record and record.told):
        return
    status, problem = handler.get_status(), handler.refusal
    if problem is not None:
        status = problem.status
    if isinstance(problem, Elsewhere) and not handler.from_peer():
        return
    if status < 400 and not (handler.door == "page" and status == 303 and record is None):
        return
    draft = _refused(handler, status, problem)
    if getattr(handler, "principal", NOBODY) is NOBODY:
        handler.context.book.strangers.refused(draft)
    else:
        handler.context.book.add(draft)


def _refused(handler: Guarded, status: int, problem: ServiceError | None) -> Draft:
    context, record, masker = handler.context, handler.record, Masker()
    operation = record.asked.operation if record else handler.operation
    content = None if handler.hushed else masker.masked(handler.sent)
    if handler.hushed:
        masker.masked(handler.sent, secret=True)        # so that no message quotes it
    principal: Principal = getattr(handler, "principal", NOBODY)
    name = handler.path_kwargs.get("name", "") if handler.request.path.startswith(
        ("/v1/clusters/", "/clusters/")) else ""
    values: dict[str, Any] = {
        "cluster": masker.text(name)[:MAX_NAME], "status": status, "request": content,
        "subject": masker.text(subject_of(handler.path_kwargs))[:MAX_NAME],
        "tenant": "" if principal is NOBODY else _tenant(context, principal, name, None, "")}
    outcome: Outcome = "refused" if status < 500 or isinstance(problem, ServiceError) else "failed"
    if status < 400:
        outcome = "done"
    else:
        values["error"] = masked_error(problem or from_status(status), masker)
    user = handler.tried_user
    if user and principal is NOBODY and context.access.knows(user):
        values["user"] = user
    if isinstance(problem, Unauthenticated):
        values["request"] = None
    return draft_of(handler, operation, outcome, **values)


def operation_of(handler: Guarded) -> str:
    """What a request is called that was refused before it was known what it asks for."""
    route: Route | None = getattr(handler, "route", None)
    if route is not None:
        return route_operation(route.name, route.operation, handler.sent)
    return "unknown" if handler.door == "api" else page_operation(type(handler))
