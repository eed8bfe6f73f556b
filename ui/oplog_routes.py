"""The part of the REST API about the operation log: search, export, verify."""
from __future__ import annotations

from esaas.framework.service.access.people import Principal, Role
from esaas.framework.service.errors import Unavailable
from esaas.framework.service.oplog.searching import LogFilter, LogPage, Scope
from esaas.framework.service.oplog.verifying import Verdict
from pydantic import BaseModel, ConfigDict, Field

from .route import Answer, Call, Reply, Route, Streamed, get
from .stream import Write

NDJSON = "application/x-ndjson"
END_HEADER = "X-Esaas-Log-End"


class VerifyQuery(BaseModel):
    """A line that somebody has noted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seq: int = Field(0, ge=0, le=2**53, description="its number; 0: none was noted")
    hash: str = Field("", pattern="^([0-9a-f]{64})?$", description="its hash")


def scope_of(principal: Principal) -> Scope:
    """Whose lines somebody sees: those of his tenants; logins, users and hosts only an admin."""
    return Scope(principal.tenants, principal.role is Role.ADMIN)


async def search(call: Call) -> Reply:
    """``GET /v1/log``."""
    return Reply(await call.context.book.search(call.query, scope_of(call.principal)))


async def export(call: Call) -> Streamed:
    """``GET /v1/log/export``."""
    book = call.context.book
    head = await book.head()

    async def produce(write: Write) -> None:
        async for entry in book.export(head):
            await write(entry.model_dump_json().encode() + b"\n")

    # Whoever reads can tell by it that the last line has come.
    return Streamed(NDJSON, produce, {
        END_HEADER: str(head.seq),
        "Content-Disposition": 'attachment; filename="esaas-log.ndjson"'})


async def verify(call: Call) -> Reply:
    """``GET /v1/log/verify``."""
    wanted = call.query
    return Reply(await call.context.book.verify(
        (wanted.seq, wanted.hash) if wanted.seq and wanted.hash else None))


LOG_ROUTES: tuple[Route, ...] = (
    get("/v1/log", search, "searchLog", "Who has changed what, newest first: of the tenants that "
        "one sees; logins, users and hosts only for admins", LogPage, query=LogFilter),
    Route("GET", "/v1/log/export", "exportLog", "All of the operation log, oldest first, a line "
          f"of JSON each; the header {END_HEADER} has the number of the last one", export,
          {200: Answer("lines of JSON", str, NDJSON)}, refuses=(Unavailable,), role=Role.ADMIN),
    get("/v1/log/verify", verify, "verifyLog", "Whether the operation log is as it was written; "
        "names the first line that is not", Verdict, query=VerifyQuery, role=Role.ADMIN),
)
