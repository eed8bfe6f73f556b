"""The part of the REST API behind charts: series of clusters, nodes and hosts."""
from __future__ import annotations

from esaas.framework.service.hosts import check_host
from esaas.framework.service.views import HostLoadView, SeriesView
from pydantic import BaseModel, ConfigDict, Field

from .route import CLUSTER, Call, Reply, get

LATEST_S = 1e11


class HostSeriesQuery(BaseModel):
    """Which metric, and from when to when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(max_length=100, examples=["cpu_percent"])
    since: float | None = Field(None, ge=0, le=LATEST_S, allow_inf_nan=False,
                                description="seconds since the epoch; nothing: an hour before")
    until: float | None = Field(None, ge=0, le=LATEST_S, allow_inf_nan=False,
                                description="seconds since the epoch; nothing: now")
    points: int = Field(300, ge=1, le=2000, description="at most so many of each line")


class SeriesQuery(HostSeriesQuery):
    """The same, of a cluster or its nodes."""

    node: str | None = Field(None, max_length=200, description="the name of a node, or * for all "
                             "of them; nothing: the cluster as a whole")


async def series(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/series``."""
    asked = call.query
    return Reply(await call.service.series(call.name, asked.metric, asked.node, asked.since,
                                           asked.until, asked.points))


async def host_series(call: Call) -> Reply:
    """``GET /v1/hosts/{host}/series``."""
    asked = call.query
    return Reply(await call.service.host_series(
        check_host(call.path["host"]), asked.metric, asked.since, asked.until, asked.points))


async def hosts_load(call: Call) -> Reply:
    """``GET /v1/hosts/load``."""
    return Reply(call.service.hosts_load())


CHART_ROUTES = (
    get(f"{CLUSTER}/series", series, "showSeries", "A metric of a cluster or its nodes over the "
        "last hours or days", SeriesView, query=SeriesQuery),
    get("/v1/hosts/load", hosts_load, "listHostLoad", "The newest figures of all hosts that this "
        "process has seen", list[HostLoadView]),
    get("/v1/hosts/{host}/series", host_series, "showHostSeries", "A metric of a host over the "
        "last hours or days, as far as this process has seen it", SeriesView,
        query=HostSeriesQuery),
)
