"""Words that the doors share: spans of time as people type them, and what a gate protects."""
from __future__ import annotations

import re

_UNITS_S = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
GENERIC_RISK = "This gate keeps the cluster or its data from harm."
# What may happen to somebody who goes past a gate: those that the core lets people go past.
RISKS = {
    "canary_approved": "Nobody has let the change go on: what is wrong with it would reach this "
                       "node too.",
    "change_budget": "Other nodes are down already: with one more, the rest carries more load "
                     "than was thought right.",
    "cluster_green": "Copies are missing already: until they are back, one more failure may take "
                     "shards away.",
    "copies_rebuilt": "Copies that the node held are not complete elsewhere. Its volume is "
                      "destroyed: what exists nowhere else is lost for good.",
    "drain_can_end": "The drain may never end, and fill the disks of the other nodes: there are "
                     "too few of them, or too little room, or allocation is off.",
    "masters_before_data": "Masters are missing: the cluster may not have what it takes to accept "
                           "this node.",
    "snapshot_finished": "The shards of this node would be missing from the snapshot that is being "
                         "made; it fails, and is tried again.",
    "no_switch_in_the_way": "Allocation is switched off: copies do not come back after the "
                            "restart before the switch does.",
    "not_paused": "Somebody has paused the change, perhaps for a reason: this step begins all the "
                  "same.",
    "nothing_moves": "Shards are on their way: whatever is being copied from or to this node is "
                     "cut off and begins anew.",
    "retry_backoff": "The node fails again and again: another try takes its time and load.",
    "successor_ready": "The node that takes its place is not there yet: the others must hold its "
                       "shards until it is.",
}


def risk_of(gate: str) -> str:
    """What somebody risks who goes past a gate."""
    return RISKS.get(gate, GENERIC_RISK)


def seconds_of(text: str) -> float:
    """``10m``, ``90s``, ``2h``, ``1d`` or plain seconds; ValueError for anything else."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(s|min|m|h|d)?", text.strip(), re.ASCII)
    seconds = float(found[1]) * _UNITS_S[found[2] or ""] if found else 0.0
    if seconds <= 0:
        raise ValueError("a time such as 90s, 10m, 2h or 1d")
    return seconds
