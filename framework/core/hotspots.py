"""Hot spots: which nodes bear more than their share, and what moving a shard would do about it.

Figures in, a report out; nothing is performed. The measure is the standard deviation over nodes, as
people who run many clusters on one set of machines use it. A proposal is one shard that moves, or
two that change places: Elasticsearch itself balances the number of shards, and would take a single
move back. Source: Elasticsearch reference, "Cluster-level shard allocation and routing settings".
"""
from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# Dimensions that a shard takes with it, and how people read them. Of ``time`` a node's load, its
# I/O and much of its heap follow, none of which Elasticsearch tells by shard.
DIMENSIONS: Mapping[str, str] = {
    "store_mb": "disk: size of the shards on a node",
    "shards": "number of shards on a node",
    "indexing_per_s": "documents indexed a second",
    "searches_per_s": "queries a second",
    "time_ms_per_s": "time spent on indexing and searching, in ms a second: load",
}
# Dimensions that are told, and that no shard's share is known of.
TOLD: Mapping[str, str] = {
    "disk_used_percent": "disk in use",
    "heap_used_percent": "heap in use",
    "load_1m": "load of the host",
    "disk_write_per_s": "writes to disk a second",
}
HOT = 1.5                           # times the mean: beyond it a node is an outlier
DEVIATIONS = 2.0                    # or so many standard deviations above it
DISK_SHARE = 85.0                   # percent: Elasticsearch's low watermark
TARGETS = 5                         # the coolest nodes are tried, not all
CANDIDATES = 20                     # the heaviest shards of the hottest node
GAIN = 0.05                         # of the deviation: less is not worth a copy over the network


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """What one node bears, by dimension; a figure that is not known is missing."""

    node: str
    host: str
    figures: Mapping[str, float]
    disk_free_mb: float | None = None
    disk_total_mb: float | None = None
    takes_shards: bool = True           # not when it is about to leave, or is no data node


@dataclass(frozen=True, slots=True)
class ShardCopy:
    """One started copy of a shard, and what goes with it, by dimension."""

    index: str
    number: int
    node: str
    store_mb: float
    primary: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The shard, whichever copy."""
        return f"{self.index}[{self.number}]"

    def share(self, dimension: str) -> float:
        """What a node has less without it."""
        if dimension == "shards":
            return 1.0
        return self.store_mb if dimension == "store_mb" else self.shares.get(dimension, 0.0)


@dataclass(frozen=True, slots=True)
class Move:
    """One copy of a shard from a node to another."""

    index: str
    number: int
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """Moves that belong together, and the deviation before and after them."""

    dimension: str
    moves: tuple[Move, ...]
    before: float
    after: float
    moved_mb: float
    why: str


@dataclass(frozen=True, slots=True)
class Outlier:
    """A node that bears much more than the others, and the shards that it comes from."""

    node: str
    host: str
    figure: float
    times_mean: float
    heaviest: tuple[tuple[str, float], ...] = ()        # (shard, share)


@dataclass(frozen=True, slots=True)
class Spread:
    """One dimension over all nodes."""

    dimension: str
    mean: float
    deviation: float
    outliers: tuple[Outlier, ...]
    figures: tuple[tuple[str, float], ...]              # (node, figure), the highest first

    @property
    def relative_percent(self) -> float:
        """The deviation over the mean."""
        return 100 * self.deviation / self.mean if self.mean else 0.0


def mean_and_deviation(figures: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of all there is (not of a sample); zeros for nothing."""
    if not figures:
        return 0.0, 0.0
    mean = math.fsum(figures) / len(figures)
    return mean, math.sqrt(math.fsum((one - mean) ** 2 for one in figures) / len(figures))


def is_hot(figure: float, mean: float, deviation: float) -> bool:
    """Whether a node stands out; with few nodes two deviations are never reached."""
    return figure > 0 and (figure >= HOT * mean or (
        deviation > 0 and figure - mean >= DEVIATIONS * deviation and figure >= 1.2 * mean))


