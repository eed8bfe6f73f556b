"""A cluster of stand-ins on a real data centre: what the large measurements are made of."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from esaas.local.datacentre import DataCentre

from bench import fleet
from bench.scale import launches, lose_host, restart_all

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
WANTED = {"c00": 3}
FIRST_PORT = 30_000                     # apart from a measurement that may run at the same time


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[DataCentre, Path]]:
    """Three agents in one process."""
    with fleet.fleet(3, FIRST_PORT) as found:
        yield found


def test_a_cluster_of_stand_ins_gets_green_rolls_and_survives_its_host(
        place: tuple[DataCentre, Path]) -> None:
    box, directory = place
    door = fleet.service(box, directory / "service").start()
    try:
        fleet.create(door, WANTED)
        fleet.until_calm(door, WANTED, 120)
        fleet.index_everywhere(door, list(WANTED), 2)
        assert {kind: count for kind, (count, _) in fleet.memory_mib(box).items()
                }["stand-in"] == 3
        before = {node: host for node, (host, _) in launches(door, ["c00"]).items()}
        restart_all(door, WANTED)
        lose_host(box, door, WANTED, "agent-2")
        after = launches(door, ["c00"])
        assert {node: host for node, (host, _) in after.items()} == before
        assert sorted(launch for _, launch in after.values()) == [2, 2, 3]
        fleet.remove(door, list(WANTED))
    finally:
        door.stop()
