"""What a stand-in cluster knows: settings, templates, indices and where their copies are. Pure.

Copies hold no data, so that they move and recover at once; all else is as in Elasticsearch 6.8 as
far as the service looks: a copy whose node is away waits for it, and comes back as the allocation
setting permits. Standard library only, and little of it: hundreds of nodes run at a time.
"""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:                       # the module typing alone would cost a MiB in each node
    from collections.abc import Iterator
    from typing import Any, TypedDict

    class Copy(TypedDict):
        """One copy of a shard; ``node``: its place, also while that node is away."""

        shard: int
        node: str | None
        active: bool
        gone_at: float | None

    class Index(TypedDict):
        """An index: its own settings, flat, and its copies."""

        settings: dict[str, Any]
        copies: list[Copy]

ENABLE = "cluster.routing.allocation.enable"
EXCLUDE = "cluster.routing.allocation.exclude._name"
MINIMUM = "discovery.zen.minimum_master_nodes"
DELAY = "index.unassigned.node_left.delayed_timeout"
REPLICAS, PRIMARIES = "index.number_of_replicas", "index.number_of_shards"
DEFAULT_DELAY_S = 60.0
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def flat(body: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as flat ones; numbers and flags as texts, as Elasticsearch answers them."""
    found: dict[str, Any] = {}
    for key, value in body.items():
        if isinstance(value, dict):
            found.update(flat(value, f"{prefix}{key}."))
        elif isinstance(value, bool):
            found[prefix + key] = str(value).lower()
        else:
            found[prefix + key] = str(value) if isinstance(value, int | float) else value
    return found


def seconds(text: str) -> float:
    """A time such as ``613s`` or ``1m``. Raises ValueError."""
    number = text.rstrip("smhd")
    return float(number) * UNITS_S[text[len(number):]] if text != number else float(text) / 1000


class ClusterState:
    """The state that the master changes and all nodes keep."""

    def __init__(self) -> None:
        self.uuid = "_na_"
        self.term = self.version = 0
        self.persistent: dict[str, Any] = {}
        self.transient: dict[str, Any] = {}
        self.templates: dict[str, dict[str, Any]] = {}
        self.indices: dict[str, Index] = {}

    @property
    def age(self) -> tuple[int, int]:
        """The higher, the newer."""
        return self.term, self.version

    def load(self, body: dict[str, Any]) -> None:
        """Become what another node, or the disk, says."""
        self.__dict__.update(body)

    def dump(self) -> dict[str, Any]:
        """All of it, as JSON takes it."""
        return dict(self.__dict__)

    # ----------------------------------------------------------------- changes

    def setting(self, key: str, default: str) -> str:
        """The value in force: a transient one masks a persistent one."""
        return self.transient.get(key) or self.persistent.get(key) or default

    def put_settings(self, body: dict[str, Any]) -> None:
        """Cluster settings of both layers; null takes one away."""
        for name, layer in (("persistent", self.persistent), ("transient", self.transient)):
            merge(layer, flat(body.get(name) or {}))

    def put_index_settings(self, names: list[str], body: dict[str, Any], keep: bool) -> None:
        """Settings of indices; ``keep``: only where there is none yet. KeyError without index."""
        wanted = {key if key.startswith("index.") else f"index.{key}": value
                  for key, value in flat(body.get("settings", body)).items()}
        for name in names:
            settings = self.indices[name]["settings"]
            merge(settings, {key: value for key, value in wanted.items()
                             if not (keep and key in settings)})

    def create_index(self, name: str, body: dict[str, Any]) -> None:
        """An index with the settings of the body over those of all templates."""
        settings = {PRIMARIES: "1", REPLICAS: "1"}
        for source in (*self.templates.values(), body):
            for key, value in flat(source.get("settings") or {}).items():
                settings[key if key.startswith("index.") else f"index.{key}"] = value
        copies: list[Copy] = [
            {"shard": shard, "node": None, "active": False, "gone_at": None}
            for shard in range(int(settings[PRIMARIES]))
            for _ in range(1 + int(settings[REPLICAS]))]
        self.indices[name] = {"settings": settings, "copies": copies}

    # -------------------------------------------------------------- allocation

    def groups(self) -> Iterator[tuple[str, int, Index, list[Copy]]]:
        """(index, shard, its index, its copies) of every shard."""
        for name, index in self.indices.items():
            for shard in range(int(index["settings"][PRIMARIES])):
                yield name, shard, index, [c for c in index["copies"] if c["shard"] == shard]

    def allocate(self, present: set[str], now: float) -> bool:
        """Fit the copies to the data nodes that are present; whether anything has changed."""
        enable = self.setting(ENABLE, "all")
        excluded = {name for name in self.setting(EXCLUDE, "").split(",") if name}
        loads = dict.fromkeys(present, 0)
        for index in self.indices.values():
            for copy in index["copies"]:
                if copy["node"] in loads:
                    loads[copy["node"]] += 1
        changed = False
        for _, _, index, copies in self.groups():
            delay_s = seconds(index["settings"].get(DELAY) or f"{DEFAULT_DELAY_S}s")
            for copy in copies:
                if copy["active"] and copy["node"] not in present:
                    copy["active"], copy["gone_at"], changed = False, now, True
            changed = _serve(copies, loads, excluded, enable, now - delay_s) or changed
        self.version += changed
        return changed

    # ----------------------------------------------------------------- answers

    def health(self) -> dict[str, Any]:
        """Status and counts of shards, as ``_cluster/health`` has them."""
        active = primaries = unassigned = 0
        status = "green"
        for _, _, _, copies in self.groups():
            count = sum(copy["active"] for copy in copies)
            active, unassigned = active + count, unassigned + len(copies) - count
            primaries += count > 0
            if not count:
                status = "red"
            elif count < len(copies) and status == "green":
                status = "yellow"
        return {"status": status, "active_primary_shards": primaries, "active_shards": active,
                "relocating_shards": 0, "initializing_shards": 0, "unassigned_shards": unassigned}

    def cat_shards(self) -> list[dict[str, Any]]:
        """A row for each copy."""
        return [{"index": name, "shard": str(shard), "store": "0" if copy["active"] else None,
                 "state": "STARTED" if copy["active"] else "UNASSIGNED",
                 "node": copy["node"] if copy["active"] else None}
                for name, shard, _, copies in self.groups() for copy in copies]


def merge(layer: dict[str, Any], values: dict[str, Any]) -> None:
    """Lay values over others; None takes one away."""
    for key, value in values.items():
        if value is None:
            layer.pop(key, None)
        else:
            layer[key] = value


def _serve(copies: list[Copy], loads: dict[str, int], excluded: set[str], enable: str,
           given_up_before: float) -> bool:
    """Start and move the copies of one shard as far as it is permitted."""
    changed = False
    for copy in copies:
        primary = not any(other["active"] for other in copies)
        if enable not in (("all", "primaries", "new_primaries") if primary else ("all",)):
            continue
        node, fresh = copy["node"], all(other["node"] is None for other in copies)
        leaves = node in excluded
        if node in loads and not leaves:
            if not copy["active"]:
                copy["active"], copy["gone_at"], changed = True, None, True
            continue
        waits = node is not None and not leaves and (copy["gone_at"] or 0) > given_up_before
        if waits or (primary and not fresh):
            continue                    # its data is only there
        held = {other["node"] for other in copies} | excluded
        free = sorted((load, name) for name, load in loads.items() if name not in held)
        if free:
            copy["node"], copy["active"], copy["gone_at"], changed = free[0][1], True, None, True
            loads[free[0][1]] += 1
    return changed
