"""Looks at a cluster and folds what it sees into one ``EsView``; never guesses.

A look that fails gives nothing: the last view grows old, and an old view holds every gate that
needs one. Sources: Elasticsearch reference of 6.8 and 7.17, cluster and cat APIs.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core import live
from ..core.facts import EsNode, EsView, Layered, ShardLoad
from .client import EsClient, EsUnavailable

TEMPLATE = "esaas-defaults"
MINIMUM_MASTER_NODES = "discovery.zen.minimum_master_nodes"
ALLOCATION = "cluster.routing.allocation.enable"
EXCLUDE = "cluster.routing.allocation.exclude._name"
REPLICAS = "index.number_of_replicas"
EXPAND = "index.auto_expand_replicas"
DELAY = "index.unassigned.node_left.delayed_timeout"
# An odd number of seconds, so that ours is told from what people have set.
DELAY_VALUE = "613s"
# Id of the block on a cluster whose master has just started: until it is lifted, Elasticsearch
# shows no index, no setting and green, as if nothing had ever been there.
NOT_RECOVERED = "1"
FULL_EVERY = 5                      # looks; the figures for people may be a little older


@dataclass(slots=True)
class Observer:
    """Looks again and again at one cluster; remembers the slow-moving figures in between."""

    looks: int = 0
    last: EsView | None = None

    async def look(self, client: EsClient, now: float, full: bool = True) -> EsView:
        """One view; raises EsUnavailable when any part of it cannot be had.

        ``full`` looks have settings and shards, which a change under way waits for.
        """
        state = await _state(client)
        health = await client.request("GET", "/_cluster/health")
        nodes = await client.request("GET", "/_nodes/http", {
            "filter_path": "nodes.*.name,nodes.*.version,nodes.*.http.publish_address"})
        view = view_of(now, state, health, nodes)
        if full or self.looks % FULL_EVERY == 0 or not _same_members(self.last, view):
            view = await self._with_figures(client, view)
        elif self.last is not None:
            view = carried_over(self.last, view)
        # A look may have waited for a master in the middle; what it showed before is no more.
        if _master_process(await _state(client)) != _master_process(state):
            raise EsUnavailable("the master has changed during the look")
        self.looks += 1
        self.last = view
        return view

    async def _with_figures(self, client: EsClient, view: EsView) -> EsView:
        """Documents, disk, heap and shards by node, and the settings that we keep."""
        stats = await client.request("GET", "/_nodes/stats/jvm,fs,indices", {
            "filter_path": "nodes.*.name,nodes.*.jvm.mem.heap_used_percent,nodes.*.fs.total,"
                           "nodes.*.indices.store.size_in_bytes"})
        totals = await client.request("GET", "/_cluster/stats", {
            "filter_path": "indices.docs.count,indices.store.size_in_bytes"})
        shards = await client.request("GET", "/_cat/shards", {
            "format": "json", "h": "index,shard,state,node,store", "bytes": "b"})
        indices = await client.request("GET", f"/_settings/{REPLICAS},{EXPAND},{DELAY}", {
            "flat_settings": "true", "expand_wildcards": "all"})
        settings = await client.request("GET", "/_cluster/settings", {"flat_settings": "true"})
        template = await client.request("GET", f"/_template/{TEMPLATE}",
                                        {"flat_settings": "true"}, missing_ok=True)
        view = with_figures(view, stats, totals, settings, template)
        loads = loads_of(shards or ())
        view = with_copies(view, shards or ())
        votes = await self._voting_exclusions(client) if oldest_major(view) >= 7 else ()
        return replace(view, loads=loads, voting_exclusions=votes,
                       max_replicas=_max_replicas(indices or {}),
                       delayed_indices=len(delayed(indices or {})), nodes={
                           name: replace(node, shards=loads.get(name, ShardLoad()).shards)
                           for name, node in view.nodes.items()})

    @staticmethod
    async def _voting_exclusions(client: EsClient) -> tuple[str, ...]:
        path = "metadata.cluster_coordination.voting_config_exclusions"
        found = await client.request("GET", "/_cluster/state/metadata", {"filter_path": path})
        listed = ((found.get("metadata") or {}).get("cluster_coordination") or {}).get(
            "voting_config_exclusions") or ()
        return tuple(sorted(str(item["node_name"]) for item in listed))


async def _state(client: EsClient) -> Mapping[str, Any]:
    """Who is master; EsUnavailable while the state is not recovered from disk."""
    state: Mapping[str, Any] = await client.request(
        "GET", "/_cluster/state/master_node,nodes,blocks", {"filter_path": (
            f"cluster_uuid,master_node,nodes.*.ephemeral_id,blocks.global.{NOT_RECOVERED}")})
    if NOT_RECOVERED in ((state.get("blocks") or {}).get("global") or {}):
        raise EsUnavailable("the state of the cluster is not recovered from disk yet")
    return state


def _master_process(state: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The master and its very process: a restart keeps the id and changes the ephemeral one."""
    master = state.get("master_node")
    return master, ((state.get("nodes") or {}).get(master) or {}).get("ephemeral_id")


