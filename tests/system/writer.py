"""An independent writer and watcher: what a user of the cluster would see of a change."""
from __future__ import annotations

import itertools
import json
import threading
import time
import urllib.error
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

from .service import Access, Service, es_request, wait_for


class Writer:
    """Writes numbered documents one after another, and looks at the health once a second.

    ``urls`` gives the nodes to try; a document counts as acknowledged only when Elasticsearch has
    said so. A failed write is tried again, elsewhere, until it is acknowledged. ``access``: to a
    secured cluster. ``timeout_s``: how long it waits for an answer before it tries elsewhere.
    """

    def __init__(self, urls: Callable[[], list[str]], index: str = "notes",
                 access: Access | None = None, timeout_s: float = 60) -> None:
        self._urls, self.index = urls, index
        self._ask = partial(es_request, access=access, timeout_s=timeout_s)
        self.acknowledged: list[int] = []
        self.failures = 0
        self.longest_outage_s = 0.0
        self.healths: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, name="writer"),
                         threading.Thread(target=self._look, name="watcher")]

    def __enter__(self) -> Writer:
        for thread in self._threads:
            thread.start()
        wait_for("the first document", lambda: self.acknowledged)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        number, last_ok = 0, time.monotonic()
        for url in itertools.chain.from_iterable(self._urls() for _ in itertools.count()):
            if self._stop.is_set():
                return
            try:
                self._ask(url, f"/{self.index}/_doc/{number}", "PUT", {"number": number})
            except (OSError, urllib.error.URLError, json.JSONDecodeError):
                self.failures += 1
                self._stop.wait(0.05)
                continue
            now = time.monotonic()
            self.longest_outage_s = max(self.longest_outage_s, now - last_ok)
            last_ok = now
            self.acknowledged.append(number)
            number += 1
            self._stop.wait(0.02)

    def _look(self) -> None:
        while not self._stop.wait(1.0):
            for url in self._urls():
                try:
                    self.healths.append(self._ask(url, "/_cluster/health")["status"])
                    break
                except (OSError, urllib.error.URLError, json.JSONDecodeError):
                    continue

    def check(self, url: str) -> None:
        """Every acknowledged document is there, and nobody saw red."""
        assert "red" not in self.healths, self.healths
        found = self.found(url)
        assert found == len(self.acknowledged) > 0, (found, len(self.acknowledged))

    def found(self, url: str) -> int:
        """How many of the acknowledged documents are there."""
        self._answer(url, f"/{self.index}/_refresh")
        found = 0
        for start in range(0, len(self.acknowledged), 500):
            ids = [str(number) for number in self.acknowledged[start:start + 500]]
            total = self._answer(url, f"/{self.index}/_search", {
                "size": 0, "query": {"ids": {"values": ids}},
                "track_total_hits": True})["hits"]["total"]
            found += total["value"] if isinstance(total, dict) else total
        return found

    def _answer(self, url: str, path: str, body: Any = None) -> Any:
        """The answer of all shards; a node's connections to one that was away may just break."""
        def answered() -> Any:
            answer = self._ask(url, path, "POST", body)
            return None if answer["_shards"]["failed"] else answer
        return wait_for(f"all shards to answer {path}", answered)


def writer(service: Service) -> Writer:
    """A writer that knows the addresses of all nodes, as a client with a list would."""
    urls = [f"http://{node['http_address']}" for node in service.nodes("demo").values()]
    return Writer(lambda: urls)
