"""What doors show of tenants; the bodies of requests use the same numbers."""
from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...core.quota import FIELDS, Amounts, Limit
from ...core.spec import MAX_SIZE_MB

MAX_CPUS = 1_000_000
# Mesos counts thousandths, and takes no more digits.
_CPUS: dict[str, Any] = {"ge": 0, "le": MAX_CPUS, "allow_inf_nan": False}
_MB: dict[str, Any] = {"ge": 0, "le": MAX_SIZE_MB, "allow_inf_nan": False}


class _View(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AmountsView(_View):
    """So much of each; in CPUs and MB."""

    cpus: float = Field(0.0, **_CPUS)
    mem_mb: float = Field(0.0, **_MB)
    disk_mb: float = Field(0.0, **_MB)

    def amounts(self) -> Amounts:
        """As the core counts it: thousandths."""
        return Amounts(*(round(getattr(self, field), 3) for field in FIELDS))

    @classmethod
    def of(cls, amounts: Amounts) -> AmountsView:
        """From the core's; what went below zero by rounding is zero."""
        return cls(**{field: max(getattr(amounts, field), 0.0) for field in FIELDS})


class LimitView(_View):
    """At most so much of each; nothing is without limit."""

    cpus: float | None = Field(None, **_CPUS)
    mem_mb: float | None = Field(None, **_MB)
    disk_mb: float | None = Field(None, **_MB)

    def limit(self) -> Limit:
        """As the core counts it: thousandths."""
        return Limit(*(None if (value := getattr(self, field)) is None else round(value, 3)
                       for field in FIELDS))

    @classmethod
    def of(cls, limit: Limit) -> LimitView:
        """From the core's."""
        return cls(**{field: getattr(limit, field) for field in FIELDS})


class ShareView(_View):
    """A cluster's part of its tenant."""

    cluster: str
    wanted: AmountsView = Field(description="the most that its spec reserves: nodes, executors, "
                                "extra nodes while a change goes on")
    limit: LimitView


class MasterView(_View):
    """What the leading master says of the tenant's role, all roles below it included."""

    guarantee: AmountsView
    limit: LimitView
    used: AmountsView = Field(description="by tasks and executors that run")
    reserved: AmountsView = Field(description="whether in use or not")
    consumed: AmountsView = Field(description="what counts against the limit there")
    drift: str = Field("", description="how its quota differs from what was applied; set the "
                       "quota again to bring it back")


class TenantView(_View):
    """A tenant: who it is, its quota, and what is used of it."""

    name: str
    display_name: str = ""
    owner: str = ""
    contacts: list[str] = []
    has_quota: bool = Field(description="whether a record is there; without one nothing is limited")
    guarantee: AmountsView = AmountsView()
    limit: LimitView = LimitView()
    cluster_limit: LimitView = LimitView()
    cluster_limits: dict[str, LimitView] = {}
    standing: Literal["none", "pending", "applied", "refused"] = Field(
        description="how far the quota has come to the master")
    why: str = Field("", description="why it is not applied yet, as the master says")
    removing: bool = False
    set_at: float | None = None
    wanted: AmountsView = Field(description="the most that its clusters reserve by their specs; "
                                "requests are checked against this")
    clusters: list[ShareView] = []
    master: MasterView | None = None
    master_problem: str = Field("", description="why the master could not be asked")
