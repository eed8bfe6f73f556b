"""Pages that change a running cluster: configuration, revisions, scale, restart, pause.

Nothing that hurts happens at one click: a change is applied only as it was previewed, and what
takes nodes away or restarts them is asked about first, by a dialog or, without scripts, by a page.
"""
from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from esaas.framework.core.errors import Fault
from esaas.framework.service.access.people import Role
from esaas.framework.service.errors import Invalid, NotFound, ServiceError
from esaas.framework.service.views import Accepted, ClusterDetail
from tornado.routing import URLSpec

from . import present
from .bodies import check_name, decode_form_text, whole_number
from .gate import check_role, check_spec
from .pages import Cluster, Page

REVISIONS_SHOWN = 100
RESTART_TEXT = ("Elasticsearch stops on a node and starts again in its place, on its volume. The "
                "next node follows when the cluster is green.")
STALE_TEXT = "What you apply is not what was previewed: this is what it would do. Look again."


def sealed(revision: int, override: str, subject: str) -> str:
    """What a preview was made of; another text, rule or revision gives another seal.

    It keeps nobody from anything: it is there so that people see what they apply.
    """
    return hashlib.sha256(f"{revision}\n{override}\n{subject}".encode()).hexdigest()


def number_of(path: str, typed: str, what: str) -> int:
    """A typed number; Invalid otherwise."""
    number = whole_number(typed)
    if number is None:
        raise Invalid(f"the {path} is no number", [
            Fault(path, f"a whole number{what}, not {typed[:80]!r}", "type")])
    return number


class Change(Page):
    """A page that changes a cluster and that nobody opens by its address."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """Somebody reloaded what a form had answered."""
        self.see_cluster(name)

    def ask(self, detail: ClusterDetail, question: str, button: str, fields: dict[str, str],
            preview: Accepted | None = None, **more: Any) -> None:
        """Ask before anything happens; the answer posts the fields again, with ``sure``.

        ``more``: ``says`` in some lines, what is risked (``risk``), a name that ``must`` be typed,
        with what was ``typed``, a ``problem`` with that, a ``stale`` preview, the way ``back``,
        whether it is a ``danger``.
        """
        values: dict[str, Any] = {
            "says": (), "risk": "", "typed": None, "must": "", "problem": None, "stale": "",
            "override": "", "danger": True, "action": self.request.path,
            "back": f"/clusters/{quote(detail.name, safe='')}"}
        self.render("confirm.html", c=detail, question=question, button=button, fields=fields,
                    taken=preview, **(values | more))


class Scale(Change, Cluster):
    """``/clusters/NAME/scale``: the scale form."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """Somebody reloaded a refused form."""
        self.see_cluster(name)

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Scale, or show the page again with what was typed and why it was refused.

        To take nodes away is asked about first, unless a dialog has done so.
        """
        self.read_form()
        group, typed = self.field("group"), self.field("count")
        override = self.field("override")
        detail = self.context.service.show(name)
        try:
            count = number_of("count", typed, " of nodes")
            asks = not self.field("sure") and self._shrinks(detail, group, count)
            taken = await self.context.service.scale(name, group, count, dry_run=asks,
                                                     override=override or None)
        except NotFound:
            raise
        except ServiceError as problem:
            self.set_status(problem.status)
            await self.show(name, scale={"group": group, "count": typed, "problem": problem,
                                   "override": override})
            return
        if asks and taken.changed:
            self.ask(detail, f"Scale {group} of {name} to {count} nodes?", "Drain and remove",
                     {"group": group, "count": str(count), "override": override}, taken)
            return
        self.see_cluster(name, "scaled", changed=taken.changed)

    @staticmethod
    def _shrinks(detail: ClusterDetail, group: str, count: int) -> bool:
        return any(one["name"] == group and count < one["count"]
                   for one in detail.spec.get("groups", ()))


