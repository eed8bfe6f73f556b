"""The pages for people: server-rendered, readable and usable without any script."""
from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import tornado.locale
import tornado.web
from esaas.framework.service.access.people import NOBODY, Role
from esaas.framework.service.errors import (
    Forbidden,
    Malformed,
    NotFound,
    ServiceError,
    Unauthenticated,
)
from esaas.framework.service.views import ClusterSummary
from tornado import httputil
from tornado.routing import URLSpec

from . import present
from .base import SAFE_METHODS, Limited
from .bodies import media_type
from .context import Context
from .gate import check_override
from .oplog_door import watched_access, watched_service
from .problems import WrongMediaType, WrongMethod

LANGUAGE_COOKIE = "esaas_language"
FORM_TYPE = "application/x-www-form-urlencoded"
EVENTS_SHOWN = 50
NOTICES = {
    "created": "The request to create this cluster was taken. Watch it grow below.",
    "scaled": "The request to scale was taken. The plan below shows how far it is.",
    "updated": "The new configuration was taken. The plan below shows how far it is.",
    "rolled": "The earlier revision is wanted again. The plan below shows how far it is.",
    "paused": "Changes are paused: no further step begins; what has begun is finished.",
    "continued": "Changes go on.",
    "abandoned": "The change is given up: the last settled spec is wanted again.",
    "forced": "The step goes past this gate; that was recorded.",
    "step": "The step begins anew.",
    "replacing": "Another node takes its place. Until the old one is stopped, you can keep it.",
    "kept": "The node stays.",
    "held": "The node is stopped as soon as the gates allow. Sandbox and volume stay.",
    "released": "The node starts again.",
    "restarting": "The restart was taken. The plan below shows how far it is.",
    "same": "It was so already: nothing had to change.",
    "deleting": "The request to delete was taken: nodes stop, then their volumes are destroyed.",
}


class Page(Limited):
    """A page: templates, forms with a token, and errors written for people."""

    form: dict[str, list[bytes]]
    _watched: Context | None = None
    # What it takes to see the page, and to send its form; None: open to everybody.
    sees: ClassVar[Role | None] = Role.VIEWER
    acts: ClassVar[Role | None] = Role.OPERATOR

    def needed_role(self) -> Role | None:
        """As the page declares it."""
        return self.sees if self.request.method in SAFE_METHODS else self.acts

    def get_user_locale(self) -> tornado.locale.Locale | None:
        """The language that was chosen on this browser; None: what it asks for."""
        chosen = self.get_cookie(LANGUAGE_COOKIE, "")
        known = chosen in tornado.locale.get_supported_locales()
        return tornado.locale.get(chosen) if chosen and known else None

    @property
    def context(self) -> Context:
        """As for all; what a posted form changes is written into the operation log."""
        if self.request.method in SAFE_METHODS:
            return super().context
        if self._watched is None:
            plain = super().context
            self._watched = replace(plain, service=watched_service(self, plain.service),
                                    access=watched_access(self, plain.access))
        return self._watched

    def get_template_namespace(self) -> dict[str, Any]:
        """What every template may use; ``me`` is nobody before it is known who asks."""
        names, me = super().get_template_namespace(), getattr(self, "principal", NOBODY)
        return names | {"p": present, "here": self.request.uri or "/", "now": time.time(), "me": me,
                        "may_change": me.role.covers(Role.OPERATOR),
                        "is_admin": me.role.covers(Role.ADMIN), "login": self.context.login,
                        "quote": lambda text: quote(text, safe="")}

    def read_form(self) -> None:
        """Take the fields of a posted form and check its token; Forbidden otherwise."""
        kind = media_type(self.request.headers.get("Content-Type", ""))
        if kind != FORM_TYPE:
            raise WrongMediaType(f"a form sends {FORM_TYPE}, not {kind or 'nothing'}")
        try:
            httputil.parse_body_arguments(FORM_TYPE, self.body(), self.request.body_arguments, {})
        except httputil.HTTPInputError as error:
            raise Malformed(f"the form cannot be read: {error}") from error
        for name, values in self.request.body_arguments.items():
            self.request.arguments.setdefault(name, []).extend(values)
        try:
            tornado.web.RequestHandler.check_xsrf_cookie(self)
        except tornado.web.HTTPError as error:
            raise Forbidden("this form is too old, or came from elsewhere: load the page again "
                            "and repeat") from error
        check_override(self.principal, self.field("override"))

    def field(self, name: str) -> str:
        """A posted field as it was typed; empty when it is missing."""
        return self.get_body_argument(name, "", strip=False).replace("\r\n", "\n")

    def show_problem(self, problem: ServiceError) -> None:
        """An error page with a way out; whoever has to log in is sent there and comes back."""
        if isinstance(problem, Unauthenticated) and not self.request.path.endswith("/fragment"):
            self.see("/login", next=self.request.path if self.request.method != "GET"
                     else self.request.uri or "/")
            return
        self.set_status(problem.status)
        self.set_challenge(problem)
        self.render("error.html", problem=problem)

    def see(self, path: str, **query: str) -> None:
        """Send the browser on after a form, so that reloading does not post again."""
        self.redirect(path + (f"?{urlencode(query)}" if query else ""), status=303)

    def see_cluster(self, name: str, notice: str = "", *, changed: bool = True) -> None:
        """Go to a cluster's page, and say there what a form has done."""
        told = {"notice": notice if changed else "same"} if notice else {}
        self.see(f"/clusters/{quote(name, safe='')}", **told)

    async def refuse(self, **_: str) -> None:
        """Any method that the page does not have."""
        allowed = [name for name in ("GET", "POST")
                   if getattr(type(self), name.lower()) is not Page.refuse]
        self.set_header("Allow", ", ".join(allowed))
        self.show_problem(WrongMethod(f"{self.request.method} is not possible here"))

    async def head(self, **path: str) -> None:
        """As GET; Tornado leaves the body out."""
        await self.get(**path)

    get = post = put = patch = delete = options = refuse


