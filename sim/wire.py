"""Offers and ACCEPTs through the real codec: what goes out as Mesos' JSON must come back the same.

Used by one seed in some, because it costs as much as the rest of a turn.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
from esaas.framework.core import operations as op
from esaas.framework.core.resources import Offer, Resource
from esaas.framework.mesos import translate

from .books import Books
from .trace import Broken

EXECUTOR = translate.ExecutorFile("http://service/v1/executor/file", "file")
SUPPLY = translate.Supply("http://service/es.zip", "0" * 64)


def offer_over_the_wire(offer: Offer) -> Offer:
    """An offer as the scheduler reads it out of the master's JSON."""
    raw = {"id": {"value": offer.id}, "agent_id": {"value": offer.agent_id},
           "hostname": offer.host, "url": {"address": {"ip": offer.ip}},
           "attributes": [{"name": name, "type": "TEXT", "text": {"value": value}}
                          for name, value in offer.attributes.items()],
           "resources": [translate.resource_out(item) for item in offer.resources]}
    return translate.offer_in(orjson.loads(orjson.dumps(raw)))


def accept_over_the_wire(accept: op.Accept) -> op.Accept:
    """The same ACCEPT as the master reads it, if its JSON says the same.

    Raises Broken (``codec_keeps_resources``) when it does not.
    """
    steps = tuple(_normal(step) for step in accept.steps)
    launches = [step for step in steps if isinstance(step, op.Launch)]
    body = translate.accept_out(accept, EXECUTOR, {step.task_id: SUPPLY for step in launches})
    raw = orjson.loads(orjson.dumps(body))
    for step, sent in zip(steps, raw["operations"], strict=True):
        meant, said = _meant(step), _said(sent)
        if not (meant.covers(said) and said.covers(meant)):
            raise Broken("codec_keeps_resources", f"{type(step).__name__}: {meant} became {said}")
    return replace(accept, steps=steps)


def _normal(step: op.OfferStep) -> op.OfferStep:
    """Labels are a set; the codec sorts them."""
    if isinstance(step, op.Launch):
        return replace(step, task_resources=_sorted(step.task_resources),
                       executor_resources=_sorted(step.executor_resources))
    if isinstance(step, (op.Reserve, op.Unreserve)):
        return replace(step, resources=_sorted(step.resources))
    return replace(step, volumes=_sorted(step.volumes))


def _sorted(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    return tuple(replace(resource, reservations=tuple(
        replace(item, labels=tuple(sorted(item.labels))) for item in resource.reservations))
        for resource in resources)


def _meant(step: op.OfferStep) -> Books:
    books = Books()
    if isinstance(step, op.Launch):
        books.add([*step.task_resources, *step.executor_resources])
    elif isinstance(step, (op.Reserve, op.Unreserve)):
        books.add(step.resources)
    else:
        books.add(step.volumes)
    return books


def _said(sent: dict[str, Any]) -> Books:
    found: list[Resource] = []
    if sent["type"] == "LAUNCH":
        for task in sent["launch"]["task_infos"]:
            found += map(translate.resource_in, task["resources"])
            found += map(translate.resource_in, task["executor"]["resources"])
    else:
        body = sent[sent["type"].lower()]
        found += map(translate.resource_in, body.get("resources") or body.get("volumes") or ())
    books = Books()
    books.add(found)
    return books
