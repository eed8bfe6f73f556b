"""Specs to start from: a few answers in, a whole spec with its reasons out."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import sizing
from .errors import Fault
from .sizing import Reason, Size, Use
from .spec import ClusterSpec, Name, SpecFaults, faults_of, parse_spec

DEFAULT_VERSION = "6.8.23"
MOST_NODES = 1000                   # of a group
HOT_SHARE = 0.25                    # of the data, when nothing else is said


class Answers(BaseModel):
    """What a person says who wants a cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    tenant: Name
    version: str = DEFAULT_VERSION
    data_gb: float = Field(10.0, gt=0, le=1_000_000, description="of all primaries, when the "
                           "cluster is as full as it gets")
    replicas: int = Field(1, ge=1, le=5)
    hot_share: float = Field(HOT_SHARE, gt=0, lt=1, description="of the data that is fresh; for "
                             "hot-warm")
    secured: bool = False
    description: str = Field("", max_length=500)


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of cluster."""

    name: str
    title: str
    text: str
    make: Callable[[Answers], tuple[list[dict[str, Any]], list[Reason]]]


@dataclass(frozen=True, slots=True)
class Made:
    """A spec that is sound, and why it is as it is."""

    spec: ClusterSpec
    body: dict[str, Any]
    reasons: tuple[Reason, ...]


def _group(name: str, size: Size, roles: list[str], **more: Any) -> dict[str, Any]:
    return {"name": name, "count": size.count, "roles": roles, "cpus": size.cpus,
            "mem_mb": size.mem_mb, "disk_mb": size.disk_mb, **more}


def _with_masters(groups: list[dict[str, Any]],
                  reasons: list[Reason]) -> tuple[list[dict[str, Any]], list[Reason]]:
    """Masters of their own when there are many nodes; else the first group leads, too."""
    masters = sizing.masters_for(sum(group["count"] for group in groups))
    if masters is None:
        groups[0]["roles"] = ["master", *groups[0]["roles"]]
        return groups, reasons
    return [_group("master", masters, ["master"]), *groups], [*reasons, *masters.reasons]


def _alike(use: Use, name: str) -> Callable[[Answers], tuple[list[dict[str, Any]], list[Reason]]]:
    def make(answers: Answers) -> tuple[list[dict[str, Any]], list[Reason]]:
        size = sizing.size_for(use, answers.data_gb, answers.replicas, least=3)
        return _with_masters([_group(name, size, ["data", "ingest"])], list(size.reasons))
    return make


def _hot_warm(answers: Answers) -> tuple[list[dict[str, Any]], list[Reason]]:
    hot_gb = answers.data_gb * answers.hot_share
    hot = sizing.size_for(sizing.LOGS, hot_gb, answers.replicas, least=3)
    warm = sizing.size_for(sizing.WARM, answers.data_gb - hot_gb, answers.replicas)
    groups = [_group("hot", hot, ["data", "ingest"], settings={"node.attr.box_type": "hot"}),
              _group("warm", warm, ["data"], settings={"node.attr.box_type": "warm"})]
    reasons = [Reason(f"{kind}: {one.what}", one.value, one.why)
               for kind, size in (("hot", hot), ("warm", warm)) for one in size.reasons]
    reasons.append(Reason("box_type", "hot, warm", "indices are kept on hot nodes by the index "
                          "setting index.routing.allocation.require.box_type: hot, and moved by "
                          "changing it to warm"))
    return _with_masters(groups, reasons)


TEMPLATES = {one.name: one for one in (
    Template("small", "Small", "Three nodes that do everything. To try things, or for little "
             "data.", _alike(sizing.SMALL, "node")),
    Template("log-analytics", "Log analytics", "Much is written, the last days are asked for.",
             _alike(sizing.LOGS, "data")),
    Template("search", "Search", "Answers within milliseconds; much memory for its data.",
             _alike(sizing.SEARCH, "data")),
    Template("hot-warm", "Hot and warm", "Fresh data on fast nodes, old data on large ones.",
             _hot_warm),
)}


def make(template: str, answers: Any) -> Made:
    """A spec from a template's name and answers; SpecFaults with every fault, KeyError."""
    chosen = TEMPLATES[template]
    try:
        said = Answers.model_validate(answers)
    except ValidationError as error:
        raise SpecFaults(faults_of(error)) from error
    groups, reasons = chosen.make(said)
    most = max(group["count"] for group in groups)
    if most > MOST_NODES:
        raise SpecFaults([Fault("data_gb", f"takes {most} nodes of a group, which has at most "
                                f"{MOST_NODES}: make several clusters of it", "size")])
    body: dict[str, Any] = {"name": said.name, "tenant": said.tenant, "version": said.version}
    if said.description:
        body["description"] = said.description
    body |= {"groups": groups, "default_replicas": said.replicas}
    if said.secured:
        body["security"] = {"enabled": True}
    return Made(parse_spec(body), body, tuple(reasons))


def unknown(template: str) -> Fault:
    """What is wrong with a name that no template has."""
    return Fault("template", f"there is no template {template}; there are {', '.join(TEMPLATES)}",
                 "template")