class Edit(Page):
    """``/clusters/NAME/edit``: another spec for a running cluster."""

    sees = Role.OPERATOR

    async def get(self, name: str) -> None:  # type: ignore[override]
        """The form with the spec as it is wanted now."""
        detail = self.context.service.show(name)
        self.show(detail, present.spec_text(detail.spec))

    def show(self, detail: ClusterDetail, text: str, **more: Any) -> None:
        """The form with a text that is never lost, and beside it what it would do, or why not."""
        values = {"problem": None, "taken": None, "seal": "", "override": "", "stale": ""}
        self.render("edit.html", c=detail, text=text, **(values | more))

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Preview; or apply what was previewed, and preview it anew when it is something else."""
        self.read_form()
        text, override = self.field("spec"), self.field("override")
        applies, stale = False, ""
        detail = self.context.service.show(name)
        try:
            body = await decode_form_text(text)
            check_name(name, body)
            check_spec(self.principal, body)
            detail = self.context.service.show(name)        # of now: decoding took a while
            seal = sealed(detail.revision, override, text)
            if self.field("go") == "apply":
                applies = self.field("previewed") == seal
                stale = "" if applies else STALE_TEXT
            taken = await self.context.service.update(name, body, dry_run=not applies,
                                                      override=override or None)
        except NotFound:
            raise
        except ServiceError as problem:
            self.set_status(problem.status)
            self.show(detail, text, problem=problem, override=override)
            return
        if applies:
            self.see_cluster(name, "updated", changed=taken.changed)
            return
        self.show(detail, text, taken=taken, seal=seal if taken.changed else "",
                  override=override, stale=stale)


class Revisions(Page):
    """``/clusters/NAME/revisions``: every spec that was wanted, and the way back to each.

    ``?to=N`` shows what going back to revision N would do.
    """

    async def get(self, name: str) -> None:  # type: ignore[override]
        """The list; with ``to`` a preview."""
        to = self.get_query_argument("to", "")
        if to:
            check_role(self.principal, Role.OPERATOR)
        await self.show(name, to, self.get_query_argument("override", ""))

    async def show(self, name: str, to: str, override: str, problem: ServiceError | None = None,
                   stale: str = "") -> None:
        """The list with the preview of going back, or with what refuses it."""
        service = self.context.service
        taken, seal = None, ""
        detail, found = service.show(name), await service.revisions(name)
        if to and problem is None:
            try:
                number = number_of("revision", to, "")
                taken = await service.rollback(name, number, dry_run=True,
                                               override=override or None)
                seal = sealed(detail.revision, override, str(number)) if taken.changed else ""
            except NotFound:
                raise
            except ServiceError as error:
                problem = error
        if problem is not None:
            self.set_status(problem.status)
        self.render("revisions.html", c=detail, revisions=found[:REVISIONS_SHOWN], all=len(found),
                    to=to, override=override, problem=problem, taken=taken, seal=seal,
                    stale=stale)


class Rollback(Revisions):
    """``/clusters/NAME/rollback``: go back as it was previewed."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """Somebody reloaded a refused form."""
        self.see(f"/clusters/{quote(name, safe='')}/revisions")

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Go back; or preview it anew when something has changed since."""
        self.read_form()
        to, override = self.field("revision"), self.field("override")
        service = self.context.service
        try:
            number = number_of("revision", to, "")
            seal = sealed(service.show(name).revision, override, str(number))
            if self.field("previewed") != seal:
                await self.show(name, to, override, stale=STALE_TEXT)
                return
            taken = await service.rollback(name, number, override=override or None)
        except NotFound:
            raise
        except ServiceError as problem:
            await self.show(name, to, override, problem)
            return
        self.see_cluster(name, "rolled", changed=taken.changed)


class Restart(Change):
    """``/clusters/NAME/restart``: one node, or all one by one."""

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Restart when somebody is sure; ask otherwise."""
        self.read_form()
        service, node = self.context.service, self.field("node")
        detail = service.show(name)
        if node and node not in {one.name for one in detail.nodes}:
            raise NotFound(f"{name} has no node {node!r}")
        if not self.field("sure"):
            what = f"{node} of {name}" if node else f"every node of {name}, one by one"
            self.ask(detail, f"Restart {what}?", "Restart", {"node": node}, says=(RESTART_TEXT,))
            return
        await service.restart(name, node or None)
        self.see_cluster(name, "restarting")


class Pause(Change):
    """``/clusters/NAME/pause``: begin no further step."""

    paused, notice = True, "paused"

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Pause, or go on."""
        self.read_form()
        taken = await self.context.service.pause(name, self.paused)
        self.see_cluster(name, self.notice, changed=taken.changed)


class Continue(Pause):
    """``/clusters/NAME/continue``: go on after a pause."""

    paused, notice = False, "continued"


def change_rules() -> list[URLSpec]:
    """The addresses of these pages."""
    return [URLSpec(rf"/clusters/(?P<name>[^/]+)/{tail}", page) for tail, page in (
        ("scale", Scale), ("edit", Edit), ("revisions", Revisions), ("rollback", Rollback),
        ("restart", Restart), ("pause", Pause), ("continue", Continue))]