class ToList(Page):
    """``/clusters``: an address that people guess."""

    async def get(self) -> None:  # type: ignore[override]
        """The list is at the root."""
        self.redirect("/", permanent=True)


def fits(one: ClusterSummary, tenant: str, q: str, health: str) -> bool:
    """Whether a cluster is among those that were asked for; every word of ``q`` counts."""
    text = f"{one.name} {one.tenant} {one.version} {one.summary}".casefold()
    return (tenant in ("", one.tenant) and health in ("", one.health)
            and all(word in text for word in q.casefold().split()))


class Clusters(Page):
    """``/``: all clusters."""

    async def get(self, fragment: str = "") -> None:  # type: ignore[override]
        """The list, or its live part alone."""
        chosen = {name: self.get_query_argument(name, "").strip()
                  for name in ("tenant", "q", "health")}
        everything = self.visible.list_clusters()
        shown = [one for one in everything if fits(one, **chosen)]
        self.render("_clusters.html" if fragment else "clusters.html", clusters=shown,
                    tenants=sorted({one.tenant for one in everything}), tenant=chosen["tenant"],
                    chosen=chosen, query=urlencode({key: value for key, value in chosen.items()
                                                    if value}), everything=len(everything),
                    status=self.visible.status(),
                    alert_counts=self.context.service.alert_counts())


class Cluster(Page):
    """``/clusters/NAME``: everything about one cluster."""

    async def get(self, name: str, fragment: str = "") -> None:  # type: ignore[override]
        """The page, or its live part alone."""
        notice = NOTICES.get(self.get_query_argument("notice", ""), "")
        template = "_cluster.html" if fragment else "cluster.html"
        await self.show(name, template=template, notice=notice)

    async def show(self, name: str, *, template: str = "cluster.html", notice: str = "",
                   scale: dict[str, Any] | None = None,
                   removal: dict[str, Any] | None = None) -> None:
        """Render a cluster; ``scale`` and ``removal`` are refused forms with what was typed."""
        service = self.context.service
        detail = service.show(name)
        racks, waiting = present.by_rack(detail.nodes)
        events = await self.visible.events(name, 0, EVENTS_SHOWN)
        self.render(template, c=detail, racks=racks, waiting=waiting, notice=notice,
                    events=present.newest_first(events),
                    offers=sorted(service.offers(name), key=lambda offer: offer.agent),
                    groups=detail.spec.get("groups", ()), scale=scale or {},
                    removal=removal or {}, alert_counts=service.alert_counts())


class Delete(Cluster):
    """``/clusters/NAME/delete``: the delete form."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """Somebody reloaded a refused form."""
        self.see_cluster(name)

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Delete when the typed name is right."""
        self.read_form()
        typed = self.field("confirm")
        try:
            await self.context.service.delete(name, typed)
        except NotFound:
            raise
        except ServiceError as problem:
            self.set_status(problem.status)
            await self.show(name, removal={"confirm": typed, "problem": problem})
            return
        self.see_cluster(name, "deleting")


class NoPage(Page):
    """Every address that is none."""

    async def refuse(self, **_: str) -> None:
        """404 whatever the method."""
        raise NotFound(f"there is nothing at {self.request.path}")

    get = head = post = put = patch = delete = options = refuse


def page_rules() -> list[URLSpec]:
    """The addresses of the pages."""
    rule = URLSpec
    return [
        rule(r"/", Clusters),
        rule(r"/(?P<fragment>fragment)", Clusters),
        rule(r"/clusters/?", ToList),
        rule(r"/clusters/(?P<name>[^/]+)", Cluster),
        rule(r"/clusters/(?P<name>[^/]+)/(?P<fragment>fragment)", Cluster),
        rule(r"/clusters/(?P<name>[^/]+)/delete", Delete),
    ]
