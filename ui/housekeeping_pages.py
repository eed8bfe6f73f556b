"""Housekeeping and autoscaling: routes and page; what policies see, do next, and wait for."""
from __future__ import annotations

from esaas.framework.service.autoscaling_views import AutoscaleView
from esaas.framework.service.errors import NotFound, ServiceError, Unavailable
from esaas.framework.service.housekeeping_views import HousekeepingView
from tornado.routing import URLSpec

from .change_pages import Change
from .route import CLUSTER, Call, Reply, get

# The policies of a spec, as people read them.
POLICIES = {
    "merge": "Force merge of idle indices", "rollover": "Rollover", "delete": "Deletion",
    "replicas": "Replicas", "unblock": "Release after a full disk", "guards": "Guards",
    "caches": "Limits of caches",
}


async def housekeeping(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/housekeeping``."""
    return Reply(await call.service.housekeeping(call.name))


async def autoscale(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/autoscale``."""
    return Reply(await call.service.autoscale(call.name))


HOUSEKEEPING_ROUTES = (
    get(f"{CLUSTER}/autoscale", autoscale, "showAutoscale", "What every group with a policy should "
        "do, by which figures, and what keeps the service from doing it", AutoscaleView),
    get(f"{CLUSTER}/housekeeping", housekeeping, "showHousekeeping", "What every policy of a "
        "cluster sees, what it has done last, would do next, and which gate holds it",
        HousekeepingView, refuses=(Unavailable,)),
)


class Housekeeping(Change):
    """``/clusters/NAME/housekeeping``."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """The report; the indices are looked at when it is asked for."""
        service = self.context.service
        detail = service.show(name)
        report: HousekeepingView | None = None
        problem: ServiceError | None = None
        try:
            report = await service.housekeeping(name)
        except NotFound:
            raise
        except ServiceError as error:
            problem = error
            self.set_status(error.status)
        scaling = await service.autoscale(name)
        self.render("housekeeping.html", c=detail, report=report, problem=problem,
                    titles=POLICIES, scaling=scaling)


def housekeeping_rules() -> list[URLSpec]:
    """The address of the page."""
    return [URLSpec(r"/clusters/(?P<name>[^/]+)/housekeeping", Housekeeping)]
