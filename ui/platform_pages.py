"""The platform: a route and a page; agents, schedulers, processes, ZooKeeper, masters."""
from __future__ import annotations

from typing import ClassVar

from esaas.framework.service.access.people import Role
from esaas.framework.service.platform import PlatformView
from tornado.routing import URLSpec

from .pages import Page
from .route import Call, Reply, get


async def platform(call: Call) -> Reply:
    """``GET /v1/platform``."""
    return Reply(await call.service.platform())


PLATFORM_ROUTES = (
    get("/v1/platform", platform, "showPlatform", "Agents with what sits on them, schedulers and "
        "their owners, processes, the store and the leading master", PlatformView,
        role=Role.ADMIN),
)


class Platform(Page):
    """``/platform``: the same for people; it goes over all tenants."""

    sees: ClassVar[Role | None] = Role.ADMIN

    async def get(self) -> None:  # type: ignore[override]
        """The page."""
        view = await self.context.service.platform()
        self.render("platform.html", v=view, status=self.visible.status(),
                    names={one.instance: short(one.instance) for one in view.members})


def short(instance: str) -> str:
    """A process as ``host:pid``."""
    return instance.rpartition(":")[0] or instance


def platform_rules() -> list[URLSpec]:
    """The address of the page."""
    return [URLSpec(r"/platform", Platform)]
