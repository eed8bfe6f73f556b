"""Bringing a quota to the master, and what differs between there and here."""
from __future__ import annotations

from ...core.quota import FIELDS, number
from ...core.resources import EPSILON
from ...mesos.operator import MasterRefuses, OperatorApi, OperatorError, RoleQuota
from .records import Standing, TenantRecord


async def apply_quota(operator: OperatorApi, record: TenantRecord) -> tuple[Standing, str]:
    """How far a tenant's quota has come to the master after one try, and why no further.

    ``applied`` only when the master says the same afterwards.
    """
    role, wanted = record.name, record.wanted
    try:
        if differs(wanted, (await operator.get_quota()).get(role, RoleQuota())):
            await operator.update_quota(role, wanted, force=record.force)
        left = differs(wanted, (await operator.get_quota()).get(role, RoleQuota()))
    except MasterRefuses as error:
        return "refused", str(error)
    except OperatorError as error:
        return "pending", str(error)
    return ("pending", f"the master does not say so yet: {left}") if left else ("applied", "")


def differs(wanted: RoleQuota, found: RoleQuota) -> str:
    """How what the master has differs from what is wanted; empty when it does not."""
    parts = []
    for what in ("guarantee", "limit"):
        for field in FIELDS:
            here, there = getattr(getattr(wanted, what), field), getattr(getattr(found, what),
                                                                         field)
            if (here is None) != (there is None) or (
                    here is not None and abs(here - there) > EPSILON):
                parts.append(f"{what} {field}: {_said(here)} here, {_said(there)} on the master")
    return "; ".join(parts)


def _said(value: float | None) -> str:
    return "no limit" if value is None else number(value)