def view_of(now: float, state: Mapping[str, Any], health: Mapping[str, Any],
            nodes: Mapping[str, Any]) -> EsView:
    """Members and health, out of the answers of Elasticsearch."""
    members = {item["name"]: EsNode(
        id=node_id, name=item["name"], version=item.get("version"),
        http_address=(item.get("http") or {}).get("publish_address"))
        for node_id, item in (nodes.get("nodes") or {}).items()}
    master_id = state.get("master_node")
    uuid = state.get("cluster_uuid")
    return EsView(
        at=now, health=str(health["status"]), nodes=members,
        cluster_uuid=uuid if uuid not in (None, "_na_") else None,
        master=next((node.name for node in members.values() if node.id == master_id), None),
        active_primary_shards=int(health.get("active_primary_shards", 0)),
        active_shards=int(health.get("active_shards", 0)),
        relocating_shards=int(health.get("relocating_shards", 0)),
        initializing_shards=int(health.get("initializing_shards", 0)),
        unassigned_shards=int(health.get("unassigned_shards", 0)))


def oldest_major(view: EsView) -> int:
    """The lowest major version of any member: what all of them understand."""
    return min((int(node.version.split(".")[0]) for node in view.nodes.values() if node.version),
               default=0)


def loads_of(shards: Iterable[Mapping[str, Any]]) -> dict[str, ShardLoad]:
    """What each node holds, out of ``_cat/shards``; one that moves counts on both ends."""
    found: dict[str, ShardLoad] = {}
    for item in shards:
        if not item.get("node"):
            continue                        # unassigned
        # A moving shard reads "from -> ip id to".
        source, _, target = str(item["node"]).partition(" -> ")
        size_mb = round(int(item.get("store") or 0) / 2**20)
        initializing = item.get("state") == "INITIALIZING"
        old = found.get(source, ShardLoad())
        found[source] = ShardLoad(old.shards + (not initializing), old.incoming + initializing,
                                  old.store_mb + size_mb)
        if target:
            name = target.split(" ")[-1]
            old = found.get(name, ShardLoad())
            found[name] = replace(old, incoming=old.incoming + 1)
    return found


def with_copies(view: EsView, shards: Iterable[Mapping[str, Any]]) -> EsView:
    """Which node holds an active copy of which shard, and which shards lack one."""
    copies: dict[str, set[str]] = {name: set() for name in view.nodes}
    active: Counter[str] = Counter()
    incomplete: set[str] = set()
    for item in shards:
        shard = f"{item.get('index')}[{item.get('shard')}]"
        if item.get("state") in ("STARTED", "RELOCATING") and item.get("node"):
            copies.setdefault(str(item["node"]).partition(" -> ")[0], set()).add(shard)
            active[shard] += 1
        else:
            incomplete.add(shard)
    return replace(view, copies={name: frozenset(found) for name, found in copies.items()},
                   incomplete=frozenset(incomplete),
                   lone=frozenset(shard for shard, count in active.items() if count == 1))


