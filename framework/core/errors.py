"""One tree of errors for the whole framework."""
from __future__ import annotations

from dataclasses import dataclass


class EsaasError(Exception):
    """Any error that this project raises on purpose."""


class SpecError(EsaasError, ValueError):
    """A spec, or a part of it, that cannot be carried out."""


class InvalidTransition(EsaasError):
    """An event that a node in its state cannot take; the message tells the node's story."""


class InvariantBroken(EsaasError):
    """A state that must never be; the message names the invariant and the facts."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request: where, what, and the rule that says so."""

    path: str
    message: str
    rule: str = ""
