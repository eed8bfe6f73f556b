"""The page for people on call: switches, what is done once, secure settings, plugins."""
from __future__ import annotations

from typing import Any
from urllib.parse import quote

from esaas.framework.core.errors import Fault
from esaas.framework.service.errors import Invalid, NotFound, ServiceError
from esaas.framework.service.views import ClusterDetail
from esaas.framework.words import seconds_of
from tornado.routing import URLSpec

from . import present
from .change_pages import STALE_TEXT, Change, number_of, sealed
from .models import MAX_TIMEOUT_S
from .pages import NOTICES

CACHES = ("query", "request", "fielddata")
OPERATE_NOTICES = {
    "set": "The switch was taken. It is in force as soon as Elasticsearch has answered.",
    "restored": "The switch goes back to what it was.",
    "asked": "The request was recorded. What comes of it is listed below.",
    "secret": "The secure setting was taken. Nodes get it one by one.",
    "unset": "The secure setting is taken out, node by node.",
    "plugin": "The change of plugins was taken. The plan shows how far it is.",
    "same": NOTICES["same"],
}
HEAVY = {
    "clear_cache": "Searches are slower until the caches have filled again.",
    "force_merge": "It takes long, much disk and much I/O, and cannot be stopped. Merge only "
                   "indices that are not written any more.",
}
READ_ONLY_TEXT = "Every write to every index is refused until it goes back."


def span_of(typed: str) -> float | None:
    """A typed time-out in seconds, None when nothing was typed; Invalid otherwise."""
    if not typed.strip():
        return None
    try:
        seconds = seconds_of(typed)
    except ValueError as error:
        raise Invalid("the time-out is no time", [
            Fault("for", f"{error}, not {typed[:80]!r}", "type")]) from error
    if seconds > MAX_TIMEOUT_S:
        raise Invalid("the time-out is too long", [
            Fault("for", f"at most {MAX_TIMEOUT_S // 86400}d", "type")])
    return seconds


class Operate(Change):
    """``/clusters/NAME/operate``: everything of this module on one page."""

    async def get(self, name: str, fragment: str = "") -> None:  # type: ignore[override]
        """The page, or its live parts alone."""
        notice = OPERATE_NOTICES.get(self.get_query_argument("notice", ""), "")
        self.show(name, template="_operate.html" if fragment else "operate.html", notice=notice)

    def show(self, name: str, *, template: str = "operate.html", notice: str = "",
             form: str = "", problem: ServiceError | None = None,
             typed: dict[str, str] | None = None) -> None:
        """Render it; ``form`` was refused by ``problem``, and keeps what was ``typed``."""
        service = self.context.service
        detail = service.show(name)
        if problem is not None:
            self.set_status(problem.status)
        self.render(template, c=detail, notice=notice, form=form, problem=problem,
                    typed=typed or {}, operations=service.operations(name)[:20],
                    secrets=service.secrets(name), caches=CACHES)

    def see_operate(self, name: str, notice: str, *, changed: bool = True) -> None:
        """Back to this page, saying what a form has done."""
        self.see(f"/clusters/{quote(name, safe='')}/operate", notice=notice if changed else "same")

    def ask_here(self, detail: ClusterDetail, question: str, button: str,
                 fields: dict[str, str], preview: Any = None, **more: Any) -> None:
        """As ``ask``; whoever cancels comes back to this page."""
        self.ask(detail, question, button, fields, preview,
                 back=f"/clusters/{quote(detail.name, safe='')}/operate", **more)

    def told(self, *names: str) -> dict[str, str]:
        """Posted fields by name, as they were typed."""
        return {name: self.field(name) for name in names}


class Posted(Operate):
    """A form of that page."""

    async def get(self, name: str, fragment: str = "") -> None:  # type: ignore[override]
        """Somebody reloaded a refused form."""
        self.see(f"/clusters/{quote(name, safe='')}/operate")


