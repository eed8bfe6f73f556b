"""The REST interface of a stand-in node: who is asked answers out of the state of the master."""
from __future__ import annotations

import json
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .node import Node

VERSION = "6.8.23"


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status

    def body(self) -> dict[str, Any]:
        """As Elasticsearch says it."""
        return {"error": {"type": "stand_in", "reason": str(self)}, "status": self.status}


def local(node: Node, path: str) -> Any:
    """What a node answers of itself; None when the master has to be asked."""
    if path == "/":
        return {"name": node.name, "cluster_name": node.cluster_name,
                "cluster_uuid": node.state.uuid, "tagline": "You Know, for Search",
                "version": {"number": VERSION, "build_flavor": "default",
                            "build_type": "stand-in"}}
    if path.startswith("/_nodes/_local"):
        return {"nodes": {node.id: member(node.info) | {"process": {"id": node.info["pid"]}}}}
    return None


def member(info: dict[str, Any]) -> dict[str, Any]:
    """A node among ``_nodes``."""
    return {"name": info["name"], "version": VERSION, "roles": info["roles"],
            "transport_address": info["transport"],
            "http": {"publish_address": info["http"]}}


def answer(node: Node, method: str, path: str, query: dict[str, str], body: Any) -> Any:
    """The answer of the master. Raises Refused."""
    parts = path.strip("/").split("/")
    first = parts[0]
    if method == "GET":
        return _read(node, parts, query)
    if path == "/_cluster/settings":
        node.state.put_settings(body or {})
    elif first == "_template":
        node.state.templates[parts[1]] = dict(
            body or {}, settings={key if key.startswith("index.") else f"index.{key}": str(value)
                                  for key, value in ((body or {}).get("settings") or {}).items()})
    elif parts[-1] == "_settings":
        node.state.put_index_settings(_indices(node, first), body or {},
                                      query.get("preserve_existing") == "true")
    elif path == "/_cluster/reroute" or parts[-1] in ("_flush", "synced", "clear", "_forcemerge"):
        count = len(node.state.cat_shards())
        return {"acknowledged": True,
                "_shards": {"total": count, "successful": count, "failed": 0}}
    elif method == "DELETE" and not first.startswith("_"):
        for name in _indices(node, first):
            del node.state.indices[name]
    elif method == "PUT" and len(parts) == 1 and not first.startswith("_"):
        node.state.create_index(first, body or {})
    else:
        raise Refused(400, f"the stand-in knows no {method} {path}")
    node.changed()
    return {"acknowledged": True}


def _indices(node: Node, pattern: str) -> list[str]:
    """Indices by names with commas between them, or all."""
    if pattern in ("_all", "*"):
        return list(node.state.indices)
    names = pattern.split(",")
    if missing := [name for name in names if name not in node.state.indices]:
        raise Refused(404, f"no index {missing[0]}")
    return names


def _read(node: Node, parts: list[str], query: dict[str, str]) -> Any:
    state = node.state
    members = node.members()
    kind = "/".join(parts[:2])
    if kind == "_cluster/health":
        data = sum("data" in info["roles"] for info in members.values())
        return {"cluster_name": node.cluster_name, "timed_out": False, **state.health(),
                "number_of_nodes": len(members), "number_of_data_nodes": data}
    if kind == "_cluster/state":
        blocks = {} if node.recovered else {"1": {"description": "state not recovered"}}
        return {"cluster_uuid": state.uuid, "master_node": node.id,
                "nodes": {info["id"]: {"name": info["name"], "ephemeral_id": info["ephemeral"]}
                          for info in members.values()}, "blocks": {"global": blocks}}
    if kind == "_cluster/settings":
        found = {"persistent": state.persistent, "transient": state.transient}
        if query.get("include_defaults") == "true":
            found["defaults"] = {key: json.dumps(value) for key, value in node.settings.items()}
        return found
    if kind == "_cluster/stats":
        return {"indices": {"docs": {"count": 0}, "store": {"size_in_bytes": 0}}}
    if kind == "_cat/shards":
        return state.cat_shards()
    if kind == "_cat/indices":
        return [{"index": name, "status": "open"} for name in state.indices]
    if parts[0] == "_template":
        return _template(node, parts[1])
    if parts[0] == "_settings" or parts[-1] == "_settings":
        return {name: {"settings": index["settings"]} for name, index in state.indices.items()}
    if kind == "_nodes/stats":
        total = {"total_in_bytes": 1 << 34, "available_in_bytes": 1 << 33}
        return {"nodes": {info["id"]: {
            "name": info["name"], "jvm": {"mem": {"heap_used_percent": 1}},
            "fs": {"total": total, "timestamp": int(time.time() * 1000)},
            "indices": {"store": {"size_in_bytes": 0}}} for info in members.values()}}
    if parts[0] == "_nodes":
        return {"nodes": {info["id"]: member(info) for info in members.values()}}
    raise Refused(400, f"the stand-in knows no GET /{'/'.join(parts)}")


def _template(node: Node, name: str) -> Any:
    if name not in node.state.templates:
        raise Refused(404, f"no template {name}")
    return {name: node.state.templates[name]}
