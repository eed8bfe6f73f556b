"""One line of the operation log."""
from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..errors import ServiceError

Outcome = Literal["begun", "done", "refused", "failed"]
UNKNOWN = "(unknown)"               # somebody who has not shown who he is


class LogError(BaseModel):
    """Why something was refused or failed, as whoever asked was told."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    faults: list[dict[str, str]] = Field([], description="path, message and rule of each")

    @classmethod
    def of(cls, problem: ServiceError) -> LogError:
        """A refusal; of a body that cannot be read no line is quoted."""
        message = problem.message.split("\n")[0] if problem.code == "malformed" else problem.message
        return cls(code=problem.code, message=message, faults=[
            {"path": fault.path, "message": fault.message, "rule": fault.rule}
            for fault in problem.faults])


class Draft(BaseModel):
    """A line as it is handed in, before it has its place in the chain."""

    model_config = ConfigDict(frozen=True)

    at: float = Field(description="when it happened; seconds since the epoch")
    user: str = Field(description="who: a person, token:NAME, offline:NAME, or (unknown)")
    operation: str = Field(examples=["edit_switch"])
    outcome: Outcome = Field(description="begun: written before anything was changed; one of the "
                             "others follows when the service lives to write it")
    tenant: str = Field("", description="whose cluster it was about; empty: nobody's in particular")
    cluster: str = ""
    subject: str = Field("", description="the node, switch, user, token or host it was about")
    door: str = Field("", description="api, page or offline")
    remote: str = Field("", description="the address that the request came from")
    request_id: str = ""
    process: str = Field("", description="which process of the service wrote it")
    request: Any = Field(None, description="what was asked for; secrets are masked")
    before: dict[str, Any] | None = Field(None, description="what has changed, as it was")
    after: dict[str, Any] | None = Field(None, description="the same, as it is now")
    revision: int | None = Field(None, description="of the cluster, afterwards")
    status: int | None = Field(None, description="HTTP")
    error: LogError | None = None
    begun: int | None = Field(None, description="the number of the line with outcome begun")
    count: int = Field(1, description="how many such requests of strangers this line stands for")


class LogEntry(Draft):
    """A line of the log; ``hash`` is SHA-256 over ``prev`` and all the rest."""

    seq: int
    prev: str
    hash: str
