"""Sends documents to Elasticsearch by ``_bulk``, so that a repeat makes no second one.

Each is created under an id of its own; one that is there already counts as sent. Works with 6.8
and later. Source: Elasticsearch reference, "Bulk API", "Removal of mapping types", "Index
templates".
"""
from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .loglines import INDEX, Document

_TIMEOUT_S = 30.0
_MAX_ANSWER_BYTES = 8 << 20
TYPE = "_doc"
TEMPLATE = f"/_template/{INDEX}"
_WORDS = ("cluster", "tenant", "node", "host", "launch", "log", "level", "logger")
# Why a single document is refused for good: it is none for this mapping. Others, such as an index
# that cannot be made now, are tried again.
_HOPELESS = frozenset({"mapper_parsing_exception", "document_parsing_exception",
                       "strict_dynamic_mapping_exception", "illegal_argument_exception"})


class NotSent(Exception):
    """Nothing is known to have been taken: the same documents have to be sent again."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of documents that a cluster has answered for."""

    taken: int                      # now, or before
    refused: int                    # for good
    why: str = ""                   # of the first that was refused


class Bulk:
    """One cluster by any of its nodes; one connection at a time."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = tuple(urls)
        self._order = list(urls)                # the one that answered last is asked first
        self._typed: bool | None = None         # None: not known which version it is

    def send(self, documents: Sequence[Document]) -> Sent:
        """Send all, by the first node that answers; NotSent."""
        problem = "there is no node to send to"
        for _ in range(len(self._order)):
            try:
                return self._send(self._order[0], documents)
            except (OSError, http.client.HTTPException, ValueError, NotSent) as error:
                problem = str(error) if isinstance(error, NotSent) else (
                    f"{self._order[0]}: {type(error).__name__}: {error}")
                self._typed = None              # it may come back in another version
                self._order.append(self._order.pop(0))
        raise NotSent(problem)

    def _send(self, url: str, documents: Sequence[Document]) -> Sent:
        parts = urlsplit(url)
        kind = (http.client.HTTPSConnection if parts.scheme == "https"
                else http.client.HTTPConnection)
        connection = kind(parts.netloc, timeout=_TIMEOUT_S)
        try:
            if self._typed is None:
                self._typed = _greet(connection)
            answer = _ask(connection, "POST", "/_bulk", body_of(documents, self._typed))
        finally:
            connection.close()
        return outcome(answer)


def body_of(documents: Sequence[Document], typed: bool) -> bytes:
    """The body of a bulk request; ``typed``: the cluster still wants the name of a type."""
    lines = []
    for one in documents:
        what = {"_index": one.index, "_id": one.id} | ({"_type": TYPE} if typed else {})
        lines += [json.dumps({"create": what}), json.dumps(one.body)]
    return "\n".join([*lines, ""]).encode()


def outcome(answer: Any) -> Sent:
    """What an answer to a bulk request says; NotSent when any document has to be sent again."""
    try:
        items = [item["create"] for item in answer["items"]]
        failed = [item for item in items if int(item["status"]) not in (200, 201, 409)]
        again = [item for item in failed if int(item["status"]) != 400
                 or item["error"]["type"] not in _HOPELESS]
    except (KeyError, TypeError, ValueError) as error:
        raise NotSent(f"what answers is no Elasticsearch: {error!r}") from error
    if again:
        raise NotSent(f"{len(again)} of {len(items)} documents were not taken: {_why(again[0])}")
    return Sent(len(items) - len(failed), len(failed), _why(failed[0]) if failed else "")


def _why(item: Any) -> str:
    error = item.get("error")
    if isinstance(error, dict):
        return f"{error.get('type', '')}: {error.get('reason', '')}"[:300]
    return str(error)[:300]


def _greet(connection: http.client.HTTPConnection) -> bool:
    """Whether it still knows types; its indices of logs get their mapping when they have none."""
    version = _ask(connection, "GET", "/", b"")
    typed = int(str(version["version"]["number"]).partition(".")[0]) < 7
    properties: dict[str, Any] = {name: {"type": "keyword"} for name in _WORDS}
    mapping = {"properties": properties | {"@timestamp": {"type": "date"},
                                           "message": {"type": "text"}}}
    _ask(connection, "PUT", f"{TEMPLATE}?create=true", json.dumps({
        "index_patterns": [f"{INDEX}-*"], "order": 0, "settings": {"number_of_shards": 1},
        "mappings": {TYPE: mapping} if typed else mapping}).encode(), there_already=400)
    return typed


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes,
         there_already: int | None = None) -> Any:
    """The decoded answer; NotSent for any other status than success, or what is there already."""
    kind = "application/x-ndjson" if path == "/_bulk" else "application/json"
    connection.request(method, path, body=body or None, headers={"Content-Type": kind})
    response = connection.getresponse()
    text = response.read(_MAX_ANSWER_BYTES)
    response.read()                             # the connection is asked again
    if response.status != there_already and not 200 <= response.status < 300:
        raise NotSent(f"{connection.host}:{connection.port} answers HTTP {response.status}: "
                      f"{text[:200].decode('utf-8', 'replace')}")
    return json.loads(text)
