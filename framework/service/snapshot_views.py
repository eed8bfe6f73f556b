"""What the service shows of snapshots: read-only models for API, CLI and UI."""
from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class TakenView(_View):
    """A snapshot as the repository lists it."""

    name: str = Field(examples=["esaas-3f2a9c-1796072885"])
    status: str = Field(description="SUCCESS, PARTIAL, FAILED, IN_PROGRESS")
    own: bool = Field(description="made by this service for this cluster; only these expire")
    started_at: float
    ended_at: float | None
    indices: list[str]
    shards: int
    shards_failed: int


class SnapshotsView(_View):
    """How it stands with a cluster's snapshots, and what its repository holds."""

    cluster: str
    at: float
    repository: dict[str, object] | None = Field(
        description="type and settings, filled in; null: no snapshots are made")
    every_s: int | None
    keep: int | None
    drill_every_s: int | None
    indices: str = ""
    newest: str = Field("", description="the name of the last complete one of the service")
    taken_at: float | None = Field(None, description="when that was asked for")
    next_at: float | None = Field(None, description="when the next one is due")
    drilled_at: float | None = None
    next_drill_at: float | None = None
    failed: str = Field("", description="why the last one, or the check of the repository, failed")
    drill_failed: str = ""
    held_by: str = Field("", description="the gate that holds the next one, and why")
    listed: list[TakenView] | None = Field(
        description="newest first; null when the repository cannot be asked now")
    unlisted_because: str = ""
