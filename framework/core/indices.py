"""Indices of a cluster as housekeeping sees them: one look, and since when nobody has written.

A look is a value that the observer brings; what cannot be seen of an index is None, and whoever
needs it leaves the index alone.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .snapshots import DRILLED, matching

REMEMBERED = 2000                   # indices of a cluster: their record stays below 1 MB


@dataclass(frozen=True, slots=True)
class Index:
    """One index. Sizes are MB, times seconds since the epoch."""

    name: str
    uuid: str
    created_at: float
    shards: int = 1                     # primaries
    replicas: int = 0
    auto_expand: bool = False
    managed: bool = False               # by Elasticsearch's own life cycle: two hands would fight
    full_disk: bool = False             # index.blocks.read_only_allow_delete
    blocks: tuple[str, ...] = ()        # the others that are set: read_only, write, read, metadata
    limits: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    # None when a primary has not started, or the index is closed.
    documents: int | None = None        # of the primaries, as are the next two
    primary_mb: float | None = None
    written: int | None = None          # sequence numbers given out: grows with every write
    store_mb: float | None = None       # of all copies
    segments: int | None = None         # the most of any copy of a shard

    @property
    def locked(self) -> bool:
        """Whether its settings and segments cannot be changed."""
        return self.full_disk or bool({"read_only", "metadata"} & {*self.blocks})


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of one index or several; ``writes`` is the one it says it writes into."""

    name: str
    indices: tuple[str, ...]
    writes: str | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """Of a data node; None when it has not said."""

    total_mb: float | None = None
    free_mb: float | None = None

    @property
    def used_percent(self) -> float | None:
        """How full it is."""
        if not self.total_mb or self.free_mb is None:
            return None
        return 100 * (1 - self.free_mb / self.total_mb)


@dataclass(frozen=True, slots=True)
class IndexLook:
    """All indices, aliases and disks of data nodes at one moment."""

    at: float
    indices: Mapping[str, Index]
    aliases: Mapping[str, Alias] = field(default_factory=lambda: MappingProxyType({}))
    disks: Mapping[str, Disk] = field(default_factory=lambda: MappingProxyType({}))
    high_watermark: str = ""            # as Elasticsearch has it: 90%, 0.9, 50gb; empty: not seen
    clock_off_s: float | None = None    # the most that a data node's clock is off ours

    def subjects(self, patterns: str) -> list[Index]:
        """The indices that patterns name, without those of the system and of restore drills."""
        plain = (name for name in self.indices if not name.startswith((".", DRILLED)))
        return [self.indices[name] for name in matching(plain, patterns)]

    def write_indices(self) -> dict[str, str]:
        """Indices that an alias says it writes into, each with a name of such an alias."""
        return {alias.writes: alias.name for alias in self.aliases.values() if alias.writes}

    def only_indices(self) -> dict[str, str]:
        """Indices without which an alias would be nothing, each with a name of such an alias."""
        return {alias.indices[0]: alias.name for alias in self.aliases.values()
                if len(alias.indices) == 1}


@dataclass(frozen=True, slots=True)
class Quiet:
    """The last that was seen written of an index, and since when it has stayed like that."""

    uuid: str
    written: int
    since: float


Memory = Mapping[str, Quiet]            # by name of the index


def remembered(memory: Memory, look: IndexLook) -> dict[str, Quiet]:
    """What is known after a look; an index that cannot be seen just now keeps what was known.

    Every write takes the next sequence number, so one that is the same as weeks ago says that
    nobody has written in between, whether somebody has looked or not.
    """
    found = {}
    for name, index in look.indices.items():
        known = memory.get(name)
        if known is not None and known.uuid == index.uuid and (
                index.written is None or index.written == known.written):
            found[name] = known
        elif index.written is not None:
            found[name] = Quiet(index.uuid, index.written, look.at)
    return found


def worth_keeping(memory: Memory) -> dict[str, Quiet]:
    """The longest idle ones, at most so many."""
    kept = sorted(memory, key=lambda name: (memory[name].since, name))
    return {name: memory[name] for name in kept[:REMEMBERED]}


def quiet_since(memory: Memory, index: Index) -> float | None:
    """Since when nobody has written to it; None when nobody knows."""
    known = memory.get(index.name)
    if known is None or index.written is None or (known.uuid, known.written) != (
            index.uuid, index.written):
        return None
    return known.since
