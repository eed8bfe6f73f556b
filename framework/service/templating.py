"""Templates for people: core's specs to start from, with the service's views and refusals."""
from __future__ import annotations

from typing import Any

from ..core.spec import SpecFaults
from ..core.templates import TEMPLATES, make
from .errors import Invalid, NotFound
from .views import MadeView, ReasonView, TemplateView


def templates() -> list[TemplateView]:
    """All kinds of clusters to start from."""
    return [TemplateView(name=one.name, title=one.title, text=one.text)
            for one in TEMPLATES.values()]


def made_from(template: str, answers: dict[str, Any]) -> MadeView:
    """A sound spec from a template; NotFound, Invalid with every fault."""
    if template not in TEMPLATES:
        raise NotFound(f"there is no template {template[:80]}; there are {', '.join(TEMPLATES)}")
    try:
        found = make(template, answers)
    except SpecFaults as error:
        raise Invalid("this cannot be made into a cluster", error.faults) from error
    return MadeView(spec=found.body, reasons=[
        ReasonView(what=one.what, value=one.value, why=one.why) for one in found.reasons])
