"""What the service shows of housekeeping: read-only models for API, CLI and UI."""
from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from .views import OperationView


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class ActView(_View):
    """An index or alias, and why something would be done to it, or why it is left alone."""

    target: str = Field(examples=["logs-000007"])
    why: str


class PolicyView(_View):
    """One rule of a policy: what it sees, what it would do next, and what keeps it from that."""

    policy: str = Field(examples=["merge"], description="its name in the spec")
    subject: str = Field("", description="which of its rules: a pattern, an alias")
    sees: str = Field(description="in one sentence, with the figures")
    acts: list[ActView] = Field([], description="what it would do next, the most urgent first")
    beyond: int = Field(0, description="what it would do after that")
    leaves: list[ActView] = Field([], description="what it is about and leaves alone, and why; for "
                                  "guards: what is beyond them")
    advises: bool = Field(False, description="it only tells")
    held_by: str = Field("", description="the gate that it would wait for now")
    acts_not_because: str = Field("", description="why the service does nothing by it now")
    last: OperationView | None = Field(None, description="what was done by it last")


class HousekeepingView(_View):
    """What every policy of a cluster sees and does."""

    cluster: str
    at: float = Field(description="when the indices were looked at")
    every_s: int = Field(description="from one look to the next, when a policy acts")
    policies: list[PolicyView] = Field(description="those that are on")
