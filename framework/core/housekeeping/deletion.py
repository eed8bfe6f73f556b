"""Deletion of indices by age and size: which, and above all which never.

Whatever is not known of an index keeps it. Decided once when an errand is asked for, and once more
on a fresh look before each of its indices goes.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..housekeeping_spec import Deletion
from ..indices import Index, IndexLook, Memory, quiet_since
from ..snapshots import Taken
from .findings import Act, Finding, amount, finding, span

POLICY = "delete"
CLOCK_S = 300.0                     # clocks that are further apart say nothing of an age
Listed = Sequence[Taken] | None         # snapshots of the cluster; None: not looked at


def find(rule: Deletion, look: IndexLook, memory: Memory, taken: Listed = None) -> Finding:
    """What is to go now, the oldest first."""
    fitting = sorted(look.subjects(rule.pattern), key=lambda one: (one.created_at, one.name))
    writers, only = look.write_indices(), look.only_indices()
    newest = snapshots_of(taken) if taken is not None else None
    doubt = _clock(look)
    due = _due(rule, fitting, look.at)
    acts: list[Act] = []
    leaves: list[Act] = []
    for index in fitting:
        if index.name not in due:
            continue
        why = (doubt or _not_because(rule, look.at, memory, index, newest)
               or _needed(index, writers, only))
        (leaves if why else acts).append(Act(index.name, why or due[index.name]))
    total_mb = sum(one.store_mb or 0.0 for one in fitting)
    oldest = f", the oldest is {span(look.at - fitting[0].created_at)} old" if fitting else ""
    return finding(POLICY, rule.pattern, f"{len(fitting)} indices fit {rule.pattern}, "
                   f"{amount(total_mb)}{oldest}; {len(acts)} are to go", acts, leaves,
                   advises=rule.dry_run)


def _due(rule: Deletion, fitting: Sequence[Index], now: float) -> dict[str, str]:
    """Indices whose time is over, and why, whether they may go or not."""
    found = {}
    if rule.older_than_s is not None:
        found = {one.name: f"{span(now - one.created_at)} old, kept for {span(rule.older_than_s)}"
                 for one in fitting if now - one.created_at > rule.older_than_s}
    if rule.max_total_mb is not None:
        left_mb = sum(one.store_mb or 0.0 for one in fitting if one.name not in found)
        for index in fitting[:-1]:          # the newest is never too much
            if left_mb <= rule.max_total_mb:
                break
            if index.name not in found:
                found[index.name] = (f"all together {amount(left_mb)}, at most "
                                     f"{amount(rule.max_total_mb)}; it is the oldest of them")
                left_mb -= index.store_mb or 0.0
    return found


def _clock(look: IndexLook) -> str:
    """With a wrong clock everything looks old."""
    if look.clock_off_s is None:
        return "no data node has told its clock"
    return "" if look.clock_off_s <= CLOCK_S else (
        f"the clock of a data node and that of the service are {span(look.clock_off_s)} apart")


def _needed(index: Index, writers: Mapping[str, str], only: Mapping[str, str]) -> str:
    if index.name in writers:
        return f"{writers[index.name]} writes into it"
    return f"the only index of {only[index.name]}" if index.name in only else ""


def _not_because(rule: Deletion, now: float, memory: Memory, index: Index,
                 newest: Mapping[str, float] | None) -> str:
    """Why an index stays; empty when it may go."""
    since = quiet_since(memory, index)
    if index.managed:
        return "Elasticsearch's own life cycle looks after it"
    if since is None or index.store_mb is None:
        return "it is closed, or a primary of it has not started"
    if {"read_only", "metadata"} & {*index.blocks}:
        return "people have made it read-only"
    if now - since < rule.idle_s:
        return (f"written to within {span(rule.idle_s)}, as far as is known: its sequence number "
                f"has been the same for {span(now - since)}")
    if not rule.require_snapshot:
        return ""
    if newest is None:
        return "the snapshots have not been looked at"
    if newest.get(index.name, float("-inf")) <= max(since, index.created_at):
        return "no complete snapshot has it that was begun after the last write"
    return ""


def snapshots_of(taken: Sequence[Taken]) -> dict[str, float]:
    """When the newest complete snapshot with an index was begun, by index."""
    found: dict[str, float] = {}
    for one in taken:
        if one.status == "SUCCESS" and not one.shards_failed:
            for name in one.indices:
                found[name] = max(found.get(name, 0.0), one.started_at)
    return found
