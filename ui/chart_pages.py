"""Pages of charts: a cluster and its nodes over time, a host over time, all hosts as a heat map."""
from __future__ import annotations

import time
from typing import ClassVar
from urllib.parse import quote

from esaas.framework.core.errors import Fault
from esaas.framework.service.access.people import Role
from esaas.framework.service.errors import Invalid
from esaas.framework.service.hosts import check_host
from esaas.framework.service.views import SeriesView
from esaas.framework.telemetry.readings import BY_NAME, Scope
from tornado.routing import URLSpec

from .charts import STYLES, drawn
from .pages import Page

RANGES = {"1h": 3600.0, "6h": 6 * 3600.0, "24h": 86400.0, "7d": 7 * 86400.0, "14d": 14 * 86400.0}
# Charts of a cluster, then those that compare its nodes.
OF_CLUSTER = ("documents", "store_mb", "nodes", "unassigned_shards")
OF_NODES = ("heap_used_percent", "gc_old_ms_per_s", "disk_used_percent", "indexing_per_s",
            "searches_per_s", "search_ms", "cpu_percent", "load_1m", "rejections_per_s",
            "segments_mb")
OF_HOST = ("load_1m", "cpu_percent", "disk_used_percent", "disk_write_per_s", "indexing_per_s",
           "searches_per_s")
HEAT = ("nodes", "load_1m", "cpu_percent", "disk_used_percent", "disk_write_per_s",
        "indexing_per_s", "searches_per_s", "reserved_mem_mb")
SHADES = 6
POINTS = 240


class Charts(Page):
    """What both kinds of charts share."""

    def chosen(self) -> str:
        """The range that was asked for; Invalid for none."""
        found = self.get_query_argument("range", "1h")
        if found not in RANGES:
            raise Invalid("no such range", [
                Fault("range", f"one of {', '.join(RANGES)}, not {found[:20]!r}", "range")])
        return found

    def since(self) -> float:
        """When it begins."""
        return time.time() - RANGES[self.chosen()]

    def give(self, series: SeriesView) -> None:
        """The chart itself."""
        scheme = self.get_query_argument("scheme", "light")
        self.set_header("Content-Type", "image/svg+xml")
        self.set_header("Content-Security-Policy",
                        "default-src 'none'; style-src 'unsafe-inline'; sandbox")
        self.set_header("Cache-Control", "private, max-age=10")
        self.finish(drawn(series, scheme if scheme in STYLES else "light"))


class ClusterCharts(Charts):
    """``/clusters/NAME/charts``."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """The page; each chart is an image with a table beside it."""
        service, begin = self.context.service, self.since()
        detail = service.show(name)
        of_cluster = [await service.series(name, one, None, begin, points=POINTS)
                      for one in OF_CLUSTER]
        of_nodes = [await service.series(name, one, "*", begin, points=POINTS)
                    for one in OF_NODES]
        self.render("charts.html", c=detail, parts=(("", of_cluster), ("nodes", of_nodes)),
                    ranges=RANGES, chosen=self.chosen(),
                    base=f"/clusters/{quote(name, safe='')}/charts")


class ClusterChart(Charts):
    """``/clusters/NAME/charts/METRIC.svg``: of the cluster, or one line a node."""

    async def get(self, name: str, metric: str) -> None:  # type: ignore[override]
        """The image."""
        node = "*" if metric in OF_NODES else None
        self.give(await self.context.service.series(name, metric, node, self.since(),
                                                    points=POINTS))


class Hosts(Page):
    """``/hosts``: the load of all hosts as a heat map; they are everybody's, so for admins."""

    sees: ClassVar[Role | None] = Role.ADMIN

    async def get(self) -> None:  # type: ignore[override]
        """The page."""
        load = self.context.service.hosts_load()
        most = {metric: max((one.values.get(metric, 0.0) for one in load), default=0.0)
                for metric in HEAT}
        self.render("hosts.html", load=load, metrics=HEAT, shade=lambda metric, value: shade(
            value, 100.0 if metric.endswith("_percent") else most[metric]),
            help={one: BY_NAME[Scope.HOST, one].help for one in HEAT})


class Host(Charts):
    """``/hosts/NAME``: one host over time."""

    sees: ClassVar[Role | None] = Role.ADMIN

    async def get(self, host: str) -> None:  # type: ignore[override]
        """The page."""
        service, begin = self.context.service, self.since()
        found = [await service.host_series(check_host(host), one, begin, points=POINTS)
                 for one in OF_HOST]
        self.render("charts.html", c=None, host=host, parts=(("", found),), ranges=RANGES,
                    chosen=self.chosen(), base=f"/hosts/{quote(host, safe='')}")


class HostChart(Host):
    """``/hosts/NAME/METRIC.svg``."""

    async def get(self, host: str, metric: str) -> None:  # type: ignore[override]
        """The image."""
        self.give(await self.context.service.host_series(check_host(host), metric, self.since(),
                                                         points=POINTS))


def shade(value: float | None, most: float) -> str:
    """The class of a cell: how near it is to the most there is."""
    if value is None or most <= 0:
        return ""
    return f"heat-{min(int(SHADES * value / most), SHADES - 1)}"


def chart_rules() -> list[URLSpec]:
    """The addresses of the pages and images."""
    root = r"/clusters/(?P<name>[^/]+)/charts"
    return [URLSpec(root, ClusterCharts),
            URLSpec(rf"{root}/(?P<metric>[a-z0-9_]+)\.svg", ClusterChart),
            URLSpec(r"/hosts", Hosts), URLSpec(r"/hosts/(?P<host>[^/]+)", Host),
            URLSpec(r"/hosts/(?P<host>[^/]+)/(?P<metric>[a-z0-9_]+)\.svg", HostChart)]
