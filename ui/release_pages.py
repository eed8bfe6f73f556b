"""Releases: routes and pages; who released which commit, what came of it, and the drift since."""
from __future__ import annotations

from esaas.framework.service.access.people import Principal
from esaas.framework.service.errors import NotFound, Unavailable
from esaas.framework.service.releases import (
    Follower,
    FollowerRequest,
    OutcomeRequest,
    Release,
    ReleaseRequest,
    ReleaseView,
)
from tornado.routing import URLSpec

from .gate import check_tenant
from .pages import Page
from .route import Answer, Call, Reply, change, get, post

RELEASE = "/v1/releases/{release}"
FOLLOWER = "/v1/followers/{follower}"
SHOWN = 100
BEGUN = {201: Answer("on record", ReleaseView)}
TOLD = {200: Answer("as it is now", ReleaseView)}


def seen(release: Release, principal: Principal) -> Release | None:
    """A release without clusters of others; None when nothing of it is one's own."""
    own = tuple(one for one in release.clusters if principal.sees(one.tenant))
    return release.model_copy(update={"clusters": own}) if own else None


def view(release: Release) -> ReleaseView:
    """As the API shows it."""
    return ReleaseView.model_validate({"release": release, "status": release.status})


def followed(one: Follower, principal: Principal) -> bool:
    """Whether somebody may see a follower: all its clusters are of tenants of his.

    Of one that has seen no cluster yet nobody knows whose it is: only who runs it sees it.
    """
    if not one.tenants:
        return principal.tenants is None or one.by == principal.name
    return all(principal.sees(tenant) for tenant in one.tenants)


async def releases(call: Call) -> Reply:
    """``GET /v1/releases``."""
    found = [seen(one, call.principal) for one in await call.service.releases()]
    return Reply([view(one) for one in found if one is not None])


async def release(call: Call) -> Reply:
    """``GET /v1/releases/{release}``."""
    found = await call.service.release(call.path["release"])
    return Reply(view(own_part(found, call.principal)))


def own_part(release: Release, principal: Principal) -> Release:
    """One release as somebody may see it; NotFound when nothing of it is his."""
    found = seen(release, principal)
    if found is None:
        raise NotFound(f"no release is called {release.id!r}")
    return found


async def begin(call: Call) -> Reply:
    """``POST /v1/releases``."""
    for one in call.body.clusters:
        check_tenant(call.principal, one.tenant)
    begun = await call.service.begin_release(call.body, call.principal.name)
    return Reply(view(begun), 201, {"Location": f"/v1/releases/{begun.id}"})


async def outcome(call: Call) -> Reply:
    """``POST /v1/releases/{release}/outcomes``."""
    for one in (await call.service.release(call.path["release"])).clusters:
        check_tenant(call.principal, one.tenant)
    return Reply(view(await call.service.release_outcome(call.path["release"], call.body)))


async def followers(call: Call) -> Reply:
    """``GET /v1/followers``."""
    return Reply([one for one in await call.service.followers()
                  if followed(one, call.principal)])


async def follower_seen(call: Call) -> Reply:
    """``PUT /v1/followers/{follower}``."""
    for tenant in call.body.tenants:
        check_tenant(call.principal, tenant)
    return Reply(await call.service.follower_seen(
        call.path["follower"], call.body, call.principal.name))


async def remove_follower(call: Call) -> Reply:
    """``DELETE /v1/followers/{follower}``."""
    known = {one.name: one for one in await call.service.followers()}
    for tenant in known[call.path["follower"]].tenants if call.path["follower"] in known else ():
        check_tenant(call.principal, tenant)
    await call.service.remove_follower(call.path["follower"])
    return Reply({"name": call.path["follower"]})


RELEASE_ROUTES = (
    get("/v1/releases", releases, "listReleases", "Who released which commit, newest first, "
        "without specs", list[ReleaseView], refuses=(Unavailable,)),
    post("/v1/releases", begin, "beginRelease", "Put a release on record before its clusters are "
         "changed by the other doors", body=ReleaseRequest, answers=BEGUN),
    get(RELEASE, release, "showRelease", "One release, with its specs", ReleaseView,
        refuses=(Unavailable,)),
    post(f"{RELEASE}/outcomes", outcome, "recordOutcome", "Say what came of one of its clusters",
         body=OutcomeRequest, answers=TOLD),
    get("/v1/followers", followers, "listFollowers", "Who follows which branch, and what differs "
        "from it", list[Follower], refuses=(Unavailable,)),
    change("PUT", FOLLOWER, follower_seen, "reportFollower", "Say what a follower has seen",
           body=FollowerRequest, answers={200: Answer("on record", Follower)}),
    change("DELETE", FOLLOWER, remove_follower, "removeFollower", "Forget a follower",
           answers={200: Answer("its name", dict[str, str])}),
)


class Releases(Page):
    """``/releases``: the list, and who follows what."""

    async def get(self) -> None:  # type: ignore[override]
        """The page."""
        service = self.context.service
        found = [seen(one, self.principal) for one in await service.releases()]
        shown = [one for one in found if one is not None]
        self.render("releases.html", releases=shown[:SHOWN], all=len(shown),
                    followers=[one for one in await service.followers()
                               if followed(one, self.principal)])


class OneRelease(Page):
    """``/releases/ID``: its clusters, and the way back for each."""

    async def get(self, ident: str) -> None:  # type: ignore[override]
        """The page; NotFound."""
        found = await self.context.service.release(ident)
        self.render("release.html", r=own_part(found, self.principal))


def release_rules() -> list[URLSpec]:
    """The addresses of the pages."""
    return [URLSpec(r"/releases", Releases), URLSpec(r"/releases/(?P<ident>[^/]+)", OneRelease)]
