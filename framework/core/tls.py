"""Certificates of a secured cluster: when every node is to get a new one.

Only times and a number are facts. A new generation outdates every node, so the rolling restart
brings the certificates, with all its gates.
"""
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import events as ev
from .facts import ClusterState, Tls
from .spec import Security

if TYPE_CHECKING:
    from .draft import Draft

DAY_S = 86400.0
ROTATED_AFTER = 2 / 3               # of the life of a certificate: a third is left for the roll


def first(security: Security, at: float) -> Tls | None:
    """The first generation; None for a cluster that is not secured."""
    return Tls(1, at, rotate_at(security, at)) if security.enabled else None


def rotate_at(security: Security, since: float) -> float:
    """When certificates that are issued from ``since`` on are to be replaced."""
    return since + security.certificate_days * DAY_S * ROTATED_AFTER


def rotated(state: ClusterState, event: ev.TlsRotated) -> ClusterState:
    """The next generation; a cluster that is not secured has none."""
    if state.tls is None:
        return state
    return replace(state, tls=replace(
        state.tls, generation=state.tls.generation + 1, since=event.at,
        rotate_at=rotate_at(state.spec.security, event.at)))


def shown(state: ClusterState, event: ev.CredentialsShown) -> ClusterState:
    """People know the password now; nothing else changes."""
    return state if state.tls is None else replace(
        state, tls=replace(state.tls, shown_at=event.at))


def due_at(state: ClusterState) -> float | None:
    """When the next generation follows by itself; None when the cluster is not secured.

    A shorter life that people want later counts at once: nodes that have started since then have
    certificates of that life.
    """
    if state.tls is None:
        return None
    return min(state.tls.rotate_at, rotate_at(state.spec.security, state.tls.since))


def tend(draft: Draft) -> None:
    """Begin the next generation in time.

    Nobody is woken up for it: that would count as work that goes on. The loop looks often enough.
    """
    due = due_at(draft.state)
    if due is not None and due <= draft.now and not draft.state.deleting:
        draft.note(ev.TlsRotated(draft.now))
