"""One thin adapter over the Elasticsearch clients: each server gets the client of its major.

Two clients are installed side by side under names of their own. The one of 7 speaks plain JSON to
servers 6 to 8; the one of 9 is for 9 and later. The one of 8 cannot live beside that of 9: they
want different versions of elastic-transport.
"""
from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import elasticsearch7
import elasticsearch9

from ..core.errors import EsaasError

REQUEST_TIMEOUT_S = 10.0
WAITED_IN_VAIN = 408                # what the health API says when its own time-out is over


class EsUnavailable(EsaasError):
    """No node answered, or the answer was no success."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


_ERRORS: tuple[type[Exception], ...] = (
    elasticsearch7.ElasticsearchException, elasticsearch9.ApiError, elasticsearch9.TransportError,
    OSError)


@dataclass(frozen=True, slots=True)
class EsAccess:
    """How the nodes of a secured cluster are asked: whom to trust, and who we are."""

    ca_pem: str                         # the only authority that is trusted
    user: str
    password: str = field(repr=False)


class EsClient:
    """Requests to any of a cluster's nodes; JSON in, JSON out.

    With ``access`` over TLS and as a user; the certificate must be for the node's address.

    Must be made and closed on the event loop. Raises EsUnavailable.
    """

    def __init__(self, major: int, addresses: Sequence[str],
                 access: EsAccess | None = None) -> None:
        self.addresses, self.major = tuple(addresses), major
        urls = [f"{'https' if access else 'http'}://{address}" for address in addresses]
        self._old = major <= 8
        self._asking, self._idle = 0, asyncio.Event()
        self._idle.set()
        secured: dict[str, Any] = {}
        if access is not None:
            secured = {"ssl_context": ssl.create_default_context(cadata=access.ca_pem),
                       "http_auth" if self._old else "basic_auth": (access.user, access.password)}
        self._client: Any
        if self._old:
            self._client = elasticsearch7.AsyncElasticsearch(
                urls, max_retries=1, retry_on_timeout=False, timeout=REQUEST_TIMEOUT_S,
                transport_class=_UncheckedTransport, **secured)
        else:
            self._client = elasticsearch9.AsyncElasticsearch(
                urls, max_retries=1, retry_on_timeout=False, request_timeout=REQUEST_TIMEOUT_S,
                **secured)

    @contextlib.contextmanager
    def _under_way(self) -> Iterator[None]:
        self._asking += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                self._idle.set()

    async def request(self, method: str, path: str, params: Mapping[str, Any] | None = None,
                      body: Any = None, missing_ok: bool = False,
                      timeout_s: float | None = None, answers: int | None = None) -> Any:
        """The decoded answer; None for a 404 when that is fine.

        ``timeout_s`` is for what takes long by nature; it is waited for then. ``answers``: a status
        above 299 whose body is an answer like any other.
        """
        with self._under_way():
            try:
                if self._old:
                    more = ({} if timeout_s is None else {"request_timeout": timeout_s}) | (
                        {} if answers is None else {"ignore": answers})
                    return await self._client.transport.perform_request(
                        method, path, params=dict(params or {}) | more, body=body,
                        headers={"content-type": "application/json"} if body is not None else None)
                headers = {"accept": "application/json"}
                if body is not None:
                    headers["content-type"] = "application/json"
                more = ({} if timeout_s is None else {"request_timeout": timeout_s}) | (
                    {} if answers is None else {"ignore_status": answers})
                asked = self._client.options(**more) if more else self._client
                answer = await asked.perform_request(
                    method, path, params=dict(params or {}), headers=headers, body=body)
                return answer.body
            except _ERRORS as error:
                status = _status_of(error)
                if status == 404 and missing_ok:
                    return None
                raise EsUnavailable(f"{method} {path}: {error}", status) from error

    async def wait_for_green(self, patience_s: float) -> bool:
        """Whether every copy is started within so long; Elasticsearch answers when it is so.

        Source: Elasticsearch reference, "Cluster health API".
        """
        answer = await self.request("GET", "/_cluster/health", {
            "wait_for_status": "green", "wait_for_no_initializing_shards": "true",
            "timeout": f"{1000 * patience_s:.0f}ms"},
            timeout_s=patience_s + REQUEST_TIMEOUT_S, answers=WAITED_IN_VAIN)
        return bool(answer["status"] == "green" and not answer["initializing_shards"])

    async def close(self) -> None:
        """Close all connections, those to nodes that did not answer too.

        Requests under way are answered first: one that were tried again would open another.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await self._idle.wait()
        if self._old:
            # The client of 7 forgets to close what it has put aside as dead.
            pool = self._client.transport.connection_pool
            for _ in self.addresses:
                pool.resurrect(force=True)
        await self._client.close()


def _status_of(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


class _UncheckedTransport(elasticsearch7.AsyncTransport):
    """Asks a node at once, without a look at its product first.

    The client of 7 reads ``GET /`` before the first request and gives up on its status. A node
    without an elected master answers 503 there, and just then we have to see the cluster.
    """

    async def _do_verify_elasticsearch(self, headers: Any, timeout: Any) -> None:
        self._verified_elasticsearch = True
