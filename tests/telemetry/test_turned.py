"""Turns in numbers: offers by what became of them, with few reasons."""
from __future__ import annotations

from dataclasses import replace

from esaas.framework.core.decide import decide
from esaas.framework.core.facts import ClusterState
from esaas.framework.core.offers.stages import STAGES
from esaas.framework.core.resources import Offer
from esaas.framework.runtime.turned import NOT_NOW, NOT_WANTED, Turned, turned_of

from ..core.builders import (
    NOW,
    formed,
    new_cluster,
    offer,
    own_resources,
    record,
    scalars,
)


def turned(state: ClusterState, *offers: Offer) -> Turned:
    """A turn with these offers."""
    decision = decide(state, offers, NOW)
    found = turned_of(decision.answers, 2, len(offers), 0.5, 0.25)
    assert found.accepted + sum(found.declined.values()) == len(offers), "each has one answer"
    return found


def test_offers_are_counted_by_what_became_of_them() -> None:
    found = turned(new_cluster(), offer(1), offer(2, scalars(cpus=0.01)))
    assert (found.accepted, dict(found.declined)) == (1, {"cpus": 1})
    assert (found.decide_s, found.commit_s, found.events, found.received) == (0.5, 0.25, 2, 2)


def test_offers_of_one_agent_are_counted_one_by_one() -> None:
    poor = offer(1, scalars(cpus=0.01))
    found = turned(new_cluster(), poor, replace(poor, id="another"))
    assert found.accepted == 0 and dict(found.declined) == {"cpus": 2}


def test_a_reason_is_the_stage_that_refused_or_one_of_two_words() -> None:
    full = turned(new_cluster(), *(offer(number) for number in range(1, 6)))
    assert full.accepted == 3 and dict(full.declined) == {NOT_WANTED: 2}
    state = formed(3)
    orphan = turned(state, offer(9, own_resources(state, record("node-9"))))
    assert dict(orphan.declined) == {NOT_NOW: 1}, "kept for a while, and offered again"
    assert not {NOT_NOW, NOT_WANTED} & {stage.__name__ for stage in STAGES}
