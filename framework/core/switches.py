"""Switches: settings of the running cluster that people set for a while, and that go back.

What was there before is stored before a switch is set, so no crash and no time-out forgets it.
Source: Elasticsearch reference, "Cluster-level shard allocation and routing settings".
"""
from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from . import events as ev
from .facts import ClusterState, Layered, Switch
from .gates import view_is_fresh
from .operations import SetSwitch

if TYPE_CHECKING:
    from .draft import Draft

KEYS = {"allocation": "cluster.routing.allocation.enable",
        "rebalance": "cluster.routing.rebalance.enable",
        "read_only": "cluster.blocks.read_only"}
VALUES = {"allocation": ("all", "primaries", "new_primaries", "none"),
          "rebalance": ("all", "primaries", "replicas", "none"),
          "read_only": ("true", "false")}
DEFAULTS = {"allocation": "all", "rebalance": "all", "read_only": "false"}
AGAIN_S = 10.0


def _with(state: ClusterState, name: str, switch: Switch | None) -> ClusterState:
    kept = {key: value for key, value in state.switches.items() if key != name}
    if switch is not None:
        kept[name] = switch
    return replace(state, switches=MappingProxyType(kept))


def set_(state: ClusterState, event: ev.SwitchSet) -> ClusterState:
    """Wanted by people; what was before the first of several settings stays what to go back to."""
    known = state.switches.get(event.switch)
    return _with(state, event.switch, Switch(
        event.value, known.before if known else None, event.at, event.until))


def back(state: ClusterState, event: ev.SwitchBack) -> ClusterState:
    """To go back; one that was never set is forgotten at once."""
    known = state.switches.get(event.switch)
    if known is None:
        return state
    return _with(state, event.switch,
                 replace(known, restoring=True) if known.before is not None else None)


def intended(state: ClusterState, event: ev.SwitchIntended) -> ClusterState:
    """About to be set: what was before is known from now on."""
    known = state.switches[event.switch]
    return state if known.before is not None else _with(
        state, event.switch, replace(known, before=event.before))


def restored(state: ClusterState, event: ev.SwitchRestored) -> ClusterState:
    """Nothing is left of it."""
    return _with(state, event.switch, None)


def in_force(layers: Layered, name: str) -> str:
    """The value that counts: a transient one masks a persistent one."""
    return layers[0] or layers[1] or DEFAULTS[name]


def tend(draft: Draft) -> None:
    """Set what is wanted, and take back what is over."""
    now = draft.now
    for name, switch in list(draft.state.switches.items()):
        if switch.until is not None and not switch.restoring:
            if switch.until <= now:
                draft.note(ev.SwitchBack(now, name))
            draft.wake(switch.until)
    state = draft.state
    if state.es is None or not view_is_fresh(state, now):
        return
    for name, switch in list(state.switches.items()):
        if name == "allocation" and state.held_allocation is not None:
            continue                    # a restart of ours holds it: first that is put back
        _settle(draft, name, switch, state.es.setting(KEYS[name]))


def _settle(draft: Draft, name: str, switch: Switch, found: Layered) -> None:
    now, what = draft.now, f"switch {name} {switch.set_at} {switch.restoring}"
    if switch.restoring:
        assert switch.before is not None and draft.state.es is not None
        # Only what was asked back has come back: to set it may still be on its way.
        asked_at = draft.state.asked.at.get(what)
        if found == switch.before and asked_at is not None and (
                draft.state.es.settings_at > asked_at):
            draft.note(ev.SwitchRestored(now, name))
        elif not draft.state.asked.lately(what, now, AGAIN_S):
            draft.do(SetSwitch((ev.AskedFor(now, what),), name, KEYS[name], None, switch.before))
        return
    if in_force(found, name) == switch.value and switch.before is not None:
        return
    if not draft.state.asked.lately(what, now, AGAIN_S):
        before = found if switch.before is None else switch.before
        draft.do(SetSwitch((ev.SwitchIntended(now, name, before), ev.AskedFor(now, what)),
                           name, KEYS[name], switch.value, found))
