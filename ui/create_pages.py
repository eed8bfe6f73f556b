"""The page where a cluster is made: from a template or a spec, checked while one types."""
from __future__ import annotations

from typing import Any

from esaas.framework.client import EXAMPLE_SPEC
from esaas.framework.service.access.people import Role
from esaas.framework.service.errors import ServiceError
from esaas.framework.service.templating import made_from, templates
from esaas.framework.service.views import Accepted
from tornado.routing import URLSpec

from .bodies import decode_form_text
from .gate import check_spec
from .pages import Page
from .present import spec_text

ANSWERS = ("name", "tenant", "version", "data_gb", "replicas")


class Create(Page):
    """``/new``: a spec typed into a page, or made by a template from a few answers."""

    sees = Role.OPERATOR

    async def get(self) -> None:  # type: ignore[override]
        """The form with an example; or with what a template makes of the answers."""
        template = self.get_query_argument("template", "")
        if not template:
            self.show(EXAMPLE_SPEC)
            return
        said: dict[str, Any] = {name: value for name in ANSWERS
                                if (value := self.get_query_argument(name, "").strip())}
        said["secured"] = bool(self.get_query_argument("secured", ""))
        try:
            made = made_from(template, said)
        except ServiceError as problem:
            self.set_status(problem.status)
            self.show(EXAMPLE_SPEC, template=template, said=said, unmade=problem)
            return
        self.show(spec_text(made.spec), template=template, said=said, reasons=made.reasons)

    def show(self, text: str, problem: ServiceError | None = None,
             checked: Accepted | None = None, **more: Any) -> None:
        """The forms with texts that are never lost, and every fault beside them.

        ``problem`` is of the spec, ``unmade`` of the answers to a template.
        """
        values: dict[str, Any] = {
            "template": "small", "said": {}, "unmade": None, "reasons": (),
            "override": self.field("override") if self.request.method == "POST" else ""}
        self.render("new.html", text=text, problem=problem, taken=checked,
                    templates=templates(), **(values | more))

    async def post(self) -> None:  # type: ignore[override]
        """Create, or only check."""
        self.read_form()
        text = self.field("spec")
        only_check = bool(self.field("dry_run"))
        try:
            taken = await self.taken(text, dry_run=only_check)
        except ServiceError as problem:
            self.set_status(problem.status)
            self.show(text, problem)
            return
        if only_check:
            self.show(text, checked=taken)
            return
        self.see_cluster(taken.cluster, "created", changed=taken.changed)

    async def taken(self, text: str, *, dry_run: bool) -> Accepted:
        """Ask for a cluster; ServiceError."""
        body = await decode_form_text(text)
        check_spec(self.principal, body)
        return await self.context.service.create(body, dry_run=dry_run,
                                                 override=self.field("override") or None)


class Check(Create):
    """``/new/check``: what the page's script asks for while somebody types."""

    async def get(self) -> None:  # type: ignore[override]
        """Only forms are sent here."""
        self.see("/new")

    async def post(self) -> None:  # type: ignore[override]
        """What is wrong with a text, or what it would do; 200 either way."""
        self.read_form()
        problem, taken = None, None
        try:
            taken = await self.taken(self.field("spec"), dry_run=True)
        except ServiceError as error:
            problem = error
        self.render("_check.html", problem=problem, taken=taken)


def create_rules() -> list[URLSpec]:
    """The addresses of these pages."""
    return [URLSpec(r"/new", Create), URLSpec(r"/new/check", Check)]
