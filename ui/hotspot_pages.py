"""Hot spots: routes and pages; where load is uneven, why, and what moving something would do."""
from __future__ import annotations

from urllib.parse import quote

from esaas.framework.core.hotspots import DIMENSIONS
from esaas.framework.service.access.people import Role
from esaas.framework.service.errors import NotFound, ServiceError, Unavailable
from esaas.framework.service.hotspot_views import (
    HostSpotsView,
    HotspotsView,
    ProposalView,
)
from esaas.framework.service.views import OperationView
from tornado.routing import URLSpec

from .change_pages import Change
from .models import ApplyHotspotRequest, HotspotQuery
from .pages import Page
from .route import CLUSTER, Answer, Call, Reply, get, post

MOVING = {202: Answer("recorded; the shards move as soon as no gate holds, and what comes of it "
                      "is listed with the operations", OperationView)}


async def hotspots(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/hotspots``."""
    return Reply(await call.service.hotspots(call.name, call.query.dimension))


async def apply_hotspots(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/hotspots/apply``."""
    begun = await call.service.apply_hotspots(call.name, call.body.dimension, call.body.proposal)
    return Reply(begun, 202, {"Location": f"/v1/clusters/{quote(call.name)}/operations"})


async def host_spots(call: Call) -> Reply:
    """``GET /v1/hotspots``."""
    return Reply(call.service.host_spots())


HOTSPOT_ROUTES = (
    get(f"{CLUSTER}/hotspots", hotspots, "showHotspots", "Deviation and outliers over the nodes of "
        "a cluster, and what moving which shard would do", HotspotsView, query=HotspotQuery,
        refuses=(Unavailable,)),
    post(f"{CLUSTER}/hotspots/apply", apply_hotspots, "applyHotspot", "Move what a proposal moves, "
         "gated as any change", body=ApplyHotspotRequest, answers=MOVING),
    get("/v1/hotspots", host_spots, "showHostSpots", "Deviation and outliers over hosts, and which "
        "node could leave which", HostSpotsView, role=Role.ADMIN),
)


class Hotspots(Change):
    """``/clusters/NAME/hotspots``: a cluster's."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """The report; computed when it is asked for."""
        await self.show(name)

    async def show(self, name: str, problem: ServiceError | None = None) -> None:
        """Render it; ``problem`` is why a proposal was not applied, or nothing can be seen."""
        service, dimension = self.context.service, self.get_query_argument("dimension", "")
        detail = service.show(name)
        report: HotspotsView | None = None
        try:
            report = await service.hotspots(name, dimension or None)
        except NotFound:
            raise
        except ServiceError as error:
            problem = problem or error
        if problem is not None:
            self.set_status(problem.status)
        self.render("hotspots.html", c=detail, report=report, problem=problem,
                    dimension=dimension or detail.spec["balance"]["dimension"],
                    dimensions=DIMENSIONS)


class ApplyHotspot(Hotspots):
    """``/clusters/NAME/hotspots/apply``: the button of a proposal."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """Somebody reloaded a refused form."""
        self.see(f"/clusters/{quote(name, safe='')}/hotspots")

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Ask first, with what will move; then begin."""
        self.read_form()
        service = self.context.service
        dimension, proposal = self.field("dimension"), self.field("proposal")
        try:
            if not self.field("sure"):
                report = await service.hotspots(name, dimension or None)
                found = next((one for one in report.proposals if one.id == proposal), None)
                if found is not None:
                    self.ask(service.show(name), f"Move shards of {name}?", "Move them",
                             {"dimension": dimension, "proposal": proposal}, None,
                             says=words_of(found),
                             back=f"/clusters/{quote(name, safe='')}/hotspots")
                    return
            await service.apply_hotspots(name, dimension or None, proposal)
        except NotFound:
            raise
        except ServiceError as problem:
            await self.show(name, problem)
            return
        self.see(f"/clusters/{quote(name, safe='')}/operate", notice="asked")


def words_of(found: ProposalView) -> tuple[str, ...]:
    """What a proposal does, a line each."""
    moves = tuple(f"{one.index}[{one.shard}]: {one.source} → {one.target}" for one in found.moves)
    return (*moves, f"{found.moved_mb:.0f} MB, {found.dimension}: "
            f"{found.deviation_before:.4g} → {found.deviation_after:.4g}")


class HostSpots(Page):
    """``/hotspots``: of the hosts, over all clusters."""

    sees = Role.ADMIN

    async def get(self) -> None:  # type: ignore[override]
        """The report."""
        self.render("host_hotspots.html", report=self.context.service.host_spots())


def hotspot_rules() -> list[URLSpec]:
    """The addresses of the pages."""
    root = r"/clusters/(?P<name>[^/]+)/hotspots"
    return [URLSpec(root, Hotspots), URLSpec(rf"{root}/apply", ApplyHotspot),
            URLSpec(r"/hotspots", HostSpots)]
