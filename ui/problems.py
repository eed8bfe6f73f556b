"""Refusals that belong to HTTP, beside those of the service; one shape for all of them."""
from __future__ import annotations

from http import HTTPStatus

from esaas.framework.service.errors import ServiceError
from pydantic import BaseModel, Field


class TooLarge(ServiceError):
    """A body beyond the limit."""

    status, code = 413, "too_large"


class WrongMethod(ServiceError):
    """The address exists, the method does not; ``Allow`` names those that do."""

    status, code = 405, "method_not_allowed"


class WrongMediaType(ServiceError):
    """A body in neither JSON nor YAML (which also keeps forms of other sites out)."""

    status, code = 415, "unsupported_media_type"


class CrossSite(ServiceError):
    """A browser sent this on behalf of another site."""

    status, code = 403, "cross_site"


class Misdirected(ServiceError):
    """The ``Host`` is none of ours: a name made to point here by somebody else's DNS."""

    status, code = 421, "misdirected"


class FaultBody(BaseModel):
    """One thing that is wrong with a request."""

    path: str = Field(examples=["groups[0].count"])
    message: str
    rule: str = Field("", description="the name of the rule that says so")


class ErrorBody(BaseModel):
    """Why a request was refused."""

    code: str = Field(examples=["invalid"])
    message: str
    faults: list[FaultBody] = []
    request_id: str


class ErrorAnswer(BaseModel):
    """The one shape of every error of this API."""

    error: ErrorBody


def answer_of(problem: ServiceError, request_id: str) -> ErrorAnswer:
    """A refusal as the body that API users get."""
    faults = [FaultBody(path=fault.path, message=fault.message, rule=fault.rule)
              for fault in problem.faults]
    return ErrorAnswer(error=ErrorBody(
        code=problem.code, message=problem.message, faults=faults, request_id=request_id))


def from_status(status: int, reason: str | None = None) -> ServiceError:
    """A refusal for a status that Tornado chose by itself."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = f"status {status}"
    problem = ServiceError(reason or phrase)
    problem.status = status
    problem.code = {404: "not_found", 500: "internal"}.get(
        status, phrase.lower().replace(" ", "_").replace("-", "_"))
    return problem