class Switch(Posted):
    """``/clusters/NAME/switch``: set a switch for a time, or let it go back."""

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Restore, or set; to refuse every write is asked about first."""
        self.read_form()
        service, fields = self.context.service, self.told("to", "for")
        if self.field("restore"):
            taken = await service.restore_switch(name, self.field("restore"))
            self.see_operate(name, "restored", changed=taken.changed)
            return
        switch, _, value = fields["to"].partition(":")
        try:
            span = span_of(fields["for"])
            if fields["to"] == "read_only:true" and not self.field("sure"):
                self.ask_here(service.show(name), f"Make {name} read-only?", "Make it read-only",
                              fields, says=(READ_ONLY_TEXT,))
                return
            taken = await service.set_switch(name, switch, value, span)
        except NotFound:
            raise
        except ServiceError as problem:
            self.show(name, form="switch", problem=problem, typed=fields)
            return
        self.see_operate(name, "set", changed=taken.changed)


class Run(Posted):
    """``/clusters/NAME/run``: do something once."""

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Do it; what is heavy is asked about first."""
        self.read_form()
        service, fields = self.context.service, self.told("kind", "index", "max_segments", *CACHES)
        kind, detail = fields["kind"], service.show(name)
        if kind not in present.OPERATIONS:
            raise NotFound(f"there is no operation {kind[:80]!r}")
        try:
            parameters = self.parameters(kind, fields)
            if kind in HEAVY and not self.field("sure"):
                self.ask_here(detail, f"{present.OPERATIONS[kind]} of {name}?",
                              present.OPERATIONS[kind], fields, says=(HEAVY[kind],))
                return
            await service.run(name, kind, parameters)
        except NotFound:
            raise
        except ServiceError as problem:
            self.show(name, form=kind, problem=problem, typed=fields)
            return
        self.see_operate(name, "asked")

    @staticmethod
    def parameters(kind: str, fields: dict[str, str]) -> dict[str, Any]:
        """What the form says, as the service takes it; Invalid for what is no number."""
        found: dict[str, Any] = {}
        if fields["index"].strip() and kind != "reroute_retry":
            found["index"] = fields["index"].strip()
        caches = [cache for cache in CACHES if fields[cache]]
        if kind == "clear_cache" and caches:
            found["kinds"] = caches
        if kind == "force_merge" and fields["max_segments"].strip():
            found["max_segments"] = number_of("max_segments", fields["max_segments"],
                                              " of segments")
        return found


class Secrets(Posted):
    """``/clusters/NAME/secrets``: set a secure setting, or take one out."""

    hushed = True

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Set it, or take it out when somebody is sure; a value is never shown again."""
        self.read_form()
        service, gone = self.context.service, self.field("remove")
        if gone:
            if not self.field("sure"):
                self.ask_here(service.show(name), f"Take {gone} out of {name}?", "Remove",
                              {"remove": gone}, says=("Its value cannot be brought back.",))
                return
            taken = await service.set_secrets(name, {gone: None})
            self.see_operate(name, "unset", changed=taken.changed)
            return
        key = self.field("key").strip()
        try:
            if not key:
                raise Invalid("a secure setting has a name", [
                    Fault("key", "such as s3.client.default.access_key", "key")])
            taken = await service.set_secrets(name, {key: self.field("value")})
        except NotFound:
            raise
        except ServiceError as problem:
            self.show(name, form="secret", problem=problem, typed={"key": key})
            return
        self.see_operate(name, "secret", changed=taken.changed)


class Plugins(Posted):
    """``/clusters/NAME/plugins``: one plugin more or less, previewed and then applied."""

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Preview; or apply what was previewed, and preview it anew when something changed."""
        self.read_form()
        fields = self.told("remove", "plugin", "from", "sha256")
        detail = self.context.service.show(name)
        seal = sealed(detail.revision, "", "\n".join(fields.values()))
        previewed = self.field("previewed")
        try:
            taken = await self.act(name, fields, dry_run=previewed != seal)
        except ServiceError as problem:
            if isinstance(problem, NotFound):
                raise
            self.show(name, form="plugin", problem=problem, typed=fields)
            return
        if previewed == seal or not taken.changed:
            self.see_operate(name, "plugin", changed=taken.changed)
            return
        what = (f"Remove the plugin {fields['remove']} from {name}?" if fields["remove"]
                else f"Install the plugin {fields['plugin']} on {name}?")
        self.ask_here(detail, what, "Remove" if fields["remove"] else "Install",
                      fields | {"previewed": seal}, taken, danger=bool(fields["remove"]),
                      stale=STALE_TEXT if previewed else "")

    async def act(self, name: str, fields: dict[str, str], *, dry_run: bool) -> Any:
        """What the form asks the service for."""
        service = self.context.service
        if fields["remove"]:
            return await service.remove_plugin(name, fields["remove"], dry_run=dry_run)
        typed = {"name": fields["plugin"], "url": fields["from"], "sha256": fields["sha256"]}
        body = {key: value.strip() for key, value in typed.items() if value.strip()}
        return await service.install_plugin(name, body, dry_run=dry_run)


def operate_rules() -> list[URLSpec]:
    """The addresses of this page and its forms."""
    root = r"/clusters/(?P<name>[^/]+)"
    return [URLSpec(rf"{root}/operate", Operate),
            URLSpec(rf"{root}/operate/(?P<fragment>fragment)", Operate),
            *(URLSpec(rf"{root}/{tail}", page) for tail, page in (
                ("switch", Switch), ("run", Run), ("secrets", Secrets), ("plugins", Plugins)))]
