"""Who sends a request and whether he may: the one place where handlers ask that.

A request proves itself by a session cookie or by ``Authorization: Bearer TOKEN``. What a route
needs is declared where the route is; ``None`` there means that it is open to everybody.
"""
from __future__ import annotations

import tornado.web
from esaas.framework.core.quota import QUOTA_RULES
from esaas.framework.service.access.people import ANYBODY, Principal, Role
from esaas.framework.service.access.sessions import IDLE_S, Session
from esaas.framework.service.errors import Forbidden, Unauthenticated

from .context import Context

SESSION_COOKIE = "esaas_session"
CLUSTER_PATHS = ("/v1/clusters/", "/clusters/")
SCHEME = "bearer"


async def principal_of(handler: tornado.web.RequestHandler, context: Context) -> Principal:
    """Who sends a request; Unauthenticated. A session in use is carried on by a new cookie."""
    if not context.login:
        return ANYBODY
    await context.access.fresh()
    given = handler.request.headers.get("Authorization")
    if given is not None:
        scheme, _, value = given.partition(" ")
        if scheme.lower() != SCHEME or not value.strip():
            raise Unauthenticated("send Authorization: Bearer TOKEN")
        return context.access.by_token(value.strip())
    session = session_of(handler)
    if session is None:
        raise Unauthenticated("log in, or send a token (Authorization: Bearer TOKEN)")
    principal = context.access.by_session(session)
    renewed = session.renewed(context.access.now())
    if renewed is not None:
        keep_session(handler, renewed, context)
    return principal


def session_of(handler: tornado.web.RequestHandler) -> Session | None:
    """The session of a request's cookie, when we have signed it."""
    text = handler.get_signed_cookie(SESSION_COOKIE, max_age_days=IDLE_S / 86400)
    return Session.parse(text) if text is not None else None


def keep_session(handler: tornado.web.RequestHandler, session: Session, context: Context) -> None:
    """Give the browser the cookie of a session."""
    handler.set_signed_cookie(SESSION_COOKIE, session.text(), expires_days=None,
                              max_age=int(IDLE_S), httponly=True, samesite="Lax",
                              secure=context.secure)


def check_role(principal: Principal, needed: Role) -> None:
    """Forbidden when a role does not cover what is needed."""
    if not principal.role.covers(needed):
        raise Forbidden(f"this takes the role {needed}; {principal.name} is {principal.role}")


def check_tenant(principal: Principal, tenant: object) -> None:
    """Forbidden when a tenant is not somebody's; what is no name is refused by the service."""
    if isinstance(tenant, str) and not principal.sees(tenant):
        mine = ", ".join(sorted(principal.tenants or ())) or "none"
        raise Forbidden(f"{tenant[:80]} is no tenant of {principal.name} (whose are: {mine})")


def check_spec(principal: Principal, body: object) -> None:
    """Forbidden when a spec is for a tenant that is not somebody's."""
    if isinstance(body, dict):
        check_tenant(principal, body.get("tenant"))


def check_override(principal: Principal, override: str | None) -> None:
    """Forbidden when a rule is overridden that only an admin may go past."""
    if override in QUOTA_RULES and not principal.role.covers(Role.ADMIN):
        raise Forbidden(f"only an admin may go past {override}; {principal.name} is "
                        f"{principal.role}")


def check_cluster(principal: Principal, path: str, name: str | None, context: Context) -> None:
    """Forbidden for a cluster of a tenant that is not somebody's; NotFound for none at all."""
    if name is None or principal.tenants is None or not path.startswith(CLUSTER_PATHS):
        return
    if not principal.sees(context.service.owner(name).tenant):
        raise Forbidden(f"{name} belongs to a tenant that is not one of {principal.name}")
