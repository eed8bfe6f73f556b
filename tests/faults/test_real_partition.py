"""An agent that a partition cuts off, and back: hosts are network namespaces."""
from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from esaas.local.hosts.netns import Namespaces

from ..system.namespaces import namespaces, small
from ..system.service import Service, wait_for
from . import rows
from .ground import NAME, NODES, Ground, reserved
from .test_real_faults import first

pytestmark = [pytest.mark.system, pytest.mark.faults, pytest.mark.timeout(1500)]
CUT_S = 30.0                        # several times what master and Elasticsearch wait
# A request to a host that is cut off gets no answer and no refusal: whoever waits for it for longer
# than the cut lasts measures himself.
CLIENT_TIMEOUT_S = 5.0


class OutsideService(Service):
    """A process of this machine that serves the hosts."""

    def options(self) -> list[str]:
        """Where agents reach it."""
        return ["--host", self.box.outside]


class NamespaceGround(Ground):
    """A ground whose masters nobody ends."""

    def start_masters(self) -> None:
        """There is one, and it runs."""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Namespaces]:
    """A control host and four agents."""
    with namespaces(NODES + 1) as found:
        yield found


@pytest.fixture(scope="module")
def ground(hosts: Namespaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Two processes, and a green cluster of three nodes that soon notice who is silent."""
    def directory(name: str) -> Path:
        return tmp_path_factory.mktemp(name)
    one = OutsideService(hosts, directory("first"), ("demo",), store=hosts.store + "-outside")
    pair = [one.start()]
    try:
        pair.append(OutsideService(hosts, directory("second"), ("demo",), beside=one).start())
        one.client.post("/v1/clusters", small(NAME, NODES))
        one.green(NAME, NODES)
        yield NamespaceGround(hosts, pair, client_timeout_s=CLIENT_TIMEOUT_S)
        rows.write()
    finally:
        for service in pair:
            if not service.dead():
                assert service.stop() == 0


def test_a_partition_loses_nothing_and_starts_nothing_again(
        ground: Ground, hosts: Namespaces) -> None:
    def hit(ground: Ground) -> None:
        node = ground.nodes()[first(ground)]
        hosts.cut(node["host"])
        try:
            time.sleep(CUT_S)
            wait_for("its node to be unreachable",
                     lambda: ground.nodes()[node["name"]]["state"] == "unreachable")
        finally:
            hosts.mend(node["host"])

    row = ground.measure("agent partitioned in a network namespace, back after 30 s "
                         "(client's time-out 5 s)", hit)
    rows.keep(row)
    assert row.found == row.acknowledged > 0 and row.leaks == 0
    assert row.worst_health != "red"
    assert row.tasks == 0, "no node starts again because of it"


def test_nothing_is_left(ground: Ground, hosts: Namespaces) -> None:
    ground.service.client.delete(f"/v1/clusters/{NAME}", confirm=NAME)
    wait_for("the cluster to be gone", lambda: ground.service.client.get("/v1/clusters") == [])
    assert reserved(hosts) == {}
