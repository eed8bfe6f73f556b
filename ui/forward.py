"""Requests about a cluster that another process runs: passed on to it, and its answer back.

What is passed on keeps the proof of whoever asked (cookie or token); the other process decides
again whether that is enough. It knows by our signature that the request came through us: it
answers to whatever name was asked for, and passes nothing on again.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from esaas.framework.service.errors import Unavailable
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from .peer_key import HEADER, PeerKey

if TYPE_CHECKING:
    from .base import Guarded

log = structlog.get_logger()

MOST = 4096                         # requests and streams passed on at a time
REMOTE = "X-Esaas-Remote"           # who asked us; believed when our signature is with it
PATIENCE_S = 120.0                  # for an answer that is no stream
# Of the connection and not of the request (RFC 9110), or made anew.
_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
                  "content-length", "proxy-connection", "expect", HEADER.lower()})


class Forwarder:
    """Passes requests on; ``ca_file`` is what certificates of the others are checked with."""

    def __init__(self, key: PeerKey, ca_file: str | None = None) -> None:
        self._key, self._ca_file = key, ca_file
        self._client = SimpleAsyncHTTPClient(force_instance=True, max_clients=MOST)

    async def pass_on(self, handler: Guarded, url: str, body: bytes) -> None:
        """Answer a request with the answer of another process.

        Unavailable when that does not answer, and nothing was written yet.
        """
        request = handler.request
        headers = passed_headers(request.headers)
        headers[HEADER] = self._key.sign(str(request.method), str(request.uri))
        headers["Host"] = request.host
        headers[REMOTE] = str(request.remote_ip)
        headers["X-Request-Id"] = handler.request_id
        answer = _Answer(handler)
        stream = "text/event-stream" in request.headers.get("Accept", "") or (
            request.path.endswith("/stream"))
        try:
            # Without raise_error an answer with any status is an answer; no answer is raised.
            await self._client.fetch(HTTPRequest(
                f"{url}{request.uri}", str(request.method), headers, body or None,
                header_callback=answer.header, streaming_callback=answer.piece,
                follow_redirects=False, decompress_response=False, connect_timeout=5,
                request_timeout=0 if stream else PATIENCE_S, allow_nonstandard_methods=True,
                ca_certs=self._ca_file), raise_error=False)
        except (OSError, HTTPClientError, StreamClosedError) as error:
            answer.failed(url, error)
            return
        await answer.end()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


class _Answer:
    """Writes an answer on as it comes."""

    def __init__(self, handler: Guarded) -> None:
        self._handler = handler
        self._head: list[str] = []
        self._begun = False

    def header(self, line: str) -> None:
        """A line of the head, the status first."""
        self._head.append(line)

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        handler, (first, *lines) = self._handler, self._head
        headers = passed_headers(HTTPHeaders.parse("".join(lines)))
        handler.clear()
        handler.set_status(int(first.split(" ", 2)[1]))
        for name in set(headers.keys()):
            handler.clear_header(name)
        for name, value in headers.get_all():
            handler.add_header(name, value)

    async def piece(self, data: bytes) -> None:
        """A piece of the body; a client that went away ends the other side, too."""
        self._begin()
        self._handler.write(data)
        await self._handler.flush()

    def failed(self, url: str, error: Exception) -> None:
        """The other process did not answer, or stopped in the middle."""
        log.warning("peer_does_not_answer", url=url, error=str(error))
        if self._begun:
            # The status is out: closing the connection tells that this is not all.
            self._handler.drop()
            return
        raise Unavailable("the process that runs this cluster does not answer; try again in a "
                          "moment") from error

    async def end(self) -> None:
        """All of it is here."""
        self._begin()
        await self._handler.finish()


def passed_headers(headers: HTTPHeaders) -> HTTPHeaders:
    """The headers of a request or answer that belong to it from end to end."""
    kept = HTTPHeaders()
    for name, value in headers.get_all():
        if name.lower() not in _HOP:
            kept.add(name, value)
    return kept
