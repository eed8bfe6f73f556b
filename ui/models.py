"""What requests may carry: queries and bodies, checked by pydantic, all faults at once."""
from __future__ import annotations

from esaas.framework.core.spec import Name
from pydantic import BaseModel, ConfigDict, Field


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NoQuery(_Request):
    """No query parameters."""


class ListQuery(_Request):
    """Which clusters."""

    tenant: str | None = Field(None, description="only the clusters of this tenant")


class ChangeQuery(_Request):
    """How a change is made."""

    dry_run: bool = Field(False, description="check only, change nothing")


class OverrideQuery(ChangeQuery):
    """How a change is made to a running cluster."""

    override: str | None = Field(None, max_length=100, description="the name of one rule that is "
                                 "not to refuse this change; it is recorded")


class DeleteQuery(_Request):
    """The name once more, so that no slip deletes data."""

    confirm: str = Field(description="the name of the cluster again")


class EventsQuery(_Request):
    """Which events."""

    after: int | None = Field(None, ge=0, description="only those with a higher sequence number; "
                              "without it the newest, or for a stream those from now on")
    limit: int = Field(200, ge=1, le=1000, description="at most so many; no meaning for a stream")


class StreamQuery(_Request):
    """Where a stream starts."""

    after: int | None = Field(None, ge=0, description="replay from this sequence number; the "
                              "header Last-Event-ID takes precedence")


class ScaleRequest(_Request):
    """How many nodes a group is to have."""

    group: Name
    count: int = Field(ge=0, le=1000, strict=True)


class RollbackRequest(_Request):
    """Which spec is wanted again."""

    revision: int = Field(ge=1, le=2**53, strict=True, description="the number of the revision")


class NoBody(_Request):
    """Nothing at all, or an object without fields."""