def _flat(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return item.get("settings") or {}


def _max_replicas(indices: Mapping[str, Any]) -> int:
    """Of any index that does not follow the number of nodes by itself."""
    return max((int(_flat(item).get(REPLICAS) or 0) for item in indices.values()
                if _flat(item).get(EXPAND, "false") == "false"), default=0)


def delayed(indices: Mapping[str, Any]) -> list[str]:
    """Names of indices with our time-out for missing nodes."""
    return [name for name, item in indices.items() if _flat(item).get(DELAY) == DELAY_VALUE]


def with_figures(view: EsView, stats: Mapping[str, Any], totals: Mapping[str, Any],
                 settings: Mapping[str, Any], template: Mapping[str, Any] | None) -> EsView:
    """The view with the slow-moving figures added."""
    nodes = dict(view.nodes)
    for node_id, item in (stats.get("nodes") or {}).items():
        name = item.get("name")
        if name in nodes and nodes[name].id == node_id:
            heap = ((item.get("jvm") or {}).get("mem") or {}).get("heap_used_percent")
            nodes[name] = replace(nodes[name], heap_used_percent=heap,
                                  disk_used_percent=_disk_used(item),
                                  disk_total_mb=_disk_total(item))
    indices = (totals or {}).get("indices") or {}
    store = (indices.get("store") or {}).get("size_in_bytes")
    return replace(
        view, nodes=nodes, documents=(indices.get("docs") or {}).get("count"),
        store_mb=round(store / 2**20, 2) if store is not None else None,
        minimum_master_nodes=_number((settings.get("persistent") or {}).get(MINIMUM_MASTER_NODES)),
        allocation_settings=_layered(settings, ALLOCATION),
        exclude_settings=_layered(settings, EXCLUDE),
        transient=_texts(settings.get("transient")),
        persistent=_texts(settings.get("persistent")),
        template_replicas=_template_replicas(template))


def carried_over(last: EsView, view: EsView) -> EsView:
    """The figures of the last full look on a fresh view of the same members.

    What gates wait for (shards by node) is left unknown rather than old.
    """
    nodes = {name: replace(last.nodes[name], http_address=node.http_address)
             for name, node in view.nodes.items()}
    return replace(view, nodes=nodes, documents=last.documents, store_mb=last.store_mb,
                   minimum_master_nodes=last.minimum_master_nodes,
                   template_replicas=last.template_replicas, max_replicas=last.max_replicas,
                   allocation_settings=last.allocation_settings,
                   exclude_settings=last.exclude_settings,
                   voting_exclusions=last.voting_exclusions, transient=last.transient,
                   persistent=last.persistent, delayed_indices=last.delayed_indices,
                   carried_from=last.settings_at)


def _layered(settings: Mapping[str, Any], key: str) -> Layered:
    """(transient, persistent) value of a setting."""
    return ((settings.get("transient") or {}).get(key),
            (settings.get("persistent") or {}).get(key))


def _texts(settings: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: live.text(value) for key, value in (settings or {}).items()}


def _same_members(last: EsView | None, view: EsView) -> bool:
    return last is not None and {name: node.id for name, node in last.nodes.items()} == {
        name: node.id for name, node in view.nodes.items()}


def _disk_used(item: Mapping[str, Any]) -> float | None:
    total = (item.get("fs") or {}).get("total") or {}
    size, free = total.get("total_in_bytes"), total.get("available_in_bytes")
    return round(100 * (1 - free / size), 1) if size and free is not None else None


def _disk_total(item: Mapping[str, Any]) -> float | None:
    size = ((item.get("fs") or {}).get("total") or {}).get("total_in_bytes")
    return round(size / 2**20, 1) if size else None


def _number(value: Any) -> int | None:
    return int(value) if value not in (None, "") else None


def _template_replicas(template: Mapping[str, Any] | None) -> int | None:
    settings = ((template or {}).get(TEMPLATE) or {}).get("settings") or {}
    return _number(settings.get("index.number_of_replicas"))
