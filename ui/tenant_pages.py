"""The page about tenants: what is used, reserved and allowed, and for admins a form to set it."""
from __future__ import annotations

from typing import Any, ClassVar

from esaas.framework.core.errors import Fault
from esaas.framework.core.quota import FIELDS
from esaas.framework.service.access.people import Role
from esaas.framework.service.errors import Invalid, ServiceError
from esaas.framework.service.tenants.views import TenantView
from tornado.routing import URLSpec

from .gate import check_tenant
from .pages import Page

NOTICES = {
    "set": "The quota is on record. Below is whether the master has it.",
    "removed": "The quota was removed here; the master forgets it as soon as it answers.",
}
LABELS = {"cpus": "CPUs", "mem_mb": "Memory (MB)", "disk_mb": "Disk (MB)"}
PARTS = ("guarantee", "limit", "cluster_limit")


class Tenants(Page):
    """``/tenants``: all that one sees."""

    acts: ClassVar[Role | None] = Role.ADMIN

    async def get(self, **path: str) -> None:
        """The page; an address of a form leads here, too."""
        if self.request.path != "/tenants":
            self.see("/tenants")        # somebody reloaded what a form had answered
            return
        await self.show(NOTICES.get(self.get_query_argument("notice", ""), ""))

    async def show(self, notice: str = "", problem: ServiceError | None = None,
                   typed: dict[str, str] | None = None) -> None:
        """Render it; a refused form keeps what was ``typed``."""
        if problem is not None:
            self.set_status(problem.status)
        self.render("tenants.html", tenants=await self.visible.tenants(), notice=notice,
                    problem=problem, typed=typed or {}, labels=LABELS, bars=bars,
                    typed_limits=typed_limits)

    async def post(self, **path: str) -> None:
        """Set the quota of a tenant, old or new."""
        self.read_form()
        names = ["tenant", "display_name", "owner", "contacts", "clusters", "force",
                 *(f"{part}_{field}" for part in PARTS for field in FIELDS)]
        typed = {name: self.field(name).strip() for name in names}
        check_tenant(self.principal, typed["tenant"])
        try:
            await self.context.service.set_tenant(typed["tenant"], wanted(typed))
        except Invalid as problem:
            await self.show(problem=problem, typed=typed)
            return
        self.see("/tenants", notice="set")


class RemoveTenant(Tenants):
    """``/tenants/NAME/remove``: its quota goes, its clusters stay."""

    async def post(self, tenant: str) -> None:  # type: ignore[override]
        """Remove it when somebody is sure; ask otherwise."""
        self.read_form()
        check_tenant(self.principal, tenant)
        if not self.field("sure"):
            self.render("confirm_access.html", question=f"Remove the quota of {tenant}?",
                        says=("Its clusters stay, and nothing limits what they take.",),
                        button="Remove", back="/tenants")
            return
        await self.context.service.remove_tenant(tenant)
        self.see("/tenants", notice="removed")


def wanted(typed: dict[str, str]) -> dict[str, Any]:
    """What the form asks for, as the API has it; Invalid with every fault."""
    faults: list[Fault] = []
    body: dict[str, Any] = {
        "display_name": typed["display_name"], "owner": typed["owner"],
        "contacts": [line.strip() for line in typed["contacts"].split(",") if line.strip()],
        "force": bool(typed["force"]), "clusters": {}}
    for part in PARTS:
        body[part] = {field: _number(f"{part}_{field}", text, faults) for field in FIELDS
                      if (text := typed[f"{part}_{field}"])}
    for words in (line.replace(":", " ").split() for line in typed["clusters"].splitlines()):
        if not words:
            continue
        cluster, *amounts = words
        limit = body["clusters"].setdefault(cluster, {})
        for amount in amounts:
            field, _, text = amount.partition("=")
            if field not in FIELDS:
                faults.append(Fault("clusters", f"{amount!r}: write it as logs cpus=4 "
                                    "mem_mb=8192", "type"))
            else:
                limit[field] = _number("clusters", text, faults)
    if faults:
        raise Invalid("this is no quota", faults)
    return body


def _number(path: str, text: str, faults: list[Fault]) -> float:
    try:
        return float(text)
    except ValueError:
        faults.append(Fault(path, f"{text!r} is no number", "type"))
        return 0.0


def typed_limits(tenant: TenantView) -> str:
    """Limits of single clusters as people type them: one cluster a line."""
    return "\n".join(f"{name} " + " ".join(
        f"{field}={value:g}" for field in FIELDS if (value := getattr(limit, field)) is not None)
        for name, limit in tenant.cluster_limits.items())


def bars(tenant: TenantView) -> list[dict[str, Any]]:
    """For each resource what is wanted, reserved, used and allowed; ``share`` of the limit in %."""
    found = []
    for field in FIELDS:
        wanted_, limit = getattr(tenant.wanted, field), getattr(tenant.limit, field)
        master = tenant.master
        parts = [("wanted", wanted_)]
        if master is not None:
            parts += [("reserved", getattr(master.reserved, field)),
                      ("used", getattr(master.used, field))]
        found.append({
            "field": field, "label": LABELS[field], "limit": limit,
            "guarantee": getattr(tenant.guarantee, field),
            "parts": [(name, value, _share(value, limit)) for name, value in parts]})
    return found


def _share(value: float, limit: float | None) -> int | None:
    if limit is None:
        return None
    return min(round(100 * value / limit), 999) if limit else (999 if value else 0)


def tenant_rules() -> list[URLSpec]:
    """The addresses of these pages."""
    return [URLSpec(r"/tenants", Tenants),
            URLSpec(r"/tenants/(?P<tenant>[^/]+)/remove", RemoveTenant)]
