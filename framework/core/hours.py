"""Hours of the day in which something may be done by itself: ``22-6``, or ``1-5,12-13``; UTC."""
from __future__ import annotations

PATTERN = (r"^([01]?[0-9]|2[0-3])-([01]?[0-9]|2[0-4])"
           r"(,([01]?[0-9]|2[0-3])-([01]?[0-9]|2[0-4])){0,5}$")
HOUR_S = 3600.0
DAY_H = 24


def within(hours: str, hour: int) -> bool:
    """Whether an hour of the day (0 to 23) is among ``hours``; a span may go over midnight."""
    spans = [tuple(map(int, span.split("-"))) for span in hours.split(",")]
    return any(first <= hour < last if first < last else hour >= first or hour < last
               for first, last in spans)


def within_at(hours: str, now: float) -> bool:
    """Whether a moment (seconds since the epoch) is among ``hours``."""
    return within(hours, int(now // HOUR_S) % DAY_H)


def ends_at(hours: str, now: float) -> float:
    """When the span that a moment lies in is over; infinity for the whole day, ``now`` if none."""
    first = int(now // HOUR_S)
    for ahead in range(DAY_H):
        if not within(hours, (first + ahead) % DAY_H):
            return max((first + ahead) * HOUR_S, now) if ahead else now
    return float("inf")
