"""Moves of shards away from hot spots: when they may begin, and how many an hour.

People apply a proposal by one click; with ``balance.mode: act`` the service does it by itself,
within the limits of the spec. Either way it is an errand on record, and waits for the same gates.
"""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from .facts import ClusterState, Errand, NodeState
from .gates import (
    Answer,
    cluster_green,
    es_view_fresh,
    held_by,
    no_switch_in_the_way,
    not_paused,
    nothing_moves,
)
from .hotspots import Move
from .plan import diff

KIND = "move_shards"
HOUR_S = 3600.0
GATES = (not_paused, es_view_fresh, no_switch_in_the_way, cluster_green, nothing_moves)


def gates(state: ClusterState, now: float) -> list[Answer]:
    """What must hold before shards are moved."""
    record = next(iter(state.nodes.values()), None)
    if record is None:
        return [Answer("cluster_formed", False, "there is no node yet")]
    return [no_change_under_way(state, now), *(gate(state, record, now) for gate in GATES)]


def no_change_under_way(state: ClusterState, now: float) -> Answer:
    """Restarts and drains move shards themselves; two hands would undo each other's work."""
    restless = sorted(record.name for record in state.nodes.values()
                      if record.recycle or record.draining or record.leaving
                      or record.state is not NodeState.RUNNING)
    if restless:
        return Answer("no_change_under_way", False, f"waiting for {', '.join(restless)}")
    plan = diff(state, now)
    return Answer("no_change_under_way", plan.status == "done", f"the plan is {plan.status}")


def held(state: ClusterState, item: Errand, now: float) -> Answer | None:
    """The gate that an errand waits for; None when it may begin."""
    return held_by(gates(state, now)) if item.kind == KIND else None


def parameters(dimension: str, moves: Sequence[Move], by: str) -> tuple[tuple[str, str], ...]:
    """Moves as the parameters of an errand."""
    return (("by", by), ("dimension", dimension),
            ("moves", json.dumps([asdict(move) for move in moves], sort_keys=True)))


def moves_of(item: Errand) -> list[Move]:
    """The moves of an errand."""
    return [Move(**move) for move in json.loads(dict(item.parameters)["moves"])]


def moved_lately(state: ClusterState, now: float) -> int:
    """Shards that errands of the last hour have moved, or are to move."""
    return sum(len(moves_of(item)) for item in state.errands
               if item.kind == KIND and now - item.asked_at < HOUR_S and item.status != "failed")


def waits(state: ClusterState) -> bool:
    """Whether moves are waiting or under way."""
    return any(item.kind == KIND and item.ended_at is None for item in state.errands)


def may_act(state: ClusterState, now: float) -> str:
    """Why the service does not move shards by itself now; empty when it may."""
    wish = state.spec.balance
    if wish.mode != "act":
        return f"balance.mode is {wish.mode}"
    if not wish.at_hour(int(now // HOUR_S) % 24):
        return f"not within balance.hours ({wish.hours} UTC)"
    if waits(state):
        return "moves are waiting or under way"
    moved = moved_lately(state, now)
    if moved >= wish.max_moves_per_hour:
        return f"{moved} shards were moved within an hour, at most {wish.max_moves_per_hour}"
    answer = held_by(gates(state, now))
    return f"held by {answer}" if answer is not None else ""
