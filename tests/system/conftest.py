"""Real Mesos, real Elasticsearch, a real service process; everything is gone afterwards."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from esaas.local.datacentre import DataCentre
from esaas.local.testing import temporary_data_centre

from .service import Service

TENANTS = ("demo", "acme")


@pytest.fixture(scope="module")
def box() -> Iterator[DataCentre]:
    """One master and three agents; the tenants authenticate, each for its own roles."""
    with temporary_data_centre(3, principals={tenant: tenant for tenant in TENANTS}) as centre:
        yield centre


@pytest.fixture(scope="module")
def service(box: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service; its log is shown when a test of the module fails."""
    directory: Path = tmp_path_factory.mktemp("service")
    found = Service(box, directory, TENANTS).start()
    try:
        yield found
    finally:
        if not found.dead():
            assert found.stop() == 0, "SIGTERM stops the service in order"
