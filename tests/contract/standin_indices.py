"""A stand-in for Elasticsearch that has indices, as far as housekeeping asks it for them."""
from __future__ import annotations

import time
from typing import Any
from urllib.parse import unquote

from esaas.framework.elastic.client import EsUnavailable

GB = 2**30


class IndexStandIn:
    """Indices by name, aliases and one disk; what is asked of it is kept in ``done``."""

    def __init__(self) -> None:
        self.indices: dict[str, dict[str, Any]] = {}
        self.writes: dict[str, str] = {}            # alias -> index
        self.free_gb = 60.0
        self.snapshots: list[dict[str, Any]] = []
        self.done: list[str] = []
        self.before_each: Any = lambda call: None   # somebody else's hand
        self.failing = ""                           # the path whose answer is an error
        self.made = 0
        self.clock_off_s = 0.0

    def add(self, name: str, **more: Any) -> None:
        """An index of long ago: eight segments, 10 documents."""
        self.made += 1
        self.indices[name] = {"uuid": f"u{self.made}", "created": 1.0, "replicas": 0, "written": 9,
                              "segments": 8, "documents": 10, "blocks": {}} | more

    async def request(self, method: str, path: str, params: Any = None, body: Any = None,
                      **more: Any) -> Any:
        """One request, as ``EsClient`` takes it."""
        call = f"{method} {unquote(path)}"
        if method != "GET":
            self.before_each(call)
            if self.failing and self.failing in call:
                raise EsUnavailable(f"{call}: 500", 500)
            self.done.append(call)
        first, _, rest = unquote(path).lstrip("/").partition("/")
        names = list(self.indices) if first == "_all" else [
            name for name in first.split(",") if name in self.indices]
        if method == "GET":
            return self._answer(first, names, rest.partition("/")[0])
        if rest == "_rollover":
            return self._roll(first, body["conditions"])
        if rest == "_forcemerge":
            self.indices[first]["segments"] = params["max_num_segments"]
        elif rest == "_settings":
            self._set(first, body)
        elif method == "DELETE" and self.indices.pop(first, None) is None:
            assert more["missing_ok"]
        return {"acknowledged": True, "_shards": {"failed": 0}}

    def _answer(self, first: str, names: list[str], what: str) -> Any:
        if what == "_settings":
            return {name: {"settings": {
                "index.uuid": self.indices[name]["uuid"], "index.number_of_shards": "1",
                "index.creation_date": str(int(self.indices[name]["created"] * 1000)),
                "index.number_of_replicas": str(self.indices[name]["replicas"]),
                **{f"index.blocks.{block}": "true" for block in self.indices[name]["blocks"]}}}
                for name in names}
        if what == "_alias":
            return {name: {"aliases": {alias: {"is_write_index": target == name}
                                       for alias, target in self.writes.items()
                                       if name.startswith(alias)}} for name in names}
        if what.startswith("_stats"):
            return {"indices": {name: {"shards": {"0": [{
                "routing": {"state": "STARTED", "primary": True},
                "docs": {"count": self.indices[name]["documents"]},
                "store": {"size_in_bytes": GB},
                "segments": {"count": self.indices[name]["segments"]},
                "seq_no": {"max_seq_no": self.indices[name]["written"]}}]}} for name in names}}
        if first == "_snapshot":
            return {"snapshots": self.snapshots}
        if first == "_nodes":
            total = {"total_in_bytes": 100 * GB, "available_in_bytes": self.free_gb * GB}
            clock_ms = 1000 * (time.time() + self.clock_off_s)
            return {"nodes": {str(number): {
                "name": f"node-{number}", "roles": ["data"], "timestamp": clock_ms,
                "fs": {"total": total}} for number in (1, 2)}}
        disk = {"watermark": {"high": "90%"}}
        return {"defaults": {"cluster": {"routing": {"allocation": {"disk": disk}}}}}

    def _roll(self, alias: str, conditions: dict[str, Any]) -> Any:
        old = self.writes[alias]
        if self.indices[old]["documents"] < conditions.get("max_docs", 10**9):
            return {"rolled_over": False}
        head, _, number = old.rpartition("-")
        new = f"{head}-{int(number) + 1:06d}"
        self.add(new, documents=0, written=-1, segments=0)
        self.writes[alias] = new
        return {"rolled_over": True, "old_index": old, "new_index": new}

    def _set(self, name: str, body: dict[str, Any]) -> None:
        for key, value in body.items():
            if key == "index.number_of_replicas":
                self.indices[name]["replicas"] = value
            else:
                del self.indices[name]["blocks"][key.removeprefix("index.blocks.")]
