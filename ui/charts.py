"""Charts as SVG, drawn by pygal: lines over time with gaps left open, for ``<img>``."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pygal
from esaas.framework.service.views import LineView, SeriesView
from pygal.style import Style

MOST_LINES = 12                     # those with the highest means; more cannot be told apart
GAP = 2.5                           # times the usual distance of two points
STYLES = {
    "light": Style(background="transparent", plot_background="transparent", foreground="#48545c",
                   foreground_strong="#1b2226", foreground_subtle="#c7d0d6", opacity=".9",
                   colors=("#0f6a73", "#b3541e", "#5b4bb5", "#2b7a3d", "#a8326b", "#80631a",
                           "#2f6db3", "#a03030", "#3c8c8c", "#7a4f9e", "#5d7a1f", "#8c5a3c")),
    "dark": Style(background="transparent", plot_background="transparent", foreground="#a9b7be",
                  foreground_strong="#e8eef1", foreground_subtle="#3a464c", opacity=".9",
                  colors=("#6cc5d0", "#f0a070", "#b0a4f5", "#80d096", "#f090c0", "#e0c060",
                          "#80b8f5", "#f08080", "#90e0e0", "#d0a8f0", "#b8d878", "#e0b090"))}


def drawn(series: SeriesView, scheme: str) -> bytes:
    """One chart; lines are nodes, or the one thing that it is about."""
    chart = pygal.DateTimeLine(
        style=STYLES[scheme], width=640, height=280, truncate_label=-1, js=(),
        stroke_style={"width": 2}, show_dots=False,
        allow_interruptions=True, legend_at_bottom=True, truncate_legend=20, margin=8,
        show_legend=len(series.lines) > 1, x_value_formatter=lambda at: at.strftime("%m-%d %H:%M"),
        x_label_rotation=0, x_labels_major_count=4, show_minor_x_labels=False,
        value_formatter=lambda value: f"{value:,.4g}", no_data_text="no figures yet",
        xrange=(datetime.fromtimestamp(series.since, UTC), datetime.fromtimestamp(
            series.until, UTC)), disable_xml_declaration=True)
    for line in highest(series.lines):
        chart.add(line.name or series.metric, with_gaps(line))
    return str(chart.render(is_unicode=True)).encode()


def highest(lines: Sequence[LineView]) -> list[LineView]:
    """The lines that are drawn, in their own order."""
    ranked = sorted((one for one in lines if one.points), key=lambda one: -_mean(one))
    kept = {one.name for one in ranked[:MOST_LINES]}
    return [one for one in lines if one.name in kept and one.points]


def _mean(line: LineView) -> float:
    return sum(point.mean for point in line.points) / len(line.points)


def with_gaps(line: LineView) -> list[tuple[datetime, float | None]]:
    """Points, and a break where nothing was measured for long."""
    times = [point.at for point in line.points]
    steps = sorted(after - before for before, after in zip(times, times[1:], strict=False))
    usual = steps[len(steps) // 2] if steps else 0.0
    found: list[tuple[datetime, float | None]] = []
    before: float | None = None
    for point in line.points:
        if before is not None and usual and point.at - before > GAP * usual:
            found.append((datetime.fromtimestamp(before + usual, UTC), None))
        found.append((datetime.fromtimestamp(point.at, UTC), point.mean))
        before = point.at
    return found
