"""Snapshots of a cluster: route and pages; what there is, one now, a drill, a restore."""
from __future__ import annotations

from urllib.parse import quote

from esaas.framework.service.errors import NotFound, ServiceError
from esaas.framework.service.snapshot_views import SnapshotsView
from tornado.routing import URLSpec

from .change_pages import Change
from .route import CLUSTER, Call, Reply, get

KINDS = ("snapshot", "restore", "restore_drill", "put_repository", "expire_snapshots")
SHOWN = 10
RESTORE_FIELDS = ("snapshot", "index", "prefix", "from_cluster")


async def snapshots(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/snapshots``."""
    return Reply(await call.service.snapshots(call.name))


SNAPSHOT_ROUTES = (
    get(f"{CLUSTER}/snapshots", snapshots, "showSnapshots", "What the repository of a cluster "
        "holds, when the next snapshot and drill are due, and what holds them", SnapshotsView),
)


class Snapshots(Change):
    """``/clusters/NAME/snapshots``: how it stands, the list, and the forms."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """Asked of the repository when somebody looks."""
        await self.show(name)

    async def show(self, name: str, problem: ServiceError | None = None,
                   typed: dict[str, str] | None = None) -> None:
        """Render it; ``problem`` is why a form was refused, which keeps what was ``typed``."""
        service = self.context.service
        found = await service.snapshots(name)
        if problem is not None:
            self.set_status(problem.status)
        detail = service.show(name)
        others = [one.name for one in service.list_clusters(detail.tenant) if one.name != name]
        runs = [one for one in service.operations(name) if one.kind in KINDS][:SHOWN]
        self.render("snapshots.html", c=detail, found=found, problem=problem,
                    typed=typed or {}, others=others, operations=runs)


class RunSnapshot(Snapshots):
    """``/clusters/NAME/snapshots/run``: one of the forms."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """Somebody reloaded a refused form."""
        self._back(name)

    def _back(self, name: str) -> None:
        self.see(f"/clusters/{quote(name, safe='')}/snapshots")

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Begin it: nothing of these writes over anything that is there."""
        self.read_form()
        kind = self.field("kind")
        if kind not in ("snapshot", "restore", "restore_drill"):
            raise NotFound(f"there is no operation {kind[:80]!r} of snapshots")
        typed = {field: self.field(field).strip() for field in RESTORE_FIELDS}
        given = {field: value for field, value in typed.items() if value and kind == "restore"}
        try:
            await self.context.service.run(name, kind, given)
        except NotFound:
            raise
        except ServiceError as problem:
            await self.show(name, problem, typed)
            return
        self._back(name)


def snapshot_rules() -> list[URLSpec]:
    """The addresses of the pages."""
    root = r"/clusters/(?P<name>[^/]+)/snapshots"
    return [URLSpec(root, Snapshots), URLSpec(rf"{root}/run", RunSnapshot)]