def spread(nodes: Sequence[NodeLoad], copies: Iterable[ShardCopy], dimension: str) -> Spread:
    """How one dimension is spread over the nodes that have a figure."""
    known = [(one, one.figures[dimension]) for one in nodes if dimension in one.figures]
    mean, deviation = mean_and_deviation([figure for _, figure in known])
    hot = {one.node: (one, figure) for one, figure in known
           if len(known) > 1 and is_hot(figure, mean, deviation)}
    shares: dict[str, list[tuple[float, str]]] = defaultdict(list)
    if hot and dimension in DIMENSIONS:
        for copy in copies:
            if copy.node in hot:
                shares[copy.node].append((copy.share(dimension), copy.id))
    outliers = tuple(
        Outlier(name, one.host, figure, figure / mean if mean else 0.0, tuple(
            (shard, share) for share, shard in heapq.nlargest(3, shares[name])))
        for name, (one, figure) in sorted(hot.items(), key=lambda item: -item[1][1]))
    ordered = sorted(((one.node, figure) for one, figure in known),
                     key=lambda item: (-item[1], item[0]))
    return Spread(dimension, mean, deviation, outliers, tuple(ordered))


def spreads(nodes: Sequence[NodeLoad], copies: Sequence[ShardCopy]) -> list[Spread]:
    """Every dimension that at least two nodes have a figure of."""
    found = [spread(nodes, copies, dimension) for dimension in (*DIMENSIONS, *TOLD)]
    return [one for one in found if len(one.figures) > 1]


class _Layout:
    """Who holds what, as it is after the moves proposed so far."""

    def __init__(self, nodes: Sequence[NodeLoad], copies: Sequence[ShardCopy],
                 dimension: str) -> None:
        self.dimension = dimension
        self.settled: set[str] = set()      # shards that a proposal has moved already
        self.nodes = {one.node: one for one in nodes
                      if one.takes_shards and dimension in one.figures}
        self.figures = {name: one.figures[dimension] for name, one in self.nodes.items()}
        self.held: dict[str, dict[str, ShardCopy]] = {name: {} for name in self.nodes}
        self.holders: dict[str, set[str]] = defaultdict(set)
        self.added_mb: dict[str, float] = defaultdict(float)
        for copy in copies:
            self.holders[copy.id].add(copy.node)
            if copy.node in self.held:
                self.held[copy.node][copy.id] = copy
        self.hosts = {one.node: one.host for one in nodes}

    def deviation(self) -> float:
        return mean_and_deviation(tuple(self.figures.values()))[1]

    def may_hold(self, target: str, copy: ShardCopy, frees_mb: float = 0.0) -> bool:
        """No other copy on that node or host, and the disk stays below the low watermark."""
        if target in self.holders[copy.id]:
            return False
        others = self.holders[copy.id] - {copy.node}
        if any(self.hosts.get(other) == self.hosts[target] for other in others):
            return False
        node = self.nodes[target]
        if node.disk_free_mb is None or not node.disk_total_mb:
            return False                    # nobody knows whether it has room
        needed = copy.store_mb - frees_mb + self.added_mb[target]
        return node.disk_free_mb - needed >= node.disk_total_mb * (1 - DISK_SHARE / 100)

    def moved(self, copy: ShardCopy, target: str) -> None:
        """Take a move as done."""
        self.settled.add(copy.id)
        share = copy.share(self.dimension)
        self.figures[copy.node] -= share
        self.figures[target] += share
        self.added_mb[copy.node] -= copy.store_mb
        self.added_mb[target] += copy.store_mb
        del self.held[copy.node][copy.id]
        self.holders[copy.id] = self.holders[copy.id] - {copy.node} | {target}
        self.held[target][copy.id] = ShardCopy(copy.index, copy.number, target, copy.store_mb,
                                               copy.primary, copy.shares)

    def after(self, source: str, target: str, share: float) -> float:
        """The deviation when so much went from one node to another."""
        changed = dict(self.figures)
        changed[source] -= share
        changed[target] += share
        return mean_and_deviation(tuple(changed.values()))[1]

    def in_return(self, copy: ShardCopy, target: str) -> ShardCopy | None:
        """A light shard of the target for the source; one of the same index above all.

        Without it the numbers of shards would differ by more than before, and Elasticsearch's own
        balance would move something back.
        """
        fitting = [other for other in self.held[target].values()
                   if other.id not in self.settled and other.id != copy.id
                   and other.share(self.dimension) < copy.share(self.dimension)
                   and self.may_hold(copy.node, other, copy.store_mb)]
        return min(fitting, default=None, key=lambda other: (
            other.index != copy.index, other.share(self.dimension), other.id))


