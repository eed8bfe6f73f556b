"""The words of the route table: what a route takes, answers and refuses."""
from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from esaas.framework.service.access.people import Principal, Role
from esaas.framework.service.access.sessions import Session
from esaas.framework.service.api import ClusterService
from esaas.framework.service.errors import (
    Conflict,
    Invalid,
    Malformed,
    NotFound,
    ServiceError,
    Unavailable,
)
from esaas.framework.service.views import Accepted
from pydantic import BaseModel

from .context import Context
from .models import NoQuery
from .problems import TooLarge, WrongMediaType
from .stream import Write
from .visible import Visible

CLUSTER = "/v1/clusters/{name}"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, decoded and checked."""

    context: Context
    path: Mapping[str, str]
    query: Any
    body: Any
    accept: tuple[str, ...]
    last_event_id: str | None
    method: str
    principal: Principal
    remote: str                         # the address that the request came from
    xsrf_token: Callable[[], str]       # what the header X-XSRFToken of a browser must say

    @property
    def visible(self) -> Visible:
        """What goes over all clusters, as whoever asks may see it."""
        return Visible(self.context.service, self.principal)

    @property
    def service(self) -> ClusterService:
        """The service behind the API."""
        return self.context.service

    @property
    def name(self) -> str:
        """The name in the path."""
        return self.path["name"]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose body is a view, a list of views or plain values."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    session: Session | None = None      # the session that a browser goes on with


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer that is written bit by bit; ``endless`` ones are closed with the service."""

    media: str
    produce: Callable[[Write], Awaitable[None]]
    headers: Mapping[str, str] = field(default_factory=dict)
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """An answer that comes when something is new, or in a while; one of a bounded number."""

    answer: Callable[[], Awaitable[Reply]]


Result = Reply | Streamed | Waiting     # what running a route comes to


@dataclass(frozen=True, slots=True)
class Answer:
    """What the document says of one status."""

    text: str
    model: Any = None
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one address: the single source of handlers and of the OpenAPI document."""

    method: str
    path: str
    name: str
    summary: str
    run: Callable[[Call], Awaitable[Result]]
    answers: Mapping[int, Answer]
    role: Role | None = field(kw_only=True)     # what it needs; None: open to everybody
    refuses: tuple[type[ServiceError], ...] = ()
    query: type[BaseModel] = NoQuery
    body: type[BaseModel] | None = None
    check_body: bool = True     # False: the service checks it and reports the faults itself
    operation: str = ""         # in the operation log; empty: by its name
    secret: bool = False        # True: nothing of the body is quoted, neither in answers nor logs
    also: Mapping[str, Answer] = field(default_factory=dict)    # other media types of a 200

    @property
    def pattern(self) -> str:
        """The address as a regular expression with named groups."""
        return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)

    @property
    def parameters(self) -> list[str]:
        """The names in the path."""
        return re.findall(r"\{(\w+)\}", self.path)


TAKEN = {202: Answer("taken; the work goes on in the background", Accepted),
         200: Answer("nothing to change, or a dry run", Accepted)}
BODY = (Malformed, TooLarge, WrongMediaType)


def taken(accepted: Accepted, *, dry_run: bool = False) -> Reply:
    """202 and where to look for a change that was taken; 200 when there is nothing to do."""
    begun = accepted.changed and not dry_run
    headers = {"Location": f"/v1/clusters/{quote(accepted.cluster)}"} if begun else {}
    return Reply(accepted, 202 if begun else 200, headers)


def get(path: str, run: Any, name: str, summary: str, model: Any, **more: Any) -> Route:
    """A route that reads; for viewers, unless another role is given."""
    refuses = ((NotFound,) if "{" in path else ()) + more.pop("refuses", ())
    more.setdefault("role", Role.VIEWER)
    return Route("GET", path, name, summary, run, {200: Answer("as asked", model)},
                 refuses=refuses, **more)


def change(method: str, path: str, run: Any, name: str, summary: str, **more: Any) -> Route:
    """A route that changes a cluster; for operators, unless another role is given."""
    more.setdefault("role", Role.OPERATOR)
    refuses = (*BODY, NotFound, Conflict, Invalid, Unavailable)
    return Route(method, path, name, summary, run, more.pop("answers", TAKEN), refuses=refuses,
                 **more)


def post(path: str, run: Any, name: str, summary: str, **more: Any) -> Route:
    """A route that changes a cluster by POST."""
    return change("POST", path, run, name, summary, **more)
