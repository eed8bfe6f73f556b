"""Autoscaling: figures of groups over time, advice by them, and changes through the usual door."""
from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

import structlog

from ..core import autoscale
from ..core.autoscale import Advice, Sample
from ..core.errors import EsaasError, Fault
from ..core.facts import ClusterState
from ..core.gates import held_by, words
from ..core.spec import NodeGroup, SpecFaults
from ..runtime.loop import ClusterLoop
from ..telemetry.readings import Board, of_host
from .alerts.looking import FRESH_S, node_figures
from .autoscaling_views import AutoscaleView, GroupAutoscaleView, ScaledView
from .changing import Changing
from .errors import ServiceError

log = structlog.get_logger(__name__)

AGAIN_S = 300.0                     # what was refused is asked for again after so long
MOST_SAMPLES = 20_000               # of a group; more than two days


@dataclass(slots=True)
class _Watched:
    """What this process knows of a group; learned again after a restart."""

    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))
    refused_at: float = float("-inf")


class Autoscaling(Changing):
    """The part of ``ClusterService`` that changes the number of nodes by itself."""

    board: Board
    _watched: dict[tuple[ClusterLoop, str], _Watched]
    _autoscale_task: asyncio.Task[None] | None = None

    async def autoscale(self, name: str) -> AutoscaleView:
        """What every group with a policy should do, why, and what holds it."""
        loop = self._loop(name)
        groups = [group for group in loop.state.spec.groups if group.autoscale is not None]
        return AutoscaleView(cluster=name, at=time.time(),
                             groups=[await self._group_view(loop, group) for group in groups])

    async def _group_view(self, loop: ClusterLoop, group: NodeGroup) -> GroupAutoscaleView:
        now, state = time.time(), loop.state
        advice = autoscale.advise(state, group, self._watched_of(loop, group).samples, now)
        refused = await self._refused(loop, advice) if advice.direction != "stay" else []
        return group_view(state, group, advice, [
            f"{fault.rule}: {fault.message}" for fault in refused], now)

    async def _refused(self, loop: ClusterLoop, advice: Advice) -> list[Fault]:
        """What would refuse a change, the quota of the tenant included."""
        try:
            async with loop.changing:
                await self._change(loop, autoscale.changed_spec(loop.state, advice), True, None)
        except SpecFaults as error:
            return error.faults
        except ServiceError as error:
            return list(error.faults) or [Fault("", str(error), error.code)]
        return []

    # ------------------------------------------------------------------- by itself

    async def autoscale_by_itself(self) -> None:
        """Until cancelled: a sample of each group with a policy, and what follows from it."""
        while True:
            await asyncio.sleep(autoscale.SAMPLE_S)
            for loop in list(self._loops.values()):
                for group in loop.state.spec.groups:
                    if group.autoscale is None:
                        continue
                    try:
                        await self._follow(loop, group)
                    except (ServiceError, EsaasError) as error:
                        self._watched_of(loop, group).refused_at = time.time()
                        log.warning("advice cannot be followed", cluster=loop.name,
                                    group=group.name, why=str(error))
            self._forget()

    def _forget(self) -> None:
        """Groups that are not run here, or have no policy, any more."""
        there = {(loop, group.name) for loop in self._loops.values()
                 for group in loop.state.spec.groups if group.autoscale is not None}
        for key in self._watched.keys() - there:
            del self._watched[key]

    async def _follow(self, loop: ClusterLoop, group: NodeGroup) -> None:
        now, watched = time.time(), self._watched_of(loop, group)
        sample = sample_of(loop.state, group, self.board, now)
        if sample is not None:
            watched.samples.append(sample)
        assert group.autoscale is not None
        while watched.samples and watched.samples[0].at < now - (
                group.autoscale.window_s + 2 * autoscale.SAMPLE_S):
            watched.samples.popleft()
        advice = autoscale.advise(loop.state, group, watched.samples, now)
        if autoscale.may_act(loop.state, advice, now) or now - watched.refused_at < AGAIN_S:
            return
        async with loop.changing:
            if autoscale.may_act(loop.state, advice, time.time()):
                return                  # somebody was faster
            log.info("number of nodes follows the load", cluster=loop.name, group=group.name,
                     count=advice.wanted, why=advice.why)
            await self._change(loop, autoscale.changed_spec(loop.state, advice), False, None,
                               by=autoscale.BY, because=advice.why)

    def _watched_of(self, loop: ClusterLoop, group: NodeGroup) -> _Watched:
        return self._watched.setdefault((loop, group.name), _Watched())


def sample_of(state: ClusterState, group: NodeGroup, board: Board, now: float) -> Sample | None:
    """The means of a group now; None unless all its nodes are members and no other is there."""
    records = [record for record in state.nodes.values() if record.group == group.name]
    if len(records) != group.count or not all(map(state.is_ready, records)):
        return None
    figures = node_figures(state, board, now)
    named: dict[str, list[float]] = {}
    for record in records:
        mine = figures.get(record.name, {})
        disk = [mine["disk_used_percent"]] if "disk_used_percent" in mine else []
        if disk and "store_mb" in mine:     # the file system's, or the node's own share of it
            disk.append(100 * mine["store_mb"] / group.disk_mb)
        host = board.newest(of_host(record.seat.host)) if record.seat is not None else None
        for name, figure in (
                ("disk_percent", max(disk, default=None)),
                ("heap_percent", mine.get("heap_used_percent")),
                ("load", host.values.get("load_per_core") if host is not None
                 and now - host.at <= FRESH_S else None)):
            if figure is not None:
                named.setdefault(name, []).append(figure)
    return Sample(now, len(records), {name: sum(all_) / len(all_) for name, all_ in named.items()
                                      if len(all_) == len(records)})


def group_view(state: ClusterState, group: NodeGroup, advice: Advice, refused: list[str],
               now: float) -> GroupAutoscaleView:
    """A group's advice for people."""
    wish, last = group.autoscale, state.scaled.get(group.name)
    assert wish is not None
    held = held_by(autoscale.gates(state, group, advice.direction, now)) if (
        advice.direction != "stay") else None
    return GroupAutoscaleView(
        group=group.name, mode=wish.mode, count=advice.count, min=wish.min, max=wish.max,
        wanted=advice.wanted, advice=advice.direction, why=advice.why,
        figures=dict(advice.figures), refused=refused,
        held_by=words(held),
        acts_not_because=autoscale.may_act(state, advice, now),
        last=ScaledView(at=last.at, count_before=last.count_before, count=last.count, by=last.by,
                        why=last.why) if last is not None else None)
