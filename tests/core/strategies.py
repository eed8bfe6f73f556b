"""Hypothesis strategies for values of the core; every number is one that JSON can hold."""
from __future__ import annotations

from typing import Any, get_type_hints

from esaas.framework.core import events as ev
from esaas.framework.core.facts import (
    EsNode,
    EsView,
    HostPlan,
    NodeRecord,
    NodeResources,
    Orphan,
    Seat,
)
from hypothesis import strategies as st

from .builders import group, spec

TIMES = st.floats(0, 2e9)
AMOUNTS = st.floats(0, 1e9)
COUNTS = st.integers(0, 2**53)
NAMES = st.sampled_from(["node-1", "node-2", "data-1"])
TEXTS = st.text(max_size=8)


def made(kind: type[Any], **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A dataclass with bounded numbers and short texts; ``known`` for all that is not plain."""
    plain: dict[Any, st.SearchStrategy[Any]] = {
        int: COUNTS, int | None: st.none() | COUNTS, float: AMOUNTS, bool: st.booleans(),
        float | None: st.none() | AMOUNTS, str: TEXTS, str | None: st.none() | TEXTS}
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: plain[hint] for name, hint in hints.items() if hint in plain},
                     **known)


RESOURCES = made(NodeResources)
SEATS = made(Seat, resources=RESOURCES)
ES_NODES = made(EsNode)
VIEWS = made(EsView, nodes=st.dictionaries(NAMES, ES_NODES, max_size=3))
SPECS = st.sampled_from([spec(), spec(group(), group("data", 1, settings={"a.b": [1, None]})),
                         spec(version="8.19.0", jvm_options=["-Da=b"])])
RECORDS = made(NodeRecord, seat=st.none() | SEATS)
FACTS = made(ev.NodeFacts)
_FIELDS: dict[str, Any] = {"seat": SEATS, "spec": SPECS, "view": VIEWS,
                          "plan": made(HostPlan)}


def events_of(kind: type[ev.Event]) -> st.SearchStrategy[ev.Event]:
    """Any event of a kind."""
    known = {name: strategy for name, strategy in _FIELDS.items()
             if name in kind.__dataclass_fields__}
    if kind is ev.TaskUpdated:
        known["node"] = st.none() | FACTS
    if kind is ev.OrphanSeen:
        known["orphan"] = made(Orphan)
    return made(kind, **known)
