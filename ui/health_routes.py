"""Whether this process answers: for service managers, which know no user."""
from __future__ import annotations

from esaas.framework.service.views import HealthView

from .route import Call, Reply, get


async def health(call: Call) -> Reply:
    """``GET /v1/health``; says nothing of clusters, for anybody may ask."""
    found = call.service.status()
    return Reply(HealthView(ok=True, version=found.version))


HEALTH_ROUTES = (
    get("/v1/health", health, "health", "Whether this process answers. It stays so while Mesos or "
        "ZooKeeper are away, since starting it again would mend nothing", HealthView, role=None),
)
