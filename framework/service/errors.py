"""What a request can be refused with; each carries its HTTP status and every fault."""
from __future__ import annotations

from collections.abc import Sequence

from ..core.errors import EsaasError, Fault


class ServiceError(EsaasError):
    """A refused request. Nothing was changed."""

    status = 500
    code = "internal"

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.faults = tuple(faults)


class Malformed(ServiceError):
    """The body is no JSON, no YAML, or not an object."""

    status, code = 400, "malformed"


class Unauthenticated(ServiceError):
    """Nobody has said who asks."""

    status, code = 401, "unauthenticated"


class Forbidden(ServiceError):
    """Not with this role, or somebody else's cluster."""

    status, code = 403, "forbidden"


class NotFound(ServiceError):
    """No cluster, group or node of that name."""

    status, code = 404, "not_found"


class Conflict(ServiceError):
    """The request is sound, but not in the present state; the faults name the rules."""

    status, code = 409, "conflict"


class Invalid(ServiceError):
    """The body is an object, but what it asks for is not possible; every fault with its path."""

    status, code = 422, "invalid"


class TooManyTries(ServiceError):
    """Too many tries to log in; ``Retry-After`` says when to come again."""

    status, code = 429, "too_many_tries"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(ServiceError):
    """The service cannot do it now (no store, too busy); the same request may succeed later."""

    status, code = 503, "unavailable"


class Elsewhere(Unavailable):
    """Another process runs the cluster; the doors pass the request on to it."""

    def __init__(self, message: str, url: str) -> None:
        super().__init__(message)
        self.url = url
