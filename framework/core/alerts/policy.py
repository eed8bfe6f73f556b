"""Limits of alerts as people set them: for one cluster in its spec, for all in a file.

What is not set is as the table of rules has it (``rules.py``).
"""
from __future__ import annotations

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)


class Limit(BaseModel):
    """When a rule speaks up; nothing: as it is by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    above: float | None = Field(None, ge=0, lt=1e12, description="a warning above this; for node "
                                "counts: so many may be missing")
    critical: float | None = Field(None, ge=0, lt=1e12, description="critical above this")
    for_s: float | None = Field(None, ge=0, le=86400, description="how long it must last")

    @model_validator(mode="after")
    def _in_order(self) -> Limit:
        if self.above is not None and self.critical is not None and self.critical < self.above:
            raise ValueError(f"critical {self.critical:g} is below above {self.above:g}")
        return self

    @model_serializer(mode="wrap")
    def _sparse(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class AlertPolicy(BaseModel):
    """Limits by rule, and rules that are off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster_red: Limit | None = None
    cluster_yellow: Limit | None = None
    cluster_unseen: Limit | None = None
    unassigned_shards: Limit | None = None
    node_count: Limit | None = None
    node_restarting: Limit | None = None
    gc_time: Limit | None = None
    old_generation: Limit | None = None
    node_disk: Limit | None = None
    disk_full_soon: Limit | None = None
    rejections: Limit | None = None
    snapshot_late: Limit | None = None
    snapshot_failed: Limit | None = None
    snapshot_drill_failed: Limit | None = None
    plan_stuck: Limit | None = None
    scheduler_without_master: Limit | None = None
    host_disk: Limit | None = None
    host_load: Limit | None = None
    agent_lost: Limit | None = None
    mesos_away: Limit | None = None
    store_trouble: Limit | None = None
    quota_nearly_used: Limit | None = None
    disabled: tuple[str, ...] = Field((), description="rules that are off")

    @field_validator("disabled")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = cls.model_fields.keys() - {"disabled"}
        if odd := sorted(set(value) - known):
            raise ValueError(f"no rules are called {', '.join(odd)}; there are: "
                             + ", ".join(sorted(known)))
        return value

    @model_serializer(mode="wrap")
    def _sparse(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value}

    def limit(self, rule: str) -> Limit:
        """What is set for a rule; empty when nothing is."""
        found: Limit | None = getattr(self, rule, None)
        return found or Limit()


NO_POLICY = AlertPolicy()
