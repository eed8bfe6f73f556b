"""``kill -9`` of the service at every arrow of its loop, while it makes a real cluster."""
from __future__ import annotations

import pytest
from esaas.local.datacentre import DataCentre

from .service import Service, spec, wait_for
from .test_real_life import framework_of, volumes

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

STAGES = ("drained", "committed", "before-send", "sent", "acknowledged")
# The first turns carry everything that matters: registration, intents, ACCEPTs, first updates.
PASSES = (2, 3)


def test_a_service_killed_at_every_step_neither_loses_nor_duplicates_a_node(
        box: DataCentre, service: Service) -> None:
    service.stop()
    points = [f"{stage}:{number}" for number in PASSES for stage in STAGES]
    deaths = 0
    for number, point in enumerate(points):
        service.start(failpoint=point)
        if number == 0:
            wait_for("the cluster to be stored", lambda: service.dead() or service.client.post(
                "/v1/clusters", spec("demo", "demo")))
        wait_for(f"the service to die at {point}", service.dead)
        assert service.process is not None and service.process.returncode == -9
        deaths += 1
    service.start()
    if not service.client.get("/v1/clusters"):
        service.client.post("/v1/clusters", spec("demo", "demo"))
    service.green("demo", 3)
    framework = framework_of(box, "esaas/demo/demo")
    assert sorted(task["name"] for task in framework["tasks"]) == [
        "demo.node-1", "demo.node-2", "demo.node-3"]
    assert len(volumes(box, "demo/demo")) == 3
    assert deaths == len(points)
    service.client.delete("/v1/clusters/demo", confirm="demo")
    wait_for("the cluster to be gone", lambda: service.client.get("/v1/clusters") == [])
