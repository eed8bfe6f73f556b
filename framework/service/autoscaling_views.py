"""What the service shows of autoscaling: read-only models for API, CLI and UI."""
from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class ScaledView(_View):
    """The last change of the number of nodes of a group."""

    at: float
    count_before: int
    count: int
    by: str = Field("", description="autoscale: act; nothing: people")
    why: str = ""


class GroupAutoscaleView(_View):
    """What a group should do, by which figures, and what keeps the service from doing it."""

    group: str
    mode: Literal["advise", "act"]
    count: int
    min: int
    max: int
    wanted: int = Field(description="nodes, by the advice")
    advice: Literal["out", "in", "stay"]
    why: str = Field(examples=["disk 82 % used, above 75: 3 nodes become 4"])
    figures: dict[str, float] = Field(description="means over the window")
    held_by: str = Field("", description="the gate that the change would wait for now")
    refused: list[str] = Field([], description="what would refuse the change, as it would people")
    acts_not_because: str = Field("", description="why the service changes nothing by itself now")
    last: ScaledView | None = None


class AutoscaleView(_View):
    """Every group of a cluster that has a policy."""

    cluster: str
    at: float
    groups: list[GroupAutoscaleView]
