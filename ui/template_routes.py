"""The part of the REST API about templates: a few answers in, a cluster out."""
from __future__ import annotations

from esaas.framework.core.templates import Answers
from esaas.framework.service.access.people import Role
from esaas.framework.service.errors import Invalid, NotFound
from esaas.framework.service.templating import made_from, templates
from esaas.framework.service.views import MadeView, TemplateView

from .gate import check_tenant
from .models import ChangeQuery
from .route import Answer, Call, Reply, Route, get, post, taken

TEMPLATE = "/v1/templates/{template}"


async def list_templates(call: Call) -> Reply:
    """``GET /v1/templates``."""
    return Reply(templates())


async def make(call: Call) -> Reply:
    """``GET /v1/templates/{template}``."""
    return Reply(made_from(call.path["template"], call.query.model_dump()))


async def create(call: Call) -> Reply:
    """``POST /v1/templates/{template}/clusters``."""
    check_tenant(call.principal, call.body.tenant)
    made = made_from(call.path["template"], call.body.model_dump())
    dry_run = call.query.dry_run
    return taken(await call.service.create(made.spec, dry_run=dry_run), dry_run=dry_run)


TEMPLATE_ROUTES = (
    get("/v1/templates", list_templates, "listTemplates", "Kinds of clusters to start from",
        list[TemplateView]),
    Route("GET", TEMPLATE, "makeSpec", "A spec from a template and a few answers, with the reasons "
          "for its sizes; nothing is created", make, {200: Answer("as asked", MadeView)},
          role=Role.VIEWER, refuses=(NotFound, Invalid), query=Answers),
    post(f"{TEMPLATE}/clusters", create, "createFromTemplate", "Create a cluster from a template",
         body=Answers, query=ChangeQuery),
)
