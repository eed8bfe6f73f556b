"""A small client of the REST API, for the command line; only the standard library.

Answers are plain decoded JSON, so that an older client shows what a newer service says.
"""
from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import BaseHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from .core.errors import EsaasError, Fault

ANSWER_TIMEOUT_S = 30.0
# The service sends a heartbeat at least every 15 seconds; silence for longer is a dead line.
STREAM_TIMEOUT_S = 45.0

EXAMPLE_SPEC = """\
name: logs
tenant: demo
version: 6.8.23
description: Application logs of the demo team
groups:
  - name: node
    count: 3
    roles: [master, data, ingest]
    cpus: 1
    mem_mb: 2048
    disk_mb: 10240
    placement:
      spread_by: rack
      constraints: hostname UNIQUE
default_replicas: 1
"""


class ClientError(EsaasError):
    """A request that brought no answer to use."""


class Unreachable(ClientError):
    """Nothing answers at the address of the service, or no service of ours."""


@dataclass
class Refused(ClientError):
    """The service said no, and why."""

    status: int
    code: str
    message: str
    faults: tuple[Fault, ...] = ()
    request_id: str = ""

    def __str__(self) -> str:
        return self.message

    def body(self) -> dict[str, Any]:
        """The refusal in the shape of the API."""
        faults = [{"path": fault.path, "message": fault.message, "rule": fault.rule}
                  for fault in self.faults]
        return {"error": {"code": self.code, "message": self.message, "faults": faults,
                          "request_id": self.request_id}}


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event."""

    kind: str
    data: Any
    ident: str | None = None


class Client:
    """Talks to one service; Unreachable and Refused are all that it raises."""

    def __init__(self, url: str, token: str = "", ca_file: str | None = None) -> None:
        """``token`` proves who asks; ``ca_file`` has certificates to trust for https (PEM)."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise Unreachable(f"{url!r} is no address of a service, such as http://host:8080")
        self.url = url.rstrip("/")
        # A service on loopback must not be looked for behind a proxy of the environment.
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        handlers: list[BaseHandler] = [ProxyHandler({})] if local else []
        if parts.scheme == "https":
            handlers.append(HTTPSHandler(context=_trusting(ca_file)))
        self._opener = build_opener(*handlers)
        self._token = token

    def get(self, path: str, *, answer_within_s: float = ANSWER_TIMEOUT_S, **query: Any) -> Any:
        """The decoded answer to a GET."""
        return self._ask("GET", path, query, timeout_s=answer_within_s)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """The decoded answer to a POST of a JSON body; an empty object when there is none."""
        return self._ask("POST", path, query, json.dumps({} if body is None else body).encode())

    def put(self, path: str, body: Any, **query: Any) -> Any:
        """The decoded answer to a PUT of a JSON body."""
        return self._ask("PUT", path, query, json.dumps(body).encode())

    def patch(self, path: str, body: Any) -> Any:
        """The decoded answer to a PATCH of a JSON body."""
        return self._ask("PATCH", path, {}, json.dumps(body).encode())

    def delete(self, path: str, **query: Any) -> Any:
        """The decoded answer to a DELETE."""
        return self._ask("DELETE", path, query)

    def cluster(self, name: str, part: str = "") -> str:
        """The path of a cluster, or of a part of it."""
        return f"/v1/clusters/{quote(name, safe='')}" + (f"/{part}" if part else "")

    def stream(self, path: str, after: int | None = None) -> Iterator[Message]:
        """Server-sent events until the service ends the stream.

        Raises Unreachable when the line breaks: come again with the last id as ``after``.
        """
        request = self._request("GET", path, {} if after is None else {"after": after})
        request.add_header("Accept", "text/event-stream")
        with self._open(request, STREAM_TIMEOUT_S) as answer:
            try:
                yield from messages(line.decode("utf-8").rstrip("\r\n") for line in answer)
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(f"the stream of {self.url} broke: {error}") from error

    @contextmanager
    def lines(self, path: str) -> Iterator[tuple[http.client.HTTPMessage, Iterator[bytes]]]:
        """The headers of an answer to a GET, and its lines as they come, to be read inside."""
        with self._open(self._request("GET", path, {}), STREAM_TIMEOUT_S) as found:
            yield found.headers, self._lines(found)

    def _lines(self, found: Any) -> Iterator[bytes]:
        try:
            yield from found
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.url} broke off its answer: {error}") from error

    def _request(self, method: str, path: str, query: dict[str, Any],
                 body: bytes | None = None) -> Request:
        given = {name: str(value).lower() if isinstance(value, bool) else value
                 for name, value in query.items() if value not in (None, False)}
        url = self.url + path + (f"?{urlencode(given)}" if given else "")
        headers = {"Accept": "application/json", "User-Agent": "esaas"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = Request(url, data=body, headers=headers, method=method)  # noqa: S310 (checked)
        if self._token:
            # Not carried on to wherever an answer may send us.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        return request

    def _open(self, request: Request, timeout_s: float) -> Any:
        try:
            return self._opener.open(request, timeout=timeout_s)
        except HTTPError as error:
            with error:
                raise refusal(error.code, error.read()) from error
        except URLError as error:
            raise Unreachable(f"no service answers at {self.url}: {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"no service answers at {self.url}: {error}") from error

    def _ask(self, method: str, path: str, query: dict[str, Any],
             body: bytes | None = None, timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        with self._open(self._request(method, path, query, body), timeout_s) as answer:
            try:
                return json.loads(answer.read())
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(f"{self.url} broke off its answer: {error}") from error
            except ValueError as error:
                raise Unreachable(f"what answers at {self.url} is no service of ours: "
                                  f"{error}") from error


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Unreachable(f"the certificates in {ca_file} cannot be read: {error}") from error
    return context


def refusal(status: int, body: bytes) -> Refused:
    """An answer with an error status as a refusal, whoever wrote it."""
    try:
        error = json.loads(body)["error"]
        faults = tuple(Fault(fault["path"], fault["message"], fault.get("rule", ""))
                       for fault in error.get("faults", []))
        return Refused(status, error["code"], error["message"], faults, error["request_id"])
    except (ValueError, KeyError, TypeError, AttributeError):
        shown = body.decode("utf-8", "replace").strip()[:300]
        return Refused(status, "unknown", f"status {status}: {shown or 'no explanation'}")


def messages(lines: Iterator[str]) -> Iterator[Message]:
    """Lines of an event stream as messages; comments and heartbeats are left out."""
    kind, data, ident = "message", "", None
    for line in lines:
        if not line:
            if data:
                yield Message(kind, json.loads(data), ident)
            kind, data, ident = "message", "", None
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data = f"{data}\n{value}" if data else value
        elif name == "id":
            ident = value
