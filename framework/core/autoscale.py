"""Autoscaling: when a group gets a node more or one less, by its disks, heaps and load.

A node is added when the mean of a figure over the window is above its limit; one goes when no
figure was above its lower limit within the window and what is left would stay well below the upper
one. So what comes after a change does not ask for the change back, and a cool-down lies between any
two.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from .autoscale_spec import FIGURES, Autoscale
from .balancing import no_change_under_way
from .errors import Fault
from .facts import ClusterState
from .gates import (
    Answer,
    Gate,
    cluster_green,
    es_view_fresh,
    held_by,
    no_primary_missing,
    no_switch_in_the_way,
    not_paused,
    nothing_moves,
    within_hours,
)
from .spec import ClusterSpec, NodeGroup, SpecFaults
from .validate import validate

BY = "autoscale: act"
SAMPLE_S = 10.0                     # from one sample to the next
GAP_S = 60.0                        # a longer one breaks the window
MARGIN = 0.9                        # of the upper limit: what is left after a node went stays below
WORDS: Mapping[str, str] = {"disk_percent": "disk {:.0f} % used", "heap_percent": "heap {:.0f} % "
                            "used", "load": "load {:.2f} a core"}
Direction = Literal["out", "in", "stay"]

GATES: Mapping[str, tuple[Gate, ...]] = {
    "out": (not_paused, es_view_fresh, no_switch_in_the_way, no_primary_missing),
    "in": (not_paused, es_view_fresh, no_switch_in_the_way, cluster_green, nothing_moves),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """Means over the nodes of a group at one moment; what is not known of all is missing."""

    at: float
    nodes: int
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Window:
    """Each figure over the window: its mean, and its highest."""

    mean: Mapping[str, float]
    highest: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Advice:
    """What a group should do, and why, in a sentence."""

    group: str
    count: int                          # of now
    wanted: int
    direction: Direction
    why: str
    figures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def window(samples: Sequence[Sample], wish: Autoscale, count: int, since: float,
           now: float) -> Window | str:
    """The figures over the window; a sentence when it is not full yet.

    ``since``: when the number of nodes was changed last. Samples of another number say nothing.
    """
    begin = now - wish.window_s
    kept = [one for one in samples if begin <= one.at <= now and one.nodes == count
            and one.at >= since]
    first = kept[0].at if kept else now
    gaps = [later.at - earlier.at for earlier, later in zip(kept, kept[1:], strict=False)]
    if not kept or first > begin + 2 * SAMPLE_S or now - kept[-1].at > GAP_S or (
            max(gaps, default=0.0) > GAP_S):
        whole = kept and max(gaps, default=0.0) <= GAP_S
        return (f"measured for {now - first if whole else 0:.0f} of {wish.window_s} s with "
                f"{count} nodes")
    known = [name for name in FIGURES if all(name in one.figures for one in kept)]
    return Window({name: sum(one.figures[name] for one in kept) / len(kept) for name in known},
                  {name: max(one.figures[name] for one in kept) for name in known})


def advise(state: ClusterState, group: NodeGroup, samples: Sequence[Sample],
           now: float) -> Advice:
    """What a group with a policy should do now, whatever may hold it."""
    wish = group.autoscale
    assert wish is not None
    changed = state.scaled.get(group.name)
    since = changed.at if changed is not None else float("-inf")
    seen = window(samples, wish, group.count, since, now)
    if isinstance(seen, str):
        return Advice(group.name, group.count, group.count, "stay", seen)
    over = [_words(name, seen.mean[name], limit, "above")
            for name, limit in wish.limits("out").items() if seen.mean.get(name, 0.0) > limit]
    if over:
        return _more(group, wish, seen, ", ".join(over))
    return _fewer(state, group, wish, seen)


def _words(name: str, figure: float, limit: float, than: str) -> str:
    return f"{WORDS[name].format(figure)}, {than} {limit:g}"


def _more(group: NodeGroup, wish: Autoscale, seen: Window, why: str) -> Advice:
    if group.count >= wish.max:
        return Advice(group.name, group.count, group.count, "stay",
                      f"{why}, but there are {group.count} nodes, at most {wish.max}", seen.mean)
    return Advice(group.name, group.count, group.count + 1, "out",
                  f"{why}: {group.count} nodes become {group.count + 1}", seen.mean)


def _fewer(state: ClusterState, group: NodeGroup, wish: Autoscale, seen: Window) -> Advice:
    back, out = wish.limits("in"), wish.limits("out")

    def stays(why: str) -> Advice:
        return Advice(group.name, group.count, group.count, "stay", why, seen.mean)

    told = ", ".join(WORDS[name].format(figure) for name, figure in seen.mean.items())
    if not back or not back.keys() <= seen.highest.keys() or any(
            seen.highest[name] > limit for name, limit in back.items()):
        return stays(f"{told or 'no figure is known'}: between the limits")
    if group.count <= least(state, group):
        return stays(f"{told}, but there are {group.count} nodes, at least {least(state, group)}")
    after = {name: seen.highest[name] * group.count / (group.count - 1) for name in out
             if name in seen.highest}
    close = [_words(name, figure, MARGIN * out[name], "not below")
             for name, figure in after.items() if figure >= MARGIN * out[name]]
    if close or not out.keys() <= seen.highest.keys():
        return stays(f"{told}; with a node less {', '.join(close) or 'nobody knows'}")
    under = ", ".join(_words(name, seen.mean[name], limit, "below") for name, limit in back.items())
    return Advice(group.name, group.count, group.count - 1, "in",
                  f"{under}: {group.count} nodes become {group.count - 1}", seen.mean)


def least(state: ClusterState, group: NodeGroup) -> int:
    """How many nodes a group keeps: what its policy says, and a node for each copy of a shard."""
    assert group.autoscale is not None
    replicas = max(state.spec.default_replicas, (state.es.max_replicas or 0) if state.es else 0)
    others = state.spec.data_nodes - group.count
    return max(group.autoscale.min, replicas + 1 - others, 1)


# ----------------------------------------------------------------------------- acting

def changed_spec(state: ClusterState, advice: Advice) -> ClusterSpec:
    """The spec that an advice asks for; SpecFaults when there can be none."""
    return state.spec.with_count(advice.group, advice.wanted)


def refusals(state: ClusterState, advice: Advice) -> list[Fault]:
    """What refuses the change, as it would refuse people."""
    try:
        return validate(state.spec, changed_spec(state, advice), state.es)
    except SpecFaults as error:
        return error.faults


def cool_down_over(state: ClusterState, group: NodeGroup, now: float) -> Answer:
    """Whatever was changed last needs time to show what it has done."""
    changed, wish = state.scaled.get(group.name), group.autoscale
    assert wish is not None
    left_s = changed.at + wish.cool_down_s - now if changed is not None else 0.0
    return Answer("cool_down_over", left_s <= 0, f"the number of nodes was changed lately: "
                  f"{max(left_s, 0):.0f} s of {wish.cool_down_s} s are left")


def gates(state: ClusterState, group: NodeGroup, direction: str, now: float) -> list[Answer]:
    """What must hold before the number of nodes is changed."""
    record = next(iter(state.nodes.values()), None)
    if record is None or state.bootstrap.cluster_uuid is None:
        return [Answer("cluster_formed", False, "the cluster has not formed yet")]
    assert group.autoscale is not None
    return [cool_down_over(state, group, now),
            within_hours(group.autoscale.hours, now),
            *(gate(state, record, now) for gate in GATES[direction]),
            no_change_under_way(state, now)]


def may_act(state: ClusterState, advice: Advice, now: float) -> str:
    """Why the service does not follow an advice by itself now; empty when it is to."""
    group = state.spec.group(advice.group)
    if group is None or group.autoscale is None:
        return "the group has no policy any more"
    if advice.direction == "stay":
        return "there is nothing to do"
    if group.autoscale.mode != "act":
        return f"autoscale.mode is {group.autoscale.mode}"
    if group.count != advice.count or state.deleting:
        return "the number of nodes was changed meanwhile"
    answer = held_by(gates(state, group, advice.direction, now))
    if answer is not None:
        return f"held by {answer}"
    refused = refusals(state, advice)
    return f"refused by {refused[0].rule}: {refused[0].message}" if refused else ""