def propose(nodes: Sequence[NodeLoad], copies: Sequence[ShardCopy], dimension: str,
            most: int = 3) -> list[Proposal]:
    """Up to so many proposals, each on top of those before it; fewer when nothing more helps."""
    if dimension not in DIMENSIONS:
        return []
    layout = _Layout(nodes, copies, dimension)
    found: list[Proposal] = []
    while len(found) < most and len(layout.figures) > 1:
        proposal = _best(layout)
        if proposal is None:
            break
        for move in proposal.moves:
            shard = f"{move.index}[{move.number}]"
            layout.moved(layout.held[move.source][shard], move.target)
        found.append(proposal)
    return found


def _best(layout: _Layout) -> Proposal | None:
    """The one that lowers the deviation most, from the node that bears most."""
    dimension, before = layout.dimension, layout.deviation()
    source = max(layout.figures, key=lambda name: (layout.figures[name], name))
    coolest = heapq.nsmallest(TARGETS, (name for name in layout.figures if name != source),
                              key=lambda name: (layout.figures[name], name))
    heaviest = heapq.nlargest(
        CANDIDATES, (copy for copy in layout.held[source].values()
                        if copy.id not in layout.settled),
        key=lambda copy: (copy.share(dimension), copy.id))
    best: tuple[float, ShardCopy, ShardCopy | None, str] | None = None
    for copy in heaviest:
        for target in coolest:
            counts = len(layout.held[target]) + 1 - (len(layout.held[source]) - 1)
            other = (layout.in_return(copy, target)
                     if counts > 1 and dimension != "shards" else None)
            if not layout.may_hold(target, copy, other.store_mb if other else 0.0):
                continue
            back = other.share(dimension) if other else 0.0
            after = layout.after(source, target, copy.share(dimension) - back)
            if best is None or after < best[0]:
                best = after, copy, other, target
    if best is None or best[0] > before * (1 - GAIN):
        return None
    return _told(layout, before, *best)


def _told(layout: _Layout, before: float, after: float, copy: ShardCopy,
          other: ShardCopy | None, target: str) -> Proposal:
    dimension, source = layout.dimension, copy.node
    moves = [Move(copy.index, copy.number, source, target)]
    why = (f"{source} bears {layout.figures[source]:.4g}, {target} {layout.figures[target]:.4g}; "
           f"{copy.id} is {copy.share(dimension):.4g} of it")
    if other is not None:
        moves.append(Move(other.index, other.number, target, source))
        why += f"; {other.id} ({other.share(dimension):.4g}) goes back for it"
    return Proposal(dimension, tuple(moves), before, after,
                    copy.store_mb + (other.store_mb if other else 0.0), why)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What one node of any cluster takes of its host, in one dimension."""

    cluster: str
    node: str
    host: str
    share: float


@dataclass(frozen=True, slots=True)
class HostMove:
    """A node that would better be elsewhere, and the deviation over hosts before and after."""

    cluster: str
    node: str
    source: str
    target: str
    share: float
    before: float
    after: float


def propose_host_moves(hosts: Mapping[str, float], nodes: Sequence[Tenancy],
                       most: int = 3) -> list[HostMove]:
    """Nodes of the hottest host that could go to the coolest one without another of their cluster.

    Each is an alternative, computed on what is now; the best first. ``hosts``: figure by host.
    """
    if len(hosts) < 2:
        return []
    mean, before = mean_and_deviation(tuple(hosts.values()))
    source = max(hosts, key=lambda name: (hosts[name], name))
    if not is_hot(hosts[source], mean, before):
        return []
    there: dict[str, set[str]] = defaultdict(set)
    for one in nodes:
        there[one.host].add(one.cluster)
    coolest = heapq.nsmallest(TARGETS, (name for name in hosts if name != source),
                              key=lambda name: (hosts[name], name))
    found = []
    for one in nodes:
        target = next((name for name in coolest if one.cluster not in there[name]), None)
        if one.host != source or target is None:
            continue
        changed = dict(hosts)
        changed[source] -= one.share
        changed[target] += one.share
        after = mean_and_deviation(tuple(changed.values()))[1]
        if after <= before * (1 - GAIN):
            found.append(HostMove(one.cluster, one.node, source, target, one.share, before, after))
    return heapq.nsmallest(most, found, key=lambda move: (move.after, move.cluster, move.node))
