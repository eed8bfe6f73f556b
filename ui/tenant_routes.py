"""The part of the REST API about tenants: their quota, and what is used of it."""
from __future__ import annotations

from esaas.framework.service.access.people import Role
from esaas.framework.service.tenants.records import QuotaRequest
from esaas.framework.service.tenants.views import TenantView

from .gate import check_tenant
from .route import Answer, Call, Reply, change, get

TENANT = "/v1/tenants/{tenant}"


async def tenants(call: Call) -> Reply:
    """``GET /v1/tenants``."""
    return Reply(await call.visible.tenants())


async def tenant(call: Call) -> Reply:
    """``GET /v1/tenants/{tenant}``."""
    check_tenant(call.principal, call.path["tenant"])
    return Reply(await call.service.tenant(call.path["tenant"]))


async def set_tenant(call: Call) -> Reply:
    """``PUT /v1/tenants/{tenant}``."""
    check_tenant(call.principal, call.path["tenant"])
    return Reply(await call.service.set_tenant(call.path["tenant"], call.body))


async def remove_tenant(call: Call) -> Reply:
    """``DELETE /v1/tenants/{tenant}``."""
    check_tenant(call.principal, call.path["tenant"])
    return Reply(await call.service.remove_tenant(call.path["tenant"]))


TENANT_ROUTES = (
    get("/v1/tenants", tenants, "listTenants", "Tenants that one sees: quota, what their "
        "clusters want, and what the master says", list[TenantView]),
    get(TENANT, tenant, "showTenant", "One tenant", TenantView),
    change("PUT", TENANT, set_tenant, "setTenant", "Set who a tenant is, and its quota: on record "
           "here, then on the master, again and again until that has it", body=QuotaRequest,
           check_body=False, role=Role.ADMIN, answers={
               200: Answer("on record; standing says whether the master has it", TenantView)}),
    change("DELETE", TENANT, remove_tenant, "removeTenant", "Remove a tenant's quota here and on "
           "the master; its clusters stay, without limit", role=Role.ADMIN, answers={
               200: Answer("what is left of it", TenantView)}),
)
