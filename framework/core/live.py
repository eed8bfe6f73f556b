"""Settings that Elasticsearch changes while it runs: they need no restart, so none is made.

Only settings of the whole cluster (``settings`` of the spec, not of a group). Source: Elasticsearch
reference, "Cluster update settings" and the settings there marked as dynamic. Settings that
switches and rolling restarts use are left out: two hands on one setting would fight.
"""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from . import events as ev
from .facts import ClusterState

LIVE = re.compile("|".join((
    r"cluster\.routing\.allocation\.(node_concurrent_\w+|node_initial_primaries_recoveries"
    r"|cluster_concurrent_rebalance|allow_rebalance|same_shard\.host|total_shards_per_node"
    r"|disk\.(threshold_enabled|watermark\.\w+|include_relocations|reroute_interval)|balance\.\w+)",
    r"cluster\.(max_shards_per_node|indices\.close\.enable|info\.update\.(interval|timeout)"
    r"|service\.slow_task_logging_threshold)",
    r"indices\.recovery\.\w+", r"indices\.breaker\.(total\.limit|(fielddata|request|accounting)"
    r"\.(limit|overhead))", r"indices\.mapping\.dynamic_timeout",
    r"search\.(default_search_timeout|max_buckets|default_keep_alive|max_keep_alive"
    r"|low_level_cancellation|default_allow_partial_results|max_open_scroll_context)",
    r"action\.(auto_create_index|destructive_requires_name)",
    r"network\.breaker\.inflight_requests\.\w+", r"script\.max_compilations_rate",
    r"transport\.tracer\.(include|exclude)", r"logger\..+",
    r"xpack\.monitoring\.collection\.(enabled|interval)", r"indices\.lifecycle\.poll_interval",
)))
REMOTE = "cluster.remote.{}.seeds"
Text = str | None


def is_live(key: str) -> bool:
    """Whether a setting of the cluster can be changed while it runs."""
    return LIVE.fullmatch(key) is not None


def static(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are read when a node starts."""
    return {key: value for key, value in settings.items() if not is_live(key)}


def text(value: Any) -> str:
    """A setting as Elasticsearch shows it, lists as JSON."""
    if isinstance(value, (list, tuple)):
        return json.dumps([text(item) for item in value])
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def wanted(state: ClusterState) -> dict[str, str]:
    """Every live setting that the spec wants, remote clusters included.

    A remote cluster whose nodes are not known (yet) is left as it is.
    """
    found = {key: text(value) for key, value in state.spec.cluster_settings().items()
             if is_live(key) and value is not None}
    for remote in state.spec.remotes:
        seeds = remote.seeds if remote.cluster is None else state.remotes.get(remote.cluster)
        if seeds:
            found[REMOTE.format(remote.name)] = text(seeds)
    return found


def kept(state: ClusterState) -> set[str]:
    """Settings of ours to leave alone: of remote clusters that are not known at the moment."""
    return {REMOTE.format(remote.name) for remote in state.spec.remotes}


def changes(state: ClusterState) -> dict[str, Text]:
    """What to set (text) or to take out (None), by what Elasticsearch showed last."""
    if state.es is None:
        return {}
    goal, found = wanted(state), state.es.persistent
    todo: dict[str, Text] = {key: value for key, value in goal.items()
                             if found.get(key) != value}
    for key in state.live_keys:
        if key not in goal and key not in kept(state) and key in found:
            todo[key] = None
    return todo


def settled_keys(state: ClusterState) -> tuple[str, ...]:
    """The keys that are ours once everything is set."""
    goal = set(wanted(state))
    return tuple(sorted(goal | (set(state.live_keys) & kept(state))))


def intents(state: ClusterState, now: float, what: str) -> tuple[ev.Event, ...]:
    """To be stored before anything is set: from then on the keys are ours."""
    keys = tuple(sorted({*state.live_keys, *wanted(state)}))
    return ev.LiveKeysSettled(now, keys), ev.AskedFor(now, what)
