"""The part of the stand-in that tells of housekeeping: the real policies over made-up indices."""
from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from esaas.framework.core import events as ev
from esaas.framework.core.apply import apply
from esaas.framework.core.autoscale import BY, Sample, advise
from esaas.framework.core.facts import Identity, Scaled
from esaas.framework.core.housekeeping import policies
from esaas.framework.core.indices import Alias, Disk, Index, IndexLook, Quiet
from esaas.framework.core.plan import founded
from esaas.framework.core.spec import parse_spec
from esaas.framework.service.autoscaling import group_view
from esaas.framework.service.autoscaling_views import AutoscaleView
from esaas.framework.service.errors import Unavailable
from esaas.framework.service.housekeeping import policy_view
from esaas.framework.service.housekeeping_views import HousekeepingView

if TYPE_CHECKING:
    from standin_service import Fake

WISH = {"merge": {"hours": "1-5"}, "delete": [{"pattern": "logs-*", "older_than_s": 86400}],
        "rollover": [{"alias": "logs", "max_age_s": 3600}], "replicas": {"at_least": 1},
        "unblock": {}, "guards": {"max_result_window": 10_000},
        "caches": {"fielddata_size": "20%"}}


class HousekeepingStandIn:
    """What ``StandInService`` says of housekeeping: ``demo`` has every policy, others none."""

    clock: float
    unseen: frozenset[str]

    def _find(self, name: str) -> Fake:
        raise NotImplementedError

    async def autoscale(self, name: str) -> AutoscaleView:
        fake, now = self._find(name), time.time()
        if name != "demo":
            return AutoscaleView(cluster=name, at=now, groups=[])
        body = fake.spec.model_dump()
        count = body["groups"][0]["count"]
        body["groups"][0]["autoscale"] = {"min": 1, "max": 9, "window_s": 30, "mode": "act"}
        state = founded(Identity(name, "acme", "uid", 1.0), parse_spec(body))
        state = replace(state, scaled={"node": Scaled(now - 60, count - 1, count, BY,
                                                      "disk 81 % used, above 75")})
        [group] = [one for one in state.spec.groups if one.autoscale is not None]
        samples = [Sample(now - ago, count, {"disk_percent": 82.0}) for ago in (30, 20, 10, 0)]
        found = advise(replace(state, scaled={}), group, samples, now)
        return AutoscaleView(cluster=name, at=now, groups=[group_view(
            state, group, found, ["quota_memory: 1024 MB more than the tenant may have"], now)])

    async def housekeeping(self, name: str) -> HousekeepingView:
        fake = self._find(name)
        if name in self.unseen:
            raise Unavailable("indices cannot be looked at now: no node serves")
        now = time.time()
        wanted = parse_spec(fake.spec.model_dump() | {"housekeeping": WISH}) if (
            name == "demo") else fake.spec
        state = founded(Identity(name, "acme", "uid", 1.0), wanted)
        looked = IndexLook(now, {one.name: one for one in (
            Index("logs-000001", "u1", now - 9e5, documents=9, primary_mb=900.0, written=9,
                  store_mb=900.0, segments=12, limits={"index.max_result_window": 50_000}),
            Index("logs-000002", "u2", now - 9e4, documents=9, primary_mb=90.0, written=9,
                  store_mb=90.0, segments=5))},
            {"logs": Alias("logs", ("logs-000001", "logs-000002"), "logs-000002")},
            {"node-0": Disk(9000.0, 5000.0)}, "90%", 0.0)
        memory = {item: Quiet(one.uuid, 9, now - 4e5) for item, one in looked.indices.items()}
        found = policies.plans(state, looked, memory)
        for number, one in enumerate(found[:1]):
            state = apply(state, policies.asked(one, f"h{number}", now - 100))
            state = apply(state, ev.EsActed(now - 90, "RunErrand", True, "merged none",
                                            f"h{number}"))
        return HousekeepingView(cluster=name, at=now, every_s=300, policies=[
            policy_view(state, one, now) for one in found])
