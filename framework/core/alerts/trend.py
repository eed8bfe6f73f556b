"""Where a figure goes: a straight line through what was seen lately."""
from __future__ import annotations

from collections.abc import Sequence

FEWEST, SHORTEST_S = 5, 300.0           # below that a line says nothing


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Change per second by least squares over (time in s, figure); None: too little is known."""
    if len(points) < FEWEST or points[-1][0] - points[0][0] < SHORTEST_S:
        return None
    mean_t = sum(at for at, _ in points) / len(points)
    mean_v = sum(value for _, value in points) / len(points)
    spread = sum((at - mean_t) ** 2 for at, _ in points)
    together = sum((at - mean_t) * (value - mean_v) for at, value in points)
    return together / spread if spread else None


def zero_in_s(points: Sequence[tuple[float, float]]) -> float | None:
    """How long until a figure that falls comes to nothing; None when it does not fall."""
    falls = slope(points)
    if falls is None or falls >= 0:
        return None
    return max(points[-1][1], 0.0) / -falls
