"""What a person wants of autoscaling: between which numbers of nodes, and by which figures."""
from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .hours import PATTERN as HOURS

FIGURES = ("disk_percent", "heap_percent", "load")


class Autoscale(BaseModel):
    """The number of nodes of a group follows its disks, heaps and load, one node at a time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["advise", "act"] = Field(
        "advise", description="advise: what would be done is shown; act: the service makes a "
        "revision of it, checked as one that people ask for")
    min: int = Field(ge=1, le=1000, description="nodes")
    max: int = Field(ge=1, le=1000, description="nodes")
    disk_out_percent: float | None = Field(75, gt=0, le=95, description="used, the mean of the "
                                           "group over window_s; above it a node is added")
    disk_in_percent: float | None = Field(45, gt=0, le=95, description="used; a node goes when "
                                          "no figure of the group was above its limit within "
                                          "window_s")
    heap_out_percent: float | None = Field(None, gt=0, le=99)
    heap_in_percent: float | None = Field(None, gt=0, le=99)
    load_out: float | None = Field(None, gt=0, le=100, description="of the hosts, over their cores")
    load_in: float | None = Field(None, gt=0, le=100)
    window_s: int = Field(600, ge=30, le=86400, description="measured for so long without a gap")
    cool_down_s: int = Field(3600, ge=60, le=30 * 86400, description="after any change of the "
                             "number of nodes, by whomever")
    hours: str = Field("0-24", pattern=HOURS, description="UTC, such as 22-6", examples=["22-6"])

    def limits(self, direction: Literal["out", "in"]) -> dict[str, float]:
        """The limits of one direction, by figure."""
        named = {"out": (self.disk_out_percent, self.heap_out_percent, self.load_out),
                 "in": (self.disk_in_percent, self.heap_in_percent, self.load_in)}[direction]
        return {figure: limit for figure, limit in zip(FIGURES, named, strict=True)
                if limit is not None}

    @model_validator(mode="after")
    def _bounds(self) -> Autoscale:
        wrong = []
        if self.min > self.max:
            wrong.append(f"min {self.min} is more than max {self.max}")
        out, back = self.limits("out"), self.limits("in")
        if not out:
            wrong.append("no limit for a further node: disk_out_percent, heap_out_percent or "
                         "load_out")
        wrong += [f"{figure}: the limit for fewer nodes ({back[figure]:g}) is below that for more "
                  f"({out[figure]:g})" for figure in FIGURES
                  if figure in out and figure in back and back[figure] >= out[figure]]
        wrong += [f"{figure}: a limit for fewer nodes needs one for more" for figure in FIGURES
                  if figure in back and figure not in out]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self
