"""What the service shows of hot spots: read-only models for API, CLI and UI."""
from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Dimension = Literal["store_mb", "shards", "indexing_per_s", "searches_per_s", "time_ms_per_s"]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class ShareView(_View):
    """A shard, and what a node would have less without it."""

    shard: str = Field(examples=["logs-2026.11.27[0]"])
    share: float


class OutlierView(_View):
    """A node or host that bears much more than the others, and what that comes from."""

    name: str
    host: str
    figure: float
    times_mean: float
    heaviest: list[ShareView] = []


class FigureView(_View):
    """One node's or host's figure."""

    name: str
    figure: float


class SpreadView(_View):
    """How one dimension is spread: standard deviation, outliers, and every figure."""

    dimension: str
    meaning: str
    mean: float
    deviation: float
    relative_percent: float = Field(description="the deviation over the mean")
    outliers: list[OutlierView]
    figures: list[FigureView]


class MoveView(_View):
    """A copy of a shard that goes from a node to another."""

    index: str
    shard: int
    source: str
    target: str


class ProposalView(_View):
    """Moves that belong together, and what they would do."""

    id: str = Field(description="of these very moves; to apply them")
    dimension: str
    moves: list[MoveView]
    deviation_before: float
    deviation_after: float
    gain_percent: float
    moved_mb: float
    why: str


class HotspotsView(_View):
    """Where a cluster is hot, why, and what would help."""

    cluster: str
    at: float
    spreads: list[SpreadView]
    proposals: list[ProposalView]
    held_by: str = Field("", description="the gate that moves would wait for now")
    mode: Literal["advise", "act"]
    acts_not_because: str = Field("", description="why the service moves nothing by itself now")


class HostMoveView(_View):
    """A node that would better be on another host."""

    cluster: str
    node: str
    source: str
    target: str
    share: float
    deviation_before: float
    deviation_after: float


class HostSpotsView(_View):
    """Which hosts bear more than their share, and the nodes that could leave them."""

    at: float
    spreads: list[SpreadView]
    moves: dict[str, list[HostMoveView]] = Field(description="alternatives by dimension")
    hosts: int = Field(description="hosts that this process knows figures of")
