"""Figures of a node's container, out of two answers of its agent."""
from __future__ import annotations

from collections.abc import Mapping

from ..mesos.figures import Container

# Figures that stand in an answer as they are: metric, field.
PLAIN = (("container_cpus", "cpus"), ("container_mem_mb", "mem_mb"),
         ("container_mem_limit_mb", "mem_limit_mb"), ("container_disk_mb", "disk_mb"),
         ("container_disk_limit_mb", "disk_limit_mb"))


def figures(before: Container | None, after: Container) -> Mapping[str, float]:
    """By metric; CPU only when both answers are of one container, whose counters only grow."""
    found = {metric: value for metric, field in PLAIN
             if (value := getattr(after, field)) is not None}
    if after.mem_mb is not None and after.mem_limit_mb:
        found["container_mem_percent"] = 100 * after.mem_mb / after.mem_limit_mb
    if before is None or before.executor_id != after.executor_id or after.at <= before.at:
        return found
    user, system = (_percent(old, new, after.at - before.at) for old, new in (
        (before.user_s, after.user_s), (before.system_s, after.system_s)))
    if user is not None and system is not None:
        found |= {"container_cpu_user_percent": user, "container_cpu_system_percent": system,
                  "container_cpu_percent": user + system}
    return found


def _percent(old: float | None, new: float | None, span_s: float) -> float | None:
    return None if old is None or new is None or new < old else 100 * (new - old) / span_s
